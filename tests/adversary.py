"""The test adapter for hostile bar files: prices to the tick, spliced into a market that trades.

As the README of the sample data says: finite prices are rounded to the tick (High up, Low down,
Open and Close nearest), and the file lies between 400 clean warm-up bars and 100 clean bars at its
own price level, so that the engine is ready and holds a position when the attack begins.
"""

import csv
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gm.calendars import session_table, to_utc

from .tapes import DRIFT, trending_prices

INSTRUMENT, ZONE, TICK = "NQ", "Europe/Athens", Fraction(1, 4)
WARM_UP_BARS, CLEAN_BARS = 400, 100
BAR = np.timedelta64(30, "m")
PRICES = ("Open", "High", "Low", "Close")


class Spliced(NamedTuple):
    """A file that was written, and where its parts are. Lines count from 1, the header's."""

    path: Path
    attack_lines: range
    clean_lines: range
    attack_start_ts_ns: int
    clean_start_ts_ns: np.ndarray


def splice(source: Path, path: Path, weeks: int = 0) -> Spliced:
    """Put a hostile file between clean bars. `weeks` moves its stamps, which begin on a holiday."""
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = nominal_start(rows) + np.timedelta64(7 * weeks, "D")
    level = price_level(rows)
    before = slots_before(first, WARM_UP_BARS)
    after = slots_after(first + BAR * (len(rows) + 4), CLEAN_BARS)
    warm = warm_up_prices()
    clean = trending_prices(CLEAN_BARS, 1.0, legs=CLEAN_BARS, seed=2, drift=DRIFT)
    lines = ["Date,Open,High,Low,Close,Volume"]
    lines += clean_lines(before, warm / warm[-1] * level)
    attack_from = len(lines) + 1
    lines += [hostile_line(row, weeks) for row in rows]
    clean_from = len(lines) + 1
    lines += clean_lines(after, clean * level)
    path.write_text("\n".join(lines) + "\n")
    return Spliced(
        path,
        range(attack_from, clean_from),
        range(clean_from, len(lines) + 1),
        int(utc_ns(np.array([first]))[0]),
        utc_ns(after),
    )


def warm_up_prices() -> np.ndarray:
    """Short legs, whose crosses MLMI needs to be ready; then long ones, the last of them up.

    So the matrix is ready for half of the warm-up, and a position is held at its end.
    """
    trend_bars = 125
    short = trending_prices(WARM_UP_BARS - trend_bars, 1.0, legs=5)
    long = trending_prices(trend_bars, short[-1], legs=25, seed=3)
    return np.concatenate([short, long[1:]])


def nominal_start(rows: list[dict[str, str]]) -> Any:
    """The earliest stamp of the month in which most of the file lies."""
    stamps = np.array([row["Date"] for row in rows], "M8[s]")
    months, counts = np.unique(stamps.astype("M8[M]"), return_counts=True)
    return stamps[stamps.astype("M8[M]") == months[np.argmax(counts)]].min()


def price_level(rows: list[dict[str, str]]) -> float:
    """The first price that an index could have."""
    values = (number(row[name]) for row in rows for name in PRICES)
    return next(value for value in values if 1_000 < value < 100_000)


def number(text: str) -> float:
    return float(text) if text else math.nan


def hostile_line(row: dict[str, str], weeks: int) -> str:
    stamp = np.datetime64(row["Date"], "s") + np.timedelta64(7 * weeks, "D")
    prices = [to_tick(row[name], name) for name in PRICES]
    return ",".join([str(stamp).replace("T", " "), *prices, row["Volume"]])


def to_tick(text: str, name: str) -> str:
    """A finite price on the grid, as exact decimal text; anything else as it was."""
    if not math.isfinite(number(text)):
        return text
    ticks = Fraction(number(text)) / TICK
    if name == "High":
        whole = math.ceil(ticks)
    elif name == "Low":
        whole = math.floor(ticks)
    else:
        whole = math.floor(ticks + Fraction(1, 2))
    sign, cents = ("-" if whole < 0 else ""), abs(whole) * 25
    return f"{sign}{cents // 100}.{cents % 100:02d}"


def clean_lines(stamps: np.ndarray, prices: np.ndarray) -> list[str]:
    ticks = np.rint(prices * 4).astype(np.int64)
    lines = []
    for i, stamp in enumerate(stamps):
        first, last = int(ticks[i]), int(ticks[i + 1])
        values = (first, max(first, last) + 3, min(first, last) - 2, last)
        shown = ",".join(str(Decimal(value) / 4) for value in values)
        lines.append(f"{str(stamp).replace('T', ' ')},{shown},{100 + i % 7}")
    return lines


def utc_ns(stamps: np.ndarray) -> np.ndarray:
    return to_utc(stamps.astype("M8[ns]").astype(np.int64), ZONE)


def slots_before(stamp: Any, count: int) -> np.ndarray:
    """The last wall times before a moment at which a bar inside a session begins."""
    return in_session(stamp - BAR * np.arange(1, 4 * count + 1)[::-1])[-count:]


def slots_after(stamp: Any, count: int) -> np.ndarray:
    """The first wall times from a moment on at which a bar inside a session begins."""
    return in_session(stamp + BAR * np.arange(4 * count))[:count]


def in_session(stamps: np.ndarray) -> np.ndarray:
    starts = utc_ns(stamps)
    sessions = session_table(INSTRUMENT, int(starts[0]), int(starts[-1]) + 1)
    at = np.searchsorted(sessions["open_ts_ns"], starts, side="right") - 1
    return stamps[(at >= 0) & (starts < sessions["close_ts_ns"][at])]
