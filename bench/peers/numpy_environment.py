"""Peer: the training environment as vectorised NumPy, the careful way.

All markets at once, one array operation for each line of the rules: votes by a table, the position
that they want, the exit of a position that was held long enough, the fill at the next open with
slippage, commission rounded up, equity, drawdown and reward, then one gather of the observations
from rows that lie ready in memory. Money is int64 micro-units, as the engine's.

It gives the rewards, equity and observations of gm.training.environment for the same bars and
actions where the venue fills all at the next open. Left out is everything that makes the other one
the live engine: events and records, order states, the gate, partial fills, rejects and latency,
quarantine of bars, sessions, kill levels.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ROWS, COLUMNS = 48, 13
VOLATILITY, HOUR_SIN, HOUR_COS = 11, 6, 7  # columns that the context repeats
DAY_NS = 86_400_000_000_000
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday, Monday is 0
PPM = 1_000_000


class Terms(NamedTuple):
    """What a fill costs, how long a position may last, what a step earns."""

    lots: int
    tick_value_micros: int  # of one lot
    slippage_ticks: int
    commission_ppm: int
    hold_bars_max: int
    drawdown_weight: float
    episode_bars: int


class Market(NamedTuple):
    """Tapes one after another, all arrays by bar: prices, rows of 13 columns, ATR14."""

    start_ts_ns: np.ndarray
    open_ticks: np.ndarray
    close_ticks: np.ndarray
    rows: np.ndarray  # float32 (bars, 13), exchange-local time is UTC
    atr_ticks: np.ndarray


class Observation(NamedTuple):
    matrix: np.ndarray
    context: np.ndarray
    position: np.ndarray


class Step(NamedTuple):
    observation: Observation
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    last_observation: Observation
    equity: np.ndarray
    episode_return: np.ndarray


class NumpyEnvironment:
    """n markets. ``draw(count)`` says at which bars that many new episodes begin."""

    def __init__(
        self, market: Market, terms: Terms, size: int, draw: Callable[[int], np.ndarray]
    ) -> None:
        self.terms, self.size, self.draw = terms, size, draw
        self.open, self.close = market.open_ticks, market.close_ticks
        self.atr = np.maximum(market.atr_ticks, 1.0)
        rows = np.ascontiguousarray(market.rows, np.float32)
        # Window i ends with bar i + 47. Rows overlap: a gather copies them, nothing else does.
        self.windows = np.lib.stride_tricks.as_strided(
            rows, (len(rows) - ROWS + 1, ROWS * COLUMNS), (rows.strides[0], rows.itemsize)
        )
        self.context = contexts(market)
        self.directions = vote_table()
        self.lot_micros = terms.lots * terms.tick_value_micros
        self.none = np.zeros(size, np.bool_)
        self.at, self.end, self.position, self.held = np.zeros((4, size), np.int64)
        self.cash, self.equity, self.peak = np.zeros((3, size), np.int64)
        self.unit, self.earned = np.ones(size), np.zeros(size)

    def reset(self) -> Observation:
        self._begin(np.ones(self.size, np.bool_))
        return self._observe()

    def step(self, actions: np.ndarray) -> Step:
        terms, position = self.terms, self.position
        wanted = self.directions[actions @ (9, 3, 1)]
        is_due = self.held >= terms.hold_bars_max
        # The opposite goes first on the bar of the exit; the same side does not renew.
        acts = (wanted != 0) & ~(is_due & (wanted == position))
        target = np.where(acts, wanted, np.where(is_due, 0, position))
        turned = target - position
        self.held = np.where(target == position, self.held + 1, 1) * (target != 0)
        self.position = target
        self.at += 1

        fill = self.open[self.at] + terms.slippage_ticks * np.sign(turned)
        value = turned * fill * self.lot_micros
        commission = -(-np.abs(value) * terms.commission_ppm // PPM)
        self.cash -= value + commission
        equity = self.cash + target * self.close[self.at] * self.lot_micros
        peak = np.maximum(self.peak, equity)
        deeper = np.maximum((peak - equity) - (self.peak - self.equity), 0)
        reward = (equity - self.equity - terms.drawdown_weight * deeper) / self.unit
        self.equity, self.peak = equity, peak
        self.earned += reward

        ended = self.at == self.end
        observation = last = self._observe()
        money, earned = equity / 1e6, self.earned.copy()
        if ended.any():
            self._begin(ended)
            observation = self._observe()
        return Step(
            observation, reward.astype(np.float32), self.none, ended, last, money, earned
        )  # fmt: skip

    def _begin(self, which: np.ndarray) -> None:
        at = self.draw(int(np.count_nonzero(which)))
        self.at[which], self.end[which] = at, at + self.terms.episode_bars
        for state in (self.position, self.held, self.cash, self.equity, self.peak, self.earned):
            state[which] = 0
        self.unit[which] = self.atr[at] * self.lot_micros

    def _observe(self) -> Observation:
        matrix = self.windows[self.at - (ROWS - 1)].reshape(self.size, ROWS, COLUMNS)
        return Observation(matrix, self.context[self.at], self.position.astype(np.float32))


def contexts(market: Market) -> np.ndarray:
    """What a decision sees beside the matrix, float32 (bars, 6); no synergy without 5 minutes."""
    found = np.zeros((len(market.rows), 6), np.float32)
    found[:, 2:5] = market.rows[:, [VOLATILITY, HOUR_SIN, HOUR_COS]]
    found[:, 5] = (market.start_ts_ns // DAY_NS + EPOCH_WEEKDAY) % 7 / 6.0
    return found


def vote_table() -> np.ndarray:
    """Direction by three votes (0 long, 1 neutral, 2 short), most significant first: two agree."""
    votes = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    longs, shorts = (votes == 0).sum(1) >= 2, (votes == 2).sum(1) >= 2
    return longs.astype(np.int64) - shorts
