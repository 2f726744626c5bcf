// Promise: an engine that was restored from a snapshot goes on as the one that was saved, to the
// last byte of everything it writes, wherever it was saved.
#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/bracket_rig.hpp"
#include "engine/listener.hpp"
#include "engine/random_life.hpp"
#include "gm/engine/engine.hpp"

using namespace gm;
using namespace gm::test;

namespace {

bool is_input(const Slot& slot) {
    return slot.header.source != static_cast<std::uint16_t>(Source::kEngine);
}

// Saves at `points` random places and before each of the inputs from record `dense` on; every
// restored engine is told what follows.
void check_every_restored(const RandomLife& life, const Settings& settings, int points,
                          std::size_t dense = SIZE_MAX) {
    const std::vector<Slot>& written = life.written;
    std::vector<std::size_t> inputs;
    for (std::size_t i = 0; i < written.size(); ++i) {
        if (is_input(written[i])) inputs.push_back(i);
    }
    std::mt19937_64 random(7);
    std::vector<std::size_t> stops;
    stops.reserve(inputs.size());
    for (int i = 0; i < points; ++i) stops.push_back(inputs[random() % inputs.size()]);
    std::ranges::copy_if(inputs, std::back_inserter(stops),
                         [&](std::size_t i) { return i >= dense && i < dense + 400; });
    std::ranges::sort(stops);

    Listener first(settings, life.models);
    std::size_t at = 0;
    for (const std::size_t stop : stops) {
        while (at < stop) REQUIRE(first.step(written, at));
        // As far as it happens to be prepared.
        for (std::size_t i = random() % 50; i > 0; --i) (void)first.engine->prepare_part();
        const std::vector<std::uint8_t> saved = first.save();
        Listener second(settings, life.models);
        const Failure failure = second.restore(saved);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        CHECK(second.save() == saved);
        const std::size_t end =
            random() % 4 == 0 ? written.size() : std::min(written.size(), at + 3'000);
        for (std::size_t from = at; from < end;) {
            const std::size_t begin = from;
            REQUIRE_MESSAGE(second.step(written, from), "restored at ", at, ", record ", begin);
            if (begin % 3 == 0) (void)second.engine->prepare_part();
        }
    }
    while (at < written.size()) REQUIRE(first.step(written, at));
}

Settings with_two_instruments(Settings settings) {
    settings.instruments.push_back(settings.instruments[0]);
    std::strcpy(settings.instruments[1].symbol, "ETH-PERP");
    settings.limits.push_back(settings.limits[0]);
    settings.sizing.push_back(settings.sizing[0]);
    return settings;
}

}  // namespace

TEST_CASE("a restored engine goes on byte for byte: brackets, two instruments, kill levels") {
    const Settings settings = with_two_instruments(bracketed(2.0, 3.0, true));
    RandomLife life(settings, 1, 30);
    life.live(500);
    life.kill(KillLevel::kReducing, KillCause::kOrdered, 1);
    life.live(60);
    life.kill(KillLevel::kActive, KillCause::kCleared, 1);
    life.live(500);
    for (int i = 0; i < 200 && life.engine->open_orders() < 2; ++i) life.live(1);
    const std::size_t killed_at = life.written.size();
    life.kill(KillLevel::kKilled, KillCause::kOrdered, kWholeAccount);
    life.live(40);
    life.kill(KillLevel::kHalted, KillCause::kCleared, kWholeAccount);
    life.live(20);
    const EngineTotals& totals = life.engine->totals();
    CHECK(totals.fills > 20);
    CHECK(totals.repeated_fills > 0);
    CHECK(totals.orphans > 0);
    CHECK(totals.gaps > 0);
    CHECK(totals.venue_rejects > 0);
    CHECK_FALSE(life.records<ReplaceOrder>(RecordType::kReplaceOrder).empty());
    CHECK_FALSE(life.records<Replaced>(RecordType::kReplaced).empty());
    CHECK_FALSE(life.records<QueryOrder>(RecordType::kQueryOrder).empty());
    check_every_restored(life, settings, 30, killed_at);
}

TEST_CASE("a restored engine goes on byte for byte: two levels and models that come and go") {
    const Settings settings = two_level_settings(kSaysExecute);
    RandomLife life(settings, 2, 5);
    life.live(1'500);
    life.shadow(1, two_level_settings(kSaysAggressive, 100.0F));
    life.live(200);
    life.command(ModelAction::kPromote, 1, 1);
    life.live(200);
    life.shadow(2, two_level_settings(kSaysExecute, -200.0F));
    life.live(100);
    life.command(ModelAction::kPromote, 2, 2);
    life.live(300);
    life.command(ModelAction::kRollBack, 0, 0);
    life.live(300);
    const EngineTotals& totals = life.engine->totals();
    CHECK(totals.tactical_decisions > 500);
    CHECK(totals.shadow_decisions > 0);
    CHECK(totals.fills > 10);
    CHECK(life.engine->models().live_number() != 0);
    check_every_restored(life, settings, 20);
}

TEST_CASE("a restored engine goes on byte for byte: kernels, one of which is quarantined") {
    Settings settings = make_settings();
    settings.kernels = {kernel_row("alpha", KernelKind::kFeature, 20, 5),
                        kernel_row("beta", KernelKind::kFeature, 30, 30)};
    RandomLife life(settings, 3, 5);
    life.kernel = [&](const KernelCall& call, KernelResult result) {
        result.value = static_cast<double>(call.bar_start_ts_ns % 1'000) / 1'000.0;
        if (call.kernel == 1 && life.engine->totals().decisions > 30) result.value = 1e9;
        return result;
    };
    life.live(1'600);
    CHECK(life.engine->kernels().status(1) == KernelStatus::kOutOfRange);
    CHECK(life.engine->kernels().status(0) == KernelStatus::kOk);
    CHECK(life.engine->totals().fills > 2);
    check_every_restored(life, settings, 20);
}

TEST_CASE("a restored engine goes on byte for byte: limits that are met, books that break, R18") {
    const Settings settings = with_near_limits(with_two_instruments(bracketed(2.0, 3.0, true)));
    RandomLife life(settings, 6, 30);
    life.live(1'500);
    const EngineTotals& totals = life.engine->totals();
    CHECK(totals.fills > 20);
    for (const GateCode code :
         {GateCode::kGross, GateCode::kCredit, GateCode::kRate, GateCode::kRepeatExecution,
          GateCode::kLoss, GateCode::kBackpressure, GateCode::kReconBreak}) {
        std::size_t met = 0;
        for (const Refusal& refusal : life.records<Refusal>(RecordType::kRefusal)) {
            met += refusal.mask >> (static_cast<unsigned>(code) - 1U) & 1U;
        }
        CHECK_MESSAGE(met > 0, "R" << static_cast<int>(code) << " in no order");
    }
    CHECK_FALSE(life.records<RiskTrip>(RecordType::kRiskTrip).empty());
    CHECK_FALSE(life.records<ReconBreak>(RecordType::kReconBreak).empty());
    check_every_restored(life, settings, 40);
}

// What malloc hands out is filled with one byte, then with another.
TEST_CASE("a snapshot has no byte that is not state") {
    const Settings settings = with_two_instruments(bracketed(2.0, 3.0, true));
    RandomLife life(settings, 5, 30);
    life.live(300);
    std::vector<std::uint8_t> saved[2];
    for (int i = 0; i < 2; ++i) {
        mallopt(M_PERTURB, i == 0 ? 0xa5 : 0x3c);
        Listener listener(settings, {});
        for (std::size_t at = 0; at < life.written.size();) {
            REQUIRE(listener.step(life.written, at));
        }
        saved[i] = listener.save();
    }
    mallopt(M_PERTURB, 0);
    CHECK(saved[0] == saved[1]);
}

TEST_CASE("bytes that are no snapshot of this build and these settings are refused") {
    const Settings settings = bracketed();
    RandomLife life(settings, 4, 30);
    life.live(250);
    Listener first(settings, {});
    for (std::size_t at = 0; at < life.written.size();) REQUIRE(first.step(life.written, at));
    const std::vector<std::uint8_t> saved = first.save();
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, saved.size() / 2, saved.size() - 1}) {
        Listener second(settings, {});
        CHECK(second.restore(std::span(saved).first(size)).status == Status::kBadArgument);
    }
    auto longer = saved;
    longer.push_back(0);
    CHECK(Listener(settings, ManyModels{}).restore(longer).status == Status::kBadArgument);
    Listener other(with_two_instruments(settings), {});
    CHECK(other.restore(saved).status == Status::kBadArgument);
    // And without room nothing is saved.
    std::vector<std::uint8_t> small(saved.size() - 1);
    CHECK(first.engine->save(small) == 0);
    CHECK(saved.size() <= first.engine->snapshot_size());
}
