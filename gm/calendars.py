"""When an instrument trades and what time it is where it trades, as the tables of the core.

Sessions come from exchange_calendars, with what it leaves out: the daily pause of CME Globex and
the extended hours of US equities. Offsets come from the time zone database. Both are made for the
range asked for, past or future. pandas is loaded only when an exchange calendar is asked for.

Known to differ from other sources (tests/test_calendar_sources.py has the days by rule and
number): CMES is one calendar for all CME products. It closes at 13:00 New York where some products
stay until 13:15 or later, is shut on Good Friday and days of mourning, knows no early close on 19
June and 3 July, and has 13:00 where since 2022 currencies trade through holidays and crude oil
until 14:30.
"""

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.errors import BadArgument

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
TIME_MAX_NS = 2**62
NO_TIME = -(2**63)  # kNoTime of the core
# Tables are made for no more than the years 1950 to 2115.
RANGE_MIN_NS, RANGE_MAX_NS = -20 * 366 * DAY_NS, TIME_MAX_NS - 366 * DAY_NS
_NEW_YORK = "America/New_York"
# Room around the range asked for: the longest closure is shorter.
_MARGIN_NS = 10 * DAY_NS

Times = NDArray[np.int64]
Table = NDArray[np.void]


def session_table(instrument: InstrumentConfig | str, start_ts_ns: int, end_ts_ns: int) -> Table:
    """Make the sessions of an instrument that meet a range of time.

    Parameters
    ----------
    instrument : InstrumentConfig or str
        Its ``session`` decides: ``cme``, ``fx``, ``always`` or ``us_equities``.
    start_ts_ns, end_ts_ns : int, ns UTC
        The range, at most the years 1950 to 2115; sessions that reach into it are whole.

    Returns
    -------
    ndarray of layout.SESSION_INTERVAL, shape (n,)
        Ascending, not overlapping, n >= 1. ``day`` is the exchange's trading day in days since
        1970 (fx: the Monday of the week; always: 0).

    Raises
    ------
    BadArgument
        If the range is empty or outside these years.

    Source
    ------
    SPEC §1, Sessions; exchange_calendars CMES and XNYS.
    """
    config = _config(instrument)
    _check_range(start_ts_ns, end_ts_ns)
    opens, closes, days = _SESSIONS[config.session](
        start_ts_ns - _MARGIN_NS, end_ts_ns + _MARGIN_NS
    )
    keep = (closes > start_ts_ns) & (opens < end_ts_ns)
    if not keep.any():  # the range lies inside one closure: the session after it, or before it
        following = np.flatnonzero(opens >= end_ts_ns)
        keep[following[0] if len(following) else -1] = True
    table = np.zeros(int(keep.sum()), layout.SESSION_INTERVAL)
    table["open_ts_ns"] = opens[keep]
    table["close_ts_ns"] = closes[keep]
    table["day"] = days[keep]
    return table


def offset_table(instrument: InstrumentConfig | str, start_ts_ns: int, end_ts_ns: int) -> Table:
    """Make the changes of exchange-local time in a range.

    Parameters
    ----------
    instrument : InstrumentConfig or str
        Its ``exchange_zone`` decides.
    start_ts_ns, end_ts_ns : int, ns UTC
        The range, as for ``session_table``.

    Returns
    -------
    ndarray of layout.OFFSET_CHANGE, shape (n,)
        Local time is UTC + ``offset_ns`` from ``ts_ns`` on; the first row is the start of the
        range and also covers all time before it. n >= 1.

    Raises
    ------
    BadArgument
        If the range is empty or outside the years 1950 to 2115.

    Source
    ------
    SPEC §1, Sessions; IANA time zone database.
    """
    _check_range(start_ts_ns, end_ts_ns)
    starts, offsets = _offsets(_config(instrument).exchange_zone, start_ts_ns, end_ts_ns)
    table = np.zeros(len(starts), layout.OFFSET_CHANGE)
    table["ts_ns"] = starts
    table["offset_ns"] = offsets
    return table


def to_utc(local_ns: Times, zone: str) -> Times:
    """Turn wall-clock times of a zone into UTC, hours that come twice by their order.

    Parameters
    ----------
    local_ns : ndarray of int64, shape (n,), ns
        Wall-clock time as if it were UTC, in the order of the file; ``NO_TIME`` stays.
    zone : str
        IANA name.

    Returns
    -------
    ndarray of int64, shape (n,), ns UTC
        ``NO_TIME`` where daylight saving leaves the time out. Where it comes twice, the first
        one, unless the row before it has already reached that: then the second.

    Raises
    ------
    BadArgument
        If the zone is unknown.

    Source
    ------
    Ours; IANA time zone database.
    """
    known = local_ns != NO_TIME
    if zone == "UTC" or not known.any():
        return local_ns.copy()
    low, high = int(local_ns[known].min()) - 2 * DAY_NS, int(local_ns[known].max()) + 2 * DAY_NS
    starts, offsets = _offsets(zone, low, high)
    ends = starts[1:] + offsets[:-1]  # on the wall clock: when a stretch of one offset is over
    begins = starts[1:] + offsets[1:]  # and when the next begins
    first = np.searchsorted(ends, local_ns, side="right")
    second = np.searchsorted(begins, local_ns, side="right")
    utc = local_ns - offsets[first]
    utc[~known | (first > second)] = NO_TIME
    for at in np.flatnonzero(known & (second > first)):  # an hour of doubt a year
        before = at - 1
        while before >= 0 and utc[before] == NO_TIME:
            before -= 1
        if before >= 0 and utc[at] <= utc[before]:
            utc[at] = local_ns[at] - offsets[second[at]]
    return utc


def _config(instrument: InstrumentConfig | str) -> InstrumentConfig:
    return find_instrument(instrument) if isinstance(instrument, str) else instrument


def _check_range(start_ts_ns: int, end_ts_ns: int) -> None:
    if not RANGE_MIN_NS <= start_ts_ns < end_ts_ns <= RANGE_MAX_NS:
        raise BadArgument(
            f"range [{start_ts_ns}, {end_ts_ns}) ns is empty or outside "
            f"[{RANGE_MIN_NS}, {RANGE_MAX_NS}]"
        )


def _offset_at(zone: ZoneInfo, second: int) -> int:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(zone)
    offset = local.utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _offsets(zone: str, start_ns: int, end_ns: int) -> tuple[Times, Times]:
    """When offsets begin within a range, and what they are; the first begins with the range."""
    try:
        info = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise BadArgument(f"{zone!r} is not a time zone") from error
    low, end = start_ns // SECOND_NS, -(-end_ns // SECOND_NS)
    starts, offsets = [start_ns], [_offset_at(info, low)]
    step = 5 * 86_400  # no zone has ever changed twice within five days
    while low < end:
        high = min(low + step, end)
        changed = _offset_at(info, high)
        if changed != offsets[-1]:
            before, after = low, high
            while after - before > 1:
                middle = (before + after) // 2
                if _offset_at(info, middle) == offsets[-1]:
                    before = middle
                else:
                    after = middle
            starts.append(after * SECOND_NS)
            offsets.append(changed)
        low = high
    return np.array(starts, np.int64), np.array(offsets, np.int64) * SECOND_NS


def _exchange_days(name: str, start_ns: int, end_ns: int) -> tuple[Times, Times, Times]:
    """Opens and closes (ns UTC) and days since 1970 of an exchange calendar."""
    import exchange_calendars  # a second of pandas: only where a calendar is needed

    first, last = (datetime.fromtimestamp(t // SECOND_NS, UTC).date() for t in (start_ns, end_ns))
    with warnings.catch_warnings():  # of pandas 4, about its insides, which nobody here can mend
        warnings.simplefilter("ignore", DeprecationWarning)
        schedule: Any = exchange_calendars.get_calendar(
            name, start=first.isoformat(), end=last.isoformat()
        ).schedule
    opens, closes = (_to_ns(schedule[key]) for key in ("open", "close"))
    return opens, closes, _to_ns(schedule.index) // DAY_NS


def _to_ns(stamps: Any) -> Times:  # noqa: ANN401
    import pandas as pd

    return np.asarray(pd.DatetimeIndex(stamps).as_unit("ns").asi8)


def _local(ts_ns: Times, zone: str) -> Times:
    starts, offsets = _offsets(zone, int(ts_ns.min()) - DAY_NS, int(ts_ns.max()) + DAY_NS)
    shifted: Times = ts_ns + offsets[np.searchsorted(starts, ts_ns, side="right") - 1]
    return shifted


def _cme(start_ns: int, end_ns: int) -> tuple[Times, Times, Times]:
    # CMES runs from 18:00 to 18:00 New York; the last hour is the daily pause that it leaves out.
    opens, closes, days = _exchange_days("CMES", start_ns, end_ns)
    pause = _local(closes, _NEW_YORK) % DAY_NS > 17 * HOUR_NS
    return opens, np.where(pause, closes - HOUR_NS, closes), days


def _us_equities(start_ns: int, end_ns: int) -> tuple[Times, Times, Times]:
    # 04:00 to 20:00 on days of the New York Stock Exchange, to 17:00 when it closes early.
    _, closes, days = _exchange_days("XNYS", start_ns, end_ns)
    is_early = _local(closes, _NEW_YORK) % DAY_NS < 16 * HOUR_NS
    midnights = days * DAY_NS
    opens = to_utc(midnights + 4 * HOUR_NS, _NEW_YORK)
    return opens, to_utc(midnights + np.where(is_early, 17, 20) * HOUR_NS, _NEW_YORK), days


def _fx(start_ns: int, end_ns: int) -> tuple[Times, Times, Times]:
    # Sunday 17:00 to Friday 17:00 New York, every week. Day 4 since 1970 was a Monday.
    first = (start_ns // DAY_NS - 4) // 7 * 7 + 4
    mondays = np.arange(first, end_ns // DAY_NS + 8, 7, dtype=np.int64)
    opens = to_utc((mondays - 1) * DAY_NS + 17 * HOUR_NS, _NEW_YORK)
    return opens, to_utc((mondays + 4) * DAY_NS + 17 * HOUR_NS, _NEW_YORK), mondays


def _always(_start_ns: int, _end_ns: int) -> tuple[Times, Times, Times]:
    return tuple(np.array([value], np.int64) for value in (-TIME_MAX_NS, TIME_MAX_NS, 0))  # type: ignore[return-value]


_SESSIONS: Mapping[str, Callable[[int, int], tuple[Times, Times, Times]]] = MappingProxyType(
    {"cme": _cme, "us_equities": _us_equities, "fx": _fx, "always": _always}
)
