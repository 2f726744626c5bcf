"""Promise: January 2022 of BTC-PERP is traded over ZeroMQ by two processes, and every count,
fill and micro-unit that they leave agrees with what is recomputed outside.
"""

from collections import Counter
from pathlib import Path

import pytest

from ..independent_pnl import recompute_run
from ..kills import check_everything
from ..runs import Result, Tape, gm, real_file, records, trade
from ..tapes import write_config
from .claims import check_replay_is_byte_identical, check_tables

pytestmark = pytest.mark.data
SEED = 7
NOTIONAL_MAX = 8_400


@pytest.fixture(scope="module")
def tape() -> Tape:
    return Tape(real_file("btc_perp_1m_202201.csv"), "BTC-PERP", SEED)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The development limits but one: after the first days no reversal is worth 9,000."""
    tight = {"BTC-PERP": {"order_notional_max": NOTIONAL_MAX}}
    return write_config(tmp_path_factory.mktemp("config") / "tight.yaml", trading=tight)


@pytest.fixture(scope="module")
def month(tape: Tape, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return trade(tmp_path_factory.mktemp("btc") / "run", tape, "--driver", "inline", config=config)


def test_the_month_is_traded_on_both_sides_with_partial_fills_and_refusals(month: Result) -> None:
    assert 20 <= month.engine["round_trips"] <= 400
    sides = Counter(row["side"] for row in month.table("fills"))
    assert set(sides) == {"buy", "sell"}
    assert month.engine["partial_fills"] >= 1
    assert month.engine["venue_rejects"] >= 1
    assert month.engine["refusals"]["R06"] >= 1
    assert set(month.engine["refusals"]) == {"R06"}


def test_r06_refuses_reversals_above_what_the_limit_allows(month: Result) -> None:
    refusals = month.table("refusals")
    assert len(refusals) == month.engine["refusals"]["R06"]
    for row in refusals:
        assert row["code"] == "R06"
        assert row["quantity_lots"] == 2_000
        assert row["value"] > row["limit_value"] == NOTIONAL_MAX * 10**6
    orders = {row["order_id"] for row in month.table("orders")}
    assert not orders & {row["order_id"] for row in refusals}


def test_both_processes_printed_the_same_books(month: Result) -> None:
    assert month.venue["ended"] is True
    assert month.venue["orders"] == month.engine["orders"]
    assert month.venue["executions"] == month.engine["fills"]
    assert month.venue["rejected"] == month.engine["venue_rejects"]
    assert month.venue["position_lots"] == month.engine["position_lots"]
    assert month.venue["tombstones"] == 0
    counters = month.venue["counters"]
    assert counters["feed_events"] == 2 * (45_031 - 13) + 13 + 1  # OPEN, CLOSE, QUARANTINE, END
    assert counters["sessions"] == 1
    for fault in ("repeated_feed_frames", "repeated_reply_frames", "refused_sessions",
                  "lost_sessions", "foreign_messages", "order_gaps", "bad_frames"):  # fmt: skip
        assert counters[fault] == 0, fault


def test_tables_are_filled_and_agree_with_each_other(month: Result) -> None:
    check_tables(month)


def test_everything_holds_that_is_asked_of_a_killed_run(month: Result) -> None:
    check_everything(month)


def test_the_independent_profit_is_the_engines_to_the_last_micro_unit(month: Result) -> None:
    books = recompute_run(month.run_dir)["BTC-PERP"]
    found = {name: month.engine[name] for name in books._fields if name.endswith("_micros")}
    assert found == {name: getattr(books, name) for name in found}
    assert books.commission_micros > 0
    assert books.position_lots == month.engine["position_lots"]


def test_thirteen_closes_off_the_tick_are_reported(month: Result) -> None:
    assert month.engine["quarantined"] == {"off_grid": 13}
    rows = month.table("quarantine")
    assert [row["refused_by"] for row in rows] == ["reader"] * 13
    assert len({row["line"] for row in rows}) == 13


def test_replay_is_byte_identical(month: Result, tmp_path: Path) -> None:
    check_replay_is_byte_identical(month, tmp_path)


def test_replay_finds_a_changed_byte_of_a_decision(month: Result, tmp_path: Path) -> None:
    # The checks above must be able to fail: one bit of one record, in a copy.
    copy = tmp_path / "run"
    (copy / "journal").mkdir(parents=True)
    for name in ("settings.bin", "run.json", "journal.anchor"):
        (copy / name).write_bytes((month.run_dir / name).read_bytes())
    sequence = len(records(month.run_dir)) // 2
    for path in (month.run_dir / "journal").glob("segment-*.gmj"):
        data = bytearray(path.read_bytes())
        data[128 * sequence + 60] ^= 1
        (copy / "journal" / path.name).write_bytes(data)
    for command in ("verify", "replay"):
        code, printed, complaint = gm(command, "--run-dir", copy, "--json")
        assert code == 1, f"gm {command}: {printed}{complaint}"


def test_threaded_driver_and_a_second_run_send_the_same_orders(
    month: Result, tape: Tape, config: Path, tmp_path: Path
) -> None:
    threaded = trade(tmp_path / "run", tape, "--driver", "threaded", config=config)
    assert threaded.engine == month.engine
    assert threaded.ledger["executions"] == month.ledger["executions"]
    check_everything(threaded)
