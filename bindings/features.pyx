# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""Both matrices of the core. Public names with instruments and time zones: gm.features."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr

import numpy as np

from gm.layout import CLOSED_BAR, SYNERGY

include "status.pxi"

ROWS = kStrategicRows
COLUMNS = kStrategicColumns
TACTICAL_ROWS = kTacticalRows
TACTICAL_COLUMNS = kTacticalColumns
SYNERGY_WINDOW_BARS_MAX = kSynergyWindowBarsMax


def strategic_schema() -> tuple:
    """Columns of the 30-minute matrix in order: (name, parameters and normalisation)."""
    cdef size_t i
    return tuple(column_texts(kStrategicSchema[i]) for i in range(kStrategicColumns))


def tactical_schema() -> tuple:
    """Columns of the 5-minute matrix in order: (name, parameters and normalisation)."""
    cdef size_t i
    return tuple(column_texts(kTacticalSchema[i]) for i in range(kTacticalColumns))


cdef tuple column_texts(const ColumnSchema& column):
    return (
        column.name.data()[:column.name.size()].decode(),
        column.value.data()[:column.value.size()].decode(),
    )


def feature_schema_digest() -> bytes:
    """SHA-256 of names, order, parameters and normalisation of both matrices: 32 bytes."""
    digest = feature_schema_sha256()
    return (<const char*>digest.data())[:digest.size()]


def strategic_batch(bars, local_offset_ns) -> tuple:
    """Feed bars to a fresh state and keep what it shows after each.

    Parameters
    ----------
    bars : ndarray of gm.layout.CLOSED_BAR, shape (n,)
        30-minute bars in time order.
    local_offset_ns : ndarray of int64, shape (n,), ns
        Exchange-local time minus UTC at each bar's start.

    Returns
    -------
    tuple of ndarray
        float32 (n, 48, 13), oldest row first; float64 (n, 13), the newest row before the cast;
        bool (n,), ready. New arrays, owned by the caller.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape is not as above.
    """
    cdef const uint8_t[::1] raw = bar_bytes(bars)
    cdef const int64_t[::1] offsets = local_offset_ns
    cdef size_t count = raw.shape[0] // sizeof(ClosedBar)
    if <size_t>offsets.shape[0] != count:
        raise ValueError(f"{count} bars need as many offsets, got {offsets.shape[0]}")
    matrices = np.zeros((count, ROWS, COLUMNS), np.float32)
    rows = np.zeros((count, COLUMNS), np.float64)
    ready = np.zeros(count, np.bool_)
    if count == 0:
        return matrices, rows, ready
    cdef float[:, :, ::1] matrices_out = matrices
    cdef double[:, ::1] rows_out = rows
    cdef uint8_t[::1] ready_out = ready.view(np.uint8)
    cdef StrategicBatch out
    out.matrices, out.rows, out.ready = &matrices_out[0, 0, 0], &rows_out[0, 0], &ready_out[0]
    with nogil:
        run_strategic_batch(BarsIn(<const ClosedBar*>&raw[0], count), &offsets[0], out)
    return matrices, rows, ready


def tactical_batch(bars) -> tuple:
    """Feed bars to a fresh state and keep what it shows after each.

    Parameters
    ----------
    bars : ndarray of gm.layout.CLOSED_BAR, shape (n,)
        5-minute bars in time order.

    Returns
    -------
    tuple of ndarray
        float32 (n, 60, 7), oldest row first; float64 (n, 7), the newest row before the cast;
        bool (n,), ready. New arrays, owned by the caller.

    Raises
    ------
    TypeError, ValueError
        If the dtype or the shape is not as above.
    """
    cdef const uint8_t[::1] raw = bar_bytes(bars)
    cdef size_t count = raw.shape[0] // sizeof(ClosedBar)
    matrices = np.zeros((count, TACTICAL_ROWS, TACTICAL_COLUMNS), np.float32)
    rows = np.zeros((count, TACTICAL_COLUMNS), np.float64)
    ready = np.zeros(count, np.bool_)
    if count == 0:
        return matrices, rows, ready
    cdef float[:, :, ::1] matrices_out = matrices
    cdef double[:, ::1] rows_out = rows
    cdef uint8_t[::1] ready_out = ready.view(np.uint8)
    cdef TacticalBatch out
    out.matrices, out.rows, out.ready = &matrices_out[0, 0, 0], &rows_out[0, 0], &ready_out[0]
    with nogil:
        run_tactical_batch(BarsIn(<const ClosedBar*>&raw[0], count), out)
    return matrices, rows, ready


def synergy_batch(five_minutes, thirty_minutes, double mlmi_min, double slope_min,
                  uint32_t window_bars, uint32_t cooldown_bars) -> tuple:
    """Feed both sides to fresh states, by end of bar, and keep every synergy.

    Parameters
    ----------
    five_minutes, thirty_minutes : ndarray of gm.layout.CLOSED_BAR, shape (n,) and (m,)
        In time order.
    mlmi_min, slope_min : numbers
        Least |value - 50| of an MLMI signal, least |slope| of a turn.
    window_bars, cooldown_bars : counts of 5 minutes
        window_bars at most SYNERGY_WINDOW_BARS_MAX.

    Returns
    -------
    tuple
        ndarray of gm.layout.SYNERGY, shape (k,), owned by the caller; signals that grew too old.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or the window is not as above.
    """
    cdef const uint8_t[::1] five = bar_bytes(five_minutes)
    cdef const uint8_t[::1] thirty = bar_bytes(thirty_minutes)
    if window_bars > kSynergyWindowBarsMax:
        raise ValueError(f"window_bars is at most {kSynergyWindowBarsMax}: {window_bars}")
    cdef SynergyRules rules
    rules.mlmi_min, rules.slope_min = mlmi_min, slope_min
    rules.window_bars, rules.cooldown_bars = window_bars, cooldown_bars
    cdef const ClosedBar* five_bars = <const ClosedBar*>&five[0] if five.shape[0] else NULL
    cdef const ClosedBar* thirty_bars = <const ClosedBar*>&thirty[0] if thirty.shape[0] else NULL
    cdef SynergyBatch batch
    with nogil:
        batch = run_synergy_batch(
            BarsIn(five_bars, five.shape[0] // sizeof(ClosedBar)),
            BarsIn(thirty_bars, thirty.shape[0] // sizeof(ClosedBar)), rules)
    found = np.zeros(batch.synergies.size(), SYNERGY)
    cdef uint8_t[::1] out = found.view(np.uint8)
    if batch.synergies.size() > 0:
        memcpy(&out[0], batch.synergies.data(), batch.synergies.size() * sizeof(Synergy))
    return found, batch.expired


cdef class StrategicState:
    """The strategic features of one instrument, bar by bar. Owns its core object."""

    cdef unique_ptr[CoreFeatures] core

    def __cinit__(self):
        self.core = make_unique[CoreFeatures]()
        self.core.get().open()

    def update(self, bar, int64_t local_offset_ns) -> None:
        """Append the row of one closed 30-minute bar (ndarray of CLOSED_BAR, shape (1,))."""
        cdef const uint8_t[::1] raw = bar_bytes(bar)
        if raw.shape[0] != sizeof(ClosedBar):
            raise ValueError(f"one bar, not {raw.shape[0] // sizeof(ClosedBar)}")
        self.core.get().update((<const ClosedBar*>&raw[0])[0], local_offset_ns)

    @property
    def matrix(self):
        """float32 (48, 13), oldest row first: a new array, owned by the caller."""
        matrix = np.empty((ROWS, COLUMNS), np.float32)
        cdef float[:, ::1] out = matrix
        memcpy(&out[0, 0], self.core.get().matrix(), matrix.nbytes)
        return matrix

    @property
    def row(self):
        """float64 (13,), the newest row before the cast: a new array, owned by the caller."""
        row = np.empty(COLUMNS, np.float64)
        cdef double[::1] out = row
        memcpy(&out[0], self.core.get().row_f64(), row.nbytes)
        return row

    @property
    def is_ready(self) -> bool:
        """Whether each of the 48 rows was appended with every feature warm."""
        return self.core.get().is_ready()

    @property
    def reason(self) -> str:
        """'ready', or why not: 'warming_up', 'price_not_positive', 'out_of_session'."""
        return describe(self.core.get().reason()).decode()

    @property
    def bars(self) -> int:
        """Rows appended so far."""
        return self.core.get().bars()

    def snapshot(self) -> bytes:
        """Whole state with schema hash and digest; a function of the bars alone."""
        out = PyBytes_FromStringAndSize(NULL, snapshot_size())
        cdef uint8_t* to = <uint8_t*>PyBytes_AS_STRING(out)
        check(self.core.get().snapshot(BytesOut(to, snapshot_size())))
        return out

    def restore(self, bytes snapshot) -> None:
        """Become what was snapshotted; a foreign or damaged snapshot changes nothing."""
        cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(snapshot)
        check(self.core.get().restore(BytesIn(start, len(snapshot))))


cdef class TacticalState:
    """The tactical features of one instrument, bar by bar. Owns its core object."""

    cdef unique_ptr[CoreTactical] core

    def __cinit__(self):
        self.core = make_unique[CoreTactical]()
        self.core.get().open()

    def update(self, bar) -> None:
        """Append the row of one closed 5-minute bar (ndarray of CLOSED_BAR, shape (1,))."""
        cdef const uint8_t[::1] raw = bar_bytes(bar)
        if raw.shape[0] != sizeof(ClosedBar):
            raise ValueError(f"one bar, not {raw.shape[0] // sizeof(ClosedBar)}")
        self.core.get().update((<const ClosedBar*>&raw[0])[0])

    @property
    def matrix(self):
        """float32 (60, 7), oldest row first: a new array, owned by the caller."""
        matrix = np.empty((TACTICAL_ROWS, TACTICAL_COLUMNS), np.float32)
        cdef float[:, ::1] out = matrix
        memcpy(&out[0, 0], self.core.get().matrix(), matrix.nbytes)
        return matrix

    @property
    def row(self):
        """float64 (7,), the newest row before the cast: a new array, owned by the caller."""
        row = np.empty(TACTICAL_COLUMNS, np.float64)
        cdef double[::1] out = row
        memcpy(&out[0], self.core.get().row_f64(), row.nbytes)
        return row

    @property
    def is_ready(self) -> bool:
        """Whether each of the 60 rows was appended with every feature warm."""
        return self.core.get().is_ready()

    @property
    def reason(self) -> str:
        """'ready', or why not: 'warming_up', 'price_not_positive', 'out_of_session'."""
        return describe(self.core.get().reason()).decode()

    @property
    def bars(self) -> int:
        """Rows appended so far."""
        return self.core.get().bars()

    def snapshot(self) -> bytes:
        """Whole state with schema hash and digest; a function of the bars alone."""
        out = PyBytes_FromStringAndSize(NULL, tactical_snapshot_size())
        cdef uint8_t* to = <uint8_t*>PyBytes_AS_STRING(out)
        check(self.core.get().snapshot(BytesOut(to, tactical_snapshot_size())))
        return out

    def restore(self, bytes snapshot) -> None:
        """Become what was snapshotted; a foreign or damaged snapshot changes nothing."""
        cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(snapshot)
        check(self.core.get().restore(BytesIn(start, len(snapshot))))


def bar_bytes(bars):
    """View bars as bytes, or raise TypeError before C++ can misread them."""
    if bars.dtype != CLOSED_BAR or not bars.flags.aligned or not bars.flags.c_contiguous:
        raise TypeError(f"expected a contiguous, aligned array of CLOSED_BAR, got {bars.dtype}")
    if bars.ndim != 1:
        raise ValueError(f"expected shape (n,), got {bars.shape}")
    return bars.view(np.uint8)
