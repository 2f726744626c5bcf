#include "gm/runtime/venue_server.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "gm/base/clock.hpp"
#include "gm/venue/feed_replay.hpp"

namespace gm {
namespace {

constexpr long kIdleMsMax = 50;  // how late stop() may be noticed
constexpr int kMessagesPerTurn = 64;
constexpr int kCatchUpFramesPerTurn = 64;
constexpr int kRowsPerTurn = 16;  // that are due, running free
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kSpeedPermilleMax = 1'000'000'000;

}  // namespace

Failure VenueServer::open(const ZmqTable& zmq, void* context, const VenueServerSettings& settings,
                          Venue& venue) {
    if (settings.speed_permille < 0 || settings.speed_permille > kSpeedPermilleMax) {
        return fail(Status::kBadSettings, "speed_permille must be 0 to " +
                                              std::to_string(kSpeedPermilleMax) + ": " +
                                              std::to_string(settings.speed_permille));
    }
    if (settings.speed_permille == 0 && settings.history_rows > 0) {
        return fail(Status::kBadSettings,
                    "history_rows must be 0 in lockstep, where the tape "
                    "itself warms up: " +
                        std::to_string(settings.history_rows));
    }
    zmq_ = &zmq;
    venue_ = &venue;
    settings_ = settings;
    play_history();
    buffer_.resize(kFrameSizeMax);
    page_.resize(kFrameRecordsMax);
    page_frame_.resize(kFrameSizeMax);
    Failure failure = feed_.open(zmq, context, SocketKind::kXpub, feed_publisher_options());
    if (failure.is_ok()) failure = feed_.bind(settings.feed_endpoint);
    if (failure.is_ok()) {
        failure = orders_.open(zmq, context, SocketKind::kRouter, order_router_options());
    }
    if (failure.is_ok()) failure = orders_.bind(settings.orders_endpoint);
    return failure;
}

Failure VenueServer::run() {
    while (turn(monotonic_ns())) {
    }
    orders_.close();
    feed_.close();
    return failure_;
}

bool VenueServer::turn(std::int64_t now_ns) {
    if (is_stopped_.load(std::memory_order_relaxed) || is_finished_) return false;
    bool has_read = read_subscriptions();
    for (int i = 0; i < kMessagesPerTurn && read_message(); ++i) has_read = true;
    const bool is_ending = finish_at_ns_ != INT64_MAX;
    if (is_ending && (has_read || is_behind())) finish_at_ns_ = now_ns + settings_.linger_ns;
    advance(now_ns);
    failure_ = venue_->failure();
    if (!failure_.is_ok()) return false;
    if ((has_read || is_due(now_ns)) && !has_failed_) return true;
    std::array<ZmqPollItem, 2> items{orders_.poll_item(), feed_.poll_item()};
    if (has_failed_ || poll_sockets(*zmq_, items, timeout_ms(now_ns)) < 0) {
        failure_ = fail(Status::kZmqFailed, "the venue's sockets were closed under it");
        return false;
    }
    return true;
}

// ---- what goes out

void VenueServer::advance(std::int64_t now_ns) noexcept {
    if (settings_.speed_permille == 0) {
        advance_lockstep(now_ns);
    } else {
        advance_free(now_ns);
    }
    if (now_ns >= finish_at_ns_) is_finished_ = true;
}

// Nobody is there to trade yet, and so nothing matches.
void VenueServer::play_history() noexcept {
    Slot slot{};
    std::uint64_t rows = 0;
    while (rows < settings_.history_rows && !venue_->is_ended() && venue_->next_feed(slot)) {
        rows += slot.type() == RecordType::kBarOpen ? 0 : 1;
    }
}

void VenueServer::advance_lockstep(std::int64_t now_ns) noexcept {
    // An engine that has consumed END, by its DONE or its HELLO, may leave at once and for good:
    // nothing more is asked of it. What is left to say is said while somebody listens.
    const bool is_over =
        venue_->is_ended() && session_.feed_sequence == venue_->last_feed_sequence();
    if (is_over) notice_end(now_ns);
    if (!session_.is_open) return;
    Slot slot{};
    if (step_ != Step::kNone) {
        // The subscriber may have connected just too late for it.
        if (step_ == Step::kFeed && now_ns - step_since_ns_ >= settings_.resend_after_ns &&
            venue_->feed(step_sequence_, slot)) {
            ++counters_.repeated_feed_frames;
            step_since_ns_ = now_ns;
            publish(slot);
        }
        return;
    }
    if (venue_->reply(session_.reply_sequence + 1, slot)) {
        return begin_step(Step::kReply, slot, now_ns);
    }
    if (is_over || !session_.is_ready || !has_subscriber_) return;
    if (venue_->feed(session_.feed_sequence + 1, slot)) {
        // Published to an engine that did not live to consume it: before it is, nothing matches.
        ++counters_.repeated_feed_frames;
        return begin_step(Step::kFeed, slot, now_ns);
    }
    if (venue_->next_reply(session_.reply_sequence, slot)) {
        return begin_step(Step::kReply, slot, now_ns);
    }
    if (venue_->next_feed(slot)) begin_step(Step::kFeed, slot, now_ns);
}

void VenueServer::begin_step(Step step, const Slot& slot, std::int64_t now_ns) noexcept {
    step_ = step;
    step_sequence_ = slot.header.first_sequence;
    step_since_ns_ = now_ns;
    if (step == Step::kFeed) {
        publish(slot);
    } else {
        send_reply(slot);
    }
}

void VenueServer::advance_free(std::int64_t now_ns) noexcept {
    if (session_.is_open) catch_up();
    if (!has_started_) {
        has_started_ = session_.is_ready && has_subscriber_;
        if (!has_started_) return;
        started_ns_ = now_ns;
        started_ts_ns_ = venue_->next_feed_ts_ns();
    }
    Slot slot{};
    for (int i = 0; i < kRowsPerTurn && is_due(now_ns); ++i) {
        // Who has said HELLO is told in order, once it is ready: what ran ahead of that would look
        // like a hole to it.
        if (venue_->next_feed(slot) && !session_.is_open) publish(slot);
        // The whole event at once: nobody is waited for.
        while (venue_->next_reply(venue_->last_reply_sequence(), slot)) {
        }
        if (session_.is_open) catch_up();
    }
    send_heartbeat(now_ns);
    send_notice(now_ns);
    if (venue_->is_ended()) notice_end(now_ns);
}

// Sends the session what it has not been sent: replies always, feed events once it is ready and
// its feed socket is there to hear them.
void VenueServer::catch_up() noexcept {
    Slot slot{};
    for (int i = 0; i < kCatchUpFramesPerTurn && session_.is_open &&
                    venue_->reply(session_.reply_sequence + 1, slot);
         ++i) {
        send_reply(slot);
        ++session_.reply_sequence;
    }
    for (int i = 0; i < kCatchUpFramesPerTurn && hears_feed() &&
                    venue_->feed(session_.feed_sequence + 1, slot);
         ++i) {
        is_feed_full_ = !publish(slot);
        if (is_feed_full_) break;
        ++session_.feed_sequence;
    }
}

// An engine that dies now may come back for what it did not consume.
void VenueServer::notice_end(std::int64_t now_ns) noexcept {
    if (finish_at_ns_ == INT64_MAX) finish_at_ns_ = now_ns + settings_.linger_ns;
}

std::int64_t VenueServer::due_ns() const noexcept {
    const Int128 ahead_ns = Int128{venue_->next_feed_ts_ns()} - started_ts_ns_;
    const Int128 due = started_ns_ + ahead_ns * 1000 / settings_.speed_permille;
    return static_cast<std::int64_t>(std::min(due, Int128{INT64_MAX}));
}

// Free-running: the next event happens now.
bool VenueServer::is_due(std::int64_t now_ns) const noexcept {
    return has_started_ && !venue_->is_ended() && now_ns >= due_ns();
}

// Free-running: who listens has not been sent all of it yet.
bool VenueServer::is_behind() const noexcept {
    return has_started_ && hears_feed() && session_.feed_sequence < venue_->last_feed_sequence();
}

long VenueServer::timeout_ms(std::int64_t now_ns) const noexcept {
    std::int64_t until_ns = now_ns + kIdleMsMax * kNsPerMs;
    if (finish_at_ns_ < until_ns) until_ns = finish_at_ns_;
    if (step_ == Step::kFeed) {
        until_ns = std::min(until_ns, step_since_ns_ + settings_.resend_after_ns);
    }
    if (is_behind()) return is_feed_full_ ? 1 : 0;
    if (has_started_ && !venue_->is_ended()) until_ns = std::min(until_ns, due_ns());
    const std::int64_t left_ns = std::max<std::int64_t>(0, until_ns - now_ns);
    return static_cast<long>(ceil_div(left_ns, kNsPerMs));
}

bool VenueServer::publish(const Slot& slot) noexcept {
    std::array<std::uint8_t, kOneRecordFrameSize> bytes{};
    const IoResult result = feed_.send(encode_frame(slot, bytes));
    if (result == IoResult::kFailed) has_failed_ = true;
    if (result == IoResult::kDone) ++counters_.feed_frames;
    return result == IoResult::kDone;
}

void VenueServer::send_reply(const Slot& slot) noexcept {
    ++counters_.reply_frames;
    if (slot.header.first_sequence <= session_.reply_sequence) ++counters_.repeated_reply_frames;
    send_to_peer(session_.peer, slot);
}

// A peer that cannot take a message is gone: what it did not get, its heir will ask for.
void VenueServer::send_to_peer(const Peer& peer, const Slot& slot) noexcept {
    std::array<std::uint8_t, kOneRecordFrameSize> bytes{};
    send_bytes(peer, encode_frame(slot, bytes));
}

void VenueServer::send_bytes(const Peer& peer, std::span<const std::uint8_t> frame) noexcept {
    const IoResult result = orders_.send_to(peer, frame);
    if (result == IoResult::kDone) return;
    if (result == IoResult::kFailed) has_failed_ = true;
    if (!session_.is_open || !(peer == session_.peer)) return;
    ++counters_.lost_sessions;
    session_.is_open = false;
    session_.is_ready = false;
    step_ = Step::kNone;
}

void VenueServer::send_heartbeat(std::int64_t now_ns) noexcept {
    if (now_ns < heartbeat_due_ns_) return;
    heartbeat_due_ns_ = now_ns + settings_.heartbeat_ns;
    Heartbeat heartbeat{};
    // Not what a session that is catching up has not been sent yet: it would see a gap.
    heartbeat.last_feed_sequence =
        session_.is_open ? session_.feed_sequence : venue_->last_feed_sequence();
    heartbeat.last_reply_sequence = venue_->last_reply_sequence();
    publish(make_slot(RecordType::kHeartbeat, Source::kVenueFeed, 0, venue_->now_ns(), heartbeat));
}

// Behind every reply that its books hold.
void VenueServer::send_notice(std::int64_t now_ns) noexcept {
    const bool is_told = session_.reply_sequence == venue_->last_reply_sequence();
    if (now_ns < notice_due_ns_ || !session_.is_open || !session_.is_ready || !is_told) return;
    notice_due_ns_ = now_ns + settings_.notice_ns;
    send_to_peer(session_.peer, make_slot(RecordType::kPositionNotice, Source::kVenueOrders, 0,
                                          venue_->now_ns(), venue_->report_position()));
}

// ---- what comes in

// libzmq reports the first subscription and the end of the last.
bool VenueServer::read_subscriptions() noexcept {
    const Received received = feed_.receive(buffer_);
    if (received.result == IoResult::kFailed) has_failed_ = true;
    if (received.result != IoResult::kDone) return false;
    if (received.is_whole && received.size > 0) has_subscriber_ = buffer_[0] == 1;
    return true;
}

bool VenueServer::read_message() noexcept {
    Peer peer{};
    const Received received = orders_.receive_from(peer, buffer_);
    if (received.result == IoResult::kFailed) has_failed_ = true;
    if (received.result != IoResult::kDone) return false;
    Frame frame{};
    FrameFault fault = FrameFault::kWrongSize;
    if (received.is_whole) {
        fault = decode_frame({buffer_.data(), received.size}, FrameRole::kToVenue, frame);
    }
    if (fault != FrameFault::kNone) {
        ++counters_.frame_faults[static_cast<std::size_t>(fault)];
        return true;
    }
    for (std::size_t i = 0; i < frame.header.count; ++i) {
        take_record(peer, frame.slot(i, frame.header.receive_ts_ns));
    }
    return true;
}

void VenueServer::take_record(const Peer& peer, const Slot& slot) noexcept {
    if (slot.type() == RecordType::kHello) return take_hello(peer, slot.as<Hello>());
    const bool is_current = session_.is_open && peer == session_.peer;
    if (!is_current) ++counters_.foreign_messages;
    switch (slot.type()) {
        case RecordType::kReady:
            if (is_current) take_ready(slot.as<Ready>());
            return;
        case RecordType::kDone:
            if (is_current) take_done(slot.as<Done>());
            return;
        case RecordType::kFeedReplay:
            if (is_current) take_feed_replay(slot.as<FeedReplay>());
            return;
        default: return take_order(is_current, slot);
    }
}

void VenueServer::take_hello(const Peer& peer, const Hello& hello) noexcept {
    static constexpr std::uint8_t kNoTape[32] = {};
    const bool is_same_tape =
        std::memcmp(hello.tape_id, kNoTape, sizeof kNoTape) == 0 ||
        std::memcmp(hello.tape_id, settings_.tape_id.data(), sizeof kNoTape) == 0;
    const bool is_known = hello.epoch == session_.epoch && hello.connection == session_.connection;
    RejectReason refused = RejectReason::kNone;
    if (hello.epoch == 0 || hello.connection == 0) {
        refused = RejectReason::kMalformed;
    } else if (!is_same_tape) {
        refused = RejectReason::kForeignTape;
    } else if (hello.epoch < session_.epoch) {
        refused = RejectReason::kOldEpoch;
    } else if (venue_->is_stale(hello.epoch, hello.connection) ||
               (is_known && !(peer == session_.peer))) {
        refused = RejectReason::kOldConnection;  // or a second engine under the same numbers
    }
    const bool is_ours = hello.last_feed_sequence <= venue_->last_feed_sequence() &&
                         hello.last_reply_sequence <= venue_->last_reply_sequence();
    if (refused != RejectReason::kNone || !is_ours) {
        // Of one that has consumed more than was ever written here: WELCOME's numbers tell it.
        ++counters_.refused_sessions;
        return welcome(peer, refused);
    }
    ++counters_.sessions;
    session_ = Session{};
    session_.peer = peer;
    session_.epoch = hello.epoch;
    session_.connection = hello.connection;
    session_.is_open = true;
    session_.feed_sequence = hello.last_feed_sequence;
    session_.reply_sequence = hello.last_reply_sequence;
    session_.welcome_sequence = venue_->last_feed_sequence();
    step_ = Step::kNone;  // consumed, or to be sent again
    venue_->on_session(hello.epoch, hello.connection);
    welcome(peer, RejectReason::kNone);
}

void VenueServer::welcome(const Peer& peer, RejectReason refused) noexcept {
    Welcome welcome{};
    welcome.last_feed_sequence = venue_->last_feed_sequence();
    welcome.last_reply_sequence = venue_->last_reply_sequence();
    std::memcpy(welcome.tape_id, settings_.tape_id.data(), sizeof welcome.tape_id);
    welcome.lockstep = settings_.speed_permille == 0 ? 1 : 0;
    welcome.refused = static_cast<std::uint32_t>(refused);
    welcome.symbol_hash = symbol_hash(venue_->instrument());
    send_to_peer(
        peer, make_slot(RecordType::kWelcome, Source::kVenueOrders, 0, venue_->now_ns(), welcome));
}

void VenueServer::take_ready(const Ready& ready) noexcept {
    session_.is_ready = true;
    advance_to(ready.last_feed_sequence, ready.last_reply_sequence);
}

void VenueServer::take_done(const Done& done) noexcept {
    if (done.orders_sent != session_.orders_received) ++counters_.order_gaps;
    if (settings_.speed_permille == 0) advance_to(done.feed_sequence, done.reply_sequence);
}

// Nobody has consumed more than was written, whatever he says.
void VenueServer::advance_to(std::uint64_t feed_sequence, std::uint64_t reply_sequence) noexcept {
    session_.feed_sequence =
        std::max(session_.feed_sequence, std::min(feed_sequence, venue_->last_feed_sequence()));
    session_.reply_sequence =
        std::max(session_.reply_sequence, std::min(reply_sequence, venue_->last_reply_sequence()));
    const bool is_consumed = (step_ == Step::kFeed && session_.feed_sequence >= step_sequence_) ||
                             (step_ == Step::kReply && session_.reply_sequence >= step_sequence_);
    if (is_consumed) step_ = Step::kNone;
}

// One page, in one frame, and what it ends with. Nobody joins late in lockstep: an empty page.
void VenueServer::take_feed_replay(const FeedReplay& request) noexcept {
    ReplayPage page;
    const bool is_ours = settings_.speed_permille > 0 && request.connection == session_.connection;
    if (is_ours) page = read_replay(*venue_, request, session_.welcome_sequence, page_);
    if (page.bars > 0) {
        const std::size_t size = page.bars * kPayloadSize;
        RecordHeader header = make_slot(RecordType::kReplayedBar, Source::kVenueOrders, 0,
                                        venue_->now_ns(), BarClose{})
                                  .header;
        header.count = static_cast<std::uint16_t>(page.bars);
        std::memcpy(page_frame_.data(), &header, sizeof header);
        std::memcpy(page_frame_.data() + sizeof header, page_.data(), size);
        send_bytes(session_.peer, {page_frame_.data(), sizeof header + size});
        counters_.replayed_bars += page.bars;
    }
    ReplayEnd end{};
    end.request = request.request;
    end.cursor = page.cursor;
    end.bars = static_cast<std::uint32_t>(page.bars);
    end.instrument = request.instrument;
    send_to_peer(session_.peer,
                 make_slot(RecordType::kReplayEnd, Source::kVenueOrders, 0, venue_->now_ns(), end));
}

// A message of any other peer is stale, whatever numbers it carries.
void VenueServer::take_order(bool is_current, const Slot& slot) noexcept {
    if (session_.epoch == 0) return;  // nobody has said HELLO yet
    if (is_current) ++session_.orders_received;
    Sender sender{};
    sender.epoch = is_current ? slot.header.epoch : 0;
    sender.received_ts_ns = venue_->now_ns();  // the engine's clock follows the tape's, too
    switch (slot.type()) {
        case RecordType::kNewOrder: {
            const auto order = slot.as<NewOrder>();
            sender.connection = order.connection;
            arrivals_ns_.push_back(monotonic_ns());
            return venue_->on_order(order, sender);
        }
        case RecordType::kCancelOrder: {
            const auto cancel = slot.as<CancelOrder>();
            sender.connection = cancel.connection;
            return venue_->on_cancel(cancel, sender);
        }
        case RecordType::kReplaceOrder: {
            const auto replace = slot.as<ReplaceOrder>();
            sender.connection = replace.connection;
            return venue_->on_replace(replace, sender);
        }
        case RecordType::kQueryOrder: {
            const auto query = slot.as<QueryOrder>();
            sender.connection = query.connection;
            return venue_->on_query(query, sender);
        }
        case RecordType::kQueryRange: {
            const auto query = slot.as<QueryRange>();
            sender.connection = query.connection;
            return venue_->on_query_range(query, sender);
        }
        case RecordType::kQueryAccount: {
            const auto query = slot.as<QueryAccount>();
            sender.connection = query.connection;
            return venue_->on_query_account(query, sender);
        }
        default: return;
    }
}

}  // namespace gm
