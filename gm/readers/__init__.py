"""Files of market data become bars, or the rows of a tape, or a reason for each line refused."""

from gm.readers.bars import (
    BAR,
    TAPE_ROW,
    BarsResult,
    TapeResult,
    aggregate_bars,
    read_bars,
    read_tape,
)
from gm.readers.ticks import TickResult, kind_of_ticks, read_ticks

__all__ = [
    "BAR",
    "TAPE_ROW",
    "BarsResult",
    "TapeResult",
    "TickResult",
    "aggregate_bars",
    "kind_of_ticks",
    "read_bars",
    "read_tape",
    "read_ticks",
]
