// Promise: what a user kernel returned reaches the decision of its bar and nothing else; one that
// fails is not called again, says so, and the stated policy follows; a replay needs no kernel.
#include "gm/engine/kernels.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/kernel_fixture.hpp"
#include "engine/rig.hpp"

using namespace gm;
using namespace gm::test;

namespace {

constexpr std::int64_t kFiveMinutesNs = kHalfHourNs / 6;

Settings rule_settings(KernelPolicy policy = KernelPolicy::kHalt) {
    Settings settings = make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    settings.kernels = {kernel_row("rule", KernelKind::kRule, 3)};
    settings.kernels[0].policy = policy;
    return settings;
}

Answer value_of(double value) {
    return [value](const KernelCall&, KernelResult result) {
        result.value = value;
        return result;
    };
}
Answer status_of(KernelStatus status) {
    return [status](const KernelCall&, KernelResult result) {
        result.status = status;
        return result;
    };
}

}  // namespace

TEST_CASE("a window holds the last values in price units, oldest first, once it is full") {
    Settings settings = make_settings();
    settings.instruments[0].tick_size_e9 = 250'000'000;  // a quarter
    settings.kernels = {kernel_row("mean", KernelKind::kFeature, 3)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    KernelCall call{};
    for (std::int64_t i = 0; i < 200; ++i) {  // the ring turns more than once
        kernels.on_bar(0, closed(kStartNs + i * kHalfHourNs, 100 + i, 30));
        kernels.ask(0, static_cast<std::uint64_t>(i + 1));
        CHECK(kernels.next_call(call) == (i >= 2));
        if (i < 2) continue;
        CHECK(call.bar_start_ts_ns == kStartNs + i * kHalfHourNs);
        const double newest = static_cast<double>(100 + i) * 0.25;
        CHECK(call.windows[0][0] == newest - 0.5);
        CHECK(call.windows[0][1] == newest - 0.25);
        CHECK(call.windows[0][2] == newest);
        CHECK(kernels.take(answer_to(kernels, 1.0)) == Kernels::Taken::kTaken);
        CHECK_FALSE(kernels.is_waiting(0));
    }
}

TEST_CASE("a column shows the value of each row's own bar") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 1),
                        kernel_row("b", KernelKind::kFeature, 2)};
    settings.agents[0].column_mask |= 1U << kStrategicColumns;  // only column 13 is waited for
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    for (int i = 0; i < 100; ++i) {
        kernels.on_bar(0, closed(kStartNs + i * kHalfHourNs, 100, 30));
        kernels.ask(0, static_cast<std::uint64_t>(i + 1));
        CHECK(kernels.take(answer_to(kernels, i)) == Kernels::Taken::kTaken);
        if (i > 0) CHECK(kernels.take(answer_to(kernels, -i)) == Kernels::Taken::kTaken);
        CHECK(kernels.is_ready(0) == (i >= 47));
    }
    const float* matrix = kernels.matrix(0);
    for (int row = 0; row < 48; ++row) {
        CHECK(matrix[row * 3] == static_cast<float>(52 + row));
        CHECK(matrix[row * 3 + 1] == static_cast<float>(-52 - row));
        CHECK(matrix[row * 3 + 2] == 0.0F);
    }
}

TEST_CASE("a five-minute kernel gives a row the last value from inside its half hour") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("fast", KernelKind::kFeature, 1, 5)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    std::uint64_t step = 0;
    for (int i = 0; i < 12; ++i) {
        const std::int64_t start = kStartNs + i * kFiveMinutesNs;
        // On a common boundary the 30-minute bar comes first.
        if (i % 6 == 5) kernels.on_bar(0, closed(start - 5 * kFiveMinutesNs, 100, 30));
        kernels.on_bar(0, closed(start, 100, 5));
        kernels.ask(0, ++step);
        CHECK(kernels.take(answer_to(kernels, i)) == Kernels::Taken::kTaken);
    }
    CHECK(kernels.matrix(0)[46 * 3] == 5.0F);
    CHECK(kernels.matrix(0)[47 * 3] == 11.0F);
    // An early close: the half hour ends with its second bar, and the row is appended later.
    const std::int64_t bucket = kStartNs + 2 * kHalfHourNs;
    kernels.on_bar(0, closed(bucket, 100, 5));
    kernels.ask(0, ++step);
    CHECK(kernels.take(answer_to(kernels, 77)) == Kernels::Taken::kTaken);
    kernels.on_bar(0, closed(bucket, 100, 30));
    kernels.ask(0, ++step);
    CHECK(kernels.matrix(0)[47 * 3] == 77.0F);
}

TEST_CASE("of many bars of one step the newest 48 are called for, oldest first") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 1000)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    for (int i = 0; i < 2000; ++i) {
        kernels.on_bar(0, closed(kStartNs + i * kHalfHourNs, 100 + i, 30));
    }
    kernels.ask(0, 1);
    for (int i = 2000 - 48; i < 2000; ++i) {
        KernelCall call{};
        REQUIRE(kernels.next_call(call));
        CHECK(call.bar_start_ts_ns == kStartNs + i * kHalfHourNs);
        CHECK(call.windows[0][0] == static_cast<double>(100 + i - 999));
        CHECK(call.windows[0][999] == static_cast<double>(100 + i));
        CHECK(kernels.take(answer_to(kernels, 0.0)) == Kernels::Taken::kTaken);
    }
    CHECK_FALSE(kernels.is_waiting(0));
}

TEST_CASE("calls that nobody makes are given up with the next step, and counted") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 1)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    for (int i = 0; i < 10'000; ++i) {
        kernels.on_bar(0, closed(kStartNs + i * kHalfHourNs, 100, 30));
        kernels.ask(0, static_cast<std::uint64_t>(i + 1));
    }
    CHECK(kernels.abandoned() == 9'999);
    CHECK(kernels.take(answer_to(kernels, 0.0)) == Kernels::Taken::kTaken);
    CHECK_FALSE(kernels.is_waiting(0));
}

TEST_CASE("an answer to a call that was not made changes nothing") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 1)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    KernelResult result{};
    CHECK(kernels.take(result) == Kernels::Taken::kNotAwaited);
    kernels.on_bar(0, closed(kStartNs, 100, 30));
    kernels.ask(0, 1);
    result = answer_to(kernels, 5.0);
    result.bar_start_ts_ns += 1;
    CHECK(kernels.take(result) == Kernels::Taken::kNotAwaited);
    CHECK(kernels.is_waiting(0));
    CHECK(kernels.matrix(0)[47 * 3] == 0.0F);
}

TEST_CASE("values are judged: finite, in range, and for a rule one of three") {
    const KernelSettings feature = kernel_row("a", KernelKind::kFeature, 1);
    const KernelSettings rule = kernel_row("r", KernelKind::kRule, 1);
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(judge_kernel_value(1e6, feature) == KernelStatus::kOk);
    CHECK(judge_kernel_value(1.000001e6, feature) == KernelStatus::kOutOfRange);
    CHECK(judge_kernel_value(-1.000001e6, feature) == KernelStatus::kOutOfRange);
    CHECK(judge_kernel_value(std::nan(""), feature) == KernelStatus::kNotFinite);
    CHECK(judge_kernel_value(infinity, feature) == KernelStatus::kNotFinite);
    CHECK(judge_kernel_value(-infinity, feature) == KernelStatus::kNotFinite);
    for (const double value : {-1.0, 0.0, 1.0}) {
        CHECK(judge_kernel_value(value, rule) == KernelStatus::kOk);
    }
    CHECK(judge_kernel_value(0.5, rule) == KernelStatus::kOutOfRange);
    CHECK(judge_kernel_value(2.0, rule) == KernelStatus::kOutOfRange);
}

TEST_CASE("three slow answers in a row quarantine, two do not, and their values count") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 1)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    const std::vector<bool> is_slow = {true, true, false, true, true, true};
    for (std::size_t i = 0; i < is_slow.size(); ++i) {
        kernels.on_bar(0, closed(kStartNs + static_cast<std::int64_t>(i) * kHalfHourNs, 100, 30));
        kernels.ask(0, i + 1);
        KernelResult result = answer_to(kernels, 3.0);
        if (is_slow[i]) result.status = KernelStatus::kOverBudget;
        const bool is_last = i == 5;
        CHECK(kernels.take(result) ==
              (is_last ? Kernels::Taken::kQuarantined : Kernels::Taken::kTaken));
        CHECK(kernels.matrix(0)[47 * 3] == (is_last ? 0.0F : 3.0F));
    }
    CHECK(kernels.status(0) == KernelStatus::kOverBudget);
}

TEST_CASE("a rule decides on its own bars: long, hold, short, one order each") {
    Rig rig(rule_settings());
    rig.connect();
    int turn = 0;
    const std::vector<double> says = {1.0, 1.0, 0.0, -1.0, -1.0, 0.0};
    for (int i = 0; i < 8; ++i) {
        rig.bar(40'000, 40'010);
        const std::size_t orders = rig.records<NewOrder>(RecordType::kIntent).size();
        CHECK(orders == (turn == 0 ? 0U : turn <= 3 ? 1U : 2U));  // it waits for the answer
        serve(rig, [&](const KernelCall&, KernelResult result) {
            result.value = says[static_cast<std::size_t>(turn++)];
            return result;
        });
    }
    CHECK(turn == 6);  // not before three bars
    const auto orders = rig.records<NewOrder>(RecordType::kIntent);
    REQUIRE(orders.size() == 2);
    CHECK(orders[0].side == Side::kBuy);
    CHECK(orders[0].quantity_lots == 1000);
    CHECK(orders[0].decision_bar_start_ts_ns == kStartNs + 2 * kHalfHourNs);
    CHECK(orders[1].side == Side::kSell);
    CHECK(orders[1].quantity_lots == 2000);
    const auto decisions = rig.records<Decision>(RecordType::kDecision);
    REQUIRE(decisions.size() == 6);
    CHECK(decisions[0].profile == 1);
    CHECK(decisions[0].action == Action::kLong);
    CHECK(decisions[2].acts == 0);
    CHECK(decisions[3].probability[2] == 1.0F);
}

TEST_CASE("a failing rule is quarantined at once, and halt leaves no order to any desk") {
    for (const KernelStatus status :
         {KernelStatus::kNotFinite, KernelStatus::kOutOfRange, KernelStatus::kFailed,
          KernelStatus::kHung, static_cast<KernelStatus>(99)}) {
        Rig rig(rule_settings());
        rig.connect();
        for (int i = 0; i < 4; ++i) {
            rig.bar(40'000, 40'010);
            serve(rig, value_of(1.0));
        }
        CHECK(rig.desk().position.lots == 1000);
        rig.bar(40'000, 40'010);
        serve(rig, status_of(status));
        const auto states = rig.records<KernelState>(RecordType::kKernelState);
        REQUIRE(states.size() == 1);
        CHECK(states[0].sha256[0] == 'r');
        CHECK(states[0].policy == KernelPolicy::kHalt);
        const bool is_known = status <= KernelStatus::kNotWarm;
        CHECK(states[0].status == (is_known ? status : KernelStatus::kFailed));
        CHECK(rig.engine->account_level() == KillLevel::kHalted);
        CHECK(rig.records<KillState>(RecordType::kKillState).size() == 1);
        const std::size_t orders = rig.records<NewOrder>(RecordType::kIntent).size();
        KernelCall call{};
        for (int i = 0; i < 60; ++i) {  // max_hold_bars comes and goes: cancels only
            rig.bar(40'000, 40'010);
            CHECK_FALSE(rig.engine->next_kernel_call(call));
        }
        CHECK(rig.records<NewOrder>(RecordType::kIntent).size() == orders);
        CHECK(rig.desk().position.lots == 1000);
    }
}

TEST_CASE("with skip a failed rule only holds: exits go on") {
    Rig rig(rule_settings(KernelPolicy::kSkip));
    rig.connect();
    for (int i = 0; i < 4; ++i) {
        rig.bar(40'000, 40'010);
        serve(rig, value_of(1.0));
    }
    rig.bar(40'000, 40'010);
    serve(rig, [](const KernelCall&, KernelResult result) {
        result.value = std::nan("");  // and says that all is well
        return result;
    });
    CHECK(rig.engine->kernels().status(0) == KernelStatus::kNotFinite);
    CHECK(rig.engine->kill_level(0) == KillLevel::kActive);
    for (int i = 0; i < 60; ++i) rig.bar(40'000, 40'010);
    CHECK(rig.desk().position.lots == 0);
    CHECK(rig.records<NewOrder>(RecordType::kIntent).back().reason == OrderReason::kMaxHold);
}

TEST_CASE("with skip a rule that fails at its first call makes ready and holds") {
    Rig rig(rule_settings(KernelPolicy::kSkip));
    rig.connect();
    for (int i = 0; i < 3; ++i) {
        rig.bar(40'000, 40'010);
        serve(rig, status_of(KernelStatus::kFailed));
    }
    CHECK(rig.engine->not_ready_reason(0) == NotReadyReason::kNone);
    CHECK(rig.engine->bars_needed(0) == 0);
    CHECK(rig.desk().was_ready);
    rig.bar(40'000, 40'010);
    const auto decisions = rig.records<Decision>(RecordType::kDecision);
    REQUIRE(decisions.size() == 2);
    for (const Decision& decision : decisions) CHECK(decision.acts == 0);
    CHECK(rig.desk().position.lots == 0);
}

TEST_CASE("an agent sees a feature's column, and decides once it is warm in every row") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("f", KernelKind::kFeature, 200)};
    settings.agents[0].column_mask = 1U << kMomentum20 | 1U << kStrategicColumns;
    Rig rig(settings);
    rig.connect();
    std::size_t decisions = 0;
    for (int i = 0; i < 300; ++i) {
        rig.wave_bar();
        serve(rig, value_of(i % 2 == 0 ? 1.0 : -1.0));
        decisions = rig.records<Decision>(RecordType::kDecision).size();
        if (i < 199 + 47) CHECK(decisions == 0);
    }
    CHECK(decisions > 0);
}

TEST_CASE("the same inputs give the same bytes without the kernel being called") {
    Rig first(rule_settings());
    first.connect();
    int turn = 0;
    for (int i = 0; i < 40; ++i) {
        first.wave_bar();
        serve(first, [&](const KernelCall& call, KernelResult result) {
            result.value = call.windows[0][2] > call.windows[0][0] ? 1.0 : -1.0;
            if (++turn == 30) result.status = KernelStatus::kFailed;
            return result;
        });
    }
    Rig second(rule_settings());
    for (const Slot& slot : first.written) {
        if (slot.header.source == static_cast<std::uint16_t>(Source::kEngine)) continue;
        Slot input = slot;
        input.trailer = {};
        second.step(input);
        second.take_orders();
    }
    REQUIRE(second.written.size() == first.written.size());
    for (std::size_t i = 0; i < first.written.size(); ++i) {
        CHECK(std::memcmp(&first.written[i], &second.written[i], offsetof(Slot, trailer)) == 0);
    }
}

TEST_CASE("an answer that comes twice is dropped") {
    Rig rig(rule_settings());
    rig.connect();
    for (int i = 0; i < 3; ++i) rig.bar(40'000, 40'010);
    serve(rig, value_of(1.0));
    const std::size_t written = rig.written.size();
    const auto results = rig.records<KernelResult>(RecordType::kKernelResult);
    rig.step(make_slot(RecordType::kKernelResult, Source::kKernel, 1, rig.engine->now_ns(),
                       results.back()));
    CHECK(rig.written.size() == written);
    CHECK(rig.engine->totals().duplicates == 1);
}

TEST_CASE("after a backfill every row that the matrix shows is asked for at the next close") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("slow", KernelKind::kFeature, 10),
                        kernel_row("fast", KernelKind::kFeature, 10, 5)};
    settings.agents[0].column_mask = 3U << kStrategicColumns;
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    CHECK(kernels.bars_needed(0) == 10 + 47);
    for (int i = 0; i < 600; ++i) {
        const std::int64_t start = kStartNs + i * kFiveMinutesNs;
        if (i % 6 == 5) kernels.on_bar(0, closed(start - 5 * kFiveMinutesNs, 100 + i, 30));
        kernels.on_bar(0, closed(start, 100 + i, 5));
    }
    CHECK_FALSE(kernels.is_ready(0));
    kernels.ask(0, 1);
    KernelCall call{};
    while (kernels.next_call(call)) {
        const double newest = call.windows[0][9];
        CHECK(kernels.take(answer_to(kernels, newest)) == Kernels::Taken::kTaken);
    }
    CHECK(kernels.is_ready(0));
    CHECK(kernels.bars_needed(0) <= 0);
    for (int row = 0; row < 48; ++row) {
        const auto wanted = static_cast<float>(100 + (52 + row) * 6 + 5);
        CHECK(kernels.matrix(0)[row * 3] == wanted);
        CHECK(kernels.matrix(0)[row * 3 + 1] == wanted);
    }
    kernels.forget_bars(0);
    CHECK_FALSE(kernels.is_ready(0));
    CHECK(kernels.bars_needed(0) == 10 + 47);
    CHECK(kernels.matrix(0)[47 * 3] == 0.0F);
}
