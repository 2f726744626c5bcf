"""Promise: stretches of a tape are in time order and far enough apart that none knows another."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gm.errors import BadArgument
from gm.readers import BAR
from gm.training.split import split_by_time

HALF_HOUR_NS = 1_800_000_000_000


def some_bars(count: int) -> np.ndarray:
    bars = np.zeros(count, BAR)
    bars["start_ts_ns"] = np.arange(count) * HALF_HOUR_NS
    return bars


def numbers(bars: np.ndarray) -> list[int]:
    return (bars["start_ts_ns"] // HALF_HOUR_NS).tolist()


def test_a_thousand_bars_cut_by_hand() -> None:
    split = split_by_time(some_bars(1000), validation=0.2, test=0.1, purge_bars=10, embargo_bars=50)
    assert numbers(split.train) == list(range(690))  # cut at 700, the last 10 purged
    assert numbers(split.validation) == list(range(750, 890))
    assert numbers(split.test) == list(range(950, 1000))


@given(
    count=st.integers(2_000, 5_000),
    purge=st.integers(0, 100),
    embargo=st.integers(48, 100),
    validation=st.floats(0.15, 0.4),
    test=st.floats(0.15, 0.4),
)
def test_stretches_are_apart_by_purge_and_embargo(
    count: int, purge: int, embargo: int, validation: float, test: float
) -> None:
    split = split_by_time(
        some_bars(count),
        validation=validation,
        test=test,
        purge_bars=purge,
        embargo_bars=embargo,
    )
    parts = [numbers(part) for part in (split.train, split.validation, split.test)]
    for before, after in pairwise(parts):
        assert after[0] - before[-1] == purge + embargo + 1
    assert parts[0][0] == 0
    assert parts[-1][-1] == count - 1
    for part, share in zip(parts[1:], (validation, test), strict=True):
        assert abs(len(part) + purge + embargo - count * share) <= purge + 1
    assert split.train.base is not None  # a view: a tape is large


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation": 0.0}, "validation and test must be above 0, together below 1: 0.0, 0.15"),
        ({"validation": 0.5, "test": 0.5}, "together below 1: 0.5, 0.5"),
        ({"purge_bars": -1}, "at least 48: -1, 48"),
        ({"embargo_bars": 47}, "at least 48: 46, 47"),
        ({"validation": 0.001}, "validation is empty: 1000 bars, purge_bars 46, embargo_bars 48"),
        ({"purge_bars": 999}, "train is empty"),
    ],
)
def test_what_makes_no_split_is_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(BadArgument, match=text):
        split_by_time(some_bars(1000), **options)  # type: ignore[arg-type]


def test_bars_out_of_order_are_refused() -> None:
    bars = some_bars(1000)
    bars["start_ts_ns"][500] = bars["start_ts_ns"][499]
    with pytest.raises(BadArgument, match="bar 500 does not start after bar 499"):
        split_by_time(bars)
