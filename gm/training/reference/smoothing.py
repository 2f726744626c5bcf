"""Averages of candles: Heiken Ashi, WMA, EMA, RSI, ATR."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


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


def weighted_mean(x: Floats, bars: int) -> Floats:
    """Mean of the last ``bars`` values with weights 1 to ``bars``, the newest heaviest.

    Parameters
    ----------
    x : shape (n,)
        NaN where there is no value yet.
    bars : count
        Length of the window.

    Returns
    -------
    shape (n,), unit of x
        NaN until the window is full of values.

    Source
    ------
    SPEC §2, WMA n.
    """
    weights = np.arange(1, bars + 1)
    mean = np.full(len(x), np.nan)
    for t in range(bars - 1, len(x)):
        mean[t] = np.sum(weights * x[t - bars + 1 : t + 1]) / np.sum(weights)
    return mean


def exponential_mean(x: Floats, bars: int) -> Floats:
    """EMA with α = 2/(bars + 1), seeded with the first value (SPEC §2, MMD: EMA20).

    Parameters
    ----------
    x : shape (n,)
        Values.
    bars : count
        Span of the mean.

    Returns
    -------
    shape (n,), unit of x
        A value from the first on.

    Source
    ------
    SPEC §2, MMD: α = 2/21 for 20 bars.
    """
    alpha = 2.0 / (bars + 1.0)
    mean = np.array(x, np.float64)
    for t in range(1, len(x)):
        mean[t] = mean[t - 1] + alpha * (x[t] - mean[t - 1])
    return mean


def relative_strength(x: Floats, bars: int) -> Floats:
    """Wilder's relative strength index.

    Parameters
    ----------
    x : shape (n,)
        Prices.
    bars : count
        Changes in the seed; length of the smoothing.

    Returns
    -------
    shape (n,), 0 to 100
        NaN before ``bars`` changes. 100 where nothing was lost, 50 where nothing moved.

    Source
    ------
    Wilder, New Concepts in Technical Trading Systems, 1978; SPEC §2, RSI n.
    """
    change = np.diff(x)
    gains, losses = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    index = np.full(len(x), np.nan)
    gain = loss = 0.0
    for t in range(bars, len(x)):
        if t == bars:
            gain, loss = gains[:bars].mean(), losses[:bars].mean()
        else:
            gain = (gain * (bars - 1) + gains[t - 1]) / bars
            loss = (loss * (bars - 1) + losses[t - 1]) / bars
        if loss > 0:
            index[t] = 100.0 - 100.0 / (1.0 + gain / loss)
        else:
            index[t] = 100.0 if gain > 0 else 50.0
    return index


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


def clip(values: Floats, bound: float) -> Floats:
    """Values held to [−bound, bound] (SPEC, preamble)."""
    return np.clip(values, -bound, bound)


def run_lengths(condition: NDArray[np.bool_]) -> Integers:
    """How many elements up to and with each one have been true in a row."""
    lengths = np.zeros(len(condition), np.int64)
    for t, holds in enumerate(condition):
        lengths[t] = (lengths[t - 1] if t else 0) + 1 if holds else 0
    return lengths
