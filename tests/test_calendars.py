"""Sessions and offsets are those of the exchange, in any year, on both sides of a clock change."""

import datetime as dt
import subprocess
import sys
import warnings
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
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


def other_calendar(name: str, start: str, end: str, **options: str):
    import pandas_market_calendars

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pandas_market_calendars.get_calendar(name).schedule(start, end, **options)


def as_rows(opens, closes) -> dict[int, tuple[int, int]]:
    """Sessions by the New York date of their close."""
    stamps = (pd.DatetimeIndex(times).as_unit("ns").asi8 for times in (opens, closes))
    return {
        dt.datetime.fromtimestamp(int(close) // 10**9, NEW_YORK).toordinal(): (int(o), int(close))
        for o, close in zip(*stamps, strict=True)
    }


DAYS_OF_MOURNING = {"2018-12-05", "2025-01-09"}


def test_cme_agrees_with_pandas_market_calendars_but_for_named_days() -> None:
    start, end = "2016-01-01", "2026-06-30"
    other = other_calendar("CME Globex Equity", start, end)
    theirs = as_rows(other["market_open"], other["market_close"])
    table = session_table("NQ", ns(start), ns(end))
    ours = as_rows(pd.to_datetime(table["open_ts_ns"]), pd.to_datetime(table["close_ts_ns"]))
    kinds: dict[str, int] = {}
    for day in sorted(theirs.keys() | ours.keys()):
        if ours.get(day) == theirs.get(day) or ns(start) // DAY_NS > day - 719_163:
            continue
        date = dt.date.fromordinal(day)
        kind = kind_of_difference(date, ours.get(day), theirs.get(day))
        assert kind, f"{date}: {ours.get(day)} but {theirs.get(day)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    assert set(kinds) <= {"shut", "quarter past one", "no early close"}
    assert sum(kinds.values()) < 60


def kind_of_difference(date: dt.date, ours, theirs) -> str:
    if ours is None:  # Good Friday and days of mourning: a morning of trading, or none
        is_good_friday = date.weekday() == 4 and date.month in (3, 4)
        return "shut" if is_good_friday or date.isoformat() in DAYS_OF_MOURNING else ""
    if theirs is None or ours[0] != theirs[0]:
        return ""
    closes = tuple(new_york(row[1])[-5:] for row in (ours, theirs))
    if closes == ("13:00", "13:15"):
        return "quarter past one"
    is_summer = (date.month, date.day) in {(6, 19), (6, 20), (6, 18), (7, 3)}
    return "no early close" if closes[0] == "17:00" and is_summer else ""


def test_us_equity_days_agree_with_pandas_market_calendars() -> None:
    start, end = "2012-06-01", "2026-06-30"
    other = other_calendar("NYSE", start, end)
    table = session_table("SPY", ns(start), ns(end) + DAY_NS)
    theirs = {day.toordinal() - 719_163 for day in other.index}
    ours = set(table["day"].tolist())
    assert theirs == ours
    half_days = {
        int(day.toordinal() - 719_163)
        for day, close in zip(other.index, other["market_close"], strict=True)
        if close.tz_convert("America/New_York").hour < 16
    }
    ends = {int(row["day"]): new_york(row["close_ts_ns"])[-5:] for row in table}
    assert {d for d, end_ in ends.items() if end_ == "17:00"} == half_days
    assert set(ends.values()) == {"17:00", "20:00"}
