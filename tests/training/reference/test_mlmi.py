"""MLMI votes by nearest neighbours of crosses that are over, as SPEC §2 says."""

import numpy as np
import pytest

from gm.training import reference
from gm.training.reference import mlmi
from gm.training.reference.mlmi import _vote_of_neighbours

PERIOD = 40  # bars from one cross upward to the next


def waves(count: int) -> np.ndarray:
    """A triangle wave on a slope: its averages cross twice a period."""
    phase = np.arange(count) % PERIOD
    return 1000.0 + np.minimum(phase, PERIOD - phase) * 4.0 + np.arange(count) * 0.25


def crosses(ha_close: np.ndarray) -> np.ndarray:
    above = np.sign(reference.weighted_mean(ha_close, 5) - reference.weighted_mean(ha_close, 20))
    return np.flatnonzero(above[1:] * above[:-1] < 0) + 1


def test_neighbours_vote_by_hand() -> None:
    # 20 samples on a line, 4 neighbours: those at 7, 8, 9 and 10 of one at 8.6.
    line = np.arange(20.0)
    labels = np.where(line == 9, -1.0, np.where(line == 10, 0.0, 1.0))
    store = np.stack((line, np.full(20, 3.0), labels), axis=1)
    assert _vote_of_neighbours(8.6, 3.0, store) == 50 + 50 * (1 + 1 - 1 + 0) / 4


def test_both_features_count_in_units_of_their_deviation() -> None:
    # The first feature spreads a thousand times wider: unscaled it alone would decide.
    first = np.repeat([0.0, 1000.0], 10)
    second = np.tile([0.0, 1.0], 10)
    labels = np.where((first > 0) == (second > 0), 1.0, -1.0)
    store = np.stack((first, second, labels), axis=1)
    assert _vote_of_neighbours(900.0, 0.9, store) == 100
    assert _vote_of_neighbours(900.0, 0.1, store) == 0


def test_ties_go_to_the_most_recent() -> None:
    # Ten times the same point: the last four vote.
    store = np.zeros((24, 3))
    store[:14, 0], store[14:20, 2], store[20:, 2] = 5.0, -1.0, 1.0
    assert _vote_of_neighbours(0.0, 0.0, store) == 100


def test_a_cross_resolves_the_one_before_it() -> None:
    close = waves(1200)
    found = reference.momentum_index(close, np.zeros(1200, bool))
    # RSI20 needs 20 changes and its mean 20 of it: from index 39 on a cross counts.
    counted = crosses(close)
    counted = counted[counted >= 39]
    steps = np.flatnonzero(np.diff(found.samples)) + 1
    np.testing.assert_array_equal(steps, counted[1:])
    assert set(np.flatnonzero(found.signal)) <= set(counted.tolist())


def test_nothing_is_said_before_twenty_samples() -> None:
    found = reference.momentum_index(waves(1200), np.zeros(1200, bool))
    few = found.samples < 20
    assert (found.value[few] == 50).all()
    assert (found.signal[few] == 0).all()
    assert (found.value[~few] != 50).any()


def test_every_past_cross_up_that_gained_makes_the_next_a_signal() -> None:
    """In waves that repeat, what followed a cross is known: up gained, down lost."""
    close = waves(1200)
    found = reference.momentum_index(close, np.zeros(1200, bool))
    late = crosses(close)
    late = late[found.samples[late] >= 20]
    up = close[late] > close[late - 1]
    expected = np.where(up, 1, -1)
    np.testing.assert_array_equal(found.signal[late], expected)


def test_a_cross_on_a_synthetic_bar_moves_the_sign_and_nothing_else() -> None:
    close = waves(1200)
    plain = reference.momentum_index(close, np.zeros(1200, bool))
    passed_over = crosses(close)[-3]
    is_synthetic = np.arange(1200) == passed_over
    found = reference.momentum_index(close, is_synthetic)
    assert plain.signal[passed_over] != 0
    assert found.signal[passed_over] == 0
    assert found.samples[passed_over] == plain.samples[passed_over] - 1
    assert found.samples[passed_over + 1] == found.samples[passed_over]  # nor a bar later
    assert found.samples[-1] == plain.samples[-1] - 1


def test_a_difference_of_zero_keeps_the_last_sign() -> None:
    close = np.r_[waves(200), np.full(60, 1000.0)]
    found = reference.momentum_index(close, np.zeros(260, bool))
    flat = reference.weighted_mean(close, 5) == reference.weighted_mean(close, 20)
    assert flat[-30:].all()
    assert (np.diff(found.samples)[-30:] == 0).all()


def test_the_store_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mlmi.STORE_MAX == 2000
    full = reference.momentum_index(waves(2000), np.zeros(2000, bool))
    monkeypatch.setattr(mlmi, "STORE_MAX", 30)
    found = reference.momentum_index(waves(2000), np.zeros(2000, bool))
    np.testing.assert_array_equal(found.samples, np.minimum(full.samples, 30))
    assert (found.value != full.value).any()
