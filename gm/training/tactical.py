"""The tactical team on a payload: 30 rows of the seven tactical features, as HTTP clients send it.

An episode walks through the second half of the payload: the first is history. All are walked side
by side and make one update. At row t the agents see rows up to t, zeros before; they are paid for
row t + 1: its ``price_momentum_5`` times
the direction that fvg and momentum vote for, less a cost for every change of position; where entry
votes to wait, there is no position.
Source: ours; the networks are SPEC §5's, the learning is gm.training.mappo's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gm.errors import BadArgument, DataGap
from gm.training.mappo import Trainer, parameter_hash
from gm.training.networks import TACTICAL
from gm.training.settings import MappoSettings

PAYLOAD = (30, 7)
EPISODES = 10
_MOMENTUM = 5  # column price_momentum_5
_COST = 0.01
_WAIT = 0
# A hundred and fifty decisions: SPEC's 1e-3 overshoots, and one step an epoch is too few.
_MINIBATCHES, _CRITIC_RATE = 2, 3e-4
_HISTORY = 15  # rows that the first decision sees

Payload = NDArray[np.float32]


class TacticalTraining(msgspec.Struct, frozen=True, kw_only=True):
    """What came of training on one payload."""

    episodes: int
    losses: tuple[float, ...]  # what PPO minimises, one an epoch over all episodes
    return_mean: float
    parameters_before_sha256: str
    parameters_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """As gm.training.market.Observation: matrix (n, 60, 7), no context, position (n,)."""

    matrix: NDArray[np.float32]
    context: NDArray[np.float32]
    position: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Paid:
    """As gm.training.market.Step."""

    observation: Shown
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    last_observation: Shown
    equity: NDArray[np.float64]
    episode_return: NDArray[np.float64]


class PayloadMarket:
    """Markets whose episodes are all the same payload; they terminate with its last row."""

    agents = tuple(agent.name for agent in TACTICAL.agents)

    def __init__(self, payload: Payload, size: int) -> None:
        rows = TACTICAL.rows
        padded = np.concatenate([np.zeros((rows - 1, TACTICAL.columns), np.float32), payload])
        self.size = size
        self._windows = [padded[t : t + rows] for t in range(len(payload))]
        self._pay = payload[:, _MOMENTUM].astype(np.float64)
        self.reset()

    def reset(self, seed: int | None = None) -> Shown:
        """Begin where the history ends; nothing is drawn."""
        self._row = _HISTORY - 1
        self._position, self._total = np.zeros(self.size), np.zeros(self.size)
        return self._show()

    def step(self, actions: NDArray[np.int64]) -> Paid:
        """Take positions by the votes, (n, 3), and be paid for the next row."""
        votes = 2 - actions[:, 0] - actions[:, 1]  # long is action 0, short 2
        position = np.where(actions[:, 2] == _WAIT, 0.0, np.sign(votes))
        self._row += 1
        reward = position * self._pay[self._row] - _COST * np.abs(position - self._position)
        self._position = position
        self._total = self._total + reward
        ends = np.full(self.size, self._row == len(self._pay) - 1)
        last, total = self._show(), self._total
        seen = self.reset() if ends.all() else last
        return Paid(
            observation=seen,
            reward=reward.astype(np.float32),
            terminated=ends,
            truncated=np.zeros(self.size, np.bool_),
            last_observation=last,
            equity=total,
            episode_return=total,
        )

    def set_synergy_factor(self, factor: float) -> None:
        """A payload holds no synergy."""

    def _show(self) -> Shown:
        matrix = np.broadcast_to(self._windows[self._row], (self.size, TACTICAL.rows, PAYLOAD[1]))
        context = np.zeros((self.size, 0), np.float32)
        return Shown(matrix, context, self._position.astype(np.float32))


def train_tactical(
    payload: ArrayLike, *, episodes: int = EPISODES, seed: int = 1
) -> TacticalTraining:
    """Train the three tactical agents on one payload.

    Parameters
    ----------
    payload : array, shape (30, 7)
        Rows of the tactical matrix, oldest first; finite.
    episodes : int
        Walks through it; at least 1.
    seed : int
        Of weights and actions.

    Returns
    -------
    TacticalTraining

    Raises
    ------
    BadArgument
        If the shape is another, a value is not finite, or episodes is below 1.

    Source
    ------
    Ours.
    """
    rows = np.ascontiguousarray(payload, np.float32)
    if rows.shape != PAYLOAD:
        raise BadArgument(f"payload of shape {rows.shape}, must be {PAYLOAD}")
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise BadArgument(f"payload row {row}, column {column}: {rows[row, column]}: not finite")
    if episodes < 1:
        raise BadArgument(f"episodes must be at least 1: {episodes}")
    decisions = len(rows) - _HISTORY
    settings = MappoSettings(
        seed=seed,
        steps=episodes * decisions,
        markets=episodes,
        rollout=decisions,
        minibatches=_MINIBATCHES,
        critic_rate=_CRITIC_RATE,
        anneal=False,
    )
    trainer = Trainer(settings, PayloadMarket(rows, episodes), TACTICAL)
    before = parameter_hash(trainer)
    metrics = trainer.update()
    return TacticalTraining(
        episodes=episodes,
        losses=tuple(np.reshape(trainer.losses, (-1, _MINIBATCHES)).mean(1).tolist()),
        return_mean=metrics["episode_return_mean"],
        parameters_before_sha256=before,
        parameters_sha256=parameter_hash(trainer),
    )


def train_files(files: Sequence[Path], seeds: Sequence[int]) -> list[TacticalTraining]:
    """Train on JSON files, each a list of 30 rows of 7 numbers, once a seed.

    Raises
    ------
    DataGap
        If a file is missing or is no such list.
    """
    if not files:
        raise DataGap("--tactical wants files of 30 x 7 payloads (JSON)")
    torch.set_num_threads(1)  # more cost more than they bring on networks this small
    found = []
    for file in files:
        try:
            payload = msgspec.json.decode(file.read_bytes(), type=list[list[float]])
            rows = np.array(payload, np.float32)
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise DataGap(f"{file}: no payload of 30 x 7 numbers: {error}") from error
        found += [train_tactical(rows, seed=seed) for seed in seeds]
    return found
