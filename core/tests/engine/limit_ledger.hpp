// What an account could become at worst, counted from what left the engine and what the venue did,
// by nothing that the gate counts with.
//
// An order may trade from the moment it is sent until the venue has ended it, with the larger size
// of a replace that is under way. The largest position that any subset of fills can lead to is that
// of all buys or of all sells: a sum of parts of one sign is largest with all of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "gm/base/checked.hpp"
#include "gm/wire/order_payload.hpp"

namespace gm::test {

class LimitLedger {
 public:
    struct Row {
        Int128 position = 0;
        std::int64_t price_ticks = 0;
    };

    explicit LimitLedger(std::size_t instruments) : rows_(instruments) {}

    void set_price(std::size_t at, std::int64_t ticks) { rows_[at].price_ticks = ticks; }
    void send(const NewOrder& order) {
        open_[order.id.counter] = {order.instrument, order.side, order.quantity_lots, 0, 0};
    }
    void ask_replace(const OrderId& id, std::int64_t lots) { open_.at(id.counter).wanted = lots; }
    void settle_replace(const OrderId& id, bool is_taken) {
        Open& order = open_.at(id.counter);
        if (is_taken) order.quantity = order.wanted;
        order.wanted = 0;
    }
    void fill(const OrderId& id, std::int64_t lots) {
        Open& order = open_.at(id.counter);
        order.filled += lots;
        rows_[order.at].position += order.side == Side::kBuy ? lots : -lots;
    }
    void end(const OrderId& id) { open_.erase(id.counter); }

    // Without one order, if asked to.
    [[nodiscard]] Int128 worst(std::size_t at, std::uint64_t without = 0) const {
        Int128 high = rows_[at].position;
        Int128 low = high;
        for (const auto& [counter, order] : open_) {
            if (order.at != at || counter == without) continue;
            (order.side == Side::kBuy ? high : low) +=
                order.side == Side::kBuy ? order.may_trade() : -order.may_trade();
        }
        return std::max(high < 0 ? -high : high, low < 0 ? -low : low);
    }
    // Does this order, beside all the others, bring its side nearer to flat and not beyond it?
    [[nodiscard]] bool lowers(std::size_t at, std::uint64_t counter) const {
        const Open& mine = open_.at(counter);
        const Int128 sign = mine.side == Side::kBuy ? 1 : -1;
        Int128 before = rows_[at].position;
        for (const auto& [other, order] : open_) {
            const bool counts = order.at == at && order.side == mine.side && other != counter;
            if (counts) before += sign * order.may_trade();
        }
        const Int128 after = before + sign * mine.may_trade();
        return sign > 0 ? before < 0 && after <= 0 : before > 0 && after >= 0;
    }
    // Over all instruments, in micro-units.
    [[nodiscard]] Int128 gross(std::int64_t tick_value_micros) const {
        Int128 sum = 0;
        for (std::size_t at = 0; at < rows_.size(); ++at) {
            sum += worst(at) * rows_[at].price_ticks * tick_value_micros;
        }
        return sum;
    }
    [[nodiscard]] Int128 margin(std::int64_t margin_micros_per_lot) const {
        Int128 sum = 0;
        for (std::size_t at = 0; at < rows_.size(); ++at) sum += worst(at) * margin_micros_per_lot;
        return sum;
    }

 private:
    struct Open {
        std::size_t at;
        Side side;
        std::int64_t quantity;
        std::int64_t wanted;
        std::int64_t filled;

        [[nodiscard]] std::int64_t may_trade() const { return std::max(quantity, wanted) - filled; }
    };

    std::vector<Row> rows_;
    std::map<std::uint64_t, Open> open_;  // by counter: one epoch is enough
};

// Attempts of a second and of a burst, counted as a sum that leaks: R12 with refused orders in it.
class RateLedger {
 public:
    RateLedger(std::int64_t per_second, std::int64_t burst) : rate_(per_second), full_(burst) {}

    // True: an order may pass now.
    bool attempt(std::int64_t now_ns) {
        if (last_ns_ != 0) used_ -= Int128{now_ns - last_ns_} * rate_;
        last_ns_ = now_ns;
        if (used_ < 0) used_ = 0;
        const bool passes = used_ + kSecond <= Int128{full_} * kSecond;
        if (passes) used_ += kSecond;  // one that finds nothing takes nothing
        return passes;
    }

 private:
    static constexpr std::int64_t kSecond = 1'000'000'000;
    std::int64_t rate_;
    std::int64_t full_;
    std::int64_t last_ns_ = 0;
    Int128 used_ = 0;  // x 1e9
};

}  // namespace gm::test
