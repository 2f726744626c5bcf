"""Promise: baselines run in the environment and earn what a known signal, or none, allows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gm.training.baselines import RandomEntry, buy_and_hold, momentum, random_entry
from gm.training.optimum import cost_in_deviations, solve_optimum
from gm.training.planted import PlantedSettings, planted_market
from gm.training.statistics import Interval, mean_interval

from ..tapes import write_config

pytestmark = pytest.mark.train

SYMBOL, LOTS = "BTC-PERP", 1_000
MARKETS, BARS, STEPS = 32, 2_000, 400
CHANCES = RandomEntry(enter=0.5, long_share=0.5, turn_long=0.1, turn_short=0.1)
Policy = Callable[[np.ndarray, np.ndarray], np.ndarray]


def earnings(folder: Path, settings: PlantedSettings, policy: Policy) -> Interval:
    """Net result a bar in deviations of a bar, over markets that are each on a tape of its own."""
    from gm.training.environment import MarketBatch

    config = write_config(
        folder / "gm.yaml",
        trading={SYMBOL: {"target_lots": LOTS, "order_notional_max": 1_000_000}},
        venue={"latency_us": 0, "partial_fill_ppm": 0, "reject_ppm": 0},
    )
    unit = LOTS * 1e-4 * settings.first_price_ticks * settings.volatility
    results = []
    for seed in range(MARKETS):
        bars = planted_market(settings, seed, BARS).bars
        batch = MarketBatch(
            config, [bars], instrument=SYMBOL, size=1, seed=seed, episode_bars=STEPS
        )
        seen = batch.reset()
        for _ in range(STEPS):
            step = batch.step(policy(seen.matrix, seen.position))
            seen = step.observation
        batch.close()
        assert step.truncated.all()
        results.append([step.equity[0] / STEPS / unit])
    return mean_interval(np.array(results), episodes="own")


def policies() -> dict[str, Policy]:
    random = np.random.default_rng(1)
    return {
        "buy_and_hold": lambda matrix, position: buy_and_hold(matrix),
        "momentum": lambda matrix, position: momentum(matrix),
        "random_entry": lambda matrix, position: random_entry(CHANCES, position, random),
    }


def test_only_momentum_finds_the_signal_and_less_of_it_than_there_is(tmp_path: Path) -> None:
    settings = PlantedSettings()
    best = solve_optimum(settings, cost_in_deviations(settings, 2.0, 1.0)).reward_per_bar
    found = {name: earnings(tmp_path, settings, policy) for name, policy in policies().items()}
    assert 0.3 * best < found["momentum"].low
    assert found["momentum"].high < 0.8 * best
    for name in ("buy_and_hold", "random_entry"):
        assert found[name].high < found["momentum"].low, name


@pytest.mark.parametrize("name", ["buy_and_hold", "momentum", "random_entry"])
def test_without_a_signal_nothing_is_earned(tmp_path: Path, name: str) -> None:
    found = earnings(tmp_path, PlantedSettings(signal_to_noise=0.0), policies()[name])
    assert found.low <= 0.0
    if name != "buy_and_hold":  # it pays for one bar in 47 only
        assert found.estimate < 0.0
