"""Whether what a model sees still looks like what it was trained on.

Two answers, both plain numbers that lie in the model's manifest; gm.training.drift fits them.

Drift, of many rows and one column at a time: the population stability index against the training
slice, PSI = sum over bins of (a - e) ln(a / e), e and a being the shares of training rows and of
new rows in a bin. Bins hold equal numbers of training rows. A rule of thumb says below 0.1 nothing,
above 0.25 much.

Out of distribution, of one row at once: it is out when a value leaves the column's training range
by more than a margin, or when its Mahalanobis distance d^2 = z' P z (z: standardised, P: inverse of
the shrunken correlation) is above what all but one in so many training rows had, by a factor. The
engine asks the ranges only: core/include/gm/policy/guard.hpp.
"""

import math
from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument

BINS = 10
ROWS_MIN = 500  # to fit on
BIN_ROWS_MIN = 5  # new rows a bin, on average, below which PSI is noise
COLUMNS_MAX = 64

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
    weight of the identity in the correlation, for people to see. ``columns_max``: more columns
    outside of their range make a row strange for the engine. ``rows_max``: strange rows in a row
    that it bears; with the next one the model goes.
    """

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]
    low: Vector
    high: Vector
    mean: Vector
    deviation: Vector
    precision: Annotated[tuple[Vector, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]
    distance_max: Annotated[float, msgspec.Meta(gt=0, le=1e300)]
    shrinkage: Annotated[float, msgspec.Meta(ge=0, le=1)]
    columns_max: Annotated[int, msgspec.Meta(ge=0, le=COLUMNS_MAX)]
    rows_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class GuardScore(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Of n rows: d^2, (n,); columns out of their range, bool (n, c); whether a row is out, (n,)."""

    distance: Floats
    is_outside: NDArray[np.bool_]
    is_out: NDArray[np.bool_]


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
    values = finite_rows(rows, len(training.columns))
    if len(values) < BIN_ROWS_MIN * BINS:
        raise BadArgument(f"rows must be at least {BIN_ROWS_MIN * BINS}: {len(values)}")
    return {
        column.name: _index(column, training.rows, values[:, i])
        for i, column in enumerate(training.columns)
    }


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
    As ``gm.training.drift.fit_guard``.
    """
    values = np.asarray(rows, np.float64)
    check_width(values, len(guard.names))
    is_finite = np.isfinite(values).all(axis=1)
    # NaN compares as false, so the question is what is inside.
    is_outside = ~((values >= np.array(guard.low)) & (values <= np.array(guard.high)))
    standard = (np.where(np.isfinite(values), values, 0.0) - guard.mean) / guard.deviation
    distance = squared_distance(standard, np.array(guard.precision))
    distance = np.where(is_finite, distance, np.inf)
    is_out = is_outside.any(axis=1) | ~(distance <= guard.distance_max)
    return GuardScore(distance=distance, is_outside=is_outside, is_out=is_out)


def guard_faults(guard: Guard) -> Iterator[str]:
    """Name what no single key of a guard shows."""
    count = len(guard.names)
    if len(set(guard.names)) != count:
        yield f"names: one stands twice among {guard.names}"
    for key in ("low", "high", "mean", "deviation", "precision"):
        found = getattr(guard, key)
        if len(found) != count:
            yield f"{key}: {len(found)} values for {count} names"
    if any(len(row) != count for row in guard.precision):
        yield f"precision: must be {count} x {count}"
    for name, low, high in zip(guard.names, guard.low, guard.high, strict=False):
        if low > high:
            yield f"high: {high} of {name} is below low: {low}"


def slice_faults(training: TrainingSlice) -> Iterator[str]:
    """Name what no single key of a training slice shows."""
    names = [column.name for column in training.columns]
    if len(set(names)) != len(names):
        yield f"columns: one stands twice among {names}"
    for column in training.columns:
        if list(column.edges) != sorted(set(column.edges)):
            yield f"edges of {column.name} must ascend: {column.edges}"
        if len(column.shares) != len(column.edges) + 1:
            yield f"{column.name}: {len(column.shares)} shares for {len(column.edges)} edges"
        if min(column.shares) < 0.0 or abs(sum(column.shares) - 1.0) > 1e-6:
            yield f"shares of {column.name} must be at least 0 and add up to 1: {column.shares}"


def squared_distance(standard: Floats, precision: Floats) -> Floats:
    """Z' P z of each row: float64 (n,)."""
    distance: Floats = np.sum((standard @ precision) * standard, axis=1)
    return distance


def finite_rows(rows: Numbers, columns: int) -> Floats:
    """Rows as float64 (n, columns); BadArgument names the first value that is not finite."""
    values = np.asarray(rows, np.float64)
    check_width(values, columns)
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0].tolist()
        raise BadArgument(f"rows must be finite: {values[tuple(at)]} at {at}")
    return values


def check_width(values: Floats, columns: int) -> None:
    """BadArgument unless the shape is (n, columns)."""
    if values.ndim != 2 or values.shape[1] != columns:
        raise BadArgument(f"rows must be of {columns} columns: shape {values.shape}")


def _index(column: ColumnBins, training_rows: int, values: Floats) -> float:
    bins = len(column.shares)
    counts = np.bincount(np.searchsorted(np.array(column.edges), values), minlength=bins)
    expected = (np.array(column.shares) * training_rows + 0.5) / (training_rows + 0.5 * bins)
    actual = (counts + 0.5) / (len(values) + 0.5 * bins)
    return math.fsum((actual - expected) * np.log(actual / expected))
