// An engine whose positions have brackets, and a trader at the keys of its venue: nothing is
// answered but by him.
#pragma once

#include "engine/rig.hpp"

namespace gm::test {

inline Settings bracketed(double stop = 2.0, double target = 3.0, bool trails = false,
                          float gain = 50.0F) {
    Settings settings = make_settings(gain);
    settings.limits[0].types_allowed = 7;
    settings.limits[0].collar_ppm = 100'000;  // three ranges of this wave
    settings.limits[0].order_notional_micros_max *= 2;
    settings.sizing[0].stop_atr = stop;
    settings.sizing[0].target_atr = target;
    settings.sizing[0].stop_trails = trails ? 1 : 0;
    return settings;
}

class BracketRig : public Rig {
 public:
    explicit BracketRig(const Settings& settings = bracketed()) : Rig(settings) {
        connect();
        is_manual = true;
    }

    // Bars until the engine wants to enter; acknowledged.
    NewOrder entry() {
        for (int i = 0; i < 1000; ++i) {
            wave_bar();
            const auto orders = take_orders();
            if (orders.empty()) continue;
            ack(orders.front());
            return orders.front();
        }
        FAIL("no order in 1,000 bars");
        return {};
    }
    // The entry filled as a whole, and its legs acknowledged.
    std::vector<NewOrder> protect() {
        const NewOrder order = entry();
        fill(order, kPaid, 1000, 0);
        const auto legs = take_orders();
        REQUIRE(legs.size() == 2);
        for (const NewOrder& leg : legs) ack(leg);
        messages.clear();
        return legs;
    }
    template <typename P>
    std::vector<P> take(RecordType type) {
        (void)take_orders();
        std::vector<P> found;
        for (const Slot& slot : messages) {
            if (slot.type() == type) found.push_back(slot.as<P>());
        }
        messages.clear();
        return found;
    }
    void accept(const ReplaceOrder& asked, std::int64_t filled) {
        reply(
            RecordType::kReplaced,
            Replaced{
                asked.id, asked.replace_id, asked.price_ticks, asked.quantity_lots, filled, 0, {}});
    }
    void cancelled(const OrderId& id, std::int64_t filled = 0) {
        reply(RecordType::kCancelled, OrderEnded{id, filled, 0, {}});
    }
    [[nodiscard]] std::int64_t sign() const { return desk().position.lots > 0 ? 1 : -1; }

    static constexpr std::int64_t kPaid = 41'000;
};

}  // namespace gm::test
