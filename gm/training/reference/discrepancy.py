"""MMD: how unlike the bars of half a year ago the last hundred are, ranked among its own past."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.training.reference.smoothing import Floats, exponential_mean

REFERENCE_ROWS = 500
TEST_ROWS = 100
REFIT_BARS = 46
EVERY = 5  # of the reference rows, for the median distance
RANK_MAX = 2000
RANK_MIN = 200
FLOOR = 1e-12
TIE = 1e-13  # of two squares


class Fit(msgspec.Struct, frozen=True, eq=False):
    """What stays the same between refits."""

    mean: Floats
    deviation: Floats
    bandwidth: float


def bar_features(high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
    """Return, its size, range and volume of each bar but the first.

    Parameters
    ----------
    high, low, close : shape (n,)
        Positive prices of real bars.
    volume : shape (n,), lots
        Of the bars.

    Returns
    -------
    shape (n − 1, 4)
        r, |r|, (H−L)/C₋₁, ln((V+1)/(EMA20(V)+1)).

    Source
    ------
    SPEC §2, MMD.
    """
    log_return = np.log(close[1:] / close[:-1])
    spread = (high[1:] - low[1:]) / close[:-1]
    usual = exponential_mean(volume, 20)
    activity = np.log((volume + 1.0) / (usual + 1.0))[1:]
    return np.stack((log_return, np.abs(log_return), spread, activity), axis=1)


def fit(reference: Floats) -> Fit:
    """Mean, deviation and kernel width of a reference (SPEC §2, MMD)."""
    mean = reference.mean(axis=0)
    deviation = np.maximum(reference.std(axis=0), FLOOR)
    fifth = ((reference - mean) / deviation)[::EVERY]
    apart = np.sqrt(_squared_distances(fifth))[np.triu_indices(len(fifth), k=1)]
    return Fit(mean, deviation, max(float(np.median(apart)), FLOOR))


def kernel_matrix(rows: Floats, fitted: Fit) -> Floats:
    """exp(−‖x−y‖²/2σ²) of every two rows, both standardised."""
    points = (rows - fitted.mean) / fitted.deviation
    return np.exp(-_squared_distances(points) / (2.0 * fitted.bandwidth**2))


def _squared_distances(points: Floats) -> Floats:
    # One column at a time: the sum of differences squared, not the shorter form that cancels.
    total = np.zeros((len(points), len(points)))
    for column in points.T:
        total += (column[:, None] - column[None, :]) ** 2
    return total


def discrepancies(features: Floats) -> Floats:
    """Distance m = √max(MMD², 0) of the last 100 rows against the 500 before them.

    Parameters
    ----------
    features : shape (n, 4)
        Rows of ``bar_features``, one each real bar.

    Returns
    -------
    shape (n,)
        NaN before 600 rows.

    Source
    ------
    Gretton et al., A Kernel Two-Sample Test, 2012, eq. 5 (biased); SPEC §2, MMD.
    """
    rows = REFERENCE_ROWS + TEST_ROWS
    distance = np.full(len(features), np.nan)
    for first in range(rows - 1, len(features), REFIT_BARS):
        start = first - rows + 1  # of the reference at the refit
        fitted = fit(features[start : start + REFERENCE_ROWS])
        end = min(first + REFIT_BARS, len(features))
        kernel = kernel_matrix(features[start:end], fitted)  # of all rows until the next refit
        for t in range(first, end):
            begin = t - rows + 1 - start
            old = slice(begin, begin + REFERENCE_ROWS)
            new = slice(begin + REFERENCE_ROWS, begin + rows)
            squared = (
                kernel[old, old].mean() + kernel[new, new].mean() - 2.0 * kernel[old, new].mean()
            )
            distance[t] = np.sqrt(max(squared, 0.0))
    return distance


def ranks(values: Floats) -> Floats:
    """2·rank − 1 of each value among the last 2,000, itself included; 0 before there are 200.

    Parameters
    ----------
    values : shape (n,)
        NaN where there is no value: it enters no history, and its rank is 0.

    Returns
    -------
    shape (n,), −1 to 1
        rank = (smaller + ½ equal)/count.

    Source
    ------
    SPEC §2, MMD: score. That squares closer than 1e-13 are equal is ours.
    """
    score = np.zeros(len(values))
    known = np.flatnonzero(~np.isnan(values))
    for place, t in enumerate(known):
        history = values[known[max(0, place + 1 - RANK_MAX) : place + 1]]
        if len(history) >= RANK_MIN:
            apart = history**2 - values[t] ** 2  # windows of the same rows differ by rounding
            smaller, equal = np.sum(apart < -TIE), np.sum(np.abs(apart) <= TIE)
            score[t] = 2.0 * (smaller + 0.5 * equal) / len(history) - 1.0
    return score


def discrepancy_score(
    high: Floats, low: Floats, close: Floats, volume: Floats, is_seen: NDArray[np.bool_]
) -> Floats:
    """MMD score at every bar.

    Parameters
    ----------
    high, low, close, volume : shape (n,)
        Bars; prices in any unit.
    is_seen : shape (n,)
        Real bars of positive prices. At any other bar the score is that of the bar before it.

    Returns
    -------
    shape (n,), −1 to 1
        0 until 200 values of m exist.

    Source
    ------
    SPEC §2, MMD; §1, Gaps. That a price of zero or less is passed over is ours.
    """
    score = np.zeros(len(close))
    if np.sum(is_seen) > 1:
        rows = bar_features(high[is_seen], low[is_seen], close[is_seen], volume[is_seen])
        score[np.flatnonzero(is_seen)[1:]] = ranks(discrepancies(rows))
    for t in range(1, len(score)):
        if not is_seen[t]:
            score[t] = score[t - 1]
    return score
