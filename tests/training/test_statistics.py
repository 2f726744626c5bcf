"""Promise: an interval of 95 % holds the truth about 95 times in 100, with few seeds too."""

import numpy as np
import pytest

from gm.errors import BadArgument
from gm.training.statistics import (
    Interval,
    difference_interval,
    mean_interval,
    sharpe_interval,
    student_quantile,
)

TRIALS = 250
FAST = 1_000  # resamples, for simulations


def draw(
    random: np.random.Generator, seeds: int, episodes: int, *, of_seed: float, shared: float = 0.0
) -> np.ndarray:
    """Values of mean 0: a part of the seed, a part of the market, and noise of deviation 1."""
    return (
        of_seed * random.standard_normal((seeds, 1))
        + shared * random.standard_normal((1, episodes))
        + random.standard_normal((seeds, episodes))
    )


def share_that_holds(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([found.low <= truth <= found.high for found in intervals]))


# 250 trials of a right 95 % lie within 0.95 +- 0.041 with three deviations.
@pytest.mark.parametrize("of_seed", [0.0, 0.3, 2.0])
def test_five_seeds_give_an_interval_that_covers(of_seed: float) -> None:
    random = np.random.default_rng(11)
    found = [
        mean_interval(draw(random, 5, 20, of_seed=of_seed), episodes="own", resamples=2_000, seed=i)
        for i in range(TRIALS)
    ]
    assert share_that_holds(found, 0.0) > 0.91
    # That of Student over the means of seeds; up to sqrt(2) longer where seeds do not differ.
    right = 2.0 * student_quantile(0.975, 4) * np.sqrt((of_seed**2 + 1 / 20) / 5)
    assert 0.75 < np.mean([f.high - f.low for f in found]) / right < 1.5


def test_many_seeds_give_nearly_the_textbook_interval() -> None:
    values = draw(np.random.default_rng(3), 200, 1, of_seed=0.0)
    found = mean_interval(values, episodes="shared")
    error = values.std(ddof=1) / np.sqrt(200)
    half = student_quantile(0.975, 199) * error
    assert found.estimate == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_shared_episodes_must_be_said() -> None:
    random = np.random.default_rng(5)
    tables = [draw(random, 20, 20, of_seed=0.0, shared=2.0) for _ in range(TRIALS)]
    right = [mean_interval(t, episodes="shared", resamples=FAST, seed=i)
             for i, t in enumerate(tables)]  # fmt: skip
    wrong = [mean_interval(t, episodes="own", resamples=FAST, seed=i) for i, t in enumerate(tables)]
    assert 0.90 < share_that_holds(right, 0.0) < 0.99
    assert share_that_holds(wrong, 0.0) < 0.5


@pytest.mark.parametrize("is_paired", [False, True])
def test_differences_cover(is_paired: bool) -> None:
    random = np.random.default_rng(17)
    found = []
    for i in range(TRIALS):
        common = draw(random, 5, 20, of_seed=1.0) if is_paired else 0.0
        left = 0.5 + common + draw(random, 5, 20, of_seed=0.5)
        right = common + draw(random, 5, 20, of_seed=0.5)
        found.append(
            difference_interval(
                left, right, episodes="own", is_paired=is_paired, resamples=2_000, seed=i
            )
        )
    # Unpaired there are eight degrees of freedom and the tail is that of four: a little long.
    assert 0.91 < share_that_holds(found, 0.5) < 0.998


def test_pairs_are_shorter_where_methods_share_their_luck() -> None:
    random = np.random.default_rng(2)
    common = 3.0 * random.standard_normal((5, 50))
    left, right = common + draw(random, 5, 50, of_seed=0.1) + 1.0, common
    paired = difference_interval(left, right, episodes="own", is_paired=True)
    alone = difference_interval(left, right, episodes="own", is_paired=False)
    assert paired.estimate == pytest.approx(alone.estimate)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.excludes_zero


def test_sharpe_ratios_cover() -> None:
    random = np.random.default_rng(23)
    truth = 0.2 / 1.0 * np.sqrt(52)
    found = [
        sharpe_interval(
            0.2 + draw(random, 30, 10, of_seed=0.0),
            periods_a_year=52, episodes="own", resamples=FAST, seed=i,
        )
        for i in range(TRIALS)
    ]  # fmt: skip
    assert 0.91 < share_that_holds(found, truth)
    assert np.mean([f.estimate for f in found]) == pytest.approx(truth, rel=0.055)


def test_sharpe_by_hand() -> None:
    found = sharpe_interval(np.array([[1.0, 2.0], [3.0, 6.0]]), periods_a_year=4, episodes="own")
    assert found.estimate == pytest.approx(3.0 / np.sqrt(14 / 3) * 2)
    assert (found.seeds, found.episodes, found.resamples) == (2, 2, 10_000)


def test_equal_values_give_equal_intervals_and_another_seed_another() -> None:
    values = draw(np.random.default_rng(1), 5, 200, of_seed=0.2)
    first = mean_interval(values, episodes="own")
    assert mean_interval(values, episodes="own") == first
    assert mean_interval(values, episodes="own", seed=1) != first
    assert first.low < first.estimate < first.high


def test_a_higher_level_is_longer() -> None:
    values = draw(np.random.default_rng(1), 8, 50, of_seed=0.2)
    short, long = (mean_interval(values, episodes="own", level=level) for level in (0.8, 0.99))
    assert long.low < short.low < short.high < long.high


# Tables of Student's t, two-sided 95 % and 99 %, and others.
@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [
        (0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 4, 2.77645), (0.975, 9, 2.26216),
        (0.995, 4, 4.60409), (0.9, 3, 1.63774), (0.975, 199, 1.97196), (0.025, 4, -2.77645),
        (0.5, 7, 0.0), (0.9995, 5, 6.86883),
    ],
)  # fmt: skip
def test_student_quantiles_are_those_of_the_tables(
    probability: float, degrees: int, expected: float
) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((1, 5)), "at least 2 seeds"),
        (np.zeros((5, 0)), r"shape \(5, 0\)"),
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), r"nan at \[1, 0\]"),
    ],
)
def test_tables_that_say_nothing_are_refused(values: np.ndarray, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        mean_interval(values, episodes="own")


def test_arguments_out_of_range_are_refused() -> None:
    values = np.arange(10.0).reshape(2, 5)
    with pytest.raises(BadArgument, match=r"level must be in \(0.5, 1\): 95"):
        mean_interval(values, episodes="own", level=95)
    with pytest.raises(BadArgument, match="at least 1,000: 999"):
        mean_interval(values, episodes="own", resamples=999)
    with pytest.raises(BadArgument, match="periods_a_year must be above 0: 0"):
        sharpe_interval(values, periods_a_year=0, episodes="own")
    with pytest.raises(BadArgument, match=r"all 3\.3: no Sharpe"):
        sharpe_interval(np.full((2, 5), 3.3), periods_a_year=1, episodes="own")
    with pytest.raises(BadArgument, match=r"\(2, 5\) and \(2, 4\)"):
        difference_interval(values, values[:, :4], episodes="own", is_paired=True)
    with pytest.raises(BadArgument, match=r"degrees at least 1: 0\.5, 0"):
        student_quantile(0.5, 0)
