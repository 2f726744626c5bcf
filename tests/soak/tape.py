"""A tape of trades on disk, of any length: `rate` a second once the venue plays it at SPEED.

The venue maps the file: an hour of 50,000 trades a second is 14 GB, of which memory holds what is
played just now.
"""

from pathlib import Path

import numpy as np

from gm import layout
from gm.layout import RecordType
from tests.tapes import trending_prices

NS = 1_000_000_000
HALF_HOUR_NS = 1_800 * NS
# Times real time: half an hour of the tape, hence a decision, every half minute.
SPEED = 60
# Bars that are past when the venue begins, of a few trades each: they warm the engine up.
HISTORY_BARS, TRADES_A_HISTORY_BAR = 600, 12
HISTORY_ROWS = HISTORY_BARS * TRADES_A_HISTORY_BAR
START_NS = 1_704_672_000 * NS  # 2024-01-08, a Monday, UTC
FIRST_PRICE = 30_000.0
NOISE_TICKS = 3
_CHUNK_ROWS = 1_000_000


def live_rows(minutes: float, rate: int) -> int:
    """Trades of so many minutes at `rate` a second."""
    return round(minutes * 60 * rate)


def write_tape(path: Path, minutes: float, rate: int, seed: int) -> np.ndarray:
    """Write the tape and give it back as mapped, read-only rows of ``layout.TAPE_ROW``."""
    count = HISTORY_ROWS + live_rows(minutes, rate)
    rows = np.memmap(path, layout.TAPE_ROW, "w+", shape=(count,))
    bars = HISTORY_BARS + int(minutes * 60 * SPEED / 1_800) + 2
    prices = trending_prices(bars, FIRST_PRICE, seed=seed)
    random = np.random.default_rng(seed)
    history_step_ns = HALF_HOUR_NS // TRADES_A_HISTORY_BAR
    live_from_ns = START_NS + HISTORY_BARS * HALF_HOUR_NS
    for begin in range(0, count, _CHUNK_ROWS):
        at = np.arange(begin, min(begin + _CHUNK_ROWS, count))
        live = at - HISTORY_ROWS
        ts_ns = np.where(
            live < 0, START_NS + at * history_step_ns, live_from_ns + live * (SPEED * NS) // rate
        )
        place = (ts_ns - START_NS) / HALF_HOUR_NS
        trades = np.zeros(len(at), layout.TRADE)
        trades["price_ticks"] = np.rint(np.interp(place, np.arange(bars + 1), prices))
        trades["price_ticks"] += random.integers(-NOISE_TICKS, NOISE_TICKS + 1, len(at))
        trades["quantity_lots"] = random.integers(1, 50, len(at))
        chunk = np.zeros(len(at), layout.TAPE_ROW)
        chunk["payload"] = trades.view("u1").reshape(len(at), layout.PAYLOAD_SIZE)
        chunk["ts_ns"] = ts_ns
        chunk["type"] = RecordType.TRADE
        rows[begin : begin + len(at)] = chunk
    rows.flush()
    return np.memmap(path, layout.TAPE_ROW, "r", shape=(count,))
