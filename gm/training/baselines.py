"""What a trained policy must beat: buy and hold, random entry, and momentum.

Each gives the votes of all agents, which agree, so that the ensemble acts whatever its weights are:
0 long, 1 neutral, 2 short. They run in the training environment, which is a backtest; two of them
are also the source of a rule for ``gm.backtest`` with ``policy.profile: rule``. Random entry is
not: it looks at the position, and a rule sees bars only.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument
from gm.features import STRATEGIC_COLUMNS
from gm.training.optimum import HOLD, LONG, SHORT

AGENTS = 3
MOMENTUM_THRESHOLD = 0.2
_MOMENTUM = [STRATEGIC_COLUMNS.index(name) for name in ("momentum_20", "momentum_50")]

Actions = NDArray[np.int64]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]

_BUY_AND_HOLD_SOURCE = '''\
"""Buy and hold."""

import gm


@gm.rule(warmup=1)
def buy_and_hold(close):
    """Long, always."""
    return 1
'''
# Columns 8 and 9 of SPEC §3, from closes.
_MOMENTUM_SOURCE = '''\
"""Long or short where momentum over 20 and 50 bars agrees."""

import math

import gm


@gm.rule(warmup=51)
def momentum(close):
    """Mean of momentum_20 and momentum_50 beyond {threshold!r}."""
    mean = math.log(close[50] / close[20]) / 30.0
    squares = 0.0
    for i in range(21, 51):
        squares += (math.log(close[i] / close[i - 1]) - mean) ** 2
    deviation = math.sqrt(squares / 29.0)
    if deviation == 0.0:
        return 0
    fast = math.tanh(math.log(close[50] / close[30]) / (deviation * math.sqrt(20.0)))
    slow = math.tanh(math.log(close[50] / close[0]) / (deviation * math.sqrt(50.0)))
    value = 0.5 * (fast + slow)
    return 1 if value > {threshold!r} else (-1 if value < -{threshold!r} else 0)
'''


class RandomEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chances at a decision: to enter, that an entry is long, to turn a long, to turn a short."""

    enter: Probability
    long_share: Probability
    turn_long: Probability
    turn_short: Probability


def buy_and_hold(matrices: NDArray[np.float32], agents: int = AGENTS) -> Actions:
    """Vote long, always.

    Parameters
    ----------
    matrices : float32, shape (n, 48, 13)
        Of n bars, or of n markets.
    agents : int

    Returns
    -------
    int64, shape (n, agents)
        Where ``policy.max_hold_bars`` is not 0 the engine leaves for a bar whenever it is over: for
        a true buy and hold set it to 0.
    """
    return votes(np.full(len(matrices), LONG), agents)


def momentum(
    matrices: NDArray[np.float32], agents: int = AGENTS, threshold: float = MOMENTUM_THRESHOLD
) -> Actions:
    """Follow the mean of momentum_20 and momentum_50 of the newest row.

    Parameters
    ----------
    matrices : float32, shape (n, 48, 13)
        Of n bars, or of n markets.
    agents : int
    threshold : float in [0, 1)
        Long above it, short below its negative, neutral between.

    Returns
    -------
    int64, shape (n, agents)

    Raises
    ------
    BadArgument
        If the threshold is out of range.

    Source
    ------
    Moskowitz, Ooi, Pedersen, "Time Series Momentum", 2012, on the scaled columns of SPEC §3.
    """
    _check_threshold(threshold)
    value = matrices[:, -1, _MOMENTUM].astype(np.float64).mean(axis=1)
    return votes(
        np.where(value > threshold, LONG, np.where(value < -threshold, SHORT, HOLD)), agents
    )


def random_entry(
    chances: RandomEntry,
    position: NDArray[np.floating | np.integer],
    random: np.random.Generator,
    agents: int = AGENTS,
) -> Actions:
    """Enter and turn by chance, as often as the strategy that ``fit_random_entry`` looked at.

    Parameters
    ----------
    chances : RandomEntry
    position : shape (n,)
        Of n markets, before the decision; its sign counts.
    random : Generator
    agents : int

    Returns
    -------
    int64, shape (n, agents)

    Source
    ------
    SPEC §7, baselines. Ours.
    """
    dice, coin = random.random((2, len(position)))
    entry = np.where(coin < chances.long_share, LONG, SHORT)
    flat = np.where(dice < chances.enter, entry, HOLD)
    long = np.where(dice < chances.turn_long, SHORT, HOLD)
    short = np.where(dice < chances.turn_short, LONG, HOLD)
    return votes(np.where(position > 0, long, np.where(position < 0, short, flat)), agents)


def fit_random_entry(
    positions: NDArray[np.floating | np.integer], hold_bars_max: int
) -> RandomEntry:
    """Chances that give the mean holding time, time in the market and turnover of a strategy.

    Parameters
    ----------
    positions : shape (n, bars)
        Of a strategy in n markets, after each decision; signs count.
    hold_bars_max : int
        ``policy.max_hold_bars`` under which both trade; 0 for no such exit.

    Returns
    -------
    RandomEntry
        A side that the strategy never turned from is never turned from.

    Raises
    ------
    BadArgument
        If the strategy never had a position.

    Source
    ------
    Ours. Holding times are geometric, cut off at the bound: their mean is (1 - (1 - h)^m)/h.
    """
    signs = np.sign(np.atleast_2d(positions)).astype(np.int64)
    before = np.concatenate([np.zeros((len(signs), 1), np.int64), signs[:, :-1]], axis=1)
    begins = (signs != before) & (signs != 0)
    if not begins.any():
        raise BadArgument(f"the strategy never had a position in {signs.size} bars")
    turns, cut = {}, 0.0
    for side in (1, -1):
        spells = int(np.count_nonzero(begins & (signs == side)))
        bars = int(np.count_nonzero(signs == side))
        turns[side] = _turn_chance(bars / spells, hold_bars_max) if spells else 0.0
        cut += spells * (1.0 - turns[side]) ** hold_bars_max if hold_bars_max else 0.0
    entries = begins & (before == 0)
    # As many flat bars in all: fewer exits by time, longer waits, and the other way round. Those
    # before the first entry of each market are waits too.
    flat_bars = int(np.count_nonzero(signs == 0))
    waits = cut + len(signs)
    return RandomEntry(
        enter=min(1.0, waits / (flat_bars + len(signs))),
        long_share=float(np.count_nonzero(entries & (signs > 0)) / np.count_nonzero(entries)),
        turn_long=turns[1],
        turn_short=turns[-1],
    )


def rule_source(
    name: Literal["buy_and_hold", "momentum"], threshold: float = MOMENTUM_THRESHOLD
) -> str:
    """Source of a file for ``kernels.path`` that decides like the baseline of that name.

    Parameters
    ----------
    name : "buy_and_hold" or "momentum"
    threshold : float in [0, 1)
        Of momentum.

    Returns
    -------
    str
        Python with one ``@gm.rule``.

    Raises
    ------
    BadArgument
        If there is no such baseline, or the threshold is out of range.
    """
    _check_threshold(threshold)
    if name == "buy_and_hold":
        return _BUY_AND_HOLD_SOURCE
    if name == "momentum":
        return _MOMENTUM_SOURCE.format(threshold=float(threshold))
    raise BadArgument(f"no rule is called {name!r}: buy_and_hold, momentum")


def votes(actions: NDArray[np.integer], agents: int = AGENTS) -> Actions:
    """The same vote from all agents: int64, shape (n, agents), for actions of shape (n,)."""
    if agents < 1:
        raise BadArgument(f"agents must be at least 1: {agents}")
    return np.repeat(actions.astype(np.int64)[:, None], agents, axis=1)


def _check_threshold(threshold: float) -> None:
    if not 0.0 <= threshold < 1.0:
        raise BadArgument(f"threshold must be in [0, 1): {threshold}")


def _turn_chance(bars: float, hold_bars_max: int) -> float:
    """Solve (1 - (1 - h)^m)/h = bars for h; 0 where even m bars are not longer."""
    if hold_bars_max == 0:
        return 1.0 / bars
    if bars >= hold_bars_max:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if (1.0 - (1.0 - middle) ** hold_bars_max) / middle > bars:
            low = middle
        else:
            high = middle
    return high
