// What is asked of an agent before it may vote; see agent.hpp.
#include "gm/policy/agent.hpp"

#include <cmath>

#include "gm/policy/softmax.hpp"

namespace gm {
namespace {

constexpr double kTemperatureMin = 1e-3;
constexpr double kTemperatureMax = 1e3;

}  // namespace

Failure refuse_agent(const AgentOptions& options, const AgentLevel& level, const std::string& why) {
    return fail(Status::kBadArgument, std::string(level.what) + " " + options.name + ": " + why);
}

Failure Agent::load(const AgentOptions& options, const AgentLevel& level) {
    if (options.column_mask == 0 || options.column_mask >> level.columns != 0) {
        return refuse_agent(options, level,
                            "column_mask must name columns 0 to " +
                                std::to_string(level.columns - 1) + ": " +
                                std::to_string(options.column_mask));
    }
    const bool is_known = options.context_count == 0 ||
                          (level.has_context && options.context_count == kPolicyContext);
    if (!is_known) {
        return refuse_agent(options, level,
                            std::string("context must be 0") + (level.has_context ? " or 6" : "") +
                                ": " + std::to_string(options.context_count));
    }
    if (!(options.temperature >= kTemperatureMin && options.temperature <= kTemperatureMax)) {
        return refuse_agent(
            options, level,
            "temperature must lie in [0.001, 1000]: " + std::to_string(options.temperature));
    }
    temperature = options.temperature;
    context_count = options.context_count;
    column_count = 0;
    for (std::uint32_t column = 0; column < level.columns; ++column) {
        if ((options.column_mask >> column & 1U) != 0) {
            columns[column_count++] = static_cast<std::uint8_t>(column);
        }
    }
    const std::string who = std::string(level.what) + " " + options.name + ": ";
    Failure failure = network.load(options.onnx, {level.rows, column_count, context_count},
                                   widest_instruction_set(), options.tail);
    if (!failure.is_ok()) return fail(failure.status, who + failure.text);
    if (network.outputs() < kActions) {
        return fail(Status::kBadNetwork,
                    who + std::to_string(network.outputs()) + " outputs, at least 3");
    }
    if (network.gives_probabilities()) {  // they would be divided by a temperature
        return fail(Status::kBadNetwork, who + "ends with a Softmax, must give logits");
    }
    return ok();
}

bool Agent::to_probability(const float* logits, double* probability) const noexcept {
    double values[kActions];
    for (std::size_t k = 0; k < kActions; ++k) {
        if (!std::isfinite(logits[k])) return false;
        values[k] = static_cast<double>(logits[k]);
    }
    softmax(values, kActions, temperature, probability);
    return true;
}

}  // namespace gm
