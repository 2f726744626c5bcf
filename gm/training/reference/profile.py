"""Volume profile of the last 20 real bars: POC, value area, and the nearest low-volume node."""

from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.training.reference.smoothing import Floats, Integers

BARS = 20
BINS_MAX = 2048
VALUE_AREA = 0.7
LOW_VOLUME = 0.3
WITHIN = 1e-9  # of the total


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in ticks; ``nodes`` are the low-volume nodes as (price, strength), ascending."""

    poc: int
    value_area_low: int
    value_area_high: int
    nodes: tuple[tuple[int, float], ...]


class ProfileColumns(msgspec.Struct, frozen=True, eq=False):
    """Shape (n,) each. Node: its price less the close, in ticks, 0 without one; NaN: no profile."""

    node_distance: Floats
    node_strength: Floats
    skew: Floats


def volume_profile(low: Integers, high: Integers, volume: Integers) -> Profile:
    """Spread each bar's volume over the prices that it met, and find what stands out.

    Parameters
    ----------
    low, high : shape (m,), ticks
        Of the bars, oldest first.
    volume : shape (m,), lots
        Of the bars.

    Returns
    -------
    Profile
        Of the window as a whole.

    Source
    ------
    SPEC §2, Volume profile.
    """
    bottom, top = int(low.min()), int(high.max())
    width = max(1, -(-(top - bottom) // BINS_MAX))
    bins = np.zeros((top - bottom) // width + 1)
    for bar in range(len(low)):
        first = (int(low[bar]) - bottom) // width
        last = (int(high[bar]) - bottom) // width
        bins[first : last + 1] += volume[bar] / (last - first + 1)

    poc = int(np.argmax(bins))  # of equal ones the lowest
    below, above = _value_area(bins, poc)
    inner = bins[1:-1]
    is_node = (inner < bins[:-2]) & (inner <= bins[2:]) & (inner < LOW_VOLUME * bins[poc])
    nodes = np.flatnonzero(is_node) + 1
    return Profile(
        poc=bottom + poc * width,
        value_area_low=bottom + below * width,
        value_area_high=bottom + above * width,
        nodes=tuple((bottom + int(i) * width, float(1.0 - bins[i] / bins[poc])) for i in nodes),
    )


def _value_area(bins: Floats, poc: int) -> tuple[int, int]:
    heights = bins.tolist()
    total = float(bins.sum())
    below = above = poc
    inside = heights[poc]
    while inside < VALUE_AREA * total - WITHIN * total:
        can_rise, can_fall = above + 1 < len(heights), below > 0
        if can_rise and (not can_fall or heights[above + 1] >= heights[below - 1]):
            above += 1
            inside += heights[above]
        elif can_fall:
            below -= 1
            inside += heights[below]
        else:
            break
    return below, above


def profile_columns(bars: NDArray[np.void], is_synthetic: NDArray[np.bool_]) -> ProfileColumns:
    """Distance and strength of the nearest low-volume node, and the profile's skew, at every bar.

    Parameters
    ----------
    bars : structured, shape (n,)
        With the fields of ``gm.read_bars``.
    is_synthetic : shape (n,)
        Bars that the profile does not see.

    Returns
    -------
    ProfileColumns
        NaN before 20 real bars.

    Source
    ------
    SPEC §2, Volume profile; §3, columns 4, 5 and 12.
    """
    n = len(bars)
    columns = ProfileColumns(np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan))
    window: deque[int] = deque(maxlen=BARS)
    profile = None
    for t in range(n):
        if not is_synthetic[t]:
            window.append(t)
            last = bars[list(window)]
            if len(window) == BARS:
                profile = volume_profile(last["low_ticks"], last["high_ticks"], last["volume_lots"])
        if profile is None:
            continue
        close = int(bars["close_ticks"][t])
        columns.node_distance[t] = columns.node_strength[t] = columns.skew[t] = 0.0
        if profile.nodes:  # min takes the first of equals: the lower one
            price, strength = min(profile.nodes, key=lambda node: abs(node[0] - close))
            columns.node_distance[t] = price - close
            columns.node_strength[t] = strength
        span = profile.value_area_high - profile.value_area_low
        if span > 0:
            lean = profile.value_area_high + profile.value_area_low - 2 * profile.poc
            columns.skew[t] = max(-1.0, min(1.0, lean / span))
    return columns
