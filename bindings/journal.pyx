# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""The journal's segments: check, read, follow, write. Public names: gm.store."""

from libc.stdint cimport uint8_t, uint64_t
from libcpp.memory cimport make_unique, unique_ptr

import numpy as np

from gm.layout import SLOT

include "status.pxi"


def verify(str path) -> dict:
    """Check a whole journal, beside the engine if need be. Releases the GIL.

    Parameters
    ----------
    path : str
        A run directory, or its journal folder.

    Returns
    -------
    dict
        The fields of gm.store.verify.JournalReport; faults as dicts of JournalFault's fields.

    Raises
    ------
    gm.errors.SystemCallFailed
        If the journal cannot be read.
    """
    cdef JournalReport report
    cdef Failure failure
    cdef string where = path.encode()
    with nogil:
        failure = verify_journal(where, report)
    check_failure(failure)
    return {
        "journal_id": report.end.journal_id,
        "records": report.end.records,
        "segments": report.end.segments,
        "blocks": report.end.blocks,
        "last_sequence": report.end.last_sequence,
        "anchored_sequence": report.anchored_sequence,
        "open_records": report.end.open_slots,
        "torn_tail_bytes": report.end.torn_bytes,
        "head_digest": report.end.digest.data()[:report.end.digest.size()].hex(),
        "compacted_segments": report.compacted.segments,
        "compacted_records": report.compacted.records,
        "compacted_sequence": report.compacted.last_sequence,
        "fault_count": report.fault_count,
        "faults": tuple(fault_fields(report.faults[i]) for i in range(report.faults.size())),
    }


cdef fault_fields(const JournalFault& fault):
    return {
        "kind": name_of(fault.kind).decode(),
        "segment": fault.segment.decode(),
        "block": fault.block,
        "record": fault.record,
        "count": fault.count,
        "offset_bytes": fault.offset,
        "text": fault.text.decode("utf-8", "replace"),
    }


def compact(str run_directory) -> bool:
    """Put a compacted segment in the place of the oldest one: what its market data was is gone.

    Asks for nothing but that it is whole; the engine lets segments go by itself.

    Parameters
    ----------
    run_directory : str
        Of which no engine runs.

    Returns
    -------
    bool
        False: there is one segment, which stays.

    Raises
    ------
    gm.errors.JournalCorrupt
        If it is damaged, or what was compacted before it is.
    """
    cdef Compaction compaction
    cdef CompactionReport report
    cdef Failure failure
    compaction.run_directory = run_directory.encode()
    with nogil:
        failure = compact_oldest(compaction, report)
    check_failure(failure)
    return report.is_done


def whole_prefix(slots, uint64_t next_sequence) -> int:
    """How many slots from the first on are whole and in order, chain records among them.

    Parameters
    ----------
    slots : ndarray of gm.layout.SLOT, shape (n,)
    next_sequence : int
        Journal sequence that the first record must have.
    """
    cdef const uint8_t[::1] raw = slot_bytes(slots)
    if raw.shape[0] == 0:
        return 0
    cdef size_t count
    with nogil:
        count = count_in_order(ConstBytes(<const byte*>&raw[0], raw.shape[0]), next_sequence)
    return count


cdef class JournalReader:
    """The records of a closed or crashed journal in order, each block checked first.

    Of segments that were compacted it gives what was kept: all but market data.

    Parameters
    ----------
    folder : str
        The journal folder of a run directory.
    checks_chain : bool
        False trusts the SHA-256 chain of the segments and checks records alone.
    compacted_only : bool
        Ends before the first segment that is there.
    """

    cdef unique_ptr[CoreReader] reader

    def __cinit__(self, str folder, *, bint checks_chain=True, bint compacted_only=False):
        self.reader = make_unique[CoreReader]()
        if compacted_only:
            check_failure(self.reader.get().open_compacted(folder.encode()))
        else:
            check_failure(self.reader.get().open_all(folder.encode(), checks_chain))

    @property
    def compacted_sequence(self):
        """Journal sequence up to which segments were compacted; known once those were read."""
        return self.reader.get().compacted_end().last_sequence

    def read(self, size_t slots_max):
        """Next records, at most slots_max: a new ndarray of SLOT, empty at the end.

        Raises
        ------
        gm.errors.JournalCorrupt
            At the first fault, once everything before its block was given out.
        """
        out = np.empty(slots_max, SLOT)
        if slots_max == 0:
            return out
        cdef uint8_t[::1] raw = out.view(np.uint8)
        cdef size_t count
        with nogil:
            count = self.reader.get().read(Bytes(<byte*>&raw[0], raw.shape[0]))
        if count == 0:
            check_failure(self.reader.get().failure())
        return out[:count]


cdef class JournalWriter:
    """Writes segments as the engine's journal thread does: for tests and converters.

    Parameters
    ----------
    run_directory : str
        Holds journal/ and journal.anchor; the journal that is there goes on.
    segment_bytes : int
        Of new segments; a multiple of 4096.
    journal_id : int
        Of a new journal; 0 takes one from the wall clock.
    """

    cdef unique_ptr[SegmentWriter] writer

    def __cinit__(self, str run_directory, *, uint64_t segment_bytes=1 << 24,
                  uint64_t journal_id=0):
        cdef SegmentSettings settings
        settings.run_directory = run_directory.encode()
        settings.segment_bytes = segment_bytes
        settings.journal_id = journal_id
        self.writer = make_unique[SegmentWriter]()
        check_failure(self.writer.get().open(settings))

    @property
    def last_sequence(self) -> int:
        """Journal sequence of the last record; 0 before the first."""
        return self.writer.get().last_sequence()

    def append(self, slots) -> None:
        """Append records (ndarray of SLOT) that carry the next journal sequences and commits."""
        cdef const uint8_t[::1] raw = slot_bytes(slots)
        if raw.shape[0] == 0:
            return
        cdef Failure failure
        with nogil:
            failure = self.writer.get().append_bytes(
                ConstBytes(<const byte*>&raw[0], raw.shape[0]))
        check_failure(failure)

    def seal(self) -> None:
        """End the block with its chain record."""
        check_failure(self.writer.get().seal_block())

    def sync(self) -> None:
        """End the block, make it durable, and move the anchor."""
        cdef Failure failure
        with nogil:
            failure = self.writer.get().sync()
        check_failure(failure)

    def close(self) -> None:
        """Sync, and make the anchor durable too."""
        cdef Failure failure
        with nogil:
            failure = self.writer.get().close()
        check_failure(failure)


cdef slot_bytes(slots):
    """View an array of slots as bytes, or raise TypeError before C++ can misread it."""
    if not isinstance(slots, np.ndarray) or slots.dtype != SLOT or slots.ndim != 1:
        raise TypeError("expected a one-dimensional array of gm.layout.SLOT")
    if not slots.flags.c_contiguous:
        raise TypeError("expected a contiguous array")
    return slots.view(np.uint8)
