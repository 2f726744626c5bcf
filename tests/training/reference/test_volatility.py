"""Momentum, deviation and score give what SPEC §2 and §3 give by hand."""

import numpy as np

from gm.training import reference


def test_momentum_is_a_log_ratio_and_needs_positive_prices() -> None:
    change = reference.momentum(np.array([100.0, 150.0, 200.0, -1.0, 50.0]), 2)
    np.testing.assert_allclose(change, [np.nan, np.nan, np.log(2.0), np.nan, np.log(0.25)])


def test_deviation_of_alternating_returns() -> None:
    close = np.exp(0.01 * (np.arange(31) % 2))
    deviation = reference.log_return_deviation(close)
    assert np.isnan(deviation[:30]).all()
    np.testing.assert_allclose(deviation[30], 0.01 * np.sqrt(30 / 29), rtol=1e-12)


def test_deviation_of_a_flat_market_is_zero() -> None:
    assert reference.log_return_deviation(np.full(31, 7.0))[30] == 0.0


def test_score_needs_a_hundred_values_and_counts_itself() -> None:
    values = np.arange(101.0)
    values[3] = np.nan
    score, counts = reference.rolling_score(values)
    assert np.isnan(score[:100]).all()
    assert counts[100] == 100
    history = np.delete(values, 3)
    np.testing.assert_allclose(score[100], (100 - history.mean()) / history.std(), rtol=1e-14)
