# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""The simulated exchange of the core behind its two sockets. Public side: gm.venue."""

from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.vector cimport vector

import numpy as np

from gm.layout import (
    BURIED_RANGE,
    EXECUTION,
    INSTRUMENT,
    LEDGER_ORDER,
    LEDGER_TOTALS,
    ORDER_ID,
    TAPE_ROW,
    VENUE_SETTINGS,
)

from rows cimport copied, rows_of
from venue cimport Instrument, LedgerTotals, TapeRow, TapeSpan, Venue, VenueSettings

include "status.pxi"


cdef class VenueServer:
    """One venue on one tape. Owns its core objects and keeps the tape's memory alive.

    Parameters
    ----------
    settings : ndarray of gm.layout.VENUE_SETTINGS, shape (1,)
    instrument : ndarray of gm.layout.INSTRUMENT, shape (1,)
    tape : ndarray of gm.layout.TAPE_ROW, shape (n,)
        Rows in the order of the file.

    Raises
    ------
    TypeError
        If a dtype is not as above.
    gm.errors.CoreError
        If the core refuses a setting, the instrument or a row, naming it.
    """

    cdef unique_ptr[ZmqTable] zmq
    cdef unique_ptr[Venue] venue
    cdef unique_ptr[Server] server
    cdef object tape

    def __cinit__(self, settings, instrument, tape):
        cdef const uint8_t[::1] settings_bytes = rows_of(settings, VENUE_SETTINGS)
        cdef const uint8_t[::1] instrument_bytes = rows_of(instrument, INSTRUMENT)
        cdef const uint8_t[::1] tape_bytes = rows_of(tape, TAPE_ROW)
        cdef const TapeRow* first = <const TapeRow*>&tape_bytes[0] if len(tape) else NULL
        if len(settings) != 1 or len(instrument) != 1:
            raise TypeError("settings and instrument are one row each")
        self.tape = tape
        self.zmq = make_unique[ZmqTable]()
        self.server = make_unique[Server]()
        self.venue = make_unique[Venue]()
        check_failure(self.venue.get().open(
            (<const VenueSettings*>&settings_bytes[0])[0],
            (<const Instrument*>&instrument_bytes[0])[0],
            TapeSpan(first, len(tape)),
        ))

    def bind(
        self,
        str library,
        uintptr_t context,
        str feed,
        str orders,
        bytes tape_id,
        *,
        int64_t speed_permille=0,
        uint64_t history_rows=0,
        int64_t linger_ns=1_000_000_000,
    ) -> None:
        """Bind both sockets in the context that pyzmq made.

        Parameters
        ----------
        library : str
            Path of the libzmq that pyzmq has loaded.
        context : int
            ``zmq.Context().underlying``; must outlive this object.
        feed, orders : str
            Endpoints to bind.
        tape_id : bytes
            32 bytes that name file, instrument and seed.
        speed_permille : int
            0: lockstep. 1000: a second of tape takes a second.
        history_rows : int
            Rows of the tape that were published before anybody came; 0 in lockstep.
        linger_ns : int, ns
            How long an engine may come back after END.
        """
        cdef VenueServerSettings settings
        if len(tape_id) != 32:
            raise ValueError(f"tape_id must be 32 bytes: {len(tape_id)}")
        settings.feed_endpoint = feed.encode()
        settings.orders_endpoint = orders.encode()
        memcpy(settings.tape_id.data(), <const char*>tape_id, 32)
        settings.speed_permille = speed_permille
        settings.history_rows = history_rows
        settings.linger_ns = linger_ns
        check_failure(resolve_zmq(library.encode(), ZmqLibrary.kAlreadyLoaded, self.zmq.get()[0]))
        check_failure(self.server.get().open(
            self.zmq.get()[0], <void*>context, settings, self.venue.get()[0]))

    def run(self) -> bool:
        """Serve until END is consumed (True) or stop() is called (False). Releases the GIL."""
        cdef Failure failure
        with nogil:
            failure = self.server.get().run()
        check_failure(failure)
        return self.server.get().is_finished()

    def stop(self) -> None:
        """End run() soon. From any thread, also from a signal handler."""
        self.server.get().stop()

    def orders(self):
        """Ledger of client ids that came as orders: a new ndarray of LEDGER_ORDER."""
        rows = self.venue.get().ledger().orders()
        return copied(<const uint8_t*>rows.data(), rows.size(), LEDGER_ORDER)

    def executions(self):
        """Ledger of executions: a new ndarray of EXECUTION."""
        rows = self.venue.get().ledger().executions()
        return copied(<const uint8_t*>rows.data(), rows.size(), EXECUTION)

    def tombstones(self):
        """Client ids that the venue never saw and refuses: a new ndarray of ORDER_ID."""
        rows = self.venue.get().ledger().tombstones()
        return copied(<const uint8_t*>rows.data(), rows.size(), ORDER_ID)

    def buried_ranges(self):
        """Ids refused for good, many at once: a new ndarray of BURIED_RANGE."""
        rows = self.venue.get().ledger().buried_ranges()
        return copied(<const uint8_t*>rows.data(), rows.size(), BURIED_RANGE)

    def totals(self):
        """Sums over the ledger: a new ndarray of LEDGER_TOTALS, shape (1,)."""
        cdef const LedgerTotals* totals = &self.venue.get().ledger().totals()
        return copied(<const uint8_t*>totals, 1, LEDGER_TOTALS)

    def arrivals_ns(self):
        """CLOCK_MONOTONIC at each new order that came: a new ndarray of int64."""
        cdef const vector[int64_t]* arrivals = &self.server.get().arrivals_ns()
        return copied(<const uint8_t*>arrivals.data(), arrivals.size(), np.dtype(np.int64))

    def counters(self) -> dict:
        """What went over the sockets, by name."""
        cdef const VenueServerCounters* counters = &self.server.get().counters()
        return {
            "feed_events": self.venue.get().last_feed_sequence(),
            "replies": self.venue.get().last_reply_sequence(),
            "refused_rows": self.venue.get().refused_rows(),
            "feed_frames": counters.feed_frames,
            "repeated_feed_frames": counters.repeated_feed_frames,
            "reply_frames": counters.reply_frames,
            "repeated_reply_frames": counters.repeated_reply_frames,
            "sessions": counters.sessions,
            "refused_sessions": counters.refused_sessions,
            "lost_sessions": counters.lost_sessions,
            "foreign_messages": counters.foreign_messages,
            "order_gaps": counters.order_gaps,
            "replayed_bars": counters.replayed_bars,
            "bad_frames": sum([counters.frame_faults[i] for i in range(kFrameFaults)]),
        }
