"""What the trainer asks of a batch of markets; gm.training.environment has one."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Observation(Protocol):
    """What n markets show."""

    @property
    def matrix(self) -> NDArray[np.float32]:
        """Shape (n, rows, columns), oldest row first."""

    @property
    def context(self) -> NDArray[np.float32]:
        """Shape (n, context)."""

    @property
    def position(self) -> NDArray[np.float32]:
        """Shape (n,): signed lots over the limit."""


class Step(Protocol):
    """What n markets answer to actions. An episode that ended has begun anew in the same step."""

    @property
    def observation(self) -> Observation:
        """What to decide on next."""

    @property
    def reward(self) -> NDArray[np.float32]:
        """Shape (n,): of the step that is over."""

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """Shape (n,): the episode ended, and nothing comes after it."""

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Shape (n,): the episode was cut, the market goes on."""

    @property
    def last_observation(self) -> Observation:
        """Of markets that ended: what they showed before the new episode."""

    @property
    def equity(self) -> NDArray[np.float64]:
        """Shape (n,): net of all costs."""

    @property
    def episode_return(self) -> NDArray[np.float64]:
        """Shape (n,): sum of rewards of the episode so far, or of the one that just ended."""


class Market(Protocol):
    """n markets that are stepped together."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Names, in the order of the actions."""

    @property
    def size(self) -> int:
        """How many: n."""

    def reset(self, seed: int | None = None) -> Observation:
        """Begin new episodes in all markets, drawn from the seed."""

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Take actions, shape (n, agents)."""

    def set_synergy_factor(self, factor: float) -> None:
        """Change the weight of the reward's synergy term."""
