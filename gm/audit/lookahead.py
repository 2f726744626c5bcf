"""Does a matrix know the future? Every bar behind a moment is poisoned; it must not notice."""

import msgspec
import numpy as np

from gm.audit.views import Bars, Difference, View, check_seed, first_difference

SYNTHETIC = 1
SPACING_BARS = 3
PRICES = ("open_ticks", "high_ticks", "low_ticks", "close_ticks")


class LookaheadReport(msgspec.Struct, frozen=True, kw_only=True):
    """At how many moments the future was poisoned, and the first matrix that noticed."""

    view: str
    bars: int
    moments: int
    seed: int
    difference: Difference | None

    @property
    def is_clean(self) -> bool:
        """Whether no matrix changed."""
        return self.difference is None


def check_lookahead(
    view: View, bars: Bars, instrument: str, *, moments: int = 50, seed: int = 1
) -> LookaheadReport:
    """Poison all bars behind random moments and compare every matrix up to the moment.

    Parameters
    ----------
    view : View
        Which matrix.
    bars : structured, shape (n,)
        With the fields of ``gm.read_bars``, of the view's size.
    instrument : str
        Symbol of configs/instruments.yaml.
    moments : int
        How many, at most n. With n of them every bar but the last has its successor poisoned.
    seed : int
        Of moments and poison, 0 to 2^64 - 1.

    Returns
    -------
    LookaheadReport
        The first difference in time, if there is one.

    Raises
    ------
    BadArgument, UnknownInstrument
        As the view's batch function; if the seed is out of range.

    Source
    ------
    Ours.
    """
    check_seed(seed)
    random = np.random.default_rng(seed)
    matrices, ready = view.batch(bars, instrument)
    chosen = np.sort(random.choice(len(bars), min(moments, len(bars)), replace=False))
    for last in chosen.tolist():
        found = view.batch(poisoned(bars, last + 1, view.minutes, random), instrument)
        known = slice(0, last + 1)
        is_same = np.array_equal(
            matrices[known].view(np.uint32), found[0][known].view(np.uint32)
        ) and np.array_equal(ready[known], found[1][known])
        if is_same:
            continue
        changed = (matrices[known].view(np.uint32) != found[0][known].view(np.uint32)).any((1, 2))
        bar = int(np.argmax(changed | (ready[known] != found[1][known])))
        difference = first_difference(
            view, bars, bar, f"bars from {last + 1} on poisoned",
            (matrices[bar], bool(ready[bar])), (found[0][bar], bool(found[1][bar])),
        )  # fmt: skip
        return LookaheadReport(
            view=view.name, bars=len(bars), moments=len(chosen), seed=seed, difference=difference
        )
    return LookaheadReport(
        view=view.name, bars=len(bars), moments=len(chosen), seed=seed, difference=None
    )


def poisoned(bars: Bars, first: int, minutes: int, random: np.random.Generator) -> Bars:
    """Bars whose future is another: later, shorter, with prices and volumes of their own.

    Parameters
    ----------
    bars : structured, shape (n,)
        Untouched.
    first : index
        The first bar that is poisoned.
    minutes : int
        Size of the bars; the future begins a random number of them later.
    random : numpy.random.Generator
        Where the poison comes from.

    Returns
    -------
    structured, shape (first..n,)
        Valid bars: H and L hold O and C, times ascend, some are synthetic.

    Source
    ------
    Ours.
    """
    keep = int(random.integers(first, len(bars) + 1))
    other = bars[: max(keep, min(first + 1, len(bars)))].copy()
    count = len(other) - first
    if count == 0:
        return other
    tail = other[first:]
    level = np.maximum(np.abs(bars["close_ticks"][max(first - 1, 0)]), 1)
    price = np.rint(level * np.exp(random.normal(0.0, 0.5, (count, 2)))).astype(np.int64) + 1
    wick = random.integers(0, max(level // 20, 2), (count, 2))
    tail["open_ticks"], tail["close_ticks"] = price.T
    tail["high_ticks"] = price.max(axis=1) + wick[:, 0]
    tail["low_ticks"] = price.min(axis=1) - wick[:, 1]
    tail["volume_lots"] = random.integers(0, 1_000_000, count)
    tail["flags"] = np.where(random.random(count) < 0.05, SYNTHETIC, 0)
    if first > SPACING_BARS:  # fewer bars would not show how far apart they are
        tail["start_ts_ns"] += int(random.integers(0, 1000)) * minutes * 60 * 10**9
    return other
