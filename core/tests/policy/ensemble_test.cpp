// Promise: agents are mixed as SPEC §5 says, the fast path decides as the full one, and an agent
// that fails takes no part.
#include "gm/policy/ensemble.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "policy/onnx_bytes.hpp"

namespace gm {

using namespace test;

namespace {

constexpr std::uint32_t kMlmiColumns = 1U << 0 | 1U << 1 | 1U << 8 | 1U << 9;
constexpr std::uint32_t kNwrqkColumns = 0b111100;
constexpr std::uint32_t kRegimeColumns = 1U << 10 | 1U << 11 | 1U << 12;
constexpr std::size_t kNewest = (kStrategicRows - 1) * kStrategicColumns;

// One Gemm: logits = x W + b, W given as {input, output, weight}.
struct Weight {
    std::size_t input;
    std::size_t output;
    float weight;
};
Bytes gemm(std::uint32_t inputs, const std::vector<Weight>& weights,
           const std::vector<float>& bias = {0, 0, 0}) {
    const auto outputs = static_cast<std::uint32_t>(bias.size());
    std::vector<float> matrix(std::size_t{inputs} * outputs);
    for (const Weight& one : weights) {
        matrix[one.input * outputs + one.output] = one.weight;
    }
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "y")};
    graph.tensors = {tensor("w", {inputs, outputs}, matrix), tensor("b", {outputs}, bias)};
    graph.inputs = {value("x", {0, inputs})};
    graph.outputs = {value("y", {0, outputs})};
    return model(graph);
}

// Logits that do not depend on the input.
Bytes constant(std::uint32_t inputs, const std::vector<float>& logits) {
    return gemm(inputs, {}, logits);
}

AgentOptions agent(const Bytes& file, std::uint32_t columns, double weight = 0.0) {
    return {.name = "a",
            .weight = weight,
            .temperature = 1.0,
            .column_mask = columns,
            .context_count = kPolicyContext,
            .onnx = file};
}

std::unique_ptr<EnsembleState> fresh_state() {
    return std::make_unique<EnsembleState>();
}

std::vector<float> matrix_of(std::uint32_t seed) {
    return Numbers(seed).many(kStrategicValues);
}

}  // namespace

TEST_CASE("two agents worked by hand") {
    // mlmi reads momentum of the newest row: inputs 190 and 191 are columns 8 and 9.
    const Bytes first =
        gemm(198, {{190, 0, 1.5F}, {191, 0, 1.5F}, {190, 2, -1.5F}, {191, 2, -1.5F}});
    const Bytes second = constant(198, {0, std::log(2.0F), 0});
    const AgentOptions agents[] = {agent(first, kMlmiColumns, std::log(3.0)),
                                   agent(second, kNwrqkColumns, 0.0)};
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    std::vector<float> matrix(kStrategicValues);
    matrix[kNewest + 8] = 0.75F;
    matrix[kNewest + 9] = 0.25F;  // logits (1.5, 0, -1.5)
    const auto state = fresh_state();
    DecisionValues out;
    ensemble.decide(matrix.data(), {}, *state, out);
    const double sum = std::exp(1.5) + 1 + std::exp(-1.5);
    const double expected = 0.75 * std::exp(1.5) / sum + 0.25 * 0.25;
    CHECK(out.confidence == doctest::Approx(expected).epsilon(1e-7));
    CHECK(out.probability[0] == doctest::Approx(expected).epsilon(1e-6));
    CHECK(out.probability[1] == doctest::Approx(0.75 / sum + 0.25 * 0.5).epsilon(1e-6));
    CHECK(out.agent_probability[1][1] == 0.5F);
    CHECK(out.action == Action::kLong);
    CHECK(out.acts);
    CHECK(out.agents == 3);
    matrix[kNewest + 8] = -0.75F;
    matrix[kNewest + 9] = -0.25F;
    ensemble.decide(matrix.data(), {}, *state, out);
    CHECK(out.action == Action::kShort);
    CHECK(out.confidence == doctest::Approx(expected).epsilon(1e-7));
}

TEST_CASE("the context follows the rows in the order of the specification") {
    const Bytes file = gemm(
        150, {{144, 0, 1}, {145, 0, 10}, {146, 0, 100}, {147, 1, 1}, {148, 1, 10}, {149, 1, 100}});
    const AgentOptions agents[] = {agent(file, kRegimeColumns)};
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    const auto state = fresh_state();
    DecisionValues out;
    const std::vector<float> matrix(kStrategicValues);
    ensemble.decide(matrix.data(), {0.1F, 0.02F, 0.003F, 0.4F, 0.05F, 0.006F}, *state, out);
    const double first = std::exp(0.1 + 0.2 + 0.3);
    const double second = std::exp(0.4 + 0.5 + 0.6);
    CHECK(out.probability[0] == doctest::Approx(first / (first + second + 1)).epsilon(1e-6));
    CHECK(out.probability[1] == doctest::Approx(second / (first + second + 1)).epsilon(1e-6));
}

TEST_CASE("a temperature divides the logits") {
    const Bytes file = constant(198, {2, 0, 0});
    AgentOptions agents[] = {agent(file, kMlmiColumns)};
    agents[0].temperature = 4.0;
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    const auto state = fresh_state();
    DecisionValues out;
    ensemble.decide(matrix_of(1).data(), {}, *state, out);
    CHECK(out.confidence == doctest::Approx(std::exp(0.5) / (std::exp(0.5) + 2)).epsilon(1e-12));
    CHECK(out.action == Action::kLong);
    CHECK_FALSE(out.acts);  // 0.452 < 0.5
}

TEST_CASE("a tie goes to neutral") {
    const std::vector<std::vector<float>> ties = {{1, 1, 0}, {0, 1, 1}, {1, 0, 1}, {1, 1, 1}};
    for (const std::vector<float>& logits : ties) {
        const Bytes file = constant(198, logits);
        const AgentOptions agents[] = {agent(file, kMlmiColumns)};
        Ensemble ensemble;
        REQUIRE(ensemble.load(agents, 0.1).is_ok());
        const auto state = fresh_state();
        DecisionValues out;
        ensemble.decide(matrix_of(1).data(), {}, *state, out);
        CHECK(out.action == Action::kNeutral);
        CHECK_FALSE(out.acts);
    }
}

TEST_CASE("prepared and unprepared decisions are the same bits") {
    const Bytes files[] = {dense_model({.widths = {198, 256, 128, 64, 3}, .seed = 1}),
                           dense_model({.widths = {198, 256, 128, 64, 3}, .seed = 2}),
                           dense_model({.widths = {150, 256, 128, 64, 3}, .seed = 3})};
    const AgentOptions agents[] = {agent(files[0], kMlmiColumns), agent(files[1], kNwrqkColumns),
                                   agent(files[2], kRegimeColumns)};
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    std::vector<float> rows = Numbers(9).many((200 + kStrategicRows) * kStrategicColumns);
    const auto kept = fresh_state();
    for (std::size_t step = 0; step < 200; ++step) {
        const float* matrix = rows.data() + step * kStrategicColumns;
        const PolicyContext context{0, 0, matrix[kNewest + 11], 0.5F, -0.5F, 0.5F};
        if (step % 3 != 0) {  // else the state is of another window, and must be seen to be
            ensemble.prepare(matrix, *kept);
        }
        const auto fresh = fresh_state();
        DecisionValues fast;
        DecisionValues full;
        ensemble.decide(matrix, context, *kept, fast);
        ensemble.decide(matrix, context, *fresh, full);
        CHECK(std::memcmp(fast.agent_probability, full.agent_probability,
                          sizeof(full.agent_probability)) == 0);
        CHECK(fast.confidence == full.confidence);
        CHECK(fast.action == full.action);
    }
}

TEST_CASE("an agent that fails takes no part, and after three failures it is out") {
    const Bytes sound = constant(198, {3, 0, 0});
    const Bytes broken = gemm(198, {{190, 0, 3e38F}, {191, 0, 3e38F}});
    const AgentOptions agents[] = {agent(sound, kMlmiColumns), agent(sound, kNwrqkColumns),
                                   agent(broken, kMlmiColumns, 1.0)};
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    const auto state = fresh_state();
    std::vector<float> good(kStrategicValues);
    std::vector<float> bad = good;
    bad[kNewest + 8] = 3.0F;  // an infinite logit
    DecisionValues out;
    ensemble.decide(good.data(), {}, *state, out);
    CHECK(out.agents == 7);
    for (int i = 0; i < 2; ++i) {
        ensemble.decide(bad.data(), {}, *state, out);
    }
    CHECK(out.agents == 3);
    CHECK(out.agent_probability[2][0] == 0.0F);
    CHECK(out.confidence == doctest::Approx(std::exp(3.0) / (std::exp(3.0) + 2)).epsilon(1e-12));
    CHECK(out.acts);
    ensemble.decide(good.data(), {}, *state, out);  // a success starts the count anew
    CHECK(out.agents == 7);
    for (int i = 0; i < 3; ++i) {
        ensemble.decide(bad.data(), {}, *state, out);
    }
    CHECK(ensemble.agents_out(*state) == 4);
    ensemble.decide(good.data(), {}, *state, out);
    CHECK(out.agents == 3);
}

TEST_CASE("one agent of two left does not act, one agent of one does") {
    const Bytes sound = constant(198, {9, 0, 0});
    const Bytes broken = gemm(198, {{190, 0, 3e38F}});
    const AgentOptions agents[] = {agent(sound, kMlmiColumns), agent(broken, kMlmiColumns)};
    std::vector<float> bad(kStrategicValues);
    bad[kNewest + 8] = 3.0F;
    Ensemble ensemble;
    DecisionValues out;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    auto state = fresh_state();
    ensemble.decide(bad.data(), {}, *state, out);
    CHECK(out.agents == 1);
    CHECK(out.action == Action::kLong);
    CHECK_FALSE(out.acts);
    REQUIRE(ensemble.load(std::span(agents, 1), 0.5).is_ok());
    state = fresh_state();
    ensemble.decide(bad.data(), {}, *state, out);
    CHECK(out.acts);
    REQUIRE(ensemble.load({}, 0.5).is_ok());
    ensemble.decide(bad.data(), {}, *state, out);
    CHECK(out.agents == 0);
    CHECK(out.action == Action::kNeutral);
    CHECK_FALSE(out.acts);
}

TEST_CASE("auxiliary heads are ignored") {
    const Bytes file = constant(198, {2, 0, 0, 100, -100});
    const AgentOptions agents[] = {agent(file, kMlmiColumns)};
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    const auto state = fresh_state();
    DecisionValues out;
    ensemble.decide(matrix_of(1).data(), {}, *state, out);
    CHECK(out.confidence == doctest::Approx(std::exp(2.0) / (std::exp(2.0) + 2)).epsilon(1e-12));
}

TEST_CASE("what was mixed adds up to the decision, without those that took no part") {
    const Bytes first = constant(198, {2, 0, 1});
    const Bytes second = constant(198, {0, 1, 0});
    const Bytes endless = gemm(198, {{0, 0, std::numeric_limits<float>::max()}}, {0, 0, 0});
    AgentOptions agents[] = {agent(first, kMlmiColumns, 1.0), agent(second, kNwrqkColumns),
                             agent(endless, kMlmiColumns)};
    agents[1].temperature = 2.0;
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    std::vector<float> matrix(kStrategicValues);
    matrix[0] = 4.0F;  // times the largest float: no number
    const auto state = fresh_state();
    DecisionValues out;
    EnsembleVotes votes;
    ensemble.explain(matrix.data(), {}, *state, out, votes);
    CHECK(out.agents == 0b011);
    CHECK(votes.logits[0][0] == 2.0F);
    CHECK(votes.logits[1][1] == 1.0F);
    CHECK_FALSE(std::isfinite(votes.logits[2][0]));
    CHECK(votes.shares[0] == doctest::Approx(std::exp(1.0) / (std::exp(1.0) + 1)).epsilon(1e-12));
    CHECK(votes.shares[0] + votes.shares[1] == doctest::Approx(1.0).epsilon(1e-15));
    CHECK(votes.shares[2] == 0.0);
    const double first_long = std::exp(2.0) / (std::exp(2.0) + 1 + std::exp(1.0));
    const double second_long = 1 / (2 + std::exp(0.5));
    CHECK(out.confidence ==
          doctest::Approx(votes.shares[0] * first_long + votes.shares[1] * second_long)
              .epsilon(1e-12));
}

TEST_CASE("an agent that gives probabilities is refused") {
    Graph graph;
    graph.nodes = {node("MatMul", {"x", "w"}, "h"), node("Softmax", {"h"}, "y")};
    graph.tensors = {tensor("w", {198, 3}, std::vector<float>(594))};
    graph.inputs = {value("x", {0, 198})};
    graph.outputs = {value("y", {0, 3})};
    const Bytes file = model(graph);
    const AgentOptions agents[] = {agent(file, kMlmiColumns)};
    Ensemble ensemble;
    const Failure failure = ensemble.load(agents, 0.5);
    CHECK(failure.status == Status::kBadNetwork);
    CHECK(failure.text == "agent a: ends with a Softmax, must give logits");
}

TEST_CASE("an agent runs with the tail of its options") {
    const Bytes file = dense_model({.widths = {198, 256, 128, 3}, .seed = 5});
    Network narrow;
    REQUIRE(narrow.load(file, {}, widest_instruction_set(), Tail::kBfloat16).is_ok());
    AgentOptions agents[] = {agent(file, kMlmiColumns), agent(file, kMlmiColumns)};
    agents[1].tail = Tail::kBfloat16;
    Ensemble ensemble;
    REQUIRE(ensemble.load(agents, 0.5).is_ok());
    const auto state = fresh_state();
    const std::vector<float> matrix = matrix_of(8);
    DecisionValues out;
    ensemble.decide(matrix.data(), {}, *state, out);
    std::vector<float> input;
    for (std::size_t row = 0; row < kStrategicRows; ++row) {
        for (const std::size_t column : {0, 1, 8, 9}) {
            input.push_back(matrix[row * kStrategicColumns + column]);
        }
    }
    input.resize(198);
    float logits[3];
    narrow.run_full(input.data(), logits);
    double total = 0.0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit));
    for (std::size_t k = 0; k < 3; ++k) {
        const double share = std::exp(static_cast<double>(logits[k])) / total;
        CHECK(static_cast<double>(out.agent_probability[1][k]) == doctest::Approx(share));
        CHECK(out.agent_probability[0][k] != out.agent_probability[1][k]);
    }
}

TEST_CASE("options outside their range are refused with the agent's name") {
    const Bytes file = constant(198, {0, 0, 0});
    const Bytes narrow = constant(198, {0, 0});
    Ensemble ensemble;
    const auto refuses = [&](AgentOptions options) {
        options.name = "odd";
        const Failure failure = ensemble.load(std::span(&options, 1), 0.5);
        CAPTURE(failure.text);
        CHECK_FALSE(failure.is_ok());
        CHECK(failure.text.find("odd") != std::string::npos);
        CHECK(ensemble.agent_count() == 0);
    };
    AgentOptions options = agent(file, 0);
    refuses(options);
    options = agent(file, 1U << 13);
    refuses(options);
    options = agent(file, kRegimeColumns);  // 150 inputs wanted
    refuses(options);
    options = agent(narrow, kMlmiColumns);
    refuses(options);
    options = agent(file, kMlmiColumns);
    options.context_count = 5;
    refuses(options);
    options = agent(file, kMlmiColumns);
    options.temperature = 0.0;
    refuses(options);
    options = agent(file, kMlmiColumns);
    options.tail = static_cast<Tail>(7);
    refuses(options);
    options = agent(file, kMlmiColumns, std::numeric_limits<double>::quiet_NaN());
    refuses(options);
    const AgentOptions good[] = {agent(file, kMlmiColumns)};
    CHECK_FALSE(ensemble.load(good, 0.0).is_ok());
    CHECK_FALSE(ensemble.load(good, std::nan("")).is_ok());
}

}  // namespace gm
