// Promise: a network gives the logits of its file, the same bits by every path and instruction set.
#include "gm/policy/network.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "policy/onnx_bytes.hpp"
#include "sanitized.hpp"

namespace gm {

using namespace test;

namespace {

constexpr InstructionSet kSets[] = {InstructionSet::kScalar, InstructionSet::kAvx2,
                                    InstructionSet::kAvx512};
constexpr Tail kTails[] = {Tail::kFloat32, Tail::kBfloat16};

// The slow reference: one chain a neuron, no padding, no skipping; LayerNorm in double.
std::vector<float> reference(const Bytes& file, const float* input) {
    NetworkGraph graph;
    REQUIRE(read_onnx(file, graph).is_ok());
    std::vector<float> x(input, input + graph.inputs);
    for (const NetworkOperator& step : graph.operators) {
        std::vector<float> y(step.outputs);
        double mean = 0.0;
        double variance = 0.0;
        for (const float value : x) {
            mean += static_cast<double>(value) / step.inputs;
        }
        for (const float value : x) {
            const double away = static_cast<double>(value) - mean;
            variance += away * away / step.inputs;
        }
        for (std::size_t o = 0; o < step.outputs; ++o) {
            switch (step.kind) {
                case OperatorKind::kDense:
                    y[o] = step.bias[o];
                    for (std::size_t i = 0; i < step.inputs; ++i) {
                        y[o] = std::fma(x[i], step.weights[i * step.outputs + o], y[o]);
                    }
                    break;
                case OperatorKind::kRelu: y[o] = x[o] > 0.0F ? x[o] : 0.0F; break;
                case OperatorKind::kTanh:
                    y[o] = static_cast<float>(std::tanh(static_cast<double>(x[o])));
                    break;
                case OperatorKind::kLayerNorm:
                    y[o] = static_cast<float>((static_cast<double>(x[o]) - mean) /
                                                  std::sqrt(variance + step.epsilon) *
                                                  static_cast<double>(step.weights[o]) +
                                              static_cast<double>(step.bias[o]));
                    break;
            }
        }
        x = y;
    }
    return x;
}

bool is_same(const std::vector<float>& left, const std::vector<float>& right) {
    return left.size() == right.size() &&
           std::memcmp(left.data(), right.data(), left.size() * sizeof(float)) == 0;
}

void check_close(const std::vector<float>& left, const std::vector<float>& right) {
    REQUIRE(left.size() == right.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
        CHECK(left[i] == doctest::Approx(right[i]).epsilon(2e-5));
    }
}

}  // namespace

TEST_CASE("a network worked by hand gives its logits") {
    // h = relu(x W + b), y = h V + c
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "a"), node("Relu", {"a"}, "h"),
                   node("Gemm", {"h", "v", "c"}, "y")};
    graph.tensors = {tensor("w", {2, 2}, {1, -1, 2, 0.5F}), tensor("b", {2}, {0.25F, 0}),
                     tensor("v", {2, 3}, {1, 2, 3, 4, 5, 6}), tensor("c", {3}, {0.5F, 0, -1})};
    graph.inputs = {value("x", {0, 2})};
    graph.outputs = {value("y", {0, 3})};
    const Bytes file = model(graph);
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) == nullptr) {
            continue;
        }
        Network network;
        REQUIRE(network.load(file, {}, set).is_ok());
        const float input[2] = {3, 2};  // a = (7.25, -2), h = (7.25, 0)
        float logits[3];
        network.run_full(input, logits);
        CHECK(logits[0] == 7.75F);
        CHECK(logits[1] == 14.5F);
        CHECK(logits[2] == 20.75F);
    }
}

TEST_CASE("skipping inactive neurons gives the bits of the chain that reads them all") {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        const Bytes file = dense_model({.widths = {37, 100, 33, 18, 5}, .seed = seed});
        Network network;
        REQUIRE(network.load(file, {}).is_ok());
        Numbers numbers(seed);
        for (int round = 0; round < 50; ++round) {
            const std::vector<float> input = numbers.many(37);
            std::vector<float> logits(5);
            network.run_full(input.data(), logits.data());
            CHECK(is_same(logits, reference(file, input.data())));
        }
    }
}

TEST_CASE("LayerNormalization in either order agrees with the reference") {
    for (const bool norm_comes_first : {false, true}) {
        for (std::uint32_t seed = 1; seed <= 12; ++seed) {
            const float shifts[] = {-0.5F, 0.0F, 1.0F, 3.0F};  // few to nearly all neurons active
            const Bytes file = dense_model({.widths = {198, 256, 128, 64, 3},
                                            .seed = seed,
                                            .has_norm = true,
                                            .norm_comes_first = norm_comes_first,
                                            .bias_shift = shifts[seed % 4]});
            Network network;
            REQUIRE(network.load(file, {48, 4, 6}).is_ok());
            const std::vector<float> input = Numbers(seed).many(198);
            std::vector<float> logits(3);
            network.run_full(input.data(), logits.data());
            check_close(logits, reference(file, input.data()));
        }
    }
}

TEST_CASE("Tanh, a trailing ReLU, and a norm of odd width agree with the reference") {
    Numbers numbers(5);
    Graph graph;
    graph.nodes = {node("MatMul", {"x", "w"}, "a"),
                   node("Tanh", {"a"}, "t"),
                   node("LayerNormalization", {"t", "g"}, "n", {float_attribute("epsilon", 0.01F)}),
                   node("Gemm", {"n", "v"}, "u"),
                   node("Relu", {"u"}, "r"),
                   node("LayerNormalization", {"r", "k", "l"}, "m"),
                   node("Relu", {"m"}, "y")};
    graph.tensors = {tensor("w", {9, 21}, numbers.many(189)), tensor("g", {21}, numbers.many(21)),
                     tensor("v", {21, 19}, numbers.many(399)), tensor("k", {19}, numbers.many(19)),
                     tensor("l", {19}, numbers.many(19))};
    graph.inputs = {value("x", {1, 9})};
    graph.outputs = {value("y", {1, 19})};
    const Bytes file = model(graph);
    const std::vector<float> input = numbers.many(9);
    std::vector<float> first;
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) == nullptr) {
            continue;
        }
        Network network;
        REQUIRE(network.load(file, {}, set).is_ok());
        std::vector<float> logits(19);
        network.run_full(input.data(), logits.data());
        check_close(logits, reference(file, input.data()));
        first = first.empty() ? logits : first;
        CHECK(is_same(logits, first));
    }
}

// Scalar alone against a wide kernel alone and in batches.
void check_same(const Bytes& file, InstructionSet set, Tail tail) {
    Network scalar;
    Network wide;
    REQUIRE(scalar.load(file, {}, InstructionSet::kScalar, tail).is_ok());
    REQUIRE(wide.load(file, {}, set, tail).is_ok());
    Numbers numbers(11);
    for (int round = 0; round < 30; ++round) {
        const std::vector<float> input = numbers.many(scalar.inputs());
        std::vector<float> expected(scalar.outputs());
        std::vector<float> found(scalar.outputs());
        scalar.run_full(input.data(), expected.data());
        wide.run_full(input.data(), found.data());
        CHECK(is_same(expected, found));
    }
    for (const std::size_t samples : {29, 20}) {  // two tiles and five; one, and one not full
        const std::vector<float> inputs = numbers.many(samples * scalar.inputs());
        std::vector<float> batch(samples * scalar.outputs());
        wide.run_batch(inputs.data(), samples, batch.data());
        for (std::size_t i = 0; i < samples; ++i) {
            std::vector<float> one(scalar.outputs());
            scalar.run_full(inputs.data() + i * scalar.inputs(), one.data());
            const auto at = batch.begin() + static_cast<std::ptrdiff_t>(i * one.size());
            CHECK(is_same(one, {at, at + static_cast<std::ptrdiff_t>(one.size())}));
        }
    }
}

TEST_CASE("every instruction set gives the same bits, with either tail") {
    const std::vector<Layers> cases = {
        {.widths = {624, 256, 128, 64, 7}, .seed = 3},
        {.widths = {198, 256, 128, 64, 3}, .seed = 4, .has_norm = true},
        {.widths = {198, 256, 128, 64, 3}, .seed = 5, .has_norm = true, .norm_comes_first = true},
        {.widths = {198, 3}, .seed = 6},
        {.widths = {61, 135, 135, 170, 131}, .seed = 13},  // odd blocks of rounded weights
        {.widths = {61, 135, 135, 170, 131}, .seed = 14, .has_norm = true},
        {.widths = {150, 2, 3}, .seed = 7},
        {.widths = {1, 1, 1}, .seed = 8},
        {.widths = {61, 401, 17, 223, 31}, .seed = 9, .has_norm = true},
        {.widths = {61, 401, 17, 223, 31}, .seed = 10, .has_norm = true, .bias_shift = 1.0F},
        {.widths = {198, 256, 128, 64, 3}, .seed = 11, .has_norm = true, .bias_shift = 3.0F}};
    for (const Layers& layers : cases) {
        CAPTURE(layers.seed);
        const Bytes file = dense_model(layers);
        for (const InstructionSet set : kSets) {
            for (const Tail tail : kTails) {
                if (find_kernel(set) != nullptr) {
                    check_same(file, set, tail);
                }
            }
        }
    }
}

TEST_CASE("a batch takes more inputs than a tile holds") {
    const Bytes file = dense_model({.widths = {kNetworkWidthMax + 37, 20, 3}, .seed = 12});
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) != nullptr) {
            check_same(file, set, Tail::kFloat32);
        }
    }
}

TEST_CASE("a bfloat16 tail gives the bits of a float32 network with rounded weights") {
    for (std::uint32_t seed = 1; seed <= 8; ++seed) {
        const Layers layers{.widths = {61, 140, 130, 127, 9, 5}, .seed = seed};
        Layers rounded = layers;
        rounded.is_tail_rounded = true;
        Network narrow;
        Network exact;
        Network of_rounded;
        REQUIRE(narrow.load(dense_model(layers), {}, widest_instruction_set(), Tail::kBfloat16)
                    .is_ok());
        REQUIRE(exact.load(dense_model(layers), {}).is_ok());
        REQUIRE(of_rounded.load(dense_model(rounded), {}).is_ok());
        const std::vector<float> input = Numbers(seed).many(61);
        std::vector<float> found(5);
        std::vector<float> expected(5);
        std::vector<float> other(5);
        narrow.run_full(input.data(), found.data());
        of_rounded.run_full(input.data(), expected.data());
        exact.run_full(input.data(), other.data());
        CHECK(is_same(found, expected));
        CHECK_FALSE(is_same(found, other));
    }
}

TEST_CASE("a bfloat16 tail behind a norm stays near the float32 logits") {
    for (const float shift : {-0.5F, 0.0F, 1.0F, 3.0F}) {  // folded and not
        const Bytes file = dense_model(
            {.widths = {198, 256, 128, 64, 3}, .seed = 17, .has_norm = true, .bias_shift = shift});
        Network exact;
        Network narrow;
        REQUIRE(exact.load(file, {}).is_ok());
        REQUIRE(narrow.load(file, {}, widest_instruction_set(), Tail::kBfloat16).is_ok());
        Numbers numbers(3);
        for (int round = 0; round < 50; ++round) {
            const std::vector<float> input = numbers.many(198);
            std::vector<float> expected(3);
            std::vector<float> found(3);
            exact.run_full(input.data(), expected.data());
            narrow.run_full(input.data(), found.data());
            for (std::size_t i = 0; i < 3; ++i) {
                CHECK(std::abs(found[i] - expected[i]) < 0.02F);  // of logits around 1
            }
        }
    }
}

TEST_CASE("rounding to bfloat16 is to nearest, ties to even") {
    const float one = 1.0F;
    CHECK(round_to_bfloat16(one + 0x1p-8F) == one);            // a tie, down
    CHECK(round_to_bfloat16(one + 0x3p-8F) == one + 0x1p-6F);  // a tie, up
    CHECK(round_to_bfloat16(-one - 0x1.2p-8F) == -one - 0x1p-7F);
    CHECK(round_to_bfloat16(0.0F) == 0.0F);
    CHECK(std::isinf(round_to_bfloat16(std::numeric_limits<float>::max())));
    Numbers numbers(1);
    for (int i = 0; i < 10000; ++i) {
        const float value = numbers.next() * 3.0F;
        CHECK(round_to_bfloat16(value) == nearest_bfloat16(value));
    }
    const Bfloat16Pair pair = pair_of(1.5F, -2.0F);
    CHECK(std::bit_cast<float>(pair.bits << 16) == 1.5F);
    CHECK(std::bit_cast<float>(pair.bits & 0xffff0000U) == -2.0F);
}

TEST_CASE("a tail that is none, and a weight that only float32 holds, are refused") {
    Graph graph;
    graph.nodes = {node("MatMul", {"x", "w"}, "a"), node("Relu", {"a"}, "r"),
                   node("MatMul", {"r", "v"}, "y")};
    const std::vector<float> large(kNarrowWeightsMin, 3.4e38F);
    graph.tensors = {tensor("w", {1, 128}, std::vector<float>(128, 1.0F)),
                     tensor("v", {128, 128}, large)};
    graph.inputs = {value("x", {0, 1})};
    graph.outputs = {value("y", {0, 128})};
    const Bytes file = model(graph);
    Network network;
    CHECK(network.load(file, {}).is_ok());
    const InstructionSet set = widest_instruction_set();
    CHECK(network.load(file, {}, set, Tail::kBfloat16).status == Status::kBadNetwork);
    const Failure failure = network.load(file, {}, set, static_cast<Tail>(2));
    CHECK(failure.status == Status::kBadArgument);
    CHECK(failure.text == "tail must be 0 (float32) or 1 (bfloat16): 2");
}

TEST_CASE(
    "the newest row on prepared rows is the full computation, bit for bit, with either tail") {
    constexpr std::uint32_t kRows = 48;
    struct Case {
        Layers layers;
        std::uint32_t row_width;
        std::uint32_t context;
    };
    const Case cases[] = {
        {{.widths = {198, 256, 128, 64, 3}, .seed = 21, .has_norm = true}, 4, 6},
        {{.widths = {198, 256, 128, 64, 3}, .seed = 24, .has_norm = true, .bias_shift = 1}, 4, 6},
        {{.widths = {624, 256, 128, 64, 7}, .seed = 22}, 13, 0},
        {{.widths = {150, 2, 3}, .seed = 23}, 3, 6}};
    for (std::size_t turn = 0; turn < 2 * std::size(cases); ++turn) {
        const Case& one = cases[turn / 2];
        const Bytes file = dense_model(one.layers);
        Network network;
        REQUIRE(network
                    .load(file, {kRows, one.row_width, one.context}, widest_instruction_set(),
                          kTails[turn % 2])
                    .is_ok());
        Numbers numbers(31);
        std::vector<float> window = numbers.many(std::size_t{kRows} * one.row_width);
        PreparedRows prepared;
        const auto scratch = std::make_unique<PrepareScratch>();
        for (int step = 0; step < 5000 / test::kLess; ++step) {
            window.erase(window.begin(), window.begin() + one.row_width);
            if (step % 2 == 0) network.prepare(window.data(), prepared);
            for (std::size_t piece = 0; step % 2 == 1 && piece < network.pieces(); ++piece) {
                network.prepare_piece(piece, window.data(), *scratch, prepared);
            }
            const std::vector<float> row = numbers.many(one.row_width);
            window.insert(window.end(), row.begin(), row.end());
            const std::vector<float> context = numbers.many(one.context);
            std::vector<float> newest = row;
            newest.insert(newest.end(), context.begin(), context.end());
            std::vector<float> input = window;
            input.insert(input.end(), context.begin(), context.end());
            std::vector<float> full(network.outputs());
            std::vector<float> fast(network.outputs());
            network.run_full(input.data(), full.data());
            network.run_new_row(prepared, newest.data(), fast.data());
            REQUIRE(is_same(full, fast));
        }
    }
}

TEST_CASE("an input that is not finite reaches the logits") {
    const Bytes file = dense_model({.widths = {20, 19, 18, 3}, .seed = 2, .has_norm = true});
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) == nullptr) {
            continue;
        }
        Network network;
        REQUIRE(network.load(file, {}, set).is_ok());
        std::vector<float> input = Numbers(1).many(20);
        input[3] = std::numeric_limits<float>::quiet_NaN();
        float logits[3];
        network.run_full(input.data(), logits);
        CHECK(std::isnan(logits[0]));
        CHECK(std::isnan(logits[1]));
        CHECK(std::isnan(logits[2]));
    }
}

TEST_CASE("an input size that the shape does not explain is refused") {
    const Bytes file = dense_model({.widths = {198, 3}});
    Network network;
    CHECK(network.load(file, {48, 4, 6}).is_ok());
    CHECK(network.known_inputs() == 188);
    CHECK(network.new_inputs() == 10);
    const Failure failure = network.load(file, {48, 4, 0});
    CHECK(failure.status == Status::kBadNetwork);
    CHECK(failure.text == "network of 198 inputs, must be 48 x 4 + 0");
    CHECK_FALSE(network.is_loaded());
    CHECK(network.load(file, {0xffffffff, 0xffffffff, 0}).status == Status::kBadNetwork);
}

TEST_CASE("a norm whose folding overflows is refused") {
    Graph graph;
    const float large = 3e38F;
    graph.nodes = {node("MatMul", {"x", "w"}, "a"), node("Relu", {"a"}, "r"),
                   node("LayerNormalization", {"r", "g"}, "n"), node("MatMul", {"n", "v"}, "y")};
    graph.tensors = {tensor("w", {1, 1}, {1}), tensor("g", {1}, {large}),
                     tensor("v", {1, 1}, {large})};
    graph.inputs = {value("x", {0, 1})};
    graph.outputs = {value("y", {0, 1})};
    Network network;
    CHECK(network.load(model(graph), {}).status == Status::kBadNetwork);
}

}  // namespace gm
