// Promise: what the venue says that it should not is believed where it costs money, dropped where
// it was said before, and stops the instrument; a silent cancel is asked about.
#include "engine/rig.hpp"

using namespace gm;
using gm::test::Rig;

namespace {

// Bars until the engine wants an order; it is acknowledged and rests.
NewOrder resting_order(Rig& rig) {
    rig.connect();
    rig.is_manual = true;
    for (int i = 0; i < 1000; ++i) {
        rig.wave_bar();
        const auto sent = rig.take_orders();
        if (sent.empty()) continue;
        rig.ack(sent.front());
        rig.messages.clear();
        return sent.front();
    }
    FAIL("no order in 1,000 bars");
    return {};
}

OrderUpdate last_update(const Rig& rig) {
    return rig.records<OrderUpdate>(RecordType::kOrderUpdate).back();
}

// To the venue, orders aside.
std::vector<RecordType> sent(Rig& rig) {
    (void)rig.take_orders();
    std::vector<RecordType> types;
    for (const Slot& slot : rig.messages) {
        if (slot.type() != RecordType::kKillState) types.push_back(slot.type());
    }
    rig.messages.clear();
    return types;
}

const OrderId kForeign{9, 1, 77};

}  // namespace

TEST_CASE("an execution that is reported again is dropped and counted") {
    Rig rig;
    const NewOrder order = resting_order(rig);
    Fill fill{order.id, 500, 41'000, 400, 600, 5, 0, order.side, {}};
    rig.reply(RecordType::kFill, fill);
    const std::int64_t lots = rig.desk().position.lots;
    rig.reply(RecordType::kFill, fill);
    CHECK(rig.desk().position.lots == lots);
    CHECK(rig.engine->totals().repeated_fills == 1);
    CHECK(rig.desk().level == KillLevel::kActive);
    fill.execution_id = 501;
    fill.quantity_lots = 600;
    fill.leaves_lots = 0;
    rig.reply(RecordType::kFill, fill);
    CHECK(last_update(rig).state == OrderState::kFilled);
}

TEST_CASE("a fill of an order that is dead to us is booked and stops the instrument") {
    Rig rig;
    const NewOrder order = resting_order(rig);
    rig.reply(RecordType::kCancelled, OrderEnded{order.id, 0, 0, {}});
    REQUIRE(last_update(rig).state == OrderState::kCancelled);
    rig.fill(order, 41'000, 300, 0);
    CHECK(magnitude(rig.desk().position.lots) == 300);
    CHECK(last_update(rig).state == OrderState::kCancelled);
    CHECK(last_update(rig).filled_lots == 300);
    CHECK(rig.engine->totals().late_fills == 1);
    CHECK(rig.desk().level == KillLevel::kHalted);
}

TEST_CASE(
    "an end that knows of fills which were not told stops the instrument, and they are booked") {
    for (const RecordType said : {RecordType::kCancelled, RecordType::kExpired}) {
        Rig rig;
        const NewOrder order = resting_order(rig);
        rig.reply(said, OrderEnded{order.id, 300, 0, {}});
        CHECK(rig.desk().level == KillLevel::kHalted);
        CHECK(rig.engine->open_orders() == 0);
        rig.fill(order, 41'000, 300, 700);
        CHECK(magnitude(rig.desk().position.lots) == 300);
    }
}

TEST_CASE("an order that is not ours is held at its worst and cancelled until it is gone") {
    for (const RecordType said : {RecordType::kAck, RecordType::kOrderState, RecordType::kFill}) {
        Rig rig;
        (void)resting_order(rig);
        const std::size_t open = rig.engine->open_orders();
        if (said == RecordType::kAck) {
            rig.reply(said, Ack{kForeign, 1, 0, Side::kSell, {}, 40, {}});
        } else if (said == RecordType::kOrderState) {
            OrderStateReport report{kForeign, 0, 40, 0, OrderState::kLive, Side::kSell, 0, {}};
            rig.reply(said, report);
        } else {
            rig.reply(said, Fill{kForeign, 900, 41'000, 10, 40, 1, 0, Side::kSell, {}});
            CHECK(rig.desk().position.lots == -10);
        }
        CHECK(rig.engine->open_orders() == open + 1);
        CHECK(rig.engine->totals().orphans == 1);
        CHECK(rig.desk().level == KillLevel::kHalted);
        CHECK(last_update(rig).state == OrderState::kOrphan);
        CHECK(last_update(rig).leaves_lots == 40);
        CHECK(sent(rig) == std::vector{RecordType::kCancelOrder});

        const std::int64_t deadline = rig.engine->next_deadline_ns();
        rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline, Timer{deadline, {}}));
        CHECK(sent(rig) == std::vector{RecordType::kQueryOrder});
        rig.reply(RecordType::kOrderState,
                  OrderStateReport{kForeign, 10, 40, 0, OrderState::kLive, Side::kSell, 0, {}});
        CHECK(sent(rig) == std::vector{RecordType::kCancelOrder});
        rig.reply(RecordType::kCancelled, OrderEnded{kForeign, 10, 0, {}});
        CHECK(last_update(rig).state == OrderState::kCancelled);
        CHECK(rig.engine->open_orders() == open);
    }
}

TEST_CASE("what a stranger says of an order that trades no more, or of no instrument, is counted") {
    Rig rig;
    (void)resting_order(rig);
    const std::uint64_t before = rig.engine->totals().bad_transitions;
    rig.reply(RecordType::kCancelled, OrderEnded{kForeign, 0, 0, {}});
    rig.reply(RecordType::kReject, Reject{{}, 0, RejectReason::kMalformed, {}, {}});
    rig.reply(RecordType::kAck, Ack{kForeign, 1, 99, Side::kBuy, {}, 5, {}});
    rig.reply(RecordType::kFill, Fill{kForeign, 901, 1, 1, 1, 0, 99, Side::kBuy, {}});
    CHECK(rig.engine->totals().bad_transitions == before + 4);
    CHECK(rig.engine->totals().orphans == 0);
    CHECK(rig.desk().position.lots == 0);
}

TEST_CASE("a cancel that nobody answers is asked about, and sent again when it rests still") {
    Rig rig;
    const NewOrder order = resting_order(rig);
    rig.io(RecordType::kStop, SessionEvent{});
    REQUIRE(last_update(rig).state == OrderState::kPendingCancel);
    CHECK(sent(rig) == std::vector{RecordType::kCancelOrder});
    const std::int64_t deadline = rig.engine->next_deadline_ns();
    CHECK(deadline == rig.engine->now_ns() + 2'000'000'000);
    rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline, Timer{deadline, {}}));
    CHECK(last_update(rig).state == OrderState::kPendingCancel);  // silence is no answer
    CHECK(sent(rig) == std::vector{RecordType::kQueryOrder});
    CHECK(rig.engine->next_deadline_ns() > deadline);
    OrderStateReport report{order.id, 0, 1000, 0, OrderState::kLive, order.side, 0, {}};
    rig.reply(RecordType::kOrderState, report);
    CHECK(sent(rig) == std::vector{RecordType::kCancelOrder});
    rig.reply(RecordType::kCancelled, OrderEnded{order.id, 0, 0, {}});
    CHECK(rig.engine->open_orders() == 0);
}

TEST_CASE("a report whose lots are not ours stops the instrument") {
    for (const auto& [filled, leaves] :
         std::initializer_list<std::pair<int, int>>{{100, 900}, {0, 999}}) {
        Rig rig;
        const NewOrder order = resting_order(rig);
        rig.io(RecordType::kDisconnected, SessionEvent{});
        SessionEvent joined{};
        joined.connection = 2;
        rig.io(RecordType::kConnected, joined);
        rig.reply(
            RecordType::kOrderState,
            OrderStateReport{order.id, filled, leaves, 0, OrderState::kLive, order.side, 0, {}});
        CHECK(rig.desk().level == KillLevel::kHalted);
    }
}
