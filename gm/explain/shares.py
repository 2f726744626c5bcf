"""Attributions summed for people: by input, and by the age of the row."""

import msgspec
import numpy as np

from gm.explain.facts import Explanation
from gm.explain.network import Floats

# Name, and bars before the newest, from and to, both included.
AGES = (
    ("newest", 0, 0),
    ("1-3 bars ago", 1, 3),
    ("4-11", 4, 11),
    ("12-23", 12, 23),
    ("24-47", 24, 47),
)


class InputShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one column, or one value of the context, did to the probability.

    ``value``: of the newest row. ``by_age``: sums over the rows of AGES; None for the context,
    which has no past.
    """

    name: str
    value: float
    total: float
    by_age: tuple[float | None, ...]


def total_parts(found: Explanation) -> Floats:
    """Sum a matrix's attribution over the agents: float64 (48, columns), oldest row first."""
    assert found.attribution is not None
    total: Floats = found.attribution.matrix.sum(axis=0)[:, : len(found.columns)]
    return total


def input_shares(found: Explanation) -> tuple[InputShare, ...]:
    """Sum attributions by input.

    Parameters
    ----------
    found : Explanation
        With matrix and attribution.

    Returns
    -------
    tuple of InputShare
        Columns that an agent looks at and values of the context, the largest first.
    """
    assert found.attribution is not None
    assert found.matrix is not None
    assert found.context is not None
    parts = total_parts(found)
    shares = [
        InputShare(
            name=name,
            value=float(found.matrix[-1, index]),
            total=float(parts[:, index].sum()),
            by_age=sums_by_age(parts[:, index]),
        )
        for index, name in enumerate(found.columns)
        if found.seen[index]
    ]
    of_context = found.attribution.context.sum(axis=0)
    shares += [
        InputShare(
            name=f"context: {name}",
            value=float(found.context[index]),
            total=float(of_context[index]),
            by_age=(None,) * len(AGES),
        )
        for index, name in enumerate(found.context_names)
    ]
    return tuple(sorted(shares, key=lambda share: -abs(share.total)))


def sums_by_age(parts: Floats) -> tuple[float, ...]:
    """Sum over the rows of each age; (rows,) or (rows, columns), oldest row first."""
    newest_first = parts[::-1]
    return tuple(float(np.sum(newest_first[first : last + 1])) for _, first, last in AGES)


def part_text(part: float | None) -> str:
    """Show a part of a probability; exactly none is a bare 0, and what has no past is empty."""
    if part is None:
        return ""
    return "0" if part == 0 else f"{part:+.4f}"
