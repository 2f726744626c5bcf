# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""A batch of markets stepped at once. Public side: gm.training.environment."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.optional cimport optional

import numpy as np

from gm.layout import EXECUTION, LEDGER_ORDER, SLOT, TAPE_ROW, VENUE_SETTINGS

from rows cimport copied, rows_of
from session cimport Block, Settings, load_settings
from venue cimport TapeRow, TapeSpan, VenueSettings

include "status.pxi"

cdef enum:
    ROWS = 48
    COLUMNS = 13
    CONTEXT = 6


cdef class Output:
    """Arrays that one reset or step fills, n markets each. Owns them; whoever reads may keep them.

    matrix (n, 48, 13), context (n, 6), position (n,) and the same with last_ where an episode has
    ended, reward (n,): float32. terminated, truncated (n,): bool. equity, episode_return (n,):
    float64.
    """

    cdef readonly object matrix, context, position
    cdef readonly object last_matrix, last_context, last_position
    cdef readonly object reward, terminated, truncated, equity, episode_return
    cdef BatchOutput pointers
    cdef uint64_t size

    def __cinit__(self, uint64_t size):
        self.size = size
        self.matrix = np.empty((size, ROWS, COLUMNS), np.float32)
        self.context = np.empty((size, CONTEXT), np.float32)
        self.position = np.empty(size, np.float32)
        self.last_matrix = np.empty((size, ROWS, COLUMNS), np.float32)
        self.last_context = np.empty((size, CONTEXT), np.float32)
        self.last_position = np.empty(size, np.float32)
        self.reward = np.empty(size, np.float32)
        self.terminated = np.empty(size, np.bool_)
        self.truncated = np.empty(size, np.bool_)
        self.equity = np.empty(size, np.float64)
        self.episode_return = np.empty(size, np.float64)
        self.pointers.matrix = <float*>first_of(self.matrix)
        self.pointers.context = <float*>first_of(self.context)
        self.pointers.position = <float*>first_of(self.position)
        self.pointers.last_matrix = <float*>first_of(self.last_matrix)
        self.pointers.last_context = <float*>first_of(self.last_context)
        self.pointers.last_position = <float*>first_of(self.last_position)
        self.pointers.reward = <float*>first_of(self.reward)
        self.pointers.terminated = first_of(self.terminated)
        self.pointers.truncated = first_of(self.truncated)
        self.pointers.equity = <double*>first_of(self.equity)
        self.pointers.episode_return = <double*>first_of(self.episode_return)


cdef inline uint8_t* first_of(array):
    cdef uint8_t[::1] view = array.reshape(-1).view(np.uint8)
    return &view[0]


cdef class MarketBatch:
    """Markets of one instrument over tapes. Owns its core object and keeps the tapes alive.

    Parameters
    ----------
    settings : bytes
        The settings block (gm.config.block): one instrument, no user kernels.
    venue : ndarray of gm.layout.VENUE_SETTINGS, shape (1,)
    tapes : list of ndarray of gm.layout.TAPE_ROW, shape (n,)
    size : int
        Markets.
    seed : int
        Of the episodes' places and of the venues' dice.
    episode_bars, warmup_bars : int
        Decisions of an episode; closed 30-minute bars before it, at least.
    drawdown_weight, synergy_factor, ruin : float
        core/include/gm/session/reward.hpp.
    keeps_record : bool
        See record().

    Raises
    ------
    TypeError
        If a dtype is not as above.
    gm.errors.CoreError
        If the core refuses settings, a tape or a number, naming the reason.
    """

    cdef unique_ptr[CoreBatch] batch
    cdef object tapes
    cdef bint has_begun

    def __cinit__(self, bytes settings, venue, list tapes, *, uint64_t size, uint64_t seed,
                  uint64_t episode_bars, uint64_t warmup_bars, double drawdown_weight,
                  double synergy_factor, double ruin, bint keeps_record=False):
        cdef const uint8_t[::1] venue_bytes = rows_of(venue, VENUE_SETTINGS)
        cdef const uint8_t[::1] tape_bytes
        cdef TapeSpans spans
        if len(venue) != 1:
            raise TypeError("venue is one row")
        for tape in tapes:
            tape_bytes = rows_of(tape, TAPE_ROW)
            spans.push_back(TapeSpan(<const TapeRow*>&tape_bytes[0] if len(tape) else NULL,
                                     <size_t>len(tape)))
        cdef Settings loaded
        cdef const uint8_t* block = <const uint8_t*><const char*>settings
        check_failure(load_settings(Block(block, len(settings)), loaded))
        cdef BatchOptions options
        options.size = size
        options.seed = seed
        options.episode_bars = episode_bars
        options.warmup_bars = warmup_bars
        options.reward.drawdown_weight = drawdown_weight
        options.reward.synergy_factor = synergy_factor
        options.reward.ruin = ruin
        options.keeps_record = keeps_record
        self.tapes = list(tapes)
        self.batch = make_unique[CoreBatch]()
        cdef Failure failure
        cdef const VenueSettings* row = <const VenueSettings*>&venue_bytes[0]
        with nogil:
            failure = self.batch.get().open(loaded, row[0], spans, options)
        check_failure(failure)

    def reset(self, Output out not None, seed=None) -> None:
        """Begin a new episode in every market; with a seed the draws begin anew.

        Releases the GIL.
        """
        cdef optional[uint64_t] draw
        cdef Failure failure
        if seed is not None:
            draw = <uint64_t>seed
        self.check_size(out)
        with nogil:
            failure = self.batch.get().reset(draw, out.pointers)
        check_failure(failure)
        self.has_begun = True

    def step(self, const int64_t[:, ::1] actions not None, Output out not None, uint64_t first,
             uint64_t count) -> None:
        """Step markets [first, first + count) to their next decision. Releases the GIL.

        Threads may step ranges that do not overlap at once, into one Output.

        Parameters
        ----------
        actions : int64, shape (size, agents)
            0 long, 1 neutral, 2 short.

        Raises
        ------
        gm.errors.CoreError
            If an action is none of these, or an engine or venue failed: the batch is then over.
        """
        cdef Failure failure
        self.check_size(out)
        if not self.has_begun:
            raise ValueError("reset() comes before step()")
        if actions.shape[0] != <Py_ssize_t>self.size or actions.shape[1] != <Py_ssize_t>self.agents:
            raise ValueError(f"actions must be {self.size} x {self.agents}: "
                             f"{actions.shape[0]} x {actions.shape[1]}")
        with nogil:
            failure = self.batch.get().step(first, count, &actions[0, 0], out.pointers)
        check_failure(failure)

    cdef int check_size(self, Output out) except -1:
        if out.size != self.batch.get().size():
            raise ValueError(f"output must be of {self.size} markets: {out.size}")
        return 0

    def set_synergy_factor(self, double factor) -> None:
        """From the next step on."""
        self.batch.get().set_synergy_factor(factor)

    @property
    def size(self) -> int:
        """Markets."""
        return self.batch.get().size()

    @property
    def agents(self) -> int:
        """Agents that each say an action."""
        return self.batch.get().agents()

    @property
    def starts(self) -> int:
        """Decisions at which an episode may begin, over all tapes."""
        return self.batch.get().starts()

    def record(self):
        """What the first market's last finished episode did; None before there is one.

        Returns
        -------
        dict or None
            records of SLOT, orders of LEDGER_ORDER, executions of EXECUTION: new arrays. tape,
            rows_played, venue_seed, first_bar_start_ts_ns: int.
        """
        cdef const EpisodeRecord* kept = self.batch.get().record()
        if kept == NULL:
            return None
        return {
            "records": copied(<const uint8_t*>kept.records.data(), kept.records.size(), SLOT),
            "orders": copied(<const uint8_t*>kept.orders.data(), kept.orders.size(), LEDGER_ORDER),
            "executions": copied(<const uint8_t*>kept.executions.data(), kept.executions.size(),
                                 EXECUTION),
            "tape": kept.tape,
            "rows_played": kept.rows_played,
            "venue_seed": kept.venue_seed,
            "first_bar_start_ts_ns": kept.first_bar_start_ts_ns,
        }
