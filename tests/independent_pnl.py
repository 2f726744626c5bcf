"""Profit and loss of a run, recomputed from its fills in whole numbers: a second opinion.

Written from SPEC §1 "Money". Shares no code with the engine, the recorder or the package: SQLite's
`fills`, `instruments.yaml` and the raw bytes of the journal (for the last good price) are read here
with the standard library and PyYAML alone.

    python tests/independent_pnl.py RUN_DIR [INSTRUMENTS_YAML]

prints realised, unrealised and commission in micro-units of each instrument's currency, and the
position in lots, as JSON.
"""

import json
import math
import sqlite3
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import yaml

INSTRUMENTS = Path(__file__).resolve().parents[1] / "configs" / "instruments.yaml"
MICROS = 1_000_000

# 128 bytes: header 40, payload 64, trailer 24 (ARCHITECTURE §3).
SLOT = struct.Struct("<IHHHHIQqq64sQQII")
BAR_OPEN = struct.Struct("<qqqII32x")  # start, duration, open, instrument, flags
BAR_CLOSE = struct.Struct("<qqqqqqIIII")  # start, open, high, low, close, volume, s, instrument, ..
TRADE = struct.Struct("<qqI44x")  # price, quantity, instrument
REFUSED = struct.Struct("<qQII40x")  # start, feed sequence, instrument, reason
MAGIC, FROM_FEED = 0x31304D47, 1
TYPE_BAR_OPEN, TYPE_BAR_CLOSE, TYPE_TRADE, TYPE_BAR_QUARANTINED = 1, 2, 3, 76


class Books(NamedTuple):
    """One instrument's money, in micro-units of its currency."""

    realised_micros: int
    unrealised_micros: int
    commission_micros: int
    position_lots: int
    round_trips: int


class Fill(NamedTuple):
    side: str
    price_ticks: int
    quantity_lots: int
    commission_micros: int


def recompute(fills: list[Fill], tick_value_micros: int, last_ticks: int | None) -> Books:
    """Book fills in their order.

    The position is a number of lots and the ticks paid for it (negative: received). Closing q of Q
    lots takes cost * q / Q, rounded toward zero, off that cost.
    """
    lots = cost = realised_ticks = commission = trips = 0
    for fill in fills:
        signed = fill.quantity_lots if fill.side == "buy" else -fill.quantity_lots
        commission += fill.commission_micros
        closing = min(abs(signed), abs(lots)) if lots * signed < 0 else 0
        if closing:
            removed = math.trunc(Fraction(cost * closing, abs(lots)))
            # A long sells what it paid for; a short buys back what it was paid for.
            worth = closing * fill.price_ticks
            realised_ticks += (worth if lots > 0 else -worth) - removed
            cost -= removed
            lots += closing if signed > 0 else -closing
            trips += lots == 0
        opening = signed - (closing if signed > 0 else -closing)
        lots += opening
        cost += opening * fill.price_ticks
    if lots != 0 and last_ticks is None:
        raise ValueError(f"{lots} lots are open and no price is known")
    unrealised_ticks = lots * (last_ticks or 0) - cost
    return Books(
        realised_ticks * tick_value_micros,
        unrealised_ticks * tick_value_micros,
        commission,
        lots,
        trips,
    )


def tick_value_micros(instruments: Path, symbol: str) -> int:
    """What one order lot gains from one tick: a whole number, or the instrument is unusable."""
    # BaseLoader leaves every number as the text that somebody wrote.
    row = yaml.load(instruments.read_text(), Loader=yaml.BaseLoader)[symbol]
    value = Fraction(row["tick_size"]) * Fraction(row["multiplier_per_order_lot"]) * MICROS
    if value.denominator != 1:
        raise ValueError(f"{symbol}: a tick of a lot is worth {value} micro-units")
    return value.numerator


def read_fills(run_dir: Path) -> dict[str, list[Fill]]:
    """Fills by instrument in the order in which they were booked."""
    database = sqlite3.connect(run_dir / "gm.db")
    rows = database.execute(
        "SELECT instrument, side, price_ticks, quantity_lots, commission_micros FROM fills "
        "ORDER BY journal_sequence"
    ).fetchall()
    database.close()
    fills: dict[str, list[Fill]] = {}
    for symbol, *values in rows:
        fills.setdefault(symbol, []).append(Fill(*values))
    return fills


def read_slots(run_dir: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """(source, type, sequence, payload) of every record of the journal's segments."""
    for path in sorted((run_dir / "journal").glob("segment-*.gmj")):
        data = path.read_bytes()
        for at in range(SLOT.size, len(data) - SLOT.size + 1, SLOT.size):
            slot = SLOT.unpack_from(data, at)
            if slot[0] == MAGIC:
                yield slot[4], slot[2], slot[6], slot[9]


def last_prices(run_dir: Path) -> dict[int, int]:
    """Last price of each instrument number that the engine did not refuse, in ticks."""
    prices: list[tuple[int, int, int]] = []
    refused = set()
    for source, kind, sequence, payload in read_slots(run_dir):
        if kind == TYPE_BAR_QUARANTINED:
            refused.add(REFUSED.unpack(payload)[1])
        elif source == FROM_FEED and kind == TYPE_BAR_OPEN:
            _, _, price, instrument, _ = BAR_OPEN.unpack(payload)
            prices.append((sequence, instrument, price))
        elif source == FROM_FEED and kind == TYPE_BAR_CLOSE:
            values = BAR_CLOSE.unpack(payload)
            prices.append((sequence, values[7], values[4]))
        elif source == FROM_FEED and kind == TYPE_TRADE:
            price, _, instrument = TRADE.unpack(payload)
            prices.append((sequence, instrument, price))
    return {number: price for sequence, number, price in prices if sequence not in refused}


def recompute_run(run_dir: Path, instruments: Path = INSTRUMENTS) -> dict[str, Books]:
    """Books of every instrument that a run traded."""
    symbols = json.loads((run_dir / "run.json").read_text())["instruments"]
    prices = {symbols[number]: price for number, price in last_prices(run_dir).items()}
    return {
        symbol: recompute(fills, tick_value_micros(instruments, symbol), prices.get(symbol))
        for symbol, fills in read_fills(run_dir).items()
    }


def main(arguments: list[str]) -> int:
    """Print the books of a run directory."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    books = recompute_run(*map(Path, arguments))
    print(json.dumps({symbol: found._asdict() for symbol, found in books.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
