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

void JournalThread::open(JournalRing& ring, SegmentWriter& segments, StatusPage& page,
                         Calls calls) {
    ring_ = &ring;
    segments_ = &segments;
    page_ = &page;
    calls_ = std::move(calls);
    must_stop_.store(false, std::memory_order_release);
    drain_.emplace(ring, segments);
    is_stepped_ = true;
    is_over_ = false;
}

Failure JournalThread::start(JournalRing& ring, SegmentWriter& segments, StatusPage& page, int cpu,
                             Calls calls) {
    open(ring, segments, page, std::move(calls));
    is_stepped_ = false;
    return thread_.start("gm-journal", cpu, [this] { run(); });
}

void JournalThread::stop() noexcept {
    must_stop_.store(true, std::memory_order_release);
    thread_.join();
    if (is_stepped_) finish();
}

void JournalThread::run() {
    while (!must_stop_.load(std::memory_order_acquire) && !drain_->has_failed()) {
        if (turn(monotonic_ns()) == 0) sleep_ns(kPauseNs);
    }
    finish();
}

std::size_t JournalThread::turn(std::int64_t now_ns) {
    if (is_over_) return 0;
    const std::size_t taken = drain_->turn(now_ns);
    if (is_stepped_ && drain_->has_failed()) finish();
    if (is_over_ || now_ns - status_ns_ < kStatusEveryNs) return taken;
    status_ns_ = now_ns;
    write_status();
    if (calls_.every_turn) calls_.every_turn();
    if (now_ns - called_ns_ < kCallEveryNs) return taken;
    called_ns_ = now_ns;
    calls_.every_second();
    return taken;
}

void JournalThread::finish() {
    if (is_over_ || !drain_) return;
    is_over_ = true;
    if (!drain_->has_failed()) drain_->finish();
    write_status();
    calls_.every_second();
    if (drain_->has_failed()) calls_.on_failure();
}

bool JournalThread::wait_synced(std::uint64_t sequence) noexcept {
    if (is_stepped_ && drain_->synced_sequence() < sequence) {
        drain_->flush();
        if (drain_->has_failed()) finish();
    }
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
