"""How good a policy is on markets that it did not learn from: fresh episodes, likeliest actions."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.errors import BadArgument
from gm.training.mappo import Trainer
from gm.training.market import Market
from gm.training.statistics import mean_interval

# An episode that never ends is a fault of the market, not a reason to wait.
_STEPS_MAX = 1_000_000

Returns = NDArray[np.float64]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Mean return of episodes and its 95 % bootstrap interval."""

    episodes: int
    mean: float
    low: float
    high: float


def play_episodes(trainer: Trainer, market: Market, seed: int, episodes: int) -> Returns:
    """Play fresh episodes.

    Parameters
    ----------
    trainer : Trainer
        Its likeliest actions are taken; ``random`` draws.
    market : Market
        Any size. Each market plays the same number, so that short episodes weigh no more.
    seed : int
        Of the episodes.
    episodes : int
        At least this many, at least 1.

    Returns
    -------
    ndarray of float64, shape (k,)
        Episode returns, k = size x ceil(episodes / size), market by market.

    Raises
    ------
    BadArgument
        If episodes is below 1, or no episode ends within 1,000,000 steps.
    """
    if episodes < 1:
        raise BadArgument(f"episodes must be at least 1: {episodes}")
    each = -(-episodes // market.size)
    found: list[list[float]] = [[] for _ in range(market.size)]
    observation: Any = market.reset(seed)
    for _ in range(_STEPS_MAX):
        step = market.step(trainer.act(observation, is_greedy=True))
        observation = step.observation
        for i in np.flatnonzero(step.terminated | step.truncated):
            found[i].append(float(step.episode_return[i]))
        if min(len(one) for one in found) >= each:
            return np.concatenate([np.array(one[:each]) for one in found])
    raise BadArgument(f"fewer than {each} episodes a market ended within {_STEPS_MAX} steps")


def summarise(returns: Returns) -> Evaluation:
    """Mean and 95 % bootstrap interval of the episode returns of one trained policy.

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        At least two.

    Returns
    -------
    Evaluation

    Raises
    ------
    BadArgument
        As ``mean_interval``. Each episode is drawn by itself: it says nothing of other seeds.
    """
    found = mean_interval(returns[:, np.newaxis], episodes="own")
    return Evaluation(episodes=len(returns), mean=found.estimate, low=found.low, high=found.high)
