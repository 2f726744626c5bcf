"""Promise: the optimum earns what it says, and nothing that sees the signal earns more."""

import itertools

import numpy as np
import pytest

from gm.errors import BadArgument
from gm.training.optimum import (
    HOLD,
    LONG,
    SHORT,
    Optimum,
    Problem,
    best_policy,
    cost_in_deviations,
    decide,
    episode_reward,
    play,
    reward_of,
    signal_grid,
    solve_optimum,
)
from gm.training.planted import PlantedSettings, planted_market

SETTINGS = PlantedSettings()
COST = 0.225  # 2 basis points and a tick of 40,000, for a bar's deviation of 10 basis points
MARKETS, BARS = 400, 1_500


@pytest.fixture(scope="module")
def optimum() -> Optimum:
    return solve_optimum(SETTINGS, COST)


@pytest.fixture(scope="module")
def paths() -> tuple[np.ndarray, np.ndarray]:
    return draw(SETTINGS, 5)


def draw(settings: PlantedSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Signals, and returns in deviations with their noise, shape (markets, bars), without bars."""
    random = np.random.default_rng(seed)
    signal = np.empty((MARKETS, BARS))
    now = random.standard_normal(MARKETS)
    for bar in range(BARS):
        signal[:, bar] = now
        shock = random.standard_normal(MARKETS) * np.sqrt(1 - settings.persistence**2)
        now = settings.persistence * now + shock
    share = settings.drift_share
    noise = random.standard_normal(signal.shape) * np.sqrt(1 - share**2)
    return signal, share * signal + noise


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Over markets: they are independent, bars are not."""
    means = values.mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(len(means)))


def test_cost_is_that_of_the_venue_in_deviations() -> None:
    assert cost_in_deviations(SETTINGS, 2.0, 1.0) == pytest.approx(COST, rel=1e-12)


# A tiny problem by brute force, with nothing of the program in it: two values of s, two bars to
# hold. A state is (s, position, bars held); a policy answers in each of the ten.
STAY = 0.8
TINY_DRIFT = (-1.0, 0.7)
TINY_STATES = [(s, p, age) for s in (0, 1) for p, age in [(0, 0), (1, 1), (1, 2), (-1, 1), (-1, 2)]]


def tiny_after(position: int, age: int, wanted: int, hold_bars_max: int) -> tuple[int, int]:
    """SPEC §5 by its words."""
    if position == 0:
        return (wanted, 1) if wanted else (0, 0)
    if wanted == -position:
        return wanted, 1
    if age == hold_bars_max:
        return 0, 0
    return position, age + 1


def tiny_problem(cost: float) -> Problem:
    return Problem(
        transition=np.array([[STAY, 1 - STAY], [1 - STAY, STAY]]),
        drift=np.array(TINY_DRIFT),
        cost=cost,
        hold_bars_max=2,
    )


def brute_force(cost: float) -> float:
    """Best long-run reward of all 3^2 2^8 policies, each by its stationary distribution."""
    at = {state: i for i, state in enumerate(TINY_STATES)}
    choices = [(1, 0, -1) if p == 0 else (0, -p) for _, p, _ in TINY_STATES]
    best = -np.inf
    for policy in itertools.product(*choices):
        chain, reward = np.zeros((10, 10)), np.zeros(10)
        for (s, p, age), wanted in zip(TINY_STATES, policy, strict=True):
            after, held = tiny_after(p, age, wanted, 2)
            reward[at[s, p, age]] = after * TINY_DRIFT[s] - cost * abs(after - p)
            for next_s in (0, 1):
                chain[at[s, p, age], at[next_s, after, held]] = STAY if next_s == s else 1 - STAY
        # From flat: the average over a long time, whatever closed sets there are.
        spread = np.linalg.matrix_power(0.5 * (chain + np.eye(10)), 1 << 16)
        best = max(best, float(spread[at[0, 0, 0]] @ reward), float(spread[at[1, 0, 0]] @ reward))
    return best


@pytest.mark.parametrize("cost", [0.05, 0.35, 0.9])
def test_brute_force_over_every_policy_finds_the_same_reward(cost: float) -> None:
    reward, answers = best_policy(tiny_problem(cost))
    assert reward == pytest.approx(brute_force(cost), abs=1e-8)
    policy = np.argmax(answers, axis=1)
    assert reward_of(tiny_problem(cost), policy) == pytest.approx(reward, abs=1e-8)


def test_a_cost_that_nothing_earns_back_means_never() -> None:
    never = solve_optimum(PlantedSettings(signal_to_noise=0.0), COST)
    assert never.reward_per_bar == pytest.approx(0.0, abs=1e-9)
    assert np.isinf(never.long_above[0])
    assert np.isinf(never.short_below[0])


def test_a_market_without_costs_is_worth_the_mean_size_of_its_drift() -> None:
    free = solve_optimum(SETTINGS, 0.0, hold_bars_max=0)
    assert free.reward_per_bar == pytest.approx(SETTINGS.drift_share * np.sqrt(2 / np.pi), rel=2e-3)
    assert abs(free.long_above[0]) < 0.05


def test_thresholds_stand_as_reason_says(optimum: Optimum) -> None:
    # Sides are alike; turning wants a reason; near the forced exit a smaller one will do.
    assert optimum.long_above[0] == pytest.approx(-optimum.short_below[0], abs=1e-6)
    assert optimum.long_above[0] > 0.05
    longs = optimum.short_below[1:47]
    assert np.allclose(longs, -optimum.long_above[47:], atol=1e-6)
    assert longs[-2] > longs[0]
    assert (optimum.long_above[1:47] == np.inf).all()


def test_grid_keeps_mean_and_deviation_of_the_signal() -> None:
    grid, transition = signal_grid(0.95, 161)
    inside = np.abs(grid) < 3.0
    mean = transition @ grid
    variance = transition @ grid**2 - mean**2
    assert np.allclose(mean[inside], 0.95 * grid[inside], atol=1e-6)
    assert np.allclose(variance[inside], 1 - 0.95**2, atol=1e-6)


def test_a_finer_grid_says_the_same(optimum: Optimum) -> None:
    finer = solve_optimum(SETTINGS, COST, points=321)
    assert finer.reward_per_bar == pytest.approx(optimum.reward_per_bar, abs=1e-3)
    assert finer.long_above[0] == pytest.approx(optimum.long_above[0], abs=0.01)


@pytest.mark.parametrize("hold_bars_max", [0, 3])
def test_thresholds_answer_like_the_table_in_every_state(hold_bars_max: int) -> None:
    solved = solve_optimum(SETTINGS, COST, hold_bars_max, points=81)
    policy, ages = decide(solved), max(1, hold_bars_max)
    states = [(0, 0), *((side, age) for side in (1, -1) for age in range(1, ages + 1))]
    for state, (side, age) in enumerate(states):
        answers = policy(solved.grid, np.full(81, side), np.full(81, age))
        assert (answers == solved.policy[state]).all()


@pytest.mark.parametrize("hold_bars_max", [0, 3, 46])
def test_the_policy_earns_its_value_on_paths_with_noise(
    hold_bars_max: int, paths: tuple[np.ndarray, np.ndarray]
) -> None:
    signal, moves = paths
    solved = solve_optimum(SETTINGS, COST, hold_bars_max)
    rewards, _ = play(decide(solved), signal, moves, COST, hold_bars_max)
    mean, error = mean_and_error(rewards)
    expected = episode_reward(solved, BARS) / BARS
    assert error < 0.004
    assert abs(mean - expected) < 3.0 * error
    assert expected == pytest.approx(solved.reward_per_bar, abs=5e-3)


def test_holding_for_46_bars_at_most_costs_little(optimum: Optimum) -> None:
    free = solve_optimum(SETTINGS, COST, hold_bars_max=0)
    lost = 1.0 - optimum.reward_per_bar / free.reward_per_bar
    assert 0.0 < lost < 0.02


def test_no_other_policy_that_sees_the_signal_earns_more(
    optimum: Optimum, paths: tuple[np.ndarray, np.ndarray]
) -> None:
    signal, moves = paths
    rivals = {
        # Takes the next bar alone: turns when it pays for itself at once.
        "myopic": lambda s, p, h: np.where(
            SETTINGS.drift_share * s > COST * (1 + (p < 0)), LONG,
            np.where(SETTINGS.drift_share * s < -COST * (1 + (p > 0)), SHORT, HOLD),
        ),
        **{f"band {band}": threshold(band) for band in np.linspace(0.0, 2.0, 21)},
    }  # fmt: skip
    best, _ = play(decide(optimum), signal, moves, COST, 46)
    leads = {}
    for name, rival in rivals.items():
        got, _ = play(rival, signal, moves, COST, 46)
        lead, error = mean_and_error(best - got)  # same paths: noise cancels
        leads[name] = lead
        assert lead > -3.0 * error, name
    assert leads["myopic"] > 0.005
    assert leads["band 0.0"] > 0.005
    assert leads["band 1.0"] > 0.05


def threshold(band: float):
    return lambda s, p, h: np.where(s > band, LONG, np.where(s < -band, SHORT, HOLD))


def test_no_single_answer_can_be_bettered() -> None:
    optimum = solve_optimum(SETTINGS, COST, 8, points=81)
    random = np.random.default_rng(2)
    for _ in range(20):
        other = optimum.policy.copy()
        state = int(random.integers(0, 5))
        near = np.flatnonzero(np.abs(optimum.grid) < 1.0)
        where = random.choice(near, 10, replace=False)
        other[state, where] = np.where(other[state, where] == HOLD, SHORT, HOLD)
        assert reward_of(optimum.problem, other) <= optimum.reward_per_bar + 1e-8


def test_it_trades_planted_bars_for_what_it_says(optimum: Optimum) -> None:
    markets = [planted_market(SETTINGS, seed, 2_000) for seed in range(40)]
    signal = np.stack([market.signal[:-1] for market in markets])
    ticks = np.stack([market.bars["close_ticks"] for market in markets])
    moves = np.diff(ticks, axis=1) / ticks[:, :-1] / SETTINGS.volatility
    mean, error = mean_and_error(play(decide(optimum), signal, moves, COST, 46)[0])
    assert error < 0.01
    assert abs(mean - optimum.reward_per_bar) < 3.0 * error


def test_max_hold_goes_by_the_words_of_the_design() -> None:
    # Long from the first bar on and always wanted: two bars held, one flat, and again.
    signal = np.ones((1, 8))
    always = lambda s, p, h: np.full(len(s), LONG)  # noqa: E731
    rewards, positions = play(always, signal, np.ones((1, 8)), 0.25, 2)
    assert positions.tolist() == [[1, 1, 0, 1, 1, 0, 1, 1]]
    assert rewards.tolist() == [[0.75, 1.0, -0.25, 0.75, 1.0, -0.25, 0.75, 1.0]]
    # The opposite on the very bar reverses, at twice the cost.
    turning = lambda s, p, h: np.where(h >= 2, np.where(p > 0, SHORT, LONG), LONG)  # noqa: E731
    rewards, positions = play(turning, signal, np.ones((1, 8)), 0.25, 2)
    assert positions.tolist() == [[1, 1, -1, 1, 1, -1, 1, 1]]
    assert rewards[0, 2] == -1.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cost": -0.1}, "cost must be at least 0"),
        ({"cost": float("nan")}, "nan"),
        ({"cost": 0.1, "hold_bars_max": -1}, "-1"),
        ({"cost": 0.1, "points": 40}, "points must be 41 to 1001: 40"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        solve_optimum(SETTINGS, **arguments)


def test_a_grid_too_coarse_for_the_signal_says_how_fine_it_must_be() -> None:
    slow = PlantedSettings(persistence=0.999)
    with pytest.raises(BadArgument, match="at least 225") as found:
        solve_optimum(slow, 0.1)
    assert "points: 161" in str(found.value)
    signal_grid(0.999, 225)


def test_an_episode_has_bars(optimum: Optimum) -> None:
    with pytest.raises(BadArgument, match="bars must be at least 1: 0"):
        episode_reward(optimum, 0)
