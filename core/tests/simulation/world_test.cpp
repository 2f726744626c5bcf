// Promise: a world is a function of its seed, and in no world is a promise broken.
#include "gm/simulation/world.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "simulation/world_fixture.hpp"

using namespace gm;
using namespace gm::test;

namespace {

SimulationReport play(const SimulationSettings& settings) {
    SimulationReport report;
    const Failure failure = simulate(settings, report);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    return report;
}

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("a world without faults trades, and all is well at its end") {
    SimulationSettings settings = world_settings(2, 10'000);
    settings.has_faults = false;
    settings.replays = true;
    const SimulationReport report = play(settings);
    CHECK_MESSAGE(report.violation.empty(), report.violation << "\n" << report.trace);
    CHECK(report.orders > 50);
    CHECK(report.fills > 50);
    CHECK(report.starts == 1);
    CHECK_FALSE(report.is_halted);
    CHECK(report.is_replayed);
}

TEST_CASE("the same seed is the same world, another seed another") {
    const SimulationReport first = play(world_settings(4));
    const SimulationReport again = play(world_settings(4));
    const SimulationReport other = play(world_settings(5));
    CHECK(first.hash == again.hash);
    CHECK(first.faults == again.faults);
    CHECK(first.hash != other.hash);
}

TEST_CASE("a question that the venue loses is asked again on a new connection") {
    std::uint64_t resolved = 0;
    for (const std::uint64_t seed : {2, 22, 42}) {  // a rule that turns with each bar
        SimulationSettings settings = world_settings(seed, 2500);
        settings.set_faults = [](Faults& faults) {
            faults = Faults();
            faults.set(WorldFault::kLostOrder, 200'000);
        };
        const SimulationReport report = play(settings);
        CHECK_MESSAGE(report.violation.empty(), seed << ": " << report.violation);
        resolved += report.unknowns_resolved;
    }
    CHECK(resolved > 0);
}

// GM_SIMULATION_SEEDS and GM_SIMULATION_SEED look at more, or at one again.
TEST_CASE("no promise is broken in a hundred worlds") {
    const std::uint64_t from = number_of("GM_SIMULATION_SEED", 1);
    const std::uint64_t count = number_of("GM_SIMULATION_SEEDS", 100);
    const std::uint64_t events = number_of("GM_SIMULATION_EVENTS", 10'000);
    std::array<std::uint64_t, kWorldFaults> faults{};
    for (std::uint64_t seed = from; seed < from + count; ++seed) {
        SimulationSettings settings = world_settings(seed, events);
        settings.replays = seed % 16 == 0;
        const SimulationReport report = play(settings);
        for (std::size_t i = 0; i < kWorldFaults; ++i) faults[i] += report.faults[i];
        CHECK_MESSAGE(report.violation.empty(), "seed " << seed << " event " << report.events
                                                        << ": " << report.violation << "\n"
                                                        << report.trace);
    }
    if (count < 100) return;
    std::size_t missing = 0;  // the rarest need more worlds than these
    for (std::size_t i = 1; i < kWorldFaults; ++i) missing += faults[i] == 0 ? 1 : 0;
    CHECK(missing <= 3);
}
