"""Promise: a chart shows every value where it belongs, also when there is one, or all are equal."""

import re

import pytest

from gm.report import svg

DAY_NS = 86_400_000_000_000


def places(drawn: str) -> list[float]:
    """All coordinates, without what labels say."""
    return [float(text) for text in re.findall(r"-?\d+\.\d", re.sub(r">[^<]*<", "><", drawn))]


def test_a_scale_maps_ends_to_ends_and_nothing_to_the_middle() -> None:
    scale = svg.linear(10, 20, 0, 100)
    assert [scale(10), scale(15), scale(20)] == [0, 50, 100]
    assert svg.linear(5, 5, 0, 100)(5) == 50


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert svg.nice_ticks(low, high) == expected


def test_series_of_one_point_and_of_equal_values_are_drawn() -> None:
    for values in ([5.0], [0.0, 0.0, 0.0]):
        times = [number * DAY_NS for number in range(len(values))]
        for is_area in (False, True):
            drawn = svg.time_series(times, values, height=100, label="x", is_area=is_area)
            assert drawn.startswith("<svg")
            assert all(0 <= value <= svg.WIDTH for value in places(drawn))


def test_candles_after_a_weekend_are_as_wide_as_the_others() -> None:
    half_hour = 1_800_000_000_000
    starts = [0, 2 * DAY_NS, 2 * DAY_NS + half_hour, 2 * DAY_NS + 2 * half_hour]
    bars = [(start, 10.0, 11.0, 9.0, 10.5) for start in starts]
    drawn = svg.candles(bars, [(0, 10.0, True, "<buy>")], height=200, label="x")
    widths = {float(text) for text in re.findall(r'width="(\d+\.\d)"', drawn)}
    assert len(widths) == 1
    assert max(widths) < svg.WIDTH / 50
    assert "&lt;buy&gt;" in drawn


def test_bands_stack_from_zero_to_one() -> None:
    drawn = svg.probability_bands([0, 1], [(0.2, 0.3, 0.5)] * 2, height=122, label="x")
    assert [drawn.count(f'class="band-{name}"') for name in ("long", "neutral", "short")] == [1] * 3
    assert all(0 <= value <= svg.WIDTH for value in places(drawn))


def test_a_histogram_shows_only_what_was_counted() -> None:
    drawn = svg.histogram([(1, 0), (64, 3), (1024, 1), (2**20, 0)], height=100, label="x")
    assert drawn.count("<rect") == 2
    assert "3 up to 64 ns" in drawn
    assert "1 up to 1.02 µs" in drawn
    assert "nothing measured" in svg.histogram([(1, 0)], height=100, label="x")
