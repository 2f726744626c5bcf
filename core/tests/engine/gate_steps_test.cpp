// Promise: what trips R14, R15 or R20 in a running engine halts it, is written down with its
// numbers, and ends when two people have cleared it; R10 and R18 reach the gate as they change.
#include <doctest/doctest.h>

#include <vector>

#include "engine/rig.hpp"

namespace gm::test {
namespace {

std::uint32_t bit(GateCode code) {
    return 1U << (static_cast<unsigned>(code) - 1U);
}

class GateRig : public Rig {
 public:
    explicit GateRig(const Settings& settings = make_settings()) : Rig(settings) { connect(); }

    // Bars until the engine wants an order, which nobody answers.
    NewOrder entry() {
        is_manual = true;
        for (int i = 0; i < 700; ++i) {
            wave_bar();
            const std::vector<NewOrder> sent = take_orders();
            if (!sent.empty()) return sent.back();
        }
        FAIL("no order in 700 bars");
        return {};
    }
    std::uint64_t refused(GateCode code) const {
        return engine->totals().refusals[static_cast<std::size_t>(code)];
    }
    void clear(std::uint32_t instrument) {
        Kill input{};
        input.instrument = instrument;
        input.level = KillLevel::kActive;
        input.cause = KillCause::kCleared;
        io(RecordType::kKill, input);
    }
    // The newest refusal's mask after so many more bars, of orders that are filled at once.
    std::uint32_t mask_after(int count) {
        is_manual = false;
        for (int i = 0; i < count; ++i) wave_bar();
        const auto refusals = records<Refusal>(RecordType::kRefusal);
        return refusals.empty() ? 0 : refusals.back().mask;
    }
    void check_trip(GateCode code, std::uint32_t instrument) {
        const auto trips = records<RiskTrip>(RecordType::kRiskTrip);
        REQUIRE(trips.size() == 1);
        CHECK(trips[0].code == static_cast<std::uint8_t>(code));
        CHECK(trips[0].instrument == instrument);
        CHECK(trips[0].value > trips[0].limit);
        const auto states = records<KillState>(RecordType::kKillState);
        REQUIRE(states.size() == 1);
        CHECK(states[0].level == KillLevel::kHalted);
        CHECK(static_cast<std::uint8_t>(states[0].cause) == trips[0].code);
        CHECK(states[0].instrument == instrument);
    }
};

}  // namespace

TEST_CASE("R10: the engine keeps the gate's sums as prices and orders change") {
    Settings settings = make_settings();
    settings.account.gross_micros_max = 1'000'000'000;  // 1,000 lots are worth four times that
    GateRig small(settings);
    for (int i = 0; i < 400; ++i) small.wave_bar();
    CHECK(small.engine->totals().orders == 0);
    CHECK(small.refused(GateCode::kGross) > 0);

    settings.account.gross_micros_max = 6'000'000'000;
    GateRig large(settings);
    for (int i = 0; i < 700; ++i) large.wave_bar();
    CHECK(large.engine->totals().fills > 3);  // turns, too: worst case is what is held after
    CHECK(large.refused(GateCode::kGross) == 0);
}

TEST_CASE("R14: one execution too many of a strategy halts its instrument until it is cleared") {
    Settings settings = make_settings();
    settings.limits[0].repeat_executions_max = 3;
    settings.limits[0].repeat_window_ns = 1'000'000'000;
    GateRig rig(settings);
    const NewOrder order = rig.entry();
    rig.ack(order);
    for (std::int64_t leaves = 900; leaves >= 700; leaves -= 100) {
        rig.fill(order, 41'000, 100, leaves);
    }
    CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
    rig.fill(order, 41'000, 700, 0);
    rig.check_trip(GateCode::kRepeatExecution, 0);
    CHECK(rig.engine->account_level() == KillLevel::kActive);
    const std::uint32_t mask = rig.mask_after(250);
    CHECK((mask & bit(GateCode::kKilled)) != 0);
    CHECK((mask & bit(GateCode::kRepeatExecution)) != 0);
    const std::uint64_t orders = rig.engine->totals().orders;
    rig.clear(0);
    (void)rig.mask_after(250);
    CHECK(rig.engine->totals().orders > orders);
    CHECK(rig.records<RiskTrip>(RecordType::kRiskTrip).size() == 1);
}

// A fill that traded `ago_ns` before it came.
void late_fill(GateRig& rig, const NewOrder& order, std::int64_t lots, std::int64_t leaves,
               std::int64_t ago_ns) {
    Slot slot = make_slot(
        RecordType::kFill, Source::kVenueOrders, ++rig.reply_sequence, rig.engine->now_ns(),
        Fill{order.id, ++rig.executions, 41'000, lots, leaves, 5, 0, order.side, {}});
    slot.header.source_ts_ns -= ago_ns;
    rig.step(slot);
}

TEST_CASE("R14: fills that an outage held back count when they traded, not when they came") {
    Settings settings = make_settings();
    settings.limits[0].repeat_executions_max = 3;
    settings.limits[0].repeat_window_ns = 1'000'000'000;
    const std::int64_t second = 1'000'000'000;
    GateRig rig(settings);
    const NewOrder order = rig.entry();
    rig.ack(order);
    for (std::int64_t i = 1; i <= 8; ++i) {
        late_fill(rig, order, 100, 1000 - i * 100, (10 - i) * second);
    }
    CHECK(rig.engine->kill_level(0) == KillLevel::kActive);

    // A stamp that is none, or absurd, is not believed: these have come at once.
    GateRig other(settings);
    const NewOrder burst = other.entry();
    other.ack(burst);
    const std::int64_t now = other.engine->now_ns();
    late_fill(other, burst, 100, 900, now);  // stamped 0
    late_fill(other, burst, 100, 800, now - 1);
    late_fill(other, burst, 100, 700, 2 * 86'400 * second);
    CHECK(other.engine->kill_level(0) == KillLevel::kActive);
    late_fill(other, burst, 100, 600, -2 * 86'400 * second);
    other.check_trip(GateCode::kRepeatExecution, 0);
}

TEST_CASE(
    "R15: a loss that three prices in a row confirm halts the account, and is then forgiven") {
    Settings settings = make_settings();
    settings.header.loss_confirmations = 3;
    settings.account.loss_micros_max = 500'000'000;
    GateRig rig(settings);
    const NewOrder order = rig.entry();
    rig.ack(order);
    const bool buys = order.side == Side::kBuy;
    rig.fill(order, buys ? 60'000 : 30'000, 1000, 0);  // 10,000 ticks or more away from the market
    CHECK(rig.engine->account_level() == KillLevel::kActive);
    const std::int64_t start = kStartNs + rig.bars * kHalfHourNs;
    rig.wave_bar();  // two prices
    CHECK(rig.engine->account_level() == KillLevel::kActive);
    rig.feed(RecordType::kBarOpen, start + kHalfHourNs,
             BarOpen{start + kHalfHourNs, kHalfHourNs, wave(rig.bars - 1), 0, 0, {}});
    rig.check_trip(GateCode::kLoss, kWholeAccount);
    rig.close_bar(start + kHalfHourNs, kHalfHourNs, wave(rig.bars - 1), wave(rig.bars));
    ++rig.bars;
    CHECK((rig.mask_after(250) & bit(GateCode::kLoss)) != 0);
    const std::uint64_t orders = rig.engine->totals().orders;
    CHECK(orders == 1);
    rig.clear(0);  // not that of the account
    (void)rig.mask_after(100);
    CHECK(rig.engine->totals().orders == orders);
    rig.clear(kWholeAccount);
    (void)rig.mask_after(250);
    CHECK(rig.engine->totals().orders > orders);
}

TEST_CASE("R15: what trips under HALTED is told, so that who signed before has not seen it") {
    Settings settings = make_settings();
    settings.header.loss_confirmations = 3;
    settings.account.loss_micros_max = 500'000'000;
    GateRig rig(settings);
    const NewOrder order = rig.entry();
    rig.ack(order);
    rig.fill(order, order.side == Side::kBuy ? 60'000 : 30'000, 1000, 0);
    Kill ordered{};
    ordered.instrument = kWholeAccount;
    ordered.level = KillLevel::kKilled;
    ordered.cause = KillCause::kOrdered;
    rig.io(RecordType::kKill, ordered);
    for (int i = 0; i < 3; ++i) rig.wave_bar();
    const auto states = rig.records<KillState>(RecordType::kKillState);
    REQUIRE(states.size() == 2);
    CHECK(states[1].cause == KillCause::kLoss);
    CHECK(states[1].level == KillLevel::kKilled);
    CHECK(states[1].previous == KillLevel::kKilled);
    rig.take_orders();
    REQUIRE(!rig.messages.empty());  // to io, which writes the latch anew
    CHECK(rig.messages.back().as<KillState>().cause == KillCause::kLoss);
    for (int i = 0; i < 3; ++i) rig.wave_bar();  // once
    CHECK(rig.records<KillState>(RecordType::kKillState).size() == 2);
}

TEST_CASE("R18: without headroom nothing new is sent until io says that it is back") {
    GateRig rig;
    Headroom low{90'000, 100'000, room_bit(Room::kDisk), {}};
    rig.io(RecordType::kHeadroom, low);
    CHECK((rig.mask_after(400) & bit(GateCode::kBackpressure)) != 0);
    CHECK(rig.engine->totals().orders == 0);
    low.under = 0;
    rig.io(RecordType::kHeadroom, low);
    (void)rig.mask_after(200);
    CHECK(rig.engine->totals().orders > 0);
    rig.io(RecordType::kHeadroom, Headroom{0, 1, room_bit(Room::kOrderRing), {}});
    const std::uint64_t refused = rig.refused(GateCode::kBackpressure);
    rig.connect(2, 2);  // a new life: nothing is known of it
    (void)rig.mask_after(250);
    CHECK(rig.refused(GateCode::kBackpressure) == refused);
}

TEST_CASE("R20: a policy without a valid output three times in a row halts its instrument") {
    Settings settings = make_settings();
    settings.onnx = {overflowing_network()};
    GateRig rig(settings);
    (void)rig.mask_after(400);
    CHECK(rig.engine->totals().orders == 0);
    rig.check_trip(GateCode::kPolicyInvalid, 0);
    CHECK(rig.engine->kill_level(0) == KillLevel::kHalted);
    const EnsembleState& agents = rig.desk().policy[rig.engine->models().live_place()];
    CHECK(agents.errors_in_row[0] == kAgentErrorsMax);
    rig.clear(0);
    CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
    CHECK(agents.errors_in_row[0] == 0);  // it is asked again
    (void)rig.mask_after(3);
    CHECK(rig.engine->kill_level(0) == KillLevel::kHalted);
}

TEST_CASE("R20: one agent's bad logits refuse that decision's order and stop nothing else") {
    Settings settings = make_settings();
    settings.agents.resize(3, settings.agents[0]);
    settings.onnx = {momentum_network(50.0F), momentum_network(50.0F), overflowing_network()};
    GateRig rig(settings);
    (void)rig.mask_after(400);
    CHECK(rig.refused(GateCode::kPolicyInvalid) > 0);
    CHECK(rig.refused(GateCode::kPolicyInvalid) <= kAgentErrorsMax);  // then the agent is out
    CHECK(rig.engine->totals().orders > 0);
    CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
}

TEST_CASE("R20: three late outputs in a row halt, one in time begins anew") {
    GateRig rig;
    (void)rig.mask_after(250);
    REQUIRE(rig.engine->totals().orders > 0);
    const auto late = [&] {
        rig.io(RecordType::kPolicyLate, PolicyLate{rig.engine->last_input_sequence(), 9, 1, {}});
    };
    for (int i = 0; i < 20; ++i) {  // two late ones, then one in time
        rig.wave_bar();
        if (i % 3 != 2) late();
        CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
    }
    rig.wave_bar();
    rig.io(RecordType::kPolicyLate,
           PolicyLate{rig.engine->last_input_sequence() + 1, 9, 1, {}});  // of no decision
    for (int i = 0; i < 2; ++i) {
        rig.wave_bar();
        late();
        late();  // said twice is late once
    }
    CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
    rig.wave_bar();
    late();
    rig.check_trip(GateCode::kPolicyInvalid, 0);
}

}  // namespace gm::test
