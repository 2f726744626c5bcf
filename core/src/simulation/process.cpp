// The engine's process in a world: its starts, its turns and its deaths.
#include <filesystem>
#include <fstream>
#include <utility>

#include "gm/runtime/replay.hpp"
#include "playing_world.hpp"

namespace gm {
namespace {

constexpr std::int64_t kMs = 1'000'000;

}  // namespace

void PlayingWorld::plan_start(std::int64_t within_ns) {
    events_.plan(events_.now_ns() + random_.between(1, within_ns), EventKind::kStart);
}

void PlayingWorld::start_engine() {
    network_.act_as(Party::kEngine);
    core_ = std::make_unique<Core>();
    Failure failure = core_->open(settings_.settings_block, core_settings_, zmq_, &network_);
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
    (void)core_->turn_engine(static_cast<std::size_t>(random_.between(1, 8)));
    after_engine_turn();
}

void PlayingWorld::turn_journal() {
    is_journal_planned_ = false;
    if (core_ == nullptr) return;
    (void)core_->turn_journal(events_.now_ns());
    if (is_dead_in_turn_) return end_dead_turn();
    after_engine_turn();
}

// What the other threads of the process see sooner or later.
void PlayingWorld::after_engine_turn() {
    judge_->look_at_engine();
    const bool is_dirty = core_->synced_sequence() < core_->journal_ring().published();
    if (is_dirty && !is_journal_planned_) {
        is_journal_planned_ = true;
        events_.plan(events_.now_ns() + random_.between(kMs / 2, 10 * kMs), EventKind::kJournal);
    }
    if (core_settings_.driver == Driver::kThreaded && !is_step_planned_) {
        is_step_planned_ = true;
        const std::int64_t lag_ns = random_.hits(100'000) ? lag_ns_max_ : kMs / 10;
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
    judge_->on_death(survives);
}

void PlayingWorld::kill_process() {
    network_.act_as(Party::kEngine);
    judge_->read_journal(core_->journal_ring().published());
    judge_->on_death(judge_->records_read());
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
    if (takes_feed && takes_until_kill_ >= 0 && words_.is_open()) {
        if (takes_until_kill_ == 0) raise_kill();
        --takes_until_kill_;
    }
    if (operations_left_ < 0 || core_ == nullptr || is_dead_in_turn_) return;
    if (operations_left_-- > 0) return;
    if (!read_file(endpoints_.ring_path, ring_at_death_).is_ok()) return;
    const bool has_ring = core_->journal_ring().capacity() > 0;
    published_at_death_ = has_ring ? core_->journal_ring().published() : 0;
    is_dead_in_turn_ = true;
    network_.mute(true);
    disk_.stand_still(true);
}

void PlayingWorld::end_dead_turn() {
    note("dies in a turn", published_at_death_);
    if (words_.is_open()) {  // else it had not come as far as to write anything new
        judge_->read_journal(published_at_death_);
        judge_->on_death(judge_->records_read());
    }
    network_.act_as(Party::kEngine);
    core_->abandon();
    core_.reset();
    words_.close();
    std::ofstream(endpoints_.ring_path, std::ios::binary)
        .write(reinterpret_cast<const char*>(ring_at_death_.data()),
               static_cast<std::streamsize>(ring_at_death_.size()));
    network_.mute(false);
    disk_.stand_still(false);
    is_dead_in_turn_ = false;
    operations_left_ = -1;
    plan_start(500 * kMs);
}

// What lies on tmpfs is gone: the ring, the kill words, the status page.
void PlayingWorld::lose_power() {
    const std::uint64_t synced = core_->synced_sequence();
    kill_process();
    judge_->on_death(synced);
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
    note("kill switch", static_cast<std::uint64_t>(level));
    words_.raise(static_cast<std::size_t>(random_.below(2)), level, KillCause::kOrdered);
    plan_io(events_.now_ns() + random_.between(1'000, 500'000));
}

}  // namespace gm
