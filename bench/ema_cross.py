"""The rule of bench_backtest.py: long while the mean of 10 bars is above that of 20, else short.

A window holds the last WINDOW closes, so each mean begins anew from the oldest: what came before
weighs (19/21)^199, 2e-9 of a price, and no cross is as near as that. A mean that begins anew is a
sum of weighted closes, and so is the difference of two; four sums, because each waits only for
itself.
"""

import numpy as np

import gm

WINDOW = 200


def weights(taken: float) -> np.ndarray:
    """How much each close of a window, oldest first, weighs in its exponential mean."""
    values = taken * (1.0 - taken) ** np.arange(WINDOW - 1, -1, -1)
    values[0] /= taken
    return values


FAST_LESS_SLOW = weights(2.0 / 11.0) - weights(2.0 / 21.0)


@gm.rule(warmup=WINDOW, minutes=5)
def ema_cross(close):
    """1 or -1 of every window."""
    a = b = c = d = 0.0
    for i in range(0, WINDOW, 4):
        a += FAST_LESS_SLOW[i] * close[i]
        b += FAST_LESS_SLOW[i + 1] * close[i + 1]
        c += FAST_LESS_SLOW[i + 2] * close[i + 2]
        d += FAST_LESS_SLOW[i + 3] * close[i + 3]
    return 1 if (a + b) + (c + d) >= 0.0 else -1
