"""The slow references give what SPEC §2 and §3 give by hand."""

import numpy as np

from gm.training import reference

HOUR_NS = 3_600_000_000_000


def test_heiken_ashi_by_hand() -> None:
    open_, close = reference.heiken_ashi(
        np.array([10.0, 12.0, 14.0]),
        np.array([14.0, 16.0, 14.0]),
        np.array([8.0, 10.0, 6.0]),
        np.array([12.0, 14.0, 7.0]),
    )
    np.testing.assert_array_equal(close, [11.0, 13.0, 10.25])
    np.testing.assert_array_equal(open_, [11.0, 11.0, 12.0])


def test_average_true_range_by_hand() -> None:
    high = np.array([101.0] * 13 + [116.0, 110.0, 127.0])
    low = np.array([99.0] * 13 + [100.0, 107.0, 125.0])
    close = np.array([100.0] * 13 + [110.0, 108.0, 126.0])
    atr = reference.average_true_range(high, low, close)
    assert np.isnan(atr[:13]).all()
    np.testing.assert_allclose(atr[13:], [3.0, 3.0, (3 * 13 + 19) / 14], rtol=1e-15)


def test_kernel_weighs_the_newest_bar_with_one() -> None:
    x = np.zeros(27)
    x[25] = 1.0
    estimate = reference.kernel_regression(x)
    weights = (1 + np.arange(27) ** 2 / 1024) ** -8.0
    assert np.isnan(estimate[:25]).all()
    np.testing.assert_allclose(
        estimate[25:], [1 / weights[:26].sum(), weights[1] / weights.sum()], rtol=1e-14
    )


def test_kernel_forgets_after_two_hundred_bars() -> None:
    x = np.zeros(201)
    x[0] = 1e6
    estimate = reference.kernel_regression(x)
    assert estimate[199] > 0
    assert estimate[200] == 0


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


def test_hours_stand_on_a_circle() -> None:
    start = np.array([0, 6, 12, 23]) * HOUR_NS
    sine, cosine = reference.hour_circle(start, np.array([0, 0, 6, 7]) * HOUR_NS)
    np.testing.assert_allclose(sine, [0, 1, -1, 1], atol=1e-15)
    np.testing.assert_allclose(cosine, [1, 0, 0, 0], atol=1e-15)


def test_runs_begin_again_after_a_false() -> None:
    lengths = reference.run_lengths(np.array([True, True, False, True]))
    np.testing.assert_array_equal(lengths, [1, 2, 0, 1])
