// The engine's side of the two sockets to a venue: feed (SUB) and order session (DEALER).
//
// A connection is HELLO -> WELCOME -> replies sent again -> queries -> READY. When the venue does
// not take a message, libzmq reports the peer gone, a sequence number is missing or an answer does
// not come, the connection is lost: its socket is closed, which drops what it had queued, and a
// new socket begins with HELLO under the next connection number. Nothing is ever sent twice: an
// order that carries another connection number than the present one is dropped here.
// io thread only. No clock: the caller hands in monotonic time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/runtime/endpoints.hpp"
#include "gm/runtime/frame.hpp"
#include "gm/runtime/kill_words.hpp"
#include "gm/runtime/socket.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

enum class SessionPhase : std::uint8_t {
    kClosed = 0,   // until the next attempt
    kHello = 1,    // socket open, HELLO not taken yet: the venue may not be there
    kWelcome = 2,  // HELLO sent
    kReplies = 3,  // the venue sends again what was not consumed
    kQueries = 4,  // the engine asks for the fate of each open order
    kReady = 5,    // READY sent: the feed runs
};

// Why a connection was lost. Payload `reason` of kDisconnected.
enum class LossReason : std::uint32_t {
    kNone = 0,
    kSendRefused = 1,  // the venue takes no message
    kPeerGone = 2,     // libzmq: disconnected, or no heartbeat
    kReplyGap = 3,
    kFeedGap = 4,
    kSilence = 5,
    kWelcomeLate = 6,
    kBadFrame = 7,  // on the order session; a bad feed frame is counted and dropped
    kReconcileLate = 8,
    kEngineGap = 9,  // the engine saw a gap that io did not
};

struct SessionSettings {
    const KillWords* kill_words = nullptr;  // null: nobody kills
    std::uint64_t symbol_hash = 0;          // of the engine's instrument 0
    std::uint32_t epoch = 0;
    std::uint64_t last_feed_sequence = 0;  // consumed in former lives
    std::uint64_t last_reply_sequence = 0;
    std::array<std::uint8_t, 32> tape_id{};  // zero: the journal knows none yet
    std::int64_t reopen_after_ns = 10'000'000;
    std::int64_t welcome_within_ns = 2'000'000'000;
    std::int64_t reconcile_within_ns = 10'000'000'000;
    std::int64_t silence_ns_max = 2'000'000'000;   // free-running, once a heartbeat was seen
    std::int64_t reply_within_ns = 1'000'000'000;  // of the heartbeat that knows of it
};

// What receive_feed() or receive_reply() found.
enum class FrameUse : std::uint8_t {
    kNothing = 0,
    kRecords = 1,   // frame.slot(i) for i from `first_new`: to be stepped
    kRepeated = 2,  // consumed before; in lockstep it is answered with DONE all the same
    kIgnored = 3,   // handshake, heartbeat, bad frame: read on
    kLost = 4,      // the connection is gone
    kReplayed = 5,  // bars of a feed replay, or its end
    kNotice = 6,    // the venue's books, outside the numbers of the replies
};

struct SessionCounters {
    std::uint64_t feed_frames = 0;
    std::uint64_t reply_frames = 0;
    std::uint64_t repeated_records = 0;
    std::uint64_t sequence_gaps = 0;
    std::uint64_t reconnects = 0;
    std::uint64_t orders_sent = 0;
    std::uint64_t orders_dropped = 0;
    std::uint64_t orders_stopped = 0;  // by the kill switch
    std::uint64_t frame_faults[kFrameFaults] = {};
};

class VenueSession {
 public:
    VenueSession() = default;

    // Cold. Subscribes to the feed; the order session opens with the first advance(). Table and
    // context must outlive the session.
    Failure open(const ZmqTable& zmq, void* context, const Endpoints& endpoints,
                 const SessionSettings& settings);
    // Closes both sockets. What was handed to libzmq may still leave within `linger_ms`.
    void close(int linger_ms) noexcept;

    // Opens, sends HELLO, notices what libzmq and the clock say about the connection. False: the
    // connection was lost just now.
    [[nodiscard]] bool advance(std::int64_t now_ns) noexcept;

    // Read at most one frame.
    [[nodiscard]] FrameUse receive_feed(Frame& frame, std::size_t& first_new,
                                        std::int64_t now_ns) noexcept;
    [[nodiscard]] FrameUse receive_reply(Frame& frame, std::size_t& first_new,
                                         std::int64_t now_ns) noexcept;

    // All replies that the venue had were taken: io tells the engine kConnected, once.
    [[nodiscard]] bool must_announce() const noexcept {
        return phase_ == SessionPhase::kReplies && last_reply_sequence_ >= replies_due_;
    }
    void announced(std::int64_t now_ns) noexcept;

    // For an engine that has seen nothing live: the feed begins where WELCOME says that it is.
    void join_feed() noexcept;
    // The venue's time then: a bar that ended by it is not live any more.
    [[nodiscard]] std::int64_t welcome_ts_ns() const noexcept { return welcome_ts_ns_; }
    // False: the connection was lost.
    [[nodiscard]] bool request_replay(const FeedReplay& request) noexcept;

    // NewOrder, CancelOrder, QueryOrder or Ready of the engine. False: the connection was lost. A
    // NewOrder above the level of the kill switch is not sent, and was_stopped() says so.
    [[nodiscard]] bool send(const Slot& slot) noexcept;
    // Of the last send(). The order is nowhere: the engine must hear of it.
    [[nodiscard]] bool was_stopped() const noexcept { return was_stopped_; }
    [[nodiscard]] bool send_done() noexcept;
    void lose(LossReason reason) noexcept;

    // Not ok: the venue and this journal do not belong together. For good.
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
    [[nodiscard]] SessionPhase phase() const noexcept { return phase_; }
    [[nodiscard]] bool is_announced() const noexcept { return phase_ >= SessionPhase::kQueries; }
    [[nodiscard]] bool is_lockstep() const noexcept { return is_lockstep_; }
    [[nodiscard]] LossReason last_loss() const noexcept { return last_loss_; }
    [[nodiscard]] std::uint32_t connection() const noexcept { return connection_; }
    [[nodiscard]] std::uint64_t last_feed_sequence() const noexcept { return last_feed_sequence_; }
    [[nodiscard]] std::uint64_t last_reply_sequence() const noexcept {
        return last_reply_sequence_;
    }
    [[nodiscard]] const std::array<std::uint8_t, 32>& tape_id() const noexcept { return tape_id_; }
    [[nodiscard]] const SessionCounters& counters() const noexcept { return counters_; }

    // For poll_sockets(): feed, order session, its monitor. A closed socket waits for nothing.
    static constexpr std::size_t kPollItems = 3;
    static constexpr std::size_t kFeedItem = 0;
    [[nodiscard]] std::array<ZmqPollItem, kPollItems> poll_items() const noexcept;

 private:
    [[nodiscard]] bool open_connection(std::int64_t now_ns) noexcept;
    [[nodiscard]] bool send_hello(std::int64_t now_ns) noexcept;
    [[nodiscard]] bool is_peer_gone() noexcept;
    [[nodiscard]] bool is_reply_lost(std::int64_t now_ns) const noexcept {
        return phase_ == SessionPhase::kReady && replies_owed_ > last_reply_sequence_ &&
               now_ns - owed_since_ns_ > settings_.reply_within_ns;
    }
    void discard_feed() noexcept;
    void take_heartbeat(const Heartbeat& heartbeat, std::int64_t now_ns) noexcept;
    [[nodiscard]] bool is_killed(const Slot& slot) const noexcept;
    void take_welcome(const Frame& frame, std::int64_t now_ns) noexcept;
    [[nodiscard]] bool is_tape_known() const noexcept;
    [[nodiscard]] FrameUse place(const Frame& frame, std::uint64_t& last_sequence,
                                 std::size_t& first_new, LossReason gap) noexcept;
    [[nodiscard]] IoResult send_record(RecordType type, const std::uint8_t* payload) noexcept;
    template <typename P>
    [[nodiscard]] IoResult send_payload(RecordType type, const P& payload) noexcept;

    const ZmqTable* zmq_ = nullptr;
    void* context_ = nullptr;
    std::string orders_endpoint_;
    std::string run_dir_;
    SessionSettings settings_;
    Socket feed_;
    Socket orders_;
    Socket monitor_;
    SessionPhase phase_ = SessionPhase::kClosed;
    LossReason last_loss_ = LossReason::kNone;
    Failure failure_;
    std::uint32_t connection_ = 0;
    bool is_lockstep_ = true;
    bool has_heartbeats_ = false;
    bool was_stopped_ = false;
    std::int64_t phase_since_ns_ = 0;
    std::int64_t heard_ns_ = 0;
    std::int64_t now_ns_ = 0;         // of the last advance()
    std::uint64_t replies_due_ = 0;   // WELCOME: the last reply that the venue has written
    std::uint64_t feed_reached_ = 0;  // WELCOME: the last event that it has published
    std::int64_t welcome_ts_ns_ = 0;
    std::uint64_t replies_owed_ = 0;  // a heartbeat: the last reply that the venue has written
    std::int64_t owed_since_ns_ = 0;  // and has not come since then
    std::uint64_t orders_sent_ = 0;   // in this connection
    std::uint64_t last_feed_sequence_ = 0;
    std::uint64_t last_reply_sequence_ = 0;
    std::array<std::uint8_t, 32> tape_id_{};
    SessionCounters counters_;
    std::vector<std::uint8_t> feed_buffer_;
    std::vector<std::uint8_t> reply_buffer_;
};

}  // namespace gm
