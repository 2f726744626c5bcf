"""The volume profile of a few bars, worked by hand from SPEC §2."""

import numpy as np

from gm.readers import BAR
from gm.training import reference


def profile(*bars: tuple[int, int, float]) -> reference.Profile:
    low, high, volume = (np.array(column) for column in zip(*bars, strict=True))
    return reference.volume_profile(low, high, volume)


def test_volume_is_spread_evenly_over_the_prices_of_a_bar() -> None:
    # 10: 4 | 11: 4 | 12: 4+9 | 13: 9 | 14: 9+2 | 15: 2 of a total of 43.
    found = profile((10, 12, 12), (12, 14, 27), (14, 15, 4))
    assert found.poc == 12
    # 13 + 9 (13) + 11 (14) = 33 >= 30.1.
    assert (found.value_area_low, found.value_area_high) == (12, 14)
    assert found.nodes == ()


def test_the_lowest_of_equal_bins_is_the_point_of_control() -> None:
    assert profile((3, 3, 5), (1, 1, 5)).poc == 1


def test_the_value_area_grows_upward_when_both_sides_weigh_the_same() -> None:
    # 10 20 40 20 10: 40 + 20 above + 20 below = 80 >= 70 of 100.
    found = profile((1, 1, 10), (2, 2, 20), (3, 3, 40), (4, 4, 20), (5, 5, 10))
    assert (found.value_area_low, found.value_area_high) == (2, 4)
    # With 60 in the middle one step is enough, and it goes up.
    found = profile((1, 1, 10), (2, 2, 10), (3, 3, 60), (4, 4, 10), (5, 5, 10))
    assert (found.value_area_low, found.value_area_high) == (3, 4)


def test_exactly_seventy_percent_are_enough() -> None:
    found = profile((1, 1, 3), (2, 2, 7))
    assert (found.value_area_low, found.value_area_high) == (2, 2)


def test_a_node_is_a_thin_bin_below_the_one_before_it_and_not_above_the_one_behind() -> None:
    # 100, 20, 20, 90, 5: the first 20 falls from 100 and equals its follower; the second does not
    # fall; the last bin is not inside.
    found = profile((1, 1, 100), (2, 3, 40), (4, 4, 90), (5, 5, 5))
    assert found.nodes == ((2, 1 - 20 / 100),)


def test_thirty_percent_are_not_thin() -> None:
    assert profile((1, 1, 100), (2, 2, 30), (3, 3, 90)).nodes == ()
    assert profile((1, 1, 100), (2, 2, 29), (3, 3, 90)).nodes == ((2, 1 - 29 / 100),)


def test_a_wide_range_has_bins_of_several_ticks_named_by_the_lowest() -> None:
    # 4,097 ticks over 2,048 bins: three ticks each.
    found = profile((0, 4097, 10), (3000, 3000, 900))
    assert found.poc == 3000
    assert profile((0, 4097, 10), (3002, 3002, 900)).poc == 3000
    assert profile((0, 2048, 10), (1001, 1001, 900)).poc == 1001


def test_no_volume_has_no_nodes_and_no_skew() -> None:
    found = profile((5, 9, 0), (7, 12, 0))
    assert found.nodes == ()
    assert found.value_area_low == found.value_area_high == found.poc == 5


def test_columns_take_the_nearest_node_and_hold_still_on_synthetic_bars() -> None:
    bars = np.zeros(21, BAR)
    bars["low_ticks"] = bars["high_ticks"] = 100
    bars["low_ticks"][1] = bars["high_ticks"][1] = 104
    bars["volume_lots"] = 10
    bars["close_ticks"] = 103
    is_synthetic = np.arange(21) == 20
    found = reference.profile_columns(bars, is_synthetic)
    assert np.isnan(found.skew[:19]).all()
    # 100: 190 | 101 to 103: 0 | 104: 10. Only 101 falls from its neighbour.
    assert (found.node_distance[19], found.node_strength[19], found.skew[19]) == (-2, 1, 0)
    bars["close_ticks"][20] = 101
    found = reference.profile_columns(bars, is_synthetic)
    assert (found.node_distance[20], found.node_strength[20]) == (0, 1)


def test_of_two_nodes_as_near_the_lower_counts() -> None:
    bars = np.zeros(20, BAR)
    for name in ("low_ticks", "high_ticks"):
        bars[name] = np.r_[[1, 3, 5], np.full(17, 3)]
    bars["volume_lots"] = 10
    bars["close_ticks"] = 3
    found = reference.profile_columns(bars, np.zeros(20, bool))
    assert found.node_distance[19] == -1


def test_skew_leans_away_from_the_point_of_control() -> None:
    bars = np.zeros(20, BAR)
    bars["low_ticks"], bars["high_ticks"] = 0, 9
    bars["low_ticks"][0] = bars["high_ticks"][0] = 0
    bars["volume_lots"] = 100
    found = reference.profile_columns(bars, np.zeros(20, bool))
    # 290, then nine of 190: 290 + 6·190 = 1430 >= 1400, so 0 to 6, all of it above.
    assert found.skew[19] == 1.0
