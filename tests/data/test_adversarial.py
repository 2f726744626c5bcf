"""Promise P7, bad data cannot trade: eleven hostile files, raw and spliced into a market that
trades, through two processes. Nothing crashes, no refused row orders, reasons are counted, and the
engine is ready and trades again within 48 clean bars.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gm import layout
from gm.features import strategic_matrices
from gm.layout import RecordType
from gm.readers import BarsResult, aggregate_bars, read_bars

from ..adversary import INSTRUMENT, Spliced, splice
from ..kills import check_everything
from ..runs import Result, Tape, payloads, real_file, records, trade

pytestmark = pytest.mark.data
CLEAN_BARS_NEEDED = 48
REFUSALS_IN_A_ROW = 5
SEED = 7

RAW = {
    "attack_bull_trap": {"off_grid": 100},
    "attack_coordinated": {"off_grid": 100},
    "attack_fake_breakout": {"off_grid": 100},
    "attack_whipsaw": {"off_grid": 100},
    "extreme_corrupted_timestamps": {"off_grid": 102},
    "extreme_extreme_volatility": {"off_grid": 100},
    "extreme_infinity_values": {"not_finite": 13, "off_grid": 87},
    "extreme_mixed_chaos": {"not_finite": 36, "off_grid": 22, "overflow": 42},
    "extreme_nan_values": {"not_finite": 53, "off_grid": 47},
    "extreme_precision_edge_cases": {"below_floor": 10, "off_grid": 60, "overflow": 10},
    "extreme_zero_negative": {"off_grid": 100},
}


@pytest.mark.parametrize("name", RAW)
def test_raw_files_are_counted_by_reason_and_nothing_is_ordered(name: str, tmp_path: Path) -> None:
    result = trade(tmp_path / "run", Tape(real_file(f"adversarial/{name}.csv"), INSTRUMENT, SEED))
    assert result.engine["quarantined"] == RAW[name]
    assert Counter(result.column("quarantine", "reason")) == RAW[name]
    assert result.engine["orders"] == result.engine["decisions"] == 0
    check_everything(result)


# The files begin on New Year's Day, when the exchange is closed; a week later it is open.
@pytest.mark.parametrize("weeks", [0, 1])
@pytest.mark.parametrize("name", RAW)
def test_an_attack_on_a_trading_engine_passes(name: str, weeks: int, tmp_path: Path) -> None:
    check_attack(real_file(f"adversarial/{name}.csv"), weeks, tmp_path)


def test_a_flash_crash_and_its_recovery_pass(tmp_path: Path) -> None:
    """Two bars 40 % down, which nobody believes; then seven, of which the third is believed."""
    closes = np.full(100, 15_000.0)
    closes[20:22] = closes[50:57] = 9_000.0
    stamps = np.datetime64("2024-01-08T00:00") + np.arange(100) * np.timedelta64(30, "m")
    lines = ["Date,Open,High,Low,Close,Volume"]
    lines += [
        f"{str(stamp).replace('T', ' ')}:00,{price},{price},{price},{price},10"
        for stamp, price in zip(stamps, closes, strict=True)
    ]
    source = tmp_path / "flash_crash.csv"
    source.write_text("\n".join(lines) + "\n")
    check_attack(source, 0, tmp_path)


def check_attack(source: Path, weeks: int, tmp_path: Path) -> None:
    name = source.stem
    spliced = splice(source, tmp_path / f"{name}_spliced.csv", weeks)
    result = trade(tmp_path / "run", Tape(spliced.path, INSTRUMENT, SEED))
    read = read_bars(spliced.path, INSTRUMENT)
    check_readiness_before(result, spliced)
    check_what_was_refused(result, read, spliced, name)
    check_matrices(result, read)
    check_orders_come_from_good_rows(result)
    check_no_entry_while_blocked(result, read, spliced)
    check_trading_again(result, read, spliced)
    check_everything(result)


def check_readiness_before(result: Result, spliced: Spliced) -> None:
    """When the attack begins the matrix is ready and a position is held."""
    start = spliced.attack_start_ts_ns
    decisions = [t for t in result.column("decisions", "bar_start_ts_ns") if t < start]
    assert len(decisions) > 200
    held = [r["position_lots"] for r in result.table("positions") if r["ts_ns"] <= start]
    assert held[-1] != 0


def check_what_was_refused(result: Result, read: BarsResult, spliced: Spliced, name: str) -> None:
    """Reader and engine together refuse what `read_bars` lists, and nothing of the warm-up."""
    expected = Counter(reason for _, reason in read.quarantine)
    assert result.engine["quarantined"] == dict(expected)
    assert Counter(result.column("quarantine", "reason")) == expected
    lines = {line for line, _ in read.quarantine}
    assert min(lines, default=spliced.attack_lines.start) >= spliced.attack_lines.start
    accepted = set(spliced.attack_lines) - lines
    if name.startswith("attack_"):
        assert len(accepted) >= 1
    # A jump back to the file's level costs two rows, the third confirms it.
    assert len(lines & set(spliced.clean_lines)) <= 2


def check_matrices(result: Result, read: BarsResult) -> None:
    """No NaN: in no matrix of the accepted bars, in no probability of a decision."""
    matrices, is_ready = strategic_matrices(aggregate_bars(read.bars, INSTRUMENT), INSTRUMENT)
    assert np.isfinite(matrices).all()
    assert is_ready.any()
    decisions = payloads(records(result.run_dir), RecordType.DECISION, layout.DECISION)
    for name in ("probability", "agent_probability"):
        assert np.isfinite(decisions[name]).all()
    assert np.abs(decisions["probability"].sum(axis=1) - 1).max() < 1e-5


def check_orders_come_from_good_rows(result: Result) -> None:
    """No order and no decision has a refused row for its cause."""
    slots = records(result.run_dir)
    kinds, causes = slots["header"]["type"], slots["trailer"]["input_sequence"]
    is_input = slots["header"]["source"] != layout.Source.ENGINE
    refused = set(causes[kinds == RecordType.BAR_QUARANTINED].tolist())
    refused |= set(causes[is_input & (kinds == RecordType.QUARANTINE)].tolist())
    assert len(refused) == sum(result.engine["quarantined"].values())
    for kind in (RecordType.INTENT, RecordType.DECISION):
        assert not refused & set(causes[kinds == kind].tolist())


def check_no_entry_while_blocked(result: Result, read: BarsResult, spliced: Spliced) -> None:
    """After five refusals in a row nothing is entered until 48 bars were clean."""
    rows = result.table("positions")
    sequences = [row["journal_sequence"] for row in rows]
    blocked = blocked_starts(read, spliced)
    for order in result.table("orders"):
        if order["decision_bar_start_ts_ns"] not in blocked:
            continue
        at = int(np.searchsorted(sequences, order["journal_sequence"])) - 1
        before = rows[at]["position_lots"]
        signed = order["quantity_lots"] * (1 if order["side"] == "buy" else -1)
        assert abs(before + signed) < abs(before), order


def blocked_starts(read: BarsResult, spliced: Spliced) -> set[int]:
    """Starts of accepted bars at whose close entries were still forbidden."""
    refused = {line for line, _ in read.quarantine}
    starts = iter(accepted_starts(read))
    in_a_row = missing = 0
    blocked = set()
    for line in range(2, spliced.clean_lines.stop):
        if line in refused:
            in_a_row += 1
            missing = CLEAN_BARS_NEEDED if in_a_row >= REFUSALS_IN_A_ROW else missing
            continue
        in_a_row = 0
        missing = max(0, missing - 1)
        start = next(starts)
        if missing:
            blocked.add(start)
    return blocked


def check_trading_again(result: Result, read: BarsResult, spliced: Spliced) -> None:
    """Ready and trading within 48 clean bars after the last refused row."""
    clean = [t for t in spliced.clean_start_ts_ns.tolist() if t in set(accepted_starts(read))]
    deadline = clean[CLEAN_BARS_NEEDED - 1]
    decided = {t for t in result.column("decisions", "bar_start_ts_ns") if t >= clean[0]}
    assert decided & set(clean[:CLEAN_BARS_NEEDED])
    assert decided >= set(clean[CLEAN_BARS_NEEDED:-1])
    orders = [
        row
        for row in result.table("orders")
        if row["reason"] == "decision" and clean[0] <= row["decision_bar_start_ts_ns"] <= deadline
    ]
    assert orders, "nothing was ordered within 48 clean bars"


def accepted_starts(read: BarsResult) -> list[Any]:
    return read.bars["start_ts_ns"].tolist()
