"""Recorded Binance messages become trades, quotes and a book that is followed, or is gapped."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from gm._native.market import OrderBook
from gm.calendars import NO_TIME
from gm.layout import BookResetReason, RecordType
from gm.readers.binance import decode_binance
from gm.readers.events import EVENT, refusals, to_tape

TICK, LOT = 100_000_000, 1_000_000
NS = 1_723_161_255_030_314_667
T = 1_723_161_256_298


def line(message, ns=NS, stream="btcusdt@x") -> str:
    body = message if stream is None else {"stream": stream, "data": message}
    return f"{ns} {json.dumps(body, separators=(',', ':'))}\n"


def depth(first, last, before, bids=(), asks=(), **fields) -> str:
    return line(
        {"e": "depthUpdate", "E": T, "T": T, "s": "BTCUSDT", "U": first, "u": last, "pu": before,
         "b": bids, "a": asks} | fields
    )  # fmt: skip


def snapshot(last, bids, asks) -> str:
    return line({"lastUpdateId": last, "E": T, "T": T, "bids": bids, "asks": asks}, stream=None)


def ticker(update, bid="100.0", ask="100.1", **fields) -> str:
    return line(
        {"e": "bookTicker", "u": update, "s": "BTCUSDT", "b": bid, "B": "2.5", "a": ask,
         "A": "0.004", "T": T, "E": T} | fields
    )  # fmt: skip


def trade(price="100.1", **fields) -> str:
    return line(
        {"e": "trade", "E": T, "T": T, "s": "BTCUSDT", "t": 1, "p": price, "q": "0.006",
         "X": "MARKET", "m": True} | fields
    )  # fmt: skip


def decode(*lines):
    return decode_binance("".join(lines).encode(), "BTCUSDT", TICK, LOT)


def kinds(events) -> list[str]:
    return [RecordType(int(kind)).name for kind in events["type"]]


def book_of(events) -> tuple[str, list[tuple[int, int]], list[tuple[int, int]]]:
    book = OrderBook()
    book.apply(to_tape(events))
    return book.state, book.levels(False).tolist(), book.levels(True).tolist()


def test_trades_and_quotes_are_read_with_both_stamps() -> None:
    events = decode(trade(), trade(m=False), ticker(5))
    assert kinds(events) == ["TRADE", "TRADE", "QUOTE"]
    assert set(events["ts_ns"].tolist()) == {T * 10**6}
    assert set(events["received_ts_ns"].tolist()) == {NS}
    # m: the buyer was resting, so the seller came for him.
    assert [e.tolist()[4:] for e in events] == [
        (1_001, 6, 1, 0), (1_001, 6, 0, 0), (1_000, 1_001, 2_500, 4),
    ]  # fmt: skip


def test_bare_messages_are_read_and_other_kinds_left_out() -> None:
    bare = {"e": "trade", "E": T, "T": T, "s": "BTCUSDT", "p": "1.0", "q": "1", "m": True}
    mark = {"e": "markPriceUpdate", "E": T, "s": "BTCUSDT", "p": "1.0"}
    assert kinds(decode(line(bare, stream=None), line(mark), trade(X="INSURANCE_FUND"))) == [
        "TRADE"
    ]


def test_an_empty_side_of_a_quote_is_none() -> None:
    events = decode(ticker(1, bid="0", B="0"))
    assert events[0].tolist()[4:] == (0, 1_001, 0, 4)


def test_changes_are_held_for_the_snapshot_that_they_belong_to() -> None:
    events = decode(
        depth(90, 99, 89, [["99.0", "1"]]),  # in the snapshot already
        depth(100, 110, 99, [["99.5", "2"]]),  # spans its id: the first to be applied
        depth(111, 120, 110, [], [["101.0", "0"]]),
        snapshot(105, [["99.0", "1"], ["98.0", "3"]], [["101.0", "4"], ["102.0", "5"]]),
        depth(121, 130, 120, [["98.0", "0"]], [["100.5", "6"]]),
    )
    resets = events[events["type"] == RecordType.BOOK_RESET]
    assert resets["c"].tolist() == [BookResetReason.GAP, BookResetReason.SNAPSHOT]
    assert resets["line"].tolist() == [1, 4]
    assert resets["ts_ns"].tolist()[0] == NO_TIME
    assert refusals(events) == []
    assert book_of(events) == (
        "whole",
        [(995, 2_000), (990, 1_000)],
        [(1_005, 6_000), (1_020, 5_000)],
    )
    assert events["line"][-2:].tolist() == [5, 5]
    assert events["d"][-2:].tolist() == [0, 1]


def test_a_change_that_does_not_continue_the_last_is_a_gap_until_a_snapshot() -> None:
    start = (
        snapshot(10, [["99.0", "1"]], [["101.0", "1"]]),
        depth(11, 20, 10, [["99.1", "1"]]),
    )
    lost = depth(31, 40, 30, [["99.2", "1"]])
    events = decode(*start, lost, depth(41, 50, 40, [["99.3", "1"]]))
    gap = events[-1]
    assert (gap["type"], gap["c"]) == (RecordType.BOOK_RESET, BookResetReason.GAP)
    assert (gap["a"], gap["b"], gap["line"]) == (20, 30, 3)
    assert book_of(events)[0] == "gapped"
    # The snapshot closes it, with the changes that came behind the hole.
    again = decode(*start, lost, depth(41, 50, 40, [["99.3", "1"]]),
                   snapshot(35, [["99.2", "7"]], [["101.0", "1"]]))  # fmt: skip
    assert book_of(again) == ("whole", [(993, 1_000), (992, 1_000)], [(1_010, 1_000)])
    assert again["line"][-2:].tolist() == [3, 4]


def test_a_hole_behind_the_snapshot_is_a_gap_too() -> None:
    events = decode(
        depth(31, 40, 30, [["99.2", "1"]]), snapshot(10, [["99.0", "1"]], [["101.0", "1"]])
    )
    assert kinds(events) == [
        "BOOK_RESET", "BOOK_RESET", "BOOK_LEVEL", "BOOK_LEVEL", "BOOK_RESET",
    ]  # fmt: skip
    assert book_of(events)[0] == "gapped"


def test_an_older_snapshot_of_a_book_that_is_known_changes_nothing() -> None:
    start = (snapshot(10, [["99.0", "1"]], [["101.0", "1"]]), depth(11, 20, 10, [["99.1", "1"]]))
    assert decode(*start, snapshot(15, [], [])).tolist() == decode(*start).tolist()
    newer = decode(
        *start,
        snapshot(25, [["98.0", "1"]], [["99.0", "1"]]),
        depth(21, 24, 20, [["99.2", "1"]]),
        depth(25, 30, 24, [["98.1", "1"]]),
    )
    assert book_of(newer) == ("whole", [(981, 1_000), (980, 1_000)], [(990, 1_000)])


def test_a_refused_change_is_a_hole() -> None:
    events = decode(
        snapshot(10, [["99.0", "1"]], [["101.0", "1"]]),
        depth(11, 20, 10, [["99.15", "1"]]),
        depth(21, 30, 20, [["99.3", "1"]]),
    )
    assert refusals(events) == [(2, "off_grid")]
    assert kinds(events)[-2:] == ["BOOK_RESET", "QUARANTINE"]
    assert book_of(events)[0] == "gapped"


def test_a_change_without_levels_continues() -> None:
    events = decode(
        snapshot(10, [["99.0", "1"]], [["101.0", "1"]]),
        depth(11, 20, 10),
        depth(21, 30, 20, [["99.3", "1"]]),
    )
    assert book_of(events)[:2] == ("whole", [(993, 1_000), (990, 1_000)])


def test_no_more_changes_are_held_than_can_be() -> None:
    held = [depth(at, at, at - 1, [["99.0", str(at)]]) for at in range(1, 2_001)]
    late = decode(*held, snapshot(1_500, [["99.0", "1"]], []))
    assert book_of(late) == ("whole", [(990, 2_000_000)], [])
    # Of those that an older snapshot needs, the first are gone.
    assert book_of(decode(*held, snapshot(500, [["99.0", "1"]], [])))[0] == "gapped"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x {}\n", "malformed"),
        ("{}\n", "malformed"),
        (f"{NS}\n", "malformed"),
        (f"{NS} {{}}\n", "malformed"),
        (f"{NS} []\n", "malformed"),
        (f"{NS} {{\n", "malformed"),
        (f"{NS} {'[' * 60_000}\n", "malformed"),
        (f'{NS} {{"x":{"[" * 60_000}\n', "malformed"),
        (f"{NS} \ufffe\n", "malformed"),
        (f"{'9' * 19} {{}}\n", "overflow"),
        (f"{'9' * 20} {{}}\n", "malformed"),
        (line({"e": "trade"}, ns="y"), "malformed"),
        (trade(s="ETHUSDT"), "unknown_symbol"),
        (trade(price="100.15"), "off_grid"),
        (trade(price="nan"), "not_finite"),
        (trade(price="9" * 30), "overflow"),
        (trade(q=None), "malformed"),
        (trade(T=None, E=None), "malformed"),
        (trade(T=-1), "malformed"),
        (trade(T=2**62), "overflow"),
        (trade(T=2**80), "overflow"),
        (trade(p=7), "malformed"),
        (ticker(None), "malformed"),
        (ticker(-1), "malformed"),
        (ticker(1, bid=None), "malformed"),
        (depth(1, 2, None), "malformed"),
        (depth(3, 2, 1), "contradiction"),
        (depth(1, 2, 3), "contradiction"),
        (depth(1, 2, 0, [["1.0"]]), "malformed"),
        (depth(1, 2, 0, b=None), "malformed"),
        (line({"lastUpdateId": 5, "bids": []}, stream=None), "malformed"),
        ("x" * 70_000 + "\n", "line_too_long"),
    ],
)
def test_a_bad_line_is_refused_and_the_next_is_read(text, reason) -> None:
    events = decode(text, trade())
    assert refusals(events) == [(1, reason)]
    assert kinds(events)[-1] == "TRADE"


def test_quotes_that_go_back_are_refused() -> None:
    assert refusals(decode(ticker(5), ticker(4), ticker(5))) == [(2, "backward_time")]


def test_a_publisher_that_counts_anew_is_believed_if_it_is_later() -> None:
    restarted = decode(ticker(900), ticker(5, T=T + 1), ticker(4, T=T + 1), ticker(6, T=T + 2))
    assert refusals(restarted) == [(3, "backward_time")]
    assert kinds(restarted) == ["QUOTE", "QUOTE", "QUARANTINE", "QUOTE"]


def later_snapshot(last, bids, asks, **stamps) -> str:
    return line({"lastUpdateId": last, "bids": bids, "asks": asks} | stamps, stream=None)


def test_a_snapshot_of_a_lower_id_is_taken_if_the_publisher_counts_anew() -> None:
    start = (snapshot(900, [["99.0", "1"]], [["101.0", "1"]]), depth(901, 920, 900))
    full = ([["98.0", "2"]], [["102.0", "3"]])
    anew = (
        later_snapshot(5, *full, T=T + 7),
        depth(6, 8, 5, [["98.5", "4"]], T=T + 8),
    )
    book = ("whole", [(985, 4_000), (980, 2_000)], [(1_020, 3_000)])
    assert book_of(decode(*start, *anew)) == book
    # The changes before the snapshot are of the new count too, and those held before are not.
    early = (depth(1, 4, 0, T=T + 5), depth(5, 5, 4, T=T + 6))
    assert book_of(decode(*start, *early, *anew)) == book
    held = (depth(910, 920, 909, [["97.0", "1"]]), *early, *anew)
    assert book_of(decode(*held)) == book
    # Only the stamp of the book says so: that of the answer is always later.
    assert decode(*start, later_snapshot(5, *full, E=T + 7)).tolist() == decode(*start).tolist()
    assert decode(*start, later_snapshot(5, *full, T=T)).tolist() == decode(*start).tolist()


@given(st.binary(max_size=300))
def test_no_bytes_raise(data) -> None:
    assert decode_binance(data, "BTCUSDT", TICK, LOT).dtype == EVENT
    assert decode_binance(b"%d " % NS + data, "BTCUSDT", TICK, LOT).dtype == EVENT


LEVELS = st.lists(st.tuples(st.integers(980, 1_020), st.integers(0, 3)), max_size=4)
STEPS = st.lists(
    st.tuples(LEVELS, st.sampled_from(["said"] * 6 + ["lost", "snapshot"])), max_size=40
)


def texts(levels, is_ask) -> list[tuple[str, str]]:
    return [
        (f"{price / 10:.1f}", f"{lots / 1_000:.3f}")
        for price, lots in levels
        if (price > 1_000) == is_ask
    ]


@settings(max_examples=200)
@given(STEPS)
def test_a_whole_book_is_that_of_the_exchange_when_it_last_spoke(steps) -> None:
    truth: dict[int, int] = {}
    spoken: dict[int, int] = {}
    lines, update, must_be_whole = [], 1, False
    for levels, fate in steps:
        before, update = update, update + 2
        truth |= dict(levels)
        if fate == "lost":
            must_be_whole = False
            continue
        if fate == "snapshot":  # and the change that it holds is lost
            must_be_whole = True
            full = [level for level in truth.items() if level[1] > 0]
            lines.append(snapshot(update, texts(full, False), texts(full, True)))
        else:
            sides = texts(levels, False), texts(levels, True)
            lines.append(depth(before + 1, update, before, *sides))
        spoken = dict(truth)
    state, bids, asks = book_of(decode(*lines))
    if must_be_whole and any(spoken.values()):
        assert state == "whole"
    if state == "whole":
        assert dict(bids + asks) == {price: lots for price, lots in spoken.items() if lots > 0}
