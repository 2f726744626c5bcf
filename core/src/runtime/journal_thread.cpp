#include "gm/runtime/journal_thread.hpp"

#include <ctime>
#include <utility>

#include "gm/base/clock.hpp"

namespace gm {
namespace {

constexpr std::int64_t kPauseNs = 500'000;  // between two looks at an empty ring
constexpr std::int64_t kStatusEveryNs = 10'000'000;
constexpr std::int64_t kCallEveryNs = 1'000'000'000;

void sleep_ns(std::int64_t duration_ns) noexcept {
    const timespec duration{0, duration_ns};
    nanosleep(&duration, nullptr);
}

}  // namespace

Failure JournalThread::start(JournalRing& ring, SegmentWriter& segments, StatusPage& page, int cpu,
                             Calls calls) {
    ring_ = &ring;
    segments_ = &segments;
    page_ = &page;
    calls_ = std::move(calls);
    must_stop_.store(false, std::memory_order_release);
    drain_.emplace(ring, segments);
    return thread_.start("gm-journal", cpu, [this] { run(); });
}

void JournalThread::stop() noexcept {
    must_stop_.store(true, std::memory_order_release);
    thread_.join();
}

void JournalThread::run() {
    std::int64_t status_ns = 0;
    std::int64_t called_ns = 0;
    while (!must_stop_.load(std::memory_order_acquire) && !drain_->has_failed()) {
        const std::int64_t now_ns = monotonic_ns();
        if (drain_->turn(now_ns) == 0) sleep_ns(kPauseNs);
        if (now_ns - status_ns < kStatusEveryNs) continue;
        status_ns = now_ns;
        write_status();
        if (calls_.every_turn) calls_.every_turn();
        if (now_ns - called_ns < kCallEveryNs) continue;
        called_ns = now_ns;
        calls_.every_second();
    }
    if (!drain_->has_failed()) drain_->finish();
    write_status();
    calls_.every_second();
    if (drain_->has_failed()) calls_.on_failure();
}

bool JournalThread::wait_synced(std::uint64_t sequence) noexcept {
    while (drain_->synced_sequence() < sequence) {  // bounded by the disk, or by its failure
        if (drain_->has_failed()) return false;
        sleep_ns(kPauseNs / 5);
    }
    return true;
}

void JournalThread::write_status() noexcept {
    JournalStatus status{};
    status.published = ring_->published();
    status.drained = ring_->drained();
    status.synced = drain_->synced_sequence();
    status.blocks = segments_->blocks();
    status.sync_ns_max = static_cast<std::uint64_t>(drain_->sync_ns_max());
    status.failure_status =
        drain_->has_failed() ? static_cast<std::uint64_t>(drain_->failure().status) : 0;
    status.ring_capacity = ring_->capacity();
    status.ring_free = status.ring_capacity - (status.published - status.drained);
    page_->write_journal(status);
}

}  // namespace gm
