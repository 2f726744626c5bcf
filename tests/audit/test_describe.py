"""Promise: the description says what a column holds, and sees one that holds nothing."""

import numpy as np
import pytest

from gm.audit.describe import column_report, describe
from gm.audit.views import VIEWS
from gm.readers import BAR


def test_figures_by_hand() -> None:
    found = column_report("x", np.array([0.0, 1.0, 0.0, -1.0] * 25))
    assert (found.zeros, found.commonest, found.minimum, found.maximum) == (0.5, 0.5, -1, 1)
    assert found.quantiles == (-1.0, -0.25, 0.0, 0.25, 1.0)
    assert found.deviation == pytest.approx(np.sqrt(0.5))
    assert found.lag_1 == 0.0
    assert not found.is_degenerate


def test_autocorrelation_of_neighbours() -> None:
    steps = np.repeat([1.0, -1.0], 50)
    assert column_report("x", steps).lag_1 == pytest.approx((98 - 1) / 100)
    assert column_report("x", np.tile([1.0, -1.0], 50)).lag_1 == pytest.approx(-0.99)


def test_a_constant_and_a_nearly_constant_are_degenerate() -> None:
    constant = column_report("x", np.full(500, 0.7))
    assert constant.is_degenerate
    assert constant.lag_1 == 0.0
    rare = np.zeros(500)
    rare[7] = 1.0
    assert column_report("x", rare).is_degenerate
    assert column_report("x", np.linspace(0.5, 0.501, 500)).is_degenerate


def test_only_ready_bars_count() -> None:
    view = VIEWS["tactical"]
    bars = np.zeros(4, BAR)
    bars["start_ts_ns"] = [10, 20, 30, 40]
    bars["flags"] = [0, 1, 0, 1]
    rows = np.arange(28, dtype=np.float32).reshape(4, 7)
    found = describe(view, bars, "NQ", rows, np.array([False, True, False, True]))
    assert (found.bars, found.synthetic, found.ready, found.first_ready_bar) == (4, 2, 2, 2)
    assert (found.first_ready_ts_ns, found.last_ready_ts_ns) == (20, 40)
    assert [column.name for column in found.columns] == list(view.columns)
    assert (found.columns[0].minimum, found.columns[0].maximum) == (7.0, 21.0)


def test_nothing_ready_has_no_columns() -> None:
    view = VIEWS["tactical"]
    found = describe(view, np.zeros(2, BAR), "NQ", np.zeros((2, 7), np.float32), np.zeros(2, bool))
    assert (found.first_ready_bar, found.columns) == (0, ())
