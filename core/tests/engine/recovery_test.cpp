// Promise: an engine trades only under ids that the disk has, learns the fate of those that a loss
// of power took from its journal, adopts what it finds among them once, and holds new risk back
// while the venue's books are not its own.
#include "engine/kernel_fixture.hpp"
#include "engine/life.hpp"

using namespace gm;
using gm::test::Life;
using gm::test::make_settings;
using gm::test::Rig;

namespace {

RangeOrder found_as(const NewOrder& order, OrderState state, std::int64_t filled) {
    RangeOrder found{};
    found.id = order.id;
    found.price_ticks = order.price_ticks;
    found.quantity_lots = order.quantity_lots;
    found.filled_lots = filled;
    found.instrument = order.instrument;
    found.state = state;
    found.side = order.side;
    found.type = order.type;
    found.reason = order.reason;
    return found;
}

RangeEnd end_of(const QueryRange& question) {
    RangeEnd end{};
    end.first = question.first;
    end.last_counter = question.last_counter;
    return end;
}

NewOrder lost_order(std::uint64_t counter, std::int64_t lots) {
    NewOrder order{};
    order.id = {7, 1, counter};
    order.quantity_lots = lots;
    order.side = Side::kBuy;
    order.type = OrderType::kLimit;
    order.price_ticks = 41'000;
    return order;
}

using enum RecordType;

}  // namespace

TEST_CASE("READY comes after the venue's books and after ids that the disk has") {
    Life life;
    life.begin(1);
    CHECK(life.said() == std::vector{kQueryAccount});
    CHECK(life.engine->awaited() == Awaited::kAccount);
    life.agree();
    CHECK(life.said() == std::vector{kIdsWanted});
    CHECK(life.last.back().as<IdsWanted>().last_counter == kIdBlock);
    CHECK(life.engine->awaited() == Awaited::kIds);
    CHECK(life.engine->state() == EngineState::kRecovering);
    life.reserve(kIdBlock, 9);      // of another life
    life.reserve(kIdBlock + 1, 1);  // never asked for
    CHECK(life.said().empty());
    life.reserve(kIdBlock, 1);
    CHECK(life.said() == std::vector{kReady});
    CHECK(life.engine->awaited() == Awaited::kNothing);
    CHECK(life.engine->ids_left() == kIdBlock);
}

TEST_CASE("an epoch of before reservations is READY at once and has ids without end") {
    Rig rig;
    rig.connect();
    CHECK(rig.engine->state() == EngineState::kReady);
    rig.is_manual = true;
    for (int i = 0; i < 300 && rig.take_orders().empty(); ++i) rig.wave_bar();
    CHECK(rig.engine->totals().orders == 1);
}

TEST_CASE("more ids are asked for at half a block, so that no order waits for them") {
    Settings settings = make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    settings.kernels = {test::kernel_row("turn", KernelKind::kRule, 1)};
    Life life(settings);
    life.become_ready();
    double direction = 1.0;
    std::uint64_t asked_at = 0;
    for (std::uint64_t i = 0; i < kIdBlock / 2 + 100; ++i) {  // an order a bar
        life.wave_bar();
        test::serve(life, [&](const KernelCall&, KernelResult result) {
            result.value = direction = -direction;
            return result;
        });
        const auto types = life.said();
        for (const NewOrder& order : life.sent_orders)
            life.fill(order, 41'000, order.quantity_lots, 0);
        if (asked_at == 0 && !types.empty()) asked_at = life.sent_orders.back().id.counter;
        for (const RecordType type : types) CHECK(type == kIdsWanted);
        life.sent_orders.clear();
        life.written.erase(life.written.begin(), life.written.end());
    }
    CHECK(asked_at == kIdBlock / 2 + 1);
    CHECK(life.engine->recovery().ids_wanted == asked_at + kIdBlock);
    CHECK(life.engine->ids_left() < kIdBlock / 2);
    CHECK(life.engine->totals().refusals[static_cast<std::size_t>(GateCode::kNotReady)] == 0);
    life.reserve(asked_at + kIdBlock, 1);
    CHECK(life.engine->ids_left() == asked_at + kIdBlock - (kIdBlock / 2 + 100));
}

TEST_CASE("no order leaves under an id that is not reserved, and more are asked for at half") {
    Life life;
    life.begin(1, true);
    life.agree();
    life.reserve(3, 1);  // as if the disk had no more than these
    REQUIRE(life.engine->state() == EngineState::kReady);
    (void)life.said();
    for (int i = 0; i < 1500; ++i) life.wave_bar();
    std::uint64_t last = 0;
    for (const NewOrder& order : life.records<NewOrder>(kIntent)) last = order.id.counter;
    CHECK(last == 3);
    const auto& refusals = life.engine->totals().refusals;
    CHECK(refusals[static_cast<std::size_t>(GateCode::kNotReady)] > 0);
    const auto wanted = life.records<IdsWanted>(kIdsWanted).size();
    CHECK(wanted == 1);  // half a block is not used yet

    life.reserve(kIdBlock, 1);
    const std::uint64_t before = life.engine->totals().orders;
    for (int i = 0; i < 300 && life.engine->totals().orders == before; ++i) life.wave_bar();
    CHECK(life.engine->totals().orders > before);
}

TEST_CASE("ids that a loss of power may have taken are asked for once, before READY") {
    Life life;
    life.become_ready();
    const NewOrder known = life.wait_for_order();
    life.fill(known, 41'000, known.quantity_lots, 0);
    (void)life.said();
    life.begin(2);
    REQUIRE(life.said() == std::vector{kQueryRange});
    const auto question = life.last.back().as<QueryRange>();
    CHECK(question.first == OrderId{7, 1, known.id.counter + 1});
    CHECK(question.last_counter == kIdBlock);
    CHECK(life.engine->awaited() == Awaited::kRange);

    // No answer on this connection: asked again on the next one.
    life.io(kDisconnected, SessionEvent{});
    SessionEvent again{};
    again.connection = 2;
    life.io(kConnected, again);
    REQUIRE(life.said() == std::vector{kQueryRange});
    // Nor in this life, which had no ids of its own: the next one asks for the same.
    life.begin(3);
    REQUIRE(life.said() == std::vector{kQueryRange});
    CHECK(life.last.back().as<QueryRange>().first == question.first);
    life.reply(kRangeEnd, end_of(question));
    CHECK(life.said() == std::vector{kQueryAccount});
    life.reply(kRangeEnd, end_of(question));  // the answer to the question before
    life.agree();
    life.reserve(kIdBlock, 3);
    CHECK(life.said() == std::vector{kIdsWanted, kReady});
    life.begin(4, true);  // after a clean end nothing is missing
    CHECK(life.said() == std::vector{kQueryAccount});
}

TEST_CASE("an order that the journal lost is adopted as ours, and its fills are booked once") {
    Life life;
    life.become_ready();
    life.begin(2);
    (void)life.said();
    life.io(kDisconnected, SessionEvent{});
    const NewOrder lost = lost_order(5, 100);
    life.reply(kAck, Ack{lost.id, 1, 0, lost.side, {}, 100, {}});
    CHECK(life.engine->open_orders() == 1);
    CHECK(life.engine->totals().recovered == 1);
    CHECK(life.engine->totals().orphans == 0);
    const Fill fill{lost.id, 77, 41'000, 40, 60, 5, 0, lost.side, {}};
    life.reply(kFill, fill);
    life.reply(kFill, fill);
    CHECK(life.desk().position.lots == 40);
    life.reply(kReject, Reject{{7, 1, 6}, 0, RejectReason::kRandom, {}, {}});  // lost, too
    SessionEvent again{};
    again.connection = 2;
    life.io(kConnected, again);
    CHECK(life.said() == std::vector{kQueryOrder, kQueryRange});
    const auto question = life.last.back().as<QueryRange>();
    for (int i = 0; i < 2; ++i) {  // the connection may have broken in the middle of the answer
        life.reply(kRangeOrder, found_as(lost, OrderState::kPartial, 40));
        RangeOrder refused = found_as(lost_order(6, 100), OrderState::kRejected, 0);
        life.reply(kRangeOrder, refused);
    }
    life.reply(kOrderState,
               OrderStateReport{lost.id, 40, 60, 0, OrderState::kPartial, lost.side, 0, {}});
    life.reply(kRangeEnd, end_of(question));
    CHECK(life.said() == std::vector{kQueryAccount});
    CHECK(life.engine->open_orders() == 1);
    life.agree();
    life.reserve(kIdBlock, 2);
    CHECK(life.engine->state() == EngineState::kReady);
    CHECK(life.engine->totals().bad_transitions == 0);
    CHECK(life.engine->account_level() == KillLevel::kActive);
    CHECK(life.desk().level == KillLevel::kActive);
    life.reply(kFill, Fill{lost.id, 78, 41'000, 60, 0, 5, 0, lost.side, {}});
    CHECK(life.desk().position.lots == 100);
    CHECK(life.engine->open_orders() == 0);
}

TEST_CASE("what was decided in the lost records is not traded back") {
    Life life;
    life.become_ready();
    const NewOrder entry = life.wait_for_order();
    life.ack(entry);
    life.fill(entry, 41'000, entry.quantity_lots, 0);
    REQUIRE(life.desk().target_lots == life.desk().position.lots);
    life.begin(2);  // and the exit that followed is in no journal
    const OrderId first = life.engine->recovery().lost;
    const std::uint64_t last = life.engine->recovery().lost_until;
    NewOrder exit = lost_order(first.counter, entry.quantity_lots);
    exit.side = entry.side == Side::kBuy ? Side::kSell : Side::kBuy;
    life.reply(kAck, Ack{exit.id, 2, 0, exit.side, {}, exit.quantity_lots, {}});
    life.reply(kFill, Fill{exit.id, 900, 41'000, exit.quantity_lots, 0, 5, 0, exit.side, {}});
    (void)life.said();
    life.reply(kRangeEnd, end_of({first, last, 1, {}}));
    CHECK(life.desk().position.lots == 0);
    CHECK(life.desk().target_lots != 0);
    life.agree();
    life.reserve(kIdBlock, 2);
    REQUIRE(life.engine->state() == EngineState::kReady);
    CHECK(life.desk().target_lots == 0);
}

TEST_CASE("a venue that sends no replies again still gives the open orders of the range") {
    Life life;
    life.become_ready();
    life.begin(2);
    (void)life.said();
    const NewOrder lost = lost_order(1, 100);
    life.reply(kRangeOrder, found_as(lost, OrderState::kLive, 0));
    CHECK(life.engine->open_orders() == 1);
    // And one that traded, of which no fill came: the books will not agree.
    life.reply(kRangeOrder, found_as(lost_order(2, 100), OrderState::kFilled, 100));
    life.reply(kRangeEnd, end_of({{7, 1, 1}, kIdBlock, 1, {}}));
    PositionReport report = life.books();
    report.position_lots += 100;
    life.reply(kPositionReport, report);
    CHECK(life.broken() == ReconField::kPosition);
    CHECK(life.engine->state() == EngineState::kRecovering);
}

TEST_CASE("a replace that the journal lost leaves the order as the venue has it") {
    Life life;
    life.become_ready();
    const NewOrder order = life.wait_for_order();
    life.ack(order);
    life.begin(2);
    const OrderId replace{7, 1, order.id.counter + 1};
    life.reply(kReject, Reject{order.id, 0, RejectReason::kTooLate, {7, 1, 99}, {}});
    life.reply(kReplaced,
               Replaced{order.id, replace, 0, order.quantity_lots - 10, 0, order.instrument, {}});
    life.reply(kOrderState,
               OrderStateReport{
                   order.id, 0, order.quantity_lots - 10, 0, OrderState::kLive, order.side, 0, {}});
    CHECK(life.engine->totals().bad_transitions == 0);
    CHECK(life.desk().level == KillLevel::kActive);
    life.reply(kRangeEnd, end_of({{7, 1, order.id.counter + 1}, kIdBlock, 1, {}}));
    life.agree();
    CHECK(life.engine->awaited() == Awaited::kIds);
}

TEST_CASE("an order outside the range that nobody knows stays an orphan") {
    Life life;
    life.become_ready();
    life.begin(2);
    for (const OrderId id : {OrderId{7, 1, kIdBlock + 1}, OrderId{7, 2, 1}, OrderId{9, 1, 5}}) {
        const std::uint64_t before = life.engine->totals().orphans;
        life.reply(kAck, Ack{id, 1, 0, Side::kBuy, {}, 1, {}});
        CHECK(life.engine->totals().orphans == before + 1);
    }
    const std::uint64_t before = life.engine->totals().bad_transitions;
    NewOrder foreign = lost_order(5, 1);
    foreign.id.epoch = 2;
    life.reply(kRangeOrder, found_as(foreign, OrderState::kLive, 0));
    CHECK(life.engine->totals().bad_transitions == before + 1);
}

TEST_CASE("books that differ halt the account until they agree, whatever differs") {
    for (int field = 1; field <= 4; ++field) {
        Life life;
        life.begin(1);
        PositionReport report = life.books();
        if (field == 1) report.position_lots += 1;
        if (field == 2) report.cash_micros_high -= 1;
        if (field == 3) report.commission_micros += 1;
        if (field == 4) report.open_orders += 1;
        life.reply(kPositionReport, report);
        CHECK(life.broken() == static_cast<ReconField>(field));
        CHECK(life.engine->account_level() == KillLevel::kHalted);
        CHECK(life.records<KillState>(kKillState).back().cause == KillCause::kReconBreak);
        CHECK(life.engine->awaited() == Awaited::kReconBreak);
        CHECK(life.engine->state() == EngineState::kRecovering);
        // The next connection asks again; the level stays for two people.
        life.io(kDisconnected, SessionEvent{});
        SessionEvent again{};
        again.connection = 2;
        life.io(kConnected, again);
        life.agree();
        life.reserve(kIdBlock, 1);
        CHECK(life.engine->state() == EngineState::kReady);
        CHECK(life.engine->awaited() == Awaited::kNothing);
        CHECK(life.broken() == ReconField::kNone);
        CHECK(life.engine->account_level() == KillLevel::kHalted);
    }
}

TEST_CASE("a break survives the process that found it") {
    Life life;
    life.begin(1);
    PositionReport report = life.books();
    report.position_lots = 3;
    life.reply(kPositionReport, report);
    life.begin(2, true);
    CHECK(life.engine->awaited() == Awaited::kReconBreak);
    CHECK(life.engine->account_level() == KillLevel::kHalted);
}

TEST_CASE("while it trades a difference must last, and books that are ahead say nothing") {
    Settings settings = make_settings();
    settings.header.recon_break_after_ns = 3'000'000'000;
    Life life(settings);
    life.become_ready();
    std::int64_t now_ns = life.engine->now_ns();
    const auto check = [&](std::int64_t after_ns, std::int64_t lots, std::uint64_t ahead = 0) {
        now_ns += after_ns;
        PositionReport report = life.books();
        report.position_lots += lots;
        report.last_reply_sequence += ahead;
        report.open_orders += 1;  // may be on its way
        life.step(make_slot(kPositionCheck, Source::kIo, 0, now_ns, report));
    };
    const std::int64_t second = 1'000'000'000;
    check(second, 5);
    check(2 * second, 5, 1);
    check(second - 1, 5);
    CHECK(life.engine->account_level() == KillLevel::kActive);
    check(0, 0);  // ours again: the time begins anew
    check(second, 5);
    check(3 * second - 1, 5);
    CHECK(life.engine->account_level() == KillLevel::kActive);
    check(1, 5);
    CHECK(life.broken() == ReconField::kPosition);
    CHECK(life.engine->account_level() == KillLevel::kHalted);
    CHECK(life.engine->awaited() == Awaited::kReconBreak);
    CHECK(life.engine->state() == EngineState::kReady);
    check(second, 0);
    CHECK(life.engine->awaited() == Awaited::kNothing);
    CHECK(life.engine->account_level() == KillLevel::kHalted);
}

TEST_CASE("R19 refuses new risk also when the level has fallen") {
    Life life;
    life.become_ready();
    life.step(make_slot(kPositionReport, Source::kVenueOrders, ++life.reply_sequence,
                        life.engine->now_ns(), [&] {
                            PositionReport report = life.books();
                            report.position_lots += 1;
                            return report;
                        }()));
    Kill fall{};
    fall.instrument = kWholeAccount;
    fall.cause = KillCause::kCleared;
    life.io(kKill, fall);
    REQUIRE(life.engine->account_level() == KillLevel::kActive);
    for (int i = 0; i < 300 && life.records<Refusal>(kRefusal).empty(); ++i) life.wave_bar();
    REQUIRE_FALSE(life.records<Refusal>(kRefusal).empty());
    const auto refusal = life.records<Refusal>(kRefusal).front();
    CHECK(refusal.code == static_cast<std::uint8_t>(GateCode::kReconBreak));
    CHECK((refusal.mask >> 18U & 1U) == 1U);
    CHECK(life.engine->totals().orders == 0);
}

TEST_CASE("a late fill of a dead order is booked and raises R19") {
    Life life;
    life.become_ready();
    const NewOrder order = life.wait_for_order();
    life.ack(order);
    life.reply(kCancelled, OrderEnded{order.id, 0, 0, {}});
    life.fill(order, 41'000, 300, 0);
    CHECK(magnitude(life.desk().position.lots) == 300);
    CHECK(life.broken() == ReconField::kLateFill);
    CHECK(life.engine->account_level() == KillLevel::kHalted);
    CHECK(life.records<KillState>(kKillState).back().cause == KillCause::kReconBreak);
    life.agree();  // the venue has it, too
    CHECK(life.engine->awaited() == Awaited::kNothing);
}

TEST_CASE("without an answer an order stays UNKNOWN, reserved, and its symbol REDUCING") {
    Life life;
    life.become_ready();
    const NewOrder order = life.wait_for_order();
    const std::int64_t timeout_ns = make_settings().header.order_timeout_ns;
    std::int64_t now_ns = life.engine->now_ns();
    for (int i = 0; i < 50; ++i) {
        now_ns += timeout_ns;
        life.step(make_slot(kTimer, Source::kIo, 0, now_ns, Timer{now_ns, {}}));
    }
    CHECK(life.said() == std::vector{kQueryOrder});  // asked, and never sent again
    const auto updates = life.records<OrderUpdate>(kOrderUpdate);
    CHECK(updates.back().state == OrderState::kUnknown);
    CHECK(updates.back().leaves_lots == order.quantity_lots);
    CHECK(life.engine->open_orders() == 1);
    for (int i = 0; i < 300; ++i) life.wave_bar();
    CHECK(life.engine->totals().orders == 1);
    CHECK(life.engine->open_orders() == 1);
}

TEST_CASE("what a venue may cancel on a disconnect is cancelled when it says so, not before") {
    Life life;
    life.become_ready();
    const NewOrder order = life.wait_for_order();
    life.ack(order);
    (void)life.said();
    life.io(kDisconnected, SessionEvent{});
    CHECK(life.engine->open_orders() == 1);
    SessionEvent again{};
    again.connection = 2;
    life.io(kConnected, again);
    CHECK(life.said() == std::vector{kQueryOrder});
    CHECK(life.engine->open_orders() == 1);
    CHECK(life.records<OrderUpdate>(kOrderUpdate).back().state == OrderState::kLive);
    life.reply(kCancelled, OrderEnded{order.id, 0, 0, {}});
    CHECK(life.engine->open_orders() == 0);
    CHECK(life.records<OrderUpdate>(kOrderUpdate).back().state == OrderState::kCancelled);
}
