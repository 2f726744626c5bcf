"""The two matrices as one kind of thing, so that each check is written once."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import features
from gm.errors import BadArgument

Bars = NDArray[np.void]
Matrices = tuple[NDArray[np.float32], NDArray[np.bool_]]
Seen = tuple[NDArray[np.float32], bool]  # one matrix, and whether it was ready


class Stream(Protocol):
    """What ``gm.StrategicFeatures`` and ``gm.TacticalFeatures`` have in common."""

    def update(self, bar: np.void | NDArray[np.void] | Mapping[str, Any]) -> None:
        """Take in one closed bar."""

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The matrix after the last bar."""

    @property
    def ready(self) -> bool:
        """Whether each row was appended with every feature warm."""

    def snapshot(self) -> bytes:
        """Whole state."""

    def restore(self, snapshot: bytes) -> None:
        """Become the state of a snapshot."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One of the matrices: its bars, its columns, and both ways to compute it."""

    name: str
    minutes: int
    rows: int
    columns: tuple[str, ...]
    batch: Callable[[Bars, str], Matrices]
    stream: Callable[[str], Stream]


VIEWS: Mapping[str, View] = MappingProxyType(
    {
        "strategic": View(
            name="strategic",
            minutes=30,
            rows=48,
            columns=features.STRATEGIC_COLUMNS,
            batch=features.strategic_matrices,
            stream=features.StrategicFeatures,
        ),
        "tactical": View(
            name="tactical",
            minutes=5,
            rows=60,
            columns=features.TACTICAL_COLUMNS,
            batch=features.tactical_matrices,
            stream=features.TacticalFeatures,
        ),
    }
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where two computations part; values as the agents would see them."""

    bar: int
    bar_start_ts_ns: int
    what: str
    column: str
    row: int
    expected: float
    found: float


def first_difference(
    view: View, bars: Bars, bar: int, what: str, expected: Seen, found: Seen
) -> Difference:
    """Name the first value, newest row first, in which two matrices of a bar differ.

    Parameters
    ----------
    view, bars : View, structured (n,)
        What was computed, and from what.
    bar : index
        Of the bar.
    what : str
        How ``found`` was computed.
    expected, found : (float32 (rows, columns), bool)
        Matrix and readiness.

    Returns
    -------
    Difference
        Column ``ready`` and row −1 if only the readiness differs.
    """
    start = int(bars["start_ts_ns"][bar])
    for row in reversed(range(view.rows)):
        for column, name in enumerate(view.columns):
            a, b = expected[0][row, column], found[0][row, column]
            if a.tobytes() != b.tobytes():
                return Difference(
                    bar=bar, bar_start_ts_ns=start, what=what, column=name, row=row,
                    expected=float(a), found=float(b),
                )  # fmt: skip
    return Difference(
        bar=bar, bar_start_ts_ns=start, what=what, column="ready", row=-1,
        expected=float(expected[1]), found=float(found[1]),
    )  # fmt: skip


def check_seed(seed: int) -> None:
    """Refuse a seed outside the range that every command has.

    Raises
    ------
    BadArgument
        Names the value and the range.
    """
    if not 0 <= seed < 2**64:
        raise BadArgument(f"seed must be 0 to 2^64 - 1: {seed}")
