// Promise: the four sequences of SPEC §4 fire once each, in their order, within the window, after
// the cooldown, from signals that are strong enough and used up only once.
#include "gm/features/synergy.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "gm/wire/payload.hpp"

namespace {

using gm::ClosedBar;
using gm::Signal;
using gm::SignalKind;
using gm::StrategicFeatures;
using gm::Synergy;
using gm::SynergyDetector;
using gm::SynergyRules;
using gm::TacticalFeatures;

constexpr std::int64_t kFiveNs = 300'000'000'000;
constexpr std::int64_t kStartNs = 1'641'000'600'000'000'000;
constexpr SynergyRules kRules{10.0, 0.02, 24, 5};
constexpr auto kMlmi = SignalKind::kMlmi;
constexpr auto kNwRqk = SignalKind::kNwRqk;
constexpr auto kFvg = SignalKind::kFvg;

// A detector that is told times in bars of five minutes, and remembers what it found.
struct Watch {
    explicit Watch(const SynergyRules& rules = kRules) { detector.open(rules); }

    // Type of the synergy that the signal completes, 0 without one.
    int see(SignalKind kind, int bar, int direction = 1, double strength = 0.5) {
        last = Synergy{};
        const Signal signal{kStartNs + bar * kFiveNs, strength, kind, direction};
        return detector.add(signal, last) ? last.type : 0;
    }
    [[nodiscard]] int standing(int bar) const {
        return detector.standing(kStartNs + bar * kFiveNs).direction;
    }

    SynergyDetector detector;
    Synergy last{};
};

}  // namespace

TEST_CASE("synergy: each of the four sequences is known by its order") {
    const SignalKind sequences[4][3] = {
        {kMlmi, kNwRqk, kFvg}, {kMlmi, kFvg, kNwRqk}, {kNwRqk, kFvg, kMlmi}, {kNwRqk, kMlmi, kFvg}};
    for (int type = 1; type <= 4; ++type) {
        for (const int direction : {1, -1}) {
            Watch watch;
            CHECK(watch.see(sequences[type - 1][0], 0, direction) == 0);
            CHECK(watch.see(sequences[type - 1][1], 3, direction) == 0);
            CHECK(watch.see(sequences[type - 1][2], 7, direction) == type);
            CHECK(watch.last.direction == direction);
            CHECK(watch.last.ts_ns == kStartNs + 7 * kFiveNs);
        }
    }
}

TEST_CASE("synergy: the two orders that begin with a gap are none") {
    Watch watch;
    CHECK(watch.see(kFvg, 0) == 0);
    CHECK(watch.see(kMlmi, 1) == 0);
    CHECK(watch.see(kNwRqk, 2) == 0);
    Watch other;
    CHECK(other.see(kFvg, 0) == 0);
    CHECK(other.see(kNwRqk, 1) == 0);
    CHECK(other.see(kMlmi, 2) == 0);
}

TEST_CASE("synergy: strengths, ages and confidence stand in the order MLMI, NW-RQK, FVG") {
    Watch watch;
    watch.see(kNwRqk, 0, -1, 0.25);
    watch.see(kFvg, 4, -1, 1.0);
    REQUIRE(watch.see(kMlmi, 6, -1, 0.5) == 3);
    CHECK(watch.last.strength[0] == 0.5F);
    CHECK(watch.last.strength[1] == 0.25F);
    CHECK(watch.last.strength[2] == 1.0F);
    CHECK(watch.last.age_s[0] == 0);
    CHECK(watch.last.age_s[1] == 1800);
    CHECK(watch.last.age_s[2] == 600);
    CHECK(watch.last.confidence == static_cast<float>(1.75 / 3.0));
}

TEST_CASE("synergy: signals of one moment count in the order in which they are handed in") {
    Watch watch;
    CHECK(watch.see(kMlmi, 6) == 0);
    CHECK(watch.see(kNwRqk, 6) == 0);
    CHECK(watch.see(kFvg, 6) == 1);
}

TEST_CASE("synergy: directions do not mix") {
    Watch watch;
    watch.see(kMlmi, 0, 1);
    watch.see(kNwRqk, 1, -1);
    CHECK(watch.see(kFvg, 2, 1) == 0);
    CHECK(watch.see(kFvg, 3, -1) == 0);
    CHECK(watch.detector.waiting(1) == 2);
    CHECK(watch.detector.waiting(-1) == 2);
}

TEST_CASE("synergy: a signal counts for 24 bars and not for 25, and what grew too old is counted") {
    Watch watch;
    watch.see(kMlmi, 0);
    watch.see(kNwRqk, 10);
    CHECK(watch.see(kFvg, 24) == 1);
    CHECK(watch.detector.expired() == 0);

    Watch late;
    late.see(kMlmi, 0);
    late.see(kNwRqk, 10, -1);
    late.see(kNwRqk, 20);
    CHECK(late.see(kFvg, 25) == 0);
    CHECK(late.detector.expired() == 1);
    CHECK(late.see(kFvg, 35, -1) == 0);  // both queues lose what is too old
    CHECK(late.detector.expired() == 2);
    CHECK(late.detector.waiting(1) == 2);
}

TEST_CASE("synergy: a signal of direction 0 is none, and moves no time") {
    Watch watch;
    watch.see(kMlmi, 0);
    CHECK(watch.see(kFvg, 1000, 0) == 0);
    CHECK(watch.detector.expired() == 0);
    CHECK(watch.detector.waiting(1) == 1);
}

TEST_CASE("synergy: three signals are used up by the one that they make") {
    Watch watch;
    watch.see(kMlmi, 0);
    watch.see(kNwRqk, 1);
    REQUIRE(watch.see(kFvg, 2) == 1);
    CHECK(watch.detector.waiting(1) == 0);
    CHECK(watch.see(kFvg, 10) == 0);
    CHECK(watch.see(kNwRqk, 12) == 0);
    CHECK(watch.see(kMlmi, 13) == 0);  // gap, turn, index: no sequence without the used ones
}

TEST_CASE("synergy: the newest of each kind takes part, the older ones wait") {
    Watch watch;
    watch.see(kMlmi, 0, 1, 0.1);
    watch.see(kMlmi, 2, 1, 0.2);
    watch.see(kNwRqk, 3, 1, 0.3);
    watch.see(kMlmi, 4, 1,
              0.9);  // after the turn: not the first of sequence 1, but of 4 the second
    REQUIRE(watch.see(kFvg, 6, 1, 0.5) == 1);
    CHECK(watch.last.strength[0] == 0.2F);
    CHECK(watch.last.strength[1] == 0.3F);
    CHECK(watch.detector.waiting(1) == 2);
    CHECK(watch.see(kFvg, 11) == 0);
    watch.see(kNwRqk, 12, 1, 0.4);  // index, gap, turn
    CHECK(watch.last.type == 2);
    CHECK(watch.last.strength[0] == 0.9F);
}

TEST_CASE("synergy: of two sequences that one signal completes the lower number fires") {
    Watch watch;
    watch.see(kNwRqk, 0);
    watch.see(kMlmi, 1);
    watch.see(kNwRqk, 2);
    CHECK(watch.see(kFvg, 3) == 1);  // turn, index, gap is 4
    CHECK(watch.detector.waiting(1) == 1);
}

TEST_CASE("synergy: five bars of cooldown for both directions; who comes too early waits") {
    Watch watch;
    watch.see(kMlmi, 0, -1);
    watch.see(kNwRqk, 0, -1);
    watch.see(kMlmi, 1);
    watch.see(kNwRqk, 1);
    REQUIRE(watch.see(kFvg, 2) == 1);
    CHECK(watch.see(kFvg, 6, -1) == 0);  // four bars after
    CHECK(watch.detector.waiting(-1) == 3);
    CHECK(watch.see(kFvg, 7, -1) == 1);
    CHECK(watch.last.age_s[0] == 2100);
    CHECK(watch.detector.waiting(-1) == 1);  // the gap that came too early
}

TEST_CASE("synergy: it stands for the window, unless an opposite one comes") {
    Watch watch;
    CHECK(watch.standing(0) == 0);
    watch.see(kMlmi, 0, 1, 0.3);
    watch.see(kNwRqk, 1, 1, 0.3);
    watch.see(kFvg, 2, 1, 0.3);
    CHECK(watch.standing(2) == 1);
    CHECK(watch.detector.standing(kStartNs + 2 * kFiveNs).confidence == 0.3F);
    CHECK(watch.standing(26) == 1);
    CHECK(watch.standing(27) == 0);
    CHECK(watch.detector.standing(kStartNs + 27 * kFiveNs).confidence == 0.0F);
    watch.see(kMlmi, 10, -1);
    watch.see(kNwRqk, 11, -1);
    watch.see(kFvg, 12, -1);
    CHECK(watch.standing(12) == -1);
    CHECK(watch.standing(36) == -1);
    CHECK(watch.standing(37) == 0);
}

TEST_CASE("synergy: rules are what was asked for") {
    Watch watch(SynergyRules{0, 0, 1, 0});
    watch.see(kMlmi, 0);
    watch.see(kNwRqk, 0);
    CHECK(watch.see(kFvg, 1) == 1);
    watch.see(kMlmi, 1);
    watch.see(kNwRqk, 1);
    CHECK(watch.see(kFvg, 1) == 1);  // no cooldown
    watch.see(kMlmi, 2);
    CHECK(watch.see(kFvg, 4) == 0);
    CHECK(watch.detector.expired() == 1);
}

TEST_CASE("synergy: a flood at one moment drops the oldest and stays within its queue") {
    Watch watch;
    for (int i = 0; i < 1000; ++i) watch.see(kFvg, 0);
    CHECK(watch.detector.waiting(1) + watch.detector.expired() == 1000);
    CHECK(watch.detector.waiting(1) < 200);
    watch.see(kNwRqk, 1);
    watch.see(kFvg, 2);
    CHECK(watch.see(kMlmi, 3) == 3);
}

TEST_CASE("synergy: a copy of the bytes goes on as the original does, and equal is equal") {
    std::mt19937_64 random(3);
    auto straight = std::make_unique<Watch>();
    auto broken = std::make_unique<Watch>();
    int found = 0;
    for (int bar = 0; bar < 20'000; ++bar) {
        const auto kind = static_cast<SignalKind>(random() % 3);
        const int direction = static_cast<int>(random() % 3) - 1;
        auto resumed = std::make_unique<Watch>();
        std::memcpy(static_cast<void*>(&resumed->detector), &broken->detector,
                    sizeof(SynergyDetector));
        broken = std::move(resumed);
        found += straight->see(kind, bar, direction) != 0;
        broken->see(kind, bar, direction);
        REQUIRE(std::memcmp(&straight->last, &broken->last, sizeof(Synergy)) == 0);
        REQUIRE(std::memcmp(&straight->detector, &broken->detector, sizeof(SynergyDetector)) == 0);
    }
    CHECK(found > 1000);
}

namespace {

std::vector<ClosedBar> walk(std::size_t count, std::uint32_t minutes, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> step(-60, 60);
    std::uniform_int_distribution<std::int64_t> wick(0, 20);
    std::vector<ClosedBar> bars;
    std::int64_t price = 40'000;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t open = price;
        price = std::max<std::int64_t>(1000, price + step(random) * (random() % 11 == 0 ? 5 : 1));
        bars.push_back({kStartNs + static_cast<std::int64_t>(i) * minutes * 60'000'000'000, open,
                        std::max(open, price) + wick(random), std::min(open, price) - wick(random),
                        price, 10, minutes, 0});
    }
    return bars;
}

}  // namespace

TEST_CASE("synergy: signals are what the newest row says, if it says so strongly enough") {
    const auto strategic = std::make_unique<StrategicFeatures>();
    strategic->open();
    int turns = 0;
    int crosses = 0;
    for (const ClosedBar& bar : walk(2'000, 30, 5)) {
        strategic->update(bar, 0);
        const Signal turn = nwrqk_signal(bar, *strategic, kRules);
        const bool is_steep = std::abs(strategic->nwrqk_slope()) >= 0.02;
        REQUIRE(turn.direction == (is_steep ? strategic->nwrqk_turn() : 0));
        REQUIRE(turn.strength == std::min(1.0, std::abs(strategic->nwrqk_slope()) / 0.1));
        REQUIRE(turn.ts_ns == bar.start_ts_ns + 6 * kFiveNs);
        const Signal cross = mlmi_signal(bar, *strategic, kRules);
        const double distance = std::abs(strategic->mlmi_value() - 50.0);
        REQUIRE(cross.direction == (distance >= 10.0 ? strategic->mlmi_signal() : 0));
        REQUIRE(cross.strength == std::min(1.0, distance / 50.0));
        turns += turn.direction != 0;
        crosses += cross.direction != 0;
    }
    CHECK(turns > 10);
    CHECK(crosses > 3);

    TacticalFeatures tactical;
    tactical.open();
    int gaps = 0;
    for (const ClosedBar& bar : walk(2'000, 5, 6)) {
        tactical.update(bar);
        const Signal gap = fvg_signal(bar, tactical);
        REQUIRE(gap.direction == tactical.fvg_signal());
        REQUIRE(gap.strength == std::min(1.0, tactical.fvg_signal_size() / 0.01));
        REQUIRE(gap.ts_ns == bar.start_ts_ns + kFiveNs);
        gaps += gap.direction != 0;
    }
    CHECK(gaps > 10);
}

TEST_CASE("synergy: a batch takes both sides by the end of their bars, the longer one first") {
    const auto five = walk(12'000, 5, 8);
    const auto thirty = walk(2'000, 30, 9);
    const SynergyRules rules{0.0, 0.0, 24, 5};
    const gm::SynergyBatch batch = gm::run_synergy_batch(five, thirty, rules);
    REQUIRE(batch.synergies.size() > 5);

    const auto strategic = std::make_unique<StrategicFeatures>();
    const auto tactical = std::make_unique<TacticalFeatures>();
    const auto detector = std::make_unique<SynergyDetector>();
    strategic->open();
    tactical->open();
    detector->open(rules);
    std::size_t found = 0;
    const auto see = [&](const ClosedBar& bar, const Signal& signal) {
        Synergy expected{};
        if (!detector->add(signal, expected)) return;
        add_market_context(bar, *strategic, expected);
        REQUIRE(found < batch.synergies.size());
        CHECK(std::memcmp(&batch.synergies[found], &expected, sizeof expected) == 0);
        CHECK(expected.close_ticks == bar.close_ticks);
        CHECK(expected.atr_ticks == static_cast<float>(strategic->atr_ticks()));
        CHECK(expected.volatility_30 ==
              static_cast<float>(strategic->row_f64()[gm::kVolatility30]));
        ++found;
    };
    for (std::size_t i = 0; i < five.size(); ++i) {
        if (i % 6 == 5) {
            const ClosedBar& bar = thirty[i / 6];
            strategic->update(bar, 0);
            see(bar, mlmi_signal(bar, *strategic, rules));
            see(bar, nwrqk_signal(bar, *strategic, rules));
        }
        tactical->update(five[i]);
        see(five[i], fvg_signal(five[i], *tactical));
    }
    CHECK(found == batch.synergies.size());
    CHECK(batch.expired == detector->expired());
}

TEST_CASE("synergy: bars outside a session signal nothing") {
    auto five = walk(3'000, 5, 8);
    auto thirty = walk(500, 30, 9);
    const SynergyRules rules{0.0, 0.0, 24, 5};
    const auto before = gm::run_synergy_batch(five, thirty, rules);
    REQUIRE(!before.synergies.empty());
    std::vector<ClosedBar> doubled;
    for (const ClosedBar& bar : thirty) {
        doubled.push_back(bar);
        doubled.push_back(bar);
        doubled.back().flags = gm::kBarOutOfSession;
    }
    const auto after = gm::run_synergy_batch(five, doubled, rules);
    CHECK(after.synergies.size() == before.synergies.size());
    CHECK(after.expired == before.expired);
}
