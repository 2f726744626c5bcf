"""Promise: in the environment, with its engine, gate and venue, the clairvoyant earns what the
dynamic program says, and each of its bars costs and pays what the program took it to.
"""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

import gm
from gm.training.baselines import votes
from gm.training.market import Market
from gm.training.optimum import (
    HOLD,
    HOLD_BARS_MAX,
    Optimum,
    cost_in_deviations,
    decide,
    solve_optimum,
)
from gm.training.planted import PlantedMarket, PlantedSettings, planted_market
from gm.training.statistics import mean_interval

from ..tapes import write_config

pytestmark = pytest.mark.train

SYMBOL = "BTC-PERP"
SETTINGS = PlantedSettings()
COMMISSION_BPS, SLIPPAGE_TICKS = 2.0, 1.0
LOTS = 1_000
TAPES, BARS, EPISODE = 64, 2_400, 400
CURRENCY_A_TICK = LOTS * 1e-4  # of BTC-PERP
MICROS = 1e-6  # of the currency: commission is rounded up to one


def digest(matrix: np.ndarray) -> bytes:
    return blake2b(matrix.tobytes(), digest_size=16).digest()


def places_of(markets: list[PlantedMarket]) -> dict[bytes, tuple[int, int]]:
    """Tape and bar of each ready matrix: what training sees is what gm.strategic_matrices makes."""
    places = {}
    for tape, market in enumerate(markets):
        matrices, ready = gm.strategic_matrices(market.bars, SYMBOL)
        places |= {digest(matrices[bar]): (tape, int(bar)) for bar in np.flatnonzero(ready)}
    return places


def settings_of_the_program(path: Path) -> Path:
    """A venue without whims, and no limit on notional, which a price that wanders would meet."""
    return write_config(
        path,
        policy={"max_hold_bars": HOLD_BARS_MAX},
        trading={SYMBOL: {"target_lots": LOTS, "order_notional_max": 1_000_000}},
        venue={
            "latency_us": 0, "partial_fill_ppm": 0, "reject_ppm": 0,
            "slippage_ticks": int(SLIPPAGE_TICKS), "commission_bps": {SYMBOL: COMMISSION_BPS},
        },
    )  # fmt: skip


class Clairvoyant:
    """Plays the optimum in a batch of markets, in each of which it knows where it is."""

    def __init__(self, batch: Market, markets: list[PlantedMarket], optimum: Optimum) -> None:
        self.batch, self.policy = batch, decide(optimum)
        self.places = places_of(markets)
        self.signal = np.stack([market.signal for market in markets])
        closes = [market.bars["close_ticks"] for market in markets]
        self.ticks = np.stack(closes).astype(np.float64)
        self.seen = batch.reset()
        self.held, self.before, self.equity = np.zeros((3, batch.size))

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """Tapes that were traded, and what they earned in deviations of a bar; checks each bar."""
        tape, bar = np.array([self.places[digest(matrix)] for matrix in self.seen.matrix]).T
        position = np.sign(self.seen.position).astype(np.int64)
        kept = (position != 0) & (position == self.before)
        self.held = np.where(kept, self.held + 1, position != 0)
        actions = self.policy(self.signal[tape, bar], position, self.held.astype(np.int64))
        step = self.batch.step(votes(actions, len(self.batch.agents)))
        after = np.sign(step.last_observation.position)
        acts = (actions != HOLD) & ((self.held < HOLD_BARS_MAX) | (1 - actions == -position))
        leaves = ~acts & (self.held >= HOLD_BARS_MAX)
        assert (after == np.where(acts, 1 - actions, np.where(leaves, 0, position))).all()

        turned, now, then = after - position, self.ticks[tape, bar], self.ticks[tape, bar + 1]
        # What the program takes a bar for, in money: the fill is at the open, which is the last
        # close, a tick against us; commission is taken of that price.
        fill = now + SLIPPAGE_TICKS * np.sign(turned)
        paid = np.abs(turned) * COMMISSION_BPS * 1e-4 * fill
        expected = after * (then - now) - np.abs(turned) * SLIPPAGE_TICKS - paid
        earned = step.equity - self.equity
        assert np.abs(earned - expected * CURRENCY_A_TICK).max() < MICROS * 1.5

        ended = step.terminated | step.truncated
        self.equity = np.where(ended, 0.0, step.equity)
        self.before = np.where(ended, 0, position)
        self.seen = step.observation
        return tape, earned / (CURRENCY_A_TICK * now * SETTINGS.volatility)


def test_the_clairvoyant_earns_in_the_environment_what_the_program_says(tmp_path: Path) -> None:
    from gm.training.environment import MarketBatch

    cost = cost_in_deviations(SETTINGS, COMMISSION_BPS, SLIPPAGE_TICKS)
    optimum = solve_optimum(SETTINGS, cost)
    markets = [planted_market(SETTINGS, seed, BARS) for seed in range(TAPES)]
    batch = MarketBatch(
        settings_of_the_program(tmp_path / "gm.yaml"),
        [market.bars for market in markets],
        instrument=SYMBOL,
        size=TAPES,
        seed=3,
        episode_bars=EPISODE,
    )
    player = Clairvoyant(batch, markets, optimum)
    by_tape: list[list[float]] = [[] for _ in markets]
    for _ in range(3 * EPISODE):
        for tape, earned in zip(*player.step(), strict=True):
            by_tape[tape].append(float(earned))
    batch.close()

    # Episodes of one tape overlap, tapes are independent.
    means = np.array([[np.mean(values)] for values in by_tape if values])
    found = mean_interval(means, episodes="own", level=0.99)
    assert len(means) > 0.8 * TAPES
    assert found.high - found.low < 0.12 * optimum.reward_per_bar
    assert found.low < optimum.reward_per_bar < found.high
