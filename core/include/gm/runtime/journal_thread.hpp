// The thread that brings the journal ring to disk, and the way to wait for it.
//
// Its first failed write or sync halts the engine: what cannot be written down is not decided.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "gm/base/status.hpp"
#include "gm/journal/drain.hpp"
#include "gm/journal/journal_ring.hpp"
#include "gm/journal/segments.hpp"
#include "gm/runtime/status_page.hpp"
#include "gm/runtime/thread.hpp"

namespace gm {

class JournalThread {
 public:
    JournalThread() = default;
    ~JournalThread() { stop(); }
    JournalThread(const JournalThread&) = delete;
    JournalThread& operator=(const JournalThread&) = delete;

    struct Calls {                           // on this thread
        std::function<void()> on_failure;    // once
        std::function<void()> every_second;  // and once at the end, however short the run
        std::function<void()> every_turn;    // some 10 ms apart; may be empty
    };

    // Everything handed in must outlive the thread.
    Failure start(JournalRing& ring, SegmentWriter& segments, StatusPage& page, int cpu,
                  Calls calls);
    // The same without a thread: whoever calls turn() is the journal thread.
    void open(JournalRing& ring, SegmentWriter& segments, StatusPage& page, Calls calls);
    // One look at the ring. How many records it took.
    std::size_t turn(std::int64_t now_ns);
    // Stepped: the process dies here.
    void abandon() noexcept { is_over_ = true; }
    // Drains and syncs what waits, then ends the thread. The engine must have stopped.
    void stop() noexcept;

    // Any thread. Waits until the journal is on the disk up to `sequence`. False: it failed.
    [[nodiscard]] bool wait_synced(std::uint64_t sequence) noexcept;
    [[nodiscard]] std::uint64_t synced() const noexcept {
        return drain_ ? drain_->synced_sequence() : 0;
    }
    [[nodiscard]] bool has_failed() const noexcept { return drain_ && drain_->has_failed(); }
    // Any thread that has seen has_failed().
    [[nodiscard]] Failure failure() const { return drain_ ? drain_->failure() : ok(); }

 private:
    void run();
    void finish();
    void write_status() noexcept;

    JournalRing* ring_ = nullptr;
    SegmentWriter* segments_ = nullptr;
    StatusPage* page_ = nullptr;
    std::optional<JournalDrain> drain_;
    Calls calls_;
    std::int64_t status_ns_ = 0;
    std::int64_t called_ns_ = 0;
    bool is_stepped_ = false;
    bool is_over_ = false;
    std::atomic<bool> must_stop_{false};
    Thread thread_;
};

}  // namespace gm
