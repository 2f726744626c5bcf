// Promise: the same inputs give the same outputs, the journal explains every order before it
// leaves, and an order's fate is never guessed.
#include "gm/engine/engine.hpp"

#include "engine/rig.hpp"

using namespace gm;
using gm::test::Rig;

namespace {

// Bars until the engine wants an order; it is left unanswered.
NewOrder first_order(Rig& rig) {
    rig.is_manual = true;
    for (int i = 0; i < 1000; ++i) {
        rig.wave_bar();
        const auto sent = rig.take_orders();
        if (!sent.empty()) return sent.front();
    }
    FAIL("no order in 1,000 bars");
    return {};
}

OrderState last_state(const Rig& rig) {
    return rig.records<OrderUpdate>(RecordType::kOrderUpdate).back().state;
}

SessionEvent connection(std::uint32_t number) {
    SessionEvent event{};
    event.connection = number;
    return event;
}

}  // namespace

TEST_CASE("it decides on the 177th closed bar at the earliest and trades both sides") {
    Rig rig;
    rig.connect();
    for (int i = 0; i < 176; ++i) rig.wave_bar();
    CHECK(rig.engine->totals().decisions == 0);
    rig.wave_bar();
    CHECK(rig.engine->totals().decisions == 1);
    for (int i = 0; i < 1500; ++i) rig.wave_bar();
    CHECK(rig.desk().position.round_trips >= 5);
    bool bought = false;
    bool sold = false;
    for (const NewOrder& order : rig.records<NewOrder>(RecordType::kIntent)) {
        (order.side == Side::kBuy ? bought : sold) = true;
    }
    CHECK(bought);
    CHECK(sold);
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("the same inputs give the same bytes, prepared in time or not") {
    std::vector<Slot> first;
    for (const bool prepares : {true, false}) {
        Rig rig;
        rig.connect();
        for (int i = 0; i < 600; ++i) {
            rig.wave_bar();
            if (prepares) rig.engine->prepare();
        }
        if (first.empty()) {
            first = rig.written;
            continue;
        }
        REQUIRE(first.size() == rig.written.size());
        CHECK(std::memcmp(first.data(), rig.written.data(), first.size() * sizeof(Slot)) == 0);
    }
}

TEST_CASE("an input is journalled before its outputs, and the intent before the order") {
    Rig rig;
    rig.connect();
    const NewOrder order = first_order(rig);
    std::uint64_t input = 0;
    bool has_intent = false;
    for (const Slot& slot : rig.written) {
        if (slot.header.source == static_cast<std::uint16_t>(Source::kEngine)) {
            CHECK(slot.trailer.input_sequence == input);
        } else {
            input = slot.trailer.input_sequence;
        }
        has_intent |= slot.type() == RecordType::kIntent && slot.as<NewOrder>().id == order.id;
    }
    CHECK(has_intent);
    CHECK(order.id.installation == 7);
    CHECK(order.id.epoch == 1);
    CHECK(order.connection == 1);
    CHECK(order.quantity_lots == 1000);
}

TEST_CASE("numbers seen before and timers with nothing due are dropped without a trace") {
    Rig rig;
    rig.connect();
    rig.wave_bar();
    const std::size_t before = rig.written.size();
    rig.step(make_slot(RecordType::kBarClose, Source::kVenueFeed, 1, 0, BarClose{}));
    rig.io(RecordType::kTimer, Timer{});
    CHECK(rig.written.size() == before);
    CHECK(rig.engine->totals().duplicates == 1);
}

TEST_CASE("a missing number stops orders until a new connection brings it again") {
    Rig rig;
    rig.connect();
    rig.wave_bar();
    const std::uint64_t last = rig.engine->last_feed_sequence();
    rig.step(make_slot(RecordType::kHeartbeat, Source::kVenueFeed, last + 2, 0, Heartbeat{}));
    CHECK(rig.engine->is_gapped());
    CHECK(rig.engine->last_feed_sequence() == last);
    rig.io(RecordType::kDisconnected, connection(1));
    rig.io(RecordType::kConnected, connection(2));
    CHECK(!rig.engine->is_gapped());
    CHECK(rig.engine->state() == EngineState::kReady);
}

TEST_CASE("one order for the whole difference, and none while one is unresolved") {
    Rig rig;
    rig.connect();
    const NewOrder opening = first_order(rig);
    rig.ack(opening);
    for (int i = 0; i < 300; ++i) rig.wave_bar();  // the wave turns; the order still rests
    CHECK(rig.take_orders().empty());
    rig.fill(opening, 41'000, 1000, 0);
    for (int i = 0; i < 300 && rig.pending.empty(); ++i) {
        rig.wave_bar();
        rig.pending = rig.take_orders();
    }
    REQUIRE(!rig.pending.empty());
    const NewOrder next = rig.pending.front();
    CHECK(next.quantity_lots == (next.reason == OrderReason::kMaxHold ? 1000 : 2000));
    CHECK(next.side != opening.side);
}

TEST_CASE("a position is given up after 46 closed bars, at market, for that reason") {
    Settings settings = gm::test::make_settings();
    settings.header.max_hold_bars = 5;
    Rig rig(settings);
    rig.connect();
    const NewOrder opening = first_order(rig);
    rig.wave_bar();  // OPEN of this bar is where it fills
    rig.fill(opening, 41'000, 1000, 0);
    int closed = 0;
    std::vector<NewOrder> sent;
    while (sent.empty() && closed < 20) {
        rig.wave_bar();
        ++closed;
        sent = rig.take_orders();
    }
    REQUIRE(!sent.empty());
    CHECK(closed == 5);
    CHECK(sent.front().reason == OrderReason::kMaxHold);
    CHECK(sent.front().quantity_lots == 1000);
}

TEST_CASE("flat at session end: nothing is held or ordered over a pause, whatever is decided") {
    constexpr std::int64_t kDayBars = 48;
    constexpr std::int64_t kOpenBars = 44;  // 22 hours of trading, 2 of pause
    Settings settings = gm::test::make_settings();
    settings.header.flat_at_session_end = 1;
    settings.sessions.clear();
    for (std::int64_t day = 0; day < 40; ++day) {
        const std::int64_t open = gm::test::kStartNs + day * kDayBars * gm::test::kHalfHourNs;
        settings.sessions.push_back({open, open + kOpenBars * gm::test::kHalfHourNs, day});
    }
    settings.instruments[0].session_count = 40;
    Rig rig(settings);
    rig.connect();
    std::uint64_t flattened = 0;
    for (int i = 0; i < 39 * kOpenBars; ++i) {
        if (rig.bars % kDayBars == kOpenBars) {
            CHECK(rig.desk().position.lots == 0);
            CHECK(rig.engine->open_orders() == 0);
            rig.bars += kDayBars - kOpenBars;
        }
        rig.wave_bar();
    }
    for (const NewOrder& order : rig.records<NewOrder>(RecordType::kIntent)) {
        flattened += order.reason == OrderReason::kSessionEnd;
        const std::int64_t start = order.decision_bar_start_ts_ns - gm::test::kStartNs;
        const std::int64_t bar = start / gm::test::kHalfHourNs % kDayBars;
        const bool enters = order.reason == OrderReason::kDecision;
        CHECK_FALSE((enters && bar >= kOpenBars - 2));
    }
    CHECK(flattened >= 5);
}

TEST_CASE("a cancel that came too late may be sent again after the venue has said so") {
    Rig rig;
    rig.connect();
    const NewOrder order = first_order(rig);
    rig.ack(order);
    rig.io(RecordType::kStop, SessionEvent{});
    CHECK(last_state(rig) == OrderState::kPendingCancel);
    rig.messages.clear();
    OrderStateReport report{};
    report.id = order.id;
    report.state = OrderState::kLive;
    report.leaves_lots = 1000;
    const auto answered = [&] {
        rig.messages.clear();
        rig.reply(RecordType::kOrderState, report);
        (void)rig.take_orders();
        return rig.messages;
    };
    (void)rig.take_orders();
    CHECK(answered().empty());  // what it was too late for comes first
    SUBCASE("a fill in part comes") {
        rig.fill(order, 41'000, 400, 600);
    }
    SUBCASE("nothing comes: it is asked about") {
        const std::int64_t deadline = rig.engine->next_deadline_ns();
        rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline, Timer{deadline, {}}));
        (void)rig.take_orders();
        CHECK(rig.messages.back().type() == RecordType::kQueryOrder);
        CHECK(answered().size() == 1);
    }
    (void)rig.take_orders();
    REQUIRE(!rig.messages.empty());
    CHECK(rig.messages.back().type() == RecordType::kCancelOrder);
}

TEST_CASE("a timeout makes an order unknown and asks; only the venue's word ends it") {
    Rig rig;
    rig.connect();
    const NewOrder order = first_order(rig);
    const std::int64_t deadline = rig.engine->next_deadline_ns();
    CHECK(deadline == rig.engine->now_ns() + 2'000'000'000);
    rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline, Timer{deadline, {}}));
    CHECK(last_state(rig) == OrderState::kUnknown);
    (void)rig.take_orders();
    REQUIRE(!rig.messages.empty());
    CHECK(rig.messages.back().type() == RecordType::kQueryOrder);

    SUBCASE("absent: tombstoned, never") {
        OrderStateReport report{};
        report.id = order.id;
        report.state = OrderState::kAbsent;
        rig.reply(RecordType::kOrderState, report);
        const auto update = rig.records<OrderUpdate>(RecordType::kOrderUpdate).back();
        CHECK(update.state == OrderState::kNever);
        CHECK(update.tombstoned == 1);
        CHECK(rig.engine->open_orders() == 0);
        // It was on its way behind the question, and the tombstone keeps what it promised.
        rig.reply(RecordType::kReject, Reject{order.id, 0, RejectReason::kTombstoned, {}, {}});
        CHECK(rig.engine->totals().bad_transitions == 0);
        CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
        rig.reply(RecordType::kReject, Reject{order.id, 0, RejectReason::kRandom, {}, {}});
        CHECK(rig.engine->kill_level(0) == KillLevel::kHalted);
    }
    SUBCASE("live: it trades on") {
        OrderStateReport report{};
        report.id = order.id;
        report.state = OrderState::kLive;
        report.leaves_lots = 1000;
        rig.reply(RecordType::kOrderState, report);
        CHECK(last_state(rig) == OrderState::kLive);
        rig.fill(order, 41'000, 1000, 0);
        CHECK(last_state(rig) == OrderState::kFilled);
    }
}

TEST_CASE("an order that ends while its query is out awaits no answer any more") {
    for (const bool fills : {true, false}) {
        Rig rig;
        rig.connect();
        const NewOrder order = first_order(rig);
        rig.io(RecordType::kDisconnected, connection(1));
        rig.io(RecordType::kConnected, connection(2));
        REQUIRE(rig.engine->awaiting_queries() == 1);
        if (fills) {
            rig.fill(order, 41'000, 1000, 0);
        } else {
            rig.reply(RecordType::kCancelled, OrderEnded{order.id, 0, 0, {}});
        }
        CHECK(rig.engine->awaiting_queries() == 0);
        CHECK(rig.engine->state() == EngineState::kReady);
        OrderStateReport late{};
        late.id = order.id;
        late.state = fills ? OrderState::kFilled : OrderState::kCancelled;
        late.filled_lots = fills ? 1000 : 0;
        rig.reply(RecordType::kOrderState, late);
        CHECK(rig.engine->awaiting_queries() == 0);
        CHECK(rig.engine->totals().bad_transitions == 0);
    }
}

TEST_CASE("after a restart every open order is asked about before the feed may go on") {
    Rig rig;
    rig.connect();
    const NewOrder order = first_order(rig);
    rig.messages.clear();
    Epoch epoch{};
    epoch.epoch = 2;
    rig.io(RecordType::kEpoch, epoch);
    CHECK(last_state(rig) == OrderState::kUnknown);
    CHECK(rig.engine->state() == EngineState::kRecovering);
    rig.io(RecordType::kConnected, connection(1));
    CHECK(rig.engine->awaiting_queries() == 1);
    CHECK(rig.engine->state() == EngineState::kRecovering);
    OrderStateReport report{};
    report.id = order.id;
    report.state = OrderState::kAbsent;
    rig.reply(RecordType::kOrderState, report);
    CHECK(rig.engine->state() == EngineState::kReady);
    (void)rig.take_orders();
    REQUIRE(rig.messages.size() == 2);
    CHECK(rig.messages[0].type() == RecordType::kQueryOrder);
    CHECK(rig.messages[1].type() == RecordType::kReady);
}

TEST_CASE("a refused order is written down with its code and is not asked again by itself") {
    Settings settings = gm::test::make_settings();
    settings.limits[0].order_notional_micros_max = 1'000'000'000;  // 1,000: nothing fits
    Rig rig(settings);
    rig.connect();
    for (int i = 0; i < 400; ++i) rig.wave_bar();
    const auto refusals = rig.records<Refusal>(RecordType::kRefusal);
    REQUIRE(!refusals.empty());
    CHECK(refusals[0].code == static_cast<std::uint8_t>(GateCode::kMaxNotional));
    CHECK(refusals[0].limit == 1'000'000'000);
    CHECK(rig.take_orders().empty());
    std::uint64_t acting = 0;
    for (const Decision& decision : rig.records<Decision>(RecordType::kDecision)) {
        acting += decision.acts;
    }
    CHECK(refusals.size() <= acting);
}

TEST_CASE("a partial fill, then the rest: position and money are the sum of both") {
    Rig rig;
    rig.connect();
    const NewOrder order = first_order(rig);
    rig.ack(order);
    rig.fill(order, 41'000, 400, 600);
    CHECK(last_state(rig) == OrderState::kPartial);
    rig.fill(order, 41'010, 600, 0);
    CHECK(last_state(rig) == OrderState::kFilled);
    const std::int64_t sign = order.side == Side::kBuy ? 1 : -1;
    CHECK(rig.desk().position.lots == sign * 1000);
    CHECK(rig.desk().position.cost == sign * (400 * 41'000 + 600 * 41'010));
    CHECK(rig.desk().position.commission_micros == 10);
}

TEST_CASE("a fill that does not add up halts the instrument and books nothing") {
    Rig rig;
    rig.connect();
    const NewOrder order = first_order(rig);
    rig.fill(order, 41'000, 700, 600);
    CHECK(rig.desk().position.lots == 0);
    CHECK(rig.desk().level == KillLevel::kHalted);
    CHECK(rig.engine->totals().bad_transitions == 1);
}

TEST_CASE("stop and END cancel what rests and open nothing more") {
    for (const bool is_end : {false, true}) {
        Rig rig;
        rig.connect();
        const NewOrder order = first_order(rig);
        rig.ack(order);
        rig.messages.clear();
        if (is_end) {
            rig.feed(RecordType::kEnd, rig.engine->now_ns(), End{});
        } else {
            rig.io(RecordType::kStop, SessionEvent{});
        }
        (void)rig.take_orders();
        REQUIRE(!rig.messages.empty());
        CHECK(rig.messages.back().type() == RecordType::kCancelOrder);
        rig.reply(RecordType::kCancelled, OrderEnded{order.id, 0, 0, {}});
        CHECK(last_state(rig) == OrderState::kCancelled);
        for (int i = 0; i < 300; ++i) rig.wave_bar();
        CHECK(rig.take_orders().empty());
    }
}

TEST_CASE("a bad bar is written down, moves nothing and cannot trade") {
    Rig rig;
    rig.connect();
    for (int i = 0; i < 250; ++i) rig.wave_bar();
    const std::int64_t price = rig.desk().market.last_good_price_ticks();
    const auto bars = rig.desk().closed_bars_30m;
    BarClose bad{};
    bad.start_ts_ns = gm::test::kStartNs + rig.bars * gm::test::kHalfHourNs;
    bad.open_ticks = bad.close_ticks = bad.low_ticks = 40'000;
    bad.high_ticks = 39'000;
    bad.duration_s = 1800;
    rig.feed(RecordType::kBarClose, bad.start_ts_ns + gm::test::kHalfHourNs, bad);
    const auto refused = rig.records<BarQuarantined>(RecordType::kBarQuarantined);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].reason == static_cast<std::uint32_t>(QuarantineReason::kContradiction));
    CHECK(rig.desk().market.last_good_price_ticks() == price);
    CHECK(rig.desk().closed_bars_30m == bars);
}

TEST_CASE("stage times are counted once for each decision and change no byte") {
    Rig plain;
    Rig watched;
    StageTimes times;
    watched.engine->watch(&times);
    for (Rig* rig : {&plain, &watched}) {
        rig->connect();
        for (int i = 0; i < 300; ++i) rig->wave_bar();
    }
    CHECK(times.of(Stage::kPolicy).count() == watched.engine->totals().decisions);
    REQUIRE(plain.written.size() == watched.written.size());
    CHECK(std::memcmp(plain.written.data(), watched.written.data(),
                      plain.written.size() * sizeof(Slot)) == 0);
}
