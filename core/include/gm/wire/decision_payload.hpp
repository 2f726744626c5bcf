// The payloads of decisions; like those of payload.hpp, which brings them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

inline constexpr std::size_t kAgentsMax = 3;
inline constexpr std::size_t kActions = 3;
enum class Action : std::uint8_t { kLong = 0, kNeutral = 1, kShort = 2 };

struct Decision {
    std::int64_t bar_start_ts_ns;
    std::uint16_t instrument;
    std::uint16_t
        model;  // that decided: 0 is the settings', the others as kModelCommand names them
    Action action;
    std::uint8_t acts;     // 1: confident enough and not neutral
    std::uint8_t profile;  // Profile of gm/engine/settings.hpp
    std::uint8_t agents;   // bit i: agent i took part
    float agent_probability[kAgentsMax][kActions];
    float probability[kActions];
};

inline constexpr std::size_t kSynergyTypes = 5;  // none, then 1 to 4
// What the third tactical agent says of an entry. Of its votes a tie is kWait.
enum class EntryVote : std::uint8_t { kWait = 0, kExecute = 1, kAggressive = 2 };

// On the close of a 5-minute bar, where two levels decide (gm/policy/tactical_team.hpp).
struct TacticalDecision {
    std::int64_t bar_start_ts_ns;
    std::uint16_t instrument;
    std::uint16_t model;    // as of Decision
    std::int8_t direction;  // that the votes are for: 1, -1; 0: none
    std::int8_t standing;   // that the strategic decision of the same model gives: 1, -1, 0
    Action fvg;             // votes; kNeutral also of an agent that took no part
    Action momentum;
    EntryVote entry;            // kWait also of an agent that took no part
    std::uint8_t agents;        // bit i: agent i took part: fvg, momentum, entry
    std::uint8_t synergy_type;  // 1 to 4, which weights counted; 0: none stands
    std::uint8_t enters;        // 1: sure enough, not vetoed, and as the standing direction
    float score;                // of the direction; 0 without one
    float agent_probability[kAgentsMax][kActions];
    std::uint8_t reserved[4];
};

static_assert(sizeof(Decision) == 64 && offsetof(Decision, probability) == 52);
static_assert(offsetof(Decision, model) == 10);
static_assert(sizeof(TacticalDecision) == 64 && offsetof(TacticalDecision, score) == 20);

}  // namespace gm
