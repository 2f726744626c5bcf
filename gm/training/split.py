"""A tape cut by time into what is trained on, what is chosen by, and what is touched once."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument

EMBARGO_BARS = 48
PURGE_BARS = 46  # as long as a position is held: policy.max_hold_bars
VALIDATION, TEST = 0.15, 0.15
EPISODE_BARS = 256  # decisions of an episode of `gm train`

Rows = NDArray[np.void]


class Split(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Three stretches of one tape, in time order: structured arrays, views of the tape."""

    train: Rows
    validation: Rows
    test: Rows


def split_by_time(
    bars: Rows,
    *,
    validation: float = VALIDATION,
    test: float = TEST,
    purge_bars: int = PURGE_BARS,
    embargo_bars: int = EMBARGO_BARS,
) -> Split:
    """Cut bars into train, validation and test, in this order of time.

    What was decided at the end of a stretch has its outcome after it: the last ``purge_bars``
    before a cut are left out. What comes right after a cut still looks like what came before:
    the first ``embargo_bars`` behind it are left out. Features look back only, so those of a
    stretch are warmed up by the bars before it, as a live engine's are.

    Parameters
    ----------
    bars : structured, shape (n,)
        Rows of ``gm.read_bars`` in time order.
    validation, test : fractions of the bars
        Above 0, together below 1; train is the rest.
    purge_bars, embargo_bars : int, bars
        At least 0 before, at least 48 behind each cut.

    Returns
    -------
    Split

    Raises
    ------
    BadArgument
        If a number is out of range, bars are not in time order, or a stretch would be empty.

    Source
    ------
    López de Prado, "Advances in Financial Machine Learning", 2018, section 7.4; SPEC §7.
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise BadArgument(
            f"validation and test must be above 0, together below 1: {validation}, {test}"
        )
    if purge_bars < 0 or embargo_bars < EMBARGO_BARS:
        raise BadArgument(
            f"purge_bars must be at least 0, embargo_bars at least {EMBARGO_BARS}: "
            f"{purge_bars}, {embargo_bars}"
        )
    steps = np.diff(bars["start_ts_ns"])
    if len(steps) and steps.min() <= 0:
        row = int(np.argmax(steps <= 0)) + 1
        raise BadArgument(
            f"bars must be in time order: bar {row} does not start after bar {row - 1}"
        )
    test_at = len(bars) - round(len(bars) * test)
    validation_at = test_at - round(len(bars) * validation)
    split = Split(
        train=bars[: max(validation_at - purge_bars, 0)],
        validation=bars[validation_at + embargo_bars : max(test_at - purge_bars, 0)],
        test=bars[test_at + embargo_bars :],
    )
    for name in split.__struct_fields__:
        if len(getattr(split, name)) == 0:
            raise BadArgument(
                f"{name} is empty: {len(bars)} bars, purge_bars {purge_bars}, "
                f"embargo_bars {embargo_bars}"
            )
    return split
