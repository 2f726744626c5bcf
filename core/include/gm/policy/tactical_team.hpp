// Three agents that time an entry on 5-minute bars: fvg, momentum, entry (SPEC §5).
//
// Each sees columns of the tactical matrix, 60 rows oldest first, and gives logits of which the
// first three count. fvg and momentum vote long, neutral or short, entry votes wait, execute or
// aggressive, each for its largest probability; a tie between the largest is neutral, and wait.
// Confidence is that probability. score(direction) = sum of confidence x weight over those that
// vote for it, and entry where it does not wait: it says when, not where to, so it speaks for
// either direction. The weights are those of the synergy that stands, whatever its direction. The
// direction is the one of the larger score that fvg or momentum votes for; none if both are equal.
//
// An agent whose logits are not finite made an error: it takes no part, and the weights of the
// others are scaled to add up to 1. Three errors in a row and it is out. An entry is allowed when
// there is a direction, its score reaches the threshold, and entry took part and does not wait:
// without it nobody could veto. So two agents have spoken, as SPEC wants. Whether the direction is
// the one that stands is not asked here.
//
// Loading is cold. prepare() and decide() are const, allocate nothing, and keep what belongs to one
// instrument in its TacticalState.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/features/schema.hpp"
#include "gm/policy/ensemble.hpp"
#include "gm/policy/network.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

inline constexpr std::size_t kTacticalAgents = 3;
static_assert(kTacticalAgents == kAgentsMax);  // one shape of record for both levels
inline constexpr std::string_view kTeamNames[kTacticalAgents] = {"fvg", "momentum", "entry"};
enum TacticalAgent : std::uint32_t { kFvgAgent = 0, kMomentumAgent = 1, kEntryAgent = 2 };

struct TacticalRules {
    double threshold = 1.0;
    double weights[kSynergyTypes][kTacticalAgents] = {};
};

struct TacticalValues {
    double agent_probability[kTacticalAgents][kActions];  // 0 for an agent that took no part
    double score;                                         // of the direction
    std::int32_t direction;                               // 1, -1; 0: none
    Action votes[2];                                      // fvg, momentum
    EntryVote entry;
    bool allows;          // an entry in that direction
    std::uint8_t agents;  // bit i: agent i took part
};

// The matrix, oldest row first, and how many rows were ever appended to it: no two windows of one
// instrument have the same count.
struct TacticalRows {
    const float* matrix;
    std::int64_t count;
};

// One instrument's.
struct TacticalState {
    PreparedRows prepared[kTacticalAgents];
    std::int64_t prepared_count;  // of the window whose known rows these are
    std::uint8_t prepared_agents;
    std::uint8_t errors_in_row[kTacticalAgents];

    // Not archived: prepared, prepared_count, prepared_agents (made again, same bits).
    void archive(Archive& archive) noexcept { archive(errors_in_row); }
};

// From what agents say to an entry: see above. `values.agents` and `agent_probability` are given.
void count_votes(const TacticalRules& rules, std::uint8_t synergy_type,
                 TacticalValues& values) noexcept;

class TacticalTeam {
 public:
    TacticalTeam() noexcept = default;

    // Cold. Three agents in their order, or none.
    Failure load(std::span<const AgentOptions> agents, const TacticalRules& rules);
    [[nodiscard]] bool is_loaded() const noexcept { return !agents_.empty(); }
    [[nodiscard]] const TacticalRules& rules() const noexcept { return rules_; }

    // Off the critical path, once a row was appended: everything that the rows before the next one
    // decide. In pieces of some microseconds, numbers 0 to prepare_pieces() - 1 in order, nothing
    // else with that scratch between.
    [[nodiscard]] std::size_t prepare_pieces() const noexcept { return pieces_; }
    void prepare_piece(std::size_t piece, TacticalRows rows, PrepareScratch& scratch,
                       TacticalState& state) const noexcept;
    // A decision of one agent for nobody, of what is prepared.
    void warm(std::size_t agent, TacticalRows rows, const TacticalState& state) const noexcept;

    // What was not prepared for these rows is computed here, to the same bits.
    void decide(TacticalRows rows, std::uint8_t synergy_type, TacticalState& state,
                TacticalValues& out) const noexcept;

 private:
    void prepare_agent(std::size_t index, const float* known, TacticalState& state) const noexcept;
    [[nodiscard]] bool ask(std::size_t index, const float* newest, const TacticalState& state,
                           double* probability) const noexcept;

    std::vector<Agent> agents_;
    TacticalRules rules_;
    std::size_t pieces_ = 0;
};

}  // namespace gm
