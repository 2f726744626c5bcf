// One agent of either level: its network, the columns that it looks at, its temperature.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/features/schema.hpp"
#include "gm/policy/network.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

inline constexpr std::uint32_t kPolicyContext = 6;
inline constexpr std::uint32_t kAgentErrorsMax = 3;  // in a row
inline constexpr std::size_t kColumnsMax = kStrategicColumns + kKernelColumnsMax;

struct AgentOptions {
    std::string name;
    double weight = 0.0;  // before softmax
    double temperature = 1.0;
    std::uint32_t column_mask = 0;    // bit c: column c, in ascending order; from 13: kernels
    std::uint32_t context_count = 0;  // 0 or kPolicyContext
    Tail tail = Tail::kFloat32;
    std::span<const std::uint8_t> onnx;
};

// What the agents of a level have in common.
struct AgentLevel {
    const char* what;  // for errors: agent, tactical agent
    std::uint32_t rows;
    std::uint32_t columns;
    bool has_context;  // may an agent ask for it?
};

struct Agent {
    Network network;
    double temperature = 1.0;
    std::uint32_t column_count = 0;
    std::uint32_t context_count = 0;
    std::uint8_t columns[kColumnsMax] = {};

    // Cold. kBadArgument, kBadNetwork or what the network is refused for, with the agent's name.
    Failure load(const AgentOptions& options, const AgentLevel& level);
    // False: a logit is no number. probability: kActions, of the first three logits.
    [[nodiscard]] bool to_probability(const float* logits, double* probability) const noexcept;
};

Failure refuse_agent(const AgentOptions& options, const AgentLevel& level, const std::string& why);

}  // namespace gm
