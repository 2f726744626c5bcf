"""MMD is what Gretton et al. and SPEC §2 define, and its score a rank."""

import numpy as np

from gm.training import reference
from gm.training.reference.discrepancy import fit


def test_features_of_a_bar_by_hand() -> None:
    features = reference.bar_features(
        np.array([101.0, 104.0]), np.array([99.0, 98.0]), np.array([100.0, 102.0]),
        np.array([20.0, 41.0]),
    )  # fmt: skip
    assert features.shape == (1, 4)
    expected = [np.log(1.02), np.log(1.02), 0.06, np.log(42 / 23)]  # EMA 20 + 2/21·21 = 22
    np.testing.assert_allclose(features[0], expected, rtol=1e-14)


def test_discrepancy_by_the_triple_sum() -> None:
    """Kernel by kernel, with Python floats, at the first bar, before and after a refit."""
    random = np.random.default_rng(2)
    features = random.normal(size=(650, 4)) * [1.0, 0.1, 3.0, 1.0]
    features[560:] += 0.5
    found = reference.discrepancies(features)
    assert np.isnan(found[:599]).all()
    for t, refit in ((599, 599), (620, 599), (644, 599), (645, 645), (649, 645)):
        fitted = fit(features[refit - 599 : refit - 99])
        points = (features - fitted.mean) / fitted.deviation
        old, new = points[t - 599 : t - 99], points[t - 99 : t + 1]
        mean = {}
        for name, x, y in (("oo", old, old), ("nn", new, new), ("on", old, new)):
            squared = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
            mean[name] = np.exp(-squared / (2 * fitted.bandwidth**2)).mean()
        expected = np.sqrt(mean["oo"] + mean["nn"] - 2 * mean["on"])
        np.testing.assert_allclose(found[t], expected, rtol=1e-10)


def test_bandwidth_is_the_median_distance_of_every_fifth_row() -> None:
    rows = np.zeros((500, 4))
    rows[::5, 0] = np.arange(100.0)
    fitted = fit(rows)
    apart = [j - i for i in range(100) for j in range(i + 1, 100)]
    np.testing.assert_allclose(fitted.bandwidth, np.median(apart) / rows[:, 0].std(), rtol=1e-13)
    np.testing.assert_array_equal(fitted.deviation[1:], 1e-12)


def test_a_change_of_regime_raises_the_discrepancy() -> None:
    random = np.random.default_rng(3)
    calm = random.normal(size=(800, 4))
    wild = calm.copy()
    wild[700:] *= 3.0
    assert reference.discrepancies(wild)[-1] > 3 * reference.discrepancies(calm)[-1]


def test_rank_counts_half_of_the_equal_ones() -> None:
    values = np.r_[[np.nan] * 3, np.arange(199.0), 50.0]
    score = reference.ranks(values)
    assert (score[:-1] == 0).all()  # 199 values are too few
    assert score[-1] == 2 * (50 + 0.5 * 2) / 200 - 1


def test_rank_looks_at_two_thousand_values() -> None:
    values = np.r_[np.full(500, 9.0), np.zeros(1999), 5.0]
    assert reference.ranks(values)[-1] == 2 * (1999 + 0.5) / 2000 - 1


def test_a_bar_that_is_not_seen_keeps_the_score_before_it() -> None:
    random = np.random.default_rng(4)
    close = 1000 * np.exp(np.cumsum(random.normal(0, 0.01, 900)))
    volume = random.integers(1, 100, 900).astype(float)
    seen = np.ones(900, bool)
    plain = reference.discrepancy_score(close + 1, close - 1, close, volume, seen)
    at = 850
    seen = np.insert(seen, at, False)
    bars = [np.insert(x, at, x[at - 1] * 1.5) for x in (close + 1, close - 1, close, volume)]
    found = reference.discrepancy_score(*bars, seen)
    assert plain[at - 1] != 0
    assert found[at] == found[at - 1]
    np.testing.assert_array_equal(np.delete(found, at), plain)
