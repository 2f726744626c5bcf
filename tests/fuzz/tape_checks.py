"""What holds of the events of every tape reader, whatever the bytes were."""

import zlib
from collections.abc import Callable, Iterable

import numpy as np

from gm.layout import BookResetReason, RecordType
from gm.readers.events import Rows, refusals, refuse_late, to_tape

KINDS = {
    RecordType.TRADE, RecordType.QUOTE, RecordType.BOOK_LEVEL, RecordType.BOOK_RESET,
    RecordType.QUARANTINE,
}  # fmt: skip
Decode = Callable[[bytes | Iterable[bytes]], Rows]


def is_thorough(data: bytes) -> bool:
    """Whether this input is one of the 32nd part that is held to everything, which is slow.

    By checksum: were it a bit of the input, the fuzzer would find that the bit reaches more code.
    """
    return zlib.crc32(data) % 32 == 0


def check_decoder(decode: Decode, data: bytes) -> Rows:
    """Hold what is promised of the events."""
    events = decode(data)
    kinds = events["type"].tolist()
    assert KINDS.issuperset(kinds), kinds
    assert 0 not in events["line"].tolist(), "lines count from 1"
    if is_thorough(data):
        cut = len(data) // 2
        in_pieces = decode((data[:cut], data[cut:]))
        assert np.array_equal(events, in_pieces), "events depend on the pieces"
        assert "none" not in dict(refusals(events)).values()
        check_book(events)
        assert len(to_tape(events)) == len(events)
        check_late(events)
    return events


def check_late(events: Rows) -> None:
    """A late stamp takes an event away and says so; it never adds or moves one."""
    was_refused = events["type"] == RecordType.QUARANTINE
    kept = refuse_late(events.copy())
    is_refused = kept["type"] == RecordType.QUARANTINE
    assert is_refused.sum() >= was_refused.sum()
    good = kept[~is_refused & (kept["type"] != RecordType.BOOK_RESET)]
    assert np.isin(good["line"], events["line"][~was_refused]).all()


def check_book(events: Rows) -> None:
    """Levels come only after a snapshot, and none after a gap."""
    is_whole = False
    for event in events[np.isin(events["type"], (RecordType.BOOK_LEVEL, RecordType.BOOK_RESET))]:
        if event["type"] == RecordType.BOOK_RESET:
            is_whole = event["c"] == BookResetReason.SNAPSHOT
        else:
            assert is_whole, "a level of a book that nobody knows"
            assert event["c"] in (0, 1)
