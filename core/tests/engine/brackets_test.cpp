// Promise: a position has its stop and its target, each of its size; what one trades the other
// gives up; they give way to a decision, and what both traded too much is given back.
#include "engine/bracket_rig.hpp"

using namespace gm;
using gm::test::bracketed;
using gm::test::BracketRig;

TEST_CASE("stop and target have the size of what is filled, and grow with it") {
    BracketRig rig;
    const NewOrder order = rig.entry();
    rig.fill(order, BracketRig::kPaid, 400, 600);
    const auto legs = rig.take_orders();
    REQUIRE(legs.size() == 2);
    const auto away = [&](double atr) {
        return static_cast<std::int64_t>(std::ceil(atr * rig.desk().features.atr_ticks()));
    };
    CHECK(legs[0].type == OrderType::kStop);
    CHECK(legs[0].reason == OrderReason::kStop);
    CHECK(legs[0].price_ticks == BracketRig::kPaid - rig.sign() * away(2.0));
    CHECK(legs[1].type == OrderType::kLimit);
    CHECK(legs[1].reason == OrderReason::kTarget);
    CHECK(legs[1].price_ticks == BracketRig::kPaid + rig.sign() * away(3.0));
    for (const NewOrder& leg : legs) {
        CHECK(leg.side != order.side);
        CHECK(leg.quantity_lots == 400);
    }
    rig.ack(legs[0]);
    rig.fill(order, BracketRig::kPaid + 5, 600, 0);  // the target is not acknowledged yet
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
        BracketRig rig;
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
    BracketRig rig;
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

TEST_CASE("what both legs traded too much is given back at market, of a long and of a short") {
    for (const float gain : {50.0F, -50.0F}) {
        BracketRig rig(bracketed(2.0, 3.0, false, gain));
        const auto legs = rig.protect();
        const std::int64_t held = rig.desk().position.lots;
        CHECK((held > 0) == (gain < 0));
        rig.fill(legs[0], 40'000, 1000, 0);
        rig.fill(legs[1], 42'000, 1000, 0);  // before its cancel arrived
        CHECK(rig.desk().position.lots == -held);
        const auto sent = rig.take_orders();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].type == OrderType::kMarket);
        CHECK(sent[0].reason == OrderReason::kGiveBack);  // no leg, and none beside it
        CHECK(sent[0].quantity_lots == 1000);
        CHECK((sent[0].side == Side::kBuy) == (held > 0));
        rig.ack(sent[0]);
        rig.fill(sent[0], 41'000, 1000, 0);
        CHECK(rig.desk().position.lots == 0);
    }
}

TEST_CASE("a trailing stop follows and never loosens") {
    BracketRig rig(bracketed(2.0, 0.0, true));
    const NewOrder order = rig.entry();
    rig.fill(order, BracketRig::kPaid, 1000, 0);
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

TEST_CASE("a leg that the venue refuses is sent again, three times a close, however slowly") {
    BracketRig rig(bracketed(2.0, 0.0));
    const NewOrder order = rig.entry();
    rig.fill(order, BracketRig::kPaid, 1000, 0);
    int sends = 0;
    for (auto legs = rig.take_orders(); !legs.empty(); legs = rig.take_orders()) {
        ++sends;
        const Reject refused{legs[0].id, 0, RejectReason::kRandom, {}, {}};
        rig.step(make_slot(RecordType::kReject, Source::kVenueOrders, ++rig.reply_sequence,
                           rig.engine->now_ns() + 2'000'000'000, refused));
    }
    CHECK(sends == 3);
    rig.wave_bar();
    CHECK(rig.take_orders().size() == 1);
}

TEST_CASE("a replace that is refused leaves the leg as it was; unanswered it is asked about") {
    BracketRig rig;
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
    BracketRig rig;
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
