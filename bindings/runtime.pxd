"""What bindings/runtime.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from status cimport Failure


cdef extern from "gm/runtime/zmq_table.hpp" namespace "gm" nogil:
    cdef enum class ZmqLibrary(uint8_t):
        kAlreadyLoaded

    cdef cppclass ZmqTable:
        ZmqTable() noexcept

    Failure resolve_zmq(const string& path, ZmqLibrary library, ZmqTable& out)
    Failure find_loaded_zmq(string& path)


cdef extern from "gm/runtime/endpoints.hpp" namespace "gm" nogil:
    cdef cppclass CoreEndpoints "gm::Endpoints":
        string run_dir
        string runtime_dir
        string feed
        string orders
        string commands
        string dropcopy
        string control
        string ring_path
        string status_path
        string kill_path
        string settings_path

    Failure find_core_endpoints "gm::find_endpoints"(
        const string& run_dir, const string& runtime_directory, CoreEndpoints& out)
    Failure make_directories(const CoreEndpoints& endpoints)


cdef extern from "gm/runtime/frame.hpp" namespace "gm" nogil:
    cdef enum class FrameFault(uint8_t):
        kNone

    const char* describe_fault "gm::describe"(FrameFault fault) noexcept


cdef extern from "gm/wire/payload.hpp" namespace "gm" nogil:
    cdef enum class ModelAction(uint32_t):
        kShadow

    cdef cppclass BooksAccepted:
        uint8_t break_sha256[32]
        uint8_t signatures_sha256[32]


cdef extern from "gm/engine/recovery.hpp" namespace "gm" nogil:
    cdef enum class Awaited(uint8_t):
        kReconBreak

    const char* describe_awaited "gm::describe"(Awaited awaited) noexcept


cdef extern from "gm/runtime/status_page.hpp" namespace "gm" nogil:
    cdef enum class Phase(uint64_t):
        kStarting

    const char* describe_phase "gm::describe"(Phase phase) noexcept
    const char* stage_name(size_t stage) noexcept

    cdef struct IoStatus:
        Phase phase
        uint64_t pid
        int64_t started_wall_ns
        int64_t heartbeat_wall_ns
        uint64_t is_lockstep
        uint64_t is_threaded
        uint64_t connection
        uint64_t inputs_pushed
        uint64_t feed_frames
        uint64_t reply_frames
        uint64_t repeated_records
        uint64_t sequence_gaps
        uint64_t reconnects
        uint64_t orders_sent
        uint64_t orders_dropped
        uint64_t drop_copy_sent
        uint64_t control_requests
        uint64_t command_refusals
        uint64_t frame_faults[8]
        uint64_t backfilled_venue_bars
        uint64_t backfilled_file_bars
        uint64_t failure_status
        uint8_t tape_id[32]

    cdef struct KernelReading:
        char name[32]
        uint64_t calls
        uint64_t status

    cdef struct EngineStatus:
        uint64_t state
        uint64_t epoch
        uint64_t inputs_consumed
        uint64_t last_input_sequence
        uint64_t last_feed_sequence
        uint64_t last_reply_sequence
        int64_t now_ns
        int64_t next_deadline_ns
        uint64_t awaiting_queries
        uint64_t awaited
        uint64_t ids_left
        uint64_t open_orders
        uint64_t instruments
        uint64_t drop_copy_lost
        uint64_t decisions
        uint64_t orders
        uint64_t fills
        uint64_t venue_rejects
        uint64_t duplicates
        uint64_t gaps
        uint64_t reader_refusals
        uint64_t unknown_symbols
        uint64_t bad_transitions
        uint64_t repeated_fills
        uint64_t late_fills
        uint64_t orphans
        uint64_t recovered
        uint64_t shadow_decisions
        uint64_t roll_backs
        uint64_t refusals[32]
        KernelReading kernels[4]
        uint64_t live_model
        uint64_t shadow_model
        uint64_t last_model
        uint64_t before_model
        uint64_t late_decisions
        uint8_t live_sha256[32]
        uint8_t shadow_sha256[32]
        uint8_t before_sha256[32]
        uint8_t break_sha256[32]

    cdef struct JournalStatus:
        uint64_t published
        uint64_t drained
        uint64_t synced
        uint64_t blocks
        uint64_t sync_ns_max
        uint64_t failure_status
        uint64_t ring_free
        uint64_t ring_capacity

    cdef enum class RetentionHold(uint64_t):
        kNothing

    const char* describe_hold "gm::describe"(RetentionHold hold) noexcept

    cdef struct RetentionStatus:
        uint64_t segments
        uint64_t bytes
        uint64_t first_sequence
        uint64_t compacted_segments
        uint64_t compacted_bytes
        RetentionHold held_by
        char failure[208]

    cdef struct InstrumentStatus:
        char symbol[16]
        int64_t position_lots
        int64_t realised_micros
        int64_t commission_micros
        int64_t round_trips
        int64_t last_price_ticks
        int64_t last_price_ts_ns
        uint64_t is_ready
        uint64_t not_ready_reason
        uint64_t kill_level
        uint64_t bars_30m
        uint64_t bars_5m
        uint64_t quarantined
        int64_t held_bars
        uint64_t backfilled_bars
        int64_t bars_needed
        uint64_t books_differ
        uint64_t cash_micros_low
        int64_t cash_micros_high
        uint64_t open_orders
        int64_t venues_position_lots
        uint64_t venues_cash_micros_low
        int64_t venues_cash_micros_high
        int64_t venues_commission_micros
        uint64_t venues_open_orders
        uint64_t adjusted_micros_low
        int64_t adjusted_micros_high
        float newest_row[16]

    cdef struct StageStatus:
        uint64_t count
        uint64_t sum_ns
        uint64_t p50_ns
        uint64_t p99_ns
        uint64_t max_ns
        uint64_t octaves[36]

    cdef struct StagesStatus:
        StageStatus stages[7]

    const size_t kStagesShown
    const size_t kFrameFaults

    cdef cppclass StatusReading:
        StatusReading()
        IoStatus io
        EngineStatus engine
        JournalStatus journal
        StagesStatus stages
        RetentionStatus retention
        vector[InstrumentStatus] instruments
        string memory
        string failure

    cdef cppclass StatusPage:
        StatusPage()
        Failure open(const string& path)
        cbool read(StatusReading& out)


cdef extern from "gm/runtime/replay.hpp" namespace "gm" nogil:
    cdef cppclass ReplayReport:
        ReplayReport()
        uint64_t after
        uint64_t records
        uint64_t inputs
        uint64_t outputs
        int64_t last_ts_ns
        uint32_t epoch
        cbool has_ended
        cbool is_clean
        vector[uint64_t] missing  # of slots; only its size is read here

    Failure replay_run(const string& run_dir, const string& output_dir, ReplayReport& report)


cdef extern from "gm/journal/drain.hpp" namespace "gm" nogil:
    cdef cppclass DrainReport:
        uint64_t drained
        uint64_t duplicates
        cbool ring_was_new


cdef extern from "gm/runtime/engine_runner.hpp" namespace "gm" nogil:
    cdef enum class Driver(uint8_t):
        kInline
        kThreaded


cdef extern from "gm/wire/payload.hpp" namespace "gm" nogil:
    cdef cppclass BarClose:
        pass


cdef extern from "gm/runtime/retention.hpp" namespace "gm" nogil:
    cdef cppclass RetentionSettings:
        uint64_t bytes_max
        int64_t age_ns_max
        cbool waits_for_reader


cdef extern from "gm/runtime/core.hpp" namespace "gm" nogil:
    cdef cppclass Block "std::span<const std::uint8_t>":
        Block(const uint8_t* data, size_t size) noexcept

    cdef cppclass CoreSettings:
        CoreSettings()
        string run_dir
        string runtime_directory
        Driver driver
        int64_t idle_spin_ns
        int io_cpu
        int engine_cpu
        int journal_cpu
        uint64_t journal_segment_bytes
        int64_t stop_within_ns
        string kernel_library
        string hung_kernels
        int64_t kernel_budget_ns
        int64_t kernel_hang_ns
        int64_t policy_budget_ns
        uint32_t crash_loop_starts
        int64_t crash_loop_window_ns
        cbool halts_after_unclean
        RetentionSettings retention
        string reduces_because
        cbool kills_on_signal

    cdef cppclass LatchId "std::array<std::uint8_t, 16>":
        uint8_t* data() noexcept

    cdef cppclass Digest "std::array<std::uint8_t, 32>":
        uint8_t* data() noexcept

    cdef enum class KillLevel(uint8_t):
        kActive

    cdef cppclass ClearOrder:
        ClearOrder()
        LatchId latch_id
        uint64_t sequence
        KillLevel level
        Digest signatures_sha256

    cdef cppclass SnapshotReport:
        uint64_t sequence
        vector[string] skipped

    cdef cppclass StartReport:
        ReplayReport replay
        DrainReport drain
        SnapshotReport snapshot
        uint64_t torn_bytes
        uint32_t epoch
        vector[int64_t] bars_needed
        cbool needs_backfill
        int64_t replay_ns
        int64_t open_ns

    cdef cppclass RunningCore "gm::Core":
        RunningCore()
        Failure open(Block settings_block, const CoreSettings& settings, const ZmqTable& zmq,
                     void* context)
        void add_backfill_files(vector[BarClose] bars)
        Failure start()
        Failure shadow_model(Block block)
        Failure command_model(ModelAction action, uint32_t model)
        Failure clear_kill(const ClearOrder& order)
        cbool is_kill_falling() noexcept
        void set_recorded(uint64_t sequence) noexcept
        Failure accept_books(const BooksAccepted& accepted)
        void request_stop() noexcept
        cbool wait(int64_t timeout_ns) noexcept
        void close() noexcept
        Phase phase() noexcept
        Failure failure()
        const CoreEndpoints& endpoints() noexcept
        const StartReport& report() noexcept
        cbool read_status(StatusReading& out)


cdef extern from "gm/session/kernel_library.hpp" namespace "gm" nogil:
    Failure check_object "gm::check_kernel_object"(Block file)
