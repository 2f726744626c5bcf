"""The averages give what SPEC §2 gives by hand."""

import numpy as np

from gm.training import reference


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


def test_runs_begin_again_after_a_false() -> None:
    lengths = reference.run_lengths(np.array([True, True, False, True]))
    np.testing.assert_array_equal(lengths, [1, 2, 0, 1])


def test_weighted_mean_by_hand() -> None:
    mean = reference.weighted_mean(np.array([np.nan, 1.0, 2.0, 6.0]), 3)
    np.testing.assert_array_equal(mean, [np.nan, np.nan, np.nan, (1 + 4 + 18) / 6])


def test_exponential_mean_begins_with_the_first_value() -> None:
    mean = reference.exponential_mean(np.array([21.0, 42.0, 42.0]), 20)
    np.testing.assert_allclose(mean, [21.0, 23.0, 23.0 + 2 / 21 * 19.0], rtol=1e-15)


def test_relative_strength_by_hand() -> None:
    # Changes +2 -1 | +3: gain 1 then 2, loss 0.5 then 0.25.
    strength = reference.relative_strength(np.array([10.0, 12.0, 11.0, 14.0]), 2)
    np.testing.assert_allclose(strength, [np.nan, np.nan, 100 - 100 / 3, 100 - 100 / 9], rtol=1e-15)


def test_relative_strength_without_losses_and_without_moves() -> None:
    assert reference.relative_strength(np.arange(5.0), 3)[4] == 100
    assert reference.relative_strength(np.full(5, 7.0), 3)[4] == 50
    assert reference.relative_strength(np.arange(5.0)[::-1], 3)[4] == 0
