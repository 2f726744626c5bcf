"""CSV files of bars and trades: any bytes are rows, good or with a reason, or an error of ours.

The first byte says how the file is read. Lines, numbers and stamps are the core's
(core/fuzz/bar_text_fuzz.cpp); what is under test here is the header, gzip and the whole file:
zone, order of day and month, size of the bars.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from gm.config.instruments import instrument
from gm.errors import BadArgument, BadTape
from gm.layout import QuarantineReason
from gm.readers import bars
from tests.fuzz.memory import MemoryFile
from tests.fuzz.tape_checks import is_thorough

ZONES = (None, "UTC", "America/New_York", "Europe/Athens")
CONFIG = instrument("BTC-PERP")


def check(data: bytes) -> None:
    form = data[0] if data else 0
    day_first = (None, True, False, None)[form & 3]
    minutes = 30 if form & 4 else None
    zone = ZONES[form >> 4 & 3]
    with contextlib.suppress(BadTape, BadArgument):
        check_file(bars._read(MemoryFile(data[1:]), CONFIG, zone, minutes, day_first))
    if is_thorough(data):
        check_public(data[1:], zone, minutes, day_first)


def check_file(file: bars._File) -> None:
    good = file.reasons == 0
    assert (file.reasons <= max(QuarantineReason)).all()
    assert (file.bars["start_ts_ns"][good] != bars.NO_TIME).all()
    assert (np.diff(file.lines.astype(np.int64)) > 0).all()


def check_public(
    content: bytes, zone: str | None, minutes: int | None, day_first: bool | None
) -> None:
    """The same file by what users call: on a disk, and judged."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="gm-fuzz-") as file:
        Path(file.name).write_bytes(content)
        with contextlib.suppress(BadTape, BadArgument):
            bars.read_tape(file.name, CONFIG, zone, minutes, day_first)
        with contextlib.suppress(BadTape, BadArgument):
            read = bars.read_bars(file.name, CONFIG, zone, minutes, day_first)
            assert (np.diff(read.bars["start_ts_ns"]) > 0).all()
            bars.aggregate_bars(read.bars, CONFIG, 30, read.bar_minutes or None)
