// Every order that the engine ever sent in this run, and the one state machine that moves it.
//
// Open orders live in a fixed table; a terminal order stays until its place is needed, so that a
// late message finds it. An event that a state does not allow changes nothing and says so: the
// caller halts the symbol. No timeout makes an order dead: it becomes UNKNOWN, or stays pending and
// is asked about. Source: SAFETY, "Order states"; core/tests/model/order.pml checks the protocol,
// tests/order_states.py is the same machine to be read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/risk/exposure.hpp"
#include "gm/risk/own_orders.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

inline constexpr std::size_t kOpenOrdersMax = 256;

enum class OrderEvent : std::uint8_t {
    kSend,
    kAck,
    kReject,
    kFill,
    kCancelSent,
    kCancelled,
    kExpired,
    kTimeout,       // no answer in time, or the connection is gone
    kReportAbsent,  // the venue confirmed a tombstone
    kReportLive,    // the venue answered a query: it has the order
    kReplaceSent,
    kReplaced,
    kReplaceRefused,  // or the venue will never take it: the order is as it was
};

struct Order {
    NewOrder request{};  // price and quantity as the venue last confirmed them
    std::int64_t filled_lots = 0;
    std::int64_t wanted_lots = 0;  // by an unanswered replace, filled lots included; 0: none
    std::int64_t wanted_price_ticks = 0;
    OrderId replace_id{};                  // of that replace
    std::int64_t deadline_ns = INT64_MAX;  // of the answer that is awaited
    OrderState state = OrderState::kNew;
    RejectReason reject_reason = RejectReason::kNone;
    bool is_queried = false;  // a QueryOrder is out and unanswered
    bool is_tombstoned = false;
    std::uint32_t parent = 0;  // number of the decision that it follows from; 0: a leg, an orphan

    [[nodiscard]] std::int64_t leaves_lots() const noexcept {
        return request.quantity_lots - filled_lots;
    }
    // Something is on its way: an answer, or the fill that a cancel was too late for.
    [[nodiscard]] bool is_awaited() const noexcept {
        return is_queried || deadline_ns != INT64_MAX;
    }
    [[nodiscard]] bool is_bracket_leg() const noexcept {
        return request.reason == OrderReason::kStop || request.reason == OrderReason::kTarget;
    }
    // What may still trade, whichever way a replace is answered.
    [[nodiscard]] std::int64_t reserved_lots() const noexcept {
        return std::max(request.quantity_lots, wanted_lots) - filled_lots;
    }

    void archive(Archive& archive) noexcept {
        archive(request, filled_lots, wanted_lots, wanted_price_ticks, replace_id, deadline_ns,
                state, reject_reason, is_queried, is_tombstoned, parent);
    }
};

[[nodiscard]] constexpr bool is_terminal(OrderState state) noexcept {
    return state >= OrderState::kFilled && state <= OrderState::kDenied;
}

// The next state, or kAbsent where the event is not allowed. A fill is judged by its leaves.
[[nodiscard]] OrderState next_state(OrderState state, OrderEvent event, bool is_complete) noexcept;

class OrderTable {
 public:
    Failure open(std::size_t instruments);

    // Takes a place for a new order in state INTENT, or nullptr when kOpenOrdersMax are open.
    [[nodiscard]] Order* insert(const NewOrder& request) noexcept;
    [[nodiscard]] Order* find(const OrderId& id) noexcept;

    // kBadTransition: the state does not allow the event, nothing changed.
    [[nodiscard]] Status apply(Order& order, OrderEvent event) noexcept;
    // kBadTransition also when filled + leaves would not equal the quantity.
    [[nodiscard]] Status apply_fill(Order& order, std::int64_t quantity_lots,
                                    std::int64_t leaves_lots) noexcept;
    // Of an order that is dead to us: what traded has traded. Its state stays.
    [[nodiscard]] Status apply_late_fill(Order& order, std::int64_t quantity_lots) noexcept;

    // The larger of both sizes is reserved until the answer. kBadArgument: not above what is
    // filled; kOverflow: it cannot be reserved. Nothing has changed then.
    [[nodiscard]] Status send_replace(Order& order, const ReplaceOrder& replace) noexcept;
    // kBadTransition also when it is not the answer to the replace that is out.
    [[nodiscard]] Status apply_replaced(Order& order, const Replaced& answer) noexcept;

    // An order of the venue that is not in the table, with all that it might still trade. nullptr:
    // no place, or more than can be reserved.
    [[nodiscard]] Order* adopt(const NewOrder& found) noexcept;

    // What the next orders of an instrument follow from, legs aside: they lead from its position to
    // this target. What those before traded is not counted any more; what is open of them is.
    void begin_parent(std::uint32_t instrument, std::int64_t target_lots) noexcept;
    [[nodiscard]] Parent parent(std::uint32_t instrument) const noexcept;
    // Without `except`, if it is one of them.
    [[nodiscard]] OwnOrders own_orders(std::uint32_t instrument,
                                       const Order* except) const noexcept;

    // Instruments whose exposure has changed, or was said to be worth a look, since the last call.
    void note_change(std::uint32_t instrument) noexcept {
        if (is_changed_[instrument] != 0) return;
        is_changed_[instrument] = 1;
        changed_[changed_count_++] = instrument;
    }
    template <typename Visit>
    void take_changes(Visit visit) noexcept {
        for (std::size_t i = 0; i < changed_count_; ++i) {  // at most one of each instrument
            is_changed_[changed_[i]] = 0;
            visit(changed_[i]);
        }
        changed_count_ = 0;
    }

    // Brings near what the next order of an instrument takes. Changes nothing.
    void touch(std::size_t instrument) const noexcept;

    // Open orders, oldest first: for_each stops nowhere and allocates nothing.
    template <typename Visit>
    void for_each_open(Visit visit) noexcept {
        for (std::size_t i = 0; i < open_count_;) {
            Order& order = orders_[open_[i]];
            const std::uint32_t at = open_[i];
            visit(order);
            if (i < open_count_ && open_[i] == at) ++i;  // else it became terminal and left
        }
    }

    [[nodiscard]] const Exposure& exposure(std::uint32_t instrument) const noexcept {
        return exposure_[instrument];
    }
    // Position changes come from the portfolio; open quantities are kept here.
    void set_position(std::uint32_t instrument, std::int64_t lots) noexcept {
        exposure_[instrument].position_lots = lots;
        note_change(instrument);
    }
    [[nodiscard]] std::uint32_t open_orders(std::uint32_t instrument) const noexcept {
        return open_by_instrument_[instrument];
    }
    [[nodiscard]] bool has_unknown(std::uint32_t instrument) const noexcept {
        return unknown_by_instrument_[instrument] > 0;
    }
    [[nodiscard]] std::size_t open_count() const noexcept { return open_count_; }
    [[nodiscard]] std::int64_t next_deadline_ns() const noexcept {
        std::int64_t earliest = INT64_MAX;
        for (std::size_t i = 0; i < open_count_; ++i) {
            earliest = std::min(earliest, orders_[open_[i]].deadline_ns);
        }
        return earliest;
    }

    // Not archived: is_changed_, changed_, changed_count_ (nothing between two steps).
    void archive(Archive& archive) noexcept {
        archive(orders_);
        archive.index(open_count_, open_.size());
        for (std::uint32_t& place : open_) archive.index(place, kPlaces - 1);
        archive.index(next_place_, kPlaces - 1);
        archive(exposure_, open_by_instrument_, unknown_by_instrument_, parents_);
    }

 private:
    static constexpr std::size_t kPlaces = 2 * kOpenOrdersMax;

    [[nodiscard]] Order* take_place(const NewOrder& request, OrderState state) noexcept;
    struct ParentRow {
        std::int64_t target_lots = 0;
        std::int64_t start_lots = 0;  // position at its first order
        std::int64_t filled_lots = 0;
        std::uint32_t number = 0;
        bool has_order = false;

        void archive(Archive& archive) noexcept {
            archive(target_lots, start_lots, filled_lots, number, has_order);
        }
    };
    void count_fill(const Order& order, std::int64_t quantity_lots) noexcept;
    // Whoever asks writes.
    [[nodiscard]] std::int64_t& open_lots(const Order& order) noexcept {
        note_change(order.request.instrument);
        Exposure& exposure = exposure_[order.request.instrument];
        return order.request.side == Side::kBuy ? exposure.open_buy_lots : exposure.open_sell_lots;
    }
    void settle_replace(Order& order) noexcept;
    void move_to(Order& order, OrderState next) noexcept;

    std::vector<Order> orders_;        // kPlaces, used round and round
    std::vector<std::uint32_t> open_;  // places of open orders, oldest first
    std::size_t open_count_ = 0;
    std::size_t next_place_ = 0;
    std::vector<Exposure> exposure_;
    std::vector<ParentRow> parents_;
    std::vector<std::uint8_t> is_changed_;
    std::vector<std::uint32_t> changed_;
    std::size_t changed_count_ = 0;
    std::vector<std::uint32_t> open_by_instrument_;
    std::vector<std::uint32_t> unknown_by_instrument_;
};

}  // namespace gm
