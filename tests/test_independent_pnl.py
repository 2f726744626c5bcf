"""Promise: the second opinion on profit books fills as SPEC §1 "Money" says, by hand and by law."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from .independent_pnl import INSTRUMENTS, Books, Fill, recompute, tick_value_micros

FILLS = st.lists(
    st.builds(
        Fill,
        st.sampled_from(["buy", "sell"]),
        st.integers(-(10**9), 10**9),
        st.integers(1, 10**6),
        st.integers(0, 10**9),
    ),
    max_size=40,
)


def test_a_long_that_is_sold_in_parts_worked_by_hand() -> None:
    fills = [Fill("buy", 100, 2, 5), Fill("buy", 101, 1, 5), Fill("sell", 110, 2, 7)]
    # Cost 301 for 3 lots; two of them take floor(301 * 2 / 3) = 200 off: 220 - 200 = 20 ticks.
    # One lot is left that cost 101; at 105 it is worth 4 more.
    assert recompute(fills, 1000, 105) == Books(20_000, 4_000, 17, 1, 0)


def test_a_short_that_crosses_zero_ends_one_round_trip() -> None:
    fills = [Fill("sell", 100, 3, 0), Fill("buy", 90, 5, 0)]
    # 300 received, 270 paid back: 30 ticks. Two lots long at 90, now at 80.
    assert recompute(fills, 1, 80) == Books(30, -20, 0, 2, 1)


def test_rounding_is_toward_zero_on_both_sides() -> None:
    fills = [Fill("sell", 100, 2, 0), Fill("sell", 101, 1, 0), Fill("buy", 110, 2, 0)]
    # Received 301; two of three take 200 off: 200 - 220 = -20. One short is left at 101.
    assert recompute(fills, 1, 110) == Books(-20, -9, 0, -1, 0)


def test_an_open_position_needs_a_price() -> None:
    with pytest.raises(ValueError, match="1 lots are open"):
        recompute([Fill("buy", 100, 1, 0)], 1, None)
    assert recompute([], 1, None) == Books(0, 0, 0, 0, 0)


@given(FILLS, st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_realised_and_unrealised_add_up_to_cash_and_worth(
    fills: list[Fill], last_ticks: int, value: int
) -> None:
    books = recompute(fills, value, last_ticks)
    sign = {"buy": -1, "sell": 1}
    cash = sum(sign[f.side] * f.price_ticks * f.quantity_lots for f in fills)
    lots = -sum(sign[f.side] * f.quantity_lots for f in fills)
    assert books.position_lots == lots
    assert books.realised_micros + books.unrealised_micros == (cash + lots * last_ticks) * value
    assert books.commission_micros == sum(f.commission_micros for f in fills)


@given(FILLS, st.integers(-(10**9), 10**9))
def test_mirrored_fills_lose_what_these_gain(fills: list[Fill], last_ticks: int) -> None:
    other = {"buy": "sell", "sell": "buy"}
    mirror = [fill._replace(side=other[fill.side]) for fill in fills]
    books, mirrored = recompute(fills, 1, last_ticks), recompute(mirror, 1, last_ticks)
    assert mirrored.realised_micros == -books.realised_micros
    assert mirrored.unrealised_micros == -books.unrealised_micros
    assert mirrored.round_trips == books.round_trips


@pytest.mark.parametrize(
    ("symbol", "micros"),
    [("NQ", 5_000_000), ("CL", 10_000_000), ("6E", 6_250_000), ("GBPUSD", 10), ("BTC-PERP", 100)],
)
def test_a_tick_of_a_lot_is_worth_what_the_table_says(symbol: str, micros: int) -> None:
    assert tick_value_micros(INSTRUMENTS, symbol) == micros


def test_a_tick_that_is_no_whole_number_of_micro_units_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "instruments.yaml"
    path.write_text("X: {tick_size: 0.0000001, multiplier_per_order_lot: 1}\n")
    with pytest.raises(ValueError, match="micro-units"):
        tick_value_micros(path, "X")
