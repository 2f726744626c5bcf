"""The clairvoyant optimum: the best that a policy can do which sees the planted signal itself.

Dynamic programming on (s, position, bars held) with the engine's rules (SPEC §5): a decision at
the close is long, hold or short; what it wants is filled at the next open; a position that was held
``hold_bars_max`` bars is closed, unless the opposite is wanted on that very bar. s is continuous;
it lives on a grid whose transitions are quadrature weights, and the policy that comes out is two
thresholds on s for each (position, bars held).

Money is in units of one bar's deviation of one target position: q x price x volatility. A cost is
in the same unit, paid for each q that is turned: twice for a reversal.
"""

import math
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument
from gm.training.planted import Floats, PlantedSettings, check_settings

LONG, HOLD, SHORT = 0, 1, 2  # SPEC §5: the actions of every agent; 1 is its neutral
HOLD_BARS_MAX = 46
GRID_POINTS = 161
_GRID_EDGE = 5.0  # deviations of s
_TOLERANCE = 1e-10  # of the reward a bar
_ITERATIONS_MAX = 200_000

Integers = NDArray[np.int64]
# (signal, position, bars held), shape (n,) each, to actions, shape (n,).
Decide = Callable[[Floats, Integers, Integers], Integers]


class Problem(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A signal of m values and what it costs to follow it.

    ``transition``: (m, m), rows sum to 1. ``drift``: (m,), what a long position earns in the bar
    that follows. ``cost`` of turning one q. ``hold_bars_max``: 0 for no such exit.
    """

    transition: Floats
    drift: Floats
    cost: float
    hold_bars_max: int


class Optimum(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The best policy and what it earns.

    ``reward_per_bar``: in the long run, in units of one bar's deviation. ``policy``: actions,
    (states, m). ``long_above``, ``short_below``: (states,), thresholds on s; infinite where the
    answer is never given. States are 0 flat, then long and short for each number of bars held.
    """

    problem: Problem
    grid: Floats
    reward_per_bar: float
    policy: Integers
    long_above: Floats
    short_below: Floats


def cost_in_deviations(
    settings: PlantedSettings, commission_bps: float, slippage_ticks: float
) -> float:
    """What turning one q costs, in units of one bar's deviation at the market's first price.

    Parameters
    ----------
    settings : PlantedSettings
    commission_bps, slippage_ticks : float
        As the venue takes them from every fill: basis points of the notional, ticks against us.

    Source
    ------
    SPEC §1, Instruments and Bars.
    """
    fraction = commission_bps * 1e-4 + slippage_ticks / settings.first_price_ticks
    return fraction / settings.volatility


def solve_optimum(
    settings: PlantedSettings,
    cost: float,
    hold_bars_max: int = HOLD_BARS_MAX,
    points: int = GRID_POINTS,
) -> Optimum:
    """Find the policy that earns most a bar among all that see s.

    Parameters
    ----------
    settings : PlantedSettings
        Strength and persistence of the signal.
    cost : float
        Of turning one q, in units of one bar's deviation, at least 0; see cost_in_deviations.
    hold_bars_max : int
        As ``policy.max_hold_bars`` of the configuration; 0 for no such exit.
    points : int
        Of the grid of s, 41 to 1001.

    Returns
    -------
    Optimum

    Raises
    ------
    BadArgument
        If an argument is out of range, or the signal so slow that the grid is too coarse for it.

    Source
    ------
    Puterman, Markov Decision Processes, 1994, §8.5.4 (relative value iteration). Transitions:
    Tauchen, Hussey, "Quadrature-Based Methods for Obtaining Approximate Solutions to Nonlinear
    Asset Pricing Models", 1991, with equal steps, where the trapezoidal rule is as good as exact.
    """
    check_settings(settings)
    if not (math.isfinite(cost) and cost >= 0.0) or not 0 <= hold_bars_max <= 10_000:
        raise BadArgument(
            f"cost must be at least 0 and hold_bars_max 0 to 10,000: {cost}, {hold_bars_max}"
        )
    if not 41 <= points <= 1001:
        raise BadArgument(f"points must be 41 to 1001: {points}")
    grid, transition = signal_grid(settings.persistence, points)
    problem = Problem(
        transition=transition,
        drift=settings.drift_share * grid,
        cost=cost,
        hold_bars_max=hold_bars_max,
    )
    reward, answers = best_policy(problem)
    policy = np.argmax(answers, axis=1)
    return Optimum(
        problem=problem,
        grid=grid,
        reward_per_bar=reward,
        policy=policy,
        long_above=_crossing(grid, answers[:, LONG] - answers[:, [HOLD, SHORT]].max(axis=1)),
        short_below=-_crossing(
            -grid[::-1], (answers[:, SHORT] - answers[:, [LONG, HOLD]].max(axis=1))[:, ::-1]
        ),
    )


def signal_grid(persistence: float, points: int) -> tuple[Floats, Floats]:
    """Equal steps from -5 to 5, shape (m,), and the chance to go from one to another, (m, m)."""
    grid = np.linspace(-_GRID_EDGE, _GRID_EDGE, points)
    deviation = math.sqrt(1.0 - persistence**2)
    step = float(grid[1] - grid[0])
    if step > deviation:
        raise BadArgument(
            f"points: {points} are {step:.3f} apart, the signal moves by {deviation:.3f} a bar: "
            f"at least {math.ceil(2.0 * _GRID_EDGE / deviation) + 1}"
        )
    away = (grid[None, :] - persistence * grid[:, None]) / deviation
    weights = np.exp(-0.5 * away**2)
    return grid, weights / weights.sum(axis=1, keepdims=True)


def best_policy(problem: Problem) -> tuple[float, Floats]:
    """Reward a bar of the best policy, and the worth of each answer, (states, 3, m)."""
    value = np.zeros((1 + 2 * _ages(problem), len(problem.drift)))
    for _ in range(_ITERATIONS_MAX):
        answers = _answers(problem, value)
        better = answers.max(axis=1)
        gains = better - value
        low, high = float(gains.min()), float(gains.max())
        if high - low < _TOLERANCE:
            return 0.5 * (low + high), answers
        value = better - better[0, len(problem.drift) // 2]
    raise BadArgument(f"no policy found in {_ITERATIONS_MAX} iterations: bounds {low}, {high}")


def reward_of(problem: Problem, policy: Integers) -> float:
    """Reward a bar in the long run of any policy, shape (states, m), on the grid."""
    value = np.zeros((1 + 2 * _ages(problem), len(problem.drift)))
    for _ in range(_ITERATIONS_MAX):
        chosen = np.take_along_axis(_answers(problem, value), policy[:, None, :], axis=1)[:, 0]
        gains = chosen - value
        low, high = float(gains.min()), float(gains.max())
        if high - low < _TOLERANCE:
            return 0.5 * (low + high)
        # Half a step: a policy may go round in circles, and values would with it.
        value = 0.5 * (value + chosen)
        value -= value[0, len(problem.drift) // 2]
    raise BadArgument(f"no value found in {_ITERATIONS_MAX} iterations: bounds {low}, {high}")


def episode_reward(optimum: Optimum, bars: int) -> float:
    """What the policy earns on average in so many decisions from flat, marked at the last close.

    Parameters
    ----------
    optimum : Optimum
    bars : int
        At least 1.

    Returns
    -------
    float
        A sum, in units of one bar's deviation.
    """
    if bars < 1:
        raise BadArgument(f"bars must be at least 1: {bars}")
    problem = optimum.problem
    value = np.zeros_like(optimum.policy, dtype=np.float64)
    for _ in range(bars):
        answers = _answers(problem, value)
        value = np.take_along_axis(answers, optimum.policy[:, None, :], axis=1)[:, 0]
    weights = np.exp(-0.5 * optimum.grid**2)
    return float(value[0] @ weights / weights.sum())


def decide(optimum: Optimum) -> Decide:
    """The policy as a function of (signal, position, bars held); positions are -1, 0, 1."""
    ages = _ages(optimum.problem)

    def by_thresholds(signal: Floats, position: Integers, held_bars: Integers) -> Integers:
        age = np.clip(held_bars, 1, ages)
        state = np.where(position == 0, 0, np.where(position > 0, age, ages + age))
        answer = np.where(signal > optimum.long_above[state], LONG, HOLD)
        return np.where(signal < optimum.short_below[state], SHORT, answer)

    return by_thresholds


def play(
    decisions: Decide, signal: Floats, moves: Floats, cost: float, hold_bars_max: int
) -> tuple[Floats, Integers]:
    """Trade many markets by the rules of the dynamic program, without an engine.

    Parameters
    ----------
    decisions : callable
        As ``decide`` makes it.
    signal, moves : float64, shape (n, bars)
        What is seen at each close; what one q earns in the bar after it.
    cost : float
        Of turning one q, in the unit of moves.
    hold_bars_max : int
        0 for no such exit.

    Returns
    -------
    tuple
        Rewards and positions in the bar after each decision, shape (n, bars).
    """
    rewards = np.zeros(signal.shape)
    positions = np.zeros(signal.shape, np.int64)
    position = np.zeros(len(signal), np.int64)
    held_bars = np.zeros(len(signal), np.int64)
    for bar in range(signal.shape[1]):
        wanted = 1 - decisions(signal[:, bar], position, held_bars)
        must_exit = (position != 0) & (hold_bars_max > 0) & (held_bars >= hold_bars_max)
        acts = (wanted != 0) & (~must_exit | (wanted != position))
        target = np.where(acts, wanted, np.where(must_exit, 0, position))
        rewards[:, bar] = target * moves[:, bar] - cost * np.abs(target - position)
        held_bars = np.where(target == 0, 0, np.where(target == position, held_bars + 1, 1))
        position = target
        positions[:, bar] = position
    return rewards, positions


def _ages(problem: Problem) -> int:
    return max(1, problem.hold_bars_max)


def _answers(problem: Problem, value: Floats) -> Floats:
    """Worth of long, hold and short in each state, (states, 3, m), given that of what follows."""
    ages, cost = _ages(problem), problem.cost
    after = value @ problem.transition.T
    flat, longs, shorts = after[0], slice(1, 1 + ages), slice(1 + ages, None)
    answers = np.empty((len(value), 3, len(problem.drift)))
    enter = {1: problem.drift + after[1], -1: -problem.drift + after[1 + ages]}
    answers[0] = enter[1] - cost, flat, enter[-1] - cost
    for side, rows, same, opposite in ((1, longs, LONG, SHORT), (-1, shorts, SHORT, LONG)):
        stays = np.empty((ages, len(problem.drift)))
        aged = after[rows]
        if problem.hold_bars_max:
            stays[:-1] = side * problem.drift + aged[1:]
            stays[-1] = flat - cost  # held long enough; the same side does not renew
        else:
            stays[:] = side * problem.drift + aged
        answers[rows, HOLD] = stays
        answers[rows, same] = -np.inf  # the same as to hold
        answers[rows, opposite] = enter[-side] - 2.0 * cost
    return answers


def _crossing(grid: Floats, advantage: Floats) -> Floats:
    """Where each row of an advantage, which grows along the grid, turns positive, (states,)."""
    thresholds = np.full(len(advantage), np.inf)
    for state, row in enumerate(advantage):
        above = np.flatnonzero(row > 0.0)
        if not len(above):
            continue
        first = int(above[0])
        if len(above) != len(grid) - first:
            raise AssertionError(f"state {state}: the best answer is no threshold on s")
        if first == 0:
            thresholds[state] = -np.inf
            continue
        left, right = row[first - 1], row[first]
        thresholds[state] = grid[first - 1] + (grid[first] - grid[first - 1]) * left / (
            left - right
        )
    return thresholds
