"""Promise: what looks like training passes and what does not is named, by a manifest's numbers."""

import math

import msgspec
import numpy as np
import pytest

import gm
from gm.errors import BadArgument
from gm.training.drift import (
    Guard,
    TrainingSlice,
    fit_guard,
    fit_slice,
    score_rows,
    shrunken_covariance,
    stability_index,
)
from gm.training.planted import PlantedSettings, planted_market

NAMES = gm.STRATEGIC_COLUMNS
BARS = 8_000


def rows_of(seed: int, settings: PlantedSettings) -> np.ndarray:
    """Newest rows of ready matrices, float32 (n, 13)."""
    matrices, ready = gm.strategic_matrices(planted_market(settings, seed, BARS).bars, "BTC-PERP")
    return matrices[ready, -1]


@pytest.fixture(scope="module")
def training() -> np.ndarray:
    return np.concatenate([rows_of(seed, PlantedSettings()) for seed in range(3)])


@pytest.fixture(scope="module")
def fresh() -> np.ndarray:
    return np.concatenate([rows_of(seed, PlantedSettings()) for seed in (10, 11, 12)])


@pytest.fixture(scope="module")
def guard(training: np.ndarray) -> Guard:
    return fit_guard(training, NAMES)


def test_index_by_hand() -> None:
    training = fit_slice(np.repeat([[0.0], [1.0]], 500, axis=0), ("x",))
    assert training.columns[0].edges == (0.5,)
    assert training.columns[0].shares == (0.5, 0.5)
    new = np.repeat([[0.0], [1.0]], [75, 25], axis=0)
    a = 75.5 / 101
    expected = (a - 0.5) * math.log(a / 0.5) + (0.5 - a) * math.log((1 - a) / 0.5)
    assert stability_index(training, new)["x"] == pytest.approx(expected, rel=1e-12)


def test_bins_hold_equal_shares_and_a_mass_at_one_value_its_own() -> None:
    random = np.random.default_rng(1)
    smooth = random.standard_normal(10_000)
    massed = np.where(random.random(10_000) < 0.5, 0.0, np.abs(smooth))
    training = fit_slice(np.column_stack([smooth, massed, np.full(10_000, 0.3)]), ("s", "m", "c"))
    s, m, c = training.columns
    assert np.allclose(s.shares, 0.1, atol=1e-3)
    assert m.edges[0] == 0.0
    assert m.shares[0] == pytest.approx(0.5, abs=0.02)
    assert (c.edges, c.shares) == ((), (1.0,))
    for column in training.columns:
        assert sum(column.shares) == pytest.approx(1.0)
        assert all(share > 0 for share in column.shares)


def test_index_without_drift_is_as_large_as_its_theory_says() -> None:
    random = np.random.default_rng(4)
    training = fit_slice(random.standard_normal((5_000, 60)), tuple(f"c{i}" for i in range(60)))
    found = list(stability_index(training, random.standard_normal((1_000, 60))).values())
    assert np.mean(found) == pytest.approx((1 / 5_000 + 1 / 1_000) * 9, rel=0.25)


def test_index_names_the_column_that_moved(training: np.ndarray, fresh: np.ndarray) -> None:
    fitted = fit_slice(training, NAMES)
    calm = stability_index(fitted, fresh)
    assert tuple(calm) == NAMES
    assert max(calm.values()) < 0.1
    assert sorted(calm.values())[-2] < 0.05  # MLMI remembers its path for long
    moved = fresh.copy()
    moved[:, 2] += 0.25
    found = stability_index(fitted, moved)
    assert found["nwrqk_value"] > 0.25
    assert {name for name in NAMES if found[name] != calm[name]} == {"nwrqk_value"}


def test_a_market_without_the_signal_is_told_from_one_with_it(training: np.ndarray) -> None:
    still = rows_of(10, PlantedSettings(signal_to_noise=0.0))
    found = stability_index(fit_slice(training, NAMES), still)
    assert found["nwrqk_slope"] > 0.25
    assert found["momentum_20"] > 0.25
    assert found["hour_sin"] < 0.01


def test_fresh_rows_of_the_same_market_pass(guard: Guard, fresh: np.ndarray) -> None:
    score = score_rows(guard, fresh)
    assert score.is_out.mean() < 0.003
    # What is out is a profile without a low-volume node, 1 training row in 2,000.
    assert not np.delete(score.is_outside, NAMES.index("lvn_strength"), axis=1).any()


def test_columns_in_another_order_are_found_though_each_is_in_range(
    guard: Guard, training: np.ndarray, fresh: np.ndarray
) -> None:
    # Momentum of 50 bars turned round against that of 20, in the rows where it is large.
    clear = np.abs(fresh[:, [8, 9]]).min(axis=1) > 0.95
    wrong = fresh[clear & (fresh[:, 8] * fresh[:, 9] > 0)].copy()
    wrong[:, 8] *= -1.0
    wrong[:, 3] *= -1.0
    wrong[:, 2] *= -1.0
    score = score_rows(guard, wrong)
    assert not score.is_outside.any()
    assert len(wrong) > 100
    ratio = np.median(score.distance) / np.median(score_rows(guard, fresh).distance)
    assert ratio > 1.3


def test_a_correlation_that_breaks_is_far_away() -> None:
    random = np.random.default_rng(6)
    x = random.standard_normal(5_000)
    rows = np.column_stack([x, x + 0.1 * random.standard_normal(5_000)])
    guard = fit_guard(rows, ("a", "b"))
    score = score_rows(guard, np.array([[1.5, 1.5], [1.5, -1.5], [9.0, 9.0]]))
    assert score.is_out.tolist() == [False, True, True]
    assert score.is_outside.tolist() == [[False, False], [False, False], [True, True]]
    assert score.distance[1] > 50 * score.distance[0]


def test_distance_is_that_of_its_definition() -> None:
    random = np.random.default_rng(7)
    rows = random.standard_normal((800, 3)) @ random.standard_normal((3, 3)) + 2.0
    guard = fit_guard(rows, ("a", "b", "c"))
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    w = guard.shrinkage
    correlation = (1 - w) * np.corrcoef(rows.T) + w * np.eye(3)
    expected = [row @ np.linalg.solve(correlation, row) for row in z]
    assert np.allclose(score_rows(guard, rows).distance, expected, rtol=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_out(guard: Guard, fresh: np.ndarray, value: float) -> None:
    rows = fresh[:2].copy()
    rows[1, 4] = value
    score = score_rows(guard, rows)
    assert score.is_out.tolist() == [False, True]
    assert score.is_outside[1].tolist() == [i == 4 for i in range(13)]
    assert score.distance[1] == np.inf


def test_a_column_that_never_moved_may_not_move() -> None:
    random = np.random.default_rng(8)
    rows = np.column_stack([random.standard_normal(1_000), np.full(1_000, 0.5)])
    guard = fit_guard(rows, ("a", "still"))
    score = score_rows(guard, np.array([[0.1, 0.5], [0.1, 0.51]]))
    assert score.is_outside.tolist() == [[False, False], [False, True]]
    assert score.is_out.tolist() == [False, True]


def test_both_survive_a_manifest(guard: Guard, training: np.ndarray, fresh: np.ndarray) -> None:
    for found, kind in ((guard, Guard), (fit_slice(training, NAMES), TrainingSlice)):
        text = msgspec.json.encode(found)
        assert len(text) < 8_000
        assert msgspec.json.decode(text, type=kind) == found
    again = msgspec.json.decode(msgspec.json.encode(guard), type=Guard)
    assert (score_rows(again, fresh).distance == score_rows(guard, fresh).distance).all()


def test_shrinkage_keeps_what_few_rows_cannot_tell() -> None:
    random = np.random.default_rng(9)
    few = random.standard_normal((20, 30))  # singular without it
    covariance, weight = shrunken_covariance(few - few.mean(axis=0))
    assert weight > 0.5
    assert np.linalg.eigvalsh(covariance).min() > 0.1
    spread = random.standard_normal((50_000, 5)) * np.arange(1.0, 6.0)
    covariance, weight = shrunken_covariance(spread - spread.mean(axis=0))
    assert weight < 0.01
    assert np.allclose(np.diag(covariance), np.arange(1.0, 6.0) ** 2, rtol=0.05)


def test_shrinkage_is_that_of_the_paper_written_as_sums() -> None:
    rows = np.random.default_rng(3).standard_normal((40, 4)) * [1.0, 2.0, 3.0, 0.5]
    rows = rows - rows.mean(axis=0)
    norm = lambda a: np.trace(a @ a.T) / 4  # noqa: E731
    sample = rows.T @ rows / 40
    m = np.trace(sample) / 4
    d2 = norm(sample - m * np.eye(4))
    b2 = min(d2, sum(norm(np.outer(x, x) - sample) for x in rows) / 40**2)
    assert shrunken_covariance(rows)[1] == pytest.approx(b2 / d2, rel=1e-12)


def test_what_cannot_be_fitted_or_scored_is_refused(guard: Guard) -> None:
    rows = np.random.default_rng(1).standard_normal((600, 2))
    with pytest.raises(BadArgument, match="at least 500: 499"):
        fit_guard(rows[:499], ("a", "b"))
    with pytest.raises(BadArgument, match=r"3 columns: shape \(600, 2\)"):
        fit_slice(rows, ("a", "b", "c"))
    with pytest.raises(BadArgument, match="each once"):
        fit_slice(rows, ("a", "a"))
    with pytest.raises(BadArgument, match="bins must be 2 to 10: 11"):
        fit_slice(rows, ("a", "b"), bins=11)
    with pytest.raises(BadArgument, match=r"tail must be in \(0, 0.1\]: 0.5"):
        fit_guard(rows, ("a", "b"), tail=0.5)
    with pytest.raises(BadArgument, match=r"0\.1, 0\.9"):
        fit_guard(rows, ("a", "b"), distance_margin=0.9)
    with pytest.raises(BadArgument, match="at least 50: 49"):
        stability_index(fit_slice(rows, ("a", "b")), rows[:49])
    with pytest.raises(BadArgument, match=r"13 columns: shape \(600, 2\)"):
        score_rows(guard, rows)
    rows[3, 1] = np.nan
    with pytest.raises(BadArgument, match=r"nan at \[3, 1\]"):
        fit_guard(rows, ("a", "b"))
