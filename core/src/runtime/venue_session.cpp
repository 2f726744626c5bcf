#include "gm/runtime/venue_session.hpp"

#include <unistd.h>

#include <cstring>

namespace gm {
namespace {

constexpr int kMonitorDisconnected = 0x0200;  // ZMQ_EVENT_DISCONNECTED
constexpr int kMonitorEventsMax = 16;         // read at one wake-up
constexpr int kFramesDiscardedMax = 1 << 17;  // above what the feed socket may hold

std::string reject_text(std::uint32_t reason) {
    switch (static_cast<RejectReason>(reason)) {
        case RejectReason::kOldEpoch:
            return "it has met a later epoch of this installation: another run directory, or an "
                   "older copy of this one";
        case RejectReason::kOldConnection: return "it has met a later connection";
        case RejectReason::kMalformed: return "HELLO is malformed to it: other build or schema";
        default: return "reason " + std::to_string(reason);
    }
}

}  // namespace

Failure VenueSession::open(const ZmqTable& zmq, void* context, const Endpoints& endpoints,
                           const SessionSettings& settings) {
    zmq_ = &zmq;
    context_ = context;
    orders_endpoint_ = endpoints.orders;
    run_dir_ = endpoints.run_dir;
    settings_ = settings;
    last_feed_sequence_ = settings.last_feed_sequence;
    last_reply_sequence_ = settings.last_reply_sequence;
    tape_id_ = settings.tape_id;
    feed_buffer_.resize(kFrameSizeMax);
    reply_buffer_.resize(kFrameSizeMax);
    Failure failure = feed_.open(zmq, context, SocketKind::kSub, feed_subscriber_options());
    if (failure.is_ok()) failure = feed_.connect(endpoints.feed);
    return failure;
}

void VenueSession::close(int linger_ms) noexcept {
    monitor_.close();
    orders_.close_after(linger_ms);
    feed_.close();
    phase_ = SessionPhase::kClosed;
}

void VenueSession::lose(LossReason reason) noexcept {
    if (phase_ == SessionPhase::kClosed) return;
    monitor_.close();
    orders_.close();
    last_loss_ = reason;
    phase_ = SessionPhase::kClosed;
    phase_since_ns_ = now_ns_;
    ++counters_.reconnects;
}

bool VenueSession::open_connection(std::int64_t now_ns) noexcept {
    // A name of its own for each monitor: libzmq frees an inproc name only some time after close.
    const std::string monitor = "inproc://gm-session-" + std::to_string(getpid()) + "-" +
                                std::to_string(reinterpret_cast<std::uintptr_t>(this)) + "-" +
                                std::to_string(settings_.epoch) + "-" +
                                std::to_string(connection_ + 1);
    Failure opened = orders_.open(*zmq_, context_, SocketKind::kDealer, order_session_options());
    if (opened.is_ok()) opened = orders_.monitor(monitor, kMonitorDisconnected);
    if (opened.is_ok()) {
        opened = monitor_.open(*zmq_, context_, SocketKind::kPair, SocketOptions{});
    }
    if (opened.is_ok()) opened = monitor_.connect(monitor);
    if (opened.is_ok()) opened = orders_.connect(orders_endpoint_);
    if (!opened.is_ok()) {
        failure_ = opened;
        return false;
    }
    ++connection_;
    phase_ = SessionPhase::kHello;
    phase_since_ns_ = now_ns;
    orders_sent_ = 0;
    replies_owed_ = 0;
    has_heartbeats_ = false;
    return true;
}

bool VenueSession::is_peer_gone() noexcept {
    std::uint8_t event[8] = {};
    for (int i = 0; i < kMonitorEventsMax; ++i) {
        const Received received = monitor_.receive(event);
        if (received.result != IoResult::kDone) return false;
        std::uint16_t kind = 0;
        std::memcpy(&kind, event, sizeof kind);
        if (kind == kMonitorDisconnected) return true;
    }
    return false;
}

bool VenueSession::advance(std::int64_t now_ns) noexcept {
    now_ns_ = now_ns;
    if (!failure_.is_ok()) return true;
    const std::int64_t waited_ns = now_ns - phase_since_ns_;
    if (phase_ == SessionPhase::kClosed) {
        const bool is_first = connection_ == 0;
        if (!is_first && waited_ns < settings_.reopen_after_ns) return true;
        if (!open_connection(now_ns)) return true;
    }
    auto reason = LossReason::kNone;
    if (is_peer_gone()) {
        reason = LossReason::kPeerGone;
    } else if (phase_ == SessionPhase::kHello) {
        return send_hello(now_ns);
    } else if (phase_ == SessionPhase::kWelcome && waited_ns > settings_.welcome_within_ns) {
        reason = LossReason::kWelcomeLate;
    } else if ((phase_ == SessionPhase::kReplies || phase_ == SessionPhase::kQueries) &&
               now_ns - heard_ns_ > settings_.reconcile_within_ns) {
        reason = LossReason::kReconcileLate;
    } else if (phase_ == SessionPhase::kReady && has_heartbeats_ && !is_lockstep_ &&
               now_ns - heard_ns_ > settings_.silence_ns_max) {
        reason = LossReason::kSilence;
    } else if (is_reply_lost(now_ns)) {
        ++counters_.sequence_gaps;
        reason = LossReason::kReplyGap;
    }
    if (reason == LossReason::kNone) return true;
    lose(reason);
    return false;
}

bool VenueSession::send_hello(std::int64_t now_ns) noexcept {
    Hello hello{};
    hello.last_feed_sequence = last_feed_sequence_;
    hello.last_reply_sequence = last_reply_sequence_;
    hello.epoch = settings_.epoch;
    hello.connection = connection_;
    std::memcpy(hello.tape_id, tape_id_.data(), tape_id_.size());
    const IoResult result = send_payload(RecordType::kHello, hello);
    if (result == IoResult::kDone) {
        phase_ = SessionPhase::kWelcome;
        phase_since_ns_ = now_ns;
        return true;
    }
    if (result == IoResult::kAgain) return true;  // IMMEDIATE: nobody is connected yet
    lose(LossReason::kSendRefused);
    return false;
}

bool VenueSession::is_tape_known() const noexcept {
    return tape_id_ != std::array<std::uint8_t, 32>{};
}

void VenueSession::take_welcome(const Frame& frame, std::int64_t now_ns) noexcept {
    Welcome welcome;
    std::memcpy(&welcome, frame.payloads, sizeof welcome);
    const bool is_foreign =
        welcome.refused == static_cast<std::uint32_t>(RejectReason::kForeignTape);
    if (welcome.refused != 0 && !is_foreign) {
        failure_ = fail(Status::kVenueRefused, "the venue refuses epoch " +
                                                   std::to_string(settings_.epoch) + ": " +
                                                   reject_text(welcome.refused));
        return;
    }
    if (welcome.symbol_hash != settings_.symbol_hash) {
        failure_ =
            fail(Status::kUnknownInstrument,
                 "the venue in " + run_dir_ + " plays another instrument than --instrument names");
        return;
    }
    const bool is_same_tape = std::memcmp(welcome.tape_id, tape_id_.data(), tape_id_.size()) == 0;
    if (is_foreign || (is_tape_known() && !is_same_tape)) {
        failure_ = fail(Status::kJournalForeign,
                        "the journal in " + run_dir_ +
                            " belongs to another tape than the venue's; name a fresh directory "
                            "with --run-dir");
        return;
    }
    if (welcome.last_reply_sequence < last_reply_sequence_ ||
        welcome.last_feed_sequence < last_feed_sequence_) {
        failure_ = fail(Status::kJournalForeign,
                        "the journal in " + run_dir_ + " has consumed feed " +
                            std::to_string(last_feed_sequence_) + " and reply " +
                            std::to_string(last_reply_sequence_) + ", the venue has written " +
                            std::to_string(welcome.last_feed_sequence) + " and " +
                            std::to_string(welcome.last_reply_sequence) +
                            ": it is another run of the venue; name a fresh directory with "
                            "--run-dir");
        return;
    }
    std::memcpy(tape_id_.data(), welcome.tape_id, tape_id_.size());
    is_lockstep_ = welcome.lockstep != 0;
    replies_due_ = welcome.last_reply_sequence;
    feed_reached_ = welcome.last_feed_sequence;
    welcome_ts_ns_ = frame.header.source_ts_ns;
    phase_ = SessionPhase::kReplies;
    phase_since_ns_ = now_ns;
}

void VenueSession::announced(std::int64_t now_ns) noexcept {
    phase_ = SessionPhase::kQueries;
    phase_since_ns_ = now_ns;
}

void VenueSession::join_feed() noexcept {
    last_feed_sequence_ = feed_reached_;  // not less than before: see take_welcome()
}

bool VenueSession::request_replay(const FeedReplay& request) noexcept {
    if (send_payload(RecordType::kFeedReplay, request) == IoResult::kDone) return true;
    lose(LossReason::kSendRefused);
    return false;
}

// Where a numbered frame stands in its stream: new, seen before, or after a hole.
FrameUse VenueSession::place(const Frame& frame, std::uint64_t& last_sequence,
                             std::size_t& first_new, LossReason gap) noexcept {
    const std::uint64_t expected = last_sequence + 1;
    const std::uint64_t first = frame.header.first_sequence;
    if (frame.last_sequence() < expected) {
        counters_.repeated_records += frame.header.count;
        return FrameUse::kRepeated;
    }
#ifdef GM_MUTANT_P6  // a number that is missing is not missed
    if (first > expected) last_sequence = first - 1;
#else
    if (first > expected) {
        ++counters_.sequence_gaps;
        lose(gap);
        return FrameUse::kLost;
    }
#endif
    first_new = static_cast<std::size_t>(expected - first);
    counters_.repeated_records += first_new;
    last_sequence = frame.last_sequence();
    return FrameUse::kRecords;
}

FrameUse VenueSession::receive_feed(Frame& frame, std::size_t& first_new,
                                    std::int64_t now_ns) noexcept {
    const Received received = feed_.receive(feed_buffer_);
    if (received.result != IoResult::kDone) return FrameUse::kNothing;
    ++counters_.feed_frames;
    FrameFault fault = FrameFault::kWrongSize;
    if (received.is_whole) {
        fault = decode_frame({feed_buffer_.data(), received.size}, FrameRole::kFeed, frame);
    }
    if (fault != FrameFault::kNone) {
        ++counters_.frame_faults[static_cast<std::size_t>(fault)];
        return FrameUse::kIgnored;  // the hole that it leaves is seen with the next frame
    }
    // Before READY these are left over from an older connection: the venue sends them again.
    if (phase_ != SessionPhase::kReady) return FrameUse::kIgnored;
    heard_ns_ = now_ns;
    if (frame.type() != RecordType::kHeartbeat) {
        return place(frame, last_feed_sequence_, first_new, LossReason::kFeedGap);
    }
    Heartbeat heartbeat;
    std::memcpy(&heartbeat, frame.payloads, sizeof heartbeat);
    take_heartbeat(heartbeat, now_ns);
    if (heartbeat.last_feed_sequence <= last_feed_sequence_) return FrameUse::kIgnored;
    ++counters_.sequence_gaps;  // what was published last never came
    lose(LossReason::kFeedGap);
    return FrameUse::kLost;
}

// READY is answered with the feed from where the engine is. What was published before that, and
// nobody has read yet, would stand before it and look like a hole.
void VenueSession::discard_feed() noexcept {
    for (int i = 0; i < kFramesDiscardedMax; ++i) {
        if (feed_.receive(feed_buffer_).result != IoResult::kDone) return;
        ++counters_.feed_frames;
    }
}

// Replies come on another socket, so one that it knows of may still be on its way.
void VenueSession::take_heartbeat(const Heartbeat& heartbeat, std::int64_t now_ns) noexcept {
    has_heartbeats_ = true;
    if (heartbeat.last_reply_sequence <= last_reply_sequence_) return;
    if (replies_owed_ <= last_reply_sequence_) owed_since_ns_ = now_ns;
    if (replies_owed_ <= last_reply_sequence_) replies_owed_ = heartbeat.last_reply_sequence;
}

FrameUse VenueSession::receive_reply(Frame& frame, std::size_t& first_new,
                                     std::int64_t now_ns) noexcept {
    if (!orders_.is_open()) return FrameUse::kNothing;
    const Received received = orders_.receive(reply_buffer_);
    if (received.result != IoResult::kDone) return FrameUse::kNothing;
    ++counters_.reply_frames;
    FrameFault fault = FrameFault::kWrongSize;
    if (received.is_whole) {
        fault = decode_frame({reply_buffer_.data(), received.size}, FrameRole::kFromVenue, frame);
    }
    if (fault != FrameFault::kNone) {
        ++counters_.frame_faults[static_cast<std::size_t>(fault)];
        lose(LossReason::kBadFrame);
        return FrameUse::kLost;
    }
    heard_ns_ = now_ns;
    if (frame.type() == RecordType::kWelcome) {
        if (phase_ == SessionPhase::kWelcome) take_welcome(frame, now_ns);
        return FrameUse::kIgnored;
    }
    if (frame.type() == RecordType::kHeartbeat) return FrameUse::kIgnored;
    if (frame.type() == RecordType::kReplayedBar || frame.type() == RecordType::kReplayEnd) {
        return phase_ == SessionPhase::kQueries ? FrameUse::kReplayed : FrameUse::kIgnored;
    }
    if (frame.type() == RecordType::kPositionNotice) {
        return phase_ == SessionPhase::kReady ? FrameUse::kNotice : FrameUse::kIgnored;
    }
    if (phase_ < SessionPhase::kReplies) return FrameUse::kIgnored;  // not before WELCOME
    return place(frame, last_reply_sequence_, first_new, LossReason::kReplyGap);
}

IoResult VenueSession::send_record(RecordType type, const std::uint8_t* payload) noexcept {
    Slot slot{};
    slot.header = {kMagic,
                   kSchema,
                   static_cast<std::uint16_t>(type),
                   1,
                   static_cast<std::uint16_t>(Source::kIo),
                   settings_.epoch,
                   0,
                   0,
                   0};
    std::memcpy(slot.payload, payload, kPayloadSize);
    std::array<std::uint8_t, kOneRecordFrameSize> bytes;
    return orders_.send(encode_frame(slot, bytes));
}

template <typename P>
IoResult VenueSession::send_payload(RecordType type, const P& payload) noexcept {
    std::array<std::uint8_t, kPayloadSize> bytes;
    static_assert(sizeof payload == kPayloadSize);
    std::memcpy(bytes.data(), &payload, sizeof payload);
    return send_record(type, bytes.data());
}

// Read in the step that hands the frame to ZeroMQ: what the gate saw may be old by then.
bool VenueSession::is_killed(const Slot& slot) const noexcept {
#ifdef GM_MUTANT_P13
    return false;  // what P13 forbids, for the test that must find it
#else
    const bool is_replace = slot.type() == RecordType::kReplaceOrder;
    const bool is_judged = is_replace || slot.type() == RecordType::kNewOrder;
    if (!is_judged || settings_.kill_words == nullptr) return false;
    const std::uint32_t instrument =
        is_replace ? slot.view<ReplaceOrder>().instrument : slot.view<NewOrder>().instrument;
    const bool is_reducing = (is_replace ? slot.view<ReplaceOrder>().is_reducing
                                         : slot.view<NewOrder>().is_reducing) != 0;
    const KillLevel level = settings_.kill_words->level_for(instrument);
    if (level == KillLevel::kReducing) return !is_reducing;
    return level > KillLevel::kReducing;
#endif
}

bool VenueSession::send(const Slot& slot) noexcept {
    was_stopped_ = false;
    std::uint32_t connection = connection_;
    switch (slot.type()) {
        case RecordType::kNewOrder: connection = slot.as<NewOrder>().connection; break;
        case RecordType::kCancelOrder: connection = slot.as<CancelOrder>().connection; break;
        case RecordType::kReplaceOrder: connection = slot.as<ReplaceOrder>().connection; break;
        case RecordType::kQueryOrder: connection = slot.as<QueryOrder>().connection; break;
        case RecordType::kQueryRange: connection = slot.as<QueryRange>().connection; break;
        case RecordType::kQueryAccount: connection = slot.as<QueryAccount>().connection; break;
        default: break;
    }
    // Of a connection that is no more. The engine has been told, or will be with the next record:
    // it does not know such an order's fate, and the queries of the new connection will tell.
    const bool trades =
        slot.type() == RecordType::kNewOrder || slot.type() == RecordType::kReplaceOrder;
#ifdef GM_MUTANT_P1  // what was meant for a connection that is gone is sent on the next one
    connection = connection_;
    const bool may_trade = true || trades;
#else
    const bool may_trade = phase_ == SessionPhase::kReady || !trades;
#endif
    if (connection != connection_ || !is_announced() || !may_trade) {
        ++counters_.orders_dropped;
        return true;
    }
    std::array<std::uint8_t, kOneRecordFrameSize> bytes;
    const auto frame = encode_frame(slot, bytes);
    was_stopped_ = is_killed(slot);
    if (was_stopped_) {
        ++counters_.orders_stopped;
        return true;
    }
    if (slot.type() == RecordType::kReady) discard_feed();
    if (orders_.send(frame) != IoResult::kDone) {
        ++counters_.orders_dropped;
        lose(LossReason::kSendRefused);
        return false;
    }
    if (slot.type() == RecordType::kReady) {
        phase_ = SessionPhase::kReady;
        phase_since_ns_ = now_ns_;
        heard_ns_ = now_ns_;
        return true;
    }
    ++orders_sent_;
    ++counters_.orders_sent;
    return true;
}

bool VenueSession::send_done() noexcept {
    Done done{};
    done.feed_sequence = last_feed_sequence_;
    done.reply_sequence = last_reply_sequence_;
    done.orders_sent = orders_sent_;
    if (send_payload(RecordType::kDone, done) == IoResult::kDone) return true;
    lose(LossReason::kSendRefused);
    return false;
}

std::array<ZmqPollItem, VenueSession::kPollItems> VenueSession::poll_items() const noexcept {
    const auto waits_to_send =
        static_cast<short>(phase_ == SessionPhase::kHello ? kZmqPollOut : kZmqPollIn);
    return {feed_.poll_item(), orders_.poll_item(waits_to_send), monitor_.poll_item()};
}

}  // namespace gm
