"""Where TA-Lib defines a thing as SPEC does, it gives the same numbers."""

import numpy as np
import pytest
import talib

from gm.training import reference


def walk(count: int = 2000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    close = 60_000 + np.cumsum(random.integers(-40, 41, count)).astype(float)
    high = close + random.integers(0, 30, count)
    low = close - random.integers(0, 30, count)
    return high, low, close


@pytest.mark.parametrize("bars", [5, 20])
def test_relative_strength(bars: int) -> None:
    close = walk()[2]
    ours, theirs = reference.relative_strength(close, bars), talib.RSI(close, bars)
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)


@pytest.mark.parametrize("bars", [5, 20])
def test_weighted_mean(bars: int) -> None:
    close = walk()[2]
    np.testing.assert_allclose(
        reference.weighted_mean(close, bars), talib.WMA(close, bars), rtol=1e-12
    )


def test_average_true_range_once_the_first_bar_counts() -> None:
    """TA-Lib passes over the first bar. One more before it, inside its range, makes up for that."""
    high, low, close = walk()
    bars = (np.r_[close[0], high], np.r_[close[0], low], np.r_[close[0], close])
    theirs = talib.ATR(*bars, 14)[1:]
    np.testing.assert_allclose(reference.average_true_range(high, low, close), theirs, rtol=1e-12)


def test_exponential_mean_after_the_seeds_have_faded() -> None:
    """TA-Lib begins with a plain mean of 20; (19/21)^600 of the difference is left."""
    close = walk()[2]
    ours, theirs = reference.exponential_mean(close, 20), talib.EMA(close, 20)
    np.testing.assert_allclose(ours[620:], theirs[620:], rtol=1e-13)


def test_momentum() -> None:
    close = walk()[2]
    np.testing.assert_allclose(
        np.exp(reference.momentum(close, 20)), talib.ROCR(close, 20), rtol=1e-14
    )


def test_deviation_of_log_returns() -> None:
    """TA-Lib's is of the population, from the difference of two large sums: less exact."""
    close = walk()[2]
    theirs = talib.STDDEV(np.diff(np.log(close)), 30) * np.sqrt(30 / 29)
    np.testing.assert_allclose(reference.log_return_deviation(close)[30:], theirs[29:], rtol=1e-6)
