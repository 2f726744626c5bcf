"""Promise: the journal is in the database, exactly, once, in whole batches or not at all."""

import json
import sqlite3

import numpy as np
import pytest

from gm import layout
from gm.layout import (
    Action,
    EntryVote,
    OrderReason,
    OrderState,
    OrderType,
    QuarantineReason,
    RecordType,
    RejectReason,
    Side,
)
from gm.store import recorder as recorder_module
from gm.store.recorder import Recorder, wide_cost, word

from .journals import journal_of, make_records

SYMBOLS = ("BTC-PERP", "NQ")
ID = (7, 3, 9)


@pytest.fixture
def recorder(tmp_path):
    made = Recorder(tmp_path / "gm.db", SYMBOLS)
    yield made
    made.close()


def rows(tmp_path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(tmp_path / "gm.db") as database:
        found = database.execute(query).fetchall()
    database.close()
    return found


INTENT = (RecordType.INTENT, {
    "id": ID, "decision_bar_start_ts_ns": 1800, "price_ticks": 0, "quantity_lots": 2000,
    "instrument": 0, "side": Side.SELL, "type": OrderType.MARKET, "reason": OrderReason.DECISION,
})  # fmt: skip
FILL = (RecordType.FILL, {
    "id": ID, "execution_id": 41, "price_ticks": -3, "quantity_lots": 1500, "leaves_lots": 500,
    "commission_micros": -25, "instrument": 0, "side": Side.SELL,
})  # fmt: skip
UPDATE = (RecordType.ORDER_UPDATE, {
    "id": ID, "filled_lots": 1500, "leaves_lots": 500, "quantity_lots": 2000,
    "state": OrderState.PARTIAL, "reject_reason": RejectReason.NONE,
})  # fmt: skip


def test_an_order_and_its_fill_stand_in_the_tables_as_they_stood_in_the_journal(
    tmp_path, recorder
) -> None:
    recorder.write(journal_of(INTENT, FILL, UPDATE, ts_ns=500))
    assert rows(tmp_path, "SELECT * FROM orders") == [
        ("7-3-9", 1, 500, 1800, "BTC-PERP", "sell", "market", "decision", 0, 2000, 1500, "partial",
         "none", 0, 502)
    ]  # fmt: skip
    assert rows(tmp_path, "SELECT * FROM fills") == [
        (41, "7-3-9", "BTC-PERP", "sell", -3, 1500, -25, 501, 2)
    ]
    assert recorder.cursor == 3


def test_an_order_that_ends_as_never_is_marked_with_its_tombstone(tmp_path, recorder) -> None:
    ended = {"id": ID, "state": OrderState.NEVER, "tombstoned": 1, "reject_reason": 2}
    recorder.write(journal_of(INTENT, (RecordType.ORDER_UPDATE, ended)))
    assert rows(tmp_path, "SELECT state, tombstoned, reject_reason FROM orders") == [
        ("never", 1, "old_epoch")
    ]


def test_a_decision_keeps_every_digit_that_the_record_has(tmp_path, recorder) -> None:
    votes = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]], np.float32)
    decision = {
        "bar_start_ts_ns": 2**62, "instrument": 1, "action": Action.SHORT, "acts": 1, "agents": 5,
        "agent_probability": votes, "probability": votes[0],
    }  # fmt: skip
    recorder.write(journal_of((RecordType.DECISION, decision)))
    [row] = rows(tmp_path, "SELECT * FROM decisions")
    assert row[2:6] == (2**62, "NQ", "short", 1)
    assert np.array_equal(np.array(row[6:9], np.float32), votes[0])
    assert row[9] == 5
    assert np.array_equal(np.array(json.loads(row[10]), np.float32), votes)


def test_a_tactical_decision_stands_in_its_table_as_it_stood_in_the_journal(
    tmp_path, recorder
) -> None:
    votes = np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.3, 0.6]], np.float32)
    decision = {
        "bar_start_ts_ns": 2**60, "instrument": 1, "model": 4, "direction": 1, "standing": -1,
        "fvg": Action.LONG, "momentum": Action.NEUTRAL, "entry": EntryVote.AGGRESSIVE,
        "agents": 7, "synergy_type": 3, "enters": 0, "score": 0.75, "agent_probability": votes,
    }  # fmt: skip
    recorder.write(journal_of((RecordType.TACTICAL_DECISION, decision), ts_ns=500))
    [row] = rows(tmp_path, "SELECT * FROM tactical_decisions")
    assert row[:-1] == (
        1, 500, 2**60, "NQ", 4, 0, 1, -1, 0.75, "long", "neutral", "aggressive", 3, 7,
    )  # fmt: skip
    assert np.array_equal(np.array(json.loads(row[-1]), np.float32), votes)


def test_a_synergy_stands_in_its_table_as_it_stood_in_the_journal(tmp_path, recorder) -> None:
    synergy = {
        "ts_ns": 2**61, "close_ticks": -37, "confidence": 0.25, "strength": (0.5, 0.125, 0.125),
        "age_s": (1800, 0, 300), "volatility_30": -0.75, "atr_ticks": 12.5, "instrument": 1,
        "type": 2, "direction": -1,
    }  # fmt: skip
    recorder.write(journal_of((RecordType.SYNERGY, synergy), ts_ns=500))
    assert rows(tmp_path, "SELECT * FROM synergies") == [
        (1, 500, 2**61, "NQ", 2, -1, 0.25, 0.5, 0.125, 0.125, 1800, 0, 300, -37, -0.75, 12.5)
    ]


def test_a_cost_of_128_bits_below_zero_is_exact(tmp_path, recorder) -> None:
    cost = -(10**30) - 7
    position = {
        "position_lots": -1000, "cost_low": (cost & (2**64 - 1)) - 2**64 * (cost >> 63 & 1),
        "cost_high": cost >> 64, "realised_micros": -(2**63), "unrealised_micros": 2**63 - 1,
        "commission_micros": 5, "round_trips": 8, "instrument": 1,
    }  # fmt: skip
    recorder.write(journal_of((RecordType.POSITION, position)))
    assert rows(tmp_path, "SELECT * FROM positions") == [
        (1, 0, "NQ", -1000, str(cost), -(2**63), 2**63 - 1, 5, 8)
    ]


def test_accepted_books_stand_beside_what_they_changed(tmp_path, recorder) -> None:
    cash = -(10**30)
    adjusted = {
        "position_lots": -2, "cash_micros_low": cash & (2**64 - 1), "cash_micros_high": cash >> 64,
        "commission_micros": 5, "adjusted_micros_low": 2**64 - 7, "adjusted_micros_high": -1,
        "instrument": 1,
    }  # fmt: skip
    accepted = {"break_sha256": [7] * 32, "signatures_sha256": [9] * 32}
    recorder.write(
        journal_of((RecordType.BOOKS_ACCEPTED, accepted), (RecordType.BOOKS_ADJUSTED, adjusted))
    )
    assert rows(tmp_path, "SELECT * FROM book_acceptances") == [(1, 0, "07" * 32, "09" * 32)]
    assert rows(tmp_path, "SELECT * FROM book_adjustments") == [
        (2, 1, "NQ", -2, str(cash), 5, "-7")
    ]


@pytest.mark.parametrize("cost", [0, 1, -1, 2**63, -(2**63) - 1, 2**127 - 1, -(2**127)])
def test_both_halves_of_a_cost_join_again(cost: int) -> None:
    low = np.array([cost & (2**64 - 1)], np.uint64).view(np.int64)[0]
    record = np.zeros(1, layout.POSITION_UPDATE)
    record["cost_low"], record["cost_high"] = low, cost >> 64
    assert wide_cost(record[0]) == cost


def test_refusals_of_gate_reader_and_engine_are_told_apart(tmp_path, recorder) -> None:
    refusal = {
        "id": ID, "decision_bar_start_ts_ns": 1800, "quantity_lots": 2000, "price_ticks": 45000,
        "value": 2**63 - 1, "limit": 9 * 10**9, "mask": 0b100000, "instrument": 0,
        "side": Side.BUY, "code": 6,
    }  # fmt: skip
    recorder.write(
        journal_of(
            (RecordType.REFUSAL, refusal),
            (RecordType.QUARANTINE, {"line": 17, "instrument": 0, "reason": 10}),
            (RecordType.BAR_QUARANTINED, {"start_ts_ns": 600, "instrument": 1, "reason": 5}),
        )
    )
    assert rows(tmp_path, "SELECT code, mask, value, limit_value FROM refusals") == [
        ("R06", 32, 2**63 - 1, 9 * 10**9)
    ]
    assert rows(tmp_path, "SELECT * FROM quarantine ORDER BY 1") == [
        (2, 1, "BTC-PERP", "reader", 17, None, "jump_band"),
        (3, 2, "NQ", "engine", None, 600, "contradiction"),
    ]


def test_the_same_records_again_change_nothing(tmp_path, recorder) -> None:
    slots = journal_of(INTENT, FILL)
    recorder.write(slots)
    before = rows(tmp_path, "SELECT * FROM orders") + rows(tmp_path, "SELECT * FROM fills")
    recorder.write(slots)
    after = rows(tmp_path, "SELECT * FROM orders") + rows(tmp_path, "SELECT * FROM fills")
    assert after == before
    assert recorder.cursor == 2


def test_a_batch_is_taken_in_whole_or_not_at_all(tmp_path, recorder, monkeypatch) -> None:
    recorder.write(journal_of(INTENT))

    def fail(_record: object) -> str:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(recorder_module, "order_id", fail)
    more = journal_of((RecordType.DECISION, {}), FILL, first=2)
    with pytest.raises(sqlite3.OperationalError, match="disk full"):
        recorder.write(more)
    assert recorder.cursor == 1
    assert rows(tmp_path, "SELECT count(*) FROM decisions") == [(0,)]
    monkeypatch.undo()
    recorder.write(more)
    assert recorder.cursor == 3
    assert rows(tmp_path, "SELECT count(*) FROM fills") == [(1,)]


def test_a_row_that_breaks_a_rule_of_the_table_is_not_dropped_in_silence(recorder) -> None:
    nan = np.full(3, np.nan, np.float32)  # SQLite stores it as NULL
    with pytest.raises(sqlite3.IntegrityError):
        recorder.write(journal_of((RecordType.DECISION, {"probability": nan})))
    assert recorder.cursor == 0


def test_the_cursor_is_there_after_a_new_start(tmp_path) -> None:
    first = Recorder(tmp_path / "gm.db", SYMBOLS)
    assert first.cursor == 0
    first.write(make_records(1, 40))
    first.close()
    again = Recorder(tmp_path / "gm.db", SYMBOLS)
    assert again.cursor == 40
    again.close()


def test_no_records_are_no_transaction(recorder) -> None:
    recorder.write(make_records(1, 0))
    assert recorder.cursor == 0


def test_a_database_that_was_deleted_is_an_error_and_not_a_silence(tmp_path, recorder) -> None:
    (tmp_path / "gm.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(sqlite3.OperationalError, match=r"gm\.db: No such file"):
        recorder.write(journal_of(INTENT))
    (tmp_path / "gm.db").touch()
    with pytest.raises(sqlite3.OperationalError, match="replaced by another file"):
        recorder.write(journal_of(INTENT))


def test_a_locked_database_is_an_error_and_takes_the_same_batch_later(
    tmp_path, recorder, monkeypatch
) -> None:
    other = sqlite3.connect(tmp_path / "gm.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        recorder.write(journal_of(INTENT))
    other.execute("ROLLBACK")
    other.close()
    recorder.write(journal_of(INTENT))
    assert recorder.cursor == 1


def test_a_file_that_is_no_database_is_refused(tmp_path) -> None:
    (tmp_path / "gm.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        Recorder(tmp_path / "gm.db", SYMBOLS)


def test_what_a_peer_sends_beyond_all_names_and_ranges_is_written_down_all_the_same(
    tmp_path, recorder
) -> None:
    """The venue is another process: its numbers must not stop the recorder."""
    hostile_fill = FILL[1] | {"execution_id": 2**64 - 1, "instrument": 0xFFFFFFFF}
    recorder.write(
        journal_of(
            (RecordType.FILL, hostile_fill),
            (RecordType.QUARANTINE, {"line": 2**64 - 1, "instrument": 9, "reason": 999}),
        )
    )
    assert rows(tmp_path, "SELECT execution_id, instrument FROM fills") == [(-1, "#4294967295")]
    assert rows(tmp_path, "SELECT line, instrument, reason FROM quarantine") == [(-1, "#9", "#999")]


def test_a_number_without_a_name_stays_a_number() -> None:
    assert word(QuarantineReason, 10) == "jump_band"
    assert word(QuarantineReason, 4096) == "#4096"
