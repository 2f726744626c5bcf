"""MLMI: how the last momentum crosses that looked like this one ended, by nearest neighbours."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.training.reference.smoothing import Floats, Integers, relative_strength, weighted_mean

STORE_MAX = 2000
SAMPLES_MIN = 20
NEIGHBOURS_MAX = 5
DEVIATION_MIN = 1e-12


class Mlmi(msgspec.Struct, frozen=True, eq=False):
    """Shape (n,) each: value 0 to 100, signal −1, 0, 1, and samples in the store."""

    value: Floats
    signal: Integers
    samples: Integers


def momentum_index(ha_close: Floats, is_synthetic: NDArray[np.bool_]) -> Mlmi:
    """Machine-learning momentum index of every bar.

    Parameters
    ----------
    ha_close : shape (n,)
        Heiken Ashi closes.
    is_synthetic : shape (n,)
        A cross on such a bar moves the sign and does nothing else.

    Returns
    -------
    Mlmi
        Value 50 and signal 0 while the store holds fewer than 20 samples.

    Source
    ------
    SPEC §2, MLMI; §1, Gaps.
    """
    p1 = weighted_mean(relative_strength(ha_close, 20), 20)
    p2 = weighted_mean(relative_strength(ha_close, 5), 20)
    fast_over_slow = weighted_mean(ha_close, 5) - weighted_mean(ha_close, 20)

    n = len(ha_close)
    result = Mlmi(np.full(n, 50.0), np.zeros(n, np.int64), np.zeros(n, np.int64))
    store = np.zeros((0, 3))  # rows of (p1, p2, label), oldest first
    pending: int | None = None  # the bar of the cross before, whose outcome is not known yet
    sign = 0.0
    for t in range(n):
        cross = 0.0
        if fast_over_slow[t] > 0 or fast_over_slow[t] < 0:
            now = np.sign(fast_over_slow[t])
            has_points = not np.isnan(p1[t]) and not np.isnan(p2[t])
            if sign != 0 and now != sign and has_points and not is_synthetic[t]:
                cross = now
            sign = now
        if cross != 0:
            if pending is not None:
                label = np.sign(ha_close[t] - ha_close[pending])
                store = np.vstack((store, (p1[pending], p2[pending], label)))[-STORE_MAX:]
            pending = t
        result.samples[t] = len(store)
        if len(store) >= SAMPLES_MIN:
            result.value[t] = _vote_of_neighbours(p1[t], p2[t], store)
        if cross > 0 and result.value[t] > 50:
            result.signal[t] = 1
        elif cross < 0 and result.value[t] < 50:
            result.signal[t] = -1
    return result


def _vote_of_neighbours(p1: float, p2: float, store: Floats) -> float:
    points, labels = store[:, :2], store[:, 2]
    mean, deviation = points.mean(axis=0), np.maximum(points.std(axis=0), DEVIATION_MIN)
    apart = (points - mean) / deviation - (np.array([p1, p2]) - mean) / deviation
    distance = np.sqrt(np.sum(apart**2, axis=1))
    k = min(NEIGHBOURS_MAX, int(np.sqrt(len(store))))
    # A stable sort from the newest on: ties go to the most recent.
    newest_first = np.argsort(distance[::-1], kind="stable")[:k]
    return float(50.0 + 50.0 * np.sum(labels[::-1][newest_first]) / k)
