// What the trader says, and the venue's numbered answers.
#include <tuple>

#include "gm/venue/venue.hpp"

namespace gm {
namespace {

bool is_known_type(OrderType type) noexcept {
    return type == OrderType::kMarket || type == OrderType::kLimit || type == OrderType::kStop;
}

bool is_known_time(TimeInForce time) noexcept {
    return time <= TimeInForce::kFillOrKill;
}

bool is_known_side(Side side) noexcept {
    return side == Side::kBuy || side == Side::kSell;
}

}  // namespace

void Venue::on_session(std::uint32_t epoch, std::uint32_t connection) noexcept {
    if (is_stale(epoch, connection)) return;
    epoch_ = epoch;
    connection_ = connection;
}

bool Venue::is_stale(std::uint32_t epoch, std::uint32_t connection) const noexcept {
    return std::tie(epoch, connection) < std::tie(epoch_, connection_);
}

// An id that is taken stays as it is. Every other order is written into the ledger, also when it
// is refused, so that a later query finds what became of it.
void Venue::on_order(const NewOrder& order, const Sender& sender) noexcept {
    const bool is_old = is_stale(sender.epoch, sender.connection);
    if (is_old) ledger_.count_stale_message();
    if (order.id.counter == 0) {
        if (!is_old) write_reject(order.id, RejectReason::kMalformed);
        return;
    }
    const bool is_buried = ledger_.is_buried(order.id);
    if (is_buried || ledger_.find(order.id) != nullptr) {
        ledger_.count_repeated_id();
        // The sender of a stale message is gone, and its heir has been told about this id.
        if (is_old) return;
        return write_reject(order.id,
                            is_buried ? RejectReason::kTombstoned : RejectReason::kDuplicateId);
    }

    LedgerOrder entry{};
    entry.id = order.id;
    entry.decision_bar_start_ts_ns = order.decision_bar_start_ts_ns;
    entry.received_ts_ns = sender.received_ts_ns;
    entry.price_ticks = order.price_ticks;
    entry.quantity_lots = order.quantity_lots;
    entry.instrument = order.instrument;
    entry.connection = order.connection;
    entry.side = order.side;
    entry.type = order.type;
    entry.reason = order.reason;
    entry.time_in_force = order.time_in_force;
    entry.strategy = order.strategy;
    entry.state = OrderState::kLive;
    entry.reject_reason = check(order, sender);
    if (entry.reject_reason == RejectReason::kNone) {
        entry.venue_order = ++venue_orders_;
        if (dice_.hits(entry.venue_order, 0, settings_.reject_ppm)) {
            entry.reject_reason = RejectReason::kRandom;
        }
    }
    if (entry.reject_reason != RejectReason::kNone) {
        entry.state = OrderState::kRejected;
        entry.ended_ts_ns = now_ns_;
    }
    const LedgerOrder* taken = ledger_.insert(entry);
    if (taken == nullptr) return stop(Status::kOutOfMemory);
    if (taken->state == OrderState::kRejected) return write_reject(order.id, taken->reject_reason);
    start_working(*taken);
    Ack ack{};
    ack.id = taken->id;
    ack.venue_order = taken->venue_order;
    ack.instrument = taken->instrument;
    ack.side = taken->side;
    ack.quantity_lots = taken->quantity_lots;
    write_reply(RecordType::kAck, ack, ack_delay_ns_);
}

RejectReason Venue::check(const NewOrder& order, const Sender& sender) const noexcept {
    if (is_stale(sender.epoch, sender.connection)) {
        return sender.epoch < epoch_ ? RejectReason::kOldEpoch : RejectReason::kOldConnection;
    }
    // Nothing is sent twice: an id of an older life cannot be a new order.
    if (order.id.epoch < sender.epoch) return RejectReason::kOldEpoch;
    const bool has_price = order.type != OrderType::kMarket;
    std::int64_t value_micros = 0;
    if (order.id.epoch > sender.epoch || order.instrument != settings_.instrument ||
        order.quantity_lots <= 0 || !is_known_type(order.type) || !is_known_side(order.side) ||
        !is_known_time(order.time_in_force) ||
        (has_price && order.price_ticks % instrument_.order_tick_ticks != 0) ||
        mul_overflows(order.quantity_lots, instrument_.tick_value_micros, value_micros)) {
        return RejectReason::kMalformed;
    }
    if (sender.received_ts_ns > order.valid_until_ns) return RejectReason::kPastValidity;
    return has_ended_ ? RejectReason::kMarketClosed : RejectReason::kNone;
}

void Venue::start_working(const LedgerOrder& order) noexcept {
    Working working{};
    working.row = static_cast<std::uint32_t>(&order - ledger_.orders().data());
    wait_anew(working);
    working_.push_back(working);
}

// From now on, and behind the latency.
void Venue::wait_anew(Working& working) const noexcept {
    const auto latency = static_cast<std::uint64_t>(latency_opens_);
    working.event = events_;
    working.opens_before = opens_ + latency;
    working.opens_within = opens_ + latency + (is_in_bar_ ? 0 : 1);
    if (add_overflows(now_ns_, settings_.latency_ns, working.due_ts_ns)) {
        working.due_ts_ns = INT64_MAX;
    }
}

// An unknown id is buried: the cancel may have overtaken an order that must now never be taken.
void Venue::on_cancel(const CancelOrder& cancel, const Sender& sender) noexcept {
    if (is_stale(sender.epoch, sender.connection)) return ledger_.count_stale_message();
    LedgerOrder* order = ledger_.find(cancel.id);
    if (order == nullptr || !order->is_open() || is_being_filled(*order)) {
        ledger_.count_late_cancel();
        return write_state(cancel.id, order);
    }
    ledger_.end(*order, OrderState::kCancelled, now_ns_);
    write_ended(RecordType::kCancelled, *order);
}

// The id of a replace is taken once, whatever becomes of it; of an order that does nothing more it
// is refused. One that a query has buried, or that came before, is dropped: its sender knows.
void Venue::on_replace(const ReplaceOrder& replace, const Sender& sender) noexcept {
    if (is_stale(sender.epoch, sender.connection)) return ledger_.count_stale_message();
    LedgerOrder* order = ledger_.find(replace.id);
    const RejectReason reason = check_replace(order, replace, sender);
    const Status taken = ledger_.take_replace(replace.replace_id, reason != RejectReason::kNone);
    if (taken == Status::kBadArgument) return ledger_.count_repeated_id();
    if (taken != Status::kOk) return stop(taken);
    if (reason != RejectReason::kNone) {
        Reject reject{};
        reject.id = replace.id;
        reject.instrument = settings_.instrument;
        reject.reason = reason;
        reject.replace_id = replace.replace_id;
        return write_reply(RecordType::kReject, reject);
    }
    const bool keeps_turn =
        replace.price_ticks == order->price_ticks && replace.quantity_lots <= order->quantity_lots;
    order->price_ticks = replace.price_ticks;
    order->quantity_lots = replace.quantity_lots;
    for (Working& working : working_) {
        if (!keeps_turn && &ledger_.orders()[working.row] == order) wait_anew(working);
    }
    Replaced answer{};
    answer.id = order->id;
    answer.replace_id = replace.replace_id;
    answer.price_ticks = order->price_ticks;
    answer.quantity_lots = order->quantity_lots;
    answer.filled_lots = order->filled_lots;
    answer.instrument = order->instrument;
    write_reply(RecordType::kReplaced, answer, ack_delay_ns_);
}

RejectReason Venue::check_replace(const LedgerOrder* order, const ReplaceOrder& replace,
                                  const Sender& sender) const noexcept {
    if (order == nullptr || !order->is_open() || is_being_filled(*order)) {
        return RejectReason::kTooLate;
    }
    const bool has_price = order->type != OrderType::kMarket;
    std::int64_t value_micros = 0;
    if (replace.replace_id.counter == 0 || replace.instrument != order->instrument ||
        (has_price ? replace.price_ticks % instrument_.order_tick_ticks != 0
                   : replace.price_ticks != 0) ||
        mul_overflows(replace.quantity_lots, instrument_.tick_value_micros, value_micros)) {
        return RejectReason::kMalformed;
    }
    if (replace.quantity_lots <= order->filled_lots) return RejectReason::kTooLate;
    return sender.received_ts_ns > replace.valid_until_ns ? RejectReason::kPastValidity
                                                          : RejectReason::kNone;
}

// A replace that it names and that has not come is buried, so that the answer stays true.
void Venue::on_query(const QueryOrder& query, const Sender& sender) noexcept {
    if (is_stale(sender.epoch, sender.connection)) return ledger_.count_stale_message();
    const LedgerOrder* order = ledger_.find(query.id);
    bool is_absent = false;
    if (order != nullptr && order->is_open() && query.replace_id.counter != 0) {
        const Status buried = ledger_.bury(query.replace_id);
        if (buried == Status::kOutOfMemory) return stop(buried);
        is_absent = buried == Status::kOk;
    }
    write_state(query.id, order, is_absent);
}

// ---- replies

template <typename P>
void Venue::write_reply(RecordType type, const P& payload, std::int64_t delay_ns) noexcept {
    if (replies_.size() == kRepliesPerOrder * ledger_.orders_max()) {
        return stop(Status::kOutOfMemory);
    }
    Slot slot = make_slot(type, Source::kVenueOrders, replies_.size() + 1, now_ns_, payload);
    if (add_overflows(now_ns_, delay_ns, slot.header.source_ts_ns)) {
        slot.header.source_ts_ns = INT64_MAX;
    }
    if (hook_.take != nullptr && !hook_.take(hook_.context, slot)) return;
    slot.header.first_sequence = replies_.size() + 1;  // whoever took it may have said others
    replies_.push_back(slot);
}

void Venue::say(const Slot& reply) noexcept {
    if (replies_.size() == kRepliesPerOrder * ledger_.orders_max()) {
        return stop(Status::kOutOfMemory);
    }
    replies_.push_back(reply);
    replies_.back().header.first_sequence = replies_.size();
}

bool Venue::cancel_unasked(const OrderId& id) noexcept {
    LedgerOrder* order = ledger_.find(id);
    if (order == nullptr || !order->is_open() || is_being_filled(*order)) return false;
    ledger_.end(*order, OrderState::kCancelled, now_ns_);
    write_ended(RecordType::kCancelled, *order);
    return true;
}

template void Venue::write_reply(RecordType, const Fill&, std::int64_t) noexcept;
template void Venue::write_reply(RecordType, const RangeOrder&, std::int64_t) noexcept;
template void Venue::write_reply(RecordType, const RangeEnd&, std::int64_t) noexcept;
template void Venue::write_reply(RecordType, const PositionReport&, std::int64_t) noexcept;

void Venue::write_reject(const OrderId& id, RejectReason reason) noexcept {
    Reject reject{};
    reject.id = id;
    reject.instrument = settings_.instrument;
    reject.reason = reason;
    write_reply(RecordType::kReject, reject);
}

void Venue::write_ended(RecordType type, const LedgerOrder& order) noexcept {
    OrderEnded ended{};
    ended.id = order.id;
    ended.filled_lots = order.filled_lots;
    ended.instrument = order.instrument;
    write_reply(type, ended);
}

// kAbsent is said only after the tombstone is in the ledger.
void Venue::write_state(const OrderId& id, const LedgerOrder* order,
                        bool is_replace_absent) noexcept {
    OrderStateReport report{};
    report.id = id;
    report.instrument = settings_.instrument;
    if (order != nullptr) {
        report.filled_lots = order->filled_lots;
        report.leaves_lots = order->is_open() ? order->leaves_lots() : 0;
        report.instrument = order->instrument;
        report.state = order->state;
        report.side = order->side;
        report.is_replace_absent = is_replace_absent ? 1 : 0;
    } else if (const Status buried = ledger_.bury(id); buried != Status::kOk) {
        return stop(buried);
    }
    write_reply(RecordType::kOrderState, report);
}

}  // namespace gm
