"""Recorded lines of Binance, and the clock that stamps give."""

import numpy as np

from gm.calendars import TIME_MAX_NS
from gm.readers.binance import decode_binance
from gm.readers.clock import correct, estimate_offset
from tests.fuzz.tape_checks import check_decoder, is_thorough


def check(data: bytes) -> None:
    check_decoder(lambda pieces: decode_binance(pieces, "BTCUSDT", 100_000_000, 1_000_000), data)
    if is_thorough(data):
        check_clock(data)


def check_clock(data: bytes) -> None:
    """Bytes as stamps of both clocks, each within what the reader lets through."""
    stamps = np.frombuffer(data, np.int64, len(data) // 16 * 2).reshape(-1, 2) % TIME_MAX_NS
    if len(stamps) == 0:
        return
    received, sent = stamps[:, 0], stamps[:, 1]
    clock = estimate_offset(received, sent)
    assert (correct(received, sent, clock) >= sent).all(), "nothing comes in before it was sent"
