// Promise: actions decide what the ensemble decides when each agent is certain of its action.
#include "gm/session/votes.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "gm/policy/ensemble.hpp"
#include "policy/onnx_bytes.hpp"

namespace {

using namespace gm;
using namespace gm::test;

// Logits so far apart that softmax gives exactly 1 and 0.
Bytes certain(std::size_t action) {
    std::vector<float> bias(kActions, 0.0F);
    bias[action] = 1000.0F;
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "y")};
    graph.tensors = {tensor("w", {48, 3}, std::vector<float>(48 * 3, 0.0F)),
                     tensor("b", {3}, bias)};
    graph.inputs = {value("x", {0, 48})};
    graph.outputs = {value("y", {0, 3})};
    return model(graph);
}

int ensemble_direction(const std::vector<double>& weights, double threshold,
                       const std::vector<std::int64_t>& actions) {
    std::vector<Bytes> files;
    for (const std::int64_t action : actions)
        files.push_back(certain(static_cast<std::size_t>(action)));
    std::vector<AgentOptions> agents;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        agents.push_back({.name = "a", .weight = weights[i], .column_mask = 1, .onnx = files[i]});
    }
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, threshold).is_ok());
    const std::vector<float> matrix(kStrategicValues, 0.0F);
    const auto state = std::make_unique<EnsembleState>();
    DecisionValues out;
    ensemble.decide(matrix.data(), {}, *state, out);
    return out.acts ? 1 - static_cast<int>(out.action) : 0;
}

}  // namespace

TEST_CASE("two of three that agree act, and nothing else does") {
    Votes votes;
    const double weights[] = {0.0, 0.0, 0.0};
    REQUIRE(votes.open(weights, 0.65).is_ok());
    const auto direction = [&](std::int64_t a, std::int64_t b, std::int64_t c) {
        const std::int64_t actions[] = {a, b, c};
        return votes.direction(actions);
    };
    CHECK(direction(0, 0, 0) == 1);
    CHECK(direction(0, 1, 0) == 1);
    CHECK(direction(2, 0, 2) == -1);
    CHECK(direction(1, 1, 0) == 0);
    CHECK(direction(0, 1, 2) == 0);
    CHECK(direction(1, 1, 1) == 0);
}

TEST_CASE("every combination decides as the ensemble does") {
    const std::vector<std::vector<double>> sets = {
        {0.0, 0.0, 0.0}, {1.0, 0.0, -1.0}, {3.0, 0.1, 0.2}, {0.5, 0.5}, {-0.7, 0.3}, {0.0}};
    for (const auto& weights : sets) {
        // 2/3 lies beside the share of two equal agents of three; 0.5 is a tie of two.
        for (const double threshold : {0.3, 0.5, 0.65, 2.0 / 3.0, 0.7, 1.0}) {
            Votes votes;
            REQUIRE(votes.open(weights, threshold).is_ok());
            std::size_t combinations = 1;
            for (std::size_t i = 0; i < weights.size(); ++i) combinations *= kActions;
            for (std::size_t place = 0; place < combinations; ++place) {
                std::vector<std::int64_t> actions;
                for (std::size_t i = 0, rest = place; i < weights.size(); ++i, rest /= kActions) {
                    actions.push_back(static_cast<std::int64_t>(rest % kActions));
                }
                CAPTURE(threshold);
                CAPTURE(place);
                CHECK(votes.direction(actions.data()) ==
                      ensemble_direction(weights, threshold, actions));
            }
        }
    }
}

TEST_CASE("what cannot vote is refused with what is allowed") {
    Votes votes;
    CHECK(votes.open({}, 0.65).text == "agents must be 1 to 3: 0");
    const double weights[] = {0.0};
    CHECK(votes.open(weights, 0.0).text == "threshold must lie in (0, 1]: 0.000000");
    CHECK_FALSE(votes.open(weights, 1.5).is_ok());
}
