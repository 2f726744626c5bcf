"""The tactical matrix equals the slow reference, bar by bar and in batches; synergies do too."""

import numpy as np
import pytest

import gm
from gm import features
from gm._native import features as native
from gm.readers import BAR
from gm.training import reference

FIVE_MINUTES_NS = 300_000_000_000


def walk(count: int, seed: int, price: int = 60_000) -> np.ndarray:
    """Random 5-minute bars with jumps, so that gaps come and go, and some still ones."""
    random = np.random.default_rng(seed)
    step = random.normal(0.0, 0.001, count) * np.where(random.random(count) < 0.1, 6, 1)
    step[random.random(count) < 0.05] = 0.0
    close = np.maximum(1, np.rint(price * np.exp(np.cumsum(step)))).astype(np.int64)
    bars = np.zeros(count, BAR)
    bars["start_ts_ns"] = 1_600_000_200_000_000_000 + FIVE_MINUTES_NS * np.arange(count)
    bars["close_ticks"] = close
    bars["open_ticks"] = np.concatenate(([price], close[:-1]))
    wick = random.integers(0, 1 + price // 4000, (2, count))
    bars["high_ticks"] = np.maximum(bars["open_ticks"], close) + wick[0]
    bars["low_ticks"] = np.maximum(1, np.minimum(bars["open_ticks"], close) - wick[1])
    bars["volume_lots"] = random.integers(0, 300, count)
    for at in np.flatnonzero(random.random(count) < 0.02)[1:]:
        still = bars[at]
        for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
            still[name] = bars["close_ticks"][at - 1]
        still["volume_lots"], still["flags"] = 0, reference.SYNTHETIC
    bars["flags"][random.random(count) < 0.01] |= reference.OUT_OF_SESSION
    return bars


def assert_equal_to_reference(bars: np.ndarray) -> None:
    inside = (bars["flags"] & reference.OUT_OF_SESSION) == 0
    matrices, rows, ready = native.tactical_batch(features.closed_bars(bars, 5))
    expected_rows = reference.tactical_columns(bars[inside]).values
    for column in (0, 1, 4):
        np.testing.assert_array_equal(rows[inside][:, column], expected_rows[:, column])
    limit = 1e-9 * np.maximum(1.0, np.abs(expected_rows))
    assert np.all(np.abs(rows[inside] - expected_rows) <= limit)
    expected, expected_ready = reference.tactical_matrices(bars)
    np.testing.assert_array_equal(ready, expected_ready)
    assert np.all(np.abs(matrices - expected) <= np.spacing(np.abs(expected)) + 1e-9)
    assert np.isfinite(matrices).all()


@pytest.mark.parametrize("seed", range(6))
def test_native_equals_reference_on_synthetic_bars(seed: int) -> None:
    bars = walk(1500, seed, price=[60_000, 4_000, 2_000_000][seed % 3])
    assert_equal_to_reference(bars)
    signals = gm.tactical_matrices(bars, "NQ")[0][:, -1, 4]
    assert (signals == 1).any()
    assert (signals == -1).any()


def test_native_equals_reference_through_prices_that_are_not_positive() -> None:
    bars = walk(600, 99, price=4_000)
    for at in (120, 300, 301, 450):
        bars["low_ticks"][at] = -5
        bars["close_ticks"][at] = -5 if at == 301 else bars["close_ticks"][at]
    assert_equal_to_reference(bars)


def test_streaming_and_interrupted_streaming_give_the_bytes_of_the_batch() -> None:
    bars = walk(200, 7)
    values, ready = gm.tactical_matrices(bars, "NQ")
    stream = gm.TacticalFeatures("NQ")
    for i, bar in enumerate(bars):
        resumed = gm.TacticalFeatures("NQ")
        resumed.restore(stream.snapshot())
        stream = resumed
        stream.update(bar)
        assert stream.matrix.tobytes() == values[i].tobytes()
        assert stream.ready == ready[i]


def test_ready_from_bar_73_and_not_before() -> None:
    bars = walk(100, 8)
    bars["flags"] = 0
    values, ready = gm.tactical_matrices(bars, "NQ")
    assert values.shape == (100, 60, 7)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(ready, np.arange(100) >= 72)


def test_a_strategic_snapshot_is_refused() -> None:
    with pytest.raises(gm.errors.BadArgument):
        gm.TacticalFeatures("NQ").restore(gm.StrategicFeatures("NQ").snapshot())


@pytest.mark.parametrize("minutes", [1, 30])
def test_bars_of_another_size_are_refused(minutes: int) -> None:
    bars = walk(50, 12)
    bars["start_ts_ns"] = minutes * 60 * 10**9 * np.arange(len(bars))
    with pytest.raises(gm.errors.BadArgument, match="5 minutes"):
        gm.tactical_matrices(bars, "NQ")


def test_no_bars_give_no_matrices() -> None:
    values, ready = gm.tactical_matrices(walk(0, 15), "NQ")
    assert values.shape == (0, 60, 7)
    assert ready.shape == (0,)


def test_an_unknown_instrument_is_refused() -> None:
    with pytest.raises(gm.errors.UnknownInstrument):
        gm.TacticalFeatures("NOPE")
    with pytest.raises(gm.errors.UnknownInstrument):
        gm.tactical_matrices(walk(10, 16), "NOPE")


def test_columns_are_those_of_the_schema() -> None:
    assert gm.TACTICAL_COLUMNS == tuple(name for name, _ in native.tactical_schema())
    assert len(gm.TACTICAL_COLUMNS) == reference.TACTICAL_COLUMNS
