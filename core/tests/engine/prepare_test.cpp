// Promise: what is prepared while idle changes no decision, also when a kernel rewrites rows that
// it was prepared for; what a close reads is brought near again when one is due.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/rig.hpp"
#include "engine/two_levels.hpp"

namespace {

using namespace gm;
using test::kHalfHourNs;
using test::kStartNs;
using test::Rig;

constexpr std::int64_t kBars = 300;
constexpr std::int64_t kSpikeBar = 280;  // the only bar of which the kernel says something else
constexpr std::int64_t kNever = kBars;

struct Script {
    std::int64_t backfilled_bars;  // before the feed
    std::int64_t spike_bar;
    std::int64_t failure_bar;
};

// Logits (s, 0, -s) with s the sum of the second of two columns over all rows.
test::Bytes column_sum_network() {
    std::vector<float> weights(102 * 3, 0.0F);
    for (std::size_t input = 1; input < 2 * kStrategicRows; input += 2) {
        weights[input * 3] = 1.0F;
        weights[input * 3 + 2] = -1.0F;
    }
    test::Graph graph;
    graph.nodes = {test::node("Gemm", {"x", "w", "b"}, "y")};
    graph.tensors = {test::tensor("w", {102, 3}, weights),
                     test::tensor("b", {3}, {0.0F, 0.0F, 0.0F})};
    graph.inputs = {test::value("x", {0, 102})};
    graph.outputs = {test::value("y", {0, 3})};
    return test::model(graph);
}

Settings sparse_settings() {
    Settings settings = test::make_settings();
    KernelSettings kernel{};
    std::strcpy(kernel.name, "sparse");
    kernel.kind = KernelKind::kFeature;
    kernel.policy = KernelPolicy::kSkip;
    kernel.minutes = 30;
    kernel.warmup = 1;
    kernel.low = -1.0;
    kernel.high = 1.0;
    kernel.input_count = 1;
    kernel.inputs[0] = KernelField::kClose;
    settings.kernels = {kernel};
    settings.agents[0].column_mask = 1U << kMomentum20 | 1U << kStrategicColumns;
    settings.onnx = {column_sum_network()};
    return settings;
}

BarClose bar_of(std::int64_t index) {
    BarClose bar{};
    bar.start_ts_ns = kStartNs + index * kHalfHourNs;
    bar.open_ticks = test::wave(std::max<std::int64_t>(index - 1, 0));
    bar.close_ticks = test::wave(index);
    bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + 3;
    bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - 3;
    bar.volume_lots = 10;
    bar.duration_s = 1800;
    return bar;
}

// Answers what the last step has left; prepares between all steps or never.
void rest(Rig& rig, const Script& script, bool prepares) {
    KernelCall call{};
    while (rig.engine->next_kernel_call(call)) {
        if (prepares) rig.engine->prepare();
        const std::int64_t bar = (call.bar_start_ts_ns - kStartNs) / kHalfHourNs;
        KernelResult result{};
        result.bar_start_ts_ns = call.bar_start_ts_ns;
        result.minutes = call.minutes;
        result.value = bar == script.spike_bar ? 1.0 : 0.0;
        if (bar == script.failure_bar) result.value = std::numeric_limits<double>::quiet_NaN();
        rig.step(make_slot(RecordType::kKernelResult, Source::kKernel,
                           rig.engine->last_kernel_sequence() + 1, rig.engine->now_ns(), result));
    }
    if (prepares) rig.engine->prepare();
}

void backfill(Rig& rig, std::int64_t bars) {
    for (std::int64_t i = 0; i < bars; ++i) {
        Slot slot =
            make_slot(RecordType::kBackfill, Source::kIo, 0, rig.engine->now_ns(), bar_of(i));
        slot.header.source_ts_ns = kStartNs + bars * kHalfHourNs;
        rig.step(slot);
    }
    rig.io(RecordType::kBackfillEnd, BackfillEnd{});
}

std::vector<Decision> decisions_of(const Script& script, bool prepares) {
    Rig rig(sparse_settings());
    rig.connect();
    if (script.backfilled_bars > 0) backfill(rig, script.backfilled_bars);
    rest(rig, script, prepares);
    for (std::int64_t i = script.backfilled_bars; i < kBars; ++i) {
        const BarClose bar = bar_of(i);
        rig.feed(RecordType::kBarOpen, bar.start_ts_ns,
                 BarOpen{bar.start_ts_ns, kHalfHourNs, bar.open_ticks, 0, 0, {}});
        rest(rig, script, prepares);
        rig.on_open(bar.open_ticks);
        rig.feed(RecordType::kBarClose, bar.start_ts_ns + kHalfHourNs, bar);
        rest(rig, script, prepares);
    }
    return rig.records<Decision>(RecordType::kDecision);
}

bool are_same(const std::vector<Decision>& left, const std::vector<Decision>& right) {
    return left.size() == right.size() &&
           std::memcmp(left.data(), right.data(), left.size() * sizeof(Decision)) == 0;
}

// How many parts there are behind a heartbeat at that time.
std::size_t parts_behind(Rig& rig, std::int64_t ts_ns) {
    rig.feed(RecordType::kHeartbeat, ts_ns, Heartbeat{});
    std::size_t parts = 0;
    while (parts < 1000 && rig.engine->prepare_part()) ++parts;
    return parts;
}

constexpr std::int64_t kMillisecond = 1'000'000;

}  // namespace

TEST_CASE("an engine that prepares decides the same when a quarantine empties a column") {
    const Script script{0, kSpikeBar, 295};
    const auto decisions = decisions_of(script, false);
    REQUIRE(decisions.size() > 20);
    CHECK(are_same(decisions, decisions_of(script, true)));
    // The spike counts until the kernel fails, then no more.
    const auto silent = decisions_of({0, kNever, 295}, false);
    REQUIRE(silent.size() == decisions.size());
    for (std::size_t age = 1; age <= 20; ++age) {
        const std::size_t i = decisions.size() - age;
        const bool is_same = std::memcmp(&decisions[i], &silent[i], sizeof(Decision)) == 0;
        CHECK(is_same == (age <= 5));
    }
}

TEST_CASE("an engine that prepares decides the same when answers come for backfilled bars") {
    const Script script{290, kSpikeBar, kNever};
    const auto decisions = decisions_of(script, false);
    REQUIRE(decisions.size() == 10);
    CHECK(are_same(decisions, decisions_of(script, true)));
    CHECK_FALSE(are_same(decisions, decisions_of({290, kNever, kNever}, false)));
}

TEST_CASE("each message in the last second before a close is followed by another pass") {
    Rig rig(test::make_settings());
    rig.connect();
    for (std::int64_t i = 0; i < kBars; ++i) {
        const BarClose bar = bar_of(i);
        rig.feed(RecordType::kBarOpen, bar.start_ts_ns,
                 BarOpen{bar.start_ts_ns, kHalfHourNs, bar.open_ticks, 0, 0, {}});
        rig.feed(RecordType::kBarClose, bar.start_ts_ns + kHalfHourNs, bar);
    }
    const std::int64_t due_ts_ns = kStartNs + (kBars + 1) * kHalfHourNs;
    CHECK(parts_behind(rig, due_ts_ns - kHalfHourNs) > 2);  // all of the preparation
    CHECK(parts_behind(rig, due_ts_ns - 1001 * kMillisecond) == 0);
    CHECK(parts_behind(rig, due_ts_ns - 1000 * kMillisecond) == 2);  // a network, and the rest
    CHECK(parts_behind(rig, due_ts_ns - kMillisecond) == 2);
    CHECK_FALSE(rig.engine->prepare_part());
    CHECK(parts_behind(rig, due_ts_ns + 59'999 * kMillisecond) == 2);  // it is late
    CHECK(parts_behind(rig, due_ts_ns + 60'000 * kMillisecond) == 0);  // it does not come
}

TEST_CASE("of two levels a pass is due with each 5-minute close, of each instrument") {
    constexpr std::size_t kPass = 1 + kAgentsMax + 1;  // the networks of both levels, and the rest
    Settings settings = test::two_level_settings(test::kSaysWait);
    settings.instruments.push_back(settings.instruments[0]);
    std::strcpy(settings.instruments[1].symbol, "OTHER");
    settings.limits.push_back(settings.limits[0]);
    settings.sizing.push_back(settings.sizing[0]);
    test::TwoLevelRig rig(settings);
    for (int i = 0; i < 12 * 6 + 2; ++i) rig.five();  // no half hour ends here
    const std::int64_t due_ts_ns = kStartNs + (rig.count + 1) * test::kFiveMinutesNs;
    CHECK(parts_behind(rig, due_ts_ns - test::kFiveMinutesNs) > kPass);
    CHECK(parts_behind(rig, due_ts_ns - 1001 * kMillisecond) == 0);
    CHECK(parts_behind(rig, due_ts_ns - 1000 * kMillisecond) == kPass);  // the other has no bar yet
    const std::int64_t start = kStartNs + rig.count * test::kFiveMinutesNs;
    const auto other = [&](std::int64_t end_ts_ns) {
        BarClose bar = bar_of(0);
        bar.start_ts_ns = end_ts_ns - test::kFiveMinutesNs;
        bar.instrument = 1;
        bar.duration_s = 300;
        rig.feed(RecordType::kBarClose, end_ts_ns, bar);
    };
    rig.five();
    other(start + test::kFiveMinutesNs);
    const std::int64_t next_ts_ns = due_ts_ns + test::kFiveMinutesNs;
    CHECK(parts_behind(rig, next_ts_ns - test::kFiveMinutesNs) > 2 * kPass);
    CHECK(parts_behind(rig, next_ts_ns - 500 * kMillisecond) == 2 * kPass);
}

TEST_CASE("an engine that warms its caches before each close decides the same") {
    const auto decided_by = [](bool prepares) {
        Rig rig(test::make_settings());
        rig.connect();
        for (std::int64_t i = 0; i < kBars; ++i) {
            const BarClose bar = bar_of(i);
            const std::int64_t end_ts_ns = bar.start_ts_ns + kHalfHourNs;
            rig.feed(RecordType::kBarOpen, bar.start_ts_ns,
                     BarOpen{bar.start_ts_ns, kHalfHourNs, bar.open_ticks, 0, 0, {}});
            if (prepares) rig.engine->prepare();
            rig.on_open(bar.open_ticks);
            for (std::int64_t ns : {2000, 1000, 0}) {
                rig.feed(RecordType::kHeartbeat, end_ts_ns - ns, Heartbeat{});
                if (prepares) rig.engine->prepare();
            }
            rig.feed(RecordType::kBarClose, end_ts_ns, bar);
        }
        return rig.records<Decision>(RecordType::kDecision);
    };
    const auto decisions = decided_by(false);
    REQUIRE(decisions.size() > 20);
    CHECK(are_same(decisions, decided_by(true)));
}
