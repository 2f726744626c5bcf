// Promise: bars from before the live feed warm an engine as if it had been there, and move nothing
// but bars and features.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "engine/rig.hpp"

namespace {

using namespace gm;
using test::kHalfHourNs;
using test::kStartNs;
using test::Rig;

constexpr std::int64_t kMinutesNs = 60'000'000'000;
constexpr std::int64_t kForEver = 4'000'000'000'000'000'000;

// A long wave with a ripple, in bars of any size; the same whoever asks.
BarClose bar_of(std::int64_t index, std::int64_t minutes) {
    const auto price = [&](std::int64_t at) {
        const std::int64_t phase = at * minutes / 5 % 1200;
        const std::int64_t height = phase < 600 ? phase : 1200 - phase;
        return 40'000 + height * 3 + test::ripple(at * minutes / 30);
    };
    BarClose bar{};
    bar.start_ts_ns = kStartNs + index * minutes * kMinutesNs;
    bar.duration_s = static_cast<std::uint32_t>(minutes * 60);
    bar.open_ticks = price(index > 0 ? index - 1 : 0);
    bar.close_ticks = price(index);
    bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + 3;
    bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - 3;
    bar.volume_lots = 10 + index % 5;
    return bar;
}

std::int64_t end_of(const BarClose& bar) {
    return bar.start_ts_ns + std::int64_t{bar.duration_s} * 1'000'000'000;
}

void backfill(Rig& rig, const BarClose& bar, std::int64_t before_ts_ns = kForEver) {
    Slot slot = make_slot(RecordType::kBackfill, Source::kIo, 0, rig.engine->now_ns(), bar);
    slot.header.source_ts_ns = before_ts_ns;
    rig.step(slot);
}

void live(Rig& rig, const BarClose& bar) {
    const BarOpen open{
        bar.start_ts_ns, end_of(bar) - bar.start_ts_ns, bar.open_ticks, bar.instrument, 0, {}};
    rig.feed(RecordType::kBarOpen, bar.start_ts_ns, open);
    rig.on_open(bar.open_ticks);
    rig.feed(RecordType::kBarClose, end_of(bar), bar);
}

// A connection on which backfill comes first.
void join(Rig& rig, std::uint64_t feed_begins_after, std::uint32_t epoch = 1,
          std::uint32_t connection = 1) {
    if (connection == 1) {
        Epoch start{};
        start.epoch = epoch;
        rig.io(RecordType::kEpoch, start);
    }
    SessionEvent event{};
    event.connection = connection;
    event.feed_begins_after = feed_begins_after;
    event.has_backfill = 1;
    rig.io(RecordType::kConnected, event);
    rig.feed_sequence = feed_begins_after;
}

void end_backfill(Rig& rig) {
    rig.io(RecordType::kBackfillEnd, BackfillEnd{});
}

// Both matrices and the signals that wait for others.
std::vector<std::uint8_t> features_of(const Rig& rig) {
    const auto copy = std::make_unique<StrategicFeatures>(rig.desk().features);
    const std::size_t strategic = StrategicFeatures::snapshot_size();
    const std::size_t tactical = TacticalFeatures::snapshot_size();
    std::vector<std::uint8_t> bytes(strategic + tactical + sizeof(SynergyDetector));
    const std::span all(bytes);
    REQUIRE(copy->snapshot(all.first(strategic)) == Status::kOk);
    REQUIRE(rig.desk().tactical.snapshot(all.subspan(strategic, tactical)) == Status::kOk);
    std::memcpy(&bytes[strategic + tactical], &rig.desk().synergies, sizeof(SynergyDetector));
    return bytes;
}

std::vector<Decision> decisions_from(const Rig& rig, std::int64_t start_ts_ns) {
    auto found = rig.records<Decision>(RecordType::kDecision);
    std::erase_if(found, [&](const Decision& d) { return d.bar_start_ts_ns < start_ts_ns; });
    return found;
}

bool is_ready(const Rig& rig) {
    return rig.engine->state() == EngineState::kReady;
}

}  // namespace

TEST_CASE("backfill and then live is live from the start, byte for byte") {
    // The live feed begins on a bucket's edge and in the middle of one, with bars of every size.
    for (const std::int64_t minutes : {1, 5, 30}) {
        const std::int64_t known = 400 * 30 / minutes;
        for (const std::int64_t extra : {std::int64_t{0}, 10 / minutes, 25 / minutes}) {
            CAPTURE(minutes);
            CAPTURE(extra);
            const std::int64_t joined = known + extra;
            const std::int64_t last = joined + 60 * 30 / minutes;
            Rig always;
            always.connect();
            Rig late;
            join(late, 12'345);
            for (std::int64_t i = 0; i < joined; ++i) {
                live(always, bar_of(i, minutes));
                backfill(late, bar_of(i, minutes), bar_of(joined, minutes).start_ts_ns);
                if (i % 7 == 0) late.engine->prepare();
            }
            end_backfill(late);
            for (std::int64_t i = joined; i < last; ++i) {
                live(always, bar_of(i, minutes));
                live(late, bar_of(i, minutes));
                REQUIRE(features_of(always) == features_of(late));
            }
            const std::int64_t from_ts_ns = bar_of(joined, minutes).start_ts_ns;
            const auto expected = decisions_from(always, from_ts_ns);
            const auto decided = decisions_from(late, from_ts_ns);
            REQUIRE(expected.size() >= 59);
            REQUIRE(decided.size() == expected.size());
            CHECK(std::memcmp(decided.data(), expected.data(), decided.size() * sizeof(Decision)) ==
                  0);
            CHECK(late.desk().closed_bars_30m == always.desk().closed_bars_30m);
            CHECK(late.desk().backfilled_bars == static_cast<std::uint64_t>(joined));
        }
    }
}

TEST_CASE("a backfilled bar moves bars and features and nothing else") {
    Rig rig;
    join(rig, 0);
    for (std::int64_t i = 0; i < 2 * 400; ++i) backfill(rig, bar_of(i, 30));
    CHECK(rig.desk().features.is_ready());
    CHECK(rig.desk().closed_bars_30m == 800);
    CHECK(rig.desk().market.last_good_ts_ns() == kNoTime);
    CHECK(rig.desk().market.last_good_price_ticks() == 0);
    CHECK(rig.desk().market.last_flags() == 0);
    CHECK_FALSE(rig.desk().market.entries_allowed());
    CHECK(rig.desk().held_bars == 0);
    CHECK(rig.desk().target_lots == 0);
    CHECK(rig.engine->now_ns() == 0);
    CHECK(rig.engine->totals().decisions == 0);
    CHECK(rig.records<Decision>(RecordType::kDecision).empty());
    CHECK(rig.records<NewOrder>(RecordType::kIntent).empty());
    CHECK(rig.records<PositionUpdate>(RecordType::kPosition).empty());
    CHECK(rig.take_orders().empty());
}

TEST_CASE("an engine that joins is ready behind its backfill and not before") {
    Rig rig;
    join(rig, 500);
    CHECK(rig.engine->last_feed_sequence() == 500);
    CHECK_FALSE(is_ready(rig));
    CHECK(rig.engine->needs_backfill());
    CHECK(rig.engine->bars_needed(0) == 177);
    for (std::int64_t i = 0; i < 100; ++i) backfill(rig, bar_of(i, 30));
    CHECK(rig.engine->bars_needed(0) == 77);
    end_backfill(rig);
    CHECK(is_ready(rig));
    CHECK(rig.engine->needs_backfill());  // still: should the connection break now
    const StateUpdate cold = rig.records<StateUpdate>(RecordType::kState).end()[-2];
    CHECK(cold.instrument == 0);
    CHECK(cold.reason == static_cast<std::uint8_t>(NotReadyReason::kWarmingUp));
    CHECK(cold.bars_needed == 77);
    const auto ready = [&] {
        (void)rig.take_orders();
        return rig.messages.back().as<Ready>();
    }();
    CHECK(ready.last_feed_sequence == 500);
    for (std::int64_t i = 100; i < 176; ++i) live(rig, bar_of(i, 30));
    CHECK_FALSE(rig.engine->needs_backfill());
    CHECK(rig.engine->totals().decisions == 0);
    live(rig, bar_of(176, 30));
    CHECK(rig.engine->totals().decisions == 1);
    const auto states = rig.records<StateUpdate>(RecordType::kState);
    CHECK(states.back().reason == 0);
    CHECK(states.back().bars_needed == 0);
}

TEST_CASE("what is not older than the live feed is refused and counted") {
    Rig rig;
    join(rig, 0);
    const std::int64_t before = bar_of(10, 30).start_ts_ns;
    for (std::int64_t i = 0; i < 10; ++i) backfill(rig, bar_of(i, 30), before);
    const auto last_reason = [&] {
        return static_cast<QuarantineReason>(
            rig.records<BarQuarantined>(RecordType::kBarQuarantined).back().reason);
    };
    SUBCASE("a bar that had not ended") {
        backfill(rig, bar_of(10, 30), before);
        CHECK(last_reason() == QuarantineReason::kFuture);
    }
    SUBCASE("a start that overflows with its length") {
        BarClose bar = bar_of(10, 30);
        bar.start_ts_ns = INT64_MAX - 5;
        backfill(rig, bar, INT64_MAX);
        CHECK(last_reason() == QuarantineReason::kFuture);
    }
    SUBCASE("a bar seen before, and one that goes back") {
        backfill(rig, bar_of(9, 30), before);
        CHECK(last_reason() == QuarantineReason::kDuplicateTime);
        backfill(rig, bar_of(3, 30), before);
        CHECK(last_reason() == QuarantineReason::kBackwardTime);
        CHECK(rig.desk().quarantined == 2);
    }
    SUBCASE("a bar that contradicts itself, or jumps") {
        BarClose bar = bar_of(10, 30);
        bar.high_ticks = bar.low_ticks - 1;
        backfill(rig, bar);
        CHECK(last_reason() == QuarantineReason::kContradiction);
        bar = bar_of(11, 30);
        for (auto* price : {&bar.open_ticks, &bar.high_ticks, &bar.low_ticks, &bar.close_ticks}) {
            *price *= 3;
        }
        backfill(rig, bar);
        CHECK(last_reason() == QuarantineReason::kJumpBand);
    }
    SUBCASE("any bar once something came live") {
        end_backfill(rig);
        live(rig, bar_of(20, 30));
        const auto bytes = features_of(rig);
        backfill(rig, bar_of(21, 30));
        CHECK(last_reason() == QuarantineReason::kBackwardTime);
        CHECK(rig.desk().market.entries_allowed());  // five of them would not stop entries either
        CHECK(features_of(rig) == bytes);
    }
    CHECK(rig.desk().backfilled_bars == 10);
    CHECK(rig.desk().quarantined >= 1);
}

TEST_CASE("a bar of an unknown instrument is no bar") {
    Rig rig;
    join(rig, 0);
    BarClose bar = bar_of(0, 30);
    bar.instrument = 1;
    backfill(rig, bar);
    CHECK(rig.desk().backfilled_bars == 0);
    CHECK(rig.desk().quarantined == 0);
}

TEST_CASE("what comes live is held against the last backfilled price") {
    Rig rig;
    join(rig, 0);
    for (std::int64_t i = 0; i < 200; ++i) backfill(rig, bar_of(i, 30));
    end_backfill(rig);
    BarClose spike = bar_of(200, 30);
    for (auto* price :
         {&spike.open_ticks, &spike.high_ticks, &spike.low_ticks, &spike.close_ticks}) {
        *price *= 10;
    }
    live(rig, spike);
    CHECK(rig.desk().quarantined == 2);  // OPEN and CLOSE
    CHECK_FALSE(rig.desk().is_live);
    live(rig, bar_of(201, 30));
    CHECK(rig.desk().is_live);
}

TEST_CASE("a life that died in its backfill goes on with it, and a whole one does not ask again") {
    Rig rig;
    join(rig, 40);
    for (std::int64_t i = 0; i < 300; ++i) backfill(rig, bar_of(i, 30));
    REQUIRE(rig.engine->bars_needed(0) == 0);
    CHECK(rig.engine->needs_backfill());  // there may be more between these and the feed
    Epoch second{};
    second.epoch = 2;
    rig.io(RecordType::kEpoch, second);
    CHECK(rig.engine->needs_backfill());
    join(rig, 44, 2, 7);
    CHECK(rig.engine->last_feed_sequence() == 44);
    CHECK_FALSE(is_ready(rig));
    for (std::int64_t i = 300; i < 302; ++i) backfill(rig, bar_of(i, 30));
    end_backfill(rig);
    CHECK(is_ready(rig));
    CHECK_FALSE(rig.engine->needs_backfill());
    live(rig, bar_of(302, 30));
    CHECK(rig.engine->totals().decisions == 1);
    CHECK(rig.desk().quarantined == 0);
}

TEST_CASE("an engine that has a live bar joins nowhere else") {
    Rig rig;
    rig.connect();
    live(rig, bar_of(0, 30));
    join(rig, 900, 1, 2);
    CHECK(rig.engine->last_feed_sequence() == 2);
}

TEST_CASE("a connection that breaks in a backfill leaves no readiness behind") {
    Rig rig;
    join(rig, 0);
    for (std::int64_t i = 0; i < 200; ++i) backfill(rig, bar_of(i, 30));
    SessionEvent lost{};
    lost.connection = 1;
    rig.io(RecordType::kDisconnected, lost);
    CHECK_FALSE(is_ready(rig));
    SessionEvent again{};
    again.connection = 2;
    rig.io(RecordType::kConnected, again);  // a venue in lockstep: its tape warms up
    CHECK(is_ready(rig));
}

TEST_CASE("a bar that the clock closes in a backfill decides nothing") {
    Settings settings = test::make_settings();
    const std::int64_t close_ns = kStartNs + 300 * kHalfHourNs + 10 * kMinutesNs;
    settings.sessions = {{0, close_ns, 0}, {close_ns + kHalfHourNs, kForEver, 0}};
    settings.instruments[0].session_count = 2;
    Rig rig(settings);
    join(rig, 0);
    for (std::int64_t i = 0; i < 300 * 6 + 2; ++i) backfill(rig, bar_of(i, 5));
    end_backfill(rig);
    REQUIRE(rig.desk().closed_bars_30m == 300);
    Timer timer{};
    timer.deadline_ns = rig.engine->next_deadline_ns();
    rig.step(make_slot(RecordType::kTimer, Source::kIo, 0, timer.deadline_ns, timer));
    CHECK(rig.desk().closed_bars_30m == 301);
    CHECK(rig.engine->totals().decisions == 0);
    CHECK(rig.records<PositionUpdate>(RecordType::kPosition).empty());
}

TEST_CASE("a backfill of another time is forgotten when the feed begins") {
    const auto ready_after = [](std::int64_t hole_bars) {
        Rig rig;
        join(rig, 0);
        for (std::int64_t i = 0; i < 300; ++i) backfill(rig, bar_of(i, 30));
        // In the middle of a bucket of 30 minutes: its open part is of the past, too.
        backfill(rig, bar_of(300 * 6, 5));
        end_backfill(rig);
        REQUIRE(rig.desk().features.is_ready());
        const std::int64_t first = 301 + hole_bars;
        live(rig, bar_of(first, 30));
        if (rig.desk().features.is_ready()) return std::int64_t{1};
        CHECK(rig.desk().features.bars() == 1);
        CHECK(rig.desk().market.is_stale() == false);
        std::int64_t bars = 1;
        for (; !rig.desk().features.is_ready() && bars < 400; ++bars) {
            live(rig, bar_of(first + bars, 30));
        }
        return bars;
    };
    CHECK(ready_after(0) == 1);
    CHECK(ready_after(47) == 1);
    CHECK(ready_after(49) == 177);
    CHECK(ready_after(48 * 365 * 3) == 177);
}

TEST_CASE("a synergy of before the live feed stands and is not told") {
    // A walk with jumps: gaps, crosses and turns.
    std::mt19937_64 random(20261121);
    std::vector<BarClose> bars;
    std::int64_t price = 40'000;
    for (std::int64_t i = 0; i < 6 * 1500; ++i) {
        BarClose bar = bar_of(i, 5);
        bar.open_ticks = price;
        price += static_cast<std::int64_t>(random() % 61) - 30 + (40'000 - price) / 100;
        if (random() % 11 == 0) price += static_cast<std::int64_t>(random() % 301) - 150;
        bar.close_ticks = price;
        bar.high_ticks = std::max(bar.open_ticks, price) + static_cast<std::int64_t>(random() % 9);
        bar.low_ticks = std::min(bar.open_ticks, price) - static_cast<std::int64_t>(random() % 9);
        bars.push_back(bar);
    }
    const std::size_t joined = bars.size() / 2;
    Rig always;
    always.connect();
    Rig late;
    join(late, 1);
    for (std::size_t i = 0; i < joined; ++i) {
        live(always, bars[i]);
        backfill(late, bars[i]);
    }
    end_backfill(late);
    const auto told = [](const Rig& rig) { return rig.records<Synergy>(RecordType::kSynergy); };
    REQUIRE(told(always).size() > 3);
    CHECK(told(late).empty());
    CHECK(late.engine->totals().synergies == 0);
    const std::size_t before = told(always).size();
    for (std::size_t i = joined; i < bars.size(); ++i) {
        live(always, bars[i]);
        live(late, bars[i]);
        REQUIRE(features_of(always) == features_of(late));
    }
    CHECK(told(late).size() == told(always).size() - before);
    CHECK(told(late).size() > 0);
}

TEST_CASE("user kernels are asked about the newest bars once something is live") {
    Settings settings = test::make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    KernelSettings rule{};
    std::strcpy(rule.name, "rule");
    rule.kind = KernelKind::kRule;
    rule.minutes = 30;
    rule.warmup = 10;
    rule.low = -1.0;
    rule.high = 1.0;
    rule.input_count = 1;
    rule.inputs[0] = KernelField::kClose;
    settings.kernels = {rule};
    Rig rig(settings);
    join(rig, 0);
    // Calls of a step, each answered "long".
    const auto serve = [&] {
        int calls = 0;
        KernelCall call{};
        for (; rig.engine->next_kernel_call(call); ++calls) {
            KernelResult result{};
            result.bar_start_ts_ns = call.bar_start_ts_ns;
            result.minutes = 30;
            result.value = 1.0;
            rig.step(make_slot(RecordType::kKernelResult, Source::kKernel,
                               rig.engine->last_kernel_sequence() + 1, rig.engine->now_ns(),
                               result));
        }
        return calls;
    };
    for (std::int64_t i = 0; i < 100; ++i) {
        backfill(rig, bar_of(i, 30));
        CHECK(serve() == 0);
    }
    end_backfill(rig);
    const auto open = [&](std::int64_t i) {
        const BarClose bar = bar_of(i, 30);
        rig.feed(RecordType::kBarOpen, bar.start_ts_ns,
                 BarOpen{bar.start_ts_ns, kHalfHourNs, bar.open_ticks, 0, 0, {}});
        return serve();
    };
    const auto close = [&](std::int64_t i) {
        rig.feed(RecordType::kBarClose, end_of(bar_of(i, 30)), bar_of(i, 30));
        return serve();
    };
    SUBCASE("the newest 48, and none of them decides") {
        CHECK(open(100) == 48);
        CHECK(rig.engine->totals().decisions == 0);
        CHECK(close(100) == 1);
        CHECK(rig.engine->totals().decisions == 1);
    }
    SUBCASE("none of another time") {
        CHECK(open(400) == 0);
        for (std::int64_t i = 400; i < 409; ++i) CHECK(close(i) == 0);
        CHECK(close(409) == 1);  // its window is full of what is live
        CHECK(rig.engine->totals().decisions == 1);
    }
}

TEST_CASE("behind a hole profile and MMD are computed for those who read them, as before it") {
    for (const std::uint32_t mask :
         {1U << kLvnStrength | 1U << kVolumeProfileSkew, 1U << kMomentum20 | 1U << kMomentum50}) {
        Settings settings = test::make_settings();
        settings.agents[0].column_mask = mask;
        Rig rig(settings);
        join(rig, 0);
        for (std::int64_t i = 0; i < 100; ++i) backfill(rig, bar_of(i, 30));
        end_backfill(rig);
        const double* const columns = rig.desk().features.row_f64();
        const bool is_read = (mask & 1U << kVolumeProfileSkew) != 0;
        CHECK((columns[kVolumeProfileSkew] != 0.0) == is_read);
        for (std::int64_t i = 200; i < 260; ++i) live(rig, bar_of(i, 30));
        CHECK(rig.desk().features.bars() == 60);  // it began again
        CHECK((columns[kVolumeProfileSkew] != 0.0) == is_read);
        CHECK(columns[kMomentum20] != 0.0);
    }
}
