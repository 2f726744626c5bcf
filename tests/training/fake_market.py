"""A market for tests: an AR(1) drift that a column of each agent shows, and votes that trade it.

Two of three agents that agree set the position; nobody agrees: it is held. The reward is position
times drift less a cost of turning. Episodes end by truncation, and some of them by termination.
"""

from dataclasses import dataclass

import numpy as np

COST = 0.05
MEMORY = 0.9


@dataclass(frozen=True)
class FakeObservation:
    matrix: np.ndarray
    context: np.ndarray
    position: np.ndarray


@dataclass(frozen=True)
class FakeStep:
    observation: FakeObservation
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    last_observation: FakeObservation
    equity: np.ndarray
    episode_return: np.ndarray


class FakeMarket:
    agents = ("mlmi", "nwrqk", "regime")

    def __init__(self, size=8, episode=32, signal=1.0, death=0.0):
        self.size, self.episode, self.signal, self.death = size, episode, signal, death
        self.reset(0)

    def reset(self, seed=None):
        self.random = np.random.default_rng(seed)
        n = self.size
        self.age = self.random.integers(0, self.episode, n)  # not all end together
        self.drift = self.random.normal(0, 1, (n, 48))
        self.position = np.zeros(n)
        self.total = np.zeros(n)
        self.equity = np.full(n, 1e5)
        return self._observe()

    def step(self, actions):
        assert actions.shape == (self.size, 3)
        assert actions.dtype == np.int64
        target = self.position.copy()
        target[(actions == 0).sum(1) >= 2] = 1
        target[(actions == 2).sum(1) >= 2] = -1
        reward = target * self.drift[:, -1] - COST * np.abs(target - self.position)
        self.position = target
        self.total += reward
        self.equity += reward
        shock = self.random.normal(0, np.sqrt(1 - MEMORY**2), self.size)
        self.drift = np.column_stack([self.drift[:, 1:], MEMORY * self.drift[:, -1] + shock])
        self.age += 1
        terminated = self.random.random(self.size) < self.death
        truncated = (self.age >= self.episode) & ~terminated
        last, returns, ended = self._observe(), self.total.copy(), terminated | truncated
        self.position[ended] = self.total[ended] = self.age[ended] = 0
        self.drift[ended] = self.random.normal(0, 1, (int(ended.sum()), 48))
        return FakeStep(
            self._observe(), reward.astype(np.float32), terminated, truncated,
            last, self.equity.copy(), returns,
        )  # fmt: skip

    def set_synergy_factor(self, factor):
        self.factors = [*getattr(self, "factors", []), factor]

    def _observe(self):
        matrix = np.zeros((self.size, 48, 13), np.float32)
        for column in (0, 2, 10):  # one of each agent's
            matrix[:, :, column] = self.signal * self.drift
        matrix[:, :, 11] = 0.5
        context = np.tile(np.float32([0, 0, 0.5, 0, 1, 0.5]), (self.size, 1))
        return FakeObservation(matrix, context, self.position.astype(np.float32))


def make_markets(job):
    """What a job's files would give; importable in a process of its own."""
    from gm.training.markets import Markets
    from gm.training.run_folder import Data, RunRecord, versions

    data = Data(file="fake.csv", sha256="0" * 64, instrument=job.instrument, bars=1,
                first_ts_ns=0, last_ts_ns=0)  # fmt: skip
    record = RunRecord(
        team="strategic", settings=job.settings, config="none", config_sha256="1" * 64,
        data=(data,), threads=job.threads, is_synthetic=True, versions=versions(),
    )  # fmt: skip
    return Markets(
        train=FakeMarket(job.settings.markets), validation=FakeMarket(8), test=FakeMarket(8),
        record=record,
    )  # fmt: skip
