// What the venue and io report: acknowledgements, fills, connections, starts and stops.
#include <cstring>

#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::uint32_t kAllInstruments = 0xffffffff;

OrderEvent ended_event(RecordType type) noexcept {
    return type == RecordType::kCancelled ? OrderEvent::kCancelled : OrderEvent::kExpired;
}

}  // namespace

void Engine::on_reply(const Slot& input, Outputs& out) noexcept {
    switch (input.type()) {
        case RecordType::kAck:
            return on_order_event(input.as<Ack>().id, OrderEvent::kAck, RejectReason::kNone, out);
        case RecordType::kReject: {
            const auto reject = input.as<Reject>();
            return on_order_event(reject.id, OrderEvent::kReject, reject.reason, out);
        }
        case RecordType::kFill: return on_fill(input.as<Fill>(), out);
        case RecordType::kCancelled:
        case RecordType::kExpired:
            return on_order_event(input.as<OrderEnded>().id, ended_event(input.type()),
                                  RejectReason::kNone, out);
        case RecordType::kOrderState: return on_state_report(input.as<OrderStateReport>(), out);
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
        default: return;
    }
}

void Engine::on_order_event(const OrderId& id, OrderEvent event, RejectReason reason,
                            Outputs& out) noexcept {
    Order* order = orders_.find(id);
    if (order == nullptr) {  // not ours: an order of a life before this journal
        ++totals_.bad_transitions;
        return;
    }
    const std::uint32_t at = order->request.instrument;
    const OrderState previous = order->state;
    if (orders_.apply(*order, event) != Status::kOk) {
        ++totals_.bad_transitions;
        return halt(at, KillCause::kBadTransition, out);
    }
    if (event == OrderEvent::kReject) {
        order->reject_reason = reason;
        ++totals_.venue_rejects;
    }
    write_order_update(*order, previous, out);
    if (is_terminal(order->state)) {
        desks_[at].target_lots = desks_[at].position.lots;  // what did not trade is not kept
        settle_query(*order);
        become_ready_if_known(out);
        follow_wish(at, out);
    } else if (state_ == EngineState::kStopping) {
        cancel_all(out);
    } else if (event == OrderEvent::kAck) {
        take_back_late(*order, out);
    }
    cancel_if_killed(*order, out);
}

void Engine::on_fill(const Fill& fill, Outputs& out) noexcept {
    Order* order = orders_.find(fill.id);
    if (order == nullptr) {
        ++totals_.bad_transitions;
        return;
    }
    const std::uint32_t at = order->request.instrument;
    Desk& desk = desks_[at];
    const OrderState previous = order->state;
    const std::int64_t before = desk.position.lots;
    if (orders_.apply_fill(*order, fill.quantity_lots, fill.leaves_lots) != Status::kOk ||
        apply_fill(desk.position, order->request.side, fill.price_ticks, fill.quantity_lots,
                   fill.commission_micros,
                   settings_.instruments[at].tick_value_micros) != Status::kOk) {
        ++totals_.bad_transitions;
        return halt(at, KillCause::kBadTransition, out);
    }
    ++totals_.fills;
    orders_.set_position(at, desk.position.lots);
    const bool turned = (before > 0) != (desk.position.lots > 0) || before == 0;
    if (turned) {
        desk.held_bars = 0;
        desk.must_leave = false;
    }
    write_order_update(*order, previous, out);
    write_position(at, out);
    if (is_terminal(order->state)) {
        settle_query(*order);
        become_ready_if_known(out);
        follow_wish(at, out);
    } else {
        take_back_late(*order, out);
    }
    cancel_if_killed(*order, out);
}

// Replies come numbered and without gaps, so by the time a query is answered the engine knows all
// that the venue did: the report can only confirm, or say that it never saw the order.
void Engine::on_state_report(const OrderStateReport& report, Outputs& out) noexcept {
    Order* order = orders_.find(report.id);
    if (order == nullptr) {
        ++totals_.bad_transitions;
        return;
    }
    settle_query(*order);
    Desk& desk = desks_[order->request.instrument];
    const OrderState previous = order->state;
    const bool absent = report.state == OrderState::kAbsent;
    if (absent && !is_terminal(previous)) {
        if (orders_.apply(*order, OrderEvent::kReportAbsent) == Status::kOk) {
            order->is_tombstoned = true;
            desk.target_lots = desk.position.lots;
            write_order_update(*order, previous, out);
        } else {
            ++totals_.bad_transitions;
            halt(order->request.instrument, KillCause::kBadTransition, out);
        }
    } else if (!absent && !is_terminal(report.state) && !is_terminal(previous) &&
               report.filled_lots == order->filled_lots) {
        if (orders_.apply(*order, OrderEvent::kReportLive) == Status::kOk &&
            order->state != previous) {
            write_order_update(*order, previous, out);
        }
        if (state_ == EngineState::kStopping || state_ == EngineState::kEnded) cancel_all(out);
    } else if (absent && previous == OrderState::kNever) {
        order->is_tombstoned = true;  // stopped at the send while the question was on its way
    } else if (report.state != previous || report.filled_lots != order->filled_lots) {
        ++totals_.bad_transitions;
        halt(order->request.instrument, KillCause::kBadTransition, out);
    }
    cancel_if_killed(*order, out);
    become_ready_if_known(out);
    follow_wish(order->request.instrument, out);
}

// A new life: ids restart within a higher epoch, and what was under way is not known any more. The
// level of the kill switch is what it was; what the latch has beyond it comes right behind.
void Engine::on_epoch(const Epoch& epoch, Outputs& out) noexcept {
    stamp_.epoch = epoch.epoch;
    order_counter_ = 0;
    connection_ = 0;
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
    become_ready_if_known(out);
}

void Engine::on_disconnected(Outputs& out) noexcept {
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
    out.send(stamp_, question);
}

// The order's fate is known, by its answer or before it.
void Engine::settle_query(Order& order) noexcept {
    awaiting_queries_ -= order.is_queried ? 1 : 0;
    order.is_queried = false;
}

// If it rests at the venue.
void Engine::cancel(Order& order, Outputs& out) noexcept {
    const bool rests = order.state == OrderState::kLive || order.state == OrderState::kPartial;
    if (!rests || !gate_.may_cancel(stamp_.now_ns)) return;
    const OrderState previous = order.state;
    if (orders_.apply(order, OrderEvent::kCancelSent) != Status::kOk) return;
    write_order_update(order, previous, out);
    CancelOrder cancel{};
    cancel.id = order.request.id;
    cancel.instrument = order.request.instrument;
    cancel.connection = connection_;
    out.send(stamp_, cancel);
}

void Engine::cancel_all(Outputs& out) noexcept {
    orders_.for_each_open([&](Order& order) { cancel(order, out); });
}

// Every order's fate is known: the venue may go on with the feed.
void Engine::become_ready_if_known(Outputs& out) noexcept {
    const bool waits = state_ == EngineState::kRecovering && connection_ != 0;
    if (!waits || awaiting_queries_ > 0 || is_backfilling_) return;
    state_ = has_ended_ ? EngineState::kEnded : EngineState::kReady;
    Ready ready{};
    ready.last_feed_sequence = last_feed_sequence_;
    ready.last_reply_sequence = last_reply_sequence_;
    out.send(stamp_, ready);
    write_state(kAllInstruments, state_, 0, out);
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
