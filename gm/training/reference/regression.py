"""NW-RQK: kernel regression in time, and where its line turns.

In long double: where no price moves ATR fades, and a difference of two estimates over it would be
the rounding of the estimates.
"""

import numpy as np
from numpy.typing import NDArray

from gm.training.reference.smoothing import Floats, Integers

Longs = NDArray[np.longdouble]


def kernel_regression(
    x: Floats, bandwidth: float = 8.0, shape: float = 8.0, weights: int = 200, first: int = 25
) -> Longs:
    """One-sided Nadaraya-Watson regression in time with the rational quadratic kernel.

    Parameters
    ----------
    x : shape (n,)
        Heiken Ashi closes.
    bandwidth, shape : h and r
        Of the kernel (1 + i²/(2 r h²))^(−r), i bars back.
    weights : count
        Bars looked at; fewer at the beginning.
    first : index
        Where the first value stands.

    Returns
    -------
    shape (n,), unit of x
        NaN before ``first``.

    Source
    ------
    Nadaraya 1964; Watson 1964; SPEC §2, NW-RQK.
    """
    age = np.arange(weights).astype(np.longdouble)
    kernel = (1.0 + age**2 / (2.0 * shape * bandwidth**2)) ** -shape
    estimate = np.full(len(x), np.nan, np.longdouble)
    for t in range(first, len(x)):
        count = min(t + 1, weights)
        newest_first = x[t - count + 1 : t + 1][::-1] - x[t]
        estimate[t] = x[t] + np.sum(kernel[:count] * newest_first) / np.sum(kernel[:count])
    return estimate


def turns(estimate: Longs) -> Integers:
    """Where a line turns: +1 if ŷ₋₂ > ŷ₋₁ < ŷ, −1 mirrored, else 0 (SPEC §2, NW-RQK)."""
    turn = np.zeros(len(estimate), np.int64)
    for t in range(2, len(estimate)):
        first, middle, last = estimate[t - 2 : t + 1]
        if first > middle < last:
            turn[t] = 1
        elif first < middle > last:
            turn[t] = -1
    return turn
