"""A batch of markets as other libraries see an environment: PettingZoo and Gymnasium.

Only whoever wants these views imports them: both libraries belong to the extra `train`. A view adds
nothing but names and shapes; episodes, rewards and their order are the batch's.
"""

from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from gm.errors import BadArgument
from gm.training.environment import MarketBatch, Observation, Step

# SPEC §5: what each agent sees of the strategic matrix.
AGENT_COLUMNS: Final[dict[str, tuple[int, ...]]] = {
    "mlmi": (0, 1, 8, 9),
    "nwrqk": (2, 3, 4, 5),
    "regime": (10, 11, 12),
}
ROWS, COLUMNS, CONTEXT, ACTIONS = 48, 13, 6, 3

Floats = NDArray[np.float32]


def agent_inputs(observation: Observation, columns: tuple[int, ...]) -> Floats:
    """Lay out what one agent's network takes.

    Parameters
    ----------
    observation : Observation
        Of n markets.
    columns : tuple of int
        Of the strategic matrix.

    Returns
    -------
    ndarray
        float32 (n, 48 x columns + 6): rows oldest first, then the context.

    Source
    ------
    SPEC §5.
    """
    rows = observation.matrix[:, :, columns].reshape(len(observation.matrix), -1)
    return np.concatenate([rows, observation.context], axis=1)


class ParallelMarket(ParallelEnv[str, Floats, np.int64]):
    """One market for agents that act at once (PettingZoo). All earn the same reward.

    Parameters
    ----------
    batch : MarketBatch
        Of one market, whose agents are those of SPEC §5. The view owns it: ``close`` closes it.

    Raises
    ------
    BadArgument
        If the batch has more markets or other agents.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "grandmodel_market_v0", "render_modes": []}

    def __init__(self, batch: MarketBatch) -> None:
        _check_size(batch)
        if not set(batch.agents) <= AGENT_COLUMNS.keys():
            raise BadArgument(
                f"agents must be of {', '.join(AGENT_COLUMNS)}: {', '.join(batch.agents)}"
            )
        self._batch = batch
        self.possible_agents = list(batch.agents)
        self.agents: list[str] = []
        self.render_mode = None
        self.observation_spaces: dict[str, spaces.Space[Any]] = {
            name: _box(ROWS * len(AGENT_COLUMNS[name]) + CONTEXT) for name in batch.agents
        }
        self.action_spaces: dict[str, spaces.Space[Any]] = {
            name: spaces.Discrete(ACTIONS) for name in batch.agents
        }

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Rows of the agent's columns, oldest first, then the context."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """0 long, 1 neutral, 2 short."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats], dict[str, dict[str, Any]]]:
        """Begin an episode; a seed begins the draws anew."""
        observation = self._batch.reset(seed)
        self.agents = list(self.possible_agents)
        return self._rows(observation), {name: {} for name in self.agents}

    def step(
        self, actions: dict[str, np.int64]
    ) -> tuple[
        dict[str, Floats],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Step to the next decision. When the episode has ended nobody acts until ``reset``."""
        votes = np.array([[actions[name] for name in self.possible_agents]], np.int64)
        step = self._batch.step(votes)
        names = self.agents
        answer = (
            self._rows(step.last_observation),
            dict.fromkeys(names, float(step.reward[0])),
            dict.fromkeys(names, bool(step.terminated[0])),
            dict.fromkeys(names, bool(step.truncated[0])),
            {name: _money(step) for name in names},
        )
        if step.terminated[0] or step.truncated[0]:
            self.agents = []
        return answer

    def render(self) -> None:
        """Show nothing: `gm report` does."""

    def close(self) -> None:
        """Close the batch."""
        self._batch.close()

    def _rows(self, observation: Observation) -> dict[str, Floats]:
        return {
            name: agent_inputs(observation, AGENT_COLUMNS[name])[0] for name in self.possible_agents
        }


class MarketEnv(gymnasium.Env[dict[str, Floats], NDArray[np.int64]]):
    """One market for one actor that says all agents' actions (Gymnasium).

    Parameters
    ----------
    batch : MarketBatch
        Of one market. The view owns it: ``close`` closes it.

    Raises
    ------
    BadArgument
        If the batch has more markets.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, batch: MarketBatch) -> None:
        _check_size(batch)
        self._batch = batch
        self.observation_space = _observation_space()
        self.action_space = _action_space(batch)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats], dict[str, Any]]:
        """Begin an episode; a seed begins the draws anew."""
        super().reset(seed=seed)
        return _first(self._batch.reset(seed)), {}

    def step(
        self, action: NDArray[np.int64]
    ) -> tuple[dict[str, Floats], float, bool, bool, dict[str, Any]]:
        """Step to the next decision; the observation is that of the end where one is reached."""
        step = self._batch.step(np.asarray(action, np.int64).reshape(1, -1))
        ended = bool(step.terminated[0]), bool(step.truncated[0])
        return _first(step.last_observation), float(step.reward[0]), *ended, _money(step)

    def close(self) -> None:
        """Close the batch."""
        self._batch.close()


class MarketVectorEnv(
    gymnasium.vector.VectorEnv[dict[str, Floats], NDArray[np.int64], NDArray[np.int64]]
):
    """All markets of a batch (Gymnasium). One that ended is reset in the same step.

    Its last observation is then in ``final_obs`` of the info, its money in ``equity`` and
    ``episode_return`` as for every market. The view owns the batch: ``close`` closes it.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, batch: MarketBatch) -> None:
        self._batch = batch
        self.num_envs = batch.size
        self.single_observation_space = _observation_space()
        self.single_action_space = _action_space(batch)
        self.observation_space = batch_space(self.single_observation_space, batch.size)
        self.action_space = batch_space(self.single_action_space, batch.size)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats], dict[str, Any]]:
        """Begin an episode in every market; one seed is of all of them."""
        if isinstance(seed, list):
            raise BadArgument(f"one seed draws the episodes of all markets: {seed}")
        super().reset(seed=seed)
        return _all(self._batch.reset(seed)), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[dict[str, Floats], Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all markets to their next decision."""
        step = self._batch.step(np.asarray(actions, np.int64))
        ended = step.terminated | step.truncated
        info: dict[str, Any] = {"equity": step.equity, "episode_return": step.episode_return}
        if ended.any():
            info["final_obs"] = _all(step.last_observation)
            info["_final_obs"] = ended
        return _all(step.observation), step.reward, step.terminated, step.truncated, info

    def close_extras(self, **kwargs: object) -> None:
        """Close the batch."""
        self._batch.close()


def _check_size(batch: MarketBatch) -> None:
    if batch.size != 1:
        raise BadArgument(f"this view is of one market: size {batch.size}")


def _box(*shape: int) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, shape, np.float32)


def _observation_space() -> spaces.Dict:
    return spaces.Dict(
        {"matrix": _box(ROWS, COLUMNS), "context": _box(CONTEXT), "position": _box(1)}
    )


def _action_space(batch: MarketBatch) -> spaces.MultiDiscrete:
    return spaces.MultiDiscrete([ACTIONS] * len(batch.agents))


def _all(observation: Observation) -> dict[str, Floats]:
    return {
        "matrix": observation.matrix,
        "context": observation.context,
        "position": observation.position[:, None],
    }


def _first(observation: Observation) -> dict[str, Floats]:
    return {name: rows[0] for name, rows in _all(observation).items()}


def _money(step: Step) -> dict[str, Any]:
    return {
        "equity": float(step.equity[0]),
        "episode_return": float(step.episode_return[0]),
    }
