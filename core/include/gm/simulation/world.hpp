// One simulated world: the product's engine process and venue on one thread, one clock, one seed.
//
// Real: Core with everything in it (io loop, session, runner, engine, kill switch, journal ring,
// drain, segments, recovery), VenueServer and Venue. Replaced: the clock (times are handed in), the
// network (SimulatedNetwork under the same table of functions), the disk's failures (SimulatedDisk
// under the journal's hook; files lie in memory), user kernels (functions of this program instead
// of a library) and the threads (turns, drawn from the seed). The database is not in it: the
// recorder reads the journal and nothing of it comes back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gm/runtime/core.hpp"
#include "gm/runtime/venue_server.hpp"
#include "gm/simulation/disk.hpp"
#include "gm/simulation/judge.hpp"
#include "gm/simulation/market.hpp"
#include "gm/simulation/network.hpp"

namespace gm {

struct SimulationSettings {
    std::uint64_t seed = 1;
    std::uint64_t events = 10'000;
    std::string directory;  // on tmpfs; removed before and after
    std::vector<std::uint8_t> settings_block;
    std::vector<TapeRow> tape;  // empty: a synthetic one
    Promises promises;
    bool has_faults = true;
    bool has_tight_limits = true;  // some, drawn from the seed; else those of the block
    bool traces = false;           // report.trace also without a violation
    bool replays = false;          // P12: the journal is replayed at the end and compared
    // For unit tests: what the world is to have instead of what the seed draws.
    std::function<void(Faults&)> set_faults;
};

struct SimulationReport {
    std::uint64_t seed = 0;
    std::uint64_t events = 0;
    std::uint64_t hash = 0;  // of every event and every record
    std::array<std::uint64_t, kWorldFaults> faults{};
    std::uint64_t starts = 0;
    std::uint64_t snapshot_starts = 0;  // that went on from a snapshot
    std::uint64_t failed_starts = 0;
    std::uint64_t orders = 0;  // that came to the venue
    std::uint64_t fills = 0;
    std::uint64_t unknowns_resolved = 0;
    std::uint64_t records = 0;
    std::array<std::uint64_t, LimitAccount::kCodes> codes{};  // refusals and trips, by GateCode
    bool is_halted = false;                                   // at the end
    bool is_replayed = false;
    std::string violation;  // empty: none
    std::string trace;      // of a violation: the last events
    std::string failure;    // the last that stopped a core
};

// Plays a world to its end. The failure is of the simulation itself, not of what it found.
Failure simulate(const SimulationSettings& settings, SimulationReport& report);

}  // namespace gm
