// The io thread: every ZeroMQ socket of the engine, and the order in which things happen on them.
//
// Each wake-up serves the order ring to empty, the session, replies and feed (at most 64 frames),
// the kill words, control, at most 16 trader messages, the drop copy, then waits in zmq_poll; it
// never spins on sockets. In lockstep every frame is a step of its own: submit, wait until the
// engine has consumed it, empty the order ring, DONE. Inline and threaded differ only in who steps.
// Free-running, an engine that has seen nothing live and is not warm joins where the feed is, and
// takes bars from before it first (gm/runtime/backfill.hpp).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gm/base/counters.hpp"
#include "gm/base/status.hpp"
#include "gm/runtime/backfill.hpp"
#include "gm/runtime/engine_clock.hpp"
#include "gm/runtime/engine_runner.hpp"
#include "gm/runtime/headroom.hpp"
#include "gm/runtime/journal_thread.hpp"
#include "gm/runtime/kill_switch.hpp"
#include "gm/runtime/one_slot.hpp"
#include "gm/runtime/service_ports.hpp"
#include "gm/runtime/status_page.hpp"
#include "gm/runtime/venue_session.hpp"

namespace gm {

// What io works with; all of it outlives the loop.
struct IoParts {
    const ZmqTable* zmq = nullptr;
    void* context = nullptr;
    EngineRunner* runner = nullptr;
    JournalThread* journal_thread = nullptr;
    JournalRing* journal = nullptr;
    SpscRing<Slot>* orders = nullptr;
    SpscRing<Slot>* drop_copy = nullptr;
    StatusPage* page = nullptr;
    KillSwitch* kill = nullptr;
};

struct IoSettings {
    Endpoints endpoints;
    SessionSettings session;
    BackfillSettings backfill;
    std::int64_t last_ts_ns = 0;  // engine time at the end of recovery
    bool has_ended = false;       // END is in the journal
    bool is_threaded = false;
    std::int64_t stop_within_ns = 2'000'000'000;
    // Kill campaigns: _exit(137) once so many inputs were stepped, before their orders leave.
    std::uint64_t die_after_inputs = 0;
    std::size_t order_slots = 0;  // capacity of the order ring
    std::int64_t disk_floor_ppm = kDiskFloorPpm;
    double ns_per_tick = 0.0;  // 0: measured by open(), which takes 20 ms
};

class IoLoop {
 public:
    IoLoop() = default;
    ~IoLoop();
    IoLoop(const IoLoop&) = delete;
    IoLoop& operator=(const IoLoop&) = delete;

    Failure open(const IoParts& parts, const IoSettings& settings);
    // Before run(). See Backfill::add_files().
    void add_backfill_files(std::vector<BarClose> bars) { backfill_.add_files(std::move(bars)); }
    void run();  // the io thread's body
    // The same a wake-up at a time, and its wait: for who brings clocks of his own. False: it is
    // over, and what was open is closed.
    bool turn(std::int64_t now_ns, std::int64_t wall_ns);
    // Without a run(): a context cannot end while sockets are open.
    void close() noexcept;

    // Any thread.
    void request_stop() noexcept;
    void wake() const noexcept;  // out of a wait
    // Any thread. A command about models, an input of the next wake-up. False: the one before it
    // was not taken yet.
    [[nodiscard]] bool command_model(const ModelCommand& command) noexcept;
    [[nodiscard]] bool is_model_command_open() const noexcept { return model_command_.is_full(); }
    // Likewise: the venue's books are accepted.
    [[nodiscard]] bool accept_books(const BooksAccepted& accepted) noexcept;
    [[nodiscard]] Phase phase() const noexcept { return phase_.load(std::memory_order_acquire); }
    [[nodiscard]] bool is_end_consumed() const noexcept {
        return is_end_consumed_.load(std::memory_order_acquire);
    }
    [[nodiscard]] Failure failure() const;
    // Any thread. What is left of the disk; looked at on the next wake-up.
    void set_disk_free(std::int64_t ppm) noexcept {
        disk_free_ppm_.store(ppm, std::memory_order_relaxed);  // a number of its own
    }
    // One thread at a time: percentiles of the stages, for the status page.
    void write_stages() noexcept;

 private:
    using Read = FrameUse (VenueSession::*)(Frame&, std::size_t&, std::int64_t) noexcept;

    static constexpr int kFramesMax = 64;     // of one socket before the other has its turn
    static constexpr int kBackfillMax = 512;  // bars handed to the engine before the rest
    static constexpr std::size_t kCommandsMax = 16;
    static constexpr std::size_t kDropCopyMax = 256;

    void serve();
    void keep_connected();
    void judge_silence();
    void announce();
    void tell_end();
    bool receive(Read read);
    void submit_frame(const Frame& frame, std::size_t first_new);
    void serve_feed_first();
    void submit(const Slot& input);
    void submit_event(RecordType type, std::uint32_t reason);
    void begin_backfill();
    void advance_backfill();
    void settle();
    void complete_step();
    bool flush_orders();
    void on_lost();
    void submit_loss();
    void fire_timer();
    void serve_control();
    template <typename Order>
    void serve_order(RecordType type, OneSlot<Order>& slot);
    void serve_kill();
    void serve_headroom();
    [[nodiscard]] bool submit_stopped();
    void take_unsent(const Slot& slot) noexcept;
    [[nodiscard]] bool may_fall();
    void take_ids_wanted(const IdsWanted& wanted) noexcept;
    void serve_ids();
    void take_notice(const Frame& frame);
    void advance_stop();
    void fail_with(Failure failure);
    void set_phase(Phase phase) noexcept;
    void update_phase() noexcept;
    void write_status(bool is_forced);
    void wait();
    [[nodiscard]] long timeout_ms();
    [[nodiscard]] std::string status_json() const;

    IoParts parts_;
    IoSettings settings_;
    VenueSession session_;
    Backfill backfill_;
    ServicePorts ports_;
    EngineClock clock_;
    double ns_per_tick_ = 1.0;
    int wake_event_ = -1;  // an eventfd: request_stop() ends a wait in zmq_poll

    bool is_announced_ = false;  // kConnected was submitted for this connection
    bool owes_done_ = false;
    bool owes_loss_ = false;    // kDisconnected, put off because END was consumed
    bool is_end_told_ = false;  // the venue knows, or is not there to be told
    LossReason loss_reason_ = LossReason::kNone;
    bool end_submitted_ = false;  // END was submitted, its step is not complete
    bool is_stop_submitted_ = false;
    bool is_feed_alone_ = false;  // the last wait ended with the feed and nothing else
    bool has_more_ = false;       // a limit ended the reading, or the engine prepares: do not wait
    bool is_finished_ = false;
    std::int64_t now_ns_ = 0;  // monotonic, of this wake-up
    std::int64_t wall_ns_ = 0;
    std::int64_t stop_by_ns_ = INT64_MAX;
    std::int64_t timer_ns_ = 0;
    std::int64_t status_ns_ = 0;
    std::int64_t ended_ns_ = 0;                     // when END was known to be consumed
    std::int64_t unanswered_since_ns_ = INT64_MAX;  // questions about orders, free-running
    // Orders that the kill switch stopped, until the engine has been told. Each is open there.
    std::array<OrderStopped, kOpenOrdersMax> stopped_{};
    std::size_t stopped_count_ = 0;
    IdsWanted ids_wanted_{};
    std::uint64_t ids_position_ = 0;  // the journal's, behind the wish for them
    bool owes_ids_ = false;
    HeadroomWatch headroom_;
    IoStatus status_{};
    Histogram decode_ticks_;
    Histogram encode_ticks_;

    std::atomic<Phase> phase_{Phase::kStarting};
    std::atomic<bool> is_end_consumed_{false};
    std::atomic<bool> must_stop_{false};
    std::atomic<std::int64_t> disk_free_ppm_{kWholePpm};
    OneSlot<ModelCommand> model_command_;
    OneSlot<BooksAccepted> books_accepted_;
    mutable std::mutex failure_mutex_;  // cold: taken once to write, then by readers
    Failure failure_;
};

}  // namespace gm
