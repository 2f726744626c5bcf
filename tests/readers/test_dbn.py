"""Orders of a DBN file become levels and trades; what cannot be costs the book until a snapshot."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from gm._native.market import OrderBook
from gm.layout import BookResetReason, RecordType
from gm.readers.dbn import decode_dbn, symbols_of_dbn
from gm.readers.events import EVENT, refusals, to_tape

TICK, LOT = 250_000_000, 10**9
T = 1_703_541_600_180_087_113
LAST, SNAPSHOT, BAD = 128, 32, 4
PRICE = 4_800 * 10**9  # 19,200 ticks


def mbo(action, order=1, price=PRICE, size=1, side="B", flags=LAST, ts=T, recv=None, instrument=7):
    return struct.pack(
        "<BBHIQQqIBBccQiI", 14, 0xA0, 1, instrument, ts, order, price, size, flags, 0,
        action.encode(), side.encode(), ts + 5_000 if recv is None else recv, 0, 0,
    )  # fmt: skip


def file_of(*records, version=1, metadata=b"\0" * 40) -> bytes:
    return b"DBN" + struct.pack("<BI", version, len(metadata)) + metadata + b"".join(records)


def decode(*records, **options):
    return decode_dbn(file_of(*records, **options), TICK, LOT)


def book_of(events) -> tuple[str, list[tuple[int, int]], list[tuple[int, int]]]:
    book = OrderBook()
    book.apply(to_tape(events))
    return book.state, book.levels(False).tolist(), book.levels(True).tolist()


def kinds(events) -> list[str]:
    return [RecordType(int(kind)).name for kind in events["type"]]


CLEAR = mbo("R", order=0, price=2**63 - 1, size=0, side="N")
TICK_E9 = 250_000_000


def test_orders_at_a_price_are_summed_and_an_event_says_each_level_once() -> None:
    events = decode(
        CLEAR,
        mbo("A", 1, size=3, flags=0),
        mbo("A", 2, size=4, flags=0),
        mbo("A", 3, PRICE + TICK_E9, 2, "A"),
        mbo("C", 1, size=1),
        mbo("M", 2, PRICE - TICK_E9, 6),
        mbo("C", 3, PRICE + TICK_E9, 2, "A"),
    )
    assert [e.tolist()[4:] for e in events[1:]] == [
        (19_200, 7, 0, 0), (19_201, 2, 1, 1),
        (19_200, 6, 0, 1),
        (19_200, 2, 0, 0), (19_199, 6, 0, 1),
        (19_201, 0, 1, 1),
    ]  # fmt: skip
    assert events["line"].tolist() == [1, 4, 4, 5, 6, 6, 7]
    assert book_of(events) == ("whole", [(19_200, 2), (19_199, 6)], [])
    assert refusals(events) == []


def test_trades_are_said_and_fills_of_resting_orders_change_nothing() -> None:
    events = decode(
        CLEAR,
        mbo("A", 1, size=3),
        mbo("T", 0, size=2, side="A", flags=0),
        mbo("F", 1, size=2, flags=0),
        mbo("C", 1, size=2),
        mbo("T", 0, size=1, side="N"),
    )
    trades = events[events["type"] == RecordType.TRADE]
    assert [e.tolist()[2:] for e in trades] == [
        (T, T + 5_000, 19_200, 2, 1, 0), (T, T + 5_000, 19_200, 1, 0, 0),
    ]  # fmt: skip
    assert book_of(events)[1] == [(19_200, 1)]


def test_a_snapshot_is_of_when_it_was_sent_and_ends_with_the_first_other_record() -> None:
    old = T - 10**13
    events = decode(
        mbo("A", 1, size=3, flags=SNAPSHOT | 8, ts=old, recv=T),
        mbo("A", 2, PRICE + TICK_E9, 5, "A", flags=SNAPSHOT | 8, ts=old, recv=T),
        mbo("A", 3, size=1, ts=T + 10),
    )
    assert kinds(events) == ["BOOK_RESET", "BOOK_LEVEL", "BOOK_LEVEL", "BOOK_LEVEL"]
    assert events["c"][0] == BookResetReason.SNAPSHOT
    assert events["ts_ns"].tolist() == [T, T, T, T + 10]
    assert events["d"].tolist() == [0, 0, 1, 1]
    assert book_of(events) == ("whole", [(19_200, 4)], [(19_201, 5)])
    alone = decode(mbo("A", 1, size=3, flags=SNAPSHOT, ts=old, recv=T))
    assert book_of(alone) == ("whole", [(19_200, 3)], [])


def test_a_book_that_was_never_whole_is_gapped() -> None:
    events = decode(mbo("A", 1), mbo("C", 1), mbo("T", 0))
    assert kinds(events) == ["BOOK_RESET", "TRADE"]
    assert book_of(events)[0] == "gapped"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (mbo("C", 9), "contradiction"),
        (mbo("C", 1, size=4), "contradiction"),
        (mbo("A", 1), "contradiction"),
        (mbo("A", 2, PRICE + 1), "off_grid"),
        (mbo("A", 2, 2**63 - 1), "not_finite"),
        (mbo("A", 2, side="N"), "malformed"),
        (mbo("X", 2), "malformed"),
    ],
)
def test_what_cannot_be_costs_the_book_until_a_snapshot(record, reason) -> None:
    start = (CLEAR, mbo("A", 1, size=3))
    events = decode(*start, record, mbo("A", 5))
    assert refusals(events) == [(3, reason)]
    assert book_of(events)[0] == "gapped"
    assert book_of(decode(*start, record, CLEAR, mbo("A", 5)))[:2] == ("whole", [(19_200, 1)])


def test_a_record_that_the_publisher_doubts_is_a_gap() -> None:
    events = decode(CLEAR, mbo("A", 1), mbo("A", 2, flags=LAST | BAD), mbo("A", 3))
    assert kinds(events) == ["BOOK_RESET", "BOOK_LEVEL", "BOOK_RESET"]
    assert events["c"].tolist()[2] == BookResetReason.GAP


def test_trades_and_foreign_records_that_are_refused_leave_the_book() -> None:
    events = decode(
        CLEAR, mbo("A", 1), mbo("T", 0, PRICE + 1), mbo("A", 2, instrument=8),
        mbo("A", 3, ts=2**63, recv=T), mbo("A", 4),
    )  # fmt: skip
    assert refusals(events) == [(3, "off_grid"), (4, "unknown_symbol"), (5, "overflow")]
    assert book_of(events)[0] == "whole"


def test_records_of_other_kinds_are_left_out() -> None:
    system = struct.pack("<BBHIQ", 4, 0x17, 1, 0, T)
    longer = bytes([16]) + mbo("A", 1)[1:] + b"\0" * 8  # with the time of sending behind it
    events = decode(system, CLEAR, longer, system, version=3)
    assert book_of(events)[:2] == ("whole", [(19_200, 1)])
    assert events["line"].tolist() == [2, 3]
    short = bytes([8]) + mbo("A", 2)[1:32]
    assert refusals(decode(CLEAR, short, mbo("A", 3))) == [(2, "malformed")]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"DBN", 1),
        (b"XBN" + file_of(CLEAR)[3:], 1),
        (file_of(CLEAR, version=9), 1),
        (file_of(CLEAR)[:20], 1),
        (file_of(CLEAR)[:-1], 1),
        (file_of(CLEAR, mbo("A", 1))[:-20], 2),
        (file_of(CLEAR, b"\0" * 56, mbo("A", 1)), 2),
        (file_of(CLEAR, b"\1" * 56), 2),
    ],
)
def test_a_file_that_stops_being_one_is_refused_from_there(data, line) -> None:
    assert refusals(decode_dbn(data, TICK, LOT)) == [(line, "malformed")]


RECORDS = st.lists(
    st.builds(
        lambda action, order, level, size, flags: mbo(
            action, order, PRICE + level * TICK_E9, size, "B" if level < 5 else "A", flags
        ),
        st.sampled_from("AAACMTFR"), st.integers(1, 8), st.integers(0, 9), st.integers(0, 3),
        st.sampled_from([LAST, LAST, 0, SNAPSHOT]),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=200)
@given(RECORDS, st.lists(st.integers(0, 2_500), max_size=5))
def test_any_cut_of_the_bytes_gives_the_same_events(records, cuts) -> None:
    whole = file_of(*records)
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[a:b] for a, b in pairwise(ends)]
    assert decode_dbn(pieces, TICK, LOT).tolist() == decode_dbn(whole, TICK, LOT).tolist()


@given(st.binary(max_size=300))
def test_no_bytes_raise(data) -> None:
    assert decode_dbn(data, TICK, LOT).dtype == EVENT
    assert decode_dbn(file_of(CLEAR, data), TICK, LOT).dtype == EVENT
    assert decode_dbn(file_of(CLEAR, b"\x0e\xa0" + data), TICK, LOT).dtype == EVENT
    for version in (1, 2):
        assert isinstance(symbols_of_dbn(file_of(version=version, metadata=data)), list)
        stretched = data[:44] + bytes(60) + data[44:]
        assert isinstance(symbols_of_dbn(file_of(version=version, metadata=stretched)), list)
