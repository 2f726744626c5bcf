#include "gm/runtime/retention.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/journal/compaction.hpp"
#include "gm/journal/segment_format.hpp"

namespace gm {
namespace {

constexpr std::int64_t kLookEveryNs = 1'000'000'000;
constexpr std::int64_t kHeldEveryNs = 5'000'000'000;  // where something is missing
constexpr std::int64_t kSleepNs = 100'000'000;
// After a block of 64 KiB: at most 130 MB a second are read, less than half a disk's.
constexpr std::int64_t kPauseNs = 500'000;
constexpr int kNice = 10;

std::uint64_t bytes_of(const std::string& path) {
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(path, error);
    return error ? 0 : bytes;
}

// Wall time of the last write.
std::int64_t written_ns(const std::string& path) {
    std::error_code error;
    const auto at = std::filesystem::last_write_time(path, error);
    if (error) return INT64_MAX;
    const auto since = std::chrono::file_clock::to_sys(at).time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace

void Retention::open(RetentionPlace place, const RetentionSettings& settings,
                     const Settings& engine, StatusPage& page) {
    place_ = std::move(place);
    settings_ = settings;
    engine_ = &engine;
    page_ = &page;
}

Failure Retention::start() {
    if (!settings_.is_on()) return ok();
    must_stop_.store(false, std::memory_order_relaxed);
    is_threaded_ = true;
    return thread_.start("gm-retention", -1, [this] { run(); });
}

void Retention::stop() noexcept {
    must_stop_.store(true, std::memory_order_relaxed);
    thread_.join();
    is_threaded_ = false;
}

void Retention::run() {
    // Behind everything else that wants the processor. Refused, it is no slower than the rest.
    (void)setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
    while (!must_stop_.load(std::memory_order_relaxed)) {
        const bool has_gone = turn(wall_ns());
        const bool is_held = status_.held_by != RetentionHold::kNothing;
        if (!has_gone) sleep(is_held ? kHeldEveryNs : kLookEveryNs);
    }
}

bool Retention::turn(std::int64_t wall_ns) {
    failure_.clear();
    const bool has_gone = look(wall_ns);
    if (!failure_.empty()) status_.held_by = RetentionHold::kFailure;
    std::memset(status_.failure, 0, sizeof status_.failure);
    std::memcpy(status_.failure, failure_.data(),
                std::min(failure_.size(), sizeof status_.failure - 1));
    page_->write_retention(status_);
    return has_gone;
}

bool Retention::look(std::int64_t wall_ns) {
    const std::string folder = journal_folder(place_.run_dir);
    std::vector<SegmentFile> segments;
    std::vector<SegmentFile> compacted;
    Failure failure = list_segments(folder, segments);
    if (failure.is_ok() && !segments.empty()) {
        failure = list_compacted(folder, segments[0].first_sequence, compacted);
    }
    if (!failure.is_ok()) {
        failure_ = failure.text;
        return false;
    }
    status_.held_by = RetentionHold::kNothing;
    status_.segments = segments.size();
    status_.first_sequence = segments.empty() ? 0 : segments[0].first_sequence;
    status_.bytes = bytes_of(folder + "/next.gmj");
    for (const SegmentFile& segment : segments) status_.bytes += bytes_of(segment.path);
    status_.compacted_segments = compacted.size();
    status_.compacted_bytes = 0;
    for (const SegmentFile& file : compacted) status_.compacted_bytes += bytes_of(file.path);
    if (segments.size() < 2) return false;
    const bool is_too_much = settings_.bytes_max != 0 && status_.bytes > settings_.bytes_max;
    const bool is_too_old =
        settings_.age_ns_max != 0 && written_ns(segments[0].path) < wall_ns - settings_.age_ns_max;
    if (!is_too_much && !is_too_old) return false;
    const std::uint64_t last_sequence = segments[1].first_sequence - 1;
    const std::uint64_t read = read_sequence_.load(std::memory_order_relaxed);
    if (settings_.waits_for_reader && read < last_sequence) {
        status_.held_by = RetentionHold::kRecorder;
        return false;
    }
    if (first_segment_needed(place_.run_dir, *engine_) <= segments[0].first_sequence) {
        status_.held_by = RetentionHold::kSnapshots;
        return false;
    }
    return let_go();
}

bool Retention::let_go() {
    CompactionReport report;
    const Failure failure =
        compact_oldest({place_.run_dir, place_.hook, [this] { return may_go_on(); }}, report);
    if (!failure.is_ok()) failure_ = failure.text;
    if (!report.is_done) return false;
    status_.segments -= 1;
    status_.bytes -= std::min(status_.bytes, report.bytes_removed);
    status_.first_sequence = report.last_sequence + 1;
    status_.compacted_segments += 1;
    return true;
}

bool Retention::may_go_on() noexcept {
    if (is_threaded_) {
        const timespec pause{0, kPauseNs};
        nanosleep(&pause, nullptr);
    }
    return !must_stop_.load(std::memory_order_relaxed);
}

void Retention::sleep(std::int64_t duration_ns) noexcept {
    const std::int64_t until_ns = monotonic_ns() + duration_ns;
    const timespec piece{0, kSleepNs};
    while (!must_stop_.load(std::memory_order_relaxed) && monotonic_ns() < until_ns) {
        nanosleep(&piece, nullptr);  // bounded by the duration
    }
}

}  // namespace gm
