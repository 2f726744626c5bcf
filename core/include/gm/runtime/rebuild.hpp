// One decision of a run made again from its directory, with all that went into it.
//
// The journal is replayed through the engine up to the step of the decision: matrix, context and
// logits are those of the engine itself, and every output before it was compared byte for byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/engine/models.hpp"
#include "gm/engine/settings.hpp"
#include "gm/features/schema.hpp"
#include "gm/policy/ensemble.hpp"
#include "gm/wire/record.hpp"

namespace gm {

struct RebuiltDecision {
    Slot journalled{};  // kDecision or kShadowDecision
    Slot made{};        // by the replay; where it is another, nothing below is filled
    bool is_equal = false;
    float matrix[kStrategicValues] = {};                     // oldest row first
    float kernels[kStrategicRows * kKernelColumnsMax] = {};  // columns 13 to 15
    PolicyContext context;
    DecisionValues values{};  // as the ensemble gives them once more
    EnsembleVotes votes{};    // zero where a rule decided
    double threshold = 0.0;   // the rest is of the model that decided
    Sha256Digest model_sha256{};
    std::vector<AgentSettings> agents;  // none where a rule decided
    std::vector<std::vector<std::uint8_t>> onnx;
    std::int64_t size_lots = 0;  // of the target of a decision that acts
};

// Cold. `sequence`: journal sequence of the decision. kBadArgument: that record is none.
// kReplayDiverged: the journal cannot be derived again up to there.
Failure rebuild_decision(const std::string& run_dir, std::uint64_t sequence, RebuiltDecision& out);

}  // namespace gm
