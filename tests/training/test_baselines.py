"""Promise: baselines vote what they say, as matrix and as rule, and chance trades as often."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import gm
from gm import layout
from gm.errors import BadArgument
from gm.layout import RecordType
from gm.training.baselines import (
    RandomEntry,
    buy_and_hold,
    fit_random_entry,
    momentum,
    random_entry,
    rule_source,
    votes,
)
from gm.training.optimum import HOLD, LONG, SHORT, decide, play, solve_optimum
from gm.training.planted import PlantedMarket, PlantedSettings, planted_market

from ..tapes import write_config

SYMBOL = "BTC-PERP"
COST = 0.225
HONEST = {"latency_us": 0, "partial_fill_ppm": 0, "reject_ppm": 0}


@pytest.fixture(scope="module")
def market() -> PlantedMarket:
    return planted_market(PlantedSettings(), 1, 2_500)


def matrices_of(momentum_20: list[float], momentum_50: list[float]) -> np.ndarray:
    matrices = np.ones((len(momentum_20), 48, 13), np.float32)
    matrices[:, -1, 8] = momentum_20
    matrices[:, -1, 9] = momentum_50
    return matrices


def test_momentum_by_hand() -> None:
    matrices = matrices_of([0.5, 0.5, -0.9, 0.0, 0.9], [0.0, -0.2, 0.1, 0.0, -0.9])
    assert momentum(matrices).tolist() == [[0] * 3, [1] * 3, [2] * 3, [1] * 3, [1] * 3]
    assert momentum(matrices, agents=2, threshold=0.1)[1].tolist() == [0, 0]


def test_buy_and_hold_is_long_whatever_it_sees() -> None:
    assert (buy_and_hold(matrices_of([-1.0, 1.0], [-1.0, 1.0])) == LONG).all()
    assert buy_and_hold(matrices_of([0.0], [0.0]), agents=1).shape == (1, 1)


def test_chances_of_one_and_none_by_hand() -> None:
    random = np.random.default_rng(1)
    position = np.array([0.0, 0.5, -0.5])
    always = RandomEntry(enter=1.0, long_share=1.0, turn_long=1.0, turn_short=1.0)
    never = RandomEntry(enter=0.0, long_share=1.0, turn_long=0.0, turn_short=0.0)
    assert random_entry(always, position, random).tolist() == [[0] * 3, [2] * 3, [0] * 3]
    assert (random_entry(never, position, random, agents=2) == HOLD).all()


def spells(positions: np.ndarray) -> tuple[float, float, float, float]:
    """Mean bars of a long and of a short, share of flat bars, lots turned a bar."""
    before = np.concatenate([np.zeros((len(positions), 1)), positions[:, :-1]], axis=1)
    begins = (positions != before) & (positions != 0)
    means = [
        (positions == side).sum() / max(1, (begins & (positions == side)).sum()) for side in (1, -1)
    ]
    return means[0], means[1], (positions == 0).mean(), np.abs(positions - before).mean()


@pytest.mark.parametrize(
    ("hold_bars_max", "lean", "band"),
    [(46, 0.0, 0.3), (46, 0.7, 1.0), (12, 0.0, 0.5), (0, 0.3, 0.3)],
)
def test_random_entry_holds_and_turns_like_its_model(
    hold_bars_max: int, lean: float, band: float
) -> None:
    random = np.random.default_rng(3)
    signal = np.stack([planted_market(PlantedSettings(), seed, 2_000).signal for seed in range(40)])
    still = np.zeros_like(signal)
    model = lambda s, p, h: np.where(s > band - lean, LONG, np.where(s < -band - lean, SHORT, HOLD))  # noqa: E731
    _, positions = play(model, signal, still, 0.0, hold_bars_max)
    chances = fit_random_entry(positions, hold_bars_max)
    by_chance = lambda s, p, h: random_entry(chances, p, random)[:, 0]  # noqa: E731
    _, drawn = play(by_chance, signal, still, 0.0, hold_bars_max)
    long, short, flat, turned = spells(positions)
    drawn_long, drawn_short, drawn_flat, drawn_turned = spells(drawn)
    assert drawn_long == pytest.approx(long, rel=0.06)
    assert drawn_short == pytest.approx(short, rel=0.06)
    assert drawn_turned == pytest.approx(turned, rel=0.06)
    assert drawn_flat == pytest.approx(flat, rel=0.12, abs=0.003)


def test_random_entry_earns_nothing_and_pays_its_costs() -> None:
    optimum = solve_optimum(PlantedSettings(), COST, points=81)
    markets = [planted_market(PlantedSettings(), seed, 1_500) for seed in range(60)]
    signal = np.stack([market.signal[:-1] for market in markets])
    moves = PlantedSettings().drift_share * signal
    random = np.random.default_rng(5)
    _, positions = play(decide(optimum), signal, moves, COST, 46)
    chances = fit_random_entry(positions, 46)
    by_chance = lambda s, p, h: random_entry(chances, p, random)[:, 0]  # noqa: E731
    rewards, drawn = play(by_chance, signal, moves, COST, 46)
    means = rewards.mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() + COST * spells(drawn)[3]) < 3.0 * error
    assert means.mean() < 0.1 * optimum.reward_per_bar


def test_a_strategy_that_never_trades_has_no_match() -> None:
    with pytest.raises(BadArgument, match="never had a position in 20 bars"):
        fit_random_entry(np.zeros((2, 10)), 46)


def test_momentum_as_a_rule_knows_its_columns(market: PlantedMarket, tmp_path: Path) -> None:
    matrices, ready = gm.strategic_matrices(market.bars, SYMBOL)
    closes = market.bars["close_ticks"].astype(np.float64)
    bars = np.flatnonzero(ready)
    wrong = 0
    for percent in range(5, 100, 10):
        path = tmp_path / f"momentum_{percent}.py"
        path.write_text(rule_source("momentum", threshold=percent / 100))
        rule = runpy.run_path(str(path))["momentum"]
        found = [1 - rule(closes[bar - 50 : bar + 1]) for bar in bars]
        expected = momentum(matrices[bars], threshold=percent / 100)[:, 0]
        wrong += np.count_nonzero(np.array(found) != expected)
    # Among 20,000, a value on the threshold may fall to either side by a rounding to float32.
    assert wrong <= 1


def decisions(config: Path, market: PlantedMarket) -> np.ndarray:
    run = gm.backtest(config, market.bars, SYMBOL)
    chosen = run.records[run.records["header"]["type"] == RecordType.DECISION]
    return np.ascontiguousarray(chosen["payload"]).view(layout.DECISION).reshape(-1)


def test_momentum_as_a_rule_decides_as_on_matrices(market: PlantedMarket, tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(rule_source("momentum", threshold=0.3))
    config = write_config(
        tmp_path / "gm.yaml",
        policy={"profile": "rule"}, kernels={"path": "kernels.py"}, venue=HONEST,
    )  # fmt: skip
    found = decisions(config, market)
    matrices, _ = gm.strategic_matrices(market.bars, SYMBOL)
    at = np.searchsorted(market.bars["start_ts_ns"], found["bar_start_ts_ns"])
    assert len(found) > 2_000
    expected = momentum(matrices[at], threshold=0.3)[:, 0]
    actions = np.where(found["acts"] != 0, found["action"], HOLD)
    assert np.count_nonzero(actions != expected) <= 1
    assert set(expected.tolist()) == {LONG, HOLD, SHORT}


def test_buy_and_hold_as_a_rule_buys_once(market: PlantedMarket, tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(rule_source("buy_and_hold"))
    config = write_config(
        tmp_path / "gm.yaml",
        policy={"profile": "rule", "max_hold_bars": 0},
        kernels={"path": "kernels.py"}, venue=HONEST,
    )  # fmt: skip
    run = gm.backtest(config, market.bars, SYMBOL)
    assert len(run.fills) == 1
    assert run.stats().position_lots == 1000


def test_what_is_no_baseline_is_refused() -> None:
    with pytest.raises(BadArgument, match="no rule is called 'magic'"):
        rule_source("magic")  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match=r"threshold must be in \[0, 1\): 1"):
        momentum(matrices_of([0.0], [0.0]), threshold=1.0)
    with pytest.raises(BadArgument, match="agents must be at least 1: 0"):
        votes(np.zeros(3, np.int64), agents=0)
