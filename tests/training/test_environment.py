"""Promise: an episode is, fill for fill, the backtest of the same bars with the same decisions, and
the batch gives the same bytes for the same seed and actions.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import gm
from gm import layout
from gm.backtest import Run
from gm.config.settings import load_settings
from gm.errors import BadArgument, ConfigError, UnknownInstrument
from gm.layout import RecordType
from gm.training.environment import MarketBatch, RewardSettings, Step, read_ground

from ..runs import CONFIG
from ..tapes import write_config, write_trends

SYMBOL = "BTC-PERP"
BARS = 900
HALF_HOUR_NS = 1_800_000_000_000
LONG, NEUTRAL, SHORT = 0, 1, 2


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = write_trends(tmp_path_factory.mktemp("bars") / "bars.csv", BARS)
    return gm.read_bars(path, instrument=SYMBOL).bars


@contextmanager
def batch(bars: np.ndarray, **options: object) -> Iterator[MarketBatch]:
    values = {"instrument": SYMBOL, "size": 1, "seed": 1, "episode_bars": 100} | options
    config = values.pop("config", CONFIG)
    made = MarketBatch(config, [bars], **values)  # type: ignore[arg-type]
    yield made
    made.close()


def decisions_of(run: Run) -> np.ndarray:
    slots = run.records
    chosen = slots["payload"][slots["header"]["type"] == RecordType.DECISION]
    return np.ascontiguousarray(chosen).view(layout.DECISION).reshape(-1)


def play(market: MarketBatch, actions: list[int]) -> list[Step]:
    return [market.step(np.full((1, len(market.agents)), action)) for action in actions]


def ready_bars(bars: np.ndarray) -> np.ndarray:
    return np.flatnonzero(gm.strategic_matrices(bars, SYMBOL)[1])


def whole_episode(bars: np.ndarray) -> int:
    """Decisions of the one episode that has every decision of the tape but the last."""
    return len(ready_bars(bars)) - 1


def test_an_episode_makes_the_orders_and_fills_of_the_ensembles_backtest(
    bars: np.ndarray,
) -> None:
    length = whole_episode(bars)
    with batch(bars, episode_bars=length, record=True) as market:
        market.reset()
        # Which luck the venue will have is known once an episode is recorded.
        play(market, [NEUTRAL] * length)
        market.reset(seed=1)
        play(market, [NEUTRAL] * length)
        seed = market.recorded().venue_seed
        whole = gm.backtest(CONFIG, bars, SYMBOL, seed=seed)
        decided = decisions_of(whole)
        actions = np.where(decided["acts"] == 1, decided["action"], NEUTRAL)
        assert set(actions.tolist()) == {LONG, NEUTRAL, SHORT}
        market.reset(seed=1)
        steps = play(market, actions[:length].tolist())
        assert steps[-1].truncated.all()
        recorded = market.recorded()
    assert recorded.venue_seed == seed
    until = int(recorded.bars["start_ts_ns"][-1])
    fills = whole.fills[whole.fills["ts_ns"] <= until]
    assert len(fills) > 10
    assert recorded.run.fills.tobytes() == fills.tobytes()
    orders = whole.orders[whole.orders["decision_bar_start_ts_ns"] < until]
    for name in ("id", "venue_order", "side", "quantity_lots", "received_ts_ns", "reject_reason"):
        assert recorded.run.orders[name].tobytes() == orders[name].tobytes(), name
    assert recorded.run.stats().fills == len(fills)
    # Money: what each step said is what the run's own books hold when its bar has closed.
    starts = bars["start_ts_ns"][ready_bars(bars)]
    rows = recorded.run.equity
    at = np.searchsorted(rows["ts_ns"], starts[1:length] + HALF_HOUR_NS, side="left")
    said = np.array([step.equity[0] for step in steps[:-1]])
    np.testing.assert_allclose(said * 1e6, rows["equity_micros"][at], atol=1e-3)


# The volume says what to do: 100 units short, 101 hold, 102 long.
RULE = """
import gm

@gm.rule(warmup=1, inputs=("volume",))
def told(volume):
    return int(volume[-1]) - 101
"""


def test_an_episode_amid_a_tape_is_the_backtest_of_a_rule_that_says_the_same(
    bars: np.ndarray, tmp_path: Path
) -> None:
    start = 620  # bars before the first decision, with its own: the rule holds until then
    says = np.random.default_rng(3).integers(-1, 2, len(bars))
    says[: start - 1] = 0
    told = bars.copy()
    told["volume_lots"] = (says + 101) * 10_000
    (tmp_path / "kernels.py").write_text(RULE)
    rules = write_config(
        tmp_path / "gm.yaml",
        policy={"profile": "rule"},
        kernels={"path": "kernels.py", "budget_us": 1_000_000},
    )
    length = len(bars) - start
    with batch(told, episode_bars=length, warmup_bars=start, record=True) as market:
        assert market.starts == 1
        market.reset()
        play(market, (1 - says[start - 1 : -1]).tolist())
        recorded = market.recorded()
    assert recorded.first_bar_start_ts_ns == bars["start_ts_ns"][start - 1]
    whole = gm.backtest(rules, told, SYMBOL, seed=recorded.venue_seed)
    ours, theirs = recorded.run.records, whole.records
    # From the session's copy on to the bar whose decision waits: every record, not fills alone.
    first, last = (int(ours["trailer"]["input_sequence"][at]) for at in (0, -1))
    inputs = theirs["trailer"]["input_sequence"]
    same = theirs[(inputs >= first) & (inputs <= last)]
    assert len(ours) > 3 * length
    assert ours["header"].tobytes() == same["header"].tobytes()
    assert ours["payload"].tobytes() == same["payload"].tobytes()
    assert len(recorded.run.fills) > 50
    assert recorded.run.fills.tobytes() == whole.fills[: len(recorded.run.fills)].tobytes()


def test_observations_are_the_matrices_of_the_bars(bars: np.ndarray) -> None:
    matrices, ready = gm.strategic_matrices(bars, SYMBOL)
    expected = matrices[ready]
    length = whole_episode(bars)
    with batch(bars, episode_bars=length) as market:
        observation = market.reset()
        assert observation.matrix.shape == (1, 48, 13)
        assert observation.context.shape == (1, 6)
        for at in range(length):
            np.testing.assert_array_equal(observation.matrix[0], expected[at])
            np.testing.assert_array_equal(observation.context[0, 2:5], expected[at, -1, [11, 6, 7]])
            step = market.step(np.ones((1, 3), np.int64))
            observation = step.observation
        np.testing.assert_array_equal(step.last_observation.matrix[0], expected[length])
        np.testing.assert_array_equal(observation.matrix[0], expected[0])


def same_step(a: Step, b: Step) -> bool:
    arrays = [
        (getattr(a, name), getattr(b, name))
        for name in ("reward", "terminated", "truncated", "equity", "episode_return")
    ]
    for name in ("observation", "last_observation"):
        of_a, of_b = getattr(a, name), getattr(b, name)
        arrays += [(of_a.matrix, of_b.matrix), (of_a.context, of_b.context)]
        arrays += [(of_a.position, of_b.position)]
    return all(x.tobytes() == y.tobytes() for x, y in arrays)


def test_seed_and_actions_give_the_same_bytes_whatever_the_threads(bars: np.ndarray) -> None:
    random = np.random.default_rng(5)
    options = {"size": 5, "episode_bars": 20, "seed": 7}
    with batch(bars, **options) as one, batch(bars, threads=2, **options) as two:
        first = one.reset()
        assert first.matrix.tobytes() == two.reset().matrix.tobytes()
        ended = 0
        for _ in range(60):
            actions = random.integers(0, 3, (5, 3))
            a, b = one.step(actions), two.step(actions)
            assert same_step(a, b)
            ended += int(a.truncated.sum())
            still = ~(a.terminated | a.truncated)
            at_end, now = a.last_observation, a.observation
            assert at_end.matrix[still].tobytes() == now.matrix[still].tobytes()
            assert (now.position[~still] == 0).all()
        assert ended == 15
        assert one.reset(seed=7).matrix.tobytes() == first.matrix.tobytes()
        assert one.reset(seed=8).matrix.tobytes() != first.matrix.tobytes()


def test_a_synergy_factor_changes_rewards_and_nothing_else(bars: np.ndarray) -> None:
    longs = np.zeros((4, 3), np.int64)
    options = {"size": 4, "seed": 3}
    with batch(bars, **options) as plain, batch(bars, **options) as bonus:
        plain.reset()
        bonus.reset()
        bonus.set_synergy_factor(1.0)
        steps = [(plain.step(longs), bonus.step(longs)) for _ in range(90)]
        assert all(a.equity.tobytes() == b.equity.tobytes() for a, b in steps)
        context = np.array([a.observation.context for a, _ in steps])[:-1]
        position = np.array([a.observation.position for a, _ in steps])[1:]
        extra = np.array([b.reward - a.reward for a, b in steps])[1:]
        # Target and lot limit are the same in this configuration.
        expected = context[..., 0] * context[..., 1] * position
        np.testing.assert_allclose(extra, expected, atol=1e-5)
        with pytest.raises(BadArgument, match="synergy_factor must be finite and at least 0: -1"):
            bonus.set_synergy_factor(-1)


def test_ruin_terminates(bars: np.ndarray) -> None:
    with batch(bars, size=2, reward=RewardSettings(ruin=0.5)) as market:
        market.reset()
        for turn in range(100):
            step = market.step(np.full((2, 3), turn % 2 * 2))
            if step.terminated.any():
                break
        assert step.terminated.any()
        assert not (step.terminated & step.truncated).any()
        assert (step.episode_return[step.terminated] < -0.5).all()


def test_the_arrays_of_a_step_are_the_callers(bars: np.ndarray) -> None:
    with batch(bars) as market:
        market.reset()
        step = market.step(np.ones((1, 3), np.int64))
        kept = step.observation.matrix.copy()
        market.step(np.ones((1, 3), np.int64))
        np.testing.assert_array_equal(step.observation.matrix, kept)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 0}, r"size must lie in \[1, 65,536\]: 0"),
        ({"seed": -1}, r"seed must lie in \[0, 18,446,744,073,709,551,615\]: -1"),
        ({"episode_bars": 0}, r"episode_bars must lie in \[1, 1,000,000\]: 0"),
        ({"episode_bars": BARS}, "episode_bars must be less than the decisions of a tape"),
        ({"threads": 65}, r"threads must lie in \[1, 64\]: 65"),
        ({"reward": RewardSettings(drawdown_weight=-1)}, "drawdown_weight must be finite"),
    ],
)
def test_numbers_out_of_range_are_refused(
    bars: np.ndarray, options: dict[str, object], text: str
) -> None:
    with pytest.raises(BadArgument, match=text), batch(bars, **options):
        pass


def test_what_does_not_fit_is_refused(bars: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UnknownInstrument), batch(bars, instrument="XX"):
        pass
    with pytest.raises(BadArgument, match="bars must be 30 minutes"), batch(bars[::2]):
        pass
    rules = write_config(
        tmp_path / "gm.yaml", policy={"profile": "rule"}, kernels={"path": "kernels.py"}
    )
    with pytest.raises(ConfigError, match="training wants"), batch(bars, config=rules):
        pass
    with batch(bars, config=load_settings(CONFIG)) as market:
        assert market.agents == ("mlmi", "nwrqk", "regime")
        with pytest.raises(ValueError, match="reset"):
            market.step(np.ones((1, 3), np.int64))
        market.reset()
        with pytest.raises(ValueError, match="actions must be 1 x 3: 1 x 2"):
            market.step(np.ones((1, 2), np.int64))
        with pytest.raises(BadArgument, match="action must be 0, 1 or 2: 3 of market 0, agent 0"):
            market.step(np.full((1, 3), 3))
        with pytest.raises(BadArgument, match="no episode is recorded"):
            market.recorded()


def test_threads_end_with_the_batch(bars: np.ndarray) -> None:
    before = threading.active_count()
    with batch(bars, size=4, threads=4) as market:
        market.reset()
        market.step(np.ones((4, 3), np.int64))
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_a_ground_that_was_read_once_makes_the_markets_of_its_settings(bars: np.ndarray) -> None:
    ground = read_ground(CONFIG, SYMBOL)
    found = []
    for config in (CONFIG, ground, ground):
        with batch(bars, config=config) as market:
            market.reset()
            found.append(play(market, [LONG] * 60)[-1])
    for step in found[1:]:
        assert np.array_equal(step.observation.matrix, found[0].observation.matrix)
        assert step.equity == found[0].equity != 0.0
    with (
        pytest.raises(BadArgument, match="instrument must be the ground's BTC-PERP: NQ"),
        batch(bars, config=ground, instrument="NQ"),
    ):
        pass
