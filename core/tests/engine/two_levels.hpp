// Settings of profile two_level, bars of 5 minutes, and a venue that lets limits wait.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "engine/rig.hpp"

namespace gm::test {

inline constexpr std::int64_t kFiveMinutesNs = 300'000'000'000;

// Logits of one Gemm: `bias`, and `gain` x (m, 0, -m) with m the newest momentum over 5 bars.
inline Bytes tactical_network(float gain, const std::vector<float>& bias) {
    std::vector<float> weights(kTacticalValues * 3, 0.0F);
    const std::size_t input = (kTacticalRows - 1) * kTacticalColumns + kPriceMomentum5;
    weights[input * 3] = gain;
    weights[input * 3 + 2] = -gain;
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "y")};
    graph.tensors = {tensor("w", {kTacticalValues, 3}, weights), tensor("b", {3}, bias)};
    graph.inputs = {value("x", {0, kTacticalValues})};
    graph.outputs = {value("y", {0, 3})};
    return model(graph);
}

constexpr double kSpecWeights[kSynergyTypes][kAgentsMax] = {
    {1.0 / 3, 1.0 / 3, 1.0 / 3}, {.5, .3, .2}, {.4, .4, .2}, {.3, .5, .2}, {.35, .35, .3}};

// fvg and momentum follow the price of the last five bars; `entry` are the logits of the third.
inline Settings two_level_settings(const std::vector<float>& entry, float gain = 200.0F) {
    Settings settings = make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kTwoLevel);
    settings.header.tactical_agent_count = kAgentsMax;
    settings.limits[0].types_allowed = 1U << static_cast<unsigned>(OrderType::kMarket) |
                                       1U << static_cast<unsigned>(OrderType::kLimit);
    TacticalPart& part = settings.tactical;
    part.settings.threshold = 0.65;
    static_assert(sizeof part.settings.weights == sizeof kSpecWeights);
    std::memcpy(part.settings.weights, kSpecWeights, sizeof kSpecWeights);
    for (const char* name : {"fvg", "momentum", "entry"}) {
        AgentSettings& agent = part.agents.emplace_back();
        std::strcpy(agent.name, name);
        agent.temperature = 1.0;
        agent.column_mask = (1U << kTacticalColumns) - 1;
    }
    part.onnx = {tactical_network(gain, {0.0F, 0.0F, 0.0F}),
                 tactical_network(gain / 2, {0.0F, 0.0F, 0.0F}), tactical_network(0.0F, entry)};
    return settings;
}

inline const std::vector<float> kSaysWait = {3.0F, 0.0F, 0.0F};
inline const std::vector<float> kSaysExecute = {0.0F, 3.0F, 0.0F};
inline const std::vector<float> kSaysAggressive = {0.0F, 0.0F, 3.0F};

class TwoLevelRig : public Rig {
 public:
    explicit TwoLevelRig(const Settings& settings) : Rig(settings) {
        is_manual = true;
        connect();
    }

    // Bar `count` of 5 minutes: the sixths of the wave's half hours, straight from close to close.
    void five() {
        const std::int64_t half_hour = count / 6;
        const std::int64_t sixth = count % 6;
        const std::int64_t from = wave(half_hour == 0 ? 0 : half_hour - 1);
        const std::int64_t to = wave(half_hour);
        five(from + (to - from) * sixth / 6, from + (to - from) * (sixth + 1) / 6);
    }
    void five(std::int64_t open, std::int64_t close) {
        const std::int64_t start = kStartNs + count++ * kFiveMinutesNs;
        bar(start, kFiveMinutesNs, open, close);
    }
    void bar(std::int64_t start, std::int64_t duration_ns, std::int64_t open, std::int64_t close) {
        feed(RecordType::kBarOpen, start, BarOpen{start, duration_ns, open, 0, 0, {}});
        match(open);
        close_bar(start, duration_ns, open, close);
        if (behind_close) behind_close();
        answer();
    }
    // Up to and with the decision of the next 30-minute bar.
    void half_hours(std::int64_t wanted) {
        for (std::int64_t i = 0; i < 6 * wanted; ++i) five();
    }

    std::vector<TacticalDecision> timed() const {
        return records<TacticalDecision>(RecordType::kTacticalDecision);
    }
    // Null before the first.
    const Slot* last_timed() const {
        const auto at = std::find_if(written.rbegin(), written.rend(), [](const Slot& slot) {
            return slot.type() == RecordType::kTacticalDecision;
        });
        return at == written.rend() ? nullptr : &*at;
    }
    std::vector<NewOrder> intents() const { return records<NewOrder>(RecordType::kIntent); }

    std::int64_t count = 0;
    std::uint64_t cancels = 0;
    bool lets_limits_fill = true;
    std::int64_t partial_lots = 0;  // not 0: limits fill so far and no farther
    // A limit that is taken back has just been met: the cancel comes late, the fill behind it.
    bool cancels_come_late = false;
    bool keeps_silent = false;
    std::function<void()> behind_close;  // before the venue's answers to it
    std::vector<NewOrder> waiting_limits() const {
        std::vector<NewOrder> found;
        for (const NewOrder& order : pending) {
            if (order.type == OrderType::kLimit) found.push_back(order);
        }
        return found;
    }

    // The venue acknowledges what is new and obeys cancels, as long as that causes more.
    void answer() {
        if (keeps_silent) return;
        for (std::vector<NewOrder> sent = take_orders(); !sent.empty() || !messages.empty();
             sent = take_orders()) {
            for (const NewOrder& order : sent) {
                pending.push_back(order);
                ack(order);
            }
            std::vector<Slot> said;
            said.swap(messages);
            for (const Slot& slot : said) {
                if (slot.type() != RecordType::kCancelOrder) continue;
                ++cancels;
                const OrderId id = slot.as<CancelOrder>().id;
                if (cancels_come_late && fill_late(id)) continue;
                std::int64_t filled = 0;
                std::erase_if(pending, [&](const NewOrder& order) {
                    if (order.id == id) filled = filled_of(order);
                    return order.id == id;
                });
                reply(RecordType::kCancelled, OrderEnded{id, filled, 0, {}});
            }
        }
    }

 private:
    // The first cancel of an order: LIVE, then a fill, whole or in part.
    bool fill_late(const OrderId& id) {
        const auto at = std::ranges::find(pending, id, &NewOrder::id);
        if (at == pending.end() || filled_of(*at) > 0) return false;
        const NewOrder order = *at;
        const bool is_part = partial_lots > 0 && partial_lots < order.quantity_lots;
        const std::int64_t lots = is_part ? partial_lots : order.quantity_lots;
        if (is_part) {
            partly_filled.push_back(id);
        } else {
            pending.erase(at);
        }
        reply(RecordType::kOrderState,
              OrderStateReport{id, 0, order.quantity_lots, 0, OrderState::kLive, {}});
        fill(order, order.price_ticks, lots, order.quantity_lots - lots);
        return true;
    }
    void match(std::int64_t open) {
        answer();
        std::vector<NewOrder> waiting;
        waiting.swap(pending);
        for (const NewOrder& order : waiting) {
            const bool is_limit = order.type == OrderType::kLimit;
            const bool is_met =
                order.side == Side::kBuy ? open <= order.price_ticks : open >= order.price_ticks;
            if (is_limit && !(lets_limits_fill && is_met)) {
                pending.push_back(order);
                continue;
            }
            if (is_limit && partial_lots > 0 && partial_lots < order.quantity_lots) {
                pending.push_back(order);
                if (filled_of(order) > 0) continue;
                partly_filled.push_back(order.id);
                fill(order, open, partial_lots, order.quantity_lots - partial_lots);
                continue;
            }
            fill(order, open, order.quantity_lots, 0);
        }
        answer();
    }
    std::int64_t filled_of(const NewOrder& order) const {
        return std::ranges::find(partly_filled, order.id) == partly_filled.end() ? 0 : partial_lots;
    }

    std::vector<OrderId> partly_filled;
};

}  // namespace gm::test
