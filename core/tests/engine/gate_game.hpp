// Somebody who wants to break the limits, at the gate itself, and a venue that answers as it likes.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "engine/limit_ledger.hpp"
#include "gm/orders/order_table.hpp"
#include "gm/risk/gate.hpp"

namespace gm::test {

enum class Adversary : std::uint8_t {
    kRandom = 0,
    kMaximum = 1,      // always as much as one order may have
    kAlternating = 2,  // now long, now short
    kNotANumber = 3,   // what becomes of a NaN that was cast
    kFlood = 4,
};
inline constexpr int kAdversaries = 5;

class GateGame {
 public:
    static constexpr std::size_t kDesks = 3;
    static constexpr std::int64_t kTickValue = 100;
    static constexpr std::int64_t kMargin = 1'000'000;

    explicit GateGame(std::uint64_t seed)
        : random_(seed), adversary_(static_cast<Adversary>(seed % kAdversaries)), ledger_(kDesks) {
        Instrument instrument{};
        instrument.order_tick_ticks = 1;
        instrument.tick_value_micros = kTickValue;
        limits_.order_quantity_lots_max = 1 + below(40);
        limits_.order_notional_micros_max = INT64_MAX;
        limits_.collar_ppm = 500'000;
        limits_.reference_age_ns_max = INT64_MAX;
        limits_.position_lots_max = 1 + below(60);
        limits_.orders_per_second_max = 1 + below(200);
        limits_.orders_burst_max = 1 + below(30);
        limits_.duplicates_max = 64;
        limits_.duplicate_window_ns = 1;
        limits_.sides_allowed = 3;
        limits_.types_allowed = 7;
        limits_.margin_micros_per_lot = kMargin;
        account_.orders_per_second_max = 1 + below(400);
        account_.orders_burst_max = 1 + below(60);
        account_.cancels_per_second_max = account_.cancels_burst_max = 1'000;
        account_.gross_micros_max = (1 + below(120)) * 1'000 * kTickValue;
        account_.credit_micros_max = (1 + below(120)) * kMargin;
        const std::vector<Instrument> instruments(kDesks, instrument);
        const std::vector<Limits> rows(kDesks, limits_);
        REQUIRE(gate_.open(instruments, rows, account_).is_ok());
        REQUIRE(table_.open(kDesks).is_ok());
        for (std::uint32_t at = 0; at < kDesks; ++at) move_price(at);
        for (std::size_t at = 0; at < kDesks; ++at) {
            rates_.emplace_back(limits_.orders_per_second_max, limits_.orders_burst_max);
        }
        account_rate_ = {account_.orders_per_second_max, account_.orders_burst_max};
    }

    void play(int turns) {
        for (int turn = 0; turn < turns; ++turn) {
            now_ns_ += below(20'000'000);
            if (below(4) == 0) move_price(static_cast<std::uint32_t>(below(kDesks)));
            const int attempts = adversary_ == Adversary::kFlood ? 20 : 1;
            for (int i = 0; i < attempts; ++i) attempt();
            for (std::int64_t i = below(3); i > 0; --i) answer();
        }
    }
    [[nodiscard]] int sent() const { return sent_; }

 private:
    std::int64_t below(std::int64_t bound) {
        return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(bound));
    }
    void move_price(std::uint32_t at) {
        prices_[at] = 900 + below(200);
        ledger_.set_price(at, prices_[at]);
        table_.note_change(at);
    }
    std::int64_t lots() {
        switch (adversary_) {
            case Adversary::kMaximum:
            case Adversary::kAlternating: return limits_.order_quantity_lots_max;
            case Adversary::kNotANumber: {
                const std::int64_t strange[] = {
                    INT64_MIN, INT64_MAX, 0, -1, 1, limits_.position_lots_max + 1};
                return strange[below(6)];
            }
            default: return 1 + below(limits_.order_quantity_lots_max + 2);
        }
    }
    GateContext context(const NewOrder& order, const Order* except) const {
        GateContext c;
        c.exposure = table_.exposure(order.instrument);
        c.own = table_.own_orders(order.instrument, except);
        c.parent = table_.parent(order.instrument);
        c.now_ns = now_ns_;
        c.reference_ticks = prices_[order.instrument];
        c.reference_ts_ns = now_ns_;
        c.level = KillLevel::kActive;
        c.has_reference = c.is_ready = c.is_in_session = true;
        c.is_gapped = false;
        return c;
    }
    void value() {
        table_.take_changes(
            [&](std::uint32_t at) { gate_.value(at, table_.exposure(at), {prices_[at], true}); });
    }

    void attempt() {
        NewOrder order{};
        order.id = {1, 1, ++counter_};
        order.instrument = static_cast<std::uint32_t>(below(kDesks));
        order.quantity_lots = lots();
        const bool turns =
            adversary_ == Adversary::kAlternating ? counter_ % 2 == 0 : below(2) == 0;
        order.side = turns ? Side::kBuy : Side::kSell;
        if (below(2) == 0) {
            order.type = OrderType::kLimit;
            order.price_ticks = prices_[order.instrument] + below(100) - 50;
        }
        // It says that it wants whatever lets this order through.
        table_.begin_parent(order.instrument, turns ? INT32_MAX : INT32_MIN);
        value();
        Verdict verdict;
        const auto token = gate_.check(order, context(order, nullptr), verdict);
        const bool is_own_free = rates_[order.instrument].attempt(now_ns_);
        const bool is_free = account_rate_.attempt(now_ns_) && is_own_free;
        if (!token) return;
        CHECK(is_free);
        Order* placed = table_.insert(order);
        if (placed == nullptr) return;
        REQUIRE(table_.apply(*placed, OrderEvent::kSend) == Status::kOk);
        ++sent_;
        const Worst before = worst(order.instrument);
        ledger_.send(order);
        open_.push_back(order.id);
        check_limits(order.instrument, order.id.counter, before);
    }

    struct Worst {
        Int128 lots;
        Int128 gross;
        Int128 margin;
    };
    [[nodiscard]] Worst worst(std::size_t at) const {
        return {ledger_.worst(at), ledger_.gross(kTickValue), ledger_.margin(kMargin)};
    }
    // Not by one lot, whatever of it trades. What was over before, because a price has moved, may
    // not grow.
    void check_limits(std::size_t at, std::uint64_t counter, const Worst& before) {
        if (ledger_.lowers(at, counter)) return;
        const Worst now = worst(at);
        CHECK((now.lots <= limits_.position_lots_max || now.lots <= before.lots));
        CHECK((now.gross <= account_.gross_micros_max || now.gross <= before.gross));
        CHECK((now.margin <= account_.credit_micros_max || now.margin <= before.margin));
    }

    void answer() {
        if (open_.empty()) return;
        const std::size_t place = static_cast<std::size_t>(below(std::ssize(open_)));
        const OrderId id = open_[place];
        Order& order = *table_.find(id);
        switch (below(8)) {
            case 0: (void)table_.apply(order, OrderEvent::kAck); break;
            case 1: (void)table_.apply(order, OrderEvent::kTimeout); break;
            case 2: return end(place, OrderEvent::kCancelled);
            case 3: return end(place, OrderEvent::kReject);
            case 4: return end(place, OrderEvent::kReportAbsent);
            case 5: return replace(order);
            case 6: return settle_replace(order);
            default: return fill(place, order);
        }
    }
    void end(std::size_t place, OrderEvent event) {
        if (table_.apply(*table_.find(open_[place]), event) != Status::kOk) return;
        ledger_.end(open_[place]);
        open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(place));
    }
    void fill(std::size_t place, Order& order) {
        const OrderId id = order.request.id;
        const std::uint32_t at = order.request.instrument;
        const std::int64_t lots = 1 + below(order.leaves_lots());
        const std::int64_t leaves = order.leaves_lots() - lots;
        if (table_.apply_fill(order, lots, leaves) != Status::kOk) return;
        ledger_.fill(id, lots);
        const bool buys = order.request.side == Side::kBuy;
        table_.set_position(at, table_.exposure(at).position_lots + (buys ? lots : -lots));
        if (leaves > 0) return;
        ledger_.end(id);
        open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(place));
    }
    void replace(Order& order) {
        ReplaceOrder wanted{};
        wanted.id = order.request.id;
        wanted.replace_id = {1, 1, ++counter_};
        wanted.price_ticks =
            order.request.type == OrderType::kLimit ? prices_[order.request.instrument] : 0;
        wanted.quantity_lots = lots();
        value();
        Verdict verdict;
        const bool is_less = wanted.quantity_lots <= order.request.quantity_lots &&
                             wanted.quantity_lots > order.filled_lots &&
                             wanted.price_ticks == order.request.price_ticks;
        const auto token = gate_.check_replace(wanted, order.request, order.filled_lots,
                                               context(order.request, &order), verdict);
        if (!is_less) {
            const bool is_own_free = rates_[order.request.instrument].attempt(now_ns_);
            const bool is_free = account_rate_.attempt(now_ns_) && is_own_free;
            if (token) CHECK(is_free);
        }
        if (!token || table_.send_replace(order, wanted) != Status::kOk) return;
        const Worst before = worst(order.request.instrument);
        ledger_.ask_replace(wanted.id, wanted.quantity_lots);
        check_limits(order.request.instrument, wanted.id.counter, before);
    }
    void settle_replace(Order& order) {
        if (order.state != OrderState::kPendingReplace) return;
        const OrderId id = order.request.id;
        const bool is_taken = below(2) == 0 && order.wanted_lots > order.filled_lots;
        if (is_taken) {
            const Replaced answer{id,
                                  order.replace_id,
                                  order.wanted_price_ticks,
                                  order.wanted_lots,
                                  order.filled_lots,
                                  order.request.instrument,
                                  {}};
            if (table_.apply_replaced(order, answer) != Status::kOk) return;
        } else if (table_.apply(order, OrderEvent::kReplaceRefused) != Status::kOk) {
            return;
        }
        ledger_.settle_replace(id, is_taken);
    }

    std::mt19937_64 random_;
    Adversary adversary_;
    LimitLedger ledger_;
    Limits limits_{};
    AccountLimits account_{};
    Gate gate_;
    OrderTable table_;
    std::array<std::int64_t, kDesks> prices_{};
    std::vector<RateLedger> rates_;
    RateLedger account_rate_{0, 0};
    std::vector<OrderId> open_;
    std::uint64_t counter_ = 0;
    std::int64_t now_ns_ = 1'000'000'000'000;
    int sent_ = 0;
};

}  // namespace gm::test
