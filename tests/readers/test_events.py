"""Decimal text becomes whole units exactly or not at all; events become what the venue plays."""

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gm import layout
from gm.calendars import NO_TIME
from gm.layout import BookResetReason, QuarantineReason, RecordType
from gm.readers.events import BUY, SELL, Events, Grid, Refused, refusals, to_tape

TENTH = 100_000_000


def reason_of(read, text) -> str:
    with pytest.raises(Refused) as caught:
        read(text)
    return caught.value.reason.name.lower()


def test_prices_are_exact_or_refused() -> None:
    grid = Grid(TENTH)
    assert [grid.exact(t) for t in ("61800.20", "61800.2", "0.10", "-3.", "+5", "0")] == [
        618_002, 618_002, 1, -30, 50, 0,
    ]  # fmt: skip
    for text, reason in {
        "61800.25": "off_grid", "0.1000000001": "off_grid", "": "not_finite", "NaN": "not_finite",
        "-inf": "not_finite", "Infinity": "not_finite", "1e3": "malformed", ".5": "malformed",
        "1,000": "malformed", "0x10": "malformed", "1 ": "malformed", "\u0663": "malformed",
        "9" * 30: "overflow", "9" * 41: "malformed",
    }.items():  # fmt: skip
        assert reason_of(grid.exact, text) == reason, text
        assert reason_of(grid.exact, text) == reason, f"{text} a second time"


def test_quantities_are_rounded_half_to_even() -> None:
    grid = Grid(1_000_000)
    assert [grid.nearest(t) for t in ("0.0005", "0.0015", "0.0025", "0.00051", "2")] == [
        0, 2, 2, 1, 2_000,
    ]  # fmt: skip
    assert reason_of(grid.nearest, "nan") == "not_finite"
    finer = {"0.0005000000001": 1, "0.0004999999999": 0, "0.00249999999999999": 2,
             "0.0025000000000": 2, "-0.0015000000001": -2}  # fmt: skip
    assert {text: grid.nearest(text) for text in finer} == finer


@given(st.decimals(-10, 10, places=12), st.sampled_from([1, 3, 25, 500_000_000]))
def test_quantities_of_any_length_are_those_of_decimal_arithmetic(value, unit_e9) -> None:
    lots = (value * 10**9 / unit_e9).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert Grid(unit_e9).nearest(f"{value:f}") == int(lots)


@given(st.decimals(-(10**9), 10**9, places=6), st.sampled_from([1, 25, 1_000, 500_000]))
def test_units_are_those_of_decimal_arithmetic(value, unit_e6) -> None:
    unit = Decimal(unit_e6) / 10**6
    grid, text = Grid(unit_e6 * 1_000), f"{value:f}"
    assert grid.nearest(text) == int((value / unit).quantize(Decimal(1), ROUND_HALF_EVEN))
    if value % unit == 0:
        assert Grid(unit_e6 * 1_000).exact(text) == int(value / unit)
    else:
        assert reason_of(Grid(unit_e6 * 1_000).exact, text) == "off_grid"


def test_a_grid_forgets_rather_than_grow() -> None:
    grid = Grid(TENTH)
    for price in range(70_000):
        assert grid.exact(f"{price}.0") == price * 10
    assert len(grid._known) <= Grid._TEXTS_MAX


def test_events_become_rows_of_a_tape() -> None:
    events = Events()
    events.reset(1, NO_TIME, 900, BookResetReason.GAP, (7, 2**64 + 9))
    events.levels(2, 1_000, 3_500, [(BUY, 100, 5), (SELL, 101, 0)])
    events.quote(3, 2_000, NO_TIME, (99, 0, 4, 0))
    events.trade(4, 3_000, 2_000, 100, 6, SELL)
    events.refuse(5, QuarantineReason.OFF_GRID)
    rows = events.rows()
    assert refusals(rows) == [(5, "off_grid")]
    tape = to_tape(rows, instrument_number=3)
    assert tape.dtype == layout.TAPE_ROW
    assert tape["type"].tolist() == [
        RecordType.BOOK_RESET, RecordType.BOOK_LEVEL, RecordType.BOOK_LEVEL, RecordType.QUOTE,
        RecordType.TRADE, RecordType.QUARANTINE,
    ]  # fmt: skip
    assert tape["ts_ns"].tolist() == [900, 1_000, 1_000, 2_000, 3_000, 0]
    assert tape["delay_us"].tolist() == [0, 3, 3, 0, 0, 0]  # rounded up, never before it was sent

    def payload(row, dtype):
        return tape["payload"][row].copy().view(dtype)[0]

    reset = payload(0, layout.BOOK_RESET)
    assert (reset["expected_sequence"], reset["received_sequence"]) == (7, 9)
    assert (reset["instrument"], reset["reason"]) == (3, BookResetReason.GAP)
    bid, ask = (payload(row, layout.BOOK_LEVEL) for row in (1, 2))
    assert (bid["price_ticks"], bid["quantity_lots"], bid["side"], bid["is_last"]) == (100, 5, 0, 0)
    assert (ask["price_ticks"], ask["quantity_lots"], ask["side"], ask["is_last"]) == (101, 0, 1, 1)
    quote = payload(3, layout.QUOTE)
    assert [int(quote[name]) for name in ("bid_ticks", "ask_ticks", "bid_lots", "ask_lots")] == [
        99, 0, 4, 0,
    ]  # fmt: skip
    trade = payload(4, layout.TRADE)
    assert (trade["price_ticks"], trade["quantity_lots"], trade["side"]) == (100, 6, 1)
    refused = payload(5, layout.QUARANTINE)
    assert (refused["line"], refused["reason"]) == (5, QuarantineReason.OFF_GRID)


def test_many_events_are_packed_in_their_order() -> None:
    events = Events()
    for line in range(150_000):
        events.trade(line, line, NO_TIME, 1, 1, BUY)
    assert np.array_equal(events.rows()["line"], np.arange(150_000))
    assert len(Events().rows()) == 0
    assert len(to_tape(Events().rows())) == 0
