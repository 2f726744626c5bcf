"""Columns stand where SPEC §3 puts them, and readiness comes when it says."""

import numpy as np

from gm.readers import BAR
from gm.training import reference

HOUR_NS = 3_600_000_000_000


def test_hours_stand_on_a_circle() -> None:
    start = np.array([0, 6, 12, 23]) * HOUR_NS
    sine, cosine = reference.hour_circle(start, np.array([0, 0, 6, 7]) * HOUR_NS)
    np.testing.assert_allclose(sine, [0, 1, -1, 1], atol=1e-15)
    np.testing.assert_allclose(cosine, [1, 0, 0, 0], atol=1e-15)


def flat(count: int, price: int = 1000, minutes: int = 5) -> np.ndarray:
    """Bars of one price and one volume."""
    bars = np.zeros(count, BAR)
    bars["start_ts_ns"] = np.arange(count) * minutes * 60 * 10**9
    for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
        bars[name] = price
    bars["volume_lots"] = 10
    return bars


def test_tactical_momentum_and_volume_by_hand() -> None:
    bars = flat(30)
    bars["close_ticks"][29] = bars["high_ticks"][29] = 1010
    bars["volume_lots"][28:] = [31, 0]
    values = reference.tactical_columns(bars).values
    np.testing.assert_allclose(values[29, 5], np.tanh(100 * 0.01 / 5), rtol=1e-14)
    assert (values[:29, 5] == 0).all()
    mean = 10 + 2 / 21 * 21
    np.testing.assert_allclose(values[28, 6], np.tanh(np.log(31 / mean)), rtol=1e-14)
    np.testing.assert_allclose(values[29, 6], np.tanh(np.log(1e-6)), rtol=1e-14)


def test_no_volume_at_all_is_a_ratio_of_zero() -> None:
    bars = flat(30)
    bars["volume_lots"] = 0
    assert (reference.tactical_columns(bars).values[:, 6] == 0).all()


def test_level_and_age_of_a_gap_by_hand() -> None:
    bars = flat(30)
    bars["open_ticks"][10:20:2] += 2  # bodies of 2 and 0: a mean of 1
    bars["high_ticks"][10:20:2] += 2
    for at, (open_, high, low, close) in {
        20: (1000, 1040, 1000, 1040), 21: (1040, 1050, 1020, 1040)
    }.items():  # fmt: skip
        for name, value in zip(("open", "high", "low", "close"), (open_, high, low, close),
                               strict=True):  # fmt: skip
            bars[f"{name}_ticks"][at] = value
    for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
        bars[name][22:] = 1040
    values = reference.tactical_columns(bars).values
    assert values[21:, 0].tolist() == [1.0] * 9
    assert (values[:, 1] == 0).all()
    # Between 1000 and 1020: 3 % under 1040 is beyond the clip of 2 %, 1010 under 1030 is not.
    level = 100 * (1010 - 1040) / 1040
    assert level < -2
    assert (values[21:, 2] == -1).all()
    np.testing.assert_allclose(values[21:, 3], np.exp(-0.1 * np.arange(9)), rtol=1e-14)


def test_tactical_is_ready_with_the_seventy_third_bar() -> None:
    matrices, ready = reference.tactical_matrices(flat(80))
    assert matrices.shape == (80, 60, 7)
    np.testing.assert_array_equal(ready, np.arange(80) >= 72)


def test_a_price_of_zero_ends_readiness_for_sixty_five_bars() -> None:
    bars = flat(200)
    bars["low_ticks"][100] = 0
    ready = reference.tactical_matrices(bars)[1]
    np.testing.assert_array_equal(
        ready[72:], (np.arange(72, 200) < 100) | (np.arange(72, 200) > 164)
    )


def test_a_market_that_stands_still_has_nothing_but_the_hour() -> None:
    bars = flat(1000, minutes=30)
    columns = reference.strategic_columns(bars, np.zeros(1000, np.int64))
    others = np.delete(columns.values, [6, 7, 10], axis=1)
    assert (others == 0).all()
    assert not columns.warm.any()  # no cross, no sample; σ30 = 0 enters no history


def test_rows_out_of_session_repeat_the_matrix_before_them() -> None:
    values = np.arange(6.0).reshape(3, 2)
    inside = np.array([True, False, True, True])
    matrices, ready = reference.stack_rows(values, np.array([True] * 3), inside, 2)
    assert matrices[:, :, 0].tolist() == [[0, 0], [0, 0], [0, 2], [2, 4]]
    assert ready.tolist() == [False, False, True, True]
