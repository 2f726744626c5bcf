"""Promise: on real bars both matrices equal the slow reference, are the same however they came
about, know nothing of the future, and have no dead column; synergies are those of the reference.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

import gm
from gm import features
from gm._native import features as native
from gm.audit.describe import describe
from gm.audit.lookahead import check_lookahead
from gm.audit.parity import check_parity
from gm.audit.views import VIEWS, Bars
from gm.training import reference

from ..runs import ROOT, gm as run_gm, real_file

pytestmark = pytest.mark.data
EXACT = {"mlmi_signal", "fvg_bullish_active", "fvg_bearish_active", "fvg_mitigation_signal"}


class Case(NamedTuple):
    view: str
    instrument: str
    file: str
    is_filled: bool  # holes inside sessions, as the engine has them


NQ = Case("strategic", "NQ", "nq_30m_eth.csv", False)
NQ_FILLED = Case("strategic", "NQ", "nq_30m_eth.csv", True)
BTC_30 = Case("strategic", "BTC-PERP", "btc_perp_1m_202201.csv", True)
BTC_5 = Case("tactical", "BTC-PERP", "btc_perp_1m_202201.csv", True)
EURO_30 = Case("strategic", "6E", "6eh4_1m_202401.csv.gz", True)
EURO_5 = Case("tactical", "6E", "6eh4_1m_202401.csv.gz", True)
CASES = [
    pytest.param(case, id=f"{case.instrument}-{case.view}{'-filled' * case.is_filled}")
    for case in (NQ, NQ_FILLED, BTC_30, BTC_5, EURO_30, EURO_5)
]


@cache
def bars_of(case: Case) -> Bars:
    bars = gm.read_bars(real_file(case.file), case.instrument).bars
    if not case.is_filled:
        return bars
    filled = gm.aggregate_bars(bars, case.instrument, VIEWS[case.view].minutes)
    # Of five years the half in which NQ hardly traded: most of the synthetic bars are there.
    return filled[39_000:47_000] if case.instrument == "NQ" else filled


@cache
def expected_of(case: Case) -> reference.Strategic | reference.Tactical:
    bars = bars_of(case)
    inside = bars[(bars["flags"] & reference.OUT_OF_SESSION) == 0]
    if case.view == "tactical":
        return reference.tactical_columns(inside)
    offsets = features.local_offsets_ns(inside["start_ts_ns"], case.instrument)
    return reference.strategic_columns(inside, offsets)


def batch_of(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bars = bars_of(case)
    closed = features.closed_bars(bars, VIEWS[case.view].minutes)
    if case.view == "tactical":
        return native.tactical_batch(closed)
    offsets = features.local_offsets_ns(bars["start_ts_ns"], case.instrument)
    return native.strategic_batch(closed, offsets)


def test_the_files_hold_what_is_promised() -> None:
    assert len(bars_of(NQ)) == 56_083
    assert len(bars_of(BTC_30)) == 1_501
    assert len(bars_of(BTC_5)) == 9_006
    assert (bars_of(NQ_FILLED)["flags"] & reference.SYNTHETIC).sum() > 2_500


@pytest.mark.parametrize("case", CASES)
def test_every_column_equals_the_reference(case: Case) -> None:
    matrices, rows, ready = batch_of(case)
    expected = expected_of(case)
    inside = (bars_of(case)["flags"] & reference.OUT_OF_SESSION) == 0
    apart = np.abs(rows[inside] - expected.values)
    limit = 1e-9 * np.maximum(1.0, np.abs(expected.values))
    for index, name in enumerate(VIEWS[case.view].columns):
        worst = int(np.argmax(apart[:, index] - limit[:, index]))
        assert (apart[:, index] <= limit[:, index]).all(), (name, worst, apart[worst, index])
        if name in EXACT:
            assert (apart[:, index] == 0).all(), name
    stacked, expected_ready = reference.stack_rows(
        expected.values, expected.warm, inside, VIEWS[case.view].rows
    )
    np.testing.assert_array_equal(ready, expected_ready)
    # One ulp of the cast, on top of what the doubles may differ by.
    assert (np.abs(matrices - stacked) <= np.spacing(np.abs(stacked)) + 1e-9).all()
    assert np.isfinite(matrices).all()


@pytest.mark.parametrize("case", CASES)
def test_batch_stream_and_interrupted_stream_are_equal_at_every_bar(case: Case) -> None:
    bars = bars_of(case)
    cuts = range(0, len(bars), 10 if case is NQ else 1)
    found = check_parity(VIEWS[case.view], bars, case.instrument, cuts)
    assert found.difference is None
    assert found.bars == len(bars)


@pytest.mark.parametrize("case", CASES)
def test_poisoned_futures_change_nothing(case: Case) -> None:
    moments = 10 if case.instrument == "NQ" else 100
    found = check_lookahead(VIEWS[case.view], bars_of(case), case.instrument, moments=moments)
    assert found.difference is None
    assert found.moments == moments


@pytest.mark.parametrize("case", CASES)
def test_every_column_varies(case: Case) -> None:
    view = VIEWS[case.view]
    matrices, _, ready = batch_of(case)
    found = describe(view, bars_of(case), case.instrument, matrices[:, -1], ready)
    assert len(found.columns) == len(view.columns)
    assert [column.name for column in found.columns if column.is_degenerate] == []
    # Each side of zero is visited where the definition has two sides.
    for column in found.columns:
        assert column.maximum > 0, column.name
        one_sided = column.name.endswith(("_active", "_age", "_strength"))
        assert (column.minimum >= 0) == one_sided, column.name


def reference_synergies(thirty: Case, five: Case) -> tuple[reference.Synergy, ...]:
    signals = reference.strategic_signals(bars_of(thirty), expected_of(thirty))
    signals += reference.tactical_signals(bars_of(five), expected_of(five))
    return reference.find_synergies(signals).synergies


def test_signals_of_the_bitcoin_month_are_as_many_as_the_data_are_known_for() -> None:
    strategic, tactical = expected_of(BTC_30), expected_of(BTC_5)
    kinds = [s.kind for s in reference.strategic_signals(bars_of(BTC_30), strategic)]
    assert (kinds.count(0), kinds.count(1)) == (45, 69)
    assert len(reference.tactical_signals(bars_of(BTC_5), tactical)) == 504


def test_the_bitcoin_month_has_fourteen_synergies() -> None:
    found = reference_synergies(BTC_30, BTC_5)
    assert len(found) == 14
    assert {s.sequence for s in found} == {1, 2, 3, 4}
    assert {s.direction for s in found} == {-1, 1}


@pytest.mark.parametrize(("thirty", "five"), [(BTC_30, BTC_5), (EURO_30, EURO_5)])
def test_native_synergies_are_those_of_the_reference(thirty: Case, five: Case) -> None:
    found = gm.synergies(bars_of(five), bars_of(thirty), five.instrument)
    expected = reference_synergies(thirty, five)
    assert len(expected) > 0
    assert found["ts_ns"].tolist() == [s.ts_ns for s in expected]
    assert found["type"].tolist() == [s.sequence for s in expected]
    assert found["direction"].tolist() == [s.direction for s in expected]
    one_ulp = {"rtol": 1.2e-7, "atol": 0}
    np.testing.assert_allclose(found["confidence"], [s.confidence for s in expected], **one_ulp)
    for row, synergy in zip(found, expected, strict=True):
        for signal in synergy.signals:
            np.testing.assert_allclose(row["strength"][signal.kind], signal.strength, **one_ulp)
            assert row["age_s"][signal.kind] == (synergy.ts_ns - signal.ts_ns) // 10**9


@pytest.mark.parametrize("case", [NQ, BTC_30, BTC_5])
def test_the_readme_shows_what_the_command_prints(case: Case) -> None:
    arguments = ["features", real_file(case.file), "--instrument", case.instrument]
    if case.view == "tactical":
        arguments.append("--tactical")
    code, printed, complaint = run_gm(*arguments)
    assert code == 0, complaint
    rows = [line.strip() for line in printed.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(VIEWS[case.view].columns)
    assert "\n".join(rows) in (ROOT / "README.md").read_text()
