"""Whether 1/7/2020 is a day in July or in January: the reading in which a file goes forward."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gm.calendars import NO_TIME, Times
from gm.errors import BadArgument

# A reading of dates with this many times fewer faults than the other is the right one.
_FAULT_RATIO = 10


def _faults(local: Times, has_time: NDArray[np.bool_]) -> int:
    """Days that do not exist, and steps backward, when stamps are read so."""
    known = local[has_time & (local != NO_TIME)]
    return int((has_time & (local == NO_TIME)).sum()) + int((np.diff(known) < 0).sum())


def read_dates(path: Path, text: NDArray[Any], day_first: bool | None) -> tuple[Times, bool | None]:
    """Choose between days and months first; None: the form of the dates says.

    Parameters
    ----------
    path : Path
        For the text of an error.
    text : ndarray of the core's BarTextRow, shape (n,)
        Both readings of each stamp.
    day_first : bool, optional
        What the caller says.

    Returns
    -------
    tuple of ndarray of int64, shape (n,), ns, and bool or None
        Wall-clock stamps, NO_TIME where there is none.

    Raises
    ------
    BadArgument
        If the file goes forward in both readings, or in neither, and the caller does not say.

    Source
    ------
    SPEC §1, CSV dialects.
    """
    by_day = np.asarray(text["day_first_ns"], np.int64)
    by_month = np.asarray(text["month_first_ns"], np.int64)
    if np.array_equal(by_day, by_month):
        return by_day, None
    if day_first is None:
        has_time = (by_day != NO_TIME) | (by_month != NO_TIME)
        day_faults, month_faults = _faults(by_day, has_time), _faults(by_month, has_time)
        if day_faults * _FAULT_RATIO <= month_faults and month_faults > 0:
            day_first = True
        elif month_faults * _FAULT_RATIO <= day_faults and day_faults > 0:
            day_first = False
        else:
            raise BadArgument(
                f"{path}: dates go forward read day first ({day_faults} faults) and month first "
                f"({month_faults}): say day_first=True or False"
            )
    return (by_day if day_first else by_month), day_first
