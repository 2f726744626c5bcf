"""What bindings/features.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from status cimport Status


cdef extern from "gm/market/bar.hpp" namespace "gm" nogil:
    cdef cppclass ClosedBar:
        int64_t start_ts_ns
        int64_t open_ticks
        int64_t high_ticks
        int64_t low_ticks
        int64_t close_ticks
        int64_t volume_lots
        uint32_t minutes
        uint32_t flags


cdef extern from "<span>" nogil:
    cdef cppclass BarsIn "std::span<const gm::ClosedBar>":
        BarsIn(const ClosedBar* data, size_t count) noexcept
    cdef cppclass BytesIn "std::span<const std::uint8_t>":
        BytesIn(const uint8_t* data, size_t count) noexcept
    cdef cppclass BytesOut "std::span<std::uint8_t>":
        BytesOut(uint8_t* data, size_t count) noexcept


cdef extern from "gm/base/sha256.hpp" namespace "gm" nogil:
    cdef cppclass Sha256Digest:
        const uint8_t* data() noexcept
        size_t size() noexcept


cdef extern from "gm/features/schema.hpp" namespace "gm" nogil:
    cdef cppclass ColumnSchema:
        string_view name
        string_view value

    cdef cppclass StrategicSchema "decltype(gm::kStrategicSchema)":
        const ColumnSchema& operator[](size_t column) noexcept

    cdef cppclass TacticalSchema "decltype(gm::kTacticalSchema)":
        const ColumnSchema& operator[](size_t column) noexcept

    const StrategicSchema kStrategicSchema
    const TacticalSchema kTacticalSchema
    const size_t kStrategicRows
    const size_t kStrategicColumns
    const size_t kTacticalRows
    const size_t kTacticalColumns
    Sha256Digest feature_schema_sha256() noexcept


cdef extern from "gm/features/strategic.hpp" namespace "gm" nogil:
    cdef enum class NotReadyReason(uint8_t):
        kNone

    const char* describe(NotReadyReason reason) noexcept

    cdef cppclass CoreFeatures "gm::StrategicFeatures":
        CoreFeatures() noexcept
        void open() noexcept
        void update(const ClosedBar& bar, int64_t local_offset_ns) noexcept
        const float* matrix() noexcept
        const double* row_f64() noexcept
        cbool is_ready() noexcept
        NotReadyReason reason() noexcept
        int64_t bars() noexcept
        Status snapshot(BytesOut out) noexcept
        Status restore(BytesIn bytes) noexcept

    size_t snapshot_size "gm::StrategicFeatures::snapshot_size"() noexcept

    cdef struct StrategicBatch:
        float* matrices
        double* rows
        uint8_t* ready

    void run_strategic_batch(BarsIn bars, const int64_t* local_offset_ns,
                             const StrategicBatch& out) noexcept


cdef extern from "gm/features/tactical.hpp" namespace "gm" nogil:
    cdef cppclass CoreTactical "gm::TacticalFeatures":
        CoreTactical() noexcept
        void open() noexcept
        void update(const ClosedBar& bar) noexcept
        const float* matrix() noexcept
        const double* row_f64() noexcept
        cbool is_ready() noexcept
        NotReadyReason reason() noexcept
        int64_t bars() noexcept
        Status snapshot(BytesOut out) noexcept
        Status restore(BytesIn bytes) noexcept

    size_t tactical_snapshot_size "gm::TacticalFeatures::snapshot_size"() noexcept

    cdef struct TacticalBatch:
        float* matrices
        double* rows
        uint8_t* ready

    void run_tactical_batch(BarsIn bars, const TacticalBatch& out) noexcept


cdef extern from "gm/wire/payload.hpp" namespace "gm" nogil:
    cdef cppclass Synergy:
        pass


cdef extern from "gm/features/synergy.hpp" namespace "gm" nogil:
    cdef struct SynergyRules:
        double mlmi_min
        double slope_min
        uint32_t window_bars
        uint32_t cooldown_bars

    cdef cppclass SynergyBatch:
        vector[Synergy] synergies
        uint64_t expired

    const uint32_t kSynergyWindowBarsMax
    SynergyBatch run_synergy_batch(BarsIn five_minutes, BarsIn thirty_minutes,
                                   const SynergyRules& rules)
