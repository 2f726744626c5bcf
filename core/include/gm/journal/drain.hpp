// From the ring into the segments: the journal thread's work, and recovery's first step.
//
// A record leaves the ring only after it was written to a segment, so a kill at any point leaves it
// in at least one of the two; recovery drops those that are in both by their sequence.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gm/base/status.hpp"
#include "gm/journal/journal_ring.hpp"
#include "gm/journal/segments.hpp"

namespace gm {

struct DrainReport {
    std::uint64_t drained = 0;     // records that were only in the ring
    std::uint64_t duplicates = 0;  // records that were in both
    bool ring_was_new = false;     // with an old journal: the ring was lost, as by loss of power
};

// Recovery, before there are threads: joins the two, writes what only the ring has, syncs.
Failure drain_ring_into_segments(JournalRing& ring, SegmentWriter& segments, DrainReport& report);

inline constexpr std::int64_t kSyncIntervalNs = 10'000'000;  // SAFETY: at most 10 ms are at risk

class JournalDrain {
 public:
    // Both must outlive this object and have been joined by drain_ring_into_segments.
    JournalDrain(JournalRing& ring, SegmentWriter& segments,
                 std::int64_t sync_interval_ns = kSyncIntervalNs) noexcept
        : ring_(ring),
          segments_(segments),
          sync_interval_ns_(sync_interval_ns),
          synced_sequence_(segments.synced_sequence()) {}

    // Journal thread: takes what waits, at most one ring full, and syncs when the interval is
    // over. Answers how many records it took: 0 is a reason to sleep a little. `now_ns` is
    // monotonic.
    std::size_t turn(std::int64_t now_ns);
    // Journal thread: everything that waits, synced, whatever the interval.
    void flush();
    // Journal thread, last act: everything that waits, synced, and the anchor durable.
    void finish();

    // Any thread. Set by the first failed write or sync and never cleared: the engine must halt.
    [[nodiscard]] bool has_failed() const noexcept {
        return has_failed_.load(std::memory_order_acquire);  // pairs with the release in keep()
    }
    // Journal thread, or any thread that has seen has_failed().
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

    // Any thread, for metrics.
    [[nodiscard]] std::uint64_t synced_sequence() const noexcept {
        return synced_sequence_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::int64_t sync_ns_max() const noexcept {
        return sync_ns_max_.load(std::memory_order_relaxed);
    }

 private:
    std::size_t take();
    void sync();
    void keep(Failure failure);

    JournalRing& ring_;
    SegmentWriter& segments_;
    std::int64_t sync_interval_ns_;
    std::int64_t last_sync_ns_ = 0;
    Failure failure_;
    std::atomic<bool> has_failed_{false};
    std::atomic<std::uint64_t> synced_sequence_;
    std::atomic<std::int64_t> sync_ns_max_{0};
};

}  // namespace gm
