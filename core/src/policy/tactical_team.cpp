// Implements gm/policy/tactical_team.hpp.
#include "gm/policy/tactical_team.hpp"

#include <cmath>
#include <cstring>
#include <string>

#include "gm/policy/softmax.hpp"

namespace gm {

namespace {

constexpr std::size_t kKnownRows = kTacticalRows - 1;
constexpr AgentLevel kLevel{"tactical agent", kTacticalRows, kTacticalColumns, false};
constexpr double kSumTolerance = 1e-6;

Failure check(const TacticalRules& rules) {
    if (!(rules.threshold > 0.0 && rules.threshold <= 1.0)) {
        return fail(Status::kBadArgument,
                    "tactical threshold must lie in (0, 1]: " + std::to_string(rules.threshold));
    }
    for (std::size_t type = 0; type < kSynergyTypes; ++type) {
        double sum = 0.0;
        bool is_share = true;
        for (const double weight : rules.weights[type]) {
            is_share = is_share && weight >= 0.0 && weight <= 1.0;
            sum += weight;
        }
        if (!is_share || !(std::abs(sum - 1.0) <= kSumTolerance)) {
            return fail(Status::kBadArgument,
                        "tactical weights of synergy type " + std::to_string(type) +
                            " must be shares that add up to 1: " + std::to_string(sum));
        }
    }
    return ok();
}

// The largest of three; where it is not alone, `tie`.
std::size_t largest_of(const double* probability, std::size_t tie) noexcept {
    std::size_t best = 0;
    for (std::size_t k = 1; k < kActions; ++k) {
        if (probability[k] > probability[best]) best = k;
    }
    for (std::size_t k = 0; k < kActions; ++k) {
        if (k != best && probability[k] == probability[best]) return tie;
    }
    return best;
}

}  // namespace

void count_votes(const TacticalRules& rules, std::uint8_t synergy_type,
                 TacticalValues& values) noexcept {
    const double* const weights = rules.weights[synergy_type < kSynergyTypes ? synergy_type : 0];
    double spoke_weight = 0.0;
    double long_score = 0.0;
    double short_score = 0.0;
    double entry_score = 0.0;
    values.votes[0] = values.votes[1] = Action::kNeutral;
    values.entry = EntryVote::kWait;
    for (std::size_t a = 0; a < kTacticalAgents; ++a) {
        if ((values.agents >> a & 1U) == 0) continue;
        const double* const probability = values.agent_probability[a];
        spoke_weight += weights[a];
        if (a == kEntryAgent) {
            const std::size_t vote = largest_of(probability, 0);
            values.entry = static_cast<EntryVote>(vote);
            entry_score = vote == 0 ? 0.0 : weights[a] * probability[vote];
            continue;
        }
        const std::size_t vote = largest_of(probability, 1);
        values.votes[a] = static_cast<Action>(vote);
        if (values.votes[a] == Action::kLong) long_score += weights[a] * probability[vote];
        if (values.votes[a] == Action::kShort) short_score += weights[a] * probability[vote];
    }
    values.direction = 0;
    values.score = 0.0;
    if (long_score != short_score && spoke_weight > 0.0) {
        values.direction = long_score > short_score ? 1 : -1;
        const double larger = long_score > short_score ? long_score : short_score;
        values.score = (larger + entry_score) / spoke_weight;
    }
    // Without a direction the score is 0, and the threshold is more.
    values.allows = values.entry != EntryVote::kWait && values.score >= rules.threshold;
}

Failure TacticalTeam::load(std::span<const AgentOptions> agents, const TacticalRules& rules) {
    agents_.clear();
    pieces_ = 0;
    if (agents.empty()) return ok();
    if (agents.size() != kTacticalAgents) {
        return fail(Status::kBadArgument, "tactical agents must be fvg, momentum, entry: " +
                                              std::to_string(agents.size()) + " of them");
    }
    Failure failure = check(rules);
    for (std::size_t i = 0; i < agents.size() && failure.is_ok(); ++i) {
        if (agents[i].name != kTeamNames[i]) {  // what an output means depends on the agent
            failure = refuse_agent(
                agents[i], kLevel,
                "must be " + std::string(kTeamNames[i]) + " at place " + std::to_string(i));
        } else {
            failure = agents_.emplace_back().load(agents[i], kLevel);
        }
    }
    if (!failure.is_ok()) {
        agents_.clear();
        return failure;
    }
    rules_ = rules;
    for (const Agent& agent : agents_) pieces_ += agent.network.pieces();
    return ok();
}

namespace {

// Some columns of the rows before the newest, oldest first.
void gather(const float* rows, const std::uint8_t* columns, std::uint32_t count,
            float* out) noexcept {
    for (std::size_t row = 0; row < kKnownRows; ++row) {
        for (std::uint32_t c = 0; c < count; ++c) {  // at most kTacticalColumns
            *out++ = rows[row * kTacticalColumns + columns[c]];
        }
    }
}

}  // namespace

// known: where the oldest of the rows before the newest lies.
void TacticalTeam::prepare_agent(std::size_t index, const float* known,
                                 TacticalState& state) const noexcept {
    const Agent& agent = agents_[index];
    float gathered[kKnownRows * kTacticalColumns];
    gather(known, agent.columns, agent.column_count, gathered);
    agent.network.prepare(gathered, state.prepared[index]);
    state.prepared_agents |= static_cast<std::uint8_t>(1U << index);
}

// The rows but the oldest are those that will stand before the next one.
void TacticalTeam::prepare_piece(std::size_t piece, TacticalRows rows, PrepareScratch& scratch,
                                 TacticalState& state) const noexcept {
    if (piece == 0) {
        state.prepared_count = rows.count + 1;
        state.prepared_agents = 0;
    }
    for (std::size_t a = 0; a < agents_.size(); ++a) {  // at most kTacticalAgents
        const Agent& agent = agents_[a];
        const std::size_t pieces = agent.network.pieces();
        if (piece >= pieces) {
            piece -= pieces;
            continue;
        }
        float gathered[kKnownRows * kTacticalColumns];
        gather(rows.matrix + kTacticalColumns, agent.columns, agent.column_count, gathered);
        agent.network.prepare_piece(piece, gathered, scratch, state.prepared[a]);
        if (piece + 1 == pieces) state.prepared_agents |= static_cast<std::uint8_t>(1U << a);
        return;
    }
}

void TacticalTeam::warm(std::size_t agent, TacticalRows rows,
                        const TacticalState& state) const noexcept {
    double probability[kActions];
    (void)ask(agent, rows.matrix + kKnownRows * kTacticalColumns, state, probability);
}

bool TacticalTeam::ask(std::size_t index, const float* newest, const TacticalState& state,
                       double* probability) const noexcept {
    const Agent& agent = agents_[index];
    float input[kTacticalColumns];
    for (std::uint32_t c = 0; c < agent.column_count; ++c) {  // at most kTacticalColumns
        input[c] = newest[agent.columns[c]];
    }
    float logits[kNetworkWidthMax];
    agent.network.run_new_row(state.prepared[index], input, logits);
    return agent.to_probability(logits, probability);
}

void TacticalTeam::decide(TacticalRows rows, std::uint8_t synergy_type, TacticalState& state,
                          TacticalValues& out) const noexcept {
    out = {};
    if (state.prepared_count != rows.count) {
        state.prepared_count = rows.count;
        state.prepared_agents = 0;
    }
    const float* const newest = rows.matrix + kKnownRows * kTacticalColumns;
    for (std::size_t a = 0; a < agents_.size(); ++a) {  // at most kTacticalAgents
        std::uint8_t& errors = state.errors_in_row[a];
        if (errors >= kAgentErrorsMax) continue;
        if ((state.prepared_agents >> a & 1U) == 0) prepare_agent(a, rows.matrix, state);
        if (!ask(a, newest, state, out.agent_probability[a])) {
            ++errors;
            continue;
        }
        errors = 0;
        out.agents |= static_cast<std::uint8_t>(1U << a);
    }
    count_votes(rules_, synergy_type, out);
}

}  // namespace gm
