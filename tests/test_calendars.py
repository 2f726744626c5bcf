"""Sessions and offsets are those of the exchange, in any year, on both sides of a clock change."""

import collections
import datetime as dt
import subprocess
import sys
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gm import layout
from gm.calendars import DAY_NS, HOUR_NS, NO_TIME, offset_table, session_table, to_utc
from gm.errors import BadArgument, UnknownInstrument

NEW_YORK = ZoneInfo("America/New_York")


def ns(text: str) -> int:
    """Nanoseconds of an ISO stamp; UTC unless it says otherwise."""
    stamp = dt.datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=dt.UTC)
    return int(stamp.timestamp()) * 10**9


def new_york(ts_ns) -> str:
    return dt.datetime.fromtimestamp(int(ts_ns) // 10**9, NEW_YORK).strftime("%a %d %H:%M")


def spans(symbol: str, start: str, end: str) -> list[str]:
    table = session_table(symbol, ns(start), ns(end))
    assert table.dtype == layout.SESSION_INTERVAL
    return [f"{new_york(row['open_ts_ns'])} - {new_york(row['close_ts_ns'])}" for row in table]


def test_cme_opens_at_18_and_pauses_from_17_to_18() -> None:
    assert spans("NQ", "2024-03-06T12:00", "2024-03-08T12:00") == [
        "Tue 05 18:00 - Wed 06 17:00",
        "Wed 06 18:00 - Thu 07 17:00",
        "Thu 07 18:00 - Fri 08 17:00",
    ]


def test_cme_keeps_new_york_time_when_the_clocks_change_both_ways() -> None:
    spring = session_table("NQ", ns("2024-03-08"), ns("2024-03-12"))
    assert [new_york(t) for t in spring["open_ts_ns"]] == [
        "Thu 07 18:00", "Sun 10 18:00", "Mon 11 18:00",
    ]  # fmt: skip
    assert spring["open_ts_ns"][0] == ns("2024-03-07T23:00")
    assert spring["open_ts_ns"][1] == ns("2024-03-10T22:00")
    autumn = session_table("NQ", ns("2024-11-01"), ns("2024-11-05"))
    assert autumn["close_ts_ns"][0] == ns("2024-11-01T21:00")
    assert autumn["close_ts_ns"][1] == ns("2024-11-04T22:00")


def test_cme_has_no_christmas_and_closes_early_on_thanksgiving() -> None:
    assert spans("NQ", "2023-12-22T12:00", "2023-12-26T12:00") == [
        "Thu 21 18:00 - Fri 22 17:00",
        "Mon 25 18:00 - Tue 26 17:00",
    ]
    assert spans("NQ", "2023-11-23T12:00", "2023-11-23T23:30")[0] == "Wed 22 18:00 - Thu 23 13:00"


def test_fx_trades_the_week_through() -> None:
    assert spans("GBPUSD", "2024-03-05", "2024-03-12") == [
        "Sun 03 17:00 - Fri 08 17:00",
        "Sun 10 17:00 - Fri 15 17:00",
    ]


def test_us_equities_trade_from_4_to_20_and_to_17_on_half_days() -> None:
    assert spans("IBM", "2013-11-27T12:00", "2013-12-02T12:00") == [
        "Wed 27 04:00 - Wed 27 20:00",
        "Fri 29 04:00 - Fri 29 17:00",
        "Mon 02 04:00 - Mon 02 20:00",
    ]


def test_crypto_never_closes() -> None:
    table = session_table("BTC-PERP", ns("2022-01-01"), ns("2022-02-01"))
    assert len(table) == 1
    assert table["open_ts_ns"][0] < ns("1970-01-01")
    assert table["close_ts_ns"][0] > ns("2100-01-01")


@pytest.mark.parametrize("year", [1999, 2013, 2020, 2026, 2031, 2045])
def test_any_year_has_its_trading_days(year) -> None:
    for symbol, days in (("NQ", (250, 262)), ("IBM", (248, 256)), ("GBPUSD", (52, 54))):
        table = session_table(symbol, ns(f"{year}-01-01"), ns(f"{year + 1}-01-01"))
        assert days[0] <= len(table) <= days[1]
        assert (table["open_ts_ns"] < table["close_ts_ns"]).all()
        assert (table["close_ts_ns"][:-1] <= table["open_ts_ns"][1:]).all()
        assert (np.diff(table["day"]) > 0).all()


def test_a_range_inside_a_closure_still_has_a_session() -> None:
    saturday = ns("2024-03-09T12:00"), ns("2024-03-09T13:00")
    for symbol in ("NQ", "IBM", "GBPUSD"):
        assert len(session_table(symbol, *saturday)) == 1
        assert session_table(symbol, *saturday)["open_ts_ns"][0] > saturday[1]


def test_offsets_follow_the_zone_of_the_exchange() -> None:
    table = offset_table("NQ", ns("2024-01-01"), ns("2025-01-01"))
    assert table.dtype == layout.OFFSET_CHANGE
    assert table["ts_ns"].tolist() == [
        ns("2024-01-01"), ns("2024-03-10T07:00"), ns("2024-11-03T06:00"),
    ]  # fmt: skip
    assert (table["offset_ns"] // HOUR_NS).tolist() == [-5, -4, -5]
    assert offset_table("BTC-PERP", 0, 1)["offset_ns"].tolist() == [0]


def test_a_range_that_is_none_is_refused() -> None:
    for start, end in ((5, 5), (5, 4), (-(2**62), 0), (0, 2**62)):
        with pytest.raises(BadArgument, match="range"):
            session_table("NQ", start, end)
    with pytest.raises(UnknownInstrument, match="'XX' is not one of NQ, ES"):
        session_table("XX", 0, 1)


def test_wall_clock_times_agree_with_zoneinfo_for_years() -> None:
    random = np.random.default_rng(1)
    for zone in ("America/New_York", "Europe/Athens", "Australia/Lord_Howe", "Asia/Kathmandu"):
        utc = np.sort(random.integers(ns("2010-01-01"), ns("2030-01-01"), 4000)) // 10**9 * 10**9
        info = ZoneInfo(zone)
        offsets = [
            dt.datetime.fromtimestamp(int(t) // 10**9, info).utcoffset().total_seconds()
            for t in utc
        ]
        local = utc + np.array(offsets, np.int64) * 10**9
        # Within the doubled hour, order alone decides; far apart in time it is the first one.
        got = to_utc(local, zone)
        assert ((got == utc) | (np.abs(got - utc) <= HOUR_NS)).all()
        assert (got != utc).mean() < 0.001


def test_the_hour_that_comes_twice_is_told_by_the_order_of_rows() -> None:
    minutes = [30, 60, 90, 60, 90, 120]
    local = np.array([ns("2024-11-03") + m * 60 * 10**9 for m in minutes], np.int64)
    utc = to_utc(local, "America/New_York")
    assert np.diff(utc).tolist() == [1800 * 10**9] * 5
    assert utc[1] == ns("2024-11-03T05:00")


def test_the_hour_that_never_comes_is_no_time() -> None:
    local = np.array([ns("2024-03-10T01:30"), ns("2024-03-10T02:00"), ns("2024-03-10T02:59"),
                      ns("2024-03-10T03:00"), NO_TIME], np.int64)  # fmt: skip
    utc = to_utc(local, "America/New_York")
    assert utc.tolist() == [
        ns("2024-03-10T06:30"), NO_TIME, NO_TIME, ns("2024-03-10T07:00"), NO_TIME,
    ]  # fmt: skip


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadArgument, match="'Mars/Olympus' is not a time zone"):
        to_utc(np.zeros(1, np.int64), "Mars/Olympus")
    with pytest.raises(BadArgument, match="not a time zone"):
        to_utc(np.zeros(1, np.int64), "../../etc/passwd")


def test_pandas_is_not_loaded_before_an_exchange_calendar_is_asked_for() -> None:
    code = (
        "import sys, gm.calendars, gm.readers as r\n"
        "gm.calendars.session_table('BTC-PERP', 0, 1)\n"
        "assert 'pandas' not in sys.modules and 'exchange_calendars' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("symbol", ["NQ", "IBM", "GBPUSD"])
@pytest.mark.parametrize("year", [2007, 2024, 2038, 2060, 2113])
def test_sessions_keep_the_wall_clock_of_new_york_through_both_changes_of_a_year(
    symbol, year
) -> None:
    table = session_table(symbol, ns(f"{year}-01-02"), ns(f"{year}-12-30"))
    opens = collections.Counter(new_york(t)[-5:] for t in table["open_ts_ns"])
    assert set(opens) == {{"NQ": "18:00", "IBM": "04:00", "GBPUSD": "17:00"}[symbol]}
    closes = {new_york(t)[-5:] for t in table["close_ts_ns"]}
    assert closes <= {"13:00", "17:00", "20:00"}
    hours = {
        (int(row["close_ts_ns"]) - int(row["open_ts_ns"])) // HOUR_NS
        for row in table
        if new_york(row["close_ts_ns"])[-5:] != "13:00"
    }
    if symbol == "GBPUSD":  # the only session that a change lies in: the others begin after it
        assert hours == {120}
    offsets = offset_table(symbol, ns(f"{year}-01-02"), ns(f"{year}-12-30"))
    assert (offsets["offset_ns"] // HOUR_NS).tolist() == [-5, -4, -5]
    assert np.diff(offsets["ts_ns"]).min() > 60 * DAY_NS


def test_seconds_past_2038_and_the_end_of_the_tables_are_known_or_refused() -> None:
    wrap = 2**31 * 10**9  # 2038-01-19 03:14:08, where 32 bits of seconds end
    assert spans("NQ", "2038-01-18T12:00", "2038-01-19T12:00") == [
        "Sun 17 18:00 - Mon 18 13:00", "Mon 18 18:00 - Tue 19 17:00",
    ]  # fmt: skip
    table = session_table("BTCUSDT", wrap - 1, wrap + 1)
    assert table["open_ts_ns"][0] < wrap < table["close_ts_ns"][0]
    local = np.array([wrap - 5 * HOUR_NS], np.int64)
    assert to_utc(local, "America/New_York").tolist() == [wrap]
    with pytest.raises(BadArgument, match="range"):  # 2262: beyond 63 bits of nanoseconds
        session_table("NQ", ns("2024-01-01"), 2**63 - 1)
    with pytest.raises(BadArgument, match="range"):
        offset_table("NQ", 2**63 - 2, 2**63 - 1)
