// The ZeroMQ side of `gm venue`: one Venue, a feed (XPUB) and an order session (ROUTER).
//
// Lockstep (ARCHITECTURE §4): a step is one frame on one socket, never two in flight. The engine
// answers each with DONE, after the orders that the step produced; they are taken in before the
// next step. An engine may die at any moment: the venue waits for the next HELLO, sends again the
// replies after those that it names, answers queries, and when READY comes publishes the feed
// events that it has not consumed. An engine that is older than the newest one seen is refused, and
// so is every message of a peer that is not the newest.
// Free-running: the same matching core, paced by the wall clock, with heartbeats and no DONE; no
// equal bytes are promised. An engine that comes late may join where WELCOME says the feed is, and
// ask for the bars before that.
//
// One thread calls run(); any thread may call stop(). What a peer sends can waste the venue's time,
// never break it: bad frames are counted and dropped.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/runtime/frame.hpp"
#include "gm/runtime/socket.hpp"
#include "gm/runtime/zmq_table.hpp"
#include "gm/venue/venue.hpp"

namespace gm {

struct VenueServerSettings {
    std::string feed_endpoint;
    std::string orders_endpoint;
    std::array<std::uint8_t, 32> tape_id{};
    std::int64_t speed_permille = 0;  // 0: lockstep; 1000: a second of tape takes a second
    std::uint64_t history_rows = 0;   // free-running: of the tape, published before anybody came
    std::int64_t resend_after_ns = 100'000'000;  // lockstep: a feed frame whose DONE is this late
    std::int64_t heartbeat_ns = 200'000'000;     // free-running
    std::int64_t notice_ns = 1'000'000'000;      // free-running: the books, unasked
    std::int64_t linger_ns = 1'000'000'000;      // after END, for an engine that comes back
};

struct VenueServerCounters {
    std::uint64_t feed_frames = 0;
    std::uint64_t repeated_feed_frames = 0;
    std::uint64_t reply_frames = 0;
    std::uint64_t repeated_reply_frames = 0;
    std::uint64_t sessions = 0;  // HELLOs that were welcomed
    std::uint64_t refused_sessions = 0;
    std::uint64_t lost_sessions = 0;     // the peer could not be reached any more
    std::uint64_t foreign_messages = 0;  // of a peer that is not the newest
    std::uint64_t order_gaps = 0;        // DONEs whose count of orders was not ours
    std::uint64_t replayed_bars = 0;
    std::uint64_t frame_faults[kFrameFaults] = {};
};

class VenueServer {
 public:
    // Cold. Binds both sockets. Table, context and venue must outlive the server.
    Failure open(const ZmqTable& zmq, void* context, const VenueServerSettings& settings,
                 Venue& venue);

    // Serves until END is consumed or stop() is called; why it could not go on, otherwise.
    Failure run();
    // The same a look at a time, and its wait: for who brings a clock of his own. False: it is
    // over, and failure() says why if it could not go on.
    bool turn(std::int64_t now_ns);
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
    void stop() noexcept { is_stopped_.store(true, std::memory_order_relaxed); }

    // After run(): END was consumed (lockstep) or published (free-running).
    [[nodiscard]] bool is_finished() const noexcept { return is_finished_; }
    [[nodiscard]] const VenueServerCounters& counters() const noexcept { return counters_; }
    // After run(): the monotonic clock at each new order that came, in the order of the ledger. The
    // ledger itself knows the time of the tape alone.
    [[nodiscard]] const std::vector<std::int64_t>& arrivals_ns() const noexcept {
        return arrivals_ns_;
    }

 private:
    // The engine at the other end, from its HELLO on.
    struct Session {
        Peer peer{};
        std::uint32_t epoch = 0;
        std::uint32_t connection = 0;
        bool is_open = false;
        bool is_ready = false;
        std::uint64_t feed_sequence = 0;     // consumed; free-running: published to it
        std::uint64_t reply_sequence = 0;    // consumed; free-running: sent to it
        std::uint64_t welcome_sequence = 0;  // of the feed, as WELCOME said: replays end there
        std::uint64_t orders_received = 0;
    };
    enum class Step : std::uint8_t { kNone, kFeed, kReply };

    void advance(std::int64_t now_ns) noexcept;
    void advance_lockstep(std::int64_t now_ns) noexcept;
    void advance_free(std::int64_t now_ns) noexcept;
    void catch_up() noexcept;
    [[nodiscard]] bool hears_feed() const noexcept { return session_.is_ready && has_subscriber_; }
    void begin_step(Step step, const Slot& slot, std::int64_t now_ns) noexcept;
    void notice_end(std::int64_t now_ns) noexcept;
    void play_history() noexcept;
    [[nodiscard]] std::int64_t due_ns() const noexcept;
    [[nodiscard]] bool is_due(std::int64_t now_ns) const noexcept;
    [[nodiscard]] bool is_behind() const noexcept;
    [[nodiscard]] long timeout_ms(std::int64_t now_ns) const noexcept;

    bool publish(const Slot& slot) noexcept;  // false: a subscriber has no room
    void send_reply(const Slot& slot) noexcept;
    void send_to_peer(const Peer& peer, const Slot& slot) noexcept;
    void send_bytes(const Peer& peer, std::span<const std::uint8_t> frame) noexcept;
    void send_heartbeat(std::int64_t now_ns) noexcept;
    void send_notice(std::int64_t now_ns) noexcept;

    [[nodiscard]] bool read_subscriptions() noexcept;
    [[nodiscard]] bool read_message() noexcept;
    void take_record(const Peer& peer, const Slot& slot) noexcept;
    void take_hello(const Peer& peer, const Hello& hello) noexcept;
    void take_ready(const Ready& ready) noexcept;
    void take_done(const Done& done) noexcept;
    void take_order(bool is_current, const Slot& slot) noexcept;
    void take_feed_replay(const FeedReplay& request) noexcept;
    void welcome(const Peer& peer, RejectReason refused) noexcept;
    void advance_to(std::uint64_t feed_sequence, std::uint64_t reply_sequence) noexcept;

    const ZmqTable* zmq_ = nullptr;
    Venue* venue_ = nullptr;
    VenueServerSettings settings_;
    Socket feed_;
    Socket orders_;
    std::vector<std::uint8_t> buffer_;
    std::vector<BarClose> page_;  // of a feed replay
    std::vector<std::uint8_t> page_frame_;
    Session session_;
    Step step_ = Step::kNone;
    std::uint64_t step_sequence_ = 0;
    std::int64_t step_since_ns_ = 0;
    bool has_subscriber_ = false;
    bool is_feed_full_ = false;  // the subscriber has no room: later
    bool has_failed_ = false;    // a socket is broken
    bool has_started_ = false;   // free-running: the clock of the tape runs
    bool is_finished_ = false;
    std::int64_t started_ns_ = 0;
    std::int64_t started_ts_ns_ = 0;
    std::int64_t heartbeat_due_ns_ = 0;
    std::int64_t notice_due_ns_ = 0;
    std::int64_t finish_at_ns_ = INT64_MAX;
    VenueServerCounters counters_;
    std::vector<std::int64_t> arrivals_ns_;
    Failure failure_;
    std::atomic<bool> is_stopped_{false};  // relaxed: it orders nothing but itself
};

}  // namespace gm
