"""Three signals in one of four orders, each used once (SPEC §4)."""

import pytest

from gm.training.reference.synergy import (
    FIVE_MINUTES_NS,
    FVG,
    MLMI,
    NWRQK,
    SEQUENCES,
    Signal,
    find_synergies,
)


def signal(bar: int, kind: int, direction: int = 1, strength: float = 0.5) -> Signal:
    return Signal(bar * FIVE_MINUTES_NS, kind, direction, strength)


def numbers(*signals: Signal) -> list[int]:
    return [synergy.sequence for synergy in find_synergies(list(signals)).synergies]


@pytest.mark.parametrize("number", SEQUENCES)
@pytest.mark.parametrize("direction", [1, -1])
def test_each_sequence_by_hand(number: int, direction: int) -> None:
    kinds = SEQUENCES[number]
    given = [signal(i, kind, direction, 0.2 * (i + 1)) for i, kind in enumerate(kinds)]
    (found,) = find_synergies(given).synergies
    assert (found.sequence, found.direction) == (number, direction)
    assert found.ts_ns == 2 * FIVE_MINUTES_NS
    assert found.confidence == pytest.approx(0.4)
    assert found.signals == tuple(given)


@pytest.mark.parametrize("kinds", [(FVG, MLMI, NWRQK), (FVG, NWRQK, MLMI), (MLMI, MLMI, FVG)])
def test_other_orders_are_none(kinds: tuple[int, int, int]) -> None:
    assert numbers(*(signal(i, kind) for i, kind in enumerate(kinds))) == []


def test_all_three_point_one_way() -> None:
    assert numbers(signal(0, MLMI), signal(1, NWRQK, -1), signal(2, FVG)) == []


def test_at_one_moment_mlmi_comes_first_and_the_gap_last() -> None:
    assert numbers(signal(5, FVG), signal(5, NWRQK), signal(5, MLMI)) == [1]


def test_two_hours_are_in_time_and_a_bar_more_is_not() -> None:
    assert numbers(signal(0, MLMI), signal(1, NWRQK), signal(24, FVG)) == [1]
    late = find_synergies([signal(0, MLMI), signal(1, NWRQK), signal(25, FVG)])
    assert late.synergies == ()
    assert late.expired == 1


def test_expired_ones_are_counted_in_both_directions() -> None:
    found = find_synergies([signal(0, MLMI), signal(0, NWRQK, -1), signal(30, FVG)])
    assert found.expired == 2


def test_a_signal_is_used_once() -> None:
    again = [signal(0, MLMI), signal(1, NWRQK), signal(2, FVG), signal(8, FVG)]
    assert numbers(*again) == [1]


def test_five_bars_of_rest_hold_for_both_directions() -> None:
    first = [signal(0, MLMI), signal(1, NWRQK), signal(2, FVG)]
    other = [signal(0, MLMI, -1), signal(1, NWRQK, -1)]
    assert numbers(*first, *other, signal(6, FVG, -1)) == [1]
    assert numbers(*first, *other, signal(7, FVG, -1)) == [1, 1]


def test_a_signal_that_comes_during_the_rest_waits_with_the_others() -> None:
    first = [signal(0, MLMI), signal(1, NWRQK), signal(2, FVG)]
    # NW-RQK at 3, gap at 4 within the rest, MLMI at 8 after it: sequence 3.
    assert numbers(*first, signal(3, NWRQK), signal(4, FVG), signal(8, MLMI)) == [1, 3]


def test_the_newest_of_a_kind_takes_part() -> None:
    given = [signal(0, MLMI), signal(3, MLMI), signal(4, NWRQK), signal(5, NWRQK), signal(6, FVG)]
    (found,) = find_synergies(given).synergies
    assert [s.ts_ns // FIVE_MINUTES_NS for s in found.signals] == [3, 5, 6]


def test_of_two_complete_sequences_the_lower_number_counts() -> None:
    # MLMI, NW-RQK, MLMI, then the gap: 1 from the first MLMI, 4 from the second.
    given = [signal(0, MLMI), signal(1, NWRQK), signal(2, MLMI), signal(3, FVG)]
    (found,) = find_synergies(given).synergies
    assert found.sequence == 1
    assert found.signals[0].ts_ns == 0
