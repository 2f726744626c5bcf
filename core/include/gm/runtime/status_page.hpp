// $RUN/status: what the engine is doing, readable by any process at any time without asking it.
//
// A mapped file of seqlocks, one for each thread that writes (io, engine, journal) and one for each
// instrument, so that no thread waits for another or for a reader. It outlives the process: the
// pid and the heartbeat tell a dead engine from a quiet one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/runtime/frame.hpp"
#include "gm/runtime/seqlock.hpp"

namespace gm {

inline constexpr std::uint32_t kStatusMagic = 0x50304d47;  // "GM0P" in memory order
inline constexpr std::uint32_t kStatusSchema = 8;

enum class Phase : std::uint64_t {
    kStarting = 0,
    kReplaying = 1,
    kConnecting = 2,
    kReconciling = 3,  // replies sent again, queries
    kReady = 4,
    kStopping = 5,
    kEnded = 6,    // END was consumed and answered
    kStopped = 7,  // by request
    kFailed = 8,
    kBackfilling = 9,  // bars from before the live feed
};
[[nodiscard]] const char* describe(Phase phase) noexcept;

struct IoStatus {
    Phase phase;
    std::uint64_t pid;
    std::int64_t started_wall_ns;
    std::int64_t heartbeat_wall_ns;  // of the io loop: at least every 100 ms
    std::uint64_t is_lockstep;
    std::uint64_t is_threaded;
    std::uint64_t connection;
    std::uint64_t inputs_pushed;
    std::uint64_t feed_frames;
    std::uint64_t reply_frames;
    std::uint64_t repeated_records;  // dropped: consumed before
    std::uint64_t sequence_gaps;     // each led to a new connection
    std::uint64_t reconnects;
    std::uint64_t orders_sent;     // of all connections
    std::uint64_t orders_dropped;  // of a connection that is no more: never sent
    std::uint64_t drop_copy_sent;
    std::uint64_t control_requests;
    std::uint64_t command_refusals;
    std::uint64_t frame_faults[kFrameFaults];
    std::uint64_t backfilled_venue_bars;  // handed to the engine before the live feed
    std::uint64_t backfilled_file_bars;
    std::uint64_t failure_status;  // Status, when phase is kFailed
    std::uint8_t tape_id[32];
};

// A user kernel, in the order of the settings.
struct KernelReading {
    char name[32];
    std::uint64_t calls;
    std::uint64_t status;  // KernelStatus: 0 while it is called, else why it is not any more
};

inline constexpr std::size_t kGateCodes = 32;

struct EngineStatus {
    std::uint64_t state;  // EngineState
    std::uint64_t epoch;
    std::uint64_t inputs_consumed;  // decision heartbeat: follows inputs_pushed
    std::uint64_t last_input_sequence;
    std::uint64_t last_feed_sequence;
    std::uint64_t last_reply_sequence;
    std::int64_t now_ns;  // engine time
    std::int64_t next_deadline_ns;
    std::uint64_t awaiting_queries;
    std::uint64_t awaited;   // Awaited: what READY waits for, or R19
    std::uint64_t ids_left;  // reserved and not used yet
    std::uint64_t open_orders;
    std::uint64_t instruments;
    std::uint64_t drop_copy_lost;
    // EngineTotals: since the first start of this journal.
    std::uint64_t decisions;
    std::uint64_t orders;
    std::uint64_t fills;
    std::uint64_t venue_rejects;
    std::uint64_t duplicates;
    std::uint64_t gaps;
    std::uint64_t reader_refusals;
    std::uint64_t unknown_symbols;
    std::uint64_t bad_transitions;
    std::uint64_t repeated_fills;
    std::uint64_t late_fills;
    std::uint64_t orphans;
    std::uint64_t recovered;
    std::uint64_t shadow_decisions;
    std::uint64_t roll_backs;            // of models, that nobody ordered
    std::uint64_t refusals[kGateCodes];  // by GateCode
    KernelReading kernels[kKernelsMax];  // an empty name: none
    std::uint64_t live_model;            // gm/engine/models.hpp: 0 is the settings' own
    std::uint64_t shadow_model;          // 0: none
    std::uint64_t last_model;
    std::uint64_t before_model;    // a roll-back leads there, unless before_sha256 is zero
    std::uint64_t late_decisions;  // over the budget, in this life
    std::uint8_t live_sha256[32];  // of the bundle's manifest
    std::uint8_t shadow_sha256[32];
    std::uint8_t before_sha256[32];
    std::uint8_t break_sha256[32];  // of the books that may be accepted; zero: none
};

struct JournalStatus {
    std::uint64_t published;  // last journal sequence in the ring
    std::uint64_t drained;    // in a segment
    std::uint64_t synced;     // on the disk
    std::uint64_t blocks;
    std::uint64_t sync_ns_max;
    std::uint64_t failure_status;  // Status of the first write or sync that failed
    std::uint64_t ring_free;
    std::uint64_t ring_capacity;
};

// Why a segment that is over a limit stays.
enum class RetentionHold : std::uint64_t {
    kNothing = 0,    // or none is over a limit
    kRecorder = 1,   // has not read past it
    kSnapshots = 2,  // two that a start would use do not stand behind it yet
    kFailure = 3,    // see `failure`
};
[[nodiscard]] const char* describe(RetentionHold hold) noexcept;

// What of the journal is kept. All zero where nothing is limited.
struct RetentionStatus {
    std::uint64_t segments;
    std::uint64_t bytes;           // of them, and of the one that is prepared
    std::uint64_t first_sequence;  // the oldest record with its market data
    std::uint64_t compacted_segments;
    std::uint64_t compacted_bytes;
    RetentionHold held_by;
    char failure[208];  // of the last look
};

struct InstrumentStatus {
    char symbol[16];
    std::int64_t position_lots;
    std::int64_t realised_micros;
    std::int64_t commission_micros;
    std::int64_t round_trips;
    std::int64_t last_price_ticks;
    std::int64_t last_price_ts_ns;
    std::uint64_t is_ready;          // its matrix
    std::uint64_t not_ready_reason;  // NotReadyReason
    std::uint64_t kill_level;        // KillLevel
    std::uint64_t bars_30m;
    std::uint64_t bars_5m;
    std::uint64_t quarantined;
    std::int64_t held_bars;
    std::uint64_t backfilled_bars;  // that were taken, of the feed's own size
    std::int64_t bars_needed;       // of 30 minutes, at least, until it may trade
    // R19: our books and the venue's (engine/books.hpp), 128 bits of cash. books_differ: they are
    // part of the break that stands.
    std::uint64_t books_differ;
    std::uint64_t cash_micros_low;
    std::int64_t cash_micros_high;
    std::uint64_t open_orders;  // both 0 where they do not count
    std::int64_t venues_position_lots;
    std::uint64_t venues_cash_micros_low;
    std::int64_t venues_cash_micros_high;
    std::int64_t venues_commission_micros;
    std::uint64_t venues_open_orders;
    std::uint64_t adjusted_micros_low;  // money that no fill explains: accepted from the venue
    std::int64_t adjusted_micros_high;
    float newest_row[16];  // of the matrix: kStrategicColumns of them, the rest is 0
};

// Stages of the way of a tick: those of io, then those of the engine (gm/engine/stage_times.hpp).
enum class IoStage : std::uint8_t { kDecode = 0, kStep = 1, kEncode = 2 };
inline constexpr std::size_t kIoStages = 3;
inline constexpr std::size_t kStagesShown = kIoStages + kStages;
[[nodiscard]] const char* stage_name(std::size_t stage) noexcept;

// octaves[i]: how often the stage took [2^(i-1), 2^i) ns; the last one holds all longer ones too.
inline constexpr std::size_t kOctaves = 36;
struct StageStatus {
    std::uint64_t count;
    std::uint64_t sum_ns;
    std::uint64_t p50_ns;
    std::uint64_t p99_ns;
    std::uint64_t max_ns;
    std::uint64_t octaves[kOctaves];
};
struct StagesStatus {
    StageStatus stages[kStagesShown];
};

struct StatusReading {
    IoStatus io{};
    EngineStatus engine{};
    JournalStatus journal{};
    StagesStatus stages{};
    RetentionStatus retention{};
    std::vector<InstrumentStatus> instruments;
    std::string memory;   // what the rings really obtained
    std::string failure;  // text of the failure, when there is one; of both threads
};

class StatusPage {
 public:
    StatusPage() = default;
    ~StatusPage() { close(); }
    StatusPage(const StatusPage&) = delete;
    StatusPage& operator=(const StatusPage&) = delete;

    // Cold. Makes the file anew; a reader of the former one keeps that.
    Failure create(const std::string& path, std::size_t instruments);
    // Cold. Opens what a running or a dead engine left, for reading.
    Failure open(const std::string& path);
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept { return header_ != nullptr; }

    // One writer each: io thread, engine thread, journal thread.
    void write_io(const IoStatus& status) noexcept { header_->io.write(status); }
    void write_stages(const StagesStatus& status) noexcept { header_->stages.write(status); }
    void write_engine(const EngineStatus& status) noexcept { header_->engine.write(status); }
    void write_journal(const JournalStatus& status) noexcept { header_->journal.write(status); }
    void write_retention(const RetentionStatus& status) noexcept {  // its thread
        header_->retention.write(status);
    }
    void write_instrument(std::size_t at, const InstrumentStatus& status) noexcept;
    // Cold, io thread; before it starts and behind its end, the thread that opens. Longer text is
    // cut.
    void write_memory(const std::string& text) noexcept;
    void write_failure(const std::string& text) noexcept;
    // Likewise the journal thread, which tries what failed again: an empty text, and it is over.
    void write_journal_failure(const std::string& text) noexcept;

    // False when a part could not be read whole (its writer died while writing it).
    [[nodiscard]] bool read(StatusReading& out) const;

 private:
    static constexpr std::size_t kTextSize = 1024;
    struct Text {
        char bytes[kTextSize];
    };
    struct Header {
        std::uint32_t magic;
        std::uint32_t schema;
        std::uint64_t instruments;
        std::uint64_t size;
        Seqlock<IoStatus> io;
        Seqlock<StagesStatus> stages;
        Seqlock<EngineStatus> engine;
        Seqlock<JournalStatus> journal;
        Seqlock<Text> memory;
        Seqlock<Text> failure;
        Seqlock<RetentionStatus> retention;
        Seqlock<Text> journal_failure;
    };
    using InstrumentLock = Seqlock<InstrumentStatus>;

    [[nodiscard]] static std::size_t size_for(std::size_t instruments) noexcept {
        return sizeof(Header) + instruments * sizeof(InstrumentLock);
    }
    [[nodiscard]] InstrumentLock* locks() const noexcept {
        return reinterpret_cast<InstrumentLock*>(header_ + 1);
    }
    static Text text_of(const std::string& text) noexcept;

    Header* header_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace gm
