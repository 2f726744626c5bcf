// The loop of a world, its venue, and what goes wrong with the machine.
#include "gm/simulation/world.hpp"

#include <filesystem>
#include <utility>

#include "gm/runtime/replay.hpp"
#include "gm/simulation/world_limits.hpp"
#include "playing_world.hpp"

namespace gm {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMs;
constexpr std::uint32_t kOrdersMax = 8192;

const char* name_of(EventKind kind) noexcept {
    switch (kind) {
        case EventKind::kNone: return "none";
        case EventKind::kDeliver: return "deliver";
        case EventKind::kLinkUp: return "link up";
        case EventKind::kLinkLost: return "link lost";
        case EventKind::kEngineIo: return "io";
        case EventKind::kEngineStep: return "engine";
        case EventKind::kJournal: return "journal";
        case EventKind::kVenue: return "venue";
        case EventKind::kFault: return "fault dice";
        case EventKind::kStart: return "start";
        case EventKind::kHeldReply: return "held reply";
        case EventKind::kSettle: return "settle";
    }
    return "unknown";
}

PlayingWorld& world_of(void* context) noexcept {
    return *static_cast<PlayingWorld*>(context);
}

}  // namespace

PlayingWorld::PlayingWorld(const SimulationSettings& settings)
    : settings_(settings),
      random_(settings.seed),
      network_(
          events_, random_, faults_,
          {this,
           [](void* self, Party party) {
               PlayingWorld& world = world_of(self);
               const std::int64_t soon_ns =
                   world.events_.now_ns() + world.random_.between(1'000, 20'000);
               party == Party::kEngine ? world.plan_io(soon_ns) : world.plan_venue(soon_ns);
           },
           [](void* self, std::span<const std::uint8_t> frame) { world_of(self).on_sent(frame); },
           [](void* self, Lane lane, std::span<const std::uint8_t> frame) {
               world_of(self).on_arrived(lane, frame);
           },
           [](void* self, bool takes_feed) { world_of(self).meet_operation(takes_feed); }}),
      disk_(random_, faults_) {
    disk_.watch(this, [](void* self) { world_of(self).meet_write(); });
}

PlayingWorld::~PlayingWorld() {
    close_core();
    std::error_code error;
    std::filesystem::remove_all(settings_.directory, error);
}

Failure PlayingWorld::open() {
    block_ = settings_.settings_block;
    Failure failure = load_settings(block_, loaded_);
    if (failure.is_ok() && settings_.has_faults && settings_.has_tight_limits) {
        tighten_limits(random_, loaded_, block_);
        failure = load_settings(block_, loaded_);
    }
    if (!failure.is_ok()) return failure;
    faults_.draw(random_, settings_.has_faults);
    if (settings_.set_faults) settings_.set_faults(faults_);
    std::error_code error;
    std::filesystem::remove_all(settings_.directory, error);
    core_settings_.run_dir = settings_.directory;
    core_settings_.runtime_directory = settings_.directory + "/r";
    core_settings_.journal_segment_bytes = 1U << 20;
    core_settings_.driver = random_.hits(400'000) ? Driver::kThreaded : Driver::kInline;
    core_settings_.stepped = &stepped_;
    stepped_.disk_free_ppm = &disk_free_ppm_;  // this machine's disk is none of the world's
    stepped_.snapshot_records =
        random_.hits(700'000) ? static_cast<std::uint64_t>(random_.between(100, 2000)) : 0;
    stepped_.journal_id = settings_.seed + 1;
    stepped_.ring_slots = kRingSlots;
    stepped_.journal_hook = disk_.hook();
    for (const KernelSettings& kernel : loaded_.kernels) {
        const KernelFunction function = find_rule(kernel.name);
        if (function == nullptr) {
            return fail(Status::kBadSettings,
                        std::string("a simulated world has no kernel ") + kernel.name);
        }
        stepped_.kernels.push_back(function);
    }
    failure = find_endpoints(core_settings_.run_dir, core_settings_.runtime_directory, endpoints_);
    return failure.is_ok() ? open_venue() : failure;
}

Failure PlayingWorld::open_venue() {
    const bool is_fast = !loaded_.kernels.empty() && loaded_.kernels.back().minutes == 5;
    const std::int64_t drawn = random_.below(10);
    const TapeKind kind =
        drawn < 2 ? TapeKind::kTrades : (is_fast ? TapeKind::kBars5 : TapeKind::kBars30);
    tape_ = settings_.tape.empty() ? make_tape(random_, kind, settings_.events / 4 + 6000)
                                   : settings_.tape;
    VenueSettings venue{};
    venue.seed = random_.bits();
    venue.orders_max = kOrdersMax;
    venue.partial_fill_ppm = random_.below(600'000);
    venue.reject_ppm = faults_.has(WorldFault::kVenueReject) ? random_.below(200'000) : 0;
    venue.commission_micros_per_lot = 2;
    venue.slippage_ticks = random_.below(5);
    Failure failure = venue_.open(venue, loaded_.instruments[0], tape_);
    if (!failure.is_ok()) return failure;
    adversary_.emplace(venue_, events_, random_, faults_);
    judge_.emplace(loaded_, venue_, faults_, settings_.promises);
    judge_->watch(&*adversary_);
    // A row each 20 to 300 ms.
    const std::int64_t bar_ms = is_fast ? 300'000 : 1'800'000;
    const std::int64_t every_ms = kind == TapeKind::kTrades ? 120'000 : bar_ms;
    server_settings_.speed_permille = 1000 * every_ms / random_.between(20, 300);
    server_settings_.feed_endpoint = endpoints_.feed;
    server_settings_.orders_endpoint = endpoints_.orders;
    server_settings_.tape_id[0] = 5;
    // A model wants more bars than a world has time for: the venue has played them before.
    if (loaded_.kernels.empty() || random_.hits(200'000)) {
        server_settings_.history_rows = kind == TapeKind::kTrades ? 4000 : 400;
    }
    network_.set_delay_max(random_.between(1, 20) * kMs);
    // A tape of last year, or a venue whose clock seems to be ours and is not.
    wall_base_ns_ = kTapeStartNs - events_.now_ns() + 400 * 86'400 * kSecond;
    if (faults_.strikes(WorldFault::kVenueClock, random_)) {
        wall_step_ns_ = random_.between(-500, -300) * 86'400 * kSecond;
    }
    return ok();
}

Failure PlayingWorld::open_server() {
    network_.act_as(Party::kVenue);
    server_.emplace();
    Failure failure = server_->open(zmq_, &network_, server_settings_, venue_);
    server_settings_.history_rows = 0;  // once, not with each restart
    return failure;
}

Failure PlayingWorld::play(SimulationReport& report) {
    // The feed's ipc:// file lies in the runtime directory, which the core would make.
    std::error_code error;
    std::filesystem::create_directories(core_settings_.runtime_directory, error);
    std::filesystem::permissions(core_settings_.runtime_directory,
                                 std::filesystem::perms::owner_all, error);
    if (Failure failure = open_server(); !failure.is_ok()) return failure;
    plan_venue(events_.now_ns());
    plan_start(kMs);
    events_.plan(events_.now_ns() + kFaultEveryNs, EventKind::kFault);
    Event event;
    while (!judge_->is_violated() && !is_settled_ && events_.next(event)) {
        if (++played_ == settings_.events) {
            note("faults are over");
            faults_.end();
            disk_free_ppm_ = kDiskFreePpm;
            settle_from_ns_ = events_.now_ns() + kSettleEveryNs;
            settle_by_ns_ = events_.now_ns() + kSettleWithinNs;
            events_.plan(events_.now_ns() + kSettleEveryNs, EventKind::kSettle);
        }
        judge_->fold(static_cast<std::uint64_t>(event.due_ns) << 8U |
                     static_cast<std::uint64_t>(event.kind));
        judge_->on_time(event.due_ns);
        take(event);
    }
    if (!venue_.failure().is_ok() && !judge_->is_violated()) return venue_.failure();
    report.is_halted = judge_->is_halted();
    close_core();
    Failure failure = ok();
    if (settings_.replays && !judge_->is_violated()) failure = replay(report);
    write_report(report);
    return failure;
}

void PlayingWorld::take(const Event& event) {
    switch (event.kind) {
        case EventKind::kDeliver:
        case EventKind::kLinkUp:
        case EventKind::kLinkLost: network_.on_event(event); break;
        case EventKind::kEngineIo:
            if (event.version == io_version_) turn_io();
            break;
        case EventKind::kEngineStep: turn_engine(); break;
        case EventKind::kJournal: turn_journal(); break;
        case EventKind::kVenue:
            if (event.version == venue_version_) turn_venue();
            break;
        case EventKind::kFault: draw_fault(); break;
        case EventKind::kStart: start_engine(); break;
        case EventKind::kHeldReply:
            note("held reply", event.subject);
            network_.act_as(Party::kVenue);
            adversary_->on_event(event);
            plan_venue(events_.now_ns());
            break;
        case EventKind::kSettle: settle(); break;
        case EventKind::kNone: break;
    }
    if (event.kind != EventKind::kDeliver && event.kind != EventKind::kEngineIo) {
        note(name_of(event.kind), event.subject, event.version);
    }
}

// ---- the venue

void PlayingWorld::plan_venue(std::int64_t due_ns) {
    if (due_ns >= venue_due_ns_) return;
    venue_due_ns_ = due_ns;
    events_.plan(due_ns, EventKind::kVenue, 0, ++venue_version_);
}

void PlayingWorld::turn_venue() {
    venue_due_ns_ = INT64_MAX;
    if (!server_) return;
    network_.act_as(Party::kVenue);
    if (!server_->turn(events_.now_ns())) {
        server_.reset();
        if (!venue_.failure().is_ok()) judge_->violate("venue: " + venue_.failure().text);
        return;
    }
    judge_->look_at_venue();
    plan_venue(events_.now_ns() + std::max<std::int64_t>(network_.take_timeout_ms() * kMs, 5'000));
}

void PlayingWorld::on_arrived(Lane lane, std::span<const std::uint8_t> bytes) {
    RecordHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    note(lane == Lane::kFeed ? "feed arrives" : "reply arrives", header.type,
         header.first_sequence);
    judge_->on_arrived(lane, bytes);
}

void PlayingWorld::on_sent(std::span<const std::uint8_t> bytes) {
    RecordHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    OrderId id{};
    if (bytes.size() >= sizeof header + sizeof id) {
        std::memcpy(&id, bytes.data() + sizeof header, sizeof id);
    }
    note("engine sends", header.type, id.counter);
    if (core_ == nullptr || starts_ == 0) return;
    judge_->on_sent(bytes);
}

// ---- what goes wrong

void PlayingWorld::draw_fault() {
    if (faults_.are_over() || !settings_.has_faults) return;
    events_.plan(events_.now_ns() + random_.between(1, 2 * kFaultEveryNs), EventKind::kFault);
    const auto strikes = [&](WorldFault kind) {
        const bool does = faults_.strikes(kind, random_);
        if (does) note(describe(kind));
        return does;
    };
    if (strikes(WorldFault::kDisconnect)) network_.disconnect();
    if (strikes(WorldFault::kPartition)) network_.partition(random_.between(1, 3000) * kMs);
    if (strikes(WorldFault::kClockStep)) wall_step_ns_ += random_.between(-20, 20) * kSecond;
    if (strikes(WorldFault::kVenueRestart)) {
        network_.act_as(Party::kVenue);
        server_.reset();
        if (Failure failure = open_server(); !failure.is_ok()) judge_->violate(failure.text);
        plan_venue(events_.now_ns());
    }
    if (events_.now_ns() > disk_full_until_ns_) disk_free_ppm_ = kDiskFreePpm;
    if (strikes(WorldFault::kLowDisk)) fill_disk();
    // By another process, which waits for no turn of this one.
    if (strikes(WorldFault::kKillSwitch)) {
        if (core_ == nullptr) return raise_kill();
        takes_until_kill_ = random_.below(3);
    }
    if (core_ == nullptr) return;
    const bool is_raised = judge_->kills().highest() > KillLevel::kActive;
    if (is_raised && strikes(WorldFault::kKillCleared)) clear_kill();
    if (strikes(WorldFault::kProcessDeath)) return kill_process(true);
    if (strikes(WorldFault::kDeathInTurn)) return die_in_turn();
    if (strikes(WorldFault::kPowerLoss)) return lose_power();
    if (strikes(WorldFault::kCleanRestart)) {
        core_->request_stop();
        plan_io(events_.now_ns());
    }
}

// Under the floor of R18 for a while. Nothing fails by it.
void PlayingWorld::fill_disk() {
    disk_free_ppm_ = random_.below(kDiskFloorPpm);
    disk_full_until_ns_ = events_.now_ns() + random_.between(500, 8000) * kMs;
}

// ---- the end

// A venue that plays on has always said something that is still on its way: any moment in which
// all is well will do.
bool PlayingWorld::settle_if_well() {
    if (is_settled_ || events_.now_ns() < settle_from_ns_) return is_settled_;
    unsettled_ = judge_->unsettled();
    is_settled_ = unsettled_.empty();
    return is_settled_;
}

void PlayingWorld::settle() {
    if (settle_if_well()) return;
    if (events_.now_ns() > settle_by_ns_ || played_ > settings_.events + kSettleEventsMax) {
        judge_->violate("no rest after the faults: " + unsettled_ +
                        (failure_text_.empty() ? "" : "; last failure: " + failure_text_));
        return;
    }
    events_.plan(events_.now_ns() + kSettleEveryNs, EventKind::kSettle);
}

// P12: the journal of all lives makes itself again.
Failure PlayingWorld::replay(SimulationReport& report) {
    ReplayReport replayed;
    const std::string copy = settings_.directory + "/copy";
    const Failure failure = replay_run(settings_.directory, copy, replayed);
    if (!failure.is_ok()) judge_->violate("P12: " + failure.text);
    report.is_replayed = true;
    return ok();
}

void PlayingWorld::note(const char* what, std::uint64_t first, std::uint64_t second) noexcept {
    trace_[traced_++ % kTraceLines] = {played_, events_.now_ns(), what, first, second};
}

std::string PlayingWorld::trace() const {
    std::string text;
    const std::uint64_t from = traced_ > kTraceLines ? traced_ - kTraceLines : 0;
    for (std::uint64_t i = from; i < traced_; ++i) {
        const TraceLine& line = trace_[i % kTraceLines];
        text += "  " + std::to_string(line.event) + "  " +
                std::to_string(line.ts_ns / 1000 - 1'000'000) + " us  " + line.what + " " +
                std::to_string(line.first) + " " + std::to_string(line.second) + "\n";
    }
    return text;
}

void PlayingWorld::write_report(SimulationReport& report) {
    report.seed = settings_.seed;
    report.events = played_;
    report.hash = judge_->hash();
    report.faults = faults_.counts();
    report.starts = starts_;
    report.snapshot_starts = snapshot_starts_;
    report.codes = judge_->limits().codes();
    report.failed_starts = failed_starts_;
    report.orders = venue_.ledger().totals().orders;
    report.fills = venue_.ledger().totals().executions;
    report.unknowns_resolved = judge_->unknowns_resolved();
    report.records = judge_->records_read();
    report.violation = judge_->violation();
    report.failure = failure_text_;
    if (settings_.traces || judge_->is_violated()) report.trace = trace();
}

Failure simulate(const SimulationSettings& settings, SimulationReport& report) {
    report = {};
    PlayingWorld world(settings);
    Failure failure = world.open();
    return failure.is_ok() ? world.play(report) : failure;
}

}  // namespace gm
