"""What bindings/training.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.optional cimport optional
from libcpp.vector cimport vector

from session cimport Settings, Slot
from status cimport Failure
from venue cimport Execution, LedgerOrder, TapeSpan, VenueSettings


cdef extern from "gm/session/reward.hpp" namespace "gm" nogil:
    cdef cppclass RewardSettings:
        double drawdown_weight
        double synergy_factor
        double ruin


cdef extern from "gm/session/episode.hpp" namespace "gm" nogil:
    cdef cppclass EpisodeRecord:
        vector[Slot] records
        vector[LedgerOrder] orders
        vector[Execution] executions
        uint64_t tape
        uint64_t rows_played
        uint64_t venue_seed
        int64_t first_bar_start_ts_ns


cdef extern from "gm/session/market_batch.hpp" namespace "gm" nogil:
    cdef cppclass BatchOptions:
        BatchOptions()
        uint64_t size
        uint64_t seed
        uint64_t episode_bars
        uint64_t warmup_bars
        RewardSettings reward
        cbool keeps_record

    cdef cppclass BatchOutput:
        float* matrix
        float* context
        float* position
        float* last_matrix
        float* last_context
        float* last_position
        float* reward
        uint8_t* terminated
        uint8_t* truncated
        double* equity
        double* episode_return

    cdef cppclass TapeSpans "std::vector<std::span<const gm::TapeRow>>":
        TapeSpans()
        void push_back(TapeSpan tape)

    cdef cppclass CoreBatch "gm::MarketBatch":
        CoreBatch()
        Failure open(const Settings& settings, const VenueSettings& venue, TapeSpans tapes,
                     const BatchOptions& options)
        Failure reset(optional[uint64_t] seed, const BatchOutput& out)
        Failure step(uint64_t first, uint64_t count, const int64_t* actions,
                     const BatchOutput& out)
        void set_synergy_factor(double factor) noexcept
        uint64_t size() noexcept
        size_t agents() noexcept
        uint64_t starts() noexcept
        const EpisodeRecord* record() noexcept
