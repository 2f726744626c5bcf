#include "gm/runtime/core.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "gm/base/clock.hpp"
#include "gm/runtime/durable_file.hpp"
#include "gm/runtime/start_replay.hpp"

namespace gm {
namespace {

constexpr std::int64_t kWaitStepNs = 1'000'000;
constexpr double kNoSpin = 1e18;  // ns a tick: whatever is waited for by ticks is not waited for
constexpr std::int64_t kMeasureNs = 20'000'000;

}  // namespace

Failure Core::open(std::span<const std::uint8_t> settings_block, const CoreSettings& settings,
                   const ZmqTable& zmq, void* context) {
    const std::int64_t begin_ns = begin_ns_ = monotonic_ns();
    begin_ticks_ = ticks();
    settings_ = settings;
    Failure failure = load_settings(settings_block, engine_settings_);
    if (failure.is_ok()) {
        failure = find_endpoints(settings.run_dir, settings.runtime_directory, endpoints_);
    }
    if (failure.is_ok()) failure = make_directories(endpoints_);
    if (failure.is_ok()) failure = lock_.acquire(endpoints_.run_dir);
    if (!failure.is_ok()) return failure;
    failure = page_.create(endpoints_.status_path, engine_settings_.instruments.size());
    if (!failure.is_ok()) return failure;
    is_open_ = true;
    write_phase(Phase::kReplaying);

    failure = kill_.open(endpoints_.run_dir, endpoints_.kill_path,
                         engine_settings_.instruments.size(), engine_settings_.header.installation);
    if (failure.is_ok() && settings.kills_on_signal) failure = raise_on_signal(&kill_.words());
    if (failure.is_ok()) failure = recover(settings);
    if (failure.is_ok()) failure = judge_start();
    if (failure.is_ok()) failure = save_settings(settings_block);
    if (failure.is_ok()) failure = begin_epoch();
    if (failure.is_ok()) {
        IoSettings io;
        io.endpoints = endpoints_;
        io.session.symbol_hash = symbol_hash(engine_settings_.instruments[0]);
        io.session.epoch = report_.epoch;
        io.session.kill_words = &kill_.words();
        io.session.last_feed_sequence = engine_.last_feed_sequence();
        io.session.last_reply_sequence = engine_.last_reply_sequence();
        io.session.tape_id = engine_.tape_id();
        io.backfill.is_needed = report_.needs_backfill;
        for (const Desk& desk : engine_.desks()) {
            io.backfill.after_ts_ns.push_back(desk.backfilled_until_ts_ns);
        }
        io.last_ts_ns = engine_.now_ns();
        io.has_ended = report_.replay.has_ended;
        io.is_threaded = settings.driver == Driver::kThreaded;
        io.stop_within_ns = settings.stop_within_ns;
        io.die_after_inputs = settings.die_after_inputs;
        io.ns_per_tick = ns_per_tick_;
        io.order_slots = kOrderSlots;
        io.disk_floor_ppm = settings.disk_floor_ppm;
        io_.set_disk_free(disk_free());
        failure = io_.open(
            {&zmq, context, &runner_, &journal_, &ring_, &orders_, &drop_copy_, &page_, &kill_},
            io);
    }
    report_.open_ns = monotonic_ns() - begin_ns;
    if (!failure.is_ok()) {
        page_.write_failure(failure.text);
        write_phase(Phase::kFailed);
        close();
        return failure;
    }
    is_io_open_.store(true, std::memory_order_release);
    return ok();
}

// The writer goes on where the replay has come to, and even where that failed: what a killed
// process left in its ring is on the disk before anything else is said.
Failure Core::recover(const CoreSettings& settings) {
    StartReplay replay;
    const std::int64_t begin_ns = monotonic_ns();
    Failure replayed = open_kernels();
    if (replayed.is_ok()) {
        replayed = replay.run(endpoints_.run_dir, engine_settings_, engine_, report_.replay,
                              report_.snapshot);
    }
    report_.replay_ns = monotonic_ns() - begin_ns;
    Failure failure = open_journal(settings, replay.walk());
    if (failure.is_ok()) failure = open_rings();
    if (failure.is_ok()) failure = replayed.is_ok() ? replay.finish(segments_) : replayed;
    if (!failure.is_ok()) return failure;
    // The process died inside a step: what it owed to the journal is written now. The orders
    // among it were never handed to anybody.
    for (Slot& slot : report_.replay.missing) ring_.append(slot);
    report_.epoch = report_.replay.epoch + 1;
    report_.needs_backfill = engine_.needs_backfill() && !report_.replay.has_ended;
    for (std::uint32_t at = 0; at < engine_.desks().size(); ++at) {
        report_.bars_needed.push_back(engine_.bars_needed(at));
    }
    return ok();
}

Failure Core::open_journal(const CoreSettings& settings, const BlockWalker* walked) {
    SegmentSettings segment_settings;
    segment_settings.run_directory = endpoints_.run_dir;
    segment_settings.segment_bytes = settings.journal_segment_bytes;
    std::uint64_t ring_slots = kJournalRingSlots;
    if (settings.stepped != nullptr) {
        segment_settings.journal_id = settings.stepped->journal_id;
        segment_settings.hook = settings.stepped->journal_hook;
        ring_slots = settings.stepped->ring_slots;
    }
    Failure failure = segments_.open(segment_settings, walked);
    if (!failure.is_ok()) return failure;
    report_.torn_bytes = segments_.torn_bytes();
    if (segments_.last_sequence() == 0) {
        // A fresh run directory of a name that had a ring before: that journal is no more.
        std::error_code error;
        JournalRing old;
        const bool is_there = std::filesystem::exists(endpoints_.ring_path, error);
        if (is_there && (!old.open(endpoints_.ring_path).is_ok() ||
                         (old.journal_id() != 0 && old.journal_id() != segments_.journal_id()))) {
            old.close();
            std::filesystem::remove(endpoints_.ring_path, error);
        }
    }
    failure = ring_.open(endpoints_.ring_path, ring_slots,
                         {segments_.journal_id(), segments_.last_sequence()});
    if (failure.is_ok()) failure = drain_ring_into_segments(ring_, segments_, report_.drain);
    return failure;
}

Failure Core::open_rings() {
    Failure failure = orders_.open(kOrderSlots);
    if (failure.is_ok()) failure = drop_copy_.open(kDropCopySlots);
    return failure;
}

// The first input of this life. On the disk before anybody hears of it.
Failure Core::begin_epoch() {
    RunnerSettings runner;
    runner.driver = settings_.driver;
    runner.idle_spin_ns = settings_.idle_spin_ns;
    runner.engine_cpu = settings_.engine_cpu;
    runner.io_sequence = report_.replay.io_sequence;
    runner.instruments = engine_settings_.instruments;
    runner.policy_budget_ns = settings_.policy_budget_ns;
    runner.kernels = engine_settings_.kernels.empty() ? nullptr : &kernel_host_;
    // By the clock; a stepped core has none, and counts records.
    const SnapshotPace pace = settings_.stepped != nullptr
                                  ? SnapshotPace{0, settings_.stepped->snapshot_records}
                                  : SnapshotPace{settings_.snapshot_every_ns, 0};
    snapshots_.open(engine_, engine_settings_, endpoints_.run_dir, segments_, pace);
    if (settings_.retention.is_on()) snapshots_.keep_one_a_segment();
    retention_.open({endpoints_.run_dir, {}}, settings_.retention, engine_settings_, page_);
    runner.snapshots = &snapshots_;
    measure_ticks();
    runner.is_stepped = settings_.stepped != nullptr;
    if (!runner.is_stepped) runner.ns_per_tick = ns_per_tick_;
    Failure failure = runner_.open(engine_, ring_, orders_, drop_copy_, page_, runner);
    if (failure.is_ok()) {
        JournalThread::Calls calls{[this] { runner_.halt(); },
                                   [this] {
                                       // Pairs with the release in open(): before it, nothing is
                                       // there to be measured.
                                       if (is_io_open_.load(std::memory_order_acquire)) {
                                           io_.write_stages();
                                       }
                                       io_.set_disk_free(disk_free());
                                   },
                                   [this] {
                                       watch_kernels();
                                       attend_kill();
                                       write_snapshot();
                                   }};
        if (settings_.stepped != nullptr) {
            journal_.open(ring_, segments_, page_, std::move(calls));
        } else {
            failure =
                journal_.start(ring_, segments_, page_, settings_.journal_cpu, std::move(calls));
        }
    }
    if (failure.is_ok()) failure = runner_.start();
    if (!failure.is_ok()) return failure;
    page_.write_memory("order ring: " + orders_.obtained().text() +
                       "; drop-copy ring: " + drop_copy_.obtained().text() +
                       (settings_.driver == Driver::kThreaded
                            ? "; feed ring: " + runner_.feed_memory().text()
                            : std::string()));
    Epoch epoch{};
    epoch.epoch = report_.epoch;
    epoch.clean = report_.replay.is_clean ? 1 : 0;
    epoch.is_reconciled = 1;
    std::memcpy(epoch.settings_sha256, engine_settings_.sha256, sizeof epoch.settings_sha256);
    runner_.submit(make_slot(RecordType::kEpoch, Source::kIo, 0, report_.replay.last_ts_ns, epoch));
    consume_now();
    return meet_kill();
}

// One step of an input that was just submitted.
void Core::consume_now() noexcept {
    if (settings_.stepped != nullptr && settings_.driver == Driver::kThreaded) {
        (void)runner_.turn(1);
        return;
    }
    while (!runner_.is_caught_up()) {  // one step
    }
}

// settings.bin lies beside the journal that was made with it: replay needs nothing else.
Failure Core::save_settings(std::span<const std::uint8_t> block) const {
    std::vector<std::uint8_t> saved;
    const bool is_saved =
        read_file(endpoints_.settings_path, saved).is_ok() && std::ranges::equal(saved, block);
    return is_saved ? ok() : write_durably(endpoints_.settings_path, block);
}

Failure Core::start() {
    if (settings_.stepped != nullptr) return ok();
    Failure failure = io_thread_.start("gm-io", settings_.io_cpu, [this] { io_.run(); });
    return failure.is_ok() ? retention_.start() : failure;
}

Failure Core::shadow_model(std::span<const std::uint8_t> block) {
    constexpr const char* kOpen = "the command about a model before this one is not taken yet";
    if (io_.is_model_command_open()) return fail(Status::kBadArgument, kOpen);
    const auto model = std::make_shared<Model>();
    Failure failure = load_model(block, *model);
    if (!failure.is_ok()) return failure;
    const Sha256Digest digest = model->sha256;
    const std::filesystem::path path = model_path(endpoints_.run_dir, digest);
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    failure = write_durably(path.string(), block);
    if (!failure.is_ok()) return failure;
    StatusReading reading;
    if (!page_.read(reading)) return fail(Status::kTimedOut, "the status page is not readable");
    (void)engine_.models().collect();
    if (!engine_.models().offer(model)) return fail(Status::kBadArgument, kOpen);
    ModelCommand command{};
    std::memcpy(command.sha256, digest.data(), digest.size());
    command.model = static_cast<std::uint32_t>(reading.engine.last_model) + 1;
    command.action = ModelAction::kShadow;
    const Sha256Digest of_block = sha256(block.data(), block.size());
    std::memcpy(command.block_sha256_head, of_block.data(), sizeof command.block_sha256_head);
    return io_.command_model(command) ? ok() : fail(Status::kBadArgument, kOpen);
}

Failure Core::command_model(ModelAction action, std::uint32_t model) {
    ModelCommand command{};
    command.model = model;
    command.action = action;
    if (io_.command_model(command)) return ok();
    return fail(Status::kBadArgument, "the command about a model before this one is not taken yet");
}

void Core::request_stop() noexcept {
    io_.request_stop();
}

bool Core::wait(std::int64_t timeout_ns) noexcept {
    const std::int64_t until_ns = monotonic_ns() + timeout_ns;
    for (;;) {  // bounded by the timeout
        const Phase now = phase();
        if (now == Phase::kStopped || now == Phase::kFailed) return true;
        const std::int64_t left_ns = until_ns - monotonic_ns();
        if (left_ns <= 0) return false;
        const timespec step{0, std::min(left_ns, kWaitStepNs)};
        nanosleep(&step, nullptr);
    }
}

void Core::close() noexcept {
    if (!is_open_) return;
    is_open_ = false;
    if (io_thread_.is_running()) {
        io_.request_stop();
        io_thread_.join();
    }
    retention_.stop();
    io_.close();
    runner_.stop();
    runner_.write_status(true);
    journal_.stop();
    if (settings_.kills_on_signal) (void)raise_on_signal(nullptr);
    if (Failure failure = kill_.finish(); !failure.is_ok()) page_.write_failure(failure.text);
    kill_.close();
    remove_ring_if_synced();
    lock_.release();
}

void Core::abandon() noexcept {
    if (!is_open_) return;
    is_open_ = false;
    io_.close();
    journal_.abandon();
    kill_.close();
    ring_.close();
    lock_.release();
}

// Over the recovery, which is nearly always long enough; what is missing is waited for.
void Core::measure_ticks() noexcept {
    if (settings_.stepped != nullptr) {
        ns_per_tick_ = kNoSpin;
        return;
    }
    std::int64_t since_ns = 0;
    do {  // bounded by the clock
        since_ns = monotonic_ns() - begin_ns_;
    } while (since_ns < kMeasureNs);
    ns_per_tick_ = static_cast<double>(since_ns) / static_cast<double>(ticks() - begin_ticks_);
}

void Core::write_snapshot() {
    const std::uint64_t before = snapshots_.written_sequence();
    const Failure failure = snapshots_.write_if_synced(segments_, journal_.synced());
    if (failure.is_ok() && snapshots_.written_sequence() == before) return;  // none was due
    note_journal_failure(JournalDuty::kSnapshot,
                         failure.is_ok() ? std::string() : "no snapshot: " + failure.text);
}

// Journal thread. What fails beside the journal is said until it works again.
void Core::note_journal_failure(JournalDuty duty, const std::string& text) {
    std::string& held = journal_failures_[static_cast<std::size_t>(duty)];
    if (held == text) return;
    held = text;
    const auto& [latch, snapshot] = journal_failures_;
    const bool is_both = !latch.empty() && !snapshot.empty();
    page_.write_journal_failure(latch + (is_both ? "; " : "") + snapshot);
}

std::int64_t Core::disk_free() const noexcept {
    const bool is_told =
        settings_.stepped != nullptr && settings_.stepped->disk_free_ppm != nullptr;
    return is_told ? *settings_.stepped->disk_free_ppm : disk_free_ppm(endpoints_.run_dir);
}

// What is synced in the segments is not needed in memory: a run that ended leaves no 8 MiB behind.
void Core::remove_ring_if_synced() noexcept {
    if (ring_.capacity() == 0) return;  // a start that did not come as far
    const bool is_synced = ring_.published() == ring_.drained() &&
                           segments_.synced_sequence() == segments_.last_sequence() &&
                           segments_.last_sequence() == ring_.published();
    ring_.close();
    if (is_synced) ::unlink(endpoints_.ring_path.c_str());
}

Phase Core::phase() const noexcept {
    return is_io_open_.load(std::memory_order_acquire) ? io_.phase() : Phase::kReplaying;
}

Failure Core::failure() const {
    return io_.failure();
}

void Core::write_phase(Phase phase) noexcept {
    IoStatus status{};
    status.phase = phase;
    status.pid = static_cast<std::uint64_t>(getpid());
    status.started_wall_ns = status.heartbeat_wall_ns = wall_ns();
    page_.write_io(status);
}

}  // namespace gm
