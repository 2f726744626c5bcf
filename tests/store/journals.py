"""Journals for the tests of this folder."""

from pathlib import Path

import numpy as np

from gm import layout
from gm._native.journal import JournalWriter
from gm.layout import RecordType, Source


def make_records(first: int, count: int) -> np.ndarray:
    """Trades whose fields follow from their journal sequence."""
    sequences = np.arange(first, first + count)
    trades = np.zeros(count, layout.TRADE)
    trades["price_ticks"] = 1000 + sequences % 97
    trades["quantity_lots"] = 1 + sequences % 5
    slots = np.zeros(count, layout.SLOT)
    header = slots["header"]
    header["magic"], header["schema"], header["count"] = layout.MAGIC, layout.SCHEMA, 1
    header["type"], header["source"] = RecordType.TRADE, Source.VENUE_FEED
    header["first_sequence"] = sequences
    slots["payload"] = trades.view("u1").reshape(count, layout.PAYLOAD_SIZE)
    slots["trailer"]["input_sequence"] = sequences
    slots["trailer"]["journal_sequence"] = sequences
    slots["trailer"]["commit"] = sequences
    return slots


def write_journal(run: Path, records: int, *, block: int = 10, segment_bytes: int = 8192) -> None:
    """Blocks of `block` records in segments of 64 slots, closed."""
    writer = JournalWriter(str(run), segment_bytes=segment_bytes, journal_id=7)
    while (left := records - writer.last_sequence) > 0:
        writer.append(make_records(writer.last_sequence + 1, min(block, left)))
        writer.seal()
    writer.close()


def segment(run: Path, first_sequence: int = 1) -> Path:
    """Path of the segment that begins with a record."""
    return run / "journal" / f"segment-{first_sequence:020d}.gmj"


def journal_of(
    *records: tuple[RecordType, dict[str, object]], first: int = 1, ts_ns: int = 0
) -> np.ndarray:
    """Slots of any kind: (type, fields of the payload), one ns apart, numbered from `first`."""
    slots = np.zeros(len(records), layout.SLOT)
    header, trailer = slots["header"], slots["trailer"]
    header["magic"], header["schema"], header["count"] = layout.MAGIC, layout.SCHEMA, 1
    header["source"] = Source.ENGINE
    header["receive_ts_ns"] = ts_ns + np.arange(len(records))
    for slot, (kind, fields) in zip(slots, records, strict=True):
        payload = np.zeros(1, layout.PAYLOADS[kind])
        for name, value in fields.items():
            payload[name] = value
        slot["header"]["type"] = kind
        slot["payload"] = payload.view("u1")
    trailer["journal_sequence"] = first + np.arange(len(records))
    trailer["commit"] = trailer["journal_sequence"]
    return slots


def write_slots(run: Path, slots: np.ndarray) -> None:
    """One sealed block of `slots`, closed."""
    writer = JournalWriter(str(run), segment_bytes=8192, journal_id=7)
    writer.append(slots)
    writer.seal()
    writer.close()
