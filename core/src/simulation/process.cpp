// The engine's process in a world: its starts, its turns and its deaths.
#include <filesystem>
#include <fstream>
#include <utility>

#include "gm/runtime/kill_latch.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/snapshot_file.hpp"
#include "playing_world.hpp"

namespace gm {
namespace {

constexpr std::int64_t kMs = 1'000'000;

}  // namespace

void PlayingWorld::plan_start(std::int64_t within_ns) {
    events_.plan(events_.now_ns() + random_.between(1, within_ns), EventKind::kStart);
}

void PlayingWorld::start_engine() {
    damage_snapshot();
    network_.act_as(Party::kEngine);
    core_ = std::make_unique<Core>();
    Failure failure = core_->open(block_, core_settings_, zmq_, &network_);
    if (is_dead_in_turn_) return end_dead_turn();  // in the middle of recovery
    if (failure.is_ok()) failure = words_.open(endpoints_.kill_path);
    if (!failure.is_ok()) {
        failure_text_ = failure.text;
        ++failed_starts_;
        core_->abandon();
        core_.reset();
        if (++failed_in_a_row_ > kFailedStartsMax) {
            return judge_->violate("the engine does not start: " + failure.text);
        }
        return plan_start(200 * kMs);
    }
    failed_in_a_row_ = 0;
    ++starts_;
    const std::uint64_t restored = core_->report().snapshot.sequence;
    snapshot_starts_ += restored != 0 ? 1 : 0;
    if (restored != 0 && restored == torn_snapshot_) {
        judge_->violate("P12: it goes on from a snapshot that is torn");
    }
    judge_->on_start(*core_, words_);
    after_engine_turn();
    plan_io(events_.now_ns());
}

void PlayingWorld::plan_io(std::int64_t due_ns) {
    if (due_ns >= io_due_ns_) return;
    io_due_ns_ = due_ns;
    events_.plan(due_ns, EventKind::kEngineIo, 0, ++io_version_);
}

void PlayingWorld::turn_io() {
    io_due_ns_ = INT64_MAX;
    if (core_ == nullptr) return;
    if (core_->journal_ring().free() < kRingSlots / 2) turn_journal();
    network_.act_as(Party::kEngine);
    const bool goes_on = core_->turn_io(events_.now_ns(), engine_wall());
    if (is_dead_in_turn_) return end_dead_turn();
    after_engine_turn();
    if (!goes_on) return on_core_over();
    const long timeout_ms = network_.take_timeout_ms();
    plan_io(events_.now_ns() + std::max<std::int64_t>(timeout_ms * kMs, 2'000));
}

void PlayingWorld::turn_engine() {
    is_step_planned_ = false;
    if (core_ == nullptr || core_settings_.driver == Driver::kInline) return;
    network_.act_as(Party::kEngine);
    const std::size_t taken = core_->turn_engine(static_cast<std::size_t>(random_.between(1, 8)));
    after_engine_turn(taken > 0);
}

void PlayingWorld::turn_journal() {
    is_journal_planned_ = false;
    if (core_ == nullptr) return;
    (void)core_->turn_journal(events_.now_ns());
    if (is_dead_in_turn_) return end_dead_turn();
    after_engine_turn();
}

// What the other threads of the process see sooner or later. An engine thread that found nothing to
// do finds nothing until another one has turned.
void PlayingWorld::after_engine_turn(bool has_work) {
    judge_->look_at_engine();
    if (faults_.are_over()) (void)settle_if_well();
    const bool is_dirty = core_->synced_sequence() < core_->journal_ring().published();
    if (is_dirty && !is_journal_planned_) {
        is_journal_planned_ = true;
        events_.plan(events_.now_ns() + random_.between(kMs / 2, 10 * kMs), EventKind::kJournal);
    }
    if (core_settings_.driver == Driver::kThreaded && has_work && !is_step_planned_) {
        is_step_planned_ = true;
        const bool is_late = random_.hits(100'000) && !faults_.are_over();
        const bool is_slow = faults_.strikes(WorldFault::kSlowThread, random_);
        const std::int64_t late_ns = is_late ? 10 * kMs : kMs / 10;
        const std::int64_t lag_ns = is_slow ? 300 * kMs : late_ns;
        events_.plan(events_.now_ns() + random_.between(1'000, lag_ns), EventKind::kEngineStep);
    }
}

// Stopped as asked, or failed: the supervisor starts it again.
void PlayingWorld::on_core_over() {
    const Failure failure = core_->failure();
    if (!failure.is_ok()) failure_text_ = failure.text;
    note(failure.is_ok() ? "core stopped" : "core failed");
    close_core();
    plan_start(300 * kMs);
}

void PlayingWorld::close_core() {
    if (core_ == nullptr) return;
    network_.act_as(Party::kEngine);
    judge_->read_journal(core_->journal_ring().published());
    const bool has_failed = !core_->failure().is_ok();
    const std::uint64_t survives = has_failed ? core_->synced_sequence() : judge_->records_read();
    core_->close();
    core_.reset();
    words_.close();
    judge_->on_death(survives, true);
}

void PlayingWorld::kill_process(bool has_power) {
    network_.act_as(Party::kEngine);
    judge_->read_journal(core_->journal_ring().published());
    judge_->on_death(has_power ? judge_->records_read() : core_->synced_sequence(), has_power);
    core_->abandon();
    core_.reset();
    words_.close();
    plan_start(500 * kMs);
}

void PlayingWorld::die_in_turn() {
    operations_left_ = random_.between(1, 40);
}

// The rest of the turn is a ghost's: nothing of it leaves, and of its journal nothing stays.
void PlayingWorld::meet_operation(bool takes_feed) {
    if (takes_feed && takes_until_kill_ >= 0 && words_.is_open() && !is_dead_in_turn_) {
        if (takes_until_kill_ == 0) raise_kill();
        --takes_until_kill_;
    }
    if (operations_left_ < 0 || core_ == nullptr || is_dead_in_turn_) return;
    if (operations_left_-- > 0) return;
    std::error_code error;
    if (!std::filesystem::exists(endpoints_.ring_path, error)) return;
    keep_files();
    const bool has_ring = core_->journal_ring().capacity() > 0;
    published_at_death_ = has_ring ? core_->journal_ring().published() : 0;
    is_dead_in_turn_ = true;
    network_.mute(true);
    disk_.stand_still(true);
}

void PlayingWorld::meet_write() {
    const bool is_counted = writes_until_kill_ >= 0 && words_.is_open() && !is_dead_in_turn_;
    if (is_counted && writes_until_kill_-- == 0) raise_kill();
    meet_operation(false);
}

void PlayingWorld::end_dead_turn() {
    note("dies in a turn", published_at_death_);
    if (words_.is_open()) {  // else it had not come as far as to write anything new
        judge_->read_journal(published_at_death_);
        judge_->on_death(judge_->records_read(), true);
    }
    network_.act_as(Party::kEngine);
    core_->abandon();
    core_.reset();
    words_.close();
    put_files_back();
    network_.mute(false);
    disk_.stand_still(false);
    is_dead_in_turn_ = false;
    operations_left_ = -1;
    plan_start(500 * kMs);
}

// What lies on tmpfs is gone: the ring, the kill words, the status page.
void PlayingWorld::lose_power() {
    kill_process(false);
    disk_.lose_power();
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator(core_settings_.runtime_directory, error)) {
        std::filesystem::remove_all(entry.path(), error);
    }
}

void PlayingWorld::raise_kill() {
    constexpr KillLevel kLevels[] = {KillLevel::kReducing, KillLevel::kHalted, KillLevel::kKilled};
    const auto level = kLevels[random_.below(3)];
    const auto word = static_cast<std::size_t>(random_.below(KillAccount::kWords));
    note("kill switch", static_cast<std::uint64_t>(level), word);
    if (core_ != nullptr) {
        const std::uint64_t generation = words_.raise(word, level, KillCause::kOrdered);
        judge_->kills().raise(word, level, generation, false);
        return plan_io(events_.now_ns() + random_.between(1'000, 500'000));
    }
    if (starts_ == 0) return;
    const Failure failure =
        raise_without_engine(settings_.directory, endpoints_.kill_path, kill_instrument_of(word),
                             level, loaded_.header.installation);
    if (!failure.is_ok())
        return judge_->violate("P13: no raise without an engine: " + failure.text);
    judge_->kills().raise(word, level, 0, true);
}

// Two people sign for the latch that lies on the disk.
void PlayingWorld::clear_kill() {
    LatchReading found;
    if (!words_.is_open() || !read_latch(settings_.directory, found).is_ok()) return;
    const auto level = static_cast<std::uint8_t>(found.record.level());
    if (level == 0) return;
    ClearOrder order;
    order.latch_id = found.record.latch_id;
    order.sequence = found.record.sequence;
    order.level = static_cast<KillLevel>(level - 1);
    order.signatures_sha256[0] = 1;
    if (!core_->clear_kill(order).is_ok()) return;  // it was raised since
    note("kill cleared", level - 1U);
    judge_->kills().sign(order.level);
    // And somebody raises one while that fall is under way.
    if (faults_.has(WorldFault::kKillSwitch) && random_.hits(300'000)) {
        faults_.count(WorldFault::kKillSwitch);
        writes_until_kill_ = random_.below(4);
    }
    plan_io(events_.now_ns());
}

// What a disk makes of the newest snapshot while nobody looks.
void PlayingWorld::damage_snapshot() {
    torn_snapshot_ = 0;
    const auto all = list_snapshots(settings_.directory);
    if (all.empty()) return;
    std::error_code error;
    if (faults_.strikes(WorldFault::kLostSnapshot, random_)) {
        std::filesystem::remove(all[0], error);
        return;
    }
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(all[0], error));
    if (error || size < 2 || !faults_.strikes(WorldFault::kTornSnapshot, random_)) return;
    torn_snapshot_ = std::stoull(all[0].substr(all[0].rfind('.') + 1));
    const std::int64_t at = random_.below(size - 1);
    if (random_.hits(500'000)) {
        std::filesystem::resize_file(all[0], static_cast<std::uintmax_t>(at), error);
        return;
    }
    std::fstream file(all[0], std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 0x40));
}

// A process that is dead writes neither the ring nor the levels any more.
void PlayingWorld::keep_files() {
    const std::string paths[] = {endpoints_.ring_path, endpoints_.kill_path,
                                 settings_.directory + "/latch.a",
                                 settings_.directory + "/latch.b"};
    for (std::size_t i = 0; i < files_at_death_.size(); ++i) {
        KeptFile& kept = files_at_death_[i];
        kept.path = paths[i];
        kept.is_there = read_file(kept.path, kept.bytes).is_ok();
    }
}

void PlayingWorld::put_files_back() {
    for (const KeptFile& kept : files_at_death_) {
        std::error_code error;
        if (!kept.is_there) {
            std::filesystem::remove(kept.path, error);
            continue;
        }
        std::ofstream(kept.path, std::ios::binary)
            .write(reinterpret_cast<const char*>(kept.bytes.data()),
                   static_cast<std::streamsize>(kept.bytes.size()));
    }
}

}  // namespace gm
