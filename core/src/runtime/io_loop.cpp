#include "gm/runtime/io_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "gm/base/clock.hpp"
#include "gm/runtime/socket_wait.hpp"

namespace gm {
namespace {

constexpr std::int64_t kSettleSpinNs = 200'000;  // then zmq_poll, a millisecond at a time
constexpr std::int64_t kTimerEveryNs = 1'000'000;
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr long kQuietMsMax = 100;  // heartbeat of the io loop
constexpr long kSoonMs = 5;        // reopening, stopping
constexpr std::int64_t kEndedWaitNs = 2'000'000'000;
constexpr int kKilledExit = 137;
constexpr int kLingerMs = 1000;  // the last DONE must leave

}  // namespace

IoLoop::~IoLoop() {
    if (wake_event_ >= 0) ::close(wake_event_);
}

Failure IoLoop::open(const IoParts& parts, const IoSettings& settings) {
    parts_ = parts;
    settings_ = settings;
    clock_ = EngineClock(settings.last_ts_ns);
    backfill_.open(settings.backfill);
    headroom_ = HeadroomWatch(settings.disk_floor_ppm);
    ns_per_tick_ =
        settings.ns_per_tick > 0.0 ? settings.ns_per_tick : TickScale::calibrate().ns_per_tick();
    is_end_consumed_.store(settings.has_ended, std::memory_order_release);
    wake_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_event_ < 0) {
        return fail(Status::kSystemCallFailed,
                    "eventfd: " + std::generic_category().message(errno));
    }
    status_.pid = static_cast<std::uint64_t>(getpid());
    status_.started_wall_ns = wall_ns();
    status_.is_threaded = settings.is_threaded ? 1 : 0;
    Failure failure = ports_.open(*parts.zmq, parts.context, settings.endpoints);
    if (failure.is_ok()) {
        failure = session_.open(*parts.zmq, parts.context, settings.endpoints, settings.session);
    }
    set_phase(failure.is_ok() ? Phase::kConnecting : Phase::kFailed);
    return failure;
}

void IoLoop::run() {
    while (turn(monotonic_ns(), wall_ns())) {
    }
}

bool IoLoop::turn(std::int64_t now_ns, std::int64_t wall_ns) {
    now_ns_ = now_ns;
    wall_ns_ = wall_ns;
    if (!is_finished_) {
        serve_feed_first();
        serve();
    }
    if (!is_finished_) wait();
    if (!is_finished_) return true;
    close();
    write_status(true);
    return false;
}

void IoLoop::close() noexcept {
    session_.close(kLingerMs);
    ports_.close();
}

// Nothing but the feed has moved and nothing is owed: its order leaves before anything else is
// looked at.
void IoLoop::serve_feed_first() {
    const bool is_quiet = is_announced_ && !owes_done_ && stopped_count_ == 0 && !owes_ids_ &&
                          !parts_.runner->is_halted() && parts_.runner->is_caught_up() &&
                          !parts_.runner->view().is_gapped;
    if (is_feed_alone_ && is_quiet && !receive(&VenueSession::receive_feed)) on_lost();
}

void IoLoop::serve() {
    has_more_ = false;
    // Read before the ring is emptied: all orders of the inputs consumed until then are in it.
    const bool was_caught_up = parts_.runner->is_caught_up();
    const std::uint64_t submitted = parts_.runner->submitted();
    if (!flush_orders()) on_lost();
    serve_kill();
    serve_headroom();
    serve_ids();
    keep_connected();
#ifdef GM_MUTANT_P1  // nor does the next one wait until nothing of it is left
    if (was_caught_up || submitted > 0) announce();
#else
    if (was_caught_up && submitted == parts_.runner->submitted()) announce();
#endif
    tell_end();
    if (!receive(&VenueSession::receive_reply) || !receive(&VenueSession::receive_feed)) on_lost();
    advance_backfill();
    settle();
    fire_timer();
    serve_control();
    serve_order(RecordType::kModelCommand, model_command_);
    serve_order(RecordType::kBooksAccepted, books_accepted_);
    status_.command_refusals += ports_.refuse_commands(kCommandsMax);
    advance_stop();
    has_more_ = parts_.runner->idle() || has_more_;
    const std::size_t published = ports_.publish(*parts_.drop_copy, kDropCopyMax);
    status_.drop_copy_sent += published;
    has_more_ = has_more_ || published == kDropCopyMax;
    update_phase();
    write_status(false);
}

// ---- the session

void IoLoop::keep_connected() {
    if (parts_.runner->is_caught_up() && parts_.runner->view().is_gapped && is_announced_) {
        session_.lose(LossReason::kEngineGap);
        on_lost();
    }
    judge_silence();
    if (!session_.advance(now_ns_)) on_lost();
    if (!session_.failure().is_ok()) fail_with(session_.failure());
    if (parts_.runner->is_halted() && !is_finished_) {
        fail_with(parts_.journal_thread->has_failed()
                      ? parts_.journal_thread->failure()
                      : fail(Status::kRingFull, "the order ring is full: io did not keep up"));
    }
}

// A venue may lose a question and live on. Nobody asks twice on one connection, so a question that
// stays open as long as a reconciliation may take is the connection's end.
void IoLoop::judge_silence() {
    const bool is_asked = is_announced_ && !session_.is_lockstep() &&
                          parts_.runner->is_caught_up() &&
                          parts_.runner->view().awaiting_queries > 0;
    if (!is_asked) unanswered_since_ns_ = INT64_MAX;
    if (is_asked) unanswered_since_ns_ = std::min(unanswered_since_ns_, now_ns_);
    if (!is_asked || now_ns_ - unanswered_since_ns_ <= settings_.session.reconcile_within_ns)
        return;
    unanswered_since_ns_ = INT64_MAX;
    session_.lose(LossReason::kReconcileLate);
    on_lost();
}

// The replies of former connections were consumed: now the engine asks for its open orders.
void IoLoop::announce() {
    if (!session_.must_announce() || is_announced_) return;
#ifndef GM_MUTANT_P1
    if (!parts_.runner->is_caught_up()) return;
#endif
    session_.announced(now_ns_);
    clock_.set_lockstep(session_.is_lockstep());
    parts_.runner->set_lockstep(session_.is_lockstep());
    is_announced_ = true;
    if (owes_loss_) submit_loss();
    begin_backfill();
    submit_event(RecordType::kConnected, 0);
}

// An engine that has consumed END is not ready any more; but the venue, whose connection was cut
// before it heard of that, waits for READY with the last numbers.
void IoLoop::tell_end() {
    const bool is_waited_for =
        is_end_consumed() && is_announced_ && session_.phase() == SessionPhase::kQueries;
    if (!is_waited_for || !parts_.runner->is_caught_up()) return;
    if (parts_.runner->view().awaiting_queries > 0) return;
    Ready ready{};
    ready.last_feed_sequence = session_.last_feed_sequence();
    ready.last_reply_sequence = session_.last_reply_sequence();
    if (!session_.send(make_slot(RecordType::kReady, Source::kIo, 0, 0, ready))) on_lost();
}

void IoLoop::on_lost() {
    owes_done_ = false;
    backfill_.cancel();
    if (!is_announced_) return;
    is_announced_ = false;
    loss_reason_ = session_.last_loss();
    // After END the venue goes when it likes; that is no part of the run. But should it come back,
    // because the DONE of its END was lost, the engine is told of both.
    owes_loss_ = is_end_consumed() && session_.is_lockstep();
    if (!owes_loss_) submit_loss();
}

void IoLoop::submit_loss() {
    owes_loss_ = false;
    submit_event(RecordType::kDisconnected, static_cast<std::uint32_t>(loss_reason_));
}

void IoLoop::submit_event(RecordType type, std::uint32_t reason) {
    SessionEvent event{};
    event.connection = session_.connection();
    event.reason = reason;
    std::memcpy(event.tape_id, session_.tape_id().data(), sizeof event.tape_id);
    if (type == RecordType::kConnected && backfill_.is_running()) {
        event.feed_begins_after = session_.last_feed_sequence();
        event.has_backfill = 1;
    }
    while (parts_.runner->room() <= stopped_count_ && !parts_.runner->is_halted()) {
        // Bounded by the engine, which empties the ring, or halts.
    }
    // Before the engine asks for the fate of its open orders.
    (void)submit_stopped();
    submit(make_slot(type, Source::kIo, 0, clock_.now(wall_ns_), event));
}

// ---- inputs

void IoLoop::submit(const Slot& input) {
    if (parts_.runner->is_halted()) return;
    parts_.runner->submit(input);
    if (parts_.runner->submitted() != settings_.die_after_inputs) return;
    while (!parts_.runner->is_caught_up() && !parts_.runner->is_halted()) {
        // Else a life whose engine thread had no turn yet would leave nothing.
    }
    _exit(kKilledExit);
}

void IoLoop::submit_frame(const Frame& frame, std::size_t first_new) {
    const std::int64_t stamp_ns = clock_.of_frame(frame.header.receive_ts_ns, wall_ns_);
    for (std::size_t i = first_new; i < frame.header.count; ++i) {
        submit(frame.slot(i, stamp_ns));
    }
    if (frame.type() == RecordType::kEnd) end_submitted_ = true;
    // A quarantined line is not a bar of the feed: only with one is backfill over.
    const bool is_live = frame.type() == RecordType::kBarOpen ||
                         frame.type() == RecordType::kBarClose ||
                         frame.type() == RecordType::kTrade;
    if (is_live && backfill_.is_needed()) backfill_.forget();
}

// Reads one of the two sockets until it is empty. False: the connection was lost.
bool IoLoop::receive(Read read) {
    for (int i = 0; i < kFramesMax && !is_finished_; ++i) {
        if (owes_done_) settle();
        if (owes_done_ || parts_.runner->room() < kFrameRecordsMax) return true;
        Frame frame{};
        std::size_t first_new = 0;
        const std::uint64_t begin = ticks();
        const FrameUse use = (session_.*read)(frame, first_new, now_ns_);
        if (use == FrameUse::kNothing) return true;
        if (use == FrameUse::kLost) return false;
        if (use == FrameUse::kReplayed && !backfill_.take(frame)) {
            session_.lose(LossReason::kBadFrame);
            return false;
        }
        if (use == FrameUse::kNotice) take_notice(frame);
        if (use == FrameUse::kIgnored || use == FrameUse::kNotice || use == FrameUse::kReplayed)
            continue;
        decode_ticks_.record(ticks() - begin);
        owes_done_ = session_.is_lockstep();
        if (use == FrameUse::kRecords) submit_frame(frame, first_new);
    }
    has_more_ = true;
    return true;
}

// ---- outputs

// False: the connection was lost while sending.
bool IoLoop::flush_orders() {
    // Bounded: the engine makes orders only from inputs that io has submitted.
    for (const Slot* slot = parts_.orders->front(); slot != nullptr;
         slot = parts_.orders->front()) {
        const std::uint64_t begin = ticks();
        const bool is_for_venue =
            slot->type() != RecordType::kKillState && slot->type() != RecordType::kIdsWanted;
        const bool is_sent = !is_for_venue || session_.send(*slot);
        if (!is_for_venue || session_.was_stopped()) take_unsent(*slot);
        parts_.orders->pop();
        encode_ticks_.record(ticks() - begin);
        if (!is_sent) return false;
    }
    return true;
}

// Brings the open step to its end if the engine gets there within 200 us.
void IoLoop::settle() {
    const std::uint64_t begin = ticks();
    const auto spin = static_cast<std::uint64_t>(static_cast<double>(kSettleSpinNs) / ns_per_tick_);
    bool is_caught_up = parts_.runner->is_caught_up();
    while (!is_caught_up && ticks() - begin < spin) {
        if (!flush_orders()) return on_lost();
        is_caught_up = parts_.runner->is_caught_up();
    }
    if (!flush_orders()) return on_lost();
    if (stopped_count_ > 0 || (owes_ids_ && session_.is_lockstep())) {
        // serve_kill() and serve_ids() tell the engine, before its time may go on
        has_more_ = true;
    } else if (is_caught_up) {
        complete_step();
    }
}

// The engine has consumed what was submitted and its orders have left.
void IoLoop::complete_step() {
    if (parts_.runner->is_halted()) return;
    if (end_submitted_) {
        end_submitted_ = false;
        if (!parts_.journal_thread->wait_synced(parts_.journal->published())) return;
        is_end_consumed_.store(true, std::memory_order_release);
    }
    if (!owes_done_) return;
    owes_done_ = false;
    if (!session_.send_done()) on_lost();
}

void IoLoop::fire_timer() {
    if (session_.is_lockstep() || !is_announced_) return;
    if (now_ns_ - timer_ns_ < kTimerEveryNs || !parts_.runner->is_caught_up()) return;
    const std::int64_t deadline_ns = parts_.runner->view().next_deadline_ns;
    const std::int64_t stamp_ns = clock_.now(wall_ns_);
    if (stamp_ns < deadline_ns || parts_.runner->room() == 0) return;
    timer_ns_ = now_ns_;
    Timer timer{};
    timer.deadline_ns = deadline_ns;
    submit(make_slot(RecordType::kTimer, Source::kIo, 0, stamp_ns, timer));
    settle();
}

// ---- control, stop, status

void IoLoop::serve_control() {
    for (std::size_t i = 0; i < kCommandsMax; ++i) {
        const ControlRequest request = ports_.receive_control();
        if (request == ControlRequest::kNone) return;
        ++status_.control_requests;
        if (request == ControlRequest::kStatus) {
            ports_.answer_control(status_json());
        } else if (request == ControlRequest::kStop) {
            must_stop_.store(true, std::memory_order_release);
            ports_.answer_control(R"({"ok":true,"phase":"stopping"})");
        } else {
            ports_.answer_control(R"({"ok":false,"error":"known requests: status, stop"})");
        }
    }
}

// No new orders, cancels for what rests, then as long as it takes them to be answered.
void IoLoop::advance_stop() {
    if (!must_stop_.load(std::memory_order_acquire) || is_finished_) return;
    if (!is_stop_submitted_) {
        is_stop_submitted_ = true;
        stop_by_ns_ = now_ns_ + settings_.stop_within_ns;
        submit_event(RecordType::kStop, 0);
        settle();
    }
    if (!parts_.runner->is_caught_up() && now_ns_ < stop_by_ns_) return;
    const bool is_alone = session_.phase() < SessionPhase::kReady;
    const bool is_quiet = parts_.runner->view().open_orders == 0 || is_alone;
    if (!is_quiet && now_ns_ < stop_by_ns_) return;
    if (!flush_orders()) on_lost();
    is_finished_ = true;
    if (parts_.journal_thread->wait_synced(parts_.journal->published())) {
        set_phase(Phase::kStopped);
    } else {
        fail_with(parts_.journal_thread->failure());
    }
}

bool IoLoop::command_model(const ModelCommand& command) noexcept {
    const bool is_taken = model_command_.offer(command);
    if (is_taken) wake();
    return is_taken;
}

bool IoLoop::accept_books(const BooksAccepted& accepted) noexcept {
    const bool is_taken = books_accepted_.offer(accepted);
    if (is_taken) wake();
    return is_taken;
}

// What people have ordered enters as an input.
template <typename Order>
void IoLoop::serve_order(RecordType type, OneSlot<Order>& slot) {
    const Order* order = slot.front();
    if (order == nullptr) return;
    const bool is_free = parts_.runner->is_caught_up() && parts_.runner->room() > 0;
    if (!is_free || is_finished_) return;  // the next wake-up
    submit(make_slot(type, Source::kIo, 0, clock_.now(wall_ns_), *order));
    settle();
    slot.pop();
}

void IoLoop::request_stop() noexcept {
    must_stop_.store(true, std::memory_order_release);
    wake();
}

void IoLoop::wake() const noexcept {
    const std::uint64_t one = 1;
    if (wake_event_ >= 0) (void)!::write(wake_event_, &one, sizeof one);
}

void IoLoop::fail_with(Failure failure) {
    if (is_finished_) return;
    {
        const std::lock_guard<std::mutex> lock(failure_mutex_);
        failure_ = std::move(failure);
    }
    parts_.page->write_failure(failure_.text);
    status_.failure_status = static_cast<std::uint64_t>(failure_.status);
    is_finished_ = true;
    set_phase(Phase::kFailed);
}

Failure IoLoop::failure() const {
    const std::lock_guard<std::mutex> lock(failure_mutex_);
    return failure_;
}

void IoLoop::set_phase(Phase phase) noexcept {
    status_.phase = phase;
    phase_.store(phase, std::memory_order_release);
}

void IoLoop::update_phase() noexcept {
    if (is_finished_) return;
    if (is_stop_submitted_) return set_phase(Phase::kStopping);
    const bool is_free = session_.connection() > 0 && !session_.is_lockstep();
    // The venue waits for END's DONE; if that was lost, a HELLO tells it, while it is there.
    if (is_end_consumed() && ended_ns_ == 0) ended_ns_ = now_ns_;
    if (is_end_consumed() && !is_free) {
        is_end_told_ = is_end_told_ || session_.phase() == SessionPhase::kReady ||
                       now_ns_ - ended_ns_ > kEndedWaitNs;
        if (is_end_told_) return set_phase(Phase::kEnded);
    }
    switch (session_.phase()) {
        case SessionPhase::kReady: return set_phase(Phase::kReady);
        case SessionPhase::kReplies:
        case SessionPhase::kQueries:
            return set_phase(backfill_.is_running() ? Phase::kBackfilling : Phase::kReconciling);
        default: return set_phase(Phase::kConnecting);
    }
}

long IoLoop::timeout_ms() {
    if (has_more_) return 0;
    if (owes_ids_) return 1;
    if (!parts_.runner->is_caught_up()) return 1;
    if (is_stop_submitted_ || session_.phase() == SessionPhase::kClosed) return kSoonMs;
    if (session_.must_announce()) return 0;
    if (session_.is_lockstep() || !is_announced_) return kQuietMsMax;
    const std::int64_t deadline_ns = parts_.runner->view().next_deadline_ns;
    const std::int64_t left_ns = deadline_ns - std::min(clock_.now(wall_ns_), deadline_ns);
    return static_cast<long>(std::clamp<std::int64_t>(left_ns / kNsPerMs, 1, kQuietMsMax));
}

void IoLoop::wait() {
    const auto venue = session_.poll_items();
    const auto ports = ports_.poll_items();
    const int kill_wake = parts_.kill == nullptr ? -1 : parts_.kill->words().wake_descriptor();
    std::array<ZmqPollItem, VenueSession::kPollItems + ServicePorts::kPollItems + 2> items{
        venue[0],
        venue[1],
        venue[2],
        ports[0],
        ports[1],
        ZmqPollItem{nullptr, kill_wake, kZmqPollIn, 0},
        ZmqPollItem{nullptr, wake_event_, kZmqPollIn, 0}};
    const int ready = wait_for_sockets(*parts_.zmq, items, timeout_ms());
    if (ready < 0) {
        fail_with(fail(Status::kZmqFailed, "the ZeroMQ context was terminated under the engine"));
    }
    is_feed_alone_ = ready == 1 && items[VenueSession::kFeedItem].revents != 0;
    if (items[items.size() - 2].revents != 0) parts_.kill->words().drain_wakes();
    std::uint64_t count = 0;
    if (items.back().revents != 0) (void)!::read(wake_event_, &count, sizeof count);
}

}  // namespace gm
