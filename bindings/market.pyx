# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""Reading, judging and aggregating bars in the core. Public names: gm.readers."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

import numpy as np

from gm.layout import INSTRUMENT, OFFSET_CHANGE, SESSION_INTERVAL, TAPE_ROW

include "status.pxi"

LINE_BYTES_MAX = kLineBytesMax
COLUMN_ABSENT = kColumnAbsent
# Names of the reasons by their number; 0 is "none".
REASONS = tuple(name_of(<QuarantineReason>i).decode() for i in range(kQuarantineReasons))

# One row of gm.read_bars: core struct BarRow.
BAR = np.dtype({
    "names": ["start_ts_ns", "open_ticks", "high_ticks", "low_ticks", "close_ticks",
              "volume_lots", "flags"],
    "formats": ["i8", "i8", "i8", "i8", "i8", "i8", "u4"],
    "itemsize": sizeof(BarRow),
}, align=True)
# One line of a file: core struct BarTextRow.
TEXT_ROW = np.dtype([
    ("day_first_ns", "i8"), ("month_first_ns", "i8"), ("offset_ns", "i8"),
    ("open_ticks", "i8"), ("high_ticks", "i8"), ("low_ticks", "i8"), ("close_ticks", "i8"),
    ("volume_lots", "i8"), ("line", "u8"), ("flags", "u4"), ("reason", "u4"),
])
# One price of a book: core struct PriceLevel.
PRICE_LEVEL = np.dtype([("price_ticks", "i8"), ("quantity_lots", "i8")])
BOOK_STATES = ("silent", "filling", "gapped", "whole")


def sizes() -> dict:
    """Size in bytes of the core's structs, by the name of the dtype that repeats them."""
    return {"BAR": sizeof(BarRow), "TEXT_ROW": sizeof(BarTextRow),
            "PRICE_LEVEL": sizeof(PriceLevel)}


cdef class OrderBook:
    """The core's book of one instrument. Owns its core object.

    Parameters
    ----------
    levels_max : int
        Room for so many prices a side.
    """

    cdef unique_ptr[Book] core

    def __cinit__(self, size_t levels_max=kLevelsMax):
        self.core = make_unique[Book]()
        self.core.get().open(levels_max)

    def apply(self, rows) -> None:
        """Take in what a tape says of the book; rows of other kinds are passed over.

        Parameters
        ----------
        rows : ndarray of gm.layout.TAPE_ROW, shape (n,)
            As the readers make them.

        Raises
        ------
        ValueError
            If a level has a side that is none.
        """
        cdef const uint8_t[::1] raw = raw_bytes(rows, TAPE_ROW)
        cdef const uint32_t[:] types = np.ascontiguousarray(rows["type"])
        cdef Py_ssize_t stride = TAPE_ROW.itemsize
        cdef Py_ssize_t at
        cdef BookLevel level
        cdef BookReset reset
        cdef bint is_side = True
        with nogil:
            for at in range(types.shape[0]):
                if types[at] == <uint32_t>RecordType.kBookLevel:
                    memcpy(&level, &raw[at * stride], sizeof(BookLevel))
                    is_side = level.side <= Side.kSell
                    if not is_side:
                        break
                    self.core.get().apply(level)
                elif types[at] == <uint32_t>RecordType.kBookReset:
                    memcpy(&reset, &raw[at * stride], sizeof(BookReset))
                    self.core.get().reset(reset.reason)
        if not is_side:
            raise ValueError(f"row {at}: a level of no side")

    @property
    def state(self) -> str:
        """Of BOOK_STATES; only a whole book may be believed."""
        return BOOK_STATES[<int>self.core.get().state()]

    def levels(self, bint asks):
        """Prices of one side, best first: a new ndarray of PRICE_LEVEL, shape (n,)."""
        cdef LevelsOut found = self.core.get().levels(Side.kSell if asks else Side.kBuy)
        if found.size() == 0:
            return np.zeros(0, PRICE_LEVEL)
        view = <const uint8_t[:found.size() * sizeof(PriceLevel)]><const uint8_t*>found.data()
        return np.array(view).view(PRICE_LEVEL)[::-1].copy()


cdef class TextReader:
    """Lines of a file become rows in ticks and lots, or reasons. Owns its core object.

    Parameters
    ----------
    instrument : ndarray of gm.layout.INSTRUMENT, shape (1,)
        Its tick and lot are used.
    columns : tuple of int
        Fields of a line, then where time, open, high, low, close and volume stand in it;
        COLUMN_ABSENT for no volume.
    delimiter : bytes, one
        Between the fields.
    first_line : int
        Number of the first line that feed() will see.
    """

    cdef unique_ptr[BarText] core

    def __cinit__(self, instrument, tuple columns, bytes delimiter, uint64_t first_line):
        cdef const uint8_t[::1] row = raw_bytes(instrument, INSTRUMENT)
        cdef BarColumns where
        (where.count, where.time, where.open, where.high, where.low, where.close,
         where.volume) = columns
        if row.shape[0] != sizeof(Instrument) or len(delimiter) != 1:
            raise ValueError("one instrument and one delimiter")
        where.delimiter = delimiter[0]
        self.core = make_unique[BarText]()
        check_failure(self.core.get().open(where, (<const Instrument*>&row[0])[0], first_line))

    def feed(self, bytes chunk) -> None:
        """Append the rows of all lines that end in the chunk."""
        cdef string_view text = string_view(<const char*>chunk, len(chunk))
        with nogil:
            self.core.get().feed(text)

    def finish(self) -> None:
        """The file is over: what stands after the last line feed is a line."""
        self.core.get().finish()

    def rows(self):
        """All rows so far: a new ndarray of TEXT_ROW, shape (n,), owned by the caller."""
        cdef const vector[BarTextRow]* rows = &self.core.get().rows()
        if rows.empty():
            return np.zeros(0, TEXT_ROW)
        view = <const uint8_t[:rows.size() * sizeof(BarTextRow)]><const uint8_t*>rows.data()
        return np.array(view).view(TEXT_ROW)


def check_stamps(ts_ns, reasons) -> None:
    """Mark as future, in place, rows whose stamps the rows after them contradict.

    Parameters
    ----------
    ts_ns : ndarray of int64, shape (n,), ns UTC
        In file order.
    reasons : ndarray of uint32, shape (n,)
        Changed where they are 0.
    """
    cdef const int64_t[::1] stamps = ts_ns
    cdef uint32_t[::1] out = reasons
    if stamps.shape[0] != out.shape[0]:
        raise ValueError(f"{stamps.shape[0]} stamps but {out.shape[0]} reasons")
    cdef size_t count = stamps.shape[0]
    if count == 0:
        return
    with nogil:
        check_file_stamps(StampsIn(&stamps[0], count),
                          ReasonsOut(<QuarantineReason*>&out[0], count))


def judge_bars(bars, reasons, instrument, tables, uint32_t duration_s) -> None:
    """Judge each row as the engine would; reasons and session flags change in place.

    Parameters
    ----------
    bars : ndarray of BAR, shape (n,)
        In file order.
    reasons : ndarray of uint32, shape (n,)
        What the reader refused; 0 where it did not.
    instrument : ndarray of gm.layout.INSTRUMENT, shape (1,)
        Floor and band.
    tables : tuple
        Sessions (ndarray of SESSION_INTERVAL) and offsets (ndarray of OFFSET_CHANGE).
    duration_s : int, s
        Size of the bars; 0: each is a trade at its close.
    """
    cdef uint8_t[::1] raw = raw_bytes(bars, BAR)
    cdef const uint8_t[::1] row = raw_bytes(instrument, INSTRUMENT)
    cdef uint32_t[::1] out = reasons
    cdef size_t count = len(bars)
    cdef Calendar calendar
    if <size_t>out.shape[0] != count or row.shape[0] != sizeof(Instrument):
        raise ValueError(f"{count} bars, {out.shape[0]} reasons, one instrument")
    open_calendar(calendar, tables)
    if count == 0:
        return
    cdef Failure failure
    with nogil:
        failure = check_bars(BarsOut(<BarRow*>&raw[0], count),
                             ReasonsOut(<QuarantineReason*>&out[0], count),
                             (<const Instrument*>&row[0])[0], calendar, duration_s)
    check_failure(failure)


def join_bars(bars, tables, int64_t bar_ns, uint32_t minutes):
    """Make larger bars from smaller ones, holes inside sessions filled.

    Parameters
    ----------
    bars : ndarray of BAR, shape (n,)
        Starts ascend.
    tables : tuple
        As for judge_bars.
    bar_ns : int, ns
        Size of the bars; 0: they are trades.
    minutes : int
        Size of a bucket; divides a day.

    Returns
    -------
    ndarray of BAR, shape (m,)
        A new array, owned by the caller.
    """
    cdef const uint8_t[::1] raw = raw_bytes(bars, BAR)
    cdef size_t count = len(bars)
    cdef Calendar calendar
    cdef vector[BarRow] out
    cdef Failure failure
    cdef const BarRow* first = <const BarRow*>&raw[0] if count > 0 else NULL
    open_calendar(calendar, tables)
    with nogil:
        failure = aggregate_bars(BarsIn(first, count), calendar, bar_ns, minutes, out)
    check_failure(failure)
    if out.empty():
        return np.zeros(0, BAR)
    view = <const uint8_t[:out.size() * sizeof(BarRow)]><const uint8_t*>out.data()
    return np.array(view).view(BAR)


cdef int open_calendar(Calendar& calendar, tables) except -1:
    cdef const uint8_t[::1] sessions = raw_bytes(tables[0], SESSION_INTERVAL)
    cdef const uint8_t[::1] offsets = raw_bytes(tables[1], OFFSET_CHANGE)
    cdef size_t session_count = len(tables[0])
    cdef size_t offset_count = len(tables[1])
    check_failure(calendar.open(
        SessionsIn(<const SessionInterval*>&sessions[0] if session_count else NULL,
                   session_count),
        OffsetsIn(<const OffsetChange*>&offsets[0] if offset_count else NULL, offset_count)))
    return 0


def raw_bytes(array, dtype):
    """View an array as bytes, or raise before C++ can misread it."""
    if array.dtype != dtype or not array.flags.aligned or not array.flags.c_contiguous:
        raise TypeError(f"expected a contiguous, aligned array of {dtype}, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"expected shape (n,), got {array.shape}")
    return array.view(np.uint8)
