// Promise: an entry that comes to nothing, comes late, or is another model's leaves no order that
// nobody wants any more and no position that nobody leaves.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "engine/kernel_fixture.hpp"
#include "engine/two_levels.hpp"

using namespace gm;
using namespace gm::test;

namespace {

constexpr std::int64_t kHalfHours = 420;

// Strategic decisions that always act, so that one side follows the other at once.
Settings restless_settings(const std::vector<float>& entry) {
    Settings settings = two_level_settings(entry);
    settings.onnx = {momentum_network(5'000.0F)};
    return settings;
}

constexpr std::int64_t kMinute = 60'000'000'000;
constexpr std::int64_t kDay = 48 * kHalfHourNs;
constexpr std::int64_t kOpen = 40 * kHalfHourNs;  // of a day; flat at its end

Settings days_settings() {
    Settings settings = restless_settings(kSaysExecute);
    settings.header.flat_at_session_end = 1;
    settings.sessions.clear();
    for (std::int64_t day = 0; day < 40; ++day) {
        const std::int64_t open = kStartNs + day * kDay;
        settings.sessions.push_back({open, open + kOpen, day});
    }
    settings.instruments[0].session_count = 40;
    return settings;
}

// The bars of a day in its session; what is called gets the end of each, within the day.
void play_day(TwoLevelRig& rig, std::int64_t day, std::int64_t duration_ns,
              const std::function<void(std::int64_t)>& after) {
    const auto price = [&](std::int64_t at_ns) {  // straight from half hour to half hour
        const std::int64_t bar = day * 40 + at_ns / kHalfHourNs;
        const std::int64_t from = wave(bar);
        return from + (wave(bar + 1) - from) * (at_ns % kHalfHourNs) / kHalfHourNs;
    };
    for (std::int64_t at = 0; at < kOpen; at += duration_ns) {
        rig.bar(kStartNs + day * kDay + at, duration_ns, price(at), price(at + duration_ns));
        after(at + duration_ns);
    }
}

bool is_against(std::int64_t lots, std::int64_t direction) {
    return lots != 0 && direction != 0 && (lots > 0) != (direction > 0);
}

void command(TwoLevelRig& rig, ModelAction action, std::uint8_t name, std::uint32_t number) {
    ModelCommand order{};
    order.sha256[0] = name;
    order.model = number;
    order.action = action;
    rig.io(RecordType::kModelCommand, order);
}

// Another model as a shadow, of the number 1.
void offer(TwoLevelRig& rig) {
    auto model = std::make_shared<Model>();
    REQUIRE(load_model(restless_settings(kSaysExecute), *model).is_ok());
    model->sha256 = {};
    model->sha256[0] = 1;
    REQUIRE(rig.engine->models().offer(model));
    command(rig, ModelAction::kShadow, 1, 1);
}

}  // namespace

TEST_CASE("a fill behind the close that took its order back is left at the next one, not turned") {
    TwoLevelRig rig(restless_settings(kSaysExecute));
    rig.lets_limits_fill = false;  // but behind their cancel
    rig.cancels_come_late = true;
    int against = 0;
    int fills = 0;
    std::int64_t before = 0;
    for (std::int64_t i = 0; i < 6 * kHalfHours; ++i) {
        rig.five();
        const std::int64_t lots = rig.desk().position.lots;
        const Slot* const timed = rig.last_timed();
        if (timed == nullptr) continue;
        against = is_against(lots, timed->as<TacticalDecision>().standing) ? against + 1 : 0;
        REQUIRE(against <= 2);  // the close that sees it orders, the next open fills
        fills += lots != before;
        before = lots;
    }
    CHECK(fills > 10);
    for (const NewOrder& order : rig.intents()) {
        if (order.type == OrderType::kLimit) CHECK(order.quantity_lots == 1000);  // never a turn
    }
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("a limit that waits behind one filled late leaves the position, and does not turn it") {
    TwoLevelRig rig(restless_settings(kSaysExecute));
    rig.lets_limits_fill = false;
    rig.half_hours(300);
    // Long stands, a buy limit rests, and the half hour ends in a crash: both levels want short.
    while (rig.count % 6 != 5 || rig.waiting_limits().empty() ||
           rig.waiting_limits()[0].side != Side::kBuy) {
        rig.five();
    }
    REQUIRE(rig.desk().position.lots == 0);
    const std::size_t before = rig.intents().size();
    rig.cancels_come_late = true;
    const std::int64_t from = rig.waiting_limits()[0].price_ticks;
    rig.five(from, from - 2'500);
    const auto timed = rig.last_timed()->as<TacticalDecision>();
    REQUIRE(timed.standing == -1);
    REQUIRE(timed.enters == 1);
    REQUIRE(rig.desk().position.lots == 1000);  // the fill that came late
    const auto orders = rig.intents();
    REQUIRE(orders.size() == before + 1);
    CHECK(orders.back().type == OrderType::kMarket);
    CHECK(orders.back().quantity_lots == 1000);
    CHECK(orders.back().side == Side::kSell);
}

TEST_CASE("a position that a late fill puts against the direction is left at the next close") {
    Settings settings = restless_settings(kSaysExecute);
    for (const std::size_t agent : {kFvgAgent, kMomentumAgent}) {
        settings.tactical.onnx[agent] = tactical_network(0.0F, {5.0F, 0.0F, 0.0F});  // ever long
    }
    TwoLevelRig rig(settings);
    rig.lets_limits_fill = false;
    rig.half_hours(300);
    while (rig.count % 6 != 5 || rig.waiting_limits().empty()) rig.five();
    REQUIRE(rig.desk().position.lots == 0);
    rig.cancels_come_late = true;
    const std::int64_t from = rig.waiting_limits()[0].price_ticks;
    rig.five(from, from - 2'500);
    REQUIRE(rig.last_timed()->as<TacticalDecision>().standing == -1);
    REQUIRE(rig.desk().position.lots == 1000);
    const std::size_t before = rig.intents().size();
    rig.five(from - 2'500, from - 2'500);
    REQUIRE(rig.intents().size() == before + 1);
    CHECK(rig.intents().back().reason == OrderReason::kDecision);
    rig.five(from - 2'500, from - 2'500);
    CHECK(rig.desk().position.lots == 0);
}

TEST_CASE("a position that has turned is not left at the next close") {
    TwoLevelRig rig(restless_settings(kSaysAggressive));
    rig.half_hours(kHalfHours);
    std::int64_t direction = 0;
    int turns = 0;
    for (const Slot& slot : rig.written) {
        if (slot.type() == RecordType::kTacticalDecision) {
            direction = slot.as<TacticalDecision>().standing;
        }
        if (slot.type() != RecordType::kIntent) continue;
        const auto order = slot.as<NewOrder>();
        turns += order.quantity_lots == 2000;
        if (order.reason != OrderReason::kDecision) continue;
        CHECK((order.side == Side::kBuy ? 1 : -1) == direction);  // what is left is against it
    }
    CHECK(turns >= 2);
}

TEST_CASE("what is left of an order that was filled in part behind its cancel is taken back too") {
    TwoLevelRig rig(restless_settings(kSaysExecute));
    rig.lets_limits_fill = false;
    rig.cancels_come_late = true;
    rig.partial_lots = 300;
    std::size_t partly = 0;
    for (std::int64_t i = 0; i < 6 * kHalfHours; ++i) {
        rig.five();
        for (const NewOrder& order : rig.waiting_limits()) {
            const auto timed = rig.last_timed()->as<TacticalDecision>();
            REQUIRE(order.decision_bar_start_ts_ns == timed.bar_start_ts_ns);
        }
        partly += rig.desk().position.lots % 1000 != 0;
    }
    CHECK(partly > 10);
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("where the gate refuses to turn a position it is left on the same close") {
    Settings settings = restless_settings(kSaysAggressive);
    settings.limits[0].order_quantity_lots_max = 1000;  // a turn takes 2000
    TwoLevelRig rig(settings);
    rig.half_hours(kHalfHours);
    int refused = 0;
    int left = 0;
    std::uint64_t refused_at = 0;
    for (const Slot& slot : rig.written) {
        if (slot.type() == RecordType::kRefusal && slot.as<Refusal>().quantity_lots == 2000) {
            ++refused;
            refused_at = slot.trailer.input_sequence;
        }
        if (slot.type() != RecordType::kIntent) continue;
        const auto order = slot.as<NewOrder>();
        CHECK(order.quantity_lots == 1000);
        left += order.reason == OrderReason::kDecision && slot.trailer.input_sequence == refused_at;
    }
    CHECK(refused > 1);
    CHECK(left == refused);
}

TEST_CASE("a swap takes back the entries of the model that goes") {
    TwoLevelRig rig(restless_settings(kSaysExecute));
    rig.lets_limits_fill = false;
    rig.half_hours(300);
    offer(rig);
    while (rig.waiting_limits().empty()) rig.five();
    const std::uint64_t cancels = rig.cancels;
    command(rig, ModelAction::kPromote, 1, 1);
    REQUIRE(rig.records<ModelUpdate>(RecordType::kModelUpdate).back().stage == ModelStage::kLive);
    rig.answer();
    CHECK(rig.cancels == cancels + 1);
    CHECK(rig.waiting_limits().empty());
    CHECK(rig.engine->open_orders() == 0);
}

TEST_CASE("what the model that goes wants behind an open order is not sent") {
    TwoLevelRig rig(restless_settings(kSaysExecute));
    rig.lets_limits_fill = false;
    rig.half_hours(300);
    offer(rig);
    while (rig.waiting_limits().empty()) rig.five();
    rig.keeps_silent = true;
    rig.five();
    REQUIRE(rig.desk().has_wish);
    REQUIRE(rig.desk().wish.reason == OrderReason::kEntry);
    const std::size_t before = rig.intents().size();
    command(rig, ModelAction::kPromote, 1, 1);
    rig.keeps_silent = false;
    rig.answer();
    CHECK(rig.engine->open_orders() == 0);
    CHECK(rig.intents().size() == before);
}

TEST_CASE("what waits behind an open order does not outlive the connection") {
    TwoLevelRig rig(restless_settings(kSaysExecute));
    rig.lets_limits_fill = false;
    rig.half_hours(300);
    while (rig.waiting_limits().empty()) rig.five();
    rig.keeps_silent = true;  // the next close wants another one behind the cancel
    rig.five();
    REQUIRE(rig.desk().has_wish);
    rig.io(RecordType::kDisconnected, SessionEvent{});
    CHECK_FALSE(rig.desk().has_wish);
}

TEST_CASE("no entry rests through the last minute of a session") {
    TwoLevelRig rig(days_settings());
    rig.lets_limits_fill = false;
    int rested = 0;
    for (std::int64_t day = 0; day < 24; ++day) {
        play_day(rig, day, kMinute, [&](std::int64_t at) {
            rested += at == kOpen - 2 * kMinute && !rig.waiting_limits().empty();
            if (at >= kOpen - kMinute) CHECK(rig.waiting_limits().empty());
        });
    }
    CHECK(rested > 1);
}

TEST_CASE("the exit at a session's end is kept while kernels answer its closing bar") {
    Settings settings = days_settings();
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 2, 5)};
    TwoLevelRig rig(settings);
    rig.behind_close = [&] { serve(rig, [](const KernelCall&, KernelResult out) { return out; }); };
    rig.lets_limits_fill = false;
    rig.cancels_come_late = true;
    rig.partial_lots = 1;  // so that an order rests while a position is held
    int exits = 0;
    for (std::int64_t day = 0; day < 24; ++day) {
        play_day(rig, day, kFiveMinutesNs, [&](std::int64_t at) {
            if (at == kOpen) CHECK(rig.desk().position.lots == 0);
        });
    }
    for (const NewOrder& order : rig.intents()) exits += order.reason == OrderReason::kSessionEnd;
    CHECK(exits > 1);
    CHECK(rig.engine->totals().bad_transitions == 0);
}
