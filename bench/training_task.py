"""The task of bench/bench_training.py: what is traded, under which terms, by how many markets.

Bars with a planted signal, four tapes of BTC-PERP in 30 minutes; episodes of 256 decisions; three
agents, of whom two must agree; a venue without whims (no latency, rejects or partial fills), so
that a peer can know every fill: at the next open, a tick against the order, commission in basis
points. Limits are wide enough that the gate refuses nothing. It still looks at every order.
"""

from decimal import Decimal

import msgspec
import numpy as np

from bench.build import ROOT
from gm.config.settings import Settings, load_settings
from gm.training.environment import MarketBatch
from gm.training.planted import PlantedSettings, planted_market

SYMBOL = "BTC-PERP"
MARKETS, EPISODE_BARS = 64, 256
TAPES, BARS = 4, 3_000
SEED = 20_260_101


def tapes(count: int = TAPES, bars: int = BARS) -> list[np.ndarray]:
    return [planted_market(PlantedSettings(), SEED + i, bars, SYMBOL).bars for i in range(count)]


def settings() -> Settings:
    """The development settings without what makes their venue worse than its price."""
    config = ROOT / "configs" / "development.yaml"
    tree = load_settings(config)
    replace = msgspec.structs.replace
    trading = replace(tree.trading[SYMBOL], order_notional_max=Decimal(1_000_000))
    return replace(
        tree,
        instruments_file=str(config.parent / tree.instruments_file),
        trading={SYMBOL: trading},
        venue=replace(tree.venue, latency_us=0, partial_fill_ppm=0, reject_ppm=0),
        warmup={},
    )


def batch(
    size: int = MARKETS, bars: list[np.ndarray] | None = None, tree: Settings | None = None
) -> MarketBatch:
    """Markets on one thread, for whoever asks: us, plain torch, Stable-Baselines3."""
    return MarketBatch(
        tree or settings(), bars or tapes(), instrument=SYMBOL, size=size, seed=SEED,
        episode_bars=EPISODE_BARS,
    )  # fmt: skip


def drawn_actions(steps: int, size: int = MARKETS, agents: int = 3, seed: int = 5) -> np.ndarray:
    """Random votes, int64 (steps, size, agents): what agents say before they have learned."""
    return np.random.default_rng(seed).integers(0, 3, (steps, size, agents))
