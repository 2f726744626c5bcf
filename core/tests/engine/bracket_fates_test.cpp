// Promise: whatever is refused, stopped, throttled or late, no leg is left that could open a
// position, and no position is left without its legs for longer than to the next close.
#include "engine/bracket_rig.hpp"
#include "engine/two_levels.hpp"

using namespace gm;
using gm::test::bracketed;
using gm::test::BracketRig;

namespace {

void raise(BracketRig& rig, KillLevel level) {
    Kill kill{};
    kill.generation = 1;
    kill.instrument = kWholeAccount;
    kill.level = level;
    kill.cause = KillCause::kOrdered;
    rig.io(RecordType::kKill, kill);
}

// Another life, which the venue has not welcomed yet.
void restart(BracketRig& rig) {
    Epoch epoch{};
    epoch.epoch = 2;
    rig.io(RecordType::kEpoch, epoch);
}

void join(BracketRig& rig, std::uint32_t connection = 1) {
    SessionEvent joined{};
    joined.connection = connection;
    rig.io(RecordType::kConnected, joined);
}

void expect_give_back(BracketRig& rig) {
    REQUIRE(rig.engine->state() == EngineState::kReady);
    const auto sent = rig.take_orders();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].type == OrderType::kMarket);
    CHECK(sent[0].quantity_lots == 1000);
    CHECK((sent[0].side == Side::kBuy) == (rig.desk().position.lots < 0));
}

// One token, which a fill of 300 of a leg takes for the other.
Settings throttled() {
    Settings settings = bracketed();
    settings.account.cancels_per_second_max = 1;
    settings.account.cancels_burst_max = 1;
    return settings;
}

}  // namespace

TEST_CASE("under HALTED a leg that could open a position is taken back") {
    BracketRig rig;
    const auto legs = rig.protect();
    raise(rig, KillLevel::kHalted);
    rig.messages.clear();
    rig.fill(legs[0], 40'000, 1000, 0);
    CHECK(rig.desk().position.lots == 0);
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).size() == 1);
    rig.cancelled(legs[1].id);
    for (int i = 0; i < 300; ++i) rig.wave_bar();
    CHECK(rig.take_orders().empty());
}

TEST_CASE("a replace that the send stopped does not keep its leg from being taken back") {
    BracketRig rig(bracketed(2.0, 3.0, true));
    const auto legs = rig.protect();
    std::vector<ReplaceOrder> asked;
    for (int i = 0; i < 40 && asked.empty(); ++i) {
        rig.wave_bar();
        for (auto& r : rig.take<ReplaceOrder>(RecordType::kReplaceOrder)) asked.push_back(r);
    }
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].id == legs[0].id);
    rig.fill(legs[1], 42'000, 1000, 0);
    CHECK(rig.desk().position.lots == 0);
    OrderStopped stopped{};
    stopped.id = asked[0].id;
    stopped.replace_id = asked[0].replace_id;
    stopped.level = KillLevel::kReducing;
    rig.io(RecordType::kOrderStopped, stopped);
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).size() == 1);
}

TEST_CASE("what both legs traded too much while disconnected is given back once it is ready") {
    BracketRig rig;
    const auto legs = rig.protect();
    rig.io(RecordType::kDisconnected, SessionEvent{});
    rig.fill(legs[0], 40'000, 1000, 0);
    rig.fill(legs[1], 42'000, 1000, 0);
    CHECK(rig.take_orders().empty());  // nobody would take it
    join(rig, 2);
    expect_give_back(rig);
}

TEST_CASE("an orphan whose cancel found the bucket empty is cancelled later") {
    BracketRig rig(throttled());
    const auto legs = rig.protect();
    rig.fill(legs[0], 40'000, 300, 700);  // the token
    const OrderId foreign{9, 1, 77};
    rig.reply(RecordType::kAck, Ack{foreign, 1, 0, Side::kSell, {}, 40, {}});
    CHECK(rig.engine->totals().orphans == 1);
    std::size_t cancels = 0;
    for (int i = 0; i < 5; ++i) {
        rig.wave_bar();
        const std::int64_t deadline = rig.engine->next_deadline_ns();
        if (deadline != INT64_MAX)
            rig.step(make_slot(RecordType::kTimer, Source::kIo, 0,
                               std::max(deadline, rig.engine->now_ns()), Timer{deadline, {}}));
        (void)rig.take_orders();
        auto msgs = rig.messages;
        rig.messages.clear();
        for (const Slot& m : msgs) {
            if (m.type() == RecordType::kCancelOrder) cancels += m.as<CancelOrder>().id == foreign;
            if (m.type() == RecordType::kQueryOrder && m.as<QueryOrder>().id == foreign)
                rig.reply(
                    RecordType::kOrderState,
                    OrderStateReport{foreign, 0, 40, 0, OrderState::kLive, Side::kSell, 0, {}});
        }
    }
    CHECK(cancels > 0);
}

TEST_CASE("under REDUCING a stop trails, for its replace is reducing to the send as well") {
    BracketRig rig(bracketed(2.0, 0.0, true));
    const NewOrder order = rig.entry();
    rig.fill(order, BracketRig::kPaid, 1000, 0);
    const auto legs = rig.take_orders();
    REQUIRE(legs.size() == 1);
    rig.ack(legs[0]);
    raise(rig, KillLevel::kReducing);
    rig.messages.clear();
    int moves = 0;
    for (int i = 0; i < 40 && rig.desk().position.lots != 0; ++i) {
        rig.wave_bar();
        for (const auto& asked : rig.take<ReplaceOrder>(RecordType::kReplaceOrder)) {
            ++moves;
            CHECK(asked.is_reducing == 1);  // the gate has passed it as reducing
            rig.accept(asked, 0);
        }
    }
    CHECK(moves > 0);
}

TEST_CASE("a leg left over is taken back, also where the last report is of another instrument") {
    Settings s = bracketed();
    s.instruments.push_back(s.instruments[0]);
    std::strcpy(s.instruments[1].symbol, "ETH-PERP");
    s.limits.push_back(s.limits[0]);
    s.sizing.push_back(s.sizing[0]);
    BracketRig rig(s);
    const auto legs = rig.protect();
    const OrderId foreign{9, 1, 77};
    rig.reply(RecordType::kAck, Ack{foreign, 1, 1, Side::kSell, {}, 40, {}});
    restart(rig);
    rig.fill(legs[0], 40'000, 1000, 0);
    CHECK(rig.desk().position.lots == 0);
    (void)rig.take_orders();
    rig.messages.clear();
    join(rig);
    rig.reply(RecordType::kOrderState,
              OrderStateReport{legs[1].id, 0, 1000, 0, OrderState::kLive, legs[1].side, 0, {}});
    rig.reply(RecordType::kOrderState,
              OrderStateReport{foreign, 0, 40, 1, OrderState::kLive, Side::kSell, 0, {}});
    REQUIRE(rig.engine->state() == EngineState::kReady);
    bool cancelled = false;
    for (auto& c : rig.take<CancelOrder>(RecordType::kCancelOrder))
        cancelled = cancelled || c.id == legs[1].id;
    CHECK(cancelled);
}

TEST_CASE("the other leg whose cancel found the bucket empty is cancelled later") {
    BracketRig rig(throttled());
    const auto legs = rig.protect();
    rig.fill(legs[0], 40'000, 300, 700);
    auto asked = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
    REQUIRE(asked.size() == 1);
    rig.accept(asked[0], 0);
    rig.fill(legs[0], 40'000, 700, 0);
    CHECK(rig.desk().position.lots == 0);
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).empty());
    CHECK(rig.engine->open_orders() == 1);
    const std::int64_t deadline = rig.engine->next_deadline_ns();
    REQUIRE(deadline != INT64_MAX);
    rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline, Timer{deadline, {}}));
    rig.reply(RecordType::kOrderState,
              OrderStateReport{legs[1].id, 0, 700, 0, OrderState::kLive, legs[1].side, 0, {}});
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).size() == 1);
}

TEST_CASE("where the send stopped the exit the position has its legs again") {
    BracketRig rig;
    const auto legs = rig.protect();
    std::vector<CancelOrder> asked;
    for (int i = 0; i < 300 && asked.empty(); ++i) {
        rig.wave_bar();
        for (auto& c : rig.take<CancelOrder>(RecordType::kCancelOrder)) asked.push_back(c);
    }
    rig.cancelled(legs[0].id);
    rig.cancelled(legs[1].id);
    const auto sent = rig.take_orders();
    REQUIRE(sent.size() == 1);
    raise(rig, KillLevel::kReducing);
    OrderStopped stopped{};
    stopped.id = sent[0].id;
    stopped.level = KillLevel::kReducing;
    rig.io(RecordType::kOrderStopped, stopped);
    CHECK(rig.take_orders().size() >= 1);
}

TEST_CASE("under KILLED a leg whose replace is refused is cancelled at once") {
    BracketRig rig;
    const auto legs = rig.protect();
    rig.fill(legs[1], 42'000, 300, 700);
    auto asked = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
    REQUIRE(asked.size() == 1);
    raise(rig, KillLevel::kKilled);
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).size() == 1);
    rig.reply(RecordType::kReject,
              Reject{asked[0].id, 0, RejectReason::kPastValidity, asked[0].replace_id, {}});
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).size() == 1);
}

TEST_CASE("what both legs traded too much before a restart is given back behind it") {
    BracketRig rig;
    const auto legs = rig.protect();
    restart(rig);
    rig.fill(legs[0], 40'000, 1000, 0);
    rig.fill(legs[1], 42'000, 1000, 0);
    join(rig);
    expect_give_back(rig);
}

TEST_CASE("a give-back that waits for READY counts from the position of then") {
    BracketRig rig;
    const auto legs = rig.protect();
    restart(rig);
    rig.fill(legs[0], 40'000, 1000, 0);
    rig.fill(legs[1], 42'000, 400, 600);
    CHECK(rig.desk().has_wish);
    rig.fill(legs[1], 42'000, 600, 0);
    join(rig);
    CHECK(!rig.desk().has_wish);
    expect_give_back(rig);
}

TEST_CASE("a move that was refused does not keep a leg from getting smaller") {
    BracketRig rig(bracketed(2.0, 3.0, true));
    const auto legs = rig.protect();
    raise(rig, KillLevel::kReducing);
    rig.messages.clear();
    for (int i = 0; i < 40 && !rig.desk().bracket.legs[0].is_refused; ++i) rig.wave_bar();
    REQUIRE(rig.desk().bracket.legs[0].is_refused);
    REQUIRE(!rig.desk().has_wish);
    (void)rig.take_orders();
    rig.messages.clear();
    rig.fill(legs[1], 42'000, 900, 100);
    CHECK(rig.take<ReplaceOrder>(RecordType::kReplaceOrder).size() == 1);
}

TEST_CASE("a replace that the venue never takes is not asked for without end") {
    for (const bool shrinks : {true, false}) {
        BracketRig rig(bracketed(2.0, 3.0, true));
        const auto legs = rig.protect();
        if (shrinks) rig.fill(legs[1], 42'000, 300, 700);
        int asked = 0;
        for (int bars = 0; bars < 40 && asked == 0; ++bars) {
            auto messages = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
            for (; !messages.empty() && asked < 100;
                 messages = rig.take<ReplaceOrder>(RecordType::kReplaceOrder)) {
                ++asked;
                rig.reply(
                    RecordType::kReject,
                    Reject{
                        messages[0].id, 0, RejectReason::kMalformed, messages[0].replace_id, {}});
            }
            if (asked == 0) rig.wave_bar();
        }
        CHECK(asked > 0);
        CHECK(asked <= 4);
        CHECK(rig.engine->totals().bad_transitions == 0);
    }
}

TEST_CASE("two levels: a turn that the gate refuses is left, with a bracket as without") {
    for (const double target_atr : {0.0, 20.0}) {
        Settings settings = gm::test::two_level_settings(gm::test::kSaysAggressive);
        settings.onnx = {gm::test::momentum_network(5'000.0F)};
        settings.limits[0].order_quantity_lots_max = 1000;  // no room to turn in one order
        settings.limits[0].types_allowed = 7;
        settings.limits[0].collar_ppm = 900'000;
        settings.limits[0].order_notional_micros_max *= 10;
        settings.sizing[0].target_atr = target_atr;
        gm::test::TwoLevelRig rig(settings);
        rig.lets_limits_fill = false;
        rig.half_hours(420);
        int refused = 0;
        int left = 0;
        for (const Slot& slot : rig.written) {
            if (slot.type() == RecordType::kRefusal) {
                refused += slot.as<Refusal>().quantity_lots == 2000;
            }
            if (slot.type() != RecordType::kIntent) continue;
            const auto order = slot.as<NewOrder>();
            left += order.reason == OrderReason::kDecision && order.quantity_lots == 1000;
        }
        CAPTURE(target_atr);
        CHECK(refused > 0);
        CHECK(refused < 10);
        CHECK(left >= refused);
    }
}
