// Agents asked one after another, their votes mixed in double.
#include "gm/policy/ensemble.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "gm/base/elementary.hpp"
#include "gm/policy/softmax.hpp"

namespace gm {

namespace {

constexpr std::size_t kKnownRows = kStrategicRows - 1;
constexpr double kWeightMax = 100.0;

// The same bits, also of zeros and of what is no number.
bool is_same_row(const float* left, const float* right) noexcept {
    std::uint32_t apart = 0;
    for (std::size_t c = 0; c < kColumnsMax; ++c) {
        apart |= std::bit_cast<std::uint32_t>(left[c]) ^ std::bit_cast<std::uint32_t>(right[c]);
    }
    return apart == 0;
}

// Row `row` with what kernels add to it, 0 where there is none.
void copy_row(const MatrixRows& rows, std::size_t row, float* out) noexcept {
    std::memcpy(out, rows.matrix + row * kStrategicColumns, kStrategicColumns * sizeof(float));
    float* added = out + kStrategicColumns;
    std::memset(added, 0, kKernelColumnsMax * sizeof(float));
    if (rows.kernels == nullptr) return;
    std::memcpy(added, rows.kernels + row * kKernelColumnsMax, kKernelColumnsMax * sizeof(float));
}

void choose(const double* probability, DecisionValues& out) noexcept {
    const double long_share = probability[0];
    const double neutral = probability[1];
    const double short_share = probability[2];
    out.action = Action::kNeutral;
    out.confidence = neutral;
    if (long_share > neutral && long_share > short_share) {
        out.action = Action::kLong;
        out.confidence = long_share;
    } else if (short_share > neutral) {
        out.action = short_share > long_share ? Action::kShort : Action::kNeutral;
        out.confidence = short_share;  // also of a tie between long and short
    }
    double entropy = 0.0;
    for (std::size_t k = 0; k < kActions; ++k) {
        if (probability[k] > 0.0) {
            entropy -= probability[k] * elementary::log(probability[k]);
        }
    }
    constexpr double kLogOfThree = 1.0986122886681098;
    out.uncertainty = entropy / kLogOfThree;
}

}  // namespace

Failure Ensemble::add_agent(const AgentOptions& options) {
    constexpr AgentLevel kLevel{"agent", kStrategicRows, kColumnsMax, true};
    if (!(std::abs(options.weight) <= kWeightMax)) {
        return refuse_agent(options, kLevel,
                            "weight must lie in [-100, 100]: " + std::to_string(options.weight));
    }
    Agent agent;
    Failure failure = agent.load(options, kLevel);
    if (failure.is_ok()) agents_.push_back(std::move(agent));
    return failure;
}

Failure Ensemble::load(std::span<const AgentOptions> agents, double threshold) {
    agents_.clear();
    if (agents.size() > kAgentsMax) {
        return fail(Status::kBadArgument, "agents must be at most " + std::to_string(kAgentsMax) +
                                              ": " + std::to_string(agents.size()));
    }
    if (!(threshold > 0.0 && threshold <= 1.0)) {
        return fail(Status::kBadArgument,
                    "threshold must lie in (0, 1]: " + std::to_string(threshold));
    }
    threshold_ = threshold;
    pieces_ = 0;
    for (const AgentOptions& options : agents) {
        Failure failure = add_agent(options);
        if (!failure.is_ok()) {
            agents_.clear();
            return failure;
        }
    }
    for (const Agent& agent : agents_) pieces_ += agent.network.pieces();
    for (std::size_t mask = 1; mask < std::size_t{1} << agents.size(); ++mask) {
        double weights[kAgentsMax];
        double shares[kAgentsMax];
        std::size_t count = 0;
        for (std::size_t i = 0; i < agents.size(); ++i) {
            if ((mask >> i & 1U) != 0) {
                weights[count++] = agents[i].weight;
            }
        }
        softmax(weights, count, 1.0, shares);
        count = 0;
        for (std::size_t i = 0; i < agents.size(); ++i) {
            shares_[mask][i] = (mask >> i & 1U) != 0 ? shares[count++] : 0.0;
        }
    }
    return ok();
}

// The agent's columns of the known rows, oldest first.
void Ensemble::gather(std::size_t index, MatrixRows known, float* out) const noexcept {
    const Agent& agent = agents_[index];
    for (std::size_t row = 0; row < kKnownRows; ++row) {
        float whole[kColumnsMax];
        copy_row(known, row, whole);
        for (std::size_t c = 0; c < agent.column_count; ++c) {  // at most 16
            *out++ = whole[agent.columns[c]];
        }
    }
}

void Ensemble::prepare_agent(std::size_t index, MatrixRows known,
                             EnsembleState& state) const noexcept {
    float gathered[kKnownRows * kColumnsMax];
    gather(index, known, gathered);
    agents_[index].network.prepare(gathered, state.prepared[index]);
    state.prepared_agents |= static_cast<std::uint8_t>(1U << index);
}

void Ensemble::begin(MatrixRows known, EnsembleState& state) noexcept {
    copy_row(known, 0, state.oldest_known);
    copy_row(known, kKnownRows - 1, state.newest_known);
    state.prepared_agents = 0;
}

void Ensemble::prepare_piece(std::size_t piece, MatrixRows known, PrepareScratch& scratch,
                             EnsembleState& state) const noexcept {
    if (piece == 0) begin(known, state);
    for (std::size_t a = 0; a < agents_.size(); ++a) {  // at most kAgentsMax
        const std::size_t pieces = agents_[a].network.pieces();
        if (piece >= pieces) {
            piece -= pieces;
            continue;
        }
        float gathered[kKnownRows * kColumnsMax];
        gather(a, known, gathered);
        agents_[a].network.prepare_piece(piece, gathered, scratch, state.prepared[a]);
        if (piece + 1 == pieces) state.prepared_agents |= static_cast<std::uint8_t>(1U << a);
        return;
    }
}

void Ensemble::warm(std::size_t agent, const EnsembleState& state) const noexcept {
    double probability[kActions];
    (void)ask(agent, state.newest_known, PolicyContext{}, state, probability);
}

void Ensemble::prepare(MatrixRows known, EnsembleState& state) const noexcept {
    PrepareScratch scratch;  // what is read was written
    for (std::size_t piece = 0; piece < pieces_; ++piece) {
        prepare_piece(piece, known, scratch, state);
    }
    for (std::size_t agent = 0; agent < agents_.size(); ++agent) warm(agent, state);
}

void Ensemble::run_agent(std::size_t index, const float* newest, const PolicyContext& context,
                         const EnsembleState& state, float* logits) const noexcept {
    const Agent& agent = agents_[index];
    float input[kColumnsMax + kPolicyContext];
    for (std::size_t c = 0; c < agent.column_count; ++c) {  // at most 16
        input[c] = newest[agent.columns[c]];
    }
    std::memcpy(input + agent.column_count, &context, agent.context_count * sizeof(float));
    agent.network.run_new_row(state.prepared[index], input, logits);
}

bool Ensemble::ask(std::size_t index, const float* newest, const PolicyContext& context,
                   const EnsembleState& state, double* probability) const noexcept {
    float logits[kNetworkWidthMax];
    run_agent(index, newest, context, state, logits);
    return agents_[index].to_probability(logits, probability);
}

void Ensemble::decide(MatrixRows rows, const PolicyContext& context, EnsembleState& state,
                      DecisionValues& out) const noexcept {
    out = {};
    float oldest_known[kColumnsMax];
    float newest_known[kColumnsMax];
    float newest[kColumnsMax];
    copy_row(rows, 0, oldest_known);
    copy_row(rows, kKnownRows - 1, newest_known);
    copy_row(rows, kKnownRows, newest);
    if (!is_same_row(state.oldest_known, oldest_known) ||
        !is_same_row(state.newest_known, newest_known)) {
        begin(rows, state);
    }
    double votes[kAgentsMax][kActions] = {};
    unsigned agents = 0;
    for (std::size_t a = 0; a < agents_.size(); ++a) {  // at most kAgentsMax
        std::uint8_t& errors = state.errors_in_row[a];
        if (errors >= kAgentErrorsMax) {
            continue;
        }
        if ((state.prepared_agents >> a & 1U) == 0) {
            prepare_agent(a, rows, state);
        }
        if (!ask(a, newest, context, state, votes[a])) {
            ++errors;
            continue;
        }
        errors = 0;
        agents |= 1U << a;
    }
    out.agents = static_cast<std::uint8_t>(agents);
    double probability[kActions] = {};
    for (std::size_t a = 0; a < agents_.size(); ++a) {
        if ((agents >> a & 1U) == 0) {
            continue;
        }
        for (std::size_t k = 0; k < kActions; ++k) {
            probability[k] += shares_[agents][a] * votes[a][k];
            out.agent_probability[a][k] = static_cast<float>(votes[a][k]);
        }
    }
    for (std::size_t k = 0; k < kActions; ++k) {
        out.probability[k] = static_cast<float>(probability[k]);
    }
    choose(probability, out);
    const std::size_t quorum = agents_.size() < 2 ? 1 : 2;
    const auto spoke = static_cast<std::size_t>(std::popcount(agents));
    out.acts = spoke >= quorum && out.action != Action::kNeutral && out.confidence >= threshold_;
}

void Ensemble::explain(MatrixRows rows, const PolicyContext& context, EnsembleState& state,
                       DecisionValues& out, EnsembleVotes& votes) const noexcept {
    decide(rows, context, state, out);
    votes = {};
    float newest[kColumnsMax];
    copy_row(rows, kKnownRows, newest);
    for (std::size_t a = 0; a < agents_.size(); ++a) {  // at most kAgentsMax
        if ((state.prepared_agents >> a & 1U) == 0) prepare_agent(a, rows, state);  // not asked
        float logits[kNetworkWidthMax];
        run_agent(a, newest, context, state, logits);
        std::memcpy(votes.logits[a], logits, sizeof votes.logits[a]);
        votes.shares[a] = shares_[out.agents][a];
    }
}

std::uint8_t Ensemble::agents_out(const EnsembleState& state) noexcept {
    unsigned mask = 0;
    for (std::size_t a = 0; a < kAgentsMax; ++a) {
        if (state.errors_in_row[a] >= kAgentErrorsMax) {
            mask |= 1U << a;
        }
    }
    return static_cast<std::uint8_t>(mask);
}

}  // namespace gm
