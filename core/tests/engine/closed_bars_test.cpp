// Promise: the engine computes from closed bars what the batch functions compute from them, writes
// every synergy down, and tells the policy which one stands.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "engine/kernel_fixture.hpp"
#include "engine/rig.hpp"
#include "gm/engine/engine.hpp"

using namespace gm;
using gm::test::kStartNs;
using gm::test::Rig;

namespace {

constexpr std::int64_t kFiveNs = 300'000'000'000;

// A walk with jumps; some bars are missing.
std::vector<BarClose> five_minute_bars(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> step(-30, 30);
    std::uniform_int_distribution<std::int64_t> wick(0, 10);
    std::vector<BarClose> bars;
    std::int64_t price = 40'000;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t open = price;
        price += step(random) * (random() % 11 == 0 ? 5 : 1) + (40'000 - price) / 100;
        BarClose bar{};
        bar.start_ts_ns = kStartNs + static_cast<std::int64_t>(i) * kFiveNs;
        bar.open_ticks = open;
        bar.high_ticks = std::max(open, price) + wick(random);
        bar.low_ticks = std::min(open, price) - wick(random);
        bar.close_ticks = price;
        bar.volume_lots = 10 + wick(random);
        bar.duration_s = 300;
        if (random() % 50 != 0) bars.push_back(bar);
    }
    return bars;
}

void live(Rig& rig, const BarClose& bar) {
    const BarOpen open{bar.start_ts_ns, kFiveNs, bar.open_ticks, 0, 0, {}};
    rig.feed(RecordType::kBarOpen, bar.start_ts_ns, open);
    rig.feed(RecordType::kBarClose, bar.start_ts_ns + kFiveNs, bar);
}

// Logits (d, 0, -d) with d the direction of the standing synergy, so that a decision shows it.
Settings settings_that_show_the_synergy() {
    Settings settings = gm::test::make_settings();
    std::vector<float> weights(102 * 3, 0.0F);
    weights[97 * 3] = 1.0F;
    weights[97 * 3 + 2] = -1.0F;
    gm::test::Graph graph;
    graph.nodes = {gm::test::node("Gemm", {"x", "w", "b"}, "y")};
    graph.tensors = {gm::test::tensor("w", {102, 3}, weights),
                     gm::test::tensor("b", {3}, {0.0F, 0.0F, 0.0F})};
    graph.inputs = {gm::test::value("x", {0, 102})};
    graph.outputs = {gm::test::value("y", {0, 3})};
    settings.onnx = {gm::test::model(graph)};
    settings.header.threshold = 0.999;  // no order
    return settings;
}

// What the market makes of the same bars.
struct ClosedBars {
    std::vector<ClosedBar> five;
    std::vector<ClosedBar> thirty;
};
ClosedBars closed_bars(const std::vector<BarClose>& bars) {
    const Settings settings = gm::test::make_settings();
    Market market;
    REQUIRE(market.open(settings.instruments[0], settings.sessions, settings.offsets, 48).is_ok());
    ClosedBars closed;
    for (const BarClose& bar : bars) {
        REQUIRE(market.on_close(bar) == QuarantineReason::kNone);
        ClosedBar out{};
        while (market.next_closed(out))
            (out.minutes == 5 ? closed.five : closed.thirty).push_back(out);
    }
    return closed;
}

constexpr SynergyRules kRules{10.0, 0.02, 24, 5};

}  // namespace

TEST_CASE("the engine finds the synergies of the batch, and its tactical matrix is the batch's") {
    const auto bars = five_minute_bars(12'000, 1);
    Rig rig;
    rig.connect();
    for (const BarClose& bar : bars) live(rig, bar);

    const ClosedBars closed = closed_bars(bars);
    REQUIRE(closed.five.size() > bars.size());  // missing ones were filled
    const SynergyBatch batch = run_synergy_batch(closed.five, closed.thirty, kRules);
    const auto& expected = batch.synergies;
    const auto found = rig.records<Synergy>(RecordType::kSynergy);
    REQUIRE(found.size() == expected.size());
    REQUIRE(found.size() > 5);
    CHECK(std::memcmp(found.data(), expected.data(), found.size() * sizeof(Synergy)) == 0);
    CHECK(rig.engine->totals().synergies == found.size());
    CHECK(rig.engine->totals().expired_signals == batch.expired);

    std::vector<float> matrices(closed.five.size() * kTacticalValues);
    run_tactical_batch(closed.five, {matrices.data(), nullptr, nullptr});
    CHECK(std::memcmp(rig.desk().tactical.matrix(), &matrices[matrices.size() - kTacticalValues],
                      kTacticalValues * sizeof(float)) == 0);
    CHECK(rig.desk().tactical.is_ready());
    CHECK(rig.desk().closed_bars_5m == closed.five.size());
    CHECK(rig.desk().closed_bars_30m == closed.thirty.size());
}

TEST_CASE("a decision sees the synergy that stands when its bar closes, and no older one") {
    Rig rig(settings_that_show_the_synergy());
    rig.connect();
    for (const BarClose& bar : five_minute_bars(12'000, 1)) live(rig, bar);
    const auto synergies = rig.records<Synergy>(RecordType::kSynergy);
    int decisions_with = 0;
    int decisions_without = 0;
    bool saw_its_own_moment = false;
    for (const Decision& decision : rig.records<Decision>(RecordType::kDecision)) {
        const std::int64_t now_ns = decision.bar_start_ts_ns + 6 * kFiveNs;
        int direction = 0;
        for (const Synergy& synergy : synergies) {
            if (synergy.ts_ns > now_ns || now_ns - synergy.ts_ns > 24 * kFiveNs) continue;
            direction = synergy.direction;
            saw_its_own_moment |= synergy.ts_ns == now_ns;
        }
        const double e = std::exp(static_cast<double>(direction));
        CHECK(std::abs(decision.probability[0] - e / (e + 1.0 + 1.0 / e)) < 1e-6);
        ++(direction == 0 ? decisions_without : decisions_with);
    }
    CHECK(decisions_with > 20);
    CHECK(decisions_without > 100);
    CHECK(saw_its_own_moment);
}

TEST_CASE("the same 5-minute bars give the same bytes, prepared in time or not") {
    std::vector<Slot> first;
    for (const bool prepares : {true, false}) {
        Rig rig;
        rig.connect();
        for (const BarClose& bar : five_minute_bars(3'000, 2)) {
            live(rig, bar);
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

TEST_CASE("a synergy is journalled behind the bar that completed it and goes to the drop copy") {
    Rig rig;
    SpscRing<Slot> drop_copy;
    REQUIRE(drop_copy.open(1U << 15).is_ok());
    rig.out = std::make_unique<Outputs>(rig.journal, rig.orders, &drop_copy);
    rig.connect();
    for (const BarClose& bar : five_minute_bars(12'000, 1)) live(rig, bar);
    std::size_t copied = 0;
    for (const Slot* slot = drop_copy.front(); slot != nullptr; slot = drop_copy.front()) {
        copied += slot->type() == RecordType::kSynergy;
        drop_copy.pop();
    }
    CHECK(rig.out->drop_copy_lost() == 0);
    CHECK(copied == rig.records<Synergy>(RecordType::kSynergy).size());

    std::int64_t closed_ns = 0;
    for (const Slot& slot : rig.written) {
        if (slot.type() == RecordType::kBarClose) {
            closed_ns = slot.as<BarClose>().start_ts_ns + kFiveNs;
        }
        if (slot.type() != RecordType::kSynergy) continue;
        CHECK(slot.header.receive_ts_ns == closed_ns);
        CHECK(slot.as<Synergy>().ts_ns <= closed_ns);
    }
}

TEST_CASE("bars of 30 minutes alone make no tactical row and no synergy") {
    Rig rig;
    rig.connect();
    for (int i = 0; i < 600; ++i) rig.wave_bar();
    CHECK(rig.desk().tactical.bars() == 0);
    CHECK(rig.records<Synergy>(RecordType::kSynergy).empty());
}

TEST_CASE("profile and MMD are computed where an agent reads them, and nowhere else") {
    struct Case {
        std::uint32_t mask;
        bool has_rule;
    };
    constexpr std::uint32_t kVolume = 1U << kLvnStrength | 1U << kMmdScore;
    for (const Case& row : {Case{kVolume, false}, Case{kVolume, true},
                            Case{1U << kMomentum20 | 1U << kMomentum50, false}}) {
        Settings settings = gm::test::make_settings();
        settings.agents[0].column_mask = row.mask;
        if (row.has_rule) {
            settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
            settings.kernels = {gm::test::kernel_row("rule", KernelKind::kRule, 3)};
        }
        Rig rig(settings);
        rig.connect();
        for (int i = 0; i < 900; ++i) rig.wave_bar();
        const double* const columns = rig.desk().features.row_f64();
        const bool is_read = row.mask == kVolume && !row.has_rule;
        CHECK((columns[kVolumeProfileSkew] != 0.0) == is_read);
        CHECK((columns[kMmdScore] != 0.0) == is_read);
        CHECK(columns[kMomentum20] != 0.0);
    }
}
