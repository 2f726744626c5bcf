"""The check of a journal, as data: what it holds, and every fault with its place."""

from pathlib import Path

import msgspec

from gm._native import journal


class JournalFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written.

    ``kind`` is record, sequence, chain, segment_header, segment_missing, segment_foreign or anchor.
    ``block`` and ``record`` count from 1; 0 where the fault is not one record's or block's.
    ``count`` records in a row have it. ``text`` says all of it.
    """

    kind: str
    segment: str
    block: int
    record: int
    count: int
    offset_bytes: int
    text: str


class JournalReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal holds and what is wrong with it.

    ``records`` leaves chain records out. ``open_records`` of them follow the last sealed block.
    ``anchored_sequence`` is how far the anchor beside the journal knows it to reach.
    The first ``compacted_segments``, up to record ``compacted_sequence``, were compacted: of them
    ``compacted_records`` were kept, which are not among ``records``.
    ``torn_tail_bytes`` are the remains of a write that a kill ended, or of which a loss of power
    kept a part: no fault. ``faults`` are the first 1,000 of ``fault_count``.
    """

    journal_id: int
    records: int
    segments: int
    blocks: int
    last_sequence: int
    anchored_sequence: int
    open_records: int
    torn_tail_bytes: int
    compacted_segments: int
    compacted_records: int
    compacted_sequence: int
    head_digest: str
    fault_count: int
    faults: tuple[JournalFault, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0


def verify_journal(path: str | Path) -> JournalReport:
    """Check every record, block and segment of a journal, and its anchor.

    Changes nothing and may run beside the engine.

    Parameters
    ----------
    path : str or Path
        A run directory, or its ``journal`` folder.

    Returns
    -------
    JournalReport
        Sound if its ``fault_count`` is 0.

    Raises
    ------
    gm.errors.SystemCallFailed
        If the journal cannot be read.

    Source
    ------
    Ours. Chain: Haber and Stornetta, "How to Time-Stamp a Digital Document", 1991, section 5.1.
    """
    return msgspec.convert(journal.verify(str(path)), JournalReport)
