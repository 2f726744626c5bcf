#include "gm/simulation/faults.hpp"

namespace gm {
namespace {

struct Kind {
    const char* name;
    std::int64_t share_ppm;  // of the worlds that have it
    std::int64_t rate_ppm_max;
};

// Rates of what strikes a message or a reply are per message; of what strikes the machine, per
// turn of the dice (World::kFaultEveryNs), or per start or turn of what it strikes. What halts an
// instrument is rare, or nothing else would be seen.
constexpr std::array<Kind, kWorldFaults> kKinds = {{
    {"none", 0, 0},
    {"lost feed frame", 250'000, 5'000},
    {"repeated feed frame", 250'000, 20'000},
    {"reordered feed frame", 200'000, 5'000},
    {"lost reply", 250'000, 10'000},
    {"repeated reply", 250'000, 30'000},
    {"reordered reply", 200'000, 10'000},
    {"lost order message", 250'000, 20'000},
    {"repeated order message", 60'000, 5'000},
    {"reordered order message", 150'000, 10'000},
    {"slow message", 400'000, 30'000},
    {"disconnect", 400'000, 30'000},
    {"partition", 300'000, 20'000},
    {"late ack", 200'000, 50'000},
    {"lost ack", 150'000, 20'000},
    {"late fill", 100'000, 30'000},
    {"lost fill", 60'000, 5'000},
    {"repeated execution", 250'000, 50'000},
    {"fill after cancel", 150'000, 200'000},
    {"unasked cancel", 250'000, 20'000},
    {"unknown order", 100'000, 20'000},
    {"venue reject", 400'000, 100'000},
    {"venue clock off", 200'000, 1'000'000},
    {"venue restart", 200'000, 10'000},
    {"short write", 100'000, 300},
    {"disk full", 100'000, 300},
    {"sync error", 100'000, 3'000},
    {"torn snapshot", 250'000, 500'000},
    {"lost snapshot", 250'000, 500'000},
    {"disk nearly full", 150'000, 10'000},
    {"process death", 350'000, 12'000},
    {"death in a turn", 350'000, 12'000},
    {"power loss", 150'000, 8'000},
    {"clean restart", 150'000, 5'000},
    {"clock step", 250'000, 20'000},
    {"slow engine thread", 300'000, 200'000},
    {"kill switch", 350'000, 10'000},
    {"kill cleared", 500'000, 100'000},
}};

}  // namespace

const char* describe(WorldFault kind) noexcept {
    const auto at = static_cast<std::size_t>(kind);
    return at < kKinds.size() ? kKinds[at].name : "unknown";
}

void Faults::draw(Random& random, bool has_any) noexcept {
    for (std::size_t i = 0; i < kWorldFaults; ++i) {
        const bool is_on = random.hits(kKinds[i].share_ppm);
        const std::int64_t ppm = 1 + random.below(kKinds[i].rate_ppm_max + 1);
        rates_[i] = is_on && has_any ? ppm : 0;
    }
}

}  // namespace gm
