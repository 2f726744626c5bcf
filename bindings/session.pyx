# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""Engine and venue on one simulated clock. Public side: gm.backtest."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr

from gm.layout import (
    BURIED_RANGE,
    EXECUTION,
    LEDGER_ORDER,
    LEDGER_TOTALS,
    ORDER_ID,
    SLOT,
    TAPE_ROW,
    VENUE_SETTINGS,
)

from rows cimport copied, rows_of
from venue cimport LedgerTotals, TapeRow, TapeSpan, VenueSettings

include "status.pxi"


cdef class Session:
    """One run over one tape. Owns its core object and keeps the tape's memory alive.

    Sessions share nothing: many may run at once, each in a thread of its own.

    Parameters
    ----------
    settings : bytes
        The settings block (gm.config.block).
    venue : ndarray of gm.layout.VENUE_SETTINGS, shape (1,)
    tape : ndarray of gm.layout.TAPE_ROW, shape (n,)
    tape_id : bytes
        32 bytes that name file, instrument and seed.
    run_directory : str
        Gets a journal; empty: none is kept.
    segment_bytes : int
        Of the journal's files.
    kernel_library : str
        Shared object of the user kernels that the settings name.
    kernel_budget_us, kernel_hang_ms : int
        A call that takes longer is over its budget; see hung_kernel().
    keeps_records : bool
        False: records() stays empty, for runs of which the ledger is enough.

    Raises
    ------
    TypeError
        If a dtype is not as above.
    gm.errors.CoreError
        If the core refuses settings, tape or directory, naming the reason.
    """

    cdef unique_ptr[CoreSession] session
    cdef unique_ptr[KernelWatch] watch
    cdef int64_t hang_ns
    cdef object tape

    def __cinit__(self, bytes settings, venue, tape, *, bytes tape_id=bytes(32),
                  str run_directory="", uint64_t segment_bytes=1 << 24, str kernel_library="",
                  int64_t kernel_budget_us=200, int64_t kernel_hang_ms=1000,
                  bint keeps_records=True):
        cdef const uint8_t[::1] venue_bytes = rows_of(venue, VENUE_SETTINGS)
        cdef const uint8_t[::1] tape_bytes = rows_of(tape, TAPE_ROW)
        cdef const TapeRow* first = <const TapeRow*>&tape_bytes[0] if len(tape) else NULL
        cdef size_t rows = len(tape)
        if len(venue) != 1 or len(tape_id) != 32:
            raise TypeError("venue is one row, tape_id 32 bytes")
        cdef Settings loaded
        cdef const uint8_t* block = <const uint8_t*><const char*>settings
        check_failure(load_settings(Block(block, len(settings)), loaded))
        cdef SessionOptions options
        memcpy(options.tape_id.data(), <const char*>tape_id, 32)
        options.run_directory = run_directory.encode()
        options.segment_bytes = segment_bytes
        options.kernel_library = kernel_library.encode()
        options.kernel_budget_ns = kernel_budget_us * 1000
        options.keeps_records = keeps_records
        self.tape = tape
        self.session = make_unique[CoreSession]()
        self.hang_ns = kernel_hang_ms * 1_000_000
        check_failure(self.session.get().open(
            loaded, (<const VenueSettings*>&venue_bytes[0])[0], TapeSpan(first, rows), options))

    def run(self, uint64_t events_max) -> bool:
        """Play up to so many feed events with all that they cause. Releases the GIL.

        Returns
        -------
        bool
            Whether the run is over.

        Raises
        ------
        gm.errors.CoreError
            What the venue or the journal failed with; for good.
        """
        cdef Failure failure
        with nogil:
            failure = self.session.get().run(events_max)
        check_failure(failure)
        return self.session.get().is_over()

    def hung_kernel(self) -> int:
        """Row of a user kernel that does not come back, or -1. For one thread beside run().

        Told when two looks, some milliseconds apart, found the same call.
        """
        if not self.watch:
            self.watch = make_unique[KernelWatch](self.session.get().kernels(), self.hang_ns)
        return self.watch.get().look_row()

    @property
    def rows_played(self) -> int:
        """Rows of the tape that are over."""
        return self.session.get().venue().rows_played()

    @property
    def feed_events(self) -> int:
        """Events that the venue has published."""
        return self.session.get().venue().last_feed_sequence()

    @property
    def journal_records(self) -> int:
        """All records so far, kept or not."""
        return self.session.get().journal_records()

    def records(self):
        """Return the journal without the feed's data: a new ndarray of SLOT."""
        rows = self.session.get().records()
        return copied(<const uint8_t*>rows.data(), rows.size(), SLOT)

    def orders(self):
        """Ledger of client ids that came as orders: a new ndarray of LEDGER_ORDER."""
        rows = self.session.get().venue().ledger().orders()
        return copied(<const uint8_t*>rows.data(), rows.size(), LEDGER_ORDER)

    def executions(self):
        """Ledger of executions: a new ndarray of EXECUTION."""
        rows = self.session.get().venue().ledger().executions()
        return copied(<const uint8_t*>rows.data(), rows.size(), EXECUTION)

    def tombstones(self):
        """Client ids that the venue never saw and refuses: a new ndarray of ORDER_ID."""
        rows = self.session.get().venue().ledger().tombstones()
        return copied(<const uint8_t*>rows.data(), rows.size(), ORDER_ID)

    def buried_ranges(self):
        """Ids refused for good, many at once: a new ndarray of BURIED_RANGE."""
        rows = self.session.get().venue().ledger().buried_ranges()
        return copied(<const uint8_t*>rows.data(), rows.size(), BURIED_RANGE)

    def totals(self):
        """Sums over the ledger: a new ndarray of LEDGER_TOTALS, shape (1,)."""
        cdef const LedgerTotals* totals = &self.session.get().venue().ledger().totals()
        return copied(<const uint8_t*>totals, 1, LEDGER_TOTALS)
