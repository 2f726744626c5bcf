"""Keeps the database behind its journal, whatever becomes of the database: no row lost, none twice.

A database that is locked, full or deleted is given up and opened again later; the journal keeps
what it misses. Nothing that trades waits for it.
"""

import contextlib
import math
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from gm.store.journal_tail import JournalTail
from gm.store.recorder import Recorder
from gm.store.summary import read_until

RETRY_S = 1.0
# One call may take so long: the supervisor has a watchdog to feed and signals to heed.
BUDGET_S = 0.2


class Follower:
    """Journal to database, a little at a time. Not thread-safe: one thread owns it.

    Parameters
    ----------
    journal : Path
        The ``journal`` folder of a run directory.
    database : Path
        Made, or made again, when it is not there.
    symbols : sequence of str
        Names of the instruments by their number on the wire.
    slots_max : int
        Records in one transaction.
    """

    def __init__(
        self, journal: Path, database: Path, symbols: Sequence[str], slots_max: int
    ) -> None:
        self._journal = journal
        self._database = database
        self._symbols = tuple(symbols)
        self._slots_max = slots_max
        self._opened: tuple[Recorder, JournalTail] | None = None
        self._last_sequence = 0
        self._retry_at_s = -math.inf
        self._failure = ""

    @property
    def last_sequence(self) -> int:
        """Journal sequence that the database had reached when it was last seen."""
        return self._last_sequence

    def open(self) -> tuple[Recorder, JournalTail]:
        """Open the database and take up at its cursor.

        Raises
        ------
        sqlite3.Error, OSError
            If it cannot be had.
        """
        self.close()
        recorder = Recorder(self._database, self._symbols)
        self._last_sequence = recorder.cursor
        self._opened = (recorder, JournalTail(self._journal, self._last_sequence))
        return self._opened

    def follow(self, until_sequence: int, now_s: float) -> str:
        """Take in some of what the database lacks.

        Parameters
        ----------
        until_sequence : int
            Journal sequence that is known to be in the segments.
        now_s : float
            Monotonic time, which decides when a database that failed is tried again.

        Returns
        -------
        str
            Why the database cannot be written; empty while it can.

        Raises
        ------
        JournalCorrupt
            If the journal is.
        """
        if now_s < self._retry_at_s:
            return self._failure
        try:
            self._write(until_sequence, BUDGET_S)
        except (sqlite3.Error, OSError) as error:
            self._give_up()
            self._retry_at_s = now_s + RETRY_S
            self._failure = f"{self._database}: {error}"
            return self._failure
        self._failure = ""
        return ""

    def finish(self, until_sequence: int) -> None:
        """Take in all that the database lacks.

        Raises
        ------
        sqlite3.Error, OSError
            If it cannot be written. A later start catches up.
        JournalCorrupt
            If the journal is, or does not reach ``until_sequence``.
        """
        self._write(until_sequence, math.inf)

    def close(self) -> None:
        """Close database and journal. A later call opens them again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            recorder, tail = opened
            tail.close()
            recorder.close()

    def _write(self, until_sequence: int, budget_s: float) -> None:
        recorder, tail = self._opened or self.open()
        started_s = time.monotonic()
        for slots in read_until(tail, until_sequence, self._slots_max):
            recorder.write(slots)
            self._last_sequence = tail.last_sequence
            if time.monotonic() - started_s > budget_s:
                return

    def _give_up(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # it is in the middle of failing
            self.close()
