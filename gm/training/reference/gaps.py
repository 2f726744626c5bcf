"""FVG: fair value gaps of 5-minute candles, how they age, and when they are mitigated."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.training.reference.smoothing import Floats, Integers

BODIES = 10  # before the middle bar
BODY_RATIO = 1.5
TICKS_MIN = 2.0
ATR_SHARE_MIN = 0.1
PENETRATION = 0.5
AGE_MAX = 50
LIVE_MAX = 64


class Candle(msgspec.Struct, frozen=True):
    """One ordinary candle, prices in ticks."""

    open_: float
    high: float
    low: float
    close: float


class Gap(msgspec.Struct):
    """A live gap [lo, hi]; ``deepest`` is the furthest that later bars came into it."""

    direction: int
    lo: float
    hi: float
    deepest: float
    age: int = 0

    @property
    def middle(self) -> float:
        """Its level."""
        return (self.lo + self.hi) / 2.0

    def penetration(self) -> float:
        """Share of the gap that has been traded through since."""
        way = self.hi - self.deepest if self.direction > 0 else self.deepest - self.lo
        return way / (self.hi - self.lo)


class GapColumns(msgspec.Struct, frozen=True, eq=False):
    """Shape (n,) each: gaps alive after each bar's update, and what that bar mitigated.

    ``level`` (ticks) and ``age`` (real bars) of the nearest gap are NaN without one; ``size`` is
    (hi − lo)/C of the largest gap that the signal stands for, 0 without a signal.
    """

    bullish: NDArray[np.bool_]
    bearish: NDArray[np.bool_]
    level: Floats
    age: Floats
    signal: Integers
    size: Floats


def fair_value_gaps(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    atr: Floats,
    is_synthetic: NDArray[np.bool_],
) -> GapColumns:
    """Follow every gap from bar to bar.

    Parameters
    ----------
    open_, high, low, close : shape (n,), ticks
        Ordinary 5-minute candles.
    atr : shape (n,), ticks
        ATR14, NaN while unknown: no gap is found then.
    is_synthetic : shape (n,)
        Bars that are neither looked at nor counted.

    Returns
    -------
    GapColumns
        As of the close of each bar.

    Source
    ------
    SPEC §2, FVG.
    """
    n = len(close)
    out = GapColumns(
        np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.full(n, np.nan), np.full(n, np.nan),
        np.zeros(n, np.int64), np.zeros(n),
    )  # fmt: skip
    live: list[Gap] = []
    real: list[Candle] = []
    for t in range(n):
        if not is_synthetic[t]:
            real.append(Candle(open_[t], high[t], low[t], close[t]))
            live, fired = _age(live, real[-1])
            directions = {gap.direction for gap in fired}
            if len(directions) == 1:  # both on one bar say nothing
                out.signal[t] = directions.pop()
                out.size[t] = max(gap.hi - gap.lo for gap in fired) / close[t] if close[t] else 0.0
            live = [*live, *_new_gap(real, atr[t])][-LIVE_MAX:]
        out.bullish[t] = any(gap.direction > 0 for gap in live)
        out.bearish[t] = any(gap.direction < 0 for gap in live)
        if live:  # from the newest: min takes the first of equals
            nearest = min(reversed(live), key=lambda gap: abs(gap.middle - close[t]))
            out.level[t], out.age[t] = nearest.middle, nearest.age
    return out


def _age(live: list[Gap], bar: Candle) -> tuple[list[Gap], list[Gap]]:
    """Gaps that outlive a later bar, and those that it mitigates."""
    kept, fired = [], []
    for gap in live:
        gap.age += 1
        if gap.age > AGE_MAX:
            continue
        if gap.direction > 0:
            gap.deepest = min(gap.deepest, bar.low)
            is_back, is_through = bar.close >= gap.hi, bar.close < gap.lo
        else:
            gap.deepest = max(gap.deepest, bar.high)
            is_back, is_through = bar.close <= gap.lo, bar.close > gap.hi
        if gap.penetration() >= PENETRATION and is_back:
            fired.append(gap)
        elif not is_through:
            kept.append(gap)
    return kept, fired


def _new_gap(real: list[Candle], atr: float) -> list[Gap]:
    """The gap between the last candle and the last but two, if the one between was strong."""
    if len(real) < BODIES + 2 or np.isnan(atr):
        return []
    last, middle, first = real[-1], real[-2], real[-3]
    usual = np.mean([abs(bar.close - bar.open_) for bar in real[-BODIES - 2 : -2]])
    if not abs(middle.close - middle.open_) > BODY_RATIO * usual:
        return []
    least = max(TICKS_MIN, ATR_SHARE_MIN * atr)
    if last.low > first.high and last.low - first.high >= least:
        return [Gap(1, first.high, last.low, deepest=last.low)]
    if last.high < first.low and first.low - last.high >= least:
        return [Gap(-1, last.high, first.low, deepest=last.high)]
    return []
