"""Slow, plain NumPy versions of the native features. They exist only to check the core.

Written from SPEC §2 and §3, one function an indicator or column, whole arrays in and out. NaN says
"not defined yet" inside this file; the matrices hold 0 there, as SPEC demands. Prices may be ticks
or money: every value built so far is free of scale.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROWS = 48
COLUMNS = 13
DAY_NS = 86_400_000_000_000
SYNTHETIC, NO_VOLUME, OUT_OF_SESSION = 1, 2, 4
POSITIVE_BARS = 51  # momentum 50 needs 51 closes


def heiken_ashi(open_: Floats, high: Floats, low: Floats, close: Floats) -> tuple[Floats, Floats]:
    """Averaged open and close, recursive from the first bar.

    Parameters
    ----------
    open_, high, low, close : shape (n,)
        Ordinary candles.

    Returns
    -------
    tuple of shape (n,)
        Heiken Ashi open and close.

    Source
    ------
    SPEC §2, Heiken Ashi.
    """
    ha_close = (open_ + high + low + close) / 4.0
    ha_open = np.empty_like(ha_close)
    for t in range(len(ha_close)):
        if t == 0:
            ha_open[t] = (open_[t] + close[t]) / 2.0
        else:
            ha_open[t] = (ha_open[t - 1] + ha_close[t - 1]) / 2.0
    return ha_open, ha_close


def average_true_range(high: Floats, low: Floats, close: Floats, bars: int = 14) -> Floats:
    """Smooth the true range as Wilder did: a plain mean first, then one part in ``bars``.

    Parameters
    ----------
    high, low, close : shape (n,)
        Ordinary candles.
    bars : count
        Length of the seed and of the smoothing.

    Returns
    -------
    shape (n,), unit of the prices
        NaN before the first ``bars`` bars have passed.

    Source
    ------
    Wilder, New Concepts in Technical Trading Systems, 1978; SPEC §2, ATR 14.
    """
    true_range = high - low
    for t in range(1, len(close)):
        true_range[t] = max(
            high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1])
        )
    average = np.full(len(close), np.nan)
    if len(close) >= bars:
        average[bars - 1] = true_range[:bars].mean()
    for t in range(bars, len(close)):
        average[t] = (average[t - 1] * (bars - 1) + true_range[t]) / bars
    return average


def kernel_regression(
    x: Floats, bandwidth: float = 8.0, shape: float = 8.0, weights: int = 200, first: int = 25
) -> Floats:
    """One-sided Nadaraya-Watson regression in time with the rational quadratic kernel.

    Parameters
    ----------
    x : shape (n,)
        Heiken Ashi closes.
    bandwidth, shape : h and r
        Of the kernel (1 + i²/(2 r h²))^(−r), i bars back.
    weights : count
        Bars looked at; fewer at the beginning.
    first : index
        Where the first value stands.

    Returns
    -------
    shape (n,), unit of x
        NaN before ``first``.

    Source
    ------
    Nadaraya 1964; Watson 1964; SPEC §2, NW-RQK.
    """
    age = np.arange(weights)
    kernel = (1.0 + age**2 / (2.0 * shape * bandwidth**2)) ** -shape
    estimate = np.full(len(x), np.nan)
    for t in range(first, len(x)):
        count = min(t + 1, weights)
        newest_first = x[t - count + 1 : t + 1][::-1]
        estimate[t] = np.sum(kernel[:count] * newest_first) / np.sum(kernel[:count])
    return estimate


def momentum(close: Floats, bars: int) -> Floats:
    """ln(C/C₋ₙ); NaN where either price is missing or not positive (SPEC §2, momentum n)."""
    change = np.full(len(close), np.nan)
    for t in range(bars, len(close)):
        if close[t] > 0 and close[t - bars] > 0:
            change[t] = np.log(close[t] / close[t - bars])
    return change


def log_return_deviation(close: Floats, returns: int = 30) -> Floats:
    """Sample standard deviation of the last ``returns`` log returns.

    Parameters
    ----------
    close : shape (n,)
        Closing prices. NaN for a price that must not be used.
    returns : count
        Log returns in the window.

    Returns
    -------
    shape (n,)
        NaN until that many returns exist in a row. Under 1e-12 it is 0 (ours): that is rounding.

    Source
    ------
    SPEC §2, σ30.
    """
    log_return = momentum(close, 1)
    deviation = np.full(len(close), np.nan)
    for t in range(returns, len(close)):
        window = log_return[t - returns + 1 : t + 1]
        if not np.isnan(window).any():
            sigma = window.std(ddof=1)
            deviation[t] = 0.0 if sigma < 1e-12 else sigma
    return deviation


def rolling_score(values: Floats, window: int = 500, least: int = 100) -> tuple[Floats, Integers]:
    """z-score of each value against the last ``window`` values, itself included.

    Parameters
    ----------
    values : shape (n,)
        NaN where there is no value: it enters no history.
    window, least : counts
        Values looked at, and how many there must be.

    Returns
    -------
    tuple of shape (n,)
        Score by the population deviation (NaN without enough values or without a value; 0 where
        the deviation is under 1e-12, ours), and how many values there were so far.

    Source
    ------
    SPEC §3, column 11.
    """
    score = np.full(len(values), np.nan)
    counts = np.zeros(len(values), np.int64)
    history: list[float] = []
    for t, value in enumerate(values):
        if not np.isnan(value):
            history.append(float(value))
            if len(history) >= least:
                last = np.array(history[-window:])
                deviation = last.std()
                score[t] = 0.0 if deviation < 1e-12 else (value - last.mean()) / deviation
        counts[t] = len(history)
    return score, counts


def hour_circle(start_ts_ns: Integers, local_offset_ns: Integers) -> tuple[Floats, Floats]:
    """Sine and cosine of the exchange-local time of day of the bar start (SPEC §3, 6 and 7).

    Parameters
    ----------
    start_ts_ns, local_offset_ns : shape (n,), ns
        Bar start in UTC; exchange-local time minus UTC at that moment.

    Returns
    -------
    tuple of shape (n,)
        On a circle of 24 hours: midnight is (0, 1), six in the morning (1, 0).
    """
    angle = 2.0 * np.pi * ((start_ts_ns + local_offset_ns) % DAY_NS) / DAY_NS
    return np.sin(angle), np.cos(angle)


def clip(values: Floats, bound: float) -> Floats:
    """Values held to [−bound, bound] (SPEC, preamble)."""
    return np.clip(values, -bound, bound)


def strategic_rows(
    bars: NDArray[np.void], local_offset_ns: Integers
) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows of the strategic matrix for bars that all lie in a session.

    Parameters
    ----------
    bars : structured, shape (n,)
        Closed 30-minute bars with the fields of ``gm.read_bars``.
    local_offset_ns : shape (n,), ns
        Exchange-local time minus UTC at each bar's start.

    Returns
    -------
    tuple
        Values, shape (n, 13), and whether every built feature was warm at that bar, shape (n,).

    Source
    ------
    SPEC §3, the strategic matrix; §1 for prices that are not positive.
    """
    open_, high, low, close = (
        bars[name].astype(np.float64)
        for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks")
    )
    usable = np.where(low > 0, close, np.nan)  # a price <= 0 has no logarithm
    ha_close = heiken_ashi(open_, high, low, close)[1]
    atr = average_true_range(high, low, close)
    estimate = kernel_regression(ha_close)
    before = np.concatenate(([np.nan], estimate))[: len(estimate)]
    sigma = log_return_deviation(usable)
    moving = np.where(sigma > 0, sigma, np.nan)  # σ30 = 0: momentum 0, no entry in the history
    score, scores = rolling_score(np.log(moving))

    values = np.zeros((len(bars), COLUMNS))
    reach = np.where(atr > 0, atr, np.nan)  # no price has moved: no distance to measure by
    values[:, 2] = clip((estimate - close) / reach, 5.0) / 5.0
    values[:, 3] = clip((estimate - before) / reach, 0.5) / 0.5
    values[:, 6], values[:, 7] = hour_circle(bars["start_ts_ns"], local_offset_ns)
    values[:, 8] = np.tanh(unbroken_momentum(usable, 20) / (moving * np.sqrt(20.0)))
    values[:, 9] = np.tanh(unbroken_momentum(usable, 50) / (moving * np.sqrt(50.0)))
    values[:, 11] = np.tanh(score)

    positive = run_lengths(low > 0)
    index = np.arange(len(bars))
    warm = (index >= 26) & (positive >= POSITIVE_BARS) & (scores >= 100)
    return np.where(np.isnan(values), 0.0, values), warm


def unbroken_momentum(close: Floats, bars: int) -> Floats:
    """Momentum where all closes between are usable too: after a bad price it begins again."""
    unbroken = run_lengths(~np.isnan(close)) > bars
    return np.where(unbroken, momentum(close, bars), np.nan)


def run_lengths(condition: NDArray[np.bool_]) -> Integers:
    """How many elements up to and with each one have been true in a row."""
    lengths = np.zeros(len(condition), np.int64)
    for t, holds in enumerate(condition):
        lengths[t] = (lengths[t - 1] if t else 0) + 1 if holds else 0
    return lengths


def strategic_matrices(
    bars: NDArray[np.void], local_offset_ns: Integers
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Stack the last 48 rows at every bar, as the core does while it streams.

    Parameters
    ----------
    bars : structured, shape (n,)
        Closed 30-minute bars with the fields of ``gm.read_bars``; out-of-session bars repeat the
        matrix before them and are never ready.
    local_offset_ns : shape (n,), ns
        Exchange-local time minus UTC at each bar's start.

    Returns
    -------
    tuple
        float32 (n, 48, 13), oldest row first, and bool (n,): ready.

    Source
    ------
    SPEC §3: ready when each of the 48 rows was appended with every feature warm.
    """
    inside = (bars["flags"] & OUT_OF_SESSION) == 0
    rows, warm = strategic_rows(bars[inside], local_offset_ns[inside])
    padded = np.concatenate((np.zeros((ROWS, COLUMNS)), rows))
    ready_inside = run_lengths(warm) >= ROWS
    matrices = np.zeros((len(bars), ROWS, COLUMNS), np.float32)
    ready = np.zeros(len(bars), np.bool_)
    seen = 0  # in-session bars so far
    for i, is_inside in enumerate(inside):
        seen += int(is_inside)
        matrices[i] = padded[seen : seen + ROWS]
        ready[i] = bool(is_inside) and bool(ready_inside[seen - 1])
    return matrices, ready
