// The running engine: files, rings and threads, put together in the order that makes a start a
// recovery.
//
// open(): lock -> settings, kill latch -> replay -> drain the ring -> epoch + 1, synced. start():
// HELLO and the rest of the reconciliation, in the io thread, until the venue goes on with the
// feed. There is no other way to start. One object a process run; not moved.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/journal/run_lock.hpp"
#include "gm/runtime/io_loop.hpp"
#include "gm/runtime/kill_switch.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/retention.hpp"
#include "gm/runtime/snapshots.hpp"
#include "gm/session/kernel_host.hpp"
#include "gm/session/kernel_library.hpp"

namespace gm {

// A core without threads, clocks and kernel library: whoever opened it calls turn_io(),
// turn_engine() (threaded) and turn_journal() at times of his own. With the same inputs and times
// the journal gets the same records.
struct SteppedParts {
    std::uint64_t journal_id = 0;  // of a new journal
    std::uint64_t ring_slots = kJournalRingSlots;
    FileHook journal_hook;
    std::vector<KernelFunction> kernels;          // one a row of the settings
    std::uint64_t snapshot_records = 0;           // records from one snapshot to the next; 0: none
    const std::int64_t* disk_free_ppm = nullptr;  // R18; null: that of the run directory's disk
};

struct CoreSettings {
    std::string run_dir;
    std::string runtime_directory;  // value of RUNTIME_DIRECTORY, or empty
    Driver driver = Driver::kInline;
    std::int64_t idle_spin_ns = 50'000;
    int io_cpu = -1;  // -1: wherever the kernel likes
    int engine_cpu = -1;
    int journal_cpu = -1;
    std::uint64_t journal_segment_bytes = kSegmentBytesDefault;
    std::int64_t stop_within_ns = 2'000'000'000;
    std::uint64_t die_after_inputs = 0;  // kill campaigns: see IoSettings
    std::string kernel_library;          // where the settings name user kernels
    std::string hung_kernels;            // their SHA-256, 32 bytes each: they hung in a former life
    std::int64_t kernel_budget_ns = 200'000;
    std::int64_t kernel_hang_ns = 1'000'000'000;
    std::int64_t policy_budget_ns = 0;            // of one decision's networks; 0: none
    std::int64_t disk_floor_ppm = kDiskFloorPpm;  // R18
    // So many unclean starts within the window start HALTED; 0: off.
    std::uint32_t crash_loop_starts = 0;
    std::int64_t crash_loop_window_ns = 60'000'000'000;
    bool halts_after_unclean = false;                   // restart_policy halted
    std::string reduces_because;                        // not empty: begins REDUCING, and says so
    std::int64_t snapshot_every_ns = kSnapshotEveryNs;  // 0: none are made
    RetentionSettings retention;                        // of the journal; nothing is limited
    bool kills_on_signal = false;  // SIGUSR1 means KILLED until close(); one core a process
    const SteppedParts* stepped = nullptr;  // null: threads of its own; else it outlives the core
};

// What a start found and did.
struct StartReport {
    ReplayReport replay;
    DrainReport drain;
    SnapshotReport snapshot;
    std::uint64_t torn_bytes = 0;           // cut from the end of the last segment
    std::uint32_t epoch = 0;                // of this start
    std::vector<std::int64_t> bars_needed;  // by instrument: Engine::bars_needed()
    bool needs_backfill = false;            // Engine::needs_backfill()
    std::int64_t replay_ns = 0;
    std::int64_t open_ns = 0;
};

class Core {
 public:
    Core() = default;
    ~Core() { close(); }
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    // Cold: recovers what the run directory holds. Table and context must outlive the core.
    Failure open(std::span<const std::uint8_t> settings_block, const CoreSettings& settings,
                 const ZmqTable& zmq, void* context);
    // Between open() and start(): bars of files, for what the recovered journal and the venue do
    // not have. In order of time for each instrument. Not needed unless the report says so.
    void add_backfill_files(std::vector<BarClose> bars) { io_.add_backfill_files(std::move(bars)); }
    Failure start();
    // One thread, cold. Loads a model block, keeps it in the run directory, and orders it in as a
    // shadow; kBadArgument while the engine has not taken what was ordered before.
    Failure shadow_model(std::span<const std::uint8_t> block);
    // The same thread. What shall become of the shadow, or of the live model. Whether the engine
    // obeyed is in the journal and on the status page.
    Failure command_model(ModelAction action, std::uint32_t model);
    // One thread at a time. One step down, as two people have signed; whoever calls has checked the
    // signatures. It happens once the reconciliation is fresh: until then is_kill_falling().
    Failure clear_kill(const ClearOrder& order);
    [[nodiscard]] bool is_kill_falling() const noexcept { return kill_.is_falling(); }
    // One thread at a time. Two people accept the venue's books as they were shown; whoever calls
    // has checked the signatures. Whether the engine took them is in the journal and on the status
    // page. kBadArgument: the acceptance before this one is not taken yet.
    Failure accept_books(const BooksAccepted& accepted);
    // Any thread. No new orders, cancel what rests, drain, sync; wait() tells when.
    void request_stop() noexcept;
    // Any thread: the recorder has the journal up to here. Of use if retention waits for it.
    void set_recorded(std::uint64_t sequence) noexcept { retention_.set_read(sequence); }
    // Returns when the core has stopped or failed, or after the timeout: true when it has.
    [[nodiscard]] bool wait(std::int64_t timeout_ns) noexcept;
    // Stepped. turn_io(): one wake-up of io; false once the core has stopped or failed.
    // turn_engine(), turn_journal(): how many inputs, how many records were taken.
    bool turn_io(std::int64_t now_ns, std::int64_t wall_ns) { return io_.turn(now_ns, wall_ns); }
    std::size_t turn_engine(std::size_t most) noexcept { return runner_.turn(most); }
    std::size_t turn_journal(std::int64_t now_ns) { return journal_.turn(now_ns); }
    // Stepped: leaves everything as the death of the process would.
    void abandon() noexcept;
    // Stepped: between turns.
    [[nodiscard]] const Engine& engine() const noexcept { return engine_; }
    [[nodiscard]] JournalRing& journal_ring() noexcept { return ring_; }
    [[nodiscard]] std::uint64_t synced_sequence() const noexcept { return journal_.synced(); }
    // Stops if need be, joins the threads, leaves the journal synced and the lock free.
    void close() noexcept;

    [[nodiscard]] Phase phase() const noexcept;
    [[nodiscard]] bool is_ready() const noexcept { return phase() == Phase::kReady; }
    // END was consumed, synced, and answered.
    [[nodiscard]] bool has_ended() const noexcept { return phase() == Phase::kEnded; }
    [[nodiscard]] Failure failure() const;
    [[nodiscard]] const Endpoints& endpoints() const noexcept { return endpoints_; }
    [[nodiscard]] const StartReport& report() const noexcept { return report_; }
    [[nodiscard]] bool read_status(StatusReading& out) const { return page_.read(out); }

 private:
    Failure recover(const CoreSettings& settings);
    Failure open_journal(const CoreSettings& settings, const BlockWalker* walked);
    Failure begin_epoch();
    Failure save_settings(std::span<const std::uint8_t> block) const;
    Failure open_rings();
    Failure open_kernels();
    void watch_kernels();
    Failure judge_start();
    Failure meet_kill();
    void attend_kill();
    void write_snapshot();
    [[nodiscard]] std::int64_t disk_free() const noexcept;
    enum class JournalDuty : std::uint8_t { kLatch = 0, kSnapshot = 1 };  // beside the journal
    void note_journal_failure(JournalDuty duty, const std::string& text);
    void measure_ticks() noexcept;
    void remove_ring_if_synced() noexcept;
    void consume_now() noexcept;
    void write_phase(Phase phase) noexcept;

    static constexpr std::size_t kOrderSlots = 8 * Engine::kStepRecordsMax;
    static constexpr std::size_t kDropCopySlots = 16 * Engine::kStepRecordsMax;

    CoreSettings settings_;
    Settings engine_settings_;
    Endpoints endpoints_;
    RunLock lock_;
    KillSwitch kill_;
    StatusPage page_;
    SegmentWriter segments_;
    JournalRing ring_;
    SpscRing<Slot> orders_;
    SpscRing<Slot> drop_copy_;
    Engine engine_;
    KernelLibrary kernel_library_;
    KernelHost kernel_host_;
    std::optional<KernelWatch> kernel_watch_;  // journal thread
    Snapshots snapshots_;
    EngineRunner runner_;
    JournalThread journal_;
    IoLoop io_;
    Retention retention_;
    Thread io_thread_;
    StartReport report_;
    std::array<std::string, 2> journal_failures_;  // by JournalDuty; journal thread
    std::uint64_t begin_ticks_ = 0;                // of open(): ticks are measured over all of it
    std::int64_t begin_ns_ = 0;
    double ns_per_tick_ = 0.0;
    std::atomic<bool> is_io_open_{false};
    bool is_open_ = false;
};

}  // namespace gm
