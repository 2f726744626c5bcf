"""How far a recorder's clock is off the exchange's, from the stamps of both.

A message cannot come in before it was sent. So recorder's stamp less exchange's stamp is offset
plus delay, the delay at least 0, and the line under all of these differences that lies closest to
them is the offset as it drifts. What of the delay never changes cannot be told from the offset:
the shortest delay counts as none.
"""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_WINDOWS = 128
_PPB = 1e9
# A stamp this many typical distances under the line of its neighbours is wrong, not early.
_OUTLIER = 12.0
_OUTLIER_NS_MIN = 2_000_000.0

# Faster than this no clock runs away: the stamps are too few, or no stamps of a clock.
_DRIFT_MAX = 0.01

Times = NDArray[np.int64]


class ClockOffset(msgspec.Struct, frozen=True, kw_only=True):
    """The recorder's clock less the exchange's: ``offset_ns`` at ``at_ns``, and its drift."""

    offset_ns: int
    drift_ppb: float
    at_ns: int  # on the recorder's clock
    disbelieved: int  # stamps that lie below the line and so contradict it


def estimate_offset(received_ns: Times, sent_ns: Times) -> ClockOffset:
    """Fit the line under received − sent.

    Parameters
    ----------
    received_ns : ndarray of int64, shape (n,), ns
        Recorder's clock; n >= 1.
    sent_ns : ndarray of int64, shape (n,), ns
        Exchange's clock when it sent the same messages.

    Returns
    -------
    ClockOffset

    Source
    ------
    Moon, Skelly, Towsley, "Estimation and Removal of Clock Skew from Network Delay Measurements",
    1999, section 4. Ours: single stamps far below their neighbours are left out first.
    """
    middle = int((int(received_ns.min()) + int(received_ns.max())) // 2)
    times = (received_ns - middle).astype(np.float64)
    base = int(np.median(received_ns - sent_ns))
    apart = (received_ns - sent_ns - base).astype(np.float64)
    is_believed = ~_is_outlier(times, apart)
    slope, height = _support_line(times[is_believed], apart[is_believed])
    if abs(slope) > _DRIFT_MAX:
        slope, height = 0.0, float(apart[is_believed].min())
    below = apart < height + slope * times - 1.0
    return ClockOffset(
        offset_ns=base + round(height),
        drift_ppb=slope * _PPB,
        at_ns=middle,
        disbelieved=int(below.sum()),
    )


def correct(received_ns: Times, sent_ns: Times, offset: ClockOffset) -> Times:
    """Put the recorder's stamps on the exchange's clock, none before it was sent.

    Parameters
    ----------
    received_ns, sent_ns : ndarray of int64, shape (n,), ns
    offset : ClockOffset

    Returns
    -------
    ndarray of int64, shape (n,), ns

    Source
    ------
    Ours.
    """
    drift = ((received_ns - offset.at_ns) * (offset.drift_ppb / _PPB)).astype(np.int64)
    on_time: Times = np.maximum(received_ns - offset.offset_ns - drift, sent_ns)
    return on_time


def _lowest_of_each_window(times: NDArray[Any], apart: NDArray[Any]) -> NDArray[Any]:
    """Where the difference is least in each of the windows that hold anything."""
    span = float(times.max() - times.min()) or 1.0
    window = np.minimum(((times - times.min()) / span * _WINDOWS).astype(np.int64), _WINDOWS - 1)
    order = np.lexsort((apart, window))
    _, first = np.unique(window[order], return_index=True)
    return np.asarray(order[first])


def _is_outlier(times: NDArray[Any], apart: NDArray[Any]) -> NDArray[Any]:
    """Which differences lie far under a line through the least of each window (Theil–Sen)."""
    at = _lowest_of_each_window(times, apart)
    if len(at) < 3:
        return np.zeros(len(times), bool)
    left, right = np.triu_indices(len(at), 1)
    steps = np.maximum(times[at][right] - times[at][left], 1.0)
    slope = float(np.median((apart[at][right] - apart[at][left]) / steps))
    rest = apart - slope * times
    middle = float(np.median(rest[at]))
    typical = float(np.median(np.abs(rest[at] - middle)))
    return np.asarray(rest - middle < -max(_OUTLIER * typical, _OUTLIER_NS_MIN))


def _support_line(times: NDArray[Any], apart: NDArray[Any]) -> tuple[float, float]:
    """Slope and height at 0 of the edge of the lower convex hull that lies under the mean time.

    Of all lines under the points it leaves the least area between itself and them.
    """
    order = np.argsort(times, kind="stable")
    hull: list[tuple[float, float]] = []
    for x, y in zip(times[order].tolist(), apart[order].tolist(), strict=True):
        while len(hull) >= 2 and _turns_right(hull[-2], hull[-1], (x, y)):
            hull.pop()
        if hull and hull[-1][0] == x:
            if hull[-1][1] <= y:
                continue
            hull.pop()
        hull.append((x, y))
    mean = float(times.mean())
    for (x0, y0), (x1, y1) in pairwise(hull):
        if x0 <= mean <= x1:
            slope = (y1 - y0) / (x1 - x0)
            return slope, y0 - slope * x0
    return 0.0, hull[0][1]


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0
