#include "gm/orders/order_table.hpp"

#include "gm/base/touch.hpp"

namespace gm {
namespace {

constexpr OrderState kRefused = OrderState::kAbsent;

OrderState after_fill(OrderState state, bool is_complete) noexcept {
    if (is_complete) return OrderState::kFilled;
    return state == OrderState::kPendingCancel ? state : OrderState::kPartial;
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
        case OrderEvent::kTimeout: return OrderState::kUnknown;
        case OrderEvent::kReportAbsent: return OrderState::kNever;
        case OrderEvent::kReportLive: return OrderState::kLive;
        default: return from_venue(state, event, is_complete);
    }
}

OrderState from_resting(OrderState state, OrderEvent event, bool is_complete) noexcept {
    switch (event) {
        case OrderEvent::kCancelSent: return OrderState::kPendingCancel;
        // A cancel that came too late is over: the order may be cancelled again.
        case OrderEvent::kReportLive:
            return state == OrderState::kPendingCancel ? OrderState::kLive : state;
        case OrderEvent::kTimeout: return state;  // it was acknowledged: silence proves nothing
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
        case OrderState::kPartial:
        case OrderState::kPendingCancel: return from_resting(state, event, is_complete);
        default: return kRefused;
    }
}

Failure OrderTable::open(std::size_t instruments) {
    orders_.assign(kPlaces, Order{});
    open_.assign(kOpenOrdersMax, 0);
    open_count_ = 0;
    next_place_ = 0;
    exposure_.assign(instruments, Exposure{});
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

Order* OrderTable::insert(const NewOrder& request) noexcept {
    if (open_count_ == kOpenOrdersMax || request.instrument >= exposure_.size()) return nullptr;
    // Half of the places at most are open, so a terminal one is found within kPlaces steps.
    while (orders_[next_place_].request.id.counter != 0 &&
           !is_terminal(orders_[next_place_].state)) {
        next_place_ = (next_place_ + 1) % kPlaces;
    }
    if (!reserve(exposure_[request.instrument], request.side, request.quantity_lots)) {
        return nullptr;
    }
    Order& order = orders_[next_place_];
    order = Order{};
    order.request = request;
    order.state = OrderState::kIntent;
    open_[open_count_++] = static_cast<std::uint32_t>(next_place_);
    next_place_ = (next_place_ + 1) % kPlaces;
    ++open_by_instrument_[request.instrument];
    return &order;
}

// Newest first: the order that a message is about is nearly always the last one.
Order* OrderTable::find(const OrderId& id) noexcept {
    for (std::size_t i = 1; i <= kPlaces; ++i) {
        Order& order = orders_[(next_place_ + kPlaces - i) % kPlaces];
        if (order.request.id == id) return &order;
    }
    return nullptr;
}

Status OrderTable::apply(Order& order, OrderEvent event) noexcept {
    const OrderState next = next_state(order.state, event, false);
    if (next == kRefused || event == OrderEvent::kFill) return Status::kBadTransition;
    if (is_terminal(next)) release(order, order.leaves_lots());
    const bool partly = next == OrderState::kLive && order.filled_lots > 0;
    move_to(order, partly ? OrderState::kPartial : next);
    return Status::kOk;
}

Status OrderTable::apply_fill(Order& order, std::int64_t quantity_lots,
                              std::int64_t leaves_lots) noexcept {
    const OrderState next = next_state(order.state, OrderEvent::kFill, leaves_lots == 0);
    const bool counts = quantity_lots > 0 && leaves_lots >= 0 &&
                        quantity_lots <= order.leaves_lots() &&
                        order.leaves_lots() - quantity_lots == leaves_lots;
    if (next == kRefused || !counts) return Status::kBadTransition;
    release(order, quantity_lots);
    order.filled_lots += quantity_lots;
    move_to(order, next);
    return Status::kOk;
}

void OrderTable::release(const Order& order, std::int64_t lots) noexcept {
    Exposure& exposure = exposure_[order.request.instrument];
    (order.request.side == Side::kBuy ? exposure.open_buy_lots : exposure.open_sell_lots) -= lots;
}

void OrderTable::move_to(Order& order, OrderState next) noexcept {
    const std::uint32_t instrument = order.request.instrument;
    unknown_by_instrument_[instrument] += next == OrderState::kUnknown;
    unknown_by_instrument_[instrument] -= order.state == OrderState::kUnknown;
    order.state = next;
    if (next != OrderState::kSent) order.deadline_ns = INT64_MAX;
    if (!is_terminal(next)) return;
    --open_by_instrument_[instrument];
    const auto place = static_cast<std::uint32_t>(&order - orders_.data());
    std::size_t at = 0;
    while (at < open_count_ && open_[at] != place) ++at;
    for (--open_count_; at < open_count_; ++at) open_[at] = open_[at + 1];
}

}  // namespace gm
