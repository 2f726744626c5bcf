#include "gm/orders/order_table.hpp"

#include "gm/base/checked.hpp"
#include "gm/base/touch.hpp"

namespace gm {
namespace {

constexpr OrderState kRefused = OrderState::kAbsent;

bool stays_when_filled(OrderState state) noexcept {
    return state == OrderState::kPendingCancel || state == OrderState::kPendingReplace ||
           state == OrderState::kOrphan;
}

OrderState after_fill(OrderState state, bool is_complete) noexcept {
    if (is_complete) return OrderState::kFilled;
    return stays_when_filled(state) ? state : OrderState::kPartial;
}

// What the venue says of an order that it has: any order that may still trade takes it.
OrderState from_venue(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        case OrderEvent::kFill: return after_fill(state, is_complete);
        case OrderEvent::kCancelled: return OrderState::kCancelled;
        case OrderEvent::kExpired: return OrderState::kExpired;
        default: return kRefused;
    }
}

OrderState from_waiting(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        case OrderEvent::kAck: return OrderState::kLive;
        case OrderEvent::kReject: return OrderState::kRejected;
#ifdef GM_MUTANT_P3
        case OrderEvent::kTimeout: return OrderState::kRejected;
#else
        case OrderEvent::kTimeout: return OrderState::kUnknown;
#endif
        case OrderEvent::kReportAbsent: return OrderState::kNever;
        case OrderEvent::kReportLive: return OrderState::kLive;
        default: return from_venue(state, event, is_complete);
    }
}

OrderState from_resting(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        case OrderEvent::kCancelSent: return OrderState::kPendingCancel;
        case OrderEvent::kReplaceSent: return OrderState::kPendingReplace;
        case OrderEvent::kReportLive:
        case OrderEvent::kTimeout: return state;  // it was acknowledged: silence proves nothing
        default: return from_venue(state, event, is_complete);
    }
}

OrderState from_pending_cancel(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        case OrderEvent::kCancelSent:
        case OrderEvent::kTimeout: return state;
        // A cancel that came too late is over: the order may be cancelled again.
        case OrderEvent::kReportLive: return OrderState::kLive;
        default: return from_venue(state, event, is_complete);
    }
}

OrderState from_pending_replace(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        // The report may have been written before the replace came.
        case OrderEvent::kReportLive:
        case OrderEvent::kTimeout: return state;
        case OrderEvent::kReplaced:
        case OrderEvent::kReplaceRefused: return OrderState::kLive;
        default: return from_venue(state, event, is_complete);
    }
}

// It is cancelled, again and again, and is nothing else.
OrderState from_orphan(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        case OrderEvent::kAck:
        case OrderEvent::kCancelSent:
        case OrderEvent::kReportLive:
        case OrderEvent::kTimeout: return state;
        default: return from_venue(state, event, is_complete);
    }
}

}  // namespace

OrderState next_state(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (state) {
        case OrderState::kIntent:
            return event == OrderEvent::kSend ? OrderState::kSent
                                              : from_waiting(state, event, is_complete);
        case OrderState::kSent:
        case OrderState::kUnknown: return from_waiting(state, event, is_complete);
        case OrderState::kLive:
        case OrderState::kPartial: return from_resting(state, event, is_complete);
        case OrderState::kPendingCancel: return from_pending_cancel(state, event, is_complete);
        case OrderState::kPendingReplace: return from_pending_replace(state, event, is_complete);
        case OrderState::kOrphan: return from_orphan(state, event, is_complete);
        default: return kRefused;
    }
}

Failure OrderTable::open(std::size_t instruments) {
    orders_.assign(kPlaces, Order{});
    open_.assign(kOpenOrdersMax, 0);
    open_count_ = 0;
    next_place_ = 0;
    exposure_.assign(instruments, Exposure{});
    parents_.assign(instruments, ParentRow{});
    is_changed_.assign(instruments, 0);
    changed_.assign(instruments, 0);
    changed_count_ = 0;
    open_by_instrument_.assign(instruments, 0);
    unknown_by_instrument_.assign(instruments, 0);
    return ok();
}

void OrderTable::touch(std::size_t instrument) const noexcept {
    gm::touch(&orders_[next_place_], sizeof orders_[next_place_]);
    gm::touch(&open_[open_count_ % kOpenOrdersMax], sizeof open_[0]);
    gm::touch(&exposure_[instrument], sizeof exposure_[instrument]);
    gm::touch(&open_by_instrument_[instrument], sizeof open_by_instrument_[instrument]);
    gm::touch(&unknown_by_instrument_[instrument], sizeof unknown_by_instrument_[instrument]);
}

Order* OrderTable::take_place(const NewOrder& request, OrderState state) noexcept {
    if (open_count_ == kOpenOrdersMax || request.instrument >= exposure_.size()) return nullptr;
    // Half of the places at most are open, so a terminal one is found within kPlaces steps.
    while (orders_[next_place_].request.id.counter != 0 &&
           !is_terminal(orders_[next_place_].state)) {
        next_place_ = (next_place_ + 1) % kPlaces;
    }
#if !defined GM_MUTANT_P14 && !defined GM_MUTANT_P14S  // what is in flight is not counted
    if (!reserve(exposure_[request.instrument], request.side, request.quantity_lots)) {
        return nullptr;
    }
#endif
    note_change(request.instrument);
    Order& order = orders_[next_place_];
    order = Order{};
    order.request = request;
    order.state = state;
    open_[open_count_++] = static_cast<std::uint32_t>(next_place_);
    next_place_ = (next_place_ + 1) % kPlaces;
    ++open_by_instrument_[request.instrument];
    return &order;
}

Order* OrderTable::insert(const NewOrder& request) noexcept {
    Order* order = take_place(request, OrderState::kIntent);
    if (order == nullptr || order->is_bracket_leg()) return order;
    ParentRow& parent = parents_[request.instrument];
    if (!parent.has_order) parent.start_lots = exposure_[request.instrument].position_lots;
    parent.has_order = true;
    order->parent = parent.number;
    return order;
}

void OrderTable::begin_parent(std::uint32_t instrument, std::int64_t target_lots) noexcept {
    ParentRow& parent = parents_[instrument];
    parent = {target_lots, 0, 0, parent.number + 1, false};
}

Parent OrderTable::parent(std::uint32_t instrument) const noexcept {
    const ParentRow& row = parents_[instrument];
    if (row.number == 0) return {};
    const std::int64_t start = row.has_order ? row.start_lots : exposure_[instrument].position_lots;
    Parent parent{0, row.filled_lots};
    if (sub_overflows(row.target_lots, start, parent.lots)) parent.lots = 0;
    return parent;
}

OwnOrders OrderTable::own_orders(std::uint32_t instrument, const Order* except) const noexcept {
    OwnOrders own;
    if (open_by_instrument_[instrument] == 0) return own;
    for (std::size_t i = 0; i < open_count_; ++i) {
        const Order& order = orders_[open_[i]];
        if (order.request.instrument != instrument || &order == except) continue;
        const bool buys = order.request.side == Side::kBuy;
        const bool is_stop = order.request.reason == OrderReason::kStop;
        std::int64_t& lots = is_stop                  ? own.stop_lots
                             : order.is_bracket_leg() ? own.target_lots
                             : buys                   ? own.buy_lots
                                                      : own.sell_lots;
        if (add_overflows(lots, order.reserved_lots(), lots)) lots = INT64_MAX;
        if (order.request.type != OrderType::kLimit) continue;
        // Whichever way a replace is answered.
        const std::int64_t price = order.request.price_ticks;
        const std::int64_t wanted = order.wanted_lots > 0 ? order.wanted_price_ticks : price;
        if (buys) own.bid_ticks = std::max({own.bid_ticks, price, wanted});
        if (!buys) own.ask_ticks = std::min({own.ask_ticks, price, wanted});
    }
    return own;
}

// Of the decision that stands; what an older one still trades is its own.
void OrderTable::count_fill(const Order& order, std::int64_t quantity_lots) noexcept {
    ParentRow& parent = parents_[order.request.instrument];
    if (order.parent == 0 || order.parent != parent.number) return;
    if (add_overflows(parent.filled_lots, quantity_lots, parent.filled_lots)) {
        parent.filled_lots = INT64_MAX;
    }
}

Order* OrderTable::adopt(const NewOrder& found) noexcept {
    return take_place(found, OrderState::kOrphan);
}

// Newest first: the order that a message is about is nearly always the last one.
Order* OrderTable::find(const OrderId& id) noexcept {
    if (id.counter == 0) return nullptr;  // as in a place that was never taken
    for (std::size_t i = 1; i <= kPlaces; ++i) {
        Order& order = orders_[(next_place_ + kPlaces - i) % kPlaces];
        if (order.request.id == id) return &order;
    }
    return nullptr;
}

Status OrderTable::apply(Order& order, OrderEvent event) noexcept {
    const bool has_data = event == OrderEvent::kFill || event == OrderEvent::kReplaceSent ||
                          event == OrderEvent::kReplaced;
    const OrderState next = next_state(order.state, event, false);
    if (next == kRefused || has_data) return Status::kBadTransition;
    if (event == OrderEvent::kReplaceRefused) settle_replace(order);
    move_to(order, next);
    return Status::kOk;
}

Status OrderTable::apply_fill(Order& order, std::int64_t quantity_lots,
                              std::int64_t leaves_lots) noexcept {
    const OrderState next = next_state(order.state, OrderEvent::kFill, leaves_lots == 0);
    const bool counts = quantity_lots > 0 && leaves_lots >= 0 &&
                        quantity_lots <= order.leaves_lots() &&
                        order.leaves_lots() - quantity_lots == leaves_lots;
    if (next == kRefused || !counts) return Status::kBadTransition;
    const std::int64_t reserved_lots = order.reserved_lots();
    order.filled_lots += quantity_lots;
    count_fill(order, quantity_lots);
    open_lots(order) -= reserved_lots - order.reserved_lots();
    move_to(order, next);
    return Status::kOk;
}

Status OrderTable::apply_late_fill(Order& order, std::int64_t quantity_lots) noexcept {
    std::int64_t filled_lots = 0;
    if (!is_terminal(order.state) || quantity_lots <= 0) return Status::kBadTransition;
    if (add_overflows(order.filled_lots, quantity_lots, filled_lots)) return Status::kOverflow;
    order.filled_lots = filled_lots;
    count_fill(order, quantity_lots);
    return Status::kOk;
}

Status OrderTable::send_replace(Order& order, const ReplaceOrder& replace) noexcept {
    const OrderState next = next_state(order.state, OrderEvent::kReplaceSent, false);
    if (next == kRefused) return Status::kBadTransition;
    if (replace.quantity_lots <= order.filled_lots) return Status::kBadArgument;
    const std::int64_t more = replace.quantity_lots - order.request.quantity_lots;
    std::int64_t open = open_lots(order);
    if (more > 0 && add_overflows(open, more, open)) return Status::kOverflow;
    open_lots(order) = open;
    order.wanted_lots = replace.quantity_lots;
    order.wanted_price_ticks = replace.price_ticks;
    order.replace_id = replace.replace_id;
    move_to(order, next);
    return Status::kOk;
}

Status OrderTable::apply_replaced(Order& order, const Replaced& answer) noexcept {
    const OrderState next = next_state(order.state, OrderEvent::kReplaced, false);
    const bool answers =
        answer.replace_id == order.replace_id && answer.quantity_lots == order.wanted_lots &&
        answer.price_ticks == order.wanted_price_ticks && answer.filled_lots == order.filled_lots;
    if (next == kRefused || !answers) return Status::kBadTransition;
    const std::int64_t reserved_lots = order.reserved_lots();
    order.request.quantity_lots = order.wanted_lots;
    order.request.price_ticks = order.wanted_price_ticks;
    open_lots(order) -= reserved_lots - order.leaves_lots();
    order.wanted_lots = 0;
    move_to(order, next);
    return Status::kOk;
}

// Without it: what was reserved for its sake is free again.
void OrderTable::settle_replace(Order& order) noexcept {
    open_lots(order) -= order.reserved_lots() - order.leaves_lots();
    order.wanted_lots = 0;
}

void OrderTable::move_to(Order& order, OrderState next) noexcept {
    const std::uint32_t instrument = order.request.instrument;
    if (next == OrderState::kLive && order.filled_lots > 0) next = OrderState::kPartial;
    unknown_by_instrument_[instrument] += next == OrderState::kUnknown;
    unknown_by_instrument_[instrument] -= order.state == OrderState::kUnknown;
    if (next != order.state) order.deadline_ns = INT64_MAX;  // who awaits an answer sets it anew
    if (is_terminal(next)) {
        open_lots(order) -= order.reserved_lots();
        order.wanted_lots = 0;
    }
    order.state = next;
    if (!is_terminal(next)) return;
    --open_by_instrument_[instrument];
    const auto place = static_cast<std::uint32_t>(&order - orders_.data());
    std::size_t at = 0;
    while (at < open_count_ && open_[at] != place) ++at;
    for (--open_count_; at < open_count_; ++at) open_[at] = open_[at + 1];
}

}  // namespace gm
