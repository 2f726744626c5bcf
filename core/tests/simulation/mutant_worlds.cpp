// Promise: a core with a planted fault breaks a promise in some world, and the judge sees which.
//
// One program a fault: the source that holds it is compiled with it, ahead of the one in the
// archive. Found is what the judge calls by the name of that promise, and nothing else. It stops at
// the first world that finds the fault; GM_SIMULATION_SEEDS counts them.
#include <cstdio>
#include <cstdlib>

#include "simulation/world_fixture.hpp"

using namespace gm;
using namespace gm::test;

TEST_CASE("the worlds of a core with a fault") {
    const char* text = std::getenv("GM_SIMULATION_SEEDS");
    const std::uint64_t seeds = text == nullptr ? 400 : std::strtoull(text, nullptr, 10);
    const std::string promise = std::string(GM_MUTANT_NAME) + ":";
    std::uint64_t found = 0;
    std::uint64_t others = 0;
    std::uint64_t kills = 0;
    std::string first;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        SimulationReport report;
        const Failure failure = simulate(world_settings(seed, 10'000), report);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        kills += report.faults[static_cast<std::size_t>(WorldFault::kKillSwitch)];
        if (report.violation.empty()) continue;
        if (!report.violation.starts_with(promise)) {
            ++others;
            continue;
        }
        ++found;
        if (first.empty()) first = "seed " + std::to_string(seed) + ": " + report.violation;
        if (text == nullptr) break;
    }
    std::printf("%s found in %llu of %llu worlds (%llu kills, %llu other violations); %s\n",
                GM_MUTANT_NAME, static_cast<unsigned long long>(found),
                static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(kills),
                static_cast<unsigned long long>(others), first.c_str());
}
