// Promise: with several instruments each bar is asked about in the step of its own instrument's
// next event, once, and a call that nobody answers is given up with the next step.
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "engine/kernel_fixture.hpp"
#include "engine/rig.hpp"
#include "gm/engine/kernels.hpp"

using namespace gm;
using namespace gm::test;

namespace {

// The settings with one instrument more, like the first.
Settings two_instruments(Settings settings) {
    settings.instruments.push_back(settings.instruments[0]);
    std::strcpy(settings.instruments[1].symbol, "OTHER");
    settings.limits.push_back(settings.limits[0]);
    settings.sizing.push_back(settings.sizing[0]);
    return settings;
}

}  // namespace

TEST_CASE("bars that were not asked about wait for their instrument's event, not for another's") {
    Settings settings = two_instruments(make_settings());
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 2)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    const auto start = [](int bar) { return kStartNs + bar * kHalfHourNs; };
    for (int i = 0; i < 4; ++i) kernels.on_bar(0, closed(start(i), 100 + i, 30));
    kernels.ask(1, 1);
    CHECK_FALSE(kernels.has_call());
    for (int i = 0; i < 2; ++i) kernels.on_bar(1, closed(start(i), 200 + i, 30));
    kernels.ask(1, 2);
    KernelCall call{};
    REQUIRE(kernels.next_call(call));
    CHECK(call.instrument == 1);
    CHECK(call.windows[0][1] == 201.0);
    CHECK(kernels.take(answer_to(kernels, 1.0)) == Kernels::Taken::kTaken);
    CHECK_FALSE(kernels.has_call());
    kernels.ask(1, 3);
    CHECK_FALSE(kernels.has_call());
    kernels.ask(0, 4);
    for (int i = 1; i < 4; ++i) {
        REQUIRE(kernels.next_call(call));
        CHECK(call.instrument == 0);
        CHECK(call.bar_start_ts_ns == start(i));
        CHECK(call.windows[0][1] == static_cast<double>(100 + i));
        CHECK(kernels.take(answer_to(kernels, 1.0)) == Kernels::Taken::kTaken);
    }
    CHECK_FALSE(kernels.has_call());
    CHECK(kernels.abandoned() == 0);
}

TEST_CASE("a step asks for all its instruments, and its calls are given up with any event") {
    Settings settings = two_instruments(make_settings());
    settings.kernels = {kernel_row("a", KernelKind::kFeature, 1)};
    Kernels kernels;
    REQUIRE(kernels.open(settings).is_ok());
    KernelCall call{};
    // A timer closes bars of both; then of the second alone.
    for (const std::uint32_t at : {0U, 1U}) kernels.on_bar(at, closed(kStartNs, 100, 30));
    for (const std::uint32_t at : {0U, 1U}) kernels.ask(at, 1);
    CHECK(kernels.is_waiting(0));
    CHECK(kernels.is_waiting(1));
    for (const std::uint32_t at : {0U, 1U}) {
        REQUIRE(kernels.next_call(call));
        CHECK(call.instrument == at);
        CHECK(kernels.take(answer_to(kernels, 1.0)) == Kernels::Taken::kTaken);
    }
    kernels.on_bar(1, closed(kStartNs + kHalfHourNs, 100, 30));
    for (const std::uint32_t at : {0U, 1U}) kernels.ask(at, 2);
    REQUIRE(kernels.next_call(call));
    CHECK(call.instrument == 1);
    CHECK(kernels.abandoned() == 0);
    // Nobody answers; an event of the first, which has nothing to ask itself.
    kernels.ask(0, 3);
    CHECK_FALSE(kernels.has_call());
    CHECK_FALSE(kernels.is_waiting(1));
    CHECK(kernels.abandoned() == 1);
}

TEST_CASE("backfilled bars are asked about with the first live event of their own instrument") {
    Settings settings = two_instruments(make_settings());
    settings.kernels = {kernel_row("f", KernelKind::kFeature, 1)};
    Rig rig(settings);
    rig.io(RecordType::kEpoch, Epoch{1, 0, {}});
    SessionEvent event{};
    event.connection = 1;
    event.has_backfill = 1;
    rig.io(RecordType::kConnected, event);
    for (std::int64_t i = 0; i < 3; ++i) {
        BarClose bar{};
        bar.start_ts_ns = kStartNs + i * kHalfHourNs;
        bar.duration_s = 1800;
        bar.open_ticks = bar.high_ticks = bar.low_ticks = bar.close_ticks = 40'000 + i;
        Slot slot = make_slot(RecordType::kBackfill, Source::kIo, 0, rig.engine->now_ns(), bar);
        slot.header.source_ts_ns = kStartNs + 3 * kHalfHourNs;
        rig.step(slot);
    }
    rig.io(RecordType::kBackfillEnd, BackfillEnd{});
    CHECK(rig.desk().backfilled_bars == 3);
    KernelCall call{};
    Trade trade{};
    trade.price_ticks = 40'003;
    trade.quantity_lots = 1;
    for (const std::uint32_t at : {1U, 1U, 0U}) {
        CHECK_FALSE(rig.engine->next_kernel_call(call));
        trade.instrument = at;
        rig.feed(RecordType::kTrade, kStartNs + 3 * kHalfHourNs, trade);
    }
    std::vector<std::int64_t> asked;
    serve(rig, [&](const KernelCall& made, KernelResult result) {
        CHECK(made.instrument == 0);
        asked.push_back((made.bar_start_ts_ns - kStartNs) / kHalfHourNs);
        return result;
    });
    CHECK(asked == std::vector<std::int64_t>{0, 1, 2});
    CHECK(rig.engine->kernels().abandoned() == 0);
}
