// Each level of the kill switch refuses what it must with R01, KILLED leaves no order behind, and
// what the engine raises itself goes out like the rest.
#include <doctest/doctest.h>

#include <cstdlib>
#include <vector>

#include "engine/rig.hpp"

namespace gm::test {
namespace {

using enum KillLevel;

class KillRig : public Rig {
 public:
    KillRig() {
        connect();
        while (last_order.id.counter == 0 && bars < 700) {
            wave_bar();
            last_order_of_step();
        }
        REQUIRE(last_order.id.counter != 0);
    }
    void kill(KillLevel level, std::uint32_t instrument = kWholeAccount,
              KillCause cause = KillCause::kOrdered) {
        Kill input{};
        input.generation = ++generation;
        input.instrument = instrument;
        input.level = level;
        input.cause = cause;
        io(RecordType::kKill, input);
    }
    // One order stays unfilled from now on, and is the newest.
    void last_order_of_step() {
        is_manual = true;
        const std::vector<NewOrder> sent = take_orders();
        if (!sent.empty()) last_order = sent.back();
    }
    OrderState state() const {
        const auto updates = records<OrderUpdate>(RecordType::kOrderUpdate);
        for (std::size_t i = updates.size(); i-- > 0;) {
            if (updates[i].id == last_order.id) return updates[i].state;
        }
        return OrderState::kSent;
    }
    std::size_t sent_of(RecordType type) {
        (void)take_orders();
        std::size_t count = 0;
        for (const Slot& slot : messages) count += slot.type() == type ? 1 : 0;
        messages.clear();
        return count;
    }
    void timer(std::int64_t after_ns) {
        step(make_slot(RecordType::kTimer, Source::kIo, 0, engine->now_ns() + after_ns, Timer{}));
    }
    void fill_all() { fill(last_order, 10'000, last_order.quantity_lots, 0); }
    std::size_t refusals() const {
        return engine->totals().refusals[static_cast<std::size_t>(GateCode::kKilled)];
    }
    KillState last_state() const {
        const auto states = records<KillState>(RecordType::kKillState);
        return states.empty() ? KillState{} : states.back();
    }

    NewOrder last_order{};
    std::uint64_t generation = 0;
};

// Of the next `bars` bars: orders that left, and whether each lowers the position.
struct Left {
    int orders = 0;
    int raising = 0;
};
Left trade_on(KillRig& rig, int bars) {
    Left left;
    for (int i = 0; i < bars; ++i) {
        const std::int64_t before = rig.desk().position.lots;
        rig.wave_bar();
        for (const NewOrder& order : rig.take_orders()) {
            ++left.orders;
            const std::int64_t signed_lots =
                order.side == Side::kBuy ? order.quantity_lots : -order.quantity_lots;
            left.raising += std::abs(before + signed_lots) >= std::abs(before) ? 1 : 0;
            CHECK((order.is_reducing == 1) == (std::abs(before + signed_lots) < std::abs(before)));
            rig.fill(order, 10'000, order.quantity_lots, 0);
        }
    }
    return left;
}

}  // namespace

TEST_CASE("each level refuses with R01 what it must, for the account and for an instrument") {
    KillRig active;
    active.fill_all();
    CHECK(trade_on(active, 120).orders > 0);
    for (const std::uint32_t instrument : {kWholeAccount, 0U}) {
        for (const KillLevel level : {kReducing, kHalted, kKilled}) {
            KillRig rig;
            rig.fill_all();
            rig.kill(level, instrument);
            CHECK(rig.engine->kill_level(0) == level);
            CHECK((rig.engine->account_level() == level) == (instrument == kWholeAccount));
            const Left left = trade_on(rig, 120);
            CHECK(left.raising == 0);
            if (level > kReducing) CHECK(left.orders == 0);
            CHECK(rig.refusals() > 0);
            CHECK(rig.last_state().level == level);
            CHECK(rig.last_state().previous == kActive);
            CHECK(rig.last_state().instrument == instrument);
            CHECK(rig.last_state().generation == 1);
        }
    }
}

TEST_CASE("a level rises by whatever comes and falls by a clear alone") {
    KillRig rig;
    rig.kill(kHalted);
    rig.kill(kReducing);
    CHECK(rig.engine->account_level() == kHalted);
    rig.kill(kActive, kWholeAccount, KillCause::kSignal);
    CHECK(rig.engine->account_level() == kHalted);
    rig.kill(kKilled, kWholeAccount, KillCause::kCleared);  // a clear raises nothing
    CHECK(rig.engine->account_level() == kHalted);
    rig.kill(kReducing, kWholeAccount, KillCause::kCleared);
    CHECK(rig.engine->account_level() == kReducing);
    CHECK(rig.last_state().cause == KillCause::kCleared);
    CHECK(rig.last_state().previous == kHalted);
}

TEST_CASE("an instrument or a level that nobody knows is doubt, and counts for all") {
    KillRig rig;
    rig.kill(kReducing, 77);
    CHECK(rig.engine->account_level() == kReducing);
    rig.kill(static_cast<KillLevel>(9), 0);
    CHECK(rig.engine->kill_level(0) == kKilled);
    rig.kill(kActive, 77, KillCause::kCleared);
    CHECK(rig.engine->account_level() == kReducing);
}

TEST_CASE("KILLED cancels what rests, and asks and cancels again until nothing is left") {
    KillRig rig;
    rig.ack(rig.last_order);
    CHECK(rig.sent_of(RecordType::kCancelOrder) == 0);
    rig.kill(kHalted);
    CHECK(rig.sent_of(RecordType::kCancelOrder) == 0);  // HALTED lets it rest
    rig.kill(kKilled);
    CHECK(rig.last_state().open_orders == 1);
    CHECK(rig.sent_of(RecordType::kCancelOrder) == 1);
    CHECK(rig.state() == OrderState::kPendingCancel);
    for (int round = 0; round < 5; ++round) {  // the venue says nothing, then that it still has it
        REQUIRE(rig.engine->next_deadline_ns() <= rig.engine->now_ns() + 2'000'000'000);
        rig.timer(2'000'000'000);
        CHECK(rig.sent_of(RecordType::kQueryOrder) == 1);
        rig.timer(2'000'000'000);
        CHECK(rig.sent_of(RecordType::kQueryOrder) == 0);  // one question at a time
        OrderStateReport report{};
        report.id = rig.last_order.id;
        report.leaves_lots = rig.last_order.quantity_lots;
        report.state = OrderState::kLive;
        rig.reply(RecordType::kOrderState, report);
        CHECK(rig.sent_of(RecordType::kCancelOrder) == 1);
    }
    rig.reply(RecordType::kCancelled, OrderEnded{rig.last_order.id, 0, 0, {}});
    CHECK(rig.engine->open_orders() == 0);
    rig.timer(2'000'000'000);
    CHECK(rig.sent_of(RecordType::kCancelOrder) == 0);
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("what was on its way when KILLED came is cancelled once the venue has it") {
    SUBCASE("acknowledged") {
        KillRig rig;
        rig.kill(kKilled);
        CHECK(rig.sent_of(RecordType::kCancelOrder) == 0);
        rig.ack(rig.last_order);
        CHECK(rig.sent_of(RecordType::kCancelOrder) == 1);
    }
    SUBCASE("filled in part") {
        KillRig rig;
        rig.kill(kKilled, 0);
        rig.fill(rig.last_order, 10'000, 1, rig.last_order.quantity_lots - 1);
        CHECK(rig.sent_of(RecordType::kCancelOrder) == 1);
    }
    SUBCASE("found by the query of a new life") {
        KillRig rig;
        rig.kill(kKilled);
        rig.connect(2);
        CHECK(rig.engine->account_level() == kKilled);  // a start lowers nothing
        CHECK(rig.sent_of(RecordType::kQueryOrder) == 1);
        OrderStateReport report{};
        report.id = rig.last_order.id;
        report.leaves_lots = rig.last_order.quantity_lots;
        report.state = OrderState::kLive;
        rig.reply(RecordType::kOrderState, report);
        CHECK(rig.sent_of(RecordType::kCancelOrder) == 1);
    }
}

TEST_CASE("an order that the send has stopped was never anywhere") {
    KillRig rig;
    OrderStopped stopped{};
    stopped.id = rig.last_order.id;
    stopped.level = kKilled;
    SUBCASE("while it is sent") {
        rig.io(RecordType::kOrderStopped, stopped);
        CHECK(rig.state() == OrderState::kNever);
        rig.io(RecordType::kOrderStopped, stopped);  // told twice
    }
    SUBCASE("while its fate is asked for") {
        rig.timer(2'000'000'000);
        CHECK(rig.state() == OrderState::kUnknown);
        rig.io(RecordType::kOrderStopped, stopped);
        OrderStateReport report{};
        report.id = rig.last_order.id;
        report.state = OrderState::kAbsent;
        rig.reply(RecordType::kOrderState, report);
        CHECK(rig.state() == OrderState::kNever);
    }
    CHECK(rig.engine->open_orders() == 0);
    CHECK(rig.engine->awaiting_queries() == 0);
    CHECK(rig.engine->totals().bad_transitions == 0);
    CHECK(rig.engine->kill_level(0) == kActive);
    stopped.id.counter += 1000;
    rig.io(RecordType::kOrderStopped, stopped);  // of another life: nothing to do
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("what the engine raises itself goes out once, ahead of any order") {
    KillRig rig;
    rig.fill_all();
    (void)rig.sent_of(RecordType::kKillState);
    rig.ack(rig.last_order);  // of a filled order: impossible
    CHECK(rig.sent_of(RecordType::kKillState) == 1);
    CHECK(rig.last_state().cause == KillCause::kBadTransition);
    CHECK(rig.last_state().instrument == 0);
    CHECK(rig.last_state().level == kHalted);
    CHECK(rig.last_state().generation == 0);
    rig.ack(rig.last_order);
    CHECK(rig.sent_of(RecordType::kKillState) == 0);
    SessionEvent stop{};
    stop.reason = 1;
    rig.io(RecordType::kStop, stop);
    CHECK(rig.sent_of(RecordType::kKillState) == 1);
    CHECK(rig.last_state().instrument == kWholeAccount);
    CHECK(rig.last_state().cause == KillCause::kStopped);
}

}  // namespace gm::test
