"""Promise: the sessions are those of pandas_market_calendars, an independent source, over decades,
but for days that are named here by rule and by number.

CMES is one calendar for all products of CME, and shorter than some of them on their holidays: what
trades then is out of session here, which permits no entry and feeds no indicator.
"""

import collections
import datetime as dt
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pandas_market_calendars
import pytest

from gm.calendars import DAY_NS, session_table

from .test_calendars import new_york, ns

Session = tuple[int, int]

# Good Fridays on which the other source has a morning, or for which it has no rule, and days of
# mourning.
SHUT = {
    "2004-06-11", "2007-01-02", "2010-04-02", "2012-04-06", "2015-04-03", "2018-12-05",
    "2021-04-02", "2023-04-07", "2024-03-29", "2025-01-09", "2025-04-18", "2026-04-03",
    "2027-03-26", "2028-04-14", "2029-03-30", "2030-04-19",
}  # fmt: skip


def theirs(name: str, start: str, end: str) -> dict[int, Session]:
    """Sessions by the New York date of their close."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = pandas_market_calendars.get_calendar(name).schedule(start, end)
    opens, closes = (
        pd.DatetimeIndex(schedule[key]).as_unit("ns").asi8
        for key in ("market_open", "market_close")
    )
    return by_day(opens, closes)


def ours(symbol: str, start: str, end: str) -> dict[int, Session]:
    table = session_table(symbol, ns(start), ns(end))
    return by_day(table["open_ts_ns"], table["close_ts_ns"])


def by_day(opens, closes) -> dict[int, Session]:
    days = (dt.date.fromisoformat(str(np.datetime64(int(c) - 5 * 3_600 * 10**9, "ns"))[:10])
            for c in closes)  # fmt: skip
    return {
        day.toordinal(): (int(open_), int(close))
        for day, open_, close in zip(days, opens, closes, strict=True)
    }


def nth(date: dt.date, weekday: int, number: int) -> bool:
    """Is it the month's n-th such weekday? Negative: from the end."""
    if date.weekday() != weekday:
        return False
    if number > 0:
        return (date.day - 1) // 7 == number - 1
    return (date + dt.timedelta(7)).month != date.month


def is_holiday(date: dt.date) -> bool:
    """Martin Luther King, Presidents, Memorial, Independence, Labor, Thanksgiving."""
    return (
        (date.month == 1 and nth(date, 0, 3))
        or (date.month == 2 and nth(date, 0, 3))
        or (date.month == 5 and nth(date, 0, -1))
        or (date.month == 7 and date.day in (3, 4, 5))
        or (date.month == 9 and nth(date, 0, 1))
        or is_thanksgiving(date)
    )


def is_thanksgiving(date: dt.date) -> bool:
    return date.month == 11 and nth(date, 3, 4)


def is_day_after(date: dt.date) -> bool:
    return is_thanksgiving(date - dt.timedelta(1))


def is_christmas_eve(date: dt.date) -> bool:
    return (date.month, date.day) == (12, 24)


def is_juneteenth(date: dt.date) -> bool:
    return date.month == 6 and date.day in (18, 19, 20)


def is_shut(date: dt.date) -> bool:
    return date.isoformat() in SHUT


# How ours and theirs close, on which days that may be, and how many there are.
Known = dict[str, tuple[Callable[[dt.date], bool], int]]
EQUITY: Known = {
    "no session / one": (is_shut, 16),
    # Until 2014 equity products stopped with the floor's morning on holidays.
    "13:00 / 11:30": (lambda day: day.year <= 2014 and is_holiday(day), 86),
    "13:00 / 13:15": (lambda day: is_day_after(day) or is_christmas_eve(day), 49),
    "17:00 / 13:15": (lambda day: (day.month, day.day) == (7, 3), 19),
    "17:00 / 13:00": (is_juneteenth, 9),
}
CURRENCY: Known = {
    "no session / one": (is_shut, 7),
    "13:00 / 13:15": (lambda day: is_day_after(day) or is_christmas_eve(day), 15),
    # Since 2022 currencies trade through holidays.
    "13:00 / 17:00": (lambda day: day.year >= 2022 and is_holiday(day), 27),
}
CRUDE: Known = {
    "no session / one": (is_shut, 2),
    "13:00 / 13:45": (is_day_after, 10),
    "13:00 / 17:00": (is_christmas_eve, 5),
    "13:00 / 14:30": (lambda day: day.year >= 2022 and is_holiday(day), 23),
    "17:00 / 14:30": (is_juneteenth, 4),
    "17:00 / 13:00": (is_juneteenth, 1),
}


def describe(mine: Session | None, other: Session | None) -> str:
    if mine is None or other is None:
        return "no session / one" if mine is None else "one / no session"
    if mine[0] != other[0]:
        return f"opens {new_york(mine[0])} / {new_york(other[0])}"
    return " / ".join(new_york(session[1])[-5:] for session in (mine, other))


@pytest.mark.parametrize(
    ("symbol", "name", "start", "end", "known", "days"),
    [
        ("NQ", "CME Globex Equity", "2000-01-01", "2030-12-31", EQUITY, 7_832),
        ("6E", "CMEGlobex_FX", "2016-01-01", "2026-06-30", CURRENCY, 2_663),
        ("CL", "CMEGlobex_CL", "2016-01-01", "2026-06-30", CRUDE, 2_662),
    ],
)
def test_cme_sessions_are_those_of_the_other_source_but_for_named_days(
    symbol, name, start, end, known, days
) -> None:
    mine, other = ours(symbol, start, end), theirs(name, start, end)
    found: collections.Counter[str] = collections.Counter()
    for day in sorted(mine.keys() | other.keys()):
        if mine.get(day) == other.get(day):
            found["same"] += 1
            continue
        date, kind = dt.date.fromordinal(day), describe(mine.get(day), other.get(day))
        assert kind in known, f"{date}: {kind}"
        assert known[kind][0](date), f"{date}: {kind}"
        found[kind] += 1
    assert found.pop("same") == days
    assert found == {kind: count for kind, (_, count) in known.items()}


def test_days_of_us_equities_are_those_of_the_other_source() -> None:
    start, end = "2000-01-01", "2030-12-31"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = pandas_market_calendars.get_calendar("NYSE").schedule(start, end)
    table = session_table("SPY", ns(start), ns(end) + DAY_NS)
    assert table["day"].tolist() == [day.toordinal() - 719_163 for day in schedule.index]
    closes = schedule["market_close"].dt.tz_convert("America/New_York")
    # Not 2005-06-01, when failing systems ended the day four minutes early.
    is_early = (closes.dt.hour < 15).to_numpy()
    assert is_early.sum() > 60
    ends = [new_york(t)[-5:] for t in table["close_ts_ns"]]
    assert ends == ["17:00" if early else "20:00" for early in is_early]
    assert {new_york(t)[-5:] for t in table["open_ts_ns"]} == {"04:00"}
