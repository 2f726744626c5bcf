"""Promise: what a report thins or merges keeps its range, its order and its sums."""

import numpy as np
import pytest

from gm import layout
from gm.report.data import BANDS_MAX, CANDLES_MAX, Candles, _averaged

MINUTE_NS = 60_000_000_000
START_NS = 1_641_038_400_000_000_000


def closes(count: int) -> np.ndarray:
    bars = np.zeros(count, layout.BAR_CLOSE)
    bars["start_ts_ns"] = START_NS + np.arange(count) * MINUTE_NS
    bars["open_ticks"] = np.arange(count) + 100
    bars["close_ticks"] = np.arange(count) + 101
    bars["high_ticks"] = np.arange(count) + 103
    bars["low_ticks"] = np.arange(count) + 98
    return bars


@pytest.mark.parametrize("count", [1, 29, 31, 5_000, 200_000])
def test_candles_keep_open_close_and_range(count: int) -> None:
    candles = Candles()
    bars = closes(count)
    candles.add(bars[: count // 2])
    candles.add(bars[count // 2 :])
    merged = candles.merged(0.5)
    assert 1 <= len(merged) <= CANDLES_MAX + 1
    assert merged[0][1] == 50.0
    assert merged[-1][4] == (100 + count) / 2
    assert max(bar[2] for bar in merged) == (102 + count) / 2
    assert min(bar[3] for bar in merged) == 49.0
    assert candles.span() == (START_NS, START_NS + (count - 1) * MINUTE_NS)
    assert [bar[0] for bar in merged] == sorted({bar[0] for bar in merged})


def test_no_bars_give_no_candles() -> None:
    assert Candles().merged(0.5) == []
    assert Candles().span() == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 2, BANDS_MAX, BANDS_MAX + 1, 7 * BANDS_MAX + 3])
def test_shares_are_averaged_to_a_screen_and_still_sum_to_one(count: int) -> None:
    dice = np.random.default_rng(3)
    shares = dice.dirichlet((1, 1, 1), count)
    rows = [(START_NS + i, *share) for i, share in enumerate(shares.tolist())]
    found = _averaged(rows)
    assert len(found) == min(count, BANDS_MAX)
    assert all(abs(sum(share) - 1) < 1e-9 for _, share in found)
    assert [ts for ts, _ in found] == sorted({ts for ts, _ in found})
    if count <= BANDS_MAX:
        assert [share for _, share in found] == [row[1:] for row in rows]
