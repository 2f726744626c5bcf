// A gate, its limits and its questions, for the tests of this floor.
#pragma once

#include <doctest/doctest.h>

#include <cstring>

#include "gm/risk/gate.hpp"

namespace gm::test {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kNow = 1'000 * kSecond;

// BTC-PERP as development.yaml has it: one lot is worth 100 micros a tick.
inline Instrument btc() {
    Instrument instrument{};
    std::strcpy(instrument.symbol, "BTC-PERP");
    instrument.order_tick_ticks = 1;
    instrument.tick_value_micros = 100;
    return instrument;
}

inline Limits limits() {
    Limits l{};
    l.order_quantity_lots_max = 2000;
    l.order_notional_micros_max = 9'000'000'000;
    l.collar_ppm = 20'000;
    l.reference_age_ns_max = 60 * kSecond;
    l.position_lots_max = 1000;
    l.orders_per_second_max = 10;
    l.orders_burst_max = 20;
    l.duplicates_max = 3;
    l.duplicate_window_ns = kSecond;
    l.sides_allowed = 3;
    l.types_allowed = 7;
    return l;
}

inline AccountLimits account() {
    return {100, 100, 100, 100, 0, 0, 0, 0};
}

inline Gate make_gate(const Limits& l = limits()) {
    Gate gate;
    const Instrument instrument = btc();
    REQUIRE(gate.open({&instrument, 1}, {&l, 1}, account()).is_ok());
    return gate;
}

inline NewOrder market_order(std::uint64_t counter, Side side, std::int64_t lots) {
    NewOrder order{};
    order.id = {1, 1, counter};
    order.side = side;
    order.quantity_lots = lots;
    return order;
}

inline GateContext context(std::int64_t reference_ticks = 40'000) {
    GateContext c;
    c.now_ns = kNow;
    c.reference_ticks = reference_ticks;
    c.reference_ts_ns = kNow;
    c.level = KillLevel::kActive;
    c.has_reference = c.is_ready = c.is_in_session = true;
    c.is_gapped = false;
    return c;
}

inline std::uint32_t bit(GateCode code) {
    return 1U << (static_cast<unsigned>(code) - 1U);
}

// As if the order were all that was decided on, unless the context says otherwise.
inline Verdict ask(Gate& gate, const NewOrder& order, GateContext c) {
    if (c.parent.lots == 0) {
        c.parent.lots = order.side == Side::kBuy ? order.quantity_lots : -order.quantity_lots;
    }
    Verdict verdict;
    const bool passed = gate.check(order, c, verdict).has_value();
    CHECK(passed == (verdict.code == GateCode::kNone));
    return verdict;
}

inline Verdict ask_once(const NewOrder& order, const GateContext& c, const Limits& l = limits()) {
    Gate gate = make_gate(l);
    return ask(gate, order, c);
}

}  // namespace gm::test
