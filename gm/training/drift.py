"""Whether what a model sees still looks like what it was trained on.

Two answers, both plain numbers that lie in the model's manifest:

Drift, of many rows and one column at a time: the population stability index against the training
slice, PSI = sum over bins of (a - e) ln(a / e), e and a being the shares of training rows and of
new rows in a bin. Bins hold equal numbers of training rows. A rule of thumb says below 0.1 nothing,
above 0.25 much.

Out of distribution, of one row at once: it is out when a value leaves the column's training range
by more than a margin, or when its Mahalanobis distance d^2 = z' P z (z: standardised, P: inverse of
the shrunken correlation) is above what all but one in so many training rows had, by a factor.
"""

import math
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument

BINS = 10
ROWS_MIN = 500  # to fit on
BIN_ROWS_MIN = 5  # new rows a bin, on average, below which PSI is noise
COLUMNS_MAX = 64
_DEVIATION_FLOOR = 1e-3  # columns are within [-1, 1]: one that never moved in training

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating]
Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Vector = Annotated[tuple[Finite, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]


class ColumnBins(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of the training slice: inner edges ascending, and the share of rows in each bin.

    A value on an edge lies in the bin below it.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    edges: Annotated[tuple[Finite, ...], msgspec.Meta(max_length=BINS - 1)]
    shares: Annotated[tuple[Finite, ...], msgspec.Meta(min_length=1, max_length=BINS)]


class TrainingSlice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What PSI compares with: the columns, and how many rows they were fitted on."""

    rows: Annotated[int, msgspec.Meta(ge=ROWS_MIN)]
    columns: Annotated[tuple[ColumnBins, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is still in distribution, for c columns.

    ``low``, ``high``: (c,) the range of a column, its margin included. ``mean``, ``deviation``:
    (c,). ``precision``: (c, c), of standardised columns. ``distance_max``: of d^2. ``shrinkage``:
    weight of the identity in the correlation, for people to see.
    """

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]
    low: Vector
    high: Vector
    mean: Vector
    deviation: Vector
    precision: Annotated[tuple[Vector, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]
    distance_max: Annotated[float, msgspec.Meta(gt=0, le=1e300)]
    shrinkage: Annotated[float, msgspec.Meta(ge=0, le=1)]


class GuardScore(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Of n rows: d^2, (n,); columns out of their range, bool (n, c); whether a row is out, (n,)."""

    distance: Floats
    is_outside: NDArray[np.bool_]
    is_out: NDArray[np.bool_]


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


def stability_index(training: TrainingSlice, rows: Numbers) -> dict[str, float]:
    """PSI of each column of new rows.

    Parameters
    ----------
    training : TrainingSlice
    rows : float, shape (m, c)
        At least 50.

    Returns
    -------
    dict of str to float
        By column, at least 0. Half a row is added to each bin on both sides, so that an empty one
        is no infinity. Without drift it is about (1/n + 1/m) (bins - 1) for independent rows; rows
        of a market follow each other, and theirs is larger.

    Raises
    ------
    BadArgument
        If rows are too few, not finite or of another width.

    Source
    ------
    Siddiqi 2006, ch. 8; its size without drift: Yurdakul, Naranjo, "Statistical properties of the
    population stability index", 2020.
    """
    values = _finite(rows, len(training.columns))
    if len(values) < BIN_ROWS_MIN * BINS:
        raise BadArgument(f"rows must be at least {BIN_ROWS_MIN * BINS}: {len(values)}")
    return {
        column.name: _index(column, training.rows, values[:, i])
        for i, column in enumerate(training.columns)
    }


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
    bound = float(np.quantile(_distance(standard, precision), 1.0 - tail)) * distance_margin
    return Guard(
        names=names,
        low=tuple((low - margin).tolist()),
        high=tuple((high + margin).tolist()),
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        precision=tuple(tuple(row) for row in precision.tolist()),
        distance_max=bound,
        shrinkage=shrinkage,
    )


def score_rows(guard: Guard, rows: Numbers) -> GuardScore:
    """Hold rows against the guard.

    Parameters
    ----------
    guard : Guard
    rows : float, shape (n, c)
        Newest rows of matrices. One that is not finite is out, at an infinite distance.

    Returns
    -------
    GuardScore

    Raises
    ------
    BadArgument
        If rows have another width.

    Source
    ------
    As ``fit_guard``.
    """
    values = np.asarray(rows, np.float64)
    _check_width(values, len(guard.names))
    is_finite = np.isfinite(values).all(axis=1)
    # NaN compares as false, so the question is what is inside.
    is_outside = ~((values >= np.array(guard.low)) & (values <= np.array(guard.high)))
    standard = (np.where(np.isfinite(values), values, 0.0) - guard.mean) / guard.deviation
    distance = _distance(standard, np.array(guard.precision))
    distance = np.where(is_finite, distance, np.inf)
    is_out = is_outside.any(axis=1) | ~(distance <= guard.distance_max)
    return GuardScore(distance=distance, is_outside=is_outside, is_out=is_out)


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


def _distance(standard: Floats, precision: Floats) -> Floats:
    distance: Floats = np.sum((standard @ precision) * standard, axis=1)
    return distance


def _edges(column: Floats, bins: int) -> Floats:
    """Inner edges, ascending, none twice, a training row on either side of each."""
    values = np.unique(column)
    if len(values) <= bins:
        return 0.5 * (values[:-1] + values[1:])
    edges = np.unique(np.quantile(column, np.arange(1, bins) / bins, method="lower"))
    inner: Floats = edges[edges < values[-1]]
    return inner


def _index(column: ColumnBins, training_rows: int, values: Floats) -> float:
    bins = len(column.shares)
    counts = np.bincount(np.searchsorted(np.array(column.edges), values), minlength=bins)
    expected = (np.array(column.shares) * training_rows + 0.5) / (training_rows + 0.5 * bins)
    actual = (counts + 0.5) / (len(values) + 0.5 * bins)
    return math.fsum((actual - expected) * np.log(actual / expected))


def _training_rows(rows: Numbers, names: tuple[str, ...]) -> Floats:
    if not 1 <= len(names) <= COLUMNS_MAX or len(set(names)) != len(names):
        raise BadArgument(f"names must be 1 to {COLUMNS_MAX}, each once: {names}")
    values = _finite(rows, len(names))
    if len(values) < ROWS_MIN:
        raise BadArgument(f"training rows must be at least {ROWS_MIN}: {len(values)}")
    return values


def _finite(rows: Numbers, columns: int) -> Floats:
    values = np.asarray(rows, np.float64)
    _check_width(values, columns)
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0].tolist()
        raise BadArgument(f"rows must be finite: {values[tuple(at)]} at {at}")
    return values


def _check_width(values: Floats, columns: int) -> None:
    if values.ndim != 2 or values.shape[1] != columns:
        raise BadArgument(f"rows must be of {columns} columns: shape {values.shape}")
