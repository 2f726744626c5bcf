// What the venue and io report: acknowledgements, fills, connections, starts and stops.
#include <cstring>

#include "gm/base/checked.hpp"
#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::uint32_t kAllInstruments = 0xffffffff;

OrderEvent ended_event(RecordType type) noexcept {
    return type == RecordType::kCancelled ? OrderEvent::kCancelled : OrderEvent::kExpired;
}

// The venue ends it and knows of fills that it has not told, or not of one that we have. What they
// traded is unknown until they are told, so nothing may be decided on the position.
bool counts_otherwise(const Order& order, const OrderEnded& ended) noexcept {
    const bool is_ours = order.state != OrderState::kOrphan && !is_terminal(order.state);
    return is_ours && ended.filled_lots != order.filled_lots;
}

}  // namespace

void Engine::on_reply(const Slot& input, Outputs& out) noexcept {
    if (take_recovery(input, out)) return;
    Order* order = orders_.find(input.view<OrderEnded>().id);  // all of them name it first
    if (order == nullptr) return on_stranger(input, out);
    switch (input.type()) {
        case RecordType::kAck:
            return on_order_event(*order, OrderEvent::kAck, RejectReason::kNone, out);
        case RecordType::kReject: return on_reject(*order, input.as<Reject>(), out);
        case RecordType::kReplaced: return on_replaced(*order, input.as<Replaced>(), out);
        case RecordType::kFill: return on_fill(*order, input.as<Fill>(), traded_ns(input), out);
        case RecordType::kCancelled:
        case RecordType::kExpired:
            if (counts_otherwise(*order, input.view<OrderEnded>())) {
                meet_impossible(order->request.instrument, out);
            }
            return on_order_event(*order, ended_event(input.type()), RejectReason::kNone, out);
        case RecordType::kOrderState:
            return on_state_report(*order, input.as<OrderStateReport>(), out);
        default: return;
    }
}

void Engine::on_session(const Slot& input, Outputs& out) noexcept {
    switch (input.type()) {
        case RecordType::kTimer: return on_timer(out);
        case RecordType::kEpoch: return on_epoch(input.as<Epoch>(), out);
        case RecordType::kStop: return on_stop(input.as<SessionEvent>(), out);
        case RecordType::kDisconnected: return on_disconnected(out);
        case RecordType::kConnected: return on_connected(input.as<SessionEvent>(), out);
        case RecordType::kBackfill: {
            return on_backfill(input.as<BarClose>(), input.header.source_ts_ns, out);
        }
        case RecordType::kBackfillEnd: return on_backfill_end(out);
        case RecordType::kModelCommand: return on_model_command(input.as<ModelCommand>(), out);
        case RecordType::kKill: return on_kill(input.as<Kill>(), out);
        case RecordType::kOrderStopped: return on_order_stopped(input.as<OrderStopped>(), out);
        case RecordType::kHeadroom: headroom_ = input.as<Headroom>(); return;
        case RecordType::kPolicyLate: return on_policy_late(input.as<PolicyLate>(), out);
        case RecordType::kIdsReserved: return on_ids_reserved(input.as<IdsReserved>(), out);
        case RecordType::kPositionCheck: {
            return on_position_check(input.as<PositionReport>(), out);
        }
        case RecordType::kBooksAccepted: {
            return on_books_accepted(input.as<BooksAccepted>(), out);
        }
        default: return;
    }
}

void Engine::on_order_event(Order& order, OrderEvent event, RejectReason reason,
                            Outputs& out) noexcept {
    const std::uint32_t at = order.request.instrument;
    const OrderState previous = order.state;
    if (orders_.apply(order, event) != Status::kOk) return meet_impossible(at, out);
    if (event == OrderEvent::kReject) {
        order.reject_reason = reason;
        ++totals_.venue_rejects;
    }
    write_order_update(order, previous, out);
    if (is_terminal(order.state)) {
        forget_target(order);
        settle_query(order);
        become_ready_if_known(out);
        follow_wish(at, out);
    } else {
        cancel_if_stopping(out);
        if (event == OrderEvent::kAck) take_back_late(order, out);
        cancel_if_killed(order, out);
    }
    tend_bracket(at, out);
}

// What did not trade is not kept for later; a bracket's leg is no wish of anybody.
void Engine::forget_target(const Order& order) noexcept {
    Desk& desk = desks_[order.request.instrument];
    if (!order.is_bracket_leg()) desk.target_lots = desk.position.lots;
}

// When it traded, by the venue's stamp; by its arrival where there is none to be believed.
std::int64_t Engine::traded_ns(const Slot& input) const noexcept {
    constexpr std::uint64_t kDayNs = 86'400'000'000'000;
    const std::int64_t stamp_ns = input.header.source_ts_ns;
    std::int64_t age_ns = 0;
    const bool is_absurd =
        sub_overflows(stamp_.now_ns, stamp_ns, age_ns) || magnitude(age_ns) > kDayNs;
    return stamp_ns == 0 || is_absurd ? stamp_.now_ns : stamp_ns;
}

void Engine::on_fill(Order& order, const Fill& fill, std::int64_t traded_ns,
                     Outputs& out) noexcept {
    if (!executions_.insert(fill.execution_id)) {
        ++totals_.repeated_fills;
#ifdef GM_MUTANT_HALT  // takes it for something impossible
        meet_impossible(order.request.instrument, out);
#endif
        return;
    }
    const std::uint32_t at = order.request.instrument;
    const OrderState previous = order.state;
    const bool is_late = is_terminal(previous);
    const std::int64_t before_lots = desks_[at].position.lots;
    const Status taken = is_late ? orders_.apply_late_fill(order, fill.quantity_lots)
                                 : orders_.apply_fill(order, fill.quantity_lots, fill.leaves_lots);
    if (taken != Status::kOk || !book(at, order.request.side, fill))
        return meet_impossible(at, out);
    if (is_late) {
        ++totals_.late_fills;
        meet_impossible(at, out);
        break_reconciliation(
            {0, fill.quantity_lots, last_reply_sequence_, at, ReconField::kLateFill, {}}, out);
    }
    write_order_update(order, previous, out);
    write_position(at, out);
    meet_trip(at, gate_.on_execution(at, order.request.strategy, traded_ns), out);
    if (is_late) return tend_bracket(at, out);
    const bool has_ended = is_terminal(order.state);
    const bool is_leg = order.is_bracket_leg();
    if (has_ended) {
        settle_query(order);
    } else {
        await(order);
        cancel_if_stopping(out);
        take_back_late(order, out);
        cancel_if_killed(order, out);
    }
    // What follows may send an order, which may take the place of one that has ended: this one.
    if (is_leg) after_leg_fill(at, before_lots, out);
    if (has_ended) {
        become_ready_if_known(out);
        follow_wish(at, out);
    }
    tend_bracket(at, out);
}

// What traded has traded, whoever's order it was.
bool Engine::book(std::uint32_t at, Side side, const Fill& fill) noexcept {
    Desk& desk = desks_[at];
    const std::int64_t before = desk.position.lots;
    if (apply_fill(desk.position, side, fill.price_ticks, fill.quantity_lots,
                   fill.commission_micros,
                   settings_.instruments[at].tick_value_micros) != Status::kOk) {
        return false;
    }
    ++totals_.fills;
    note_position(at, before, fill.price_ticks);
    return true;
}

// What else hangs on a position that has changed; one that was opened or turned begins anew.
void Engine::note_position(std::uint32_t at, std::int64_t before_lots,
                           std::int64_t price_ticks) noexcept {
    Desk& desk = desks_[at];
    orders_.set_position(at, desk.position.lots);
    const bool turned = (before_lots > 0) != (desk.position.lots > 0) || before_lots == 0;
    if (!turned) return;
    desk.held_bars = 0;
    desk.must_leave = false;
    if (desk.position.lots != 0) price_bracket(at, price_ticks);
}

// Something happened that must not: nothing is opened on this instrument any more.
void Engine::meet_impossible(std::uint32_t at, Outputs& out) noexcept {
    ++totals_.bad_transitions;
    halt(at, KillCause::kBadTransition, out);
}

void Engine::on_reject(Order& order, const Reject& reject, Outputs& out) noexcept {
    if (reject.replace_id == OrderId{}) {
        // The order came behind the question about it, and its tombstone held: it is as dead as it
        // was.
        if (order.is_tombstoned && reject.reason == RejectReason::kTombstoned) return;
        return on_order_event(order, OrderEvent::kReject, reject.reason, out);
    }
    // It ended before the replace came, or the journal lost that.
    if (is_terminal(order.state) || recovery_.is_lost(reject.replace_id)) return;
    const OrderState previous = order.state;
    if (!(reject.replace_id == order.replace_id) ||
        orders_.apply(order, OrderEvent::kReplaceRefused) != Status::kOk) {
        return meet_impossible(order.request.instrument, out);
    }
    if (reject.reason == RejectReason::kTooLate) {
        await_fill(order);
    } else {
        note_refused_leg(order);
    }
    go_on_after_replace(order, previous, out);
}

void Engine::on_replaced(Order& order, const Replaced& answer, Outputs& out) noexcept {
    const OrderState previous = order.state;
    repeat_lost_replace(order, answer);
    if (orders_.apply_replaced(order, answer) != Status::kOk) {
        return meet_impossible(order.request.instrument, out);
    }
    go_on_after_replace(order, previous, out);
}

// It rests again, and what had to wait for that follows.
void Engine::go_on_after_replace(Order& order, OrderState previous, Outputs& out) noexcept {
    write_order_update(order, previous, out);
    cancel_if_stopping(out);
    take_back_late(order, out);
    cancel_if_killed(order, out);
    tend_bracket(order.request.instrument, out);
}

// Replies come numbered and without gaps, so by the time a query is answered the engine knows all
// that the venue did: the report can only confirm, or say that it never saw the order.
void Engine::on_state_report(Order& order, const OrderStateReport& report, Outputs& out) noexcept {
    const std::uint32_t at = order.request.instrument;
    const bool was_asked = order.is_queried;
    settle_query(order);
    if (report.state == OrderState::kAbsent) {
        take_absence(order, out);
    } else if (!is_terminal(order.state) && !is_terminal(report.state)) {
        take_presence(order, report, out);
        if (!was_asked) await_fill(order);
    } else if (report.state != order.state || report.filled_lots != order.filled_lots) {
        meet_impossible(at, out);
    }
    if (order.state == OrderState::kOrphan && was_asked) cancel(order, out);
    cancel_if_stopping(out);
    cancel_if_killed(order, out);
    become_ready_if_known(out);
    follow_wish(at, out);
    tend_bracket(at, out);
}

// Again, when an older connection had asked too.
void Engine::take_absence(Order& order, Outputs& out) noexcept {
    const std::uint32_t at = order.request.instrument;
    const OrderState previous = order.state;
    if (is_terminal(previous)) {
        // Also of one that was stopped at the send while the question was on its way.
        order.is_tombstoned = order.is_tombstoned || previous == OrderState::kNever;
        return;
    }
    if (orders_.apply(order, OrderEvent::kReportAbsent) != Status::kOk)
        return meet_impossible(at, out);
    order.is_tombstoned = true;
    forget_target(order);
    write_order_update(order, previous, out);
}

void Engine::take_presence(Order& order, const OrderStateReport& report, Outputs& out) noexcept {
    const OrderState previous = order.state;
    const bool is_ours = previous != OrderState::kOrphan;
    if (is_ours &&
        (report.filled_lots != order.filled_lots || report.leaves_lots != order.leaves_lots())) {
        return meet_impossible(order.request.instrument, out);
    }
    const bool is_back = previous == OrderState::kPendingReplace && report.is_replace_absent != 0;
    const OrderEvent event = is_back ? OrderEvent::kReplaceRefused : OrderEvent::kReportLive;
    if (orders_.apply(order, event) != Status::kOk)
        return meet_impossible(order.request.instrument, out);
    if (order.state != previous) {
        write_order_update(order, previous, out);
    } else {
        await(order);
    }
}

// A cancel or a replace came too late for it: what it was too late for comes first. If that does
// not come in time, on_timer() asks. To send it again at once would be answered in the same way.
void Engine::await_fill(Order& order) noexcept {
    order.deadline_ns = stamp_.now_ns + settings_.header.order_timeout_ns;
}

// A new life: ids restart within a higher epoch, and what was under way is not known any more. The
// level of the kill switch is what it was; what the latch has beyond it comes right behind.
void Engine::on_epoch(const Epoch& epoch, Outputs& out) noexcept {
    begin_recovery(epoch);
    stamp_.epoch = epoch.epoch;
    order_counter_ = 0;
    connection_ = 0;
    headroom_ = {};  // io says it again
    lose_sight(out);
    state_ = EngineState::kRecovering;
    write_state(kAllInstruments, state_, 0, out);
}

void Engine::on_connected(const SessionEvent& event, Outputs& out) noexcept {
    connection_ = event.connection;
    std::memcpy(tape_id_.data(), event.tape_id, tape_id_.size());
    is_gapped_ = false;
    is_backfilling_ = event.has_backfill != 0;
    if (is_backfilling_ && event.feed_begins_after > last_feed_sequence_ && needs_backfill()) {
        last_feed_sequence_ = event.feed_begins_after;
    }
    if (state_ == EngineState::kReady) state_ = EngineState::kRecovering;
    orders_.for_each_open([&](Order& order) { query(order, out); });
    ask_range(out);
    become_ready_if_known(out);
}

void Engine::on_disconnected(Outputs& out) noexcept {
    connection_ = 0;
    lose_sight(out);
    if (state_ == EngineState::kReady) state_ = EngineState::kRecovering;
    write_state(kAllInstruments, state_, 0, out);
}

void Engine::on_stop(const SessionEvent& event, Outputs& out) noexcept {
    if (event.reason != 0) halt(kWholeAccount, KillCause::kStopped, out);
    state_ = event.reason != 0 ? EngineState::kHalted : EngineState::kStopping;
    write_state(kAllInstruments, state_, static_cast<std::uint8_t>(event.reason), out);
    cancel_all(out);
}

void Engine::on_end(Outputs& out) noexcept {
    has_ended_ = true;
    state_ = EngineState::kEnded;
    cancel_all(out);
    for (std::uint32_t at = 0; at < desks_.size(); ++at) write_position(at, out);
    write_state(kAllInstruments, state_, 0, out);
}

// The connection or the process is gone: what was not acknowledged may or may not have arrived.
void Engine::lose_sight(Outputs& out) noexcept {
    awaiting_queries_ = 0;
    recovery_.forget_questions();
    for (Desk& desk : desks_) desk.is_reported = false;
    for (Desk& desk : desks_) desk.has_wish = false;  // of a close that is past by then
    orders_.for_each_open([&](Order& order) {
        order.is_queried = false;
        const OrderState previous = order.state;
        if (orders_.apply(order, OrderEvent::kTimeout) == Status::kOk && order.state != previous) {
            write_order_update(order, previous, out);
        }
    });
}

void Engine::query(Order& order, Outputs& out) noexcept {
    if (order.is_queried) return;
    order.is_queried = true;
    ++awaiting_queries_;
    QueryOrder question{};
    question.id = order.request.id;
    question.instrument = order.request.instrument;
    question.connection = connection_;
    if (order.state == OrderState::kPendingReplace) question.replace_id = order.replace_id;
    out.send(stamp_, question);
}

// The order's fate is known, by its answer or before it.
void Engine::settle_query(Order& order) noexcept {
    awaiting_queries_ -= order.is_queried ? 1 : 0;
    order.is_queried = false;
}

// If it rests at the venue.
void Engine::cancel(Order& order, Outputs& out) noexcept {
    const bool rests = order.state == OrderState::kLive || order.state == OrderState::kPartial ||
                       order.state == OrderState::kOrphan;
    if (!rests) return;
    if (!gate_.may_cancel(stamp_.now_ns)) return await_fill(order);
    const OrderState previous = order.state;
    if (orders_.apply(order, OrderEvent::kCancelSent) != Status::kOk) return;
    if (order.state != previous) write_order_update(order, previous, out);
    await(order);
    CancelOrder cancel{};
    cancel.id = order.request.id;
    cancel.instrument = order.request.instrument;
    cancel.connection = connection_;
    out.send(stamp_, cancel);
}

// An answer in time; else on_timer() asks.
void Engine::await(Order& order) noexcept {
    const bool is_awaited =
        order.state == OrderState::kSent || order.state == OrderState::kOrphan ||
        order.state == OrderState::kPendingCancel || order.state == OrderState::kPendingReplace;
    order.deadline_ns = is_awaited ? stamp_.now_ns + settings_.header.order_timeout_ns : INT64_MAX;
}

void Engine::cancel_all(Outputs& out) noexcept {
    orders_.for_each_open([&](Order& order) { cancel(order, out); });
}

// What could not be cancelled before, but for what is being filled.
void Engine::cancel_if_stopping(Outputs& out) noexcept {
    if (state_ != EngineState::kStopping && state_ != EngineState::kEnded) return;
    orders_.for_each_open([&](Order& order) {
        if (!order.is_awaited()) cancel(order, out);
    });
}

// Every order's fate is known: the venue may go on with the feed.
void Engine::become_ready_if_known(Outputs& out) noexcept {
    const bool waits = state_ == EngineState::kRecovering && connection_ != 0;
    if (!waits || awaiting_queries_ > 0 || is_backfilling_ || !is_recovered(out)) return;
    state_ = has_ended_ ? EngineState::kEnded : EngineState::kReady;
    forget_lost_targets();
    Ready ready{};
    ready.last_feed_sequence = last_feed_sequence_;
    ready.last_reply_sequence = last_reply_sequence_;
    out.send(stamp_, ready);
    write_state(kAllInstruments, state_, 0, out);
    tend_brackets(out);
}

void Engine::write_order_update(const Order& order, OrderState previous, Outputs& out) noexcept {
    OrderUpdate update{};
    update.id = order.request.id;
    update.filled_lots = order.filled_lots;
    update.leaves_lots = is_terminal(order.state) ? 0 : order.leaves_lots();
    update.quantity_lots = order.request.quantity_lots;
    update.instrument = order.request.instrument;
    update.state = order.state;
    update.previous = previous;
    update.side = order.request.side;
    update.reason = order.request.reason;
    update.reject_reason = static_cast<std::uint32_t>(order.reject_reason);
    update.tombstoned = order.is_tombstoned ? 1 : 0;
    out.write(stamp_, RecordType::kOrderUpdate, update);
}

}  // namespace gm
