"""Momentum, σ30 and its score: all of log returns, so of positive prices only."""

import numpy as np

from gm.training.reference.smoothing import Floats, Integers, run_lengths


def momentum(close: Floats, bars: int) -> Floats:
    """ln(C/C₋ₙ); NaN where either price is missing or not positive (SPEC §2, momentum n)."""
    change = np.full(len(close), np.nan)
    for t in range(bars, len(close)):
        if close[t] > 0 and close[t - bars] > 0:
            change[t] = np.log(close[t] / close[t - bars])
    return change


def unbroken_momentum(close: Floats, bars: int) -> Floats:
    """Momentum where all closes between are usable too: after a bad price it begins again."""
    unbroken = run_lengths(~np.isnan(close)) > bars
    return np.where(unbroken, momentum(close, bars), np.nan)


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
