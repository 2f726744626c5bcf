"""A day of trades or quotes in LEAN's form, line by line, and a reason for each line refused."""

import datetime as dt

import pytest
from hypothesis import given, strategies as st

from gm.layout import RecordType
from gm.readers.events import EVENT, refusals
from gm.readers.ibm import decode_ibm

TICK, LOT = 100_000, 10**9
MS = 10**6


def decode(text, is_quotes=False, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return decode_ibm(data, is_quotes, TICK, LOT, **options)


def said(events) -> list[tuple[int, ...]]:
    """Line, ms and the four values of what is no refusal."""
    return [
        (int(e["line"]), int(e["ts_ns"]) // MS, *(int(e[name]) for name in "abcd"))
        for e in events[events["type"] != RecordType.QUARANTINE]
    ]


def test_trades_are_milliseconds_price_and_size() -> None:
    events = decode("14430270,1815200,283,P,20002020,0\r\n\n14450472,1818000,500,D,1,0")
    assert set(events["type"]) == {RecordType.TRADE}
    assert said(events) == [(1, 14430270, 1815200, 283, 0, 0), (3, 14450472, 1818000, 500, 0, 0)]


def test_the_bid_and_then_the_ask_of_one_millisecond_are_one_quote() -> None:
    text = (
        "100,0,0,1836300,100,Q,1,0\n"  # an ask alone: no bid yet
        "200,1800100,300,0,0,P,1,0\n"  # with the next, one quote
        "200,0,0,1818000,3000,P,1,0\n"
        "300,1800200,100,0,0,P,1,0\n"  # a bid alone, then an ask later
        "301,0,0,1817000,200,P,1,0\n"
        "302,1800300,100,1816000,100,P,1,0\n"  # both in one line
        "303,1800400,100,0,0,P,1,0\n"  # the file ends behind a bid
    )
    assert said(decode(text, is_quotes=True)) == [
        (1, 100, 0, 1836300, 0, 100),
        (3, 200, 1800100, 1818000, 300, 3000),
        (4, 300, 1800200, 1818000, 100, 3000),
        (5, 301, 1800200, 1817000, 100, 200),
        (6, 302, 1800300, 1816000, 100, 100),
        (7, 303, 1800400, 1816000, 100, 100),
    ]


def test_a_price_without_a_size_takes_the_side_away() -> None:
    text = "1,100,5,200,5,P,1,0\n2,100,0,0,0,P,1,0\n2,0,0,300,5,P,1,0\n"
    assert said(decode(text, is_quotes=True)) == [
        (1, 1, 100, 200, 5, 5), (3, 2, 0, 300, 0, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,100,5,P,1", "malformed"),
        ("1,100,5,P,1,0,9", "malformed"),
        ("x,100,5,P,1,0", "malformed"),
        ("-1,100,5,P,1,0", "malformed"),
        ("86400000,100,5,P,1,0", "malformed"),
        ("1,1e2,5,P,1,0", "malformed"),
        ("1," + "9" * 19 + ",5,P,1,0", "malformed"),
        ("1,100,5,P,1,1", "suspicious"),
        ("1,100,5,P,1,", "malformed"),
        ("x" * 70_000, "line_too_long"),
    ],
)
def test_a_bad_line_is_refused_and_the_next_is_read(line, reason) -> None:
    events = decode(line + "\n2,100,5,P,1,0\n")
    assert refusals(events) == [(1, reason)]
    assert said(events) == [(2, 2, 100, 5, 0, 0)]


def test_a_quote_of_nothing_is_malformed_and_leaves_what_stands() -> None:
    events = decode("1,100,5,200,5,P,1,0\n2,0,0,0,0,P,1,0\n3,0,0,300,5,P,1,0\n", is_quotes=True)
    assert refusals(events) == [(2, "malformed")]
    assert said(events)[-1] == (3, 3, 100, 300, 5, 5)


def test_prices_off_the_instruments_tick_are_refused() -> None:
    events = decode_ibm(b"1,1815200,1,P,1,0\n2,1815250,1,P,1,0\n", False, 10**7, LOT)
    assert refusals(events) == [(2, "off_grid")]
    assert said(events) == [(1, 1, 18152, 1, 0, 0)]


def midnight(year, month, day) -> int:
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp()) * 10**9


def test_milliseconds_are_of_the_wall_clock_where_the_exchange_is() -> None:
    line = f"{9 * 3600 * 1000 + 30 * 60 * 1000},100,5,P,1,0\n"
    for day, utc in ((midnight(2013, 10, 7), "13:30"), (midnight(2013, 12, 2), "14:30")):
        events = decode(line, midnight_ns=day, zone="America/New_York")
        stamp = dt.datetime.fromtimestamp(int(events["ts_ns"][0]) // 10**9, dt.UTC)
        assert stamp.strftime("%H:%M") == utc


def test_an_hour_that_daylight_saving_leaves_out_is_refused() -> None:
    text = "".join(f"{hour * 3_600_000},100,5,P,1,0\n" for hour in (1, 2, 3))
    events = decode(text, midnight_ns=midnight(2024, 3, 10), zone="America/New_York")
    assert refusals(events) == [(2, "nonexistent_time")]
    assert [int(t) for t in events["ts_ns"][[0, 2]]] == [
        midnight(2024, 3, 10) + hour * 3_600 * 10**9 for hour in (6, 7)
    ]


def test_the_hour_that_comes_twice_goes_forward() -> None:
    text = "".join(f"{minutes * 60_000},100,5,P,1,0\n" for minutes in (60, 90, 60, 90, 120))
    events = decode(text, midnight_ns=midnight(2024, 11, 3), zone="America/New_York")
    first = midnight(2024, 11, 3) + 5 * 3_600 * 10**9
    assert [(int(t) - first) // (60 * 10**9) for t in events["ts_ns"]] == [0, 30, 60, 90, 120]


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise_and_every_line_is_said_or_refused(data, is_quotes) -> None:
    events = decode(data, is_quotes=is_quotes)
    assert events.dtype == EVENT
    assert (events["line"] <= data.count(b"\n") + 1).all()


@given(st.lists(st.text("0123456789,PQ\n.-", max_size=30), max_size=8), st.booleans(), st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(parts, is_quotes, data) -> None:
    whole = "\n".join(parts).encode()
    at = data.draw(st.integers(0, len(whole)))
    pieces = iter((whole[:at], whole[at:]))
    cut = decode_ibm(pieces, is_quotes, TICK, LOT)
    assert cut.tolist() == decode(whole, is_quotes=is_quotes).tolist()
