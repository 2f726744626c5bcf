// A whole engine whose decisions an adversary makes (a rule that answers what he likes), and a
// venue that takes its time: messages wait in a queue, fills come in parts, some orders are
// refused, some answers never come.
#pragma once

#include <deque>
#include <map>
#include <random>

#include "engine/gate_game.hpp"
#include "engine/kernel_fixture.hpp"
#include "engine/limit_ledger.hpp"
#include "engine/rig.hpp"

namespace gm::test {

class EngineGame {
 public:
    explicit EngineGame(std::uint64_t seed)
        : random_(seed),
          adversary_(static_cast<Adversary>(seed % kAdversaries)),
          settings_(settings(random_)),
          rig_(settings_, 2 * Engine::kStepRecordsMax),
          ledger_(1) {
        rig_.is_manual = true;
        ledger_.set_price(0, price_);
        rig_.connect();
    }

    void play(int bars) {
        for (int bar = 0; bar < bars; ++bar) {
            const std::int64_t start = kStartNs + bar * kHalfHourNs;
            const std::int64_t close = std::max<std::int64_t>(price_ + below(801) - 400, 1'000);
            tell(RecordType::kBarOpen, start, BarOpen{start, kHalfHourNs, price_, 0, 0, {}});
            after_step();
            stir();
            ledger_.set_price(0, close);
            price_ = close;
            tell(RecordType::kBarClose, start + kHalfHourNs,
                 Rig::bar_close(start, kHalfHourNs, open_price_, close));
            open_price_ = close;
            serve(rig_, [&](const KernelCall&, KernelResult result) {
                result.value = decide();
                has_lied_ = has_lied_ || std::isnan(result.value);
                return result;
            });
            after_step();
            stir();
        }
        // What is no number was seen as that, and the rule is not asked again.
        const bool is_asked = rig_.engine->kernels().status(0) == KernelStatus::kOk;
        CHECK(is_asked == !has_lied_);
    }
    [[nodiscard]] Adversary adversary() const { return adversary_; }
    [[nodiscard]] bool has_lied() const { return has_lied_; }
    [[nodiscard]] int sent() const { return sent_; }
    [[nodiscard]] const Rig& rig() const { return rig_; }

 private:
    struct Resting {
        NewOrder request;
        std::int64_t filled = 0;
        bool has_ended = false;
        OrderState state = OrderState::kLive;
    };

    static Settings settings(std::mt19937_64& random) {
        const auto below = [&](std::uint64_t bound) {
            return static_cast<std::int64_t>(random() % bound);
        };
        Settings s = make_settings();
        s.header.profile = static_cast<std::uint32_t>(Profile::kRule);
        s.header.max_hold_bars = static_cast<std::uint32_t>(below(6));
        s.kernels = {kernel_row("rule", KernelKind::kRule, 1)};
        s.kernels[0].policy = below(2) == 0 ? KernelPolicy::kSkip : KernelPolicy::kHalt;
        Limits& limits = s.limits[0];
        const std::int64_t target = 1 + below(1'500);
        // Mostly room for what is wanted, and not for much more.
        const auto near = [&](std::int64_t lots) {
            return below(4) == 0 ? 1 + below(static_cast<std::uint64_t>(lots))
                                 : lots + below(static_cast<std::uint64_t>(lots));
        };
        s.sizing[0].target_lots = target;
        limits.order_quantity_lots_max = near(2 * target);
        limits.order_notional_micros_max = INT64_MAX;
        limits.position_lots_max = near(target);
        limits.collar_ppm = 500'000;
        limits.margin_micros_per_lot = 1'000;
        limits.orders_burst_max = 1 + below(20);
        limits.orders_per_second_max = 1 + below(20);
        limits.types_allowed = 7;
        s.account.gross_micros_max = near(target) * 42'000 * 100;
        s.account.credit_micros_max = near(target) * 1'000;
        if (below(2) == 0) {  // brackets need 14 bars
            s.sizing[0].stop_atr = 1.0;
            s.sizing[0].target_atr = 1.5;
        }
        return s;
    }
    std::int64_t below(std::int64_t bound) {
        return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(bound));
    }
    // A flood is a tape that arrives all at once: a decision a bar, and no time between them.
    template <typename P>
    void tell(RecordType type, std::int64_t ts_ns, const P& payload) {
        Slot slot = make_slot(type, Source::kVenueFeed, ++rig_.feed_sequence, ts_ns, payload);
        if (adversary_ == Adversary::kFlood) slot.header.receive_ts_ns = kFloodTsNs;
        rig_.step(slot);
    }
    double decide() {
        switch (adversary_) {
            case Adversary::kMaximum: return 1.0;
            case Adversary::kNotANumber:  // once, for that is the end of the rule
                return below(20) == 0 ? std::nan("") : static_cast<double>(below(3) - 1);
            case Adversary::kRandom: return static_cast<double>(below(3) - 1);
            default: is_long_ = !is_long_; return is_long_ ? 1.0 : -1.0;
        }
    }

    // What the engine sent since, each held against the limits as it stands.
    void after_step() {
        for (const Slot* slot = rig_.orders.front(); slot != nullptr; slot = rig_.orders.front()) {
            const Slot message = *slot;
            rig_.orders.pop();
            const Int128 before = ledger_.worst(0);
            if (message.type() == RecordType::kNewOrder) {
                const auto order = message.as<NewOrder>();
                ledger_.send(order);
                ++sent_;
                check(order.id.counter, before);
            } else if (message.type() == RecordType::kReplaceOrder) {
                const auto replace = message.as<ReplaceOrder>();
                ledger_.ask_replace(replace.id, replace.quantity_lots);
                check(replace.id.counter, before);
            }
            queue_.push_back(message);
        }
    }
    void check(std::uint64_t counter, Int128 before) {
        const Int128 worst = ledger_.worst(0);
        if (worst <= before || ledger_.lowers(0, counter)) return;
        CHECK(worst <= settings_.limits[0].position_lots_max);
        CHECK(ledger_.gross(100) <= settings_.account.gross_micros_max);
        CHECK(ledger_.margin(1'000) <= settings_.account.credit_micros_max);
    }

    // The venue does something, or nothing; sometimes time goes on alone.
    void stir() {
        for (std::int64_t i = below(8); i > 0; --i) {
            const std::int64_t what = below(10);
            if (what < 5) {
                take_message();
            } else if (what < 8) {
                fill_some();
            } else if (what == 8) {
                end_some();
            } else {
                const std::int64_t deadline = rig_.engine->next_deadline_ns();
                if (deadline != INT64_MAX) {
                    rig_.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline,
                                        Timer{deadline, {}}));
                }
            }
            after_step();
        }
    }
    void take_message() {
        if (queue_.empty()) return;
        const Slot message = queue_.front();
        queue_.pop_front();
        switch (message.type()) {
            case RecordType::kNewOrder: return take_order(message.as<NewOrder>());
            case RecordType::kCancelOrder: {
                const auto asked = message.as<CancelOrder>();
                if (below(5) > 0) end(asked.id, RecordType::kCancelled);
                return;
            }
            case RecordType::kReplaceOrder: return take_replace(message.as<ReplaceOrder>());
            case RecordType::kQueryOrder: return answer_query(message.as<QueryOrder>());
            default: return;
        }
    }
    void take_order(const NewOrder& order) {
        if (tombstones_.contains(order.id.counter)) return;
        if (below(8) == 0) {
            ledger_.end(order.id);
            venue_[order.id.counter] = {order, 0, true, OrderState::kRejected};
            rig_.reply(RecordType::kReject, Reject{order.id, 0, RejectReason::kRandom, {}, {}});
            return;
        }
        venue_[order.id.counter] = {order, 0, false, OrderState::kLive};
        rig_.ack(order);
    }
    void take_replace(const ReplaceOrder& asked) {
        const auto found = venue_.find(asked.id.counter);
        if (found == venue_.end() || found->second.has_ended ||
            lost_.contains(asked.replace_id.counter)) {
            return;
        }
        Resting& order = found->second;
        const bool is_taken = below(3) > 0 && asked.quantity_lots > order.filled;
        ledger_.settle_replace(asked.id, is_taken);
        if (!is_taken) {
            rig_.reply(RecordType::kReject,
                       Reject{asked.id, 0, RejectReason::kRandom, asked.replace_id, {}});
            return;
        }
        order.request.quantity_lots = asked.quantity_lots;
        order.request.price_ticks = asked.price_ticks;
        rig_.reply(RecordType::kReplaced, Replaced{asked.id,
                                                   asked.replace_id,
                                                   asked.price_ticks,
                                                   asked.quantity_lots,
                                                   order.filled,
                                                   0,
                                                   {}});
    }
    // Of what it never saw it will never take anything, a replace included.
    void answer_query(const QueryOrder& asked) {
        OrderStateReport report{};
        report.id = asked.id;
        const auto found = venue_.find(asked.id.counter);
        if (found == venue_.end()) {
            report.state = OrderState::kAbsent;
            if (tombstones_.insert({asked.id.counter, true}).second) ledger_.end(asked.id);
        } else {
            const Resting& order = found->second;
            report.state = order.state;
            report.side = order.request.side;
            report.filled_lots = order.filled;
            if (!order.has_ended) report.leaves_lots = order.request.quantity_lots - order.filled;
            if (!order.has_ended && asked.replace_id.counter != 0) {
                report.is_replace_absent = 1;
                // Taken before this question, it would have been answered before it.
                if (lost_.insert({asked.replace_id.counter, true}).second && waits(asked)) {
                    ledger_.settle_replace(asked.id, false);
                }
            }
        }
        rig_.reply(RecordType::kOrderState, report);
    }
    // Is the replace that is asked about still on its way to the venue?
    [[nodiscard]] bool waits(const QueryOrder& asked) const {
        for (const Slot& slot : queue_) {
            if (slot.type() == RecordType::kReplaceOrder &&
                slot.as<ReplaceOrder>().replace_id == asked.replace_id) {
                return true;
            }
        }
        return false;
    }
    Resting* some_open() {
        std::vector<Resting*> open;
        for (auto& [counter, order] : venue_) {
            if (!order.has_ended) open.push_back(&order);
        }
        return open.empty() ? nullptr : open[static_cast<std::size_t>(below(std::ssize(open)))];
    }
    void fill_some() {
        Resting* order = some_open();
        if (order == nullptr) return;
        const std::int64_t leaves = order->request.quantity_lots - order->filled;
        const std::int64_t lots = below(3) == 0 ? leaves : 1 + below(leaves);
        order->filled += lots;
        order->state = OrderState::kPartial;
        ledger_.fill(order->request.id, lots);
        if (lots == leaves) {
            order->has_ended = true;
            order->state = OrderState::kFilled;
            ledger_.end(order->request.id);
        }
        rig_.fill(order->request, price_, lots, leaves - lots);
    }
    void end_some() {
        Resting* order = some_open();
        if (order != nullptr) end(order->request.id, RecordType::kExpired);
    }
    void end(const OrderId& id, RecordType how) {
        const auto found = venue_.find(id.counter);
        if (found == venue_.end() || found->second.has_ended) return;
        Resting& order = found->second;
        order.has_ended = true;
        order.state = how == RecordType::kExpired ? OrderState::kExpired : OrderState::kCancelled;
        ledger_.end(id);
        rig_.reply(how, OrderEnded{id, order.filled, 0, {}});
    }

    std::mt19937_64 random_;
    Adversary adversary_;
    Settings settings_;
    Rig rig_;
    LimitLedger ledger_;
    std::deque<Slot> queue_;
    std::map<std::uint64_t, Resting> venue_;
    std::map<std::uint64_t, bool> tombstones_;
    std::map<std::uint64_t, bool> lost_;  // replaces that the venue will not take any more
    std::int64_t price_ = 40'000;
    std::int64_t open_price_ = 40'000;
    static constexpr std::int64_t kFloodTsNs = kStartNs + 1'000 * kHalfHourNs;
    bool is_long_ = false;
    bool has_lied_ = false;  // gave what is no number
    int sent_ = 0;
};

}  // namespace gm::test
