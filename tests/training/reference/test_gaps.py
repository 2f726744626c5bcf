"""Fair value gaps of candles written by hand: when they open, fire, and are gone (SPEC §2)."""

import numpy as np

from gm.training import reference
from gm.training.reference.gaps import GapColumns

Bar = tuple[float, float, float, float]  # open, high, low, close

QUIET: list[Bar] = [(100, 104, 96, 102)] * 10  # bodies of 2
FIRST: Bar = (100, 104, 96, 102)
STRONG: Bar = (102, 114, 102, 114)  # a body of 12
ABOVE: Bar = (114, 120, 110, 118)  # low 110 over the first high 104
HIGH_UP: Bar = (118, 120, 116, 118)


def gaps(bars: list[Bar], atr: float = 8.0, synthetic: tuple[int, ...] = ()) -> GapColumns:
    open_, high, low, close = (np.array(column, float) for column in zip(*bars, strict=True))
    is_synthetic = np.isin(np.arange(len(bars)), synthetic)
    return reference.fair_value_gaps(open_, high, low, close, np.full(len(bars), atr), is_synthetic)


def mirrored(bars: list[Bar]) -> list[Bar]:
    return [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in bars]


BULLISH = [*QUIET[:9], FIRST, STRONG, ABOVE]


def test_a_gap_opens_at_the_third_candle() -> None:
    found = gaps(BULLISH)
    np.testing.assert_array_equal(found.bullish, [False] * 11 + [True])
    assert not found.bearish.any()
    assert (found.level[11], found.age[11]) == (107.0, 0)


def test_a_fall_is_the_mirror_of_a_rise() -> None:
    found = gaps(mirrored(BULLISH))
    assert found.bearish[11]
    assert not found.bullish.any()
    assert found.level[11] == 93.0


def test_twelve_bars_an_atr_and_a_strong_middle_are_needed() -> None:
    assert not gaps(BULLISH[1:]).bullish.any()
    assert not gaps(BULLISH, atr=np.nan).bullish.any()
    # 1.5 times the mean body is not more than it: (9·2 + 2)/10 · 1.5 = 3.
    weak = [*QUIET[:9], FIRST, (111.0, 114.0, 102.0, 114.0), ABOVE]
    assert not gaps(weak).bullish.any()
    weak[10] = (110.0, 114.0, 102.0, 114.0)
    assert gaps(weak).bullish[11]


def test_a_gap_is_at_least_two_ticks_and_a_tenth_of_the_range() -> None:
    narrow = [*BULLISH[:11], (114.0, 120.0, 105.0, 118.0)]
    assert not gaps(narrow).bullish.any()
    narrow[11] = (114.0, 120.0, 106.0, 118.0)
    assert gaps(narrow).bullish[11]
    assert gaps(narrow, atr=20.0).bullish[11]
    assert not gaps(narrow, atr=20.1).bullish.any()


def test_half_of_it_traded_and_a_close_above_fires_once() -> None:
    into = (112.0, 113.0, 107.0, 109.0)  # to the middle, but closes inside
    back = (109.0, 112.0, 109.0, 110.0)  # closes at the upper edge
    found = gaps([*BULLISH, into, back, back])
    np.testing.assert_array_equal(found.signal[12:], [0, 1, 0])
    np.testing.assert_array_equal(found.bullish[11:], [True, True, False, False])
    assert found.size[13] == 6.0 / 110.0
    assert np.isnan(found.level[13])
    shallow = gaps([*BULLISH, (112.0, 113.0, 107.5, 112.0)])
    assert shallow.signal[12] == 0
    falling = gaps(mirrored([*BULLISH, into, back]))
    assert falling.signal[13] == -1


def test_a_close_beyond_the_far_edge_ends_it() -> None:
    through = (112.0, 112.0, 100.0, 103.0)
    found = gaps([*BULLISH, through, (103.0, 112.0, 103.0, 112.0)])
    assert not found.bullish[12:].any()
    assert not found.signal.any()
    at_the_edge = gaps([*BULLISH, (112.0, 112.0, 100.0, 104.0)])
    assert at_the_edge.bullish[12]


def test_it_lives_for_fifty_bars() -> None:
    found = gaps([*BULLISH, *[HIGH_UP] * 51])
    assert found.age[61] == 50
    assert found.bullish[61]
    assert not found.bullish[62]


def test_synthetic_bars_neither_count_nor_make_it_older() -> None:
    flat = (118.0, 118.0, 118.0, 118.0)
    found = gaps([*BULLISH, flat, HIGH_UP], synthetic=(12,))
    np.testing.assert_array_equal(found.age[11:], [0, 0, 1])
    # Between the second and the third candle: the gap is found all the same.
    found = gaps([*BULLISH[:11], flat, BULLISH[11]], synthetic=(11,))
    assert found.bullish[12]


def test_the_nearest_gap_is_shown() -> None:
    higher = [HIGH_UP] * 9 + [
        (118.0, 120.0, 116.0, 118.0), (118.0, 140.0, 118.0, 140.0), (140.0, 150.0, 130.0, 145.0),
    ]  # fmt: skip
    found = gaps([*BULLISH, *higher])
    assert found.level[-2] == 107.0
    assert (found.level[-1], found.age[-1]) == (125.0, 0)  # 20 from the close, not 38


def test_two_directions_on_one_bar_say_nothing() -> None:
    falling = [  # a gap of [126, 136] above the first, which stays alive
        *[(140.0, 142.0, 138.0, 141.0)] * 9, (140.0, 142.0, 136.0, 138.0),
        (138.0, 138.0, 124.0, 125.0), (125.0, 126.0, 122.0, 123.0),
    ]  # fmt: skip
    start = [*BULLISH, *falling]
    alone = gaps(start)
    assert alone.bullish[-1]
    assert alone.bearish[-1]
    both = gaps([*start, (123.0, 132.0, 106.0, 115.0)])
    assert both.signal[-1] == 0
    assert both.size[-1] == 0
    assert not both.bullish[-1]
    assert not both.bearish[-1]
