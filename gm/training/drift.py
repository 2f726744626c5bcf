"""Fits what says later whether a model still sees what it was trained on: gm.models.drift.

Bins of the training slice for the population stability index, and a guard: ranges of columns, a
bound on the Mahalanobis distance, and what the engine bears of both.
"""

import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument
from gm.models.drift import (
    BIN_ROWS_MIN,
    BINS,
    COLUMNS_MAX,
    ROWS_MIN,
    ColumnBins,
    Floats,
    Guard,
    GuardScore,
    Numbers,
    TrainingSlice,
    finite_rows,
    score_rows,
    squared_distance,
    stability_index,
)

__all__ = [
    "BINS",
    "BIN_ROWS_MIN",
    "COLUMNS_MAX",
    "ROWS_MIN",
    "ColumnBins",
    "Guard",
    "GuardScore",
    "TrainingSlice",
    "fit_guard",
    "fit_slice",
    "score_rows",
    "shrunken_covariance",
    "stability_index",
    "strange_run",
]

STRANGE_ROWS_MIN = 3  # in a row, that an engine bears at least
_DEVIATION_FLOOR = 1e-3  # columns are within [-1, 1]: one that never moved in training


def fit_slice(rows: Numbers, names: tuple[str, ...], bins: int = BINS) -> TrainingSlice:
    """Cut each column of the training rows into bins.

    Parameters
    ----------
    rows : float, shape (n, c)
        Newest rows of ready matrices of the training slice, at least 500.
    names : tuple of c str
        Of the columns.
    bins : int
        2 to 10. A column with no more values than that gets one bin for each value.

    Returns
    -------
    TrainingSlice

    Raises
    ------
    BadArgument
        If rows are too few, not finite or of another width, or bins is out of range.

    Source
    ------
    Siddiqi, Credit Risk Scorecards, 2006, ch. 8 (population stability index).
    """
    values = _training_rows(rows, names)
    if not 2 <= bins <= BINS:
        raise BadArgument(f"bins must be 2 to {BINS}: {bins}")
    columns = []
    for name, column in zip(names, values.T, strict=True):
        edges = _edges(column, bins)
        counts = np.bincount(np.searchsorted(edges, column), minlength=len(edges) + 1)
        columns.append(
            ColumnBins(
                name=name,
                edges=tuple(edges.tolist()),
                shares=tuple((counts / len(values)).tolist()),
            )
        )
    return TrainingSlice(rows=len(values), columns=tuple(columns))


def fit_guard(
    rows: Numbers,
    names: tuple[str, ...],
    *,
    tail: float = 1e-3,
    range_margin: float = 0.1,
    distance_margin: float = 1.5,
) -> Guard:
    """Learn what is in distribution.

    Parameters
    ----------
    rows : float, shape (n, c)
        As for ``fit_slice``.
    names : tuple of c str
    tail : float in (0, 0.1]
        Share of training rows beyond each quantile: of a column on either side, of the distance.
    range_margin : float
        By so much of the range between the two quantiles a column may leave it; at least 0.
    distance_margin : float
        The bound on d^2 is the training quantile times this; at least 1.

    Returns
    -------
    Guard
        ``columns_max``: what all but ``tail`` of the training rows keep to; ``rows_max``: twice the
        longest run of rows beyond that, at least 3.

    Raises
    ------
    BadArgument
        If rows or an argument is out of range.

    Source
    ------
    Mahalanobis, "On the generalised distance in statistics", 1936; shrinkage toward the identity:
    Ledoit, Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004,
    §3.3. Empirical quantiles, because columns are far from normal: ours.
    """
    values = _training_rows(rows, names)
    if not 0.0 < tail <= 0.1:
        raise BadArgument(f"tail must be in (0, 0.1]: {tail}")
    if not (0.0 <= range_margin <= 10.0 and 1.0 <= distance_margin <= 100.0):
        raise BadArgument(
            f"range_margin must be 0 to 10, distance_margin 1 to 100: "
            f"{range_margin}, {distance_margin}"
        )
    low, high = np.quantile(values, [tail, 1.0 - tail], axis=0)
    margin = range_margin * (high - low) + _DEVIATION_FLOOR
    mean = values.mean(axis=0)
    deviation = np.maximum(values.std(axis=0), _DEVIATION_FLOOR)
    standard = (values - mean) / deviation
    correlation, shrinkage = shrunken_covariance(standard)
    precision = np.linalg.inv(correlation)
    precision = 0.5 * (precision + precision.T)
    bound = float(np.quantile(squared_distance(standard, precision), 1.0 - tail)) * distance_margin
    low, high = low - margin, high + margin
    columns_max, rows_max = _borne((values < low) | (values > high), tail)
    return Guard(
        names=names,
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        precision=tuple(tuple(row) for row in precision.tolist()),
        distance_max=bound,
        shrinkage=shrinkage,
        columns_max=columns_max,
        rows_max=rows_max,
    )


def shrunken_covariance(rows: Floats) -> tuple[Floats, float]:
    """(1 - w) S + w m I, S the covariance of rows of mean 0, m its mean eigenvalue, and w.

    Parameters
    ----------
    rows : float64, shape (n, c)
        Centred.

    Returns
    -------
    tuple
        float64 (c, c), positive definite unless all rows are 0; the weight w in [0, 1].

    Source
    ------
    Ledoit, Wolf 2004, lemmas 3.2 to 3.5.
    """
    count, columns = rows.shape
    covariance = rows.T @ rows / count
    mean = float(np.trace(covariance)) / columns
    spread = float(np.sum((covariance - mean * np.eye(columns)) ** 2))
    squares = float(np.sum(np.sum(rows**2, axis=1) ** 2)) / count
    noise = (squares - float(np.sum(covariance**2))) / count
    weight = 1.0 if spread <= 0.0 else min(1.0, max(0.0, noise / spread))
    return (1.0 - weight) * covariance + weight * mean * np.eye(columns), weight


def strange_run(guard: Guard, rows: Numbers) -> int:
    """Most rows in a row that an engine would find strange: more than ``rows_max`` cost the model.

    Parameters
    ----------
    guard : Guard
    rows : float, shape (n, c)
        In order of time.

    Returns
    -------
    int

    Raises
    ------
    BadArgument
        If rows have another width.
    """
    return _longest(score_rows(guard, rows).is_outside.sum(axis=1) > guard.columns_max)


def _borne(is_outside: NDArray[np.bool_], tail: float) -> tuple[int, int]:
    """Columns outside, and rows in a row with more, that training rows in time order had."""
    counts = is_outside.sum(axis=1)
    columns_max = int(np.quantile(counts, 1.0 - tail, method="lower"))
    return columns_max, max(STRANGE_ROWS_MIN, 2 * _longest(counts > columns_max))


def _longest(is_strange: NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(np.concatenate([[True], ~is_strange, [True]]))
    return int(np.diff(ends).max()) - 1


def _edges(column: Floats, bins: int) -> Floats:
    """Inner edges, ascending, none twice, a training row on either side of each."""
    values = np.unique(column)
    if len(values) <= bins:
        return 0.5 * (values[:-1] + values[1:])
    edges = np.unique(np.quantile(column, np.arange(1, bins) / bins, method="lower"))
    inner: Floats = edges[edges < values[-1]]
    return inner


def _training_rows(rows: Numbers, names: tuple[str, ...]) -> Floats:
    if not 1 <= len(names) <= COLUMNS_MAX or len(set(names)) != len(names):
        raise BadArgument(f"names must be 1 to {COLUMNS_MAX}, each once: {names}")
    values = finite_rows(rows, len(names))
    if len(values) < ROWS_MIN:
        raise BadArgument(f"training rows must be at least {ROWS_MIN}: {len(values)}")
    return values
