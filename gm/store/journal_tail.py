"""Follows a journal's segments as they grow, for the recorder: each record once, in order, whole.

Where the first segments were compacted it gives what was kept of them: all but market data.

Reads the files that the journal thread writes and nothing else, so that it sees only what survives
the engine. A record that is being written is simply not there yet.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gm._native.journal import JournalReader, whole_prefix
from gm.errors import JournalCorrupt
from gm.layout import SLOT, RecordType

Slots = NDArray[np.void]
_SLOT_BYTES = SLOT.itemsize


class JournalTail:
    """A cursor in a journal that may still be written.

    Parameters
    ----------
    folder : Path
        The ``journal`` folder of a run directory; need not exist yet.
    after_sequence : int
        Journal sequence of the last record that the reader has already; 0: none.
    """

    def __init__(self, folder: Path, after_sequence: int = 0) -> None:
        self._folder = folder
        self._next = after_sequence + 1
        self._file = -1
        self._slot = 0  # where the cursor's next slot is in the open segment
        self._slots = 0  # size of the open segment
        self._compacted: JournalReader | None = None  # of the segments before the first
        self._is_placed = False  # the cursor's slot is known to hold the next record

    @property
    def last_sequence(self) -> int:
        """Journal sequence of the last record given out."""
        return self._next - 1

    def read(self, slots_max: int = 16_384) -> Slots:
        """Give the records after the cursor and move it behind them.

        Parameters
        ----------
        slots_max : int
            At most so many slots are looked at.

        Returns
        -------
        structured array of gm.layout.SLOT, shape (n,)
            Without chain records. Empty: nothing new yet, or nothing but chain records.

        Raises
        ------
        gm.errors.JournalCorrupt
            If a record is not whole and whole ones follow it.
        """
        if self._file < 0 and not self._open_segment():
            return self._read_compacted(slots_max)
        if not self._is_placed and not self._place(slots_max):
            return np.empty(0, SLOT)
        slots = self._load(slots_max)
        count = whole_prefix(slots, self._next)
        if count == 0:
            slots = self._look_again(slots, slots_max)
            count = whole_prefix(slots, self._next)
        records: Slots = slots[:count]
        records = records[records["header"]["type"] != RecordType.BLOCK_DIGEST]
        self._slot += count
        self._next += len(records)
        return records

    def close(self) -> None:
        """Close the open segment. A later read opens it again."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _read_compacted(self, slots_max: int) -> Slots:
        """Give what was kept of segments that are gone; without any, nothing."""
        if self._compacted is None:
            if next(self._folder.glob("compacted-*.gmj"), None) is None:
                return np.empty(0, SLOT)
            self._compacted = JournalReader(str(self._folder), compacted_only=True)
        while len(slots := self._compacted.read(slots_max)) > 0:
            slots = slots[slots["trailer"]["journal_sequence"] >= self._next]
            if len(slots) > 0:
                self._next = int(slots["trailer"]["journal_sequence"][-1]) + 1
                return slots
        self._next = max(self._next, self._compacted.compacted_sequence + 1)
        self._compacted = None
        return slots

    def _look_again(self, slots: Slots, slots_max: int) -> Slots:
        """Go to the next segment when this one is over; check that the end is an end."""
        if self._slot + 1 >= self._slots and self._open_segment(self._next):
            return self._load(slots_max)
        if self._file < 0 or not slots[1:]["trailer"]["commit"].any():
            return slots[:0]
        slots = self._load(slots_max)  # what was half written then is whole now
        if whole_prefix(slots[:1], self._next) == 0:
            raise JournalCorrupt(
                f"{self._folder}: record {self._next} is not whole and others follow it"
            )
        return slots

    def _open_segment(self, first_sequence: int | None = None) -> bool:
        """Open the segment that begins with, or else holds, the next record."""
        names = sorted(path.name for path in self._folder.glob("segment-*.gmj"))
        firsts = [int(name[8:28]) for name in names]
        if first_sequence is None:
            firsts = [first for first in firsts if first <= self._next]
        elif first_sequence in firsts:
            firsts = [first_sequence]
        else:
            if firsts and first_sequence < firsts[0]:
                self.close()  # it was compacted while this reader was in the one before it
            return False
        if not firsts:
            return False
        self.close()
        path = self._folder / f"segment-{firsts[-1]:020d}.gmj"
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # compacted since the folder was listed
            return False
        self._slots = os.fstat(self._file).st_size // _SLOT_BYTES
        # A record lies at least as many slots behind the header as there are records before it.
        self._slot = 1 + self._next - firsts[-1]
        self._is_placed = self._next == firsts[-1]
        return True

    def _place(self, slots_max: int) -> bool:
        """Move on to the slot of the next record; chain records before it push it back."""
        while True:
            slots = self._load(slots_max)
            sequences = slots["trailer"]["journal_sequence"]
            is_chain = slots["header"]["type"] == RecordType.BLOCK_DIGEST
            found = np.flatnonzero(~is_chain & (sequences == self._next))
            if len(found) > 0:
                self._slot += int(found[0])
                self._is_placed = True
                return True
            used = np.flatnonzero(slots["trailer"]["commit"])
            if (sequences[used] > self._next).any():
                raise JournalCorrupt(f"{self._folder}: record {self._next} is missing")
            if len(used) == 0:
                return self._slot + 1 >= self._slots and self._open_segment(self._next)
            self._slot += int(used[-1]) + 1

    def _load(self, slots_max: int) -> Slots:
        count = max(0, min(slots_max, self._slots - self._slot))
        data = os.pread(self._file, count * _SLOT_BYTES, self._slot * _SLOT_BYTES)
        return np.frombuffer(data[: len(data) // _SLOT_BYTES * _SLOT_BYTES], SLOT)
