// Promise P14: whatever a policy does, worst-case exposure never exceeds a limit by one lot, under
// any subset of fills, and refused orders count against the throttle.
//
// A few hundred seeds; `make gate-campaign` plays GM_CAMPAIGN_SEEDS of them.
#include <doctest/doctest.h>

#include <cstdlib>

#include "engine/engine_game.hpp"
#include "engine/gate_game.hpp"

namespace gm::test {
namespace {

constexpr int kSeedsDefault = 300;
constexpr int kTurns = 300;
constexpr int kBars = 60;

int seeds() {
    const char* wanted = std::getenv("GM_CAMPAIGN_SEEDS");
    return wanted == nullptr ? kSeedsDefault : std::max(1, std::atoi(wanted));
}

}  // namespace

TEST_CASE("P14: at the gate no adversary gets a limit exceeded") {
    std::int64_t sent = 0;
    for (int seed = 0; seed < seeds(); ++seed) {
        CAPTURE(seed);
        GateGame game(static_cast<std::uint64_t>(seed));
        game.play(kTurns);
        sent += game.sent();
    }
    CHECK(sent > seeds());  // or nothing was tried
    MESSAGE(seeds(), " seeds, ", sent, " orders passed the gate");
}

TEST_CASE("P14: through the engine no adversary gets a limit exceeded") {
    std::int64_t sent = 0;
    std::uint64_t refused = 0;
    std::uint64_t impossible = 0;
    std::uint64_t throttled = 0;  // of floods
    int lies = 0;
    for (int seed = 0; seed < seeds(); ++seed) {
        CAPTURE(seed);
        EngineGame game(static_cast<std::uint64_t>(seed));
        game.play(kBars);
        sent += game.sent();
        for (const std::uint64_t count : game.rig().engine->totals().refusals) refused += count;
        const auto& refusals = game.rig().engine->totals().refusals;
        // The engine asks for what it has decided on, and for no more.
        CHECK(refusals[static_cast<std::size_t>(GateCode::kParentExcess)] == 0);
        impossible += game.rig().engine->totals().bad_transitions;
        lies += game.has_lied() ? 1 : 0;
        if (game.adversary() == Adversary::kFlood) {
            throttled += refusals[static_cast<std::size_t>(GateCode::kRate)];
        }
    }
    CHECK(lies > seeds() / 20);
    CHECK(throttled > 0);
    CHECK(sent > seeds());
    CHECK(refused > 0);
    CHECK(impossible == 0);  // the venue of this game contradicts nobody
    MESSAGE(seeds(), " seeds, ", sent, " orders sent, ", refused, " refused");
}

}  // namespace gm::test
