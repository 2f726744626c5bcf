// Promise: a convolutional network gives the bits of the chain that its header states, by every
// path and instruction set, whatever part of its window was known before.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>

#include "gm/policy/network.hpp"
#include "policy/conv_bytes.hpp"
#include "sanitized.hpp"

namespace gm {

using namespace test;

namespace {

constexpr InstructionSet kSets[] = {InstructionSet::kScalar, InstructionSet::kAvx2,
                                    InstructionSet::kAvx512};

// The slow reference: every value a chain of its own, nothing skipped, nothing kept.
std::vector<float> convolve(const ConvLayer& conv, std::size_t columns,
                            const std::vector<float>& x) {
    const std::size_t half = conv.taps / 2;
    std::vector<float> y(columns * conv.outputs);
    for (std::size_t j = 0; j < columns; ++j) {
        for (std::size_t o = 0; o < conv.outputs; ++o) {
            float sum = conv.bias[o];
            for (std::size_t t = 0; t < conv.taps; ++t) {
                if (j + t < half || j + t - half >= columns) {
                    continue;
                }
                for (std::size_t i = 0; i < conv.inputs; ++i) {
                    sum = std::fma(x[(j + t - half) * conv.inputs + i],
                                   conv.weights[(t * conv.inputs + i) * conv.outputs + o], sum);
                }
            }
            y[j * conv.outputs + o] = conv.has_relu && sum <= 0.0F ? 0.0F : sum;
        }
    }
    return y;
}

std::vector<float> reference(const NetworkGraph& graph, std::vector<float> x) {
    for (const ConvLayer& conv : graph.convs) {
        x = convolve(conv, graph.columns, x);
    }
    const std::size_t channels = graph.convs.back().outputs;
    std::vector<float> bins(x.size() / graph.pool);
    for (std::size_t i = 0; i < bins.size(); ++i) {
        const std::size_t from = i / channels * graph.pool * channels + i % channels;
        float sum = x[from];
        for (std::size_t j = 1; j < graph.pool; ++j) {
            sum += x[from + j * channels];
        }
        bins[i] = sum * (1.0F / static_cast<float>(graph.pool));
    }
    x = bins;
    for (const NetworkOperator& step : graph.operators) {
        std::vector<float> y(step.outputs);
        for (std::size_t o = 0; o < step.outputs; ++o) {
            if (step.kind == OperatorKind::kRelu) {
                y[o] = x[o] <= 0.0F ? 0.0F : x[o];
                continue;
            }
            y[o] = step.bias[o];
            for (std::size_t i = 0; i < step.inputs; ++i) {
                y[o] = std::fma(x[i], step.weights[i * step.outputs + o], y[o]);
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

const ConvNet kNets[] = {
    {},
    {.seed = 2, .is_bin_major = false},
    {.seed = 3, .has_planar_pool = true},
    {.pool = 0, .widths = {5}, .seed = 4, .has_scale = false},
    {.columns = 12,
     .channels = {3, 20, 9},
     .taps = {5, 3},
     .pool = 6,
     .widths = {33, 4},
     .seed = 5},
    {.columns = 10, .channels = {2, 17}, .taps = {7}, .pool = 2, .widths = {3}, .seed = 6},
    {.columns = 9,
     .channels = {4, 5, 6, 7},
     .taps = {3, 5, 1},
     .pool = 3,
     .widths = {16, 3},
     .seed = 7,
     .has_relu = false},
    {.columns = 3, .channels = {1, 1, 1}, .taps = {15, 3}, .pool = 3, .widths = {1}, .seed = 8},
    {.columns = 1, .channels = {7, 8}, .taps = {3}, .pool = 1, .widths = {3}, .seed = 9},
};

// Windows that move on row by row: new row against full, all instruction sets against each other.
void check_windows(const ConvNet& net, int windows, int referenced, Tail tail = Tail::kFloat32) {
    const Bytes file = conv_model(net);
    NetworkGraph graph;
    const Failure read = read_onnx(file, graph);
    CAPTURE(read.text);
    REQUIRE(read.is_ok());
    const std::size_t width = net.channels[0];
    std::vector<Network> networks;
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) != nullptr) {
            const Failure loaded =
                networks.emplace_back().load(file, {net.columns, net.channels[0], 0}, set, tail);
            CAPTURE(loaded.text);
            REQUIRE(loaded.is_ok());
        }
    }
    Numbers numbers(net.seed * 77 + 5);
    std::vector<float> window = numbers.many(net.columns * width);
    std::vector<float> full(graph.outputs);
    std::vector<float> fast(graph.outputs);
    PreparedRows prepared;
    const auto scratch = std::make_unique<PrepareScratch>();
    for (int step = 0; step < windows; ++step) {
        std::move(window.begin() + static_cast<std::ptrdiff_t>(width), window.end(),
                  window.begin());
        for (std::size_t i = window.size() - width; i < window.size(); ++i) {
            window[i] = numbers.next();
        }
        // The scalar kernel is a hundred times slower: it takes every hundredth window.
        for (std::size_t n = step % 100 == 0 ? 0 : networks.size() - 1; n < networks.size(); ++n) {
            const Network& network = networks[n];
            if (step % 2 == 0) {
                network.prepare(window.data(), prepared);
            } else {
                for (std::size_t piece = 0; piece < network.pieces(); ++piece) {
                    network.prepare_piece(piece, window.data(), *scratch, prepared);
                }
            }
            network.run_new_row(prepared, window.data() + network.known_inputs(), fast.data());
            if (n + 1 == networks.size() || step % 100 == 0) {
                std::vector<float> own(graph.outputs);
                network.run_full(window.data(), own.data());
                REQUIRE(is_same(own, fast));
                REQUIRE((n == 0 || step % 100 != 0 || is_same(own, full)));
                full = own;
            }
        }
        if (step < referenced) {
            REQUIRE(is_same(full, reference(graph, window)));
        }
    }
}

}  // namespace

TEST_CASE("a convolution worked by hand gives its logits") {
    // Rows 1, 2, 3, 4 of one channel; kernel 1, 10, 100: y_j = x_{j-1} + 10 x_j + 100 x_{j+1} - 300
    Graph graph;
    graph.nodes = {node("Transpose", {"x"}, "t", {ints_attribute("perm", {0, 2, 1})}),
                   node("Conv", {"t", "k", "c"}, "y0", {ints_attribute("pads", {1, 1})}),
                   node("Relu", {"y0"}, "y1"),
                   node("AveragePool", {"y1"}, "p",
                        {ints_attribute("kernel_shape", {2}), ints_attribute("strides", {2})}),
                   node("Flatten", {"p"}, "f"),
                   node("MatMul", {"f", "w"}, "y")};
    graph.tensors = {tensor("k", {1, 1, 3}, {1, 10, 100}), tensor("c", {1}, {-300}),
                     tensor("w", {2, 2}, {1, 0, 0, 1})};
    graph.inputs = {value("x", {0, 4, 1})};
    graph.outputs = {value("y", {0, 2})};
    const Bytes file = model(graph);
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) == nullptr) {
            continue;
        }
        Network network;
        const Failure loaded = network.load(file, {4, 1, 0}, set);
        CAPTURE(loaded.text);
        REQUIRE(loaded.is_ok());
        CHECK(network.known_inputs() == 3);
        const float input[4] = {1, 2, 3, 4};  // -90, 21, 132, -257 -> 0, 21, 132, 0
        float logits[2];
        network.run_full(input, logits);
        CHECK(logits[0] == 10.5F);
        CHECK(logits[1] == 66.0F);
        PreparedRows prepared;
        network.prepare(input, prepared);
        network.run_new_row(prepared, input + 3, logits);
        CHECK(logits[0] == 10.5F);
        CHECK(logits[1] == 66.0F);
    }
}

TEST_CASE(
    "pieces of the preparation are bounded: one of the first convolution, six of the second, "
    "four of the matrix") {
    const Bytes file = conv_model({});
    Network network;
    REQUIRE(network.load(file, {60, 7, 0}).is_ok());
    // 59 columns of 3 x 7 x 32, 58 columns of 3 x 32 x 64 (ten a piece), 896 inputs of 256.
    CHECK(network.pieces() == 1 + 6 + 4);
}

TEST_CASE("the newest row on prepared rows is the full computation and the slow one, bit for bit") {
    for (const ConvNet& net : kNets) {
        CAPTURE(net.seed);
        check_windows(net, 2000 / test::kLess, 10);
    }
}

TEST_CASE("with a bfloat16 tail too, where weights after the pool are rounded") {
    std::vector<ConvNet> nets(std::begin(kNets), std::end(kNets));
    nets.push_back({.columns = 12,
                    .channels = {3, 20, 41},  // padding between the columns
                    .taps = {5, 3},
                    .pool = 3,
                    .widths = {140, 131, 4},
                    .seed = 10});
    for (ConvNet net : nets) {
        CAPTURE(net.seed);
        net.is_tail_rounded = true;
        check_windows(net, 500, 10, Tail::kBfloat16);  // the reference: of the rounded file
        net.is_tail_rounded = false;
        check_windows(net, 500, 0, Tail::kBfloat16);
    }
}

TEST_CASE("active columns are gathered, to the bits of the slow computation") {
    for (const ConvNet& net : {ConvNet{.seed = 21, .bias_shift = 3.0F},
                               ConvNet{.columns = 21,
                                       .channels = {3, 20, 41},  // padding between columns
                                       .taps = {5, 3},
                                       .pool = 3,
                                       .widths = {33, 4},
                                       .seed = 22,
                                       .bias_shift = 3.0F},
                               ConvNet{.columns = 16,
                                       .channels = {4, 16, 80},  // blocks that are left over
                                       .taps = {1, 7},
                                       .pool = 4,
                                       .widths = {3},
                                       .seed = 23,
                                       .bias_shift = 3.0F},
                               ConvNet{.seed = 24, .has_relu = false}}) {
        CAPTURE(net.seed);
        check_windows(net, 300, 20);
    }
}

TEST_CASE("a batch gives the bits of its samples one by one") {
    for (const ConvNet& net : kNets) {
        CAPTURE(net.seed);
        const Bytes file = conv_model(net);
        for (const InstructionSet set : kSets) {
            if (find_kernel(set) == nullptr) {
                continue;
            }
            Network network;
            REQUIRE(network.load(file, {}, set).is_ok());
            constexpr std::size_t kSamples = 14;  // a tile and two
            const std::vector<float> inputs = Numbers(4).many(kSamples * network.inputs());
            std::vector<float> batch(kSamples * network.outputs());
            std::vector<float> single(batch.size());
            network.run_batch(inputs.data(), kSamples, batch.data());
            for (std::size_t i = 0; i < kSamples; ++i) {
                network.run_full(inputs.data() + i * network.inputs(),
                                 single.data() + i * network.outputs());
            }
            CHECK(is_same(single, batch));
        }
    }
}

// GM_WINDOWS=1000000 for the acceptance run.
TEST_CASE("a hundred thousand windows of the tactical network give the same bits both ways") {
    constexpr int kWindows = 100'000 / (test::kLess * test::kLess);
    const char* wanted = std::getenv("GM_WINDOWS");
    check_windows({.seed = 11}, wanted != nullptr ? std::atoi(wanted) : kWindows, 20);
}

TEST_CASE("prepared rows depend on the known rows alone") {
    const Bytes file = conv_model({.seed = 12});
    Network network;
    REQUIRE(network.load(file, {60, 7, 0}).is_ok());
    CHECK(network.known_inputs() == 59 * 7);
    CHECK(network.new_inputs() == 7);
    Numbers numbers(3);
    const std::vector<float> window = numbers.many(420);
    PreparedRows prepared;
    network.prepare(window.data(), prepared);
    for (int round = 0; round < 100; ++round) {  // one preparation, many newest rows
        std::vector<float> input(window);
        for (std::size_t i = network.known_inputs(); i < input.size(); ++i) {
            input[i] = numbers.next() * 10.0F;
        }
        std::vector<float> full(3);
        std::vector<float> fast(3);
        network.run_full(input.data(), full.data());
        network.run_new_row(prepared, input.data() + network.known_inputs(), fast.data());
        REQUIRE(is_same(full, fast));
    }
}

TEST_CASE("a value that is not finite reaches the logits from every row") {
    const Bytes file = conv_model({.seed = 13});
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) == nullptr) {
            continue;
        }
        Network network;
        REQUIRE(network.load(file, {60, 7, 0}, set).is_ok());
        for (const std::size_t place : {0, 200, 419}) {
            std::vector<float> input = Numbers(1).many(420);
            input[place] = std::numeric_limits<float>::quiet_NaN();
            std::vector<float> logits(3);
            network.run_full(input.data(), logits.data());
            CHECK(std::isnan(logits[0]));
            PreparedRows prepared;
            network.prepare(input.data(), prepared);
            network.run_new_row(prepared, input.data() + network.known_inputs(), logits.data());
            CHECK(std::isnan(logits[2]));
        }
    }
}

TEST_CASE("a shape that is not the network's columns is refused") {
    const Bytes file = conv_model({});
    Network network;
    CHECK(network.load(file, {}).is_ok());
    CHECK(network.known_inputs() == 0);
    const Failure failure = network.load(file, {30, 14, 0});
    CHECK(failure.status == Status::kBadNetwork);
    CHECK(failure.text == "network over 60 columns of 7 channels, must be 30 x 14 + 0");
    CHECK(network.load(file, {59, 7, 7}).status == Status::kBadNetwork);
    const Bytes wide = conv_model(
        {.columns = 60, .channels = {7, 64, 64}, .taps = {15, 15}, .pool = 4, .widths = {3}});
    const Failure refused = network.load(wide, {60, 7, 0});
    CHECK(refused.status == Status::kUnsupportedNetwork);
    CHECK(refused.text == "the newest row changes 1536 values of convolutions, at most 1024");
}

TEST_CASE("a Softmax at the end gives probabilities, the same on every instruction set") {
    Graph graph;
    graph.nodes = {node("MatMul", {"x", "w"}, "h"), node("Softmax", {"h"}, "y")};
    graph.tensors = {tensor("w", {1, 3}, {1, 2, 3})};
    graph.inputs = {value("x", {0, 1})};
    graph.outputs = {value("y", {0, 3})};
    const Bytes file = model(graph);
    std::vector<float> first;
    for (const InstructionSet set : kSets) {
        if (find_kernel(set) == nullptr) {
            continue;
        }
        Network network;
        REQUIRE(network.load(file, {}, set).is_ok());
        CHECK(network.gives_probabilities());
        std::vector<float> out(3);
        for (const float x : {0.0F, 1.0F, 100.0F, -100.0F}) {
            network.run_full(&x, out.data());
            const double total = 1.0 + std::exp(-x) + std::exp(-2.0 * static_cast<double>(x));
            if (x >= 0.0F) {
                CHECK(static_cast<double>(out[2]) == doctest::Approx(1.0 / total));
            }
            CHECK(out[0] + out[1] + out[2] == doctest::Approx(1.0));
        }
        first = first.empty() ? out : first;
        CHECK(is_same(first, out));
        const float broken = std::numeric_limits<float>::infinity();
        network.run_full(&broken, out.data());
        CHECK(std::isnan(out[0]));
        CHECK(std::isnan(out[2]));
    }
    graph.nodes.push_back(node("Tanh", {"y"}, "z"));
    graph.outputs = {value("z", {0, 3})};
    Network network;
    CHECK(network.load(model(graph), {}).status == Status::kUnsupportedNetwork);
}

}  // namespace gm
