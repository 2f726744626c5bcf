// Up to three agents and their one decision (SPEC §5).
//
// Each agent sees some columns of the matrix (rows oldest first), then the context, and gives
// logits of which the first three are long, neutral, short; further outputs are auxiliary heads
// and ignored. P = sum of softmax(weights)_i x softmax(logits_i / temperature_i), in double;
// confidence = max P. A tie goes to neutral: the action is long or short only if its probability
// is larger than each of the other two. A decision acts when its confidence reaches the threshold,
// its action is not neutral, and enough agents spoke.
//
// An agent whose logits are not finite made an error: it takes no part in this decision, and the
// weights of the others are their softmax among themselves. Three errors in a row and it is out.
// Fewer than two agents (of two or more configured): no decision acts.
//
// Loading is cold. prepare() and decide() are const, allocate nothing, and keep what belongs to
// one instrument in its EnsembleState.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/features/schema.hpp"
#include "gm/policy/agent.hpp"
#include "gm/policy/network.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

// The strategic matrix, and beside it the columns of user kernels: 48 x 3, same rows; null: none.
struct MatrixRows {
    MatrixRows(const float* of_matrix, const float* of_kernels = nullptr) noexcept
        : matrix(of_matrix), kernels(of_kernels) {}

    const float* matrix;
    const float* kernels;
};

// What the newest bar adds to the matrix: SPEC §5 fixes the order.
struct PolicyContext {
    float synergy_confidence = 0.0F;
    float synergy_direction = 0.0F;
    float volatility_30 = 0.0F;  // column 11 of the newest row
    float hour_sin = 0.0F;       // column 6
    float hour_cos = 0.0F;       // column 7
    float weekday_sixth = 0.0F;  // exchange-local day of the bar start / 6, Monday 0
};
static_assert(sizeof(PolicyContext) == kPolicyContext * sizeof(float));

struct DecisionValues {
    float agent_probability[kAgentsMax][kActions];  // 0 for an agent that took no part
    float probability[kActions];                    // 0 when none took part
    double confidence;                              // max P
    double uncertainty;                             // entropy of P / ln 3
    Action action;
    bool acts;
    std::uint8_t agents;  // bit i: agent i took part
};

// What decide() mixed, for whoever explains a decision. An agent that took no part has share 0.
struct EnsembleVotes {
    float logits[kAgentsMax][kActions];  // as its network gives them
    double shares[kAgentsMax];           // softmax of the weights among those that took part
};

// One instrument's: the known rows' share of every first layer, and who failed how often.
struct EnsembleState {
    PreparedRows prepared[kAgentsMax];
    float oldest_known[kColumnsMax];
    float newest_known[kColumnsMax];
    std::uint8_t errors_in_row[kAgentsMax];
    std::uint8_t prepared_agents;  // bit i: agent i is, for the rows from oldest to newest

    // Not archived: prepared, oldest_known, newest_known, prepared_agents (made again, same bits).
    void archive(Archive& archive) noexcept { archive(errors_in_row); }
};

class Ensemble {
 public:
    Ensemble() noexcept = default;

    // Cold. 0 to kAgentsMax agents; without agents every decision is neutral and does not act.
    Failure load(std::span<const AgentOptions> agents, double threshold);

    // Off the critical path, once a row was appended. known: the kStrategicRows - 1 rows that will
    // stand before the next one, i.e. the matrix without its oldest row. Ends with one decision
    // for nobody, so that weights and code are in the caches when the bar closes.
    void prepare(MatrixRows known, EnsembleState& state) const noexcept;
    // The same in pieces of some microseconds, numbers 0 to prepare_pieces() - 1 in order, nothing
    // else with that scratch between. A decision that comes before the last finds done what is.
    [[nodiscard]] std::size_t prepare_pieces() const noexcept { return pieces_; }
    void prepare_piece(std::size_t piece, MatrixRows known, PrepareScratch& scratch,
                       EnsembleState& state) const noexcept;
    // A decision of one agent for nobody, of what is prepared.
    void warm(std::size_t agent, const EnsembleState& state) const noexcept;

    // matrix: kStrategicRows x kStrategicColumns, the newest row last. If the state was prepared
    // for other rows, or for none, the whole of it is computed here, to the same bits.
    void decide(MatrixRows rows, const PolicyContext& context, EnsembleState& state,
                DecisionValues& out) const noexcept;

    // Cold. decide() once more, and what it mixed.
    void explain(MatrixRows rows, const PolicyContext& context, EnsembleState& state,
                 DecisionValues& out, EnsembleVotes& votes) const noexcept;

    [[nodiscard]] std::size_t agent_count() const noexcept { return agents_.size(); }
    [[nodiscard]] double threshold() const noexcept { return threshold_; }
    // Bit i: agent i made too many errors in a row on this instrument and is no longer asked.
    [[nodiscard]] static std::uint8_t agents_out(const EnsembleState& state) noexcept;

 private:
    Failure add_agent(const AgentOptions& options);
    void gather(std::size_t index, MatrixRows known, float* out) const noexcept;
    static void begin(MatrixRows known, EnsembleState& state) noexcept;
    void prepare_agent(std::size_t index, MatrixRows known, EnsembleState& state) const noexcept;
    // logits: room for kNetworkWidthMax.
    void run_agent(std::size_t index, const float* newest, const PolicyContext& context,
                   const EnsembleState& state, float* logits) const noexcept;
    [[nodiscard]] bool ask(std::size_t index, const float* newest, const PolicyContext& context,
                           const EnsembleState& state, double* probability) const noexcept;

    std::vector<Agent> agents_;
    double threshold_ = 1.0;
    std::size_t pieces_ = 0;
    // Softmax of the weights among the agents of a mask.
    double shares_[std::size_t{1} << kAgentsMax][kAgentsMax] = {};
};

}  // namespace gm
