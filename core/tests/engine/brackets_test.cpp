// Promise: a position has its stop and its target, each of its size; what one trades the other
// gives up; they give way to a decision, and what both traded too much is given back.
#include "engine/rig.hpp"

using namespace gm;
using gm::test::Rig;

namespace {

Settings bracketed(double stop = 2.0, double target = 3.0, bool trails = false) {
    Settings settings = gm::test::make_settings();
    settings.limits[0].types_allowed = 7;
    settings.limits[0].collar_ppm = 100'000;  // three ranges of this wave
    settings.limits[0].order_notional_micros_max *= 2;
    settings.sizing[0].stop_atr = stop;
    settings.sizing[0].target_atr = target;
    settings.sizing[0].stop_trails = trails ? 1 : 0;
    return settings;
}

// A trader at the keys of the venue: nothing is answered but by him.
class Desk0 : public Rig {
 public:
    explicit Desk0(const Settings& settings = bracketed()) : Rig(settings) {
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

}  // namespace

TEST_CASE("stop and target have the size of what is filled, and grow with it") {
    Desk0 rig;
    const NewOrder order = rig.entry();
    rig.fill(order, Desk0::kPaid, 400, 600);
    const auto legs = rig.take_orders();
    REQUIRE(legs.size() == 2);
    const auto away = [&](double atr) {
        return static_cast<std::int64_t>(std::ceil(atr * rig.desk().features.atr_ticks()));
    };
    CHECK(legs[0].type == OrderType::kStop);
    CHECK(legs[0].reason == OrderReason::kStop);
    CHECK(legs[0].price_ticks == Desk0::kPaid - rig.sign() * away(2.0));
    CHECK(legs[1].type == OrderType::kLimit);
    CHECK(legs[1].reason == OrderReason::kTarget);
    CHECK(legs[1].price_ticks == Desk0::kPaid + rig.sign() * away(3.0));
    for (const NewOrder& leg : legs) {
        CHECK(leg.side != order.side);
        CHECK(leg.quantity_lots == 400);
    }
    rig.ack(legs[0]);
    rig.fill(order, Desk0::kPaid + 5, 600, 0);  // the target is not acknowledged yet
    auto asked = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].id == legs[0].id);
    CHECK(asked[0].quantity_lots == 1000);
    CHECK(asked[0].price_ticks == legs[0].price_ticks);  // of the fill that opened it
    rig.accept(asked[0], 0);
    rig.ack(legs[1]);
    asked = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].id == legs[1].id);
    CHECK(asked[0].quantity_lots == 1000);
    rig.accept(asked[0], 0);
    CHECK(rig.take<ReplaceOrder>(RecordType::kReplaceOrder).empty());
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("what one leg trades the other gives up, and what it ended is not wanted back") {
    for (const std::size_t leg : {0U, 1U}) {
        Desk0 rig;
        const auto legs = rig.protect();
        rig.fill(legs[leg], 40'000, 300, 700);
        const auto asked = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
        REQUIRE(asked.size() == 1);
        CHECK(asked[0].id == legs[1 - leg].id);
        CHECK(asked[0].quantity_lots == 700);
        rig.accept(asked[0], 0);
        rig.fill(legs[leg], 40'000, 700, 0);
        const auto taken_back = rig.take<CancelOrder>(RecordType::kCancelOrder);
        REQUIRE(taken_back.size() == 1);
        CHECK(taken_back[0].id == legs[1 - leg].id);
        rig.cancelled(legs[1 - leg].id);
        CHECK(rig.desk().position.lots == 0);
        CHECK(rig.desk().target_lots == 0);
        CHECK(rig.engine->open_orders() == 0);
        CHECK(rig.take_orders().empty());
    }
}

TEST_CASE("a leg gives way to a decision, and the order follows when both have ended") {
    Desk0 rig;
    const auto legs = rig.protect();
    const std::int64_t held = rig.desk().position.lots;
    std::vector<CancelOrder> asked;
    for (int i = 0; i < 300 && asked.empty(); ++i) {
        rig.wave_bar();
        CHECK(rig.take_orders().empty());
        for (const Slot& slot : rig.messages) {
            if (slot.type() == RecordType::kCancelOrder) asked.push_back(slot.as<CancelOrder>());
        }
    }
    REQUIRE(asked.size() == 2);
    rig.cancelled(legs[0].id);
    CHECK(rig.take_orders().empty());
    SUBCASE("untraded: the whole way") {
        rig.cancelled(legs[1].id);
        const auto sent = rig.take_orders();
        REQUIRE(sent.size() == 1);
        const bool leaves = sent[0].reason == OrderReason::kMaxHold;
        CHECK(sent[0].quantity_lots == (leaves ? 1000 : 2000));
        CHECK((sent[0].side == Side::kSell) == (held > 0));
        rig.ack(sent[0]);  // no leg while it is under way
        rig.fill(sent[0], 40'000, 400, sent[0].quantity_lots - 400);
        CHECK(rig.take_orders().empty());
    }
    SUBCASE("the target traded meanwhile: what is left to do") {
        rig.fill(legs[1], 40'000, 1000, 0);
        const auto sent = rig.take_orders();
        CHECK(sent.size() <= 1);  // an exit has nothing left to do
        for (const NewOrder& order : sent) CHECK(order.quantity_lots == 1000);
    }
}

TEST_CASE("what both legs traded too much is given back at market") {
    Desk0 rig;
    const auto legs = rig.protect();
    const std::int64_t held = rig.desk().position.lots;
    rig.fill(legs[0], 40'000, 1000, 0);
    rig.fill(legs[1], 42'000, 1000, 0);  // before its cancel arrived
    CHECK(rig.desk().position.lots == -held);
    const auto sent = rig.take_orders();
    REQUIRE(!sent.empty());
    CHECK(sent[0].type == OrderType::kMarket);
    CHECK(sent[0].quantity_lots == 1000);
    CHECK((sent[0].side == Side::kBuy) == (held > 0));
    rig.ack(sent[0]);
    rig.fill(sent[0], 41'000, 1000, 0);
    CHECK(rig.desk().position.lots == 0);
}

TEST_CASE("a trailing stop follows and never loosens") {
    Desk0 rig(bracketed(2.0, 0.0, true));
    const NewOrder order = rig.entry();
    rig.fill(order, Desk0::kPaid, 1000, 0);
    const auto legs = rig.take_orders();
    REQUIRE(legs.size() == 1);
    rig.ack(legs[0]);
    rig.messages.clear();
    std::int64_t price = legs[0].price_ticks;
    int moves = 0;
    for (int i = 0; i < 40 && rig.desk().position.lots != 0; ++i) {
        rig.wave_bar();
        for (const auto& asked : rig.take<ReplaceOrder>(RecordType::kReplaceOrder)) {
            CHECK(rig.sign() * (asked.price_ticks - price) > 0);
            CHECK(asked.quantity_lots == 1000);
            price = asked.price_ticks;
            ++moves;
            rig.accept(asked, 0);
        }
    }
    CHECK(moves > 0);
}

TEST_CASE("a leg that the venue refuses is sent again, until the gate says it was often enough") {
    Settings settings = bracketed(2.0, 0.0);
    settings.limits[0].duplicates_max = 3;
    Desk0 rig(settings);
    const NewOrder order = rig.entry();
    rig.fill(order, Desk0::kPaid, 1000, 0);
    int sends = 0;
    for (auto legs = rig.take_orders(); !legs.empty(); legs = rig.take_orders()) {
        ++sends;
        rig.reply(RecordType::kReject, Reject{legs[0].id, 0, RejectReason::kRandom, {}, {}});
    }
    CHECK(sends == 3);
    const auto refusals = rig.records<Refusal>(RecordType::kRefusal);
    REQUIRE(refusals.size() == 1);
    CHECK(refusals[0].code == static_cast<std::uint8_t>(GateCode::kDuplicate));
    rig.wave_bar();
    CHECK(rig.take_orders().size() == 1);
}

TEST_CASE("a replace that is refused leaves the leg as it was; unanswered it is asked about") {
    Desk0 rig;
    const auto legs = rig.protect();
    rig.fill(legs[1], 42'000, 300, 700);
    const auto asked = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
    REQUIRE(asked.size() == 1);
    SUBCASE("refused: what it was too late for comes first") {
        rig.reply(RecordType::kReject,
                  Reject{asked[0].id, 0, RejectReason::kTooLate, asked[0].replace_id, {}});
        CHECK(rig.take<ReplaceOrder>(RecordType::kReplaceOrder).empty());
        rig.fill(legs[0], 40'000, 100, 900);
        const auto again = rig.take<ReplaceOrder>(RecordType::kReplaceOrder);
        REQUIRE(again.size() == 2);
        CHECK(again[0].id == legs[0].id);
        CHECK(again[0].quantity_lots == 700);  // 100 of it are filled, 600 lots are held
        CHECK(!(again[0].replace_id == asked[0].replace_id));
    }
    SUBCASE("unanswered") {
        const auto ask = [&] {
            const std::int64_t deadline = rig.engine->next_deadline_ns();
            rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline, Timer{deadline, {}}));
            const auto query = rig.take<QueryOrder>(RecordType::kQueryOrder);
            REQUIRE(query.size() == 1);
            CHECK(query[0].replace_id == asked[0].replace_id);
        };
        ask();
        OrderStateReport report{legs[0].id, 0, 1000, 0, OrderState::kLive, legs[0].side, 0, {}};
        rig.reply(RecordType::kOrderState, report);  // of before the replace came
        CHECK(rig.take<ReplaceOrder>(RecordType::kReplaceOrder).empty());
        ask();
        report.is_replace_absent = 1;
        rig.reply(RecordType::kOrderState, report);
        CHECK(rig.take<ReplaceOrder>(RecordType::kReplaceOrder).size() == 1);
    }
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("a stop takes back both legs, and a restart finds them again") {
    Desk0 rig;
    const auto legs = rig.protect();
    Epoch epoch{};
    epoch.epoch = 2;
    rig.io(RecordType::kEpoch, epoch);
    SessionEvent joined{};
    joined.connection = 1;
    rig.io(RecordType::kConnected, joined);
    CHECK(rig.take<QueryOrder>(RecordType::kQueryOrder).size() == 2);
    for (const NewOrder& leg : legs) {
        rig.reply(RecordType::kOrderState,
                  OrderStateReport{leg.id, 0, 1000, 0, OrderState::kLive, leg.side, 0, {}});
    }
    CHECK(rig.engine->state() == EngineState::kReady);
    CHECK(rig.take_orders().empty());  // they are as they should be
    rig.messages.clear();
    rig.io(RecordType::kStop, SessionEvent{});
    CHECK(rig.take<CancelOrder>(RecordType::kCancelOrder).size() == 2);
}
