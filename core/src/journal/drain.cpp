// Write first, then pop.
#include "gm/journal/drain.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "gm/base/clock.hpp"

namespace gm {

Failure drain_ring_into_segments(JournalRing& ring, SegmentWriter& segments, DrainReport& report) {
    report = {};
    report.ring_was_new = ring.is_new();
    Failure failure = ring.join(segments.journal_id(), segments.last_sequence());
    if (!failure.is_ok()) return failure;
    for (;;) {  // bounded: nobody appends, and each pass pops
        const std::span<const Slot> waiting = ring.front();
        if (waiting.empty()) break;
        // join() has made sure that the segments are not behind what was drained before.
        const std::uint64_t known = segments.last_sequence() - ring.drained();
        const std::size_t duplicates = std::min<std::uint64_t>(known, waiting.size());
        failure = segments.append(waiting.subspan(duplicates));
        if (!failure.is_ok()) return failure;
        report.duplicates += duplicates;
        report.drained += waiting.size() - duplicates;
        ring.pop(waiting.size());
    }
    return segments.sync();
}

std::size_t JournalDrain::take() {
    std::size_t taken = 0;
    const std::size_t most = ring_.capacity();
    while (taken < most && failure_.is_ok()) {  // bounded by one ring full
        std::span<const Slot> waiting = ring_.front();
        if (waiting.empty()) break;
        // A block at once, so that room comes back to the engine in pieces.
        waiting = waiting.first(std::min(waiting.size(), kBlockSlots));
#ifdef GM_MUTANT_P2  // loses what a kill between the two leaves in neither
        ring_.pop(waiting.size());
        keep(segments_.append(waiting));
#else
        keep(segments_.append(waiting));
        if (failure_.is_ok()) ring_.pop(waiting.size());
#endif
        taken += waiting.size();
    }
    return taken;
}

std::size_t JournalDrain::turn(std::int64_t now_ns) {
    if (!failure_.is_ok()) return 0;
    const std::size_t taken = take();
    const std::uint64_t unsynced = segments_.last_sequence() - segments_.synced_sequence();
    const bool is_due = now_ns - last_sync_ns_ >= sync_interval_ns_ || unsynced >= kUnsyncedMax;
    if (failure_.is_ok() && is_due) {
        last_sync_ns_ = now_ns;
        sync();
    }
    return taken;
}

void JournalDrain::flush() {
    while (failure_.is_ok() && take() != 0) {  // bounded: nobody appends meanwhile
    }
    if (failure_.is_ok()) sync();
}

void JournalDrain::finish() {
    while (failure_.is_ok() && take() != 0) {  // bounded: the engine has stopped
    }
    if (failure_.is_ok()) keep(segments_.close());
    synced_sequence_.store(segments_.synced_sequence(), std::memory_order_relaxed);
}

void JournalDrain::sync() {
    const std::int64_t begin_ns = monotonic_ns();
    keep(segments_.sync());
    const std::int64_t sync_ns = monotonic_ns() - begin_ns;
    synced_sequence_.store(segments_.synced_sequence(), std::memory_order_relaxed);
    if (sync_ns > sync_ns_max_.load(std::memory_order_relaxed)) {
        sync_ns_max_.store(sync_ns, std::memory_order_relaxed);
    }
}

void JournalDrain::keep(Failure failure) {
    if (failure.is_ok()) return;
    failure_ = std::move(failure);
    has_failed_.store(true, std::memory_order_release);  // after the text that it announces
}

}  // namespace gm
