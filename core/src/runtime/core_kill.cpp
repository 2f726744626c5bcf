// The core's part of the kill switch: at which level a life begins, and who may change it; and how
// the venue's books are accepted, which is signed for likewise.
#include <algorithm>
#include <cstring>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/runtime/core.hpp"
#include "gm/runtime/durable_file.hpp"

namespace gm {
namespace {

constexpr std::size_t kStartsMax = 1024;  // remembered: more than any setting asks for

// Appends now to the wall times of unclean starts in `path`, without those before the window; how
// many there are then. A file that cannot be read counts as none.
Failure count_start(const std::string& path, std::int64_t window_ns, std::size_t& count) {
    const std::int64_t now_ns = wall_ns();
    std::vector<std::uint8_t> bytes;
    std::vector<std::int64_t> starts;
    if (read_file(path, bytes).is_ok()) {
        starts.resize(std::min(bytes.size() / sizeof(std::int64_t), kStartsMax));
        std::memcpy(starts.data(), bytes.data(), starts.size() * sizeof(std::int64_t));
    }
    // A wall clock that was set back leaves starts of the future: they count.
    std::erase_if(starts, [&](std::int64_t start_ns) { return start_ns < now_ns - window_ns; });
    if (starts.size() == kStartsMax) starts.erase(starts.begin());
    starts.push_back(now_ns);
    count = starts.size();
    bytes.resize(starts.size() * sizeof(std::int64_t));
    std::memcpy(bytes.data(), starts.data(), bytes.size());
    return write_durably(path, bytes);
}

}  // namespace

// After the replay, before anything is sent: what this start itself says about the level.
Failure Core::judge_start() {
    kill_.meet(engine_);
    if (!settings_.reduces_because.empty()) {
        Failure written = kill_.words().write_text("gm run", settings_.reduces_because);
        if (!written.is_ok()) return written;
        kill_.words().raise(0, KillLevel::kReducing, KillCause::kLimits);
    }
    const bool is_unclean = report_.epoch > 1 && !report_.replay.is_clean;
    if (!is_unclean) return ok();
    if (settings_.halts_after_unclean) {
        kill_.words().raise(0, KillLevel::kHalted, KillCause::kRestart);
    }
    if (settings_.crash_loop_starts == 0) return ok();
    std::size_t starts = 0;
    Failure failure =
        count_start(endpoints_.run_dir + "/starts", settings_.crash_loop_window_ns, starts);
    if (failure.is_ok() && starts >= settings_.crash_loop_starts) {
        kill_.words().raise(0, KillLevel::kHalted, KillCause::kCrashLoop);
    }
    return failure;
}

// Right behind the epoch, journalled and latched before io starts: nothing was sent below it.
Failure Core::meet_kill() {
    Kill kill{};
    while (kill_.next_change(kill)) {  // bounded: each word once
        runner_.submit(make_slot(RecordType::kKill, Source::kIo, 0, engine_.now_ns(), kill));
        kill_.told(kill);
        consume_now();
    }
    if (!journal_.wait_synced(ring_.published())) return journal_.failure();
    kill_.latch_behind(0);
    return kill_.attend(0);
}

void Core::attend_kill() {
    Failure failure = kill_.attend(journal_.synced());  // tried again at the next turn
    note_journal_failure(JournalDuty::kLatch, failure.is_ok() ? std::string() : failure.text);
}

Failure Core::clear_kill(const ClearOrder& order) {
    const std::string refused = kill_.order_fall(order);
    if (!refused.empty()) return fail(Status::kBadArgument, refused);
    io_.wake();
    return ok();
}

Failure Core::accept_books(const BooksAccepted& accepted) {
    if (io_.accept_books(accepted)) return ok();
    return fail(Status::kBadArgument, "the acceptance before this one is not taken yet");
}

}  // namespace gm
