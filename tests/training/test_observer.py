"""Promise: the belief is the best there is, and the observer's program says what it is worth."""

import numpy as np
import pytest

from gm.errors import BadArgument
from gm.training.observer import beliefs, best_observer
from gm.training.optimum import decide, play, solve_optimum
from gm.training.planted import PlantedSettings, planted_market

SETTINGS = PlantedSettings()
COST, HOLD_BARS_MAX, WARM = 0.225, 46, 100


@pytest.fixture(scope="module")
def markets() -> tuple[np.ndarray, np.ndarray]:
    """Signal and log returns of forty markets."""
    found = [planted_market(SETTINGS, seed, 4_000) for seed in range(40)]
    moves = [np.log(each.bars["close_ticks"] / each.bars["open_ticks"]) for each in found]
    return np.stack([each.signal for each in found]), np.stack(moves)


def test_a_steady_state_worked_by_hand() -> None:
    # a^2 = 1/2, k^2 = 1/2: x^2 / 2 = 1/4, so x = sqrt(1/2) of the variance is left. The gain is
    # k x / (k^2 x + 1/2) = sqrt(2) x / (x + 1).
    observer = best_observer(PlantedSettings(signal_to_noise=1.0, persistence=0.5**0.5))
    left = np.sqrt(0.5)
    assert observer.deviation**2 == pytest.approx(1 - left)
    assert observer.gain == pytest.approx(left / (left + 1) * np.sqrt(2))
    assert observer.seen.drift_share == pytest.approx(np.sqrt(0.5 * (1 - left)))


def test_the_variance_that_is_left_is_where_the_filter_comes_to_rest() -> None:
    for h, a in ((0.3, 0.5), (1.5, 0.95), (4.0, 0.99)):
        settings = PlantedSettings(signal_to_noise=h, persistence=a)
        share, left = settings.drift_share**2, 1.0
        for _ in range(20_000):
            left = a**2 * left * (1 - share) / (share * left + 1 - share) + 1 - a**2
        assert best_observer(settings).deviation == pytest.approx(np.sqrt(1 - left), rel=1e-9)


def test_the_belief_has_its_deviation_and_no_error_that_returns_explain(markets) -> None:
    signal, moves = markets
    observer = best_observer(SETTINGS)
    belief = beliefs(observer, moves)[:, WARM:]
    assert belief.std() == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(belief.ravel(), signal[:, WARM:].ravel())[0, 1] == pytest.approx(
        observer.deviation, abs=0.01
    )
    # What the best estimate leaves is uncorrelated with each return that it has seen.
    error = signal[:, WARM:] - observer.deviation * belief
    for lag in (0, 1, 5, 20):
        seen = moves[:, WARM - lag : moves.shape[1] - lag]
        assert abs(np.corrcoef(error.ravel(), seen.ravel())[0, 1]) < 0.02


def test_the_observer_earns_what_its_program_says_and_less_than_the_clairvoyant(markets) -> None:
    _, moves = markets
    observer = best_observer(SETTINGS)
    optimum = solve_optimum(observer.seen, COST, HOLD_BARS_MAX)
    belief = beliefs(observer, moves)
    following = moves[:, WARM + 1 :] / SETTINGS.volatility
    rewards, _ = play(decide(optimum), belief[:, WARM:-1], following, COST, HOLD_BARS_MAX)
    error = rewards.mean(axis=1).std() / np.sqrt(len(rewards))
    assert rewards.mean() == pytest.approx(optimum.reward_per_bar, abs=4 * error)
    assert error < 0.02 * optimum.reward_per_bar
    clairvoyant = solve_optimum(SETTINGS, COST, HOLD_BARS_MAX).reward_per_bar
    assert 0.7 * clairvoyant < optimum.reward_per_bar < 0.95 * clairvoyant


def test_without_a_signal_nothing_is_believed() -> None:
    settings = PlantedSettings(signal_to_noise=0.0)
    observer = best_observer(settings)
    assert (observer.deviation, observer.gain) == (0.0, 0.0)
    assert not beliefs(observer, np.full((2, 9), 0.01)).any()
    assert solve_optimum(observer.seen, COST).reward_per_bar == pytest.approx(0.0, abs=1e-9)


def test_what_cannot_be_filtered_is_refused() -> None:
    with pytest.raises(BadArgument, match="persistence"):
        best_observer(PlantedSettings(persistence=1.0))
    with pytest.raises(BadArgument, match=r"moves must be \(markets, bars\): shape \(9,\)"):
        beliefs(best_observer(SETTINGS), np.zeros(9))
