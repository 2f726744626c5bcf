// One market of a training batch: a session that plays stretches of tapes, decision by decision.
#pragma once

#include <cstdint>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/session/marked_tape.hpp"
#include "gm/session/reward.hpp"
#include "gm/session/session.hpp"

namespace gm {

struct EpisodeStep {
    double reward = 0.0;
    double equity_micros = 0.0;  // since the episode began
    double episode_return = 0.0;
    bool is_terminated = false;  // ruined, or the engine trades no more
    bool is_truncated = false;   // episode_bars decisions were made
};

// What an agent sees. position: signed, as a share of the most lots that the gate allows.
struct ObservationRow {
    float* matrix;   // kStrategicRows x kStrategicColumns
    float* context;  // kPolicyContext
    float* position;
};

// A finished episode as a backtest leaves it: what it did, and where to find it again.
struct EpisodeRecord {
    std::vector<Slot> records;  // from its mark on: bars before its first decision are watched only
    std::vector<LedgerOrder> orders;
    std::vector<Execution> executions;
    std::uint64_t tape = 0;
    std::uint64_t rows_played = 0;
    std::uint64_t venue_seed = 0;
    std::int64_t first_bar_start_ts_ns = 0;  // of the bar of its first decision
};

class Episode {
 public:
    // Cold. Any tape of the batch: it sets the session up.
    Failure open(const Settings& settings, const VenueSettings& venue,
                 std::span<const TapeRow> tape, std::uint64_t bars, bool keeps_record);

    // Begins anew at decision `at` of a tape, which must outlive the episode. Allocates nothing.
    Failure begin(const MarkedTape& tape, std::uint64_t tape_number, std::uint64_t at,
                  std::uint64_t seed);
    // The waiting decision becomes long (1), hold (0) or short (-1); plays to the next one.
    Failure step(int direction, const RewardSettings& reward, EpisodeStep& out);
    void observe(const ObservationRow& out) const noexcept;

    // Cold. Of this episode so far.
    [[nodiscard]] EpisodeRecord record();

 private:
    [[nodiscard]] const Desk& desk() const noexcept { return session_.engine().desks()[0]; }
    [[nodiscard]] double equity_micros() const noexcept;
    [[nodiscard]] bool is_halted() const noexcept;

    Session session_;
    RewardMeter meter_;
    std::int64_t tick_value_micros_ = 0;
    std::int64_t target_lots_ = 0;
    std::int64_t position_lots_max_ = 0;
    const MarkedTape* tape_ = nullptr;
    std::uint64_t tape_number_ = 0;
    std::uint64_t bars_ = 0;
    std::uint64_t at_ = 0;   // decision of the tape that waits
    std::uint64_t end_ = 0;  // decision that the episode does not make any more
    std::uint64_t venue_seed_ = 0;
    std::int64_t first_bar_start_ts_ns_ = 0;
};

}  // namespace gm
