"""A market made of seeded trends and noise, for demonstrations. No evidence of anything.

Integers only, drawn from PCG64: the same seed gives the same bars on every machine.
"""

import contextlib
import re
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gm.calendars import session_table
from gm.config.instruments import InstrumentConfig
from gm.readers import BAR

BAR_MINUTES = 5
START_NS = 1_704_067_200_000_000_000  # 2024-01-01
FIRST_PRICE_TICKS = 40_000
LOWEST_PRICE_TICKS = 4_000
# A column of this name in a file of bars says that they are no market's.
COLUMN = "Synthetic"
_HEAD_BYTES = 4096

_BAR_NS = BAR_MINUTES * 60 * 1_000_000_000
_STEPS = 12  # price moves inside a bar
_STEP_PPB = 300_000  # of the price, one standard deviation in calm noise
_REGIME_BARS = (96, 480)  # a regime lasts eight hours to two days
# Drift of a step in thousandths of its deviation: one of these, equally likely.
_DRIFTS = np.array([40, 28, 28, 0, 0, 0, -28, -28, -40])
_TURBULENCE_PERMILLE = np.array([700, 1000, 1000, 1500])

Rows = NDArray[np.void]
Numbers = NDArray[np.int64]


def synthetic_session(instrument: InstrumentConfig, seed: int, bars: int) -> Rows:
    """Make 5-minute bars that trend, turn and idle.

    Parameters
    ----------
    instrument : InstrumentConfig
        Its sessions say which bars exist.
    seed : int
        At least 0.
    bars : int
        How many, at least 1.

    Returns
    -------
    ndarray of gm.readers.BAR, shape (bars,)
        From 2024-01-01 on, prices near 40,000 ticks.

    Raises
    ------
    ValueError
        If seed or bars is out of range.

    Source
    ------
    Ours: a random walk in steps whose drift and width change at random times.
    """
    if seed < 0 or not 1 <= bars <= 10_000_000:
        raise ValueError(f"seed must be at least 0 and bars 1 to 10,000,000: {seed}, {bars}")
    random = np.random.Generator(np.random.PCG64(seed))
    steps = _steps(random, bars)
    session = np.zeros(bars, BAR)
    session["start_ts_ns"] = _starts(instrument, bars)
    path = _walk(steps)
    session["open_ticks"] = path[:, 0]
    session["high_ticks"] = path.max(axis=1)
    session["low_ticks"] = path.min(axis=1)
    session["close_ticks"] = path[:, -1]
    travelled = np.abs(np.diff(path, axis=1)).sum(axis=1)
    session["volume_lots"] = (50 + travelled) * random.integers(20, 60, bars)
    return session


def says_synthetic(path: Path) -> bool:
    """Whether the header of a file of bars has the column ``Synthetic``.

    Parameters
    ----------
    path : Path
        CSV, plain or gzip; any other file says nothing.

    Returns
    -------
    bool
        False is no proof of a market: most files do not say.

    Raises
    ------
    OSError
        If there is no such file.

    Source
    ------
    Ours.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        with contextlib.suppress(zlib.error):
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
    header = head.decode("utf-8-sig", "replace").lstrip(" \t\r\n").partition("\n")[0]
    names = {name.strip(' "\r').lower() for name in re.split("[,;\t]", header)}
    return COLUMN.lower() in names


def _steps(random: np.random.Generator, bars: int) -> Numbers:
    """Relative moves, shape (bars, _STEPS), parts per 1e9 of the price."""
    # Twelve uniform draws add up to a bell of deviation one, here in thousandths.
    noise = random.integers(-500, 501, (bars, _STEPS, 12)).sum(axis=2)
    drift = np.zeros(bars, np.int64)
    width = np.zeros(bars, np.int64)
    at = 0
    while at < bars:
        until = at + int(random.integers(*_REGIME_BARS))
        drift[at:until] = _DRIFTS[random.integers(len(_DRIFTS))]
        width[at:until] = _TURBULENCE_PERMILLE[random.integers(len(_TURBULENCE_PERMILLE))]
        at = until
    # Trends do not widen with turbulence: a calm trend is a clear one.
    steps: Numbers = (noise * width[:, None] // 1000 + drift[:, None]) * (_STEP_PPB // 1000)
    return steps


def _walk(steps: Numbers) -> Numbers:
    """Prices in ticks: the open and the price after each step, shape (bars, 1 + _STEPS)."""
    path = np.empty((len(steps), steps.shape[1] + 1), np.int64)
    price = FIRST_PRICE_TICKS * 1_000_000  # in millionths of a tick
    sums = np.cumsum(steps, axis=1)
    for bar, moves in enumerate(sums):
        path[bar, 0] = price
        path[bar, 1:] = price + price // 1000 * moves // 1_000_000
        price = max(int(path[bar, -1]), LOWEST_PRICE_TICKS * 1_000_000)
    return path // 1_000_000


def _starts(instrument: InstrumentConfig, bars: int) -> Numbers:
    """Starts of the first bars that lie whole inside a session."""
    span = bars
    while True:
        span = span * 2 + 12 * 24 * 7
        starts = START_NS + np.arange(span, dtype=np.int64) * _BAR_NS
        sessions = session_table(instrument, START_NS, int(starts[-1]) + _BAR_NS)
        at = np.searchsorted(sessions["open_ts_ns"], starts, side="right") - 1
        is_inside = (at >= 0) & (starts + _BAR_NS <= sessions["close_ts_ns"][at])
        if np.count_nonzero(is_inside) >= bars:
            return starts[is_inside][:bars]
