"""Promise: the figures of a run are those that a person works out by hand, and say how little they
prove.
"""

import numpy as np
import pytest

from gm import layout
from gm.backtest.stats import (
    DAY_NS,
    EQUITY,
    daily_changes,
    describe_evidence,
    equity_rows,
    max_drawdown,
    sharpe_with_interval,
    trade_results,
)
from gm.layout import RecordType


def equity(*rows: tuple[int, int, int, int, int]) -> np.ndarray:
    """Rows of (day, realised, unrealised, commission, round trips)."""
    table = np.zeros(len(rows), EQUITY)
    for at, (day, realised, unrealised, commission, trips) in enumerate(rows):
        table[at] = (
            day * DAY_NS + 7, 0, realised, unrealised, commission,
            realised + unrealised - commission, trips,
        )  # fmt: skip
    return table


# Long, 10 paid; closed with a gain of 100, 10 paid; turned from a loss of 30 into a short, 20 paid.
BY_HAND = equity(
    (1, 0, 5, 10, 0),
    (1, 100, 0, 20, 1),
    (2, 100, -40, 30, 1),
    (4, 70, 0, 50, 2),
    (4, 70, 15, 50, 2),
)


def test_a_trade_earns_what_it_realised_less_all_that_it_paid() -> None:
    assert trade_results(BY_HAND).tolist() == [80, -60]


def test_a_trade_that_is_open_is_no_result() -> None:
    assert trade_results(BY_HAND[:1]).tolist() == []


def test_drawdown_is_the_deepest_fall_below_the_peak() -> None:
    # -5, 80, 30, 20, 35
    assert max_drawdown(BY_HAND) == -60
    assert max_drawdown(BY_HAND[:1]) == -5  # the peak before it was the start
    assert max_drawdown(BY_HAND[:0]) == 0


def test_a_day_without_a_record_changes_nothing() -> None:
    assert daily_changes(BY_HAND).tolist() == [80, -50, 0, 5]
    assert daily_changes(BY_HAND[:0]).tolist() == []


def test_equity_is_read_from_position_records() -> None:
    slots = np.zeros(3, layout.SLOT)
    slots["header"]["type"] = [RecordType.POSITION, RecordType.DECISION, RecordType.POSITION]
    slots["header"]["receive_ts_ns"] = [5, 6, 7]
    update = np.zeros(1, layout.POSITION_UPDATE)
    for name, value in (("position_lots", -2), ("realised_micros", 50), ("unrealised_micros", -8),
                        ("commission_micros", 3), ("round_trips", 1)):  # fmt: skip
        update[name] = value
    slots["payload"][2] = update.view(np.uint8)
    rows = equity_rows(slots)
    assert rows["ts_ns"].tolist() == [5, 7]
    assert rows[1].tolist() == (7, -2, 50, -8, 3, 39, 1)


def test_sharpe_is_mean_over_deviation_times_the_root_of_a_year() -> None:
    changes = np.array([3.0, -1.0] * 50)
    found = sharpe_with_interval(changes)
    assert found is not None
    ratio, low, high = found
    assert ratio == pytest.approx(1.0 / np.std(changes, ddof=1) * np.sqrt(365))
    assert low < ratio < high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 95 % by name; a bootstrap of blocks is somewhat short of it.
    covered = 0
    for seed in range(100):
        changes = np.random.default_rng(seed).normal(0.1, 1.0, 250)
        found = sharpe_with_interval(changes)
        assert found is not None
        covered += found[1] <= 0.1 * np.sqrt(365) <= found[2]
    assert 84 <= covered <= 100


def test_few_days_or_equal_days_have_no_ratio() -> None:
    assert sharpe_with_interval(np.arange(19.0)) is None
    assert sharpe_with_interval(np.zeros(400)) is None


def test_equal_runs_give_equal_figures() -> None:
    changes = np.random.default_rng(1).normal(0.0, 1.0, 60)
    assert sharpe_with_interval(changes) == sharpe_with_interval(changes.copy())


@pytest.mark.parametrize(
    ("source", "interval", "says"),
    [
        ("Synthetic data: no evidence of profit.", (9.0, 8.0, 10.0), "Synthetic data"),
        ("", None, "Fewer than 20 days"),
        ("", (1.0, -0.5, 2.5), "holds 0: no evidence of profit"),
        ("", (3.0, 0.5, 5.5), "walk-forward"),
    ],
)
def test_no_figure_comes_without_what_it_proves(
    source: str, interval: tuple[float, float, float] | None, says: str
) -> None:
    assert says in describe_evidence(source, interval)
