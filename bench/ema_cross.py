"""The rule of bench_backtest.py: long while the mean of 10 bars is not below that of 20.

A window holds the last WINDOW closes, so each mean begins anew from the oldest: what came before
weighs (19/21)^199, 2e-9 of a price, and no cross is as near as that.
"""

import gm

WINDOW = 200


@gm.rule(warmup=WINDOW, minutes=5)
def ema_cross(close):
    """1 or -1 of every window."""
    fast = slow = close[0]
    for i in range(1, len(close)):
        fast += 2.0 / 11.0 * (close[i] - fast)
        slow += 2.0 / 21.0 * (close[i] - slow)
    return 1 if fast >= slow else -1
