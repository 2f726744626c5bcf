// What a life has to know before it may trade, and what it holds against the venue afterwards; see
// recovery.hpp.
#include <algorithm>

#include "gm/base/checked.hpp"
#include "gm/engine/engine.hpp"

namespace gm {
namespace {

NewOrder request_of(const RangeOrder& found) noexcept {
    NewOrder request{};
    request.id = found.id;
    request.decision_bar_start_ts_ns = found.decision_bar_start_ts_ns;
    request.price_ticks = found.price_ticks;
    request.quantity_lots = found.quantity_lots;
    request.instrument = found.instrument;
    request.side = found.side;
    request.type = found.type;
    request.reason = found.reason;
    request.time_in_force = found.time_in_force;
    request.strategy = found.strategy;
    return request;
}

std::int64_t saturated(Int128 value) noexcept {
    std::int64_t narrow = 0;
    if (!narrow_overflows(value, narrow)) return narrow;
    return value > 0 ? INT64_MAX : INT64_MIN;
}

}  // namespace

const char* describe(Awaited awaited) noexcept {
    switch (awaited) {
        case Awaited::kNothing: return "nothing";
        case Awaited::kConnection: return "connection";
        case Awaited::kBackfill: return "backfill";
        case Awaited::kOrders: return "fate of open orders";
        case Awaited::kRange: return "fate of ids that the journal may have lost";
        case Awaited::kAccount: return "the venue's books";
        case Awaited::kIds: return "reserved ids";
        case Awaited::kReconBreak: return "R19: the venue's books are not ours";
    }
    return "unknown";
}

Awaited Engine::awaited() const noexcept {
    if (recovery_.has_break) return Awaited::kReconBreak;
    if (state_ != EngineState::kRecovering) return Awaited::kNothing;
    if (connection_ == 0) return Awaited::kConnection;
    if (recovery_.is_range_asked) return Awaited::kRange;
    if (recovery_.is_account_asked) return Awaited::kAccount;
    if (awaiting_queries_ > 0) return Awaited::kOrders;
    return is_backfilling_ ? Awaited::kBackfill : Awaited::kIds;
}

// A life that ended by itself left its whole journal. Of any other one the last records may be
// gone: what it could have sent under them lies between its last known id and its reservation.
void Engine::begin_recovery(const Epoch& epoch) noexcept {
    Recovery next;
    next.lost = recovery_.lost;
    next.lost_until = recovery_.lost_until;
    next.has_break = recovery_.has_break;
    next.counts_open_orders = recovery_.counts_open_orders;
    next.break_sha256 = recovery_.break_sha256;
    next.is_reconciled = epoch.is_reconciled != 0;
    if (epoch.clean == 0 && recovery_.ids_wanted > order_counter_) {
        next.lost = {settings_.header.installation, stamp_.epoch, order_counter_ + 1};
        next.lost_until = recovery_.ids_wanted;
    }
    next.has_lost = next.lost.counter != 0;
    recovery_ = next;
    for (Desk& desk : desks_) desk.market.restart_event_clock();
}

// The decisions behind what the journal lost are lost as well, the venue's fills are not: nobody
// decided to trade back what they changed.
void Engine::forget_lost_targets() noexcept {
    if (!recovery_.has_lost) return;
    recovery_.has_lost = false;
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        Desk& desk = desks_[at];
        bool is_pursued = false;
        orders_.for_each_open([&](const Order& order) {
            is_pursued |= order.request.instrument == at && !order.is_bracket_leg();
        });
        if (!is_pursued) desk.target_lots = desk.position.lots;
    }
}

void Engine::ask_range(Outputs& out) noexcept {
    if (recovery_.lost.counter == 0 || recovery_.is_range_asked) return;
    recovery_.is_range_asked = true;
    ++awaiting_queries_;
    QueryRange question{};
    question.first = recovery_.lost;
    question.last_counter = recovery_.lost_until;
    question.connection = connection_;
    out.send(stamp_, question);
}

// Every order's fate is known: the rest, one question after the other. True: READY.
bool Engine::is_recovered(Outputs& out) noexcept {
    if (!recovery_.is_reconciled) return true;
    if (!recovery_.is_account_known) {
        recovery_.is_account_asked = true;
        ++awaiting_queries_;
        QueryAccount question{};
        question.connection = connection_;
        out.send(stamp_, question);
        return false;
    }
    if (recovery_.has_break) return false;
    if (recovery_.ids_wanted == 0) want_ids(out);
    return recovery_.ids_reserved > 0;
}

// ---- ids

// Not before READY has asked for the first: a life that has ids left a range behind it.
OrderId Engine::take_id(Outputs& out) noexcept {
    ++order_counter_;
    const bool is_half_used = order_counter_ + kIdBlock / 2 > recovery_.ids_wanted;
    if (recovery_.ids_wanted != 0 && is_half_used) want_ids(out);
    return {settings_.header.installation, stamp_.epoch, order_counter_};
}

void Engine::want_ids(Outputs& out) noexcept {
    recovery_.ids_wanted = order_counter_ + kIdBlock;
    IdsWanted wanted{};
    wanted.last_counter = recovery_.ids_wanted;
    wanted.epoch = stamp_.epoch;
    out.send(stamp_, wanted);
}

void Engine::on_ids_reserved(const IdsReserved& reserved, Outputs& out) noexcept {
    if (reserved.epoch != stamp_.epoch || reserved.last_counter > recovery_.ids_wanted) return;
    recovery_.ids_reserved = std::max(recovery_.ids_reserved, reserved.last_counter);
    become_ready_if_known(out);
}

// ---- orders that the journal lost

bool Engine::take_recovery(const Slot& input, Outputs& out) noexcept {
    switch (input.type()) {
        case RecordType::kRangeOrder: on_range_order(input.as<RangeOrder>(), out); return true;
        case RecordType::kRangeEnd: on_range_end(input.as<RangeEnd>(), out); return true;
        case RecordType::kPositionReport: {
            on_position_report(input.as<PositionReport>(), out);
            return true;
        }
        default: return false;
    }
}

// The replies about it come again before anything is asked: its acknowledgement first. What is
// neither that nor a fill is about an order that cannot trade.
void Engine::on_lost(const Slot& input, Outputs& out) noexcept {
    NewOrder found{};
    if (input.type() == RecordType::kAck) {
        const auto ack = input.as<Ack>();
        found.id = ack.id;
        found.instrument = ack.instrument;
        found.side = ack.side;
        found.quantity_lots = ack.quantity_lots;
        (void)adopt_own(found, out);
    } else if (input.type() == RecordType::kFill) {
        const auto fill = input.as<Fill>();
        found.id = fill.id;
        found.instrument = fill.instrument;
        found.side = fill.side;
        if (add_overflows(fill.quantity_lots, fill.leaves_lots, found.quantity_lots)) return;
        Order* order = adopt_own(found, out);
        if (order != nullptr) on_fill(*order, fill, traded_ns(input), out);
    }
}

// As if its INTENT and its acknowledgement were in the journal. nullptr: it cannot be held, and
// all that is left is to halt.
Order* Engine::adopt_own(const NewOrder& found, Outputs& out) noexcept {
    if (found.instrument >= desks_.size()) {
        ++totals_.bad_transitions;
        return nullptr;
    }
    Order* order = found.quantity_lots > 0 ? orders_.insert(found) : nullptr;
    if (order == nullptr || orders_.apply(*order, OrderEvent::kSend) != Status::kOk ||
        orders_.apply(*order, OrderEvent::kAck) != Status::kOk) {
        meet_impossible(found.instrument, out);
        return nullptr;
    }
    ++totals_.recovered;
    write_order_update(*order, OrderState::kAbsent, out);
    return order;
}

// The replace that the journal lost, as if it were there.
void Engine::repeat_lost_replace(Order& order, const Replaced& answer) noexcept {
    const bool rests = order.state == OrderState::kLive || order.state == OrderState::kPartial;
    if (!rests || !recovery_.is_lost(answer.replace_id)) return;
    ReplaceOrder lost{};
    lost.id = answer.id;
    lost.replace_id = answer.replace_id;
    lost.price_ticks = answer.price_ticks;
    lost.quantity_lots = answer.quantity_lots;
    (void)orders_.send_replace(order, lost);  // refused: the answer then fits no state
}

// All that the venue ever said of the order has come before this, or its books cannot agree. The
// answer to a question that was put again is the same, and changes nothing.
void Engine::on_range_order(const RangeOrder& found, Outputs& out) noexcept {
    const std::uint32_t at = found.instrument;
    if (!recovery_.is_lost(found.id) || at >= desks_.size()) {
        ++totals_.bad_transitions;
        return;
    }
    Order* order = orders_.find(found.id);
    const bool is_over = is_terminal(found.state);
    if (order == nullptr) {
        if (!is_over) order = adopt_own(request_of(found), out);
        if (order == nullptr) return;
    }
    const bool is_same = is_over == is_terminal(order->state) &&
                         found.side == order->request.side && at == order->request.instrument &&
                         found.filled_lots == order->filled_lots &&
                         found.quantity_lots == order->request.quantity_lots &&
                         (!is_over || found.state == order->state);
    if (!is_same) return meet_impossible(at, out);
    order->request = request_of(found);
    if (is_over) return;
    Bracket& bracket = desks_[at].bracket;
    if (order->is_bracket_leg()) {
        order->parent = 0;
        bracket.legs[found.reason == OrderReason::kStop ? 0 : 1].id = found.id;
    }
    cancel_if_stopping(out);
    cancel_if_killed(*order, out);
}

void Engine::on_range_end(const RangeEnd& end, Outputs& out) noexcept {
    const bool is_answer = recovery_.is_range_asked && end.first == recovery_.lost &&
                           end.last_counter == recovery_.lost_until;
    if (!is_answer) return;  // to a question that was put again
    recovery_.lost = {};
    recovery_.lost_until = 0;
    recovery_.is_range_asked = false;
    --awaiting_queries_;
    become_ready_if_known(out);
}

// ---- the venue's books

// The first field in which the venue's last report and our books differ.
ReconBreak Engine::compare(std::uint32_t at) const noexcept {
    const BooksRow row = books_row(at);
    ReconBreak found{};
    found.instrument = at;
    found.last_reply_sequence = last_reply_sequence_;
    const auto differ = [&](ReconField field, Int128 ours, Int128 venues) {
        found.field = field;
        found.ours = saturated(ours);
        found.venues = saturated(venues);
    };
    if (row.ours.position_lots != row.venues.position_lots) {
        differ(ReconField::kPosition, row.ours.position_lots, row.venues.position_lots);
    } else if (!row.is_known || row.ours.cash_micros != row.venues.cash_micros) {
        differ(ReconField::kCash, row.ours.cash_micros, row.venues.cash_micros);
    } else if (row.ours.commission_micros != row.venues.commission_micros) {
        differ(ReconField::kCommission, row.ours.commission_micros, row.venues.commission_micros);
    } else if (row.open_orders != row.venues_open_orders) {
        differ(ReconField::kOpenOrders, row.open_orders, row.venues_open_orders);
    }
    return found;
}

// Of the instruments that no report named, the first in which we have something.
ReconBreak Engine::compare_unnamed() noexcept {
    ReconBreak found{};
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        const bool was_named = desks_[at].is_reported;
        desks_[at].is_reported = false;
        if (was_named) continue;
        desks_[at].venues = {};
        if (found.field == ReconField::kNone) found = compare(at);
    }
    return found;
}

// The first difference of a whole report; false: there is more of it to come. Open orders count
// only where none can be on its way, and while a break stands in which they counted.
bool Engine::take_report(const PositionReport& report, bool with_open_orders,
                         ReconBreak& first) noexcept {
    // What people are shown of a break has the orders until it is over.
    recovery_.counts_open_orders =
        with_open_orders || (recovery_.has_break && recovery_.counts_open_orders);
    if (report.instrument >= desks_.size()) {
        recovery_.has_foreign = true;
        first = {
            0, report.position_lots, last_reply_sequence_, report.instrument, ReconField::kPosition,
            {}};
    } else {
        desks_[report.instrument].is_reported = true;
        desks_[report.instrument].venues = report;
        first = compare(report.instrument);
    }
    if (report.is_last == 0) return false;
    if (first.field == ReconField::kNone) first = compare_unnamed();
    return true;
}

// Of a whole report.
void Engine::conclude_report(Outputs& out) noexcept {
    if (!recovery_.differs) end_break(out);
    recovery_.break_sha256 = break_digest();
    recovery_.differs = recovery_.has_foreign = false;
}

// A numbered reply: its place among the others is exact, and so are its books.
void Engine::on_position_report(const PositionReport& report, Outputs& out) noexcept {
    const bool was_asked = recovery_.is_account_asked;
    ReconBreak found{};
    const bool is_whole = take_report(report, was_asked, found);
    if (found.field != ReconField::kNone) {
        recovery_.differs = true;
        break_reconciliation(found, out);
    }
    if (!is_whole) return;
    conclude_report(out);
    if (!was_asked) return;
    recovery_.is_account_asked = false;
    recovery_.is_account_known = true;
    --awaiting_queries_;
    become_ready_if_known(out);
}

// What the venue says unasked. A difference has to last: an answer may be late.
void Engine::on_position_check(const PositionReport& report, Outputs& out) noexcept {
    if (!recovery_.is_reconciled || report.last_reply_sequence != last_reply_sequence_) return;
    ReconBreak found{};
    const bool is_whole = take_report(report, false, found);
    recovery_.differs = recovery_.differs || found.field != ReconField::kNone;
    if (found.field != ReconField::kNone) {
        recovery_.differs_since_ns = std::min(recovery_.differs_since_ns, stamp_.now_ns);
        const std::int64_t set_ns = settings_.header.recon_break_after_ns;
        const std::int64_t after_ns = set_ns > 0 ? set_ns : kReconBreakAfterNs;
        if (stamp_.now_ns - recovery_.differs_since_ns >= after_ns) {
            break_reconciliation(found, out);
        }
    }
    if (is_whole) conclude_report(out);
}

// R19. Halted until the books agree again, or two people have accepted the venue's, and two have
// signed for the level.
void Engine::break_reconciliation(const ReconBreak& found, Outputs& out) noexcept {
    if (!recovery_.is_reconciled) return;
    const bool is_new = !recovery_.has_break;
    if (is_new) out.write(stamp_, RecordType::kReconBreak, found);
    recovery_.has_break = true;
    halt(kWholeAccount, KillCause::kReconBreak, out, is_new);
}

void Engine::end_break(Outputs& out) noexcept {
    recovery_.differs_since_ns = INT64_MAX;
    recovery_.break_sha256 = {};
    if (!recovery_.has_break) return;
    recovery_.has_break = false;
    ReconBreak none{};
    none.last_reply_sequence = last_reply_sequence_;
    none.instrument = kWholeAccount;
    out.write(stamp_, RecordType::kReconBreak, none);
}

}  // namespace gm
