// Everything of one instrument in the engine: what it saw, thinks, holds and is about to do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/engine/models.hpp"
#include "gm/engine/policy_health.hpp"
#include "gm/features/strategic.hpp"
#include "gm/features/synergy.hpp"
#include "gm/features/tactical.hpp"
#include "gm/market/market.hpp"
#include "gm/orders/portfolio.hpp"
#include "gm/policy/ensemble.hpp"
#include "gm/policy/tactical_team.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

// Why an order toward the target is sent, how, and the bar that it follows from.
struct OrderCause {
    OrderReason reason = OrderReason::kDecision;
    OrderType type = OrderType::kMarket;
    std::int64_t bar_start_ts_ns = 0;

    void archive(Archive& archive) noexcept { archive(reason, type, bar_start_ts_ns); }
};

// What the strategic decision of a model wants of its tactical team: 1, -1, or 0 for nothing.
struct StandingDirection {
    std::int64_t until_ts_ns = 0;  // bars that end there or later are none of its
    std::int32_t direction = 0;

    void archive(Archive& archive) noexcept { archive(until_ts_ns, direction); }
};

// Stop and target of a position, each sized to it; what one trades, the other gives up. Sizing says
// whether there is one.
struct Bracket {
    struct Leg {
        OrderId id{};             // the last order sent for it; zero: none yet
        bool is_refused = false;  // by gate, send or venue: not asked again before the next close
        std::uint32_t sends = 0;  // since the last close: a venue may refuse each of them

        void archive(Archive& archive) noexcept { archive(id, is_refused, sends); }
    };
    static constexpr std::uint32_t kSendsMax = 3;
    std::array<Leg, 2> legs{};  // stop, target
    std::int64_t stop_ticks = 0;
    std::int64_t target_ticks = 0;
    bool has_stop = false;  // not where the ATR was not known when the position was opened
    bool has_target = false;

    void archive(Archive& archive) noexcept {
        archive(legs, stop_ticks, target_ticks, has_stop, has_target);
    }
};

// How far the preparation for the next bars has come: Engine::prepare_part().
enum class PrepareStage : std::uint8_t {
    kFeatures = 0,
    kShadowEnsemble = 1,
    kShadowTeam = 2,
    kEnsemble = 3,
    kTeam = 4,
    kWarm = 5,  // the live model last: its weights are those that stay in the caches
    kDone = 6,
};

struct Desk {
    Market market;
    StrategicFeatures features;
    TacticalFeatures tactical;
    SynergyDetector synergies;
    std::array<EnsembleState, kModelPlaces> policy{};  // one for each place of a model
    std::vector<TacticalState> team;  // likewise, where two levels decide; else none
    std::array<StandingDirection, kModelPlaces> standing{};
    std::uint32_t strange_rows = 0;  // in a row, by the live model's guard
    PolicyHealth health;             // R20, of the strategic outputs
    PolicyHealth team_health;
    std::uint64_t decided_input = 0;  // input of the last strategic output; 0: none
    std::uint64_t timed_input = 0;    // of the last tactical one
    Position position;
    std::int64_t target_lots = 0;
    std::int64_t held_bars = 0;  // closed 30-minute bars since the fill that opened or turned
    std::uint64_t closed_bars_30m = 0;
    std::uint64_t closed_bars_5m = 0;
    std::uint64_t quarantined = 0;
    std::uint64_t backfilled_bars = 0;              // of the feed's own size
    std::int64_t backfilled_until_ts_ns = kNoTime;  // end of the last of them
    std::int64_t last_bar_start_ts_ns = 0;
    std::int64_t tactical_bar_start_ts_ns = 0;  // of the last closed 5-minute bar; two levels only
    OrderCause exit;                            // why the position shall be left, while must_leave
    OrderCause wish;  // what an open order prevents, while has_wish: toward wish_lots
    std::int64_t wish_lots = 0;
    Bracket bracket;
    KillLevel level = KillLevel::kActive;  // of this instrument alone
    bool must_decide = false;              // a 30-minute bar closed in this step
    bool must_time = false;                // a 5-minute bar closed in this step; two levels only
    bool must_leave = false;
    bool has_wish = false;
    bool must_prepare = false;       // the known part of the next matrix is not computed yet
    bool must_prepare_team = false;  // of the next tactical one
    bool must_warm = false;          // its close is due, and something else was done since
    PrepareStage prepare_stage = PrepareStage::kFeatures;
    std::size_t prepare_piece = 0;  // of the stage
    bool was_ready = false;
    bool is_closing = false;   // flat_at_session_end: no bar after the next one in this session
    bool is_reported = false;  // by the venue, in the report of its books that is under way
    PositionReport venues{};   // what its last report said
    bool is_live = false;      // the live feed has said something good: backfill is over for good

    // Not archived: must_prepare, must_prepare_team, must_warm, prepare_stage, prepare_piece (what
    // was prepared is prepared again).
    void archive(Archive& archive) noexcept {
        archive(market, features, tactical, synergies, policy, team, standing, strange_rows,
                position, target_lots, held_bars, closed_bars_30m, closed_bars_5m, quarantined,
                backfilled_bars, backfilled_until_ts_ns, last_bar_start_ts_ns,
                tactical_bar_start_ts_ns, exit, wish, wish_lots, bracket, level, must_decide,
                must_time, must_leave, has_wish, was_ready, is_closing, is_reported, venues,
                is_live, health, team_health, decided_input, timed_input);
    }
};

}  // namespace gm
