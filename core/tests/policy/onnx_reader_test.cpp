// Promise: a supported file gives the graph that was written; any other bytes give a Failure.
#include "gm/policy/onnx_reader.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "policy/onnx_bytes.hpp"

namespace gm {

using namespace test;

namespace {

Failure read(const Bytes& bytes) {
    NetworkGraph graph;
    return read_onnx(bytes, graph);
}

// x[n, 3] -> Gemm -> Relu -> y[n, 2]
Graph small_graph() {
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "h", {int_attribute("transB", 1)}),
                   node("Relu", {"h"}, "y")};
    graph.tensors = {tensor("w", {2, 3}, {1, 2, 3, 4, 5, 6}), tensor("b", {2}, {7, 8})};
    graph.inputs = {value("x", {0, 3})};
    graph.outputs = {value("y", {0, 2})};
    return graph;
}

void refuses(const Graph& graph, Status status, const std::string& part) {
    const Failure failure = read(model(graph));
    CAPTURE(part);
    CAPTURE(failure.text);
    CHECK(failure.status == status);
    CHECK(failure.text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a Gemm with transposed weights is read input by input") {
    NetworkGraph graph;
    const Failure failure = read_onnx(model(small_graph()), graph);
    CAPTURE(failure.text);
    REQUIRE(failure.is_ok());
    REQUIRE(graph.operators.size() == 2);
    CHECK(graph.operators[0].weights == std::vector<float>{1, 4, 2, 5, 3, 6});
    CHECK(graph.operators[0].bias == std::vector<float>{7, 8});
    CHECK(graph.operators[1].kind == OperatorKind::kRelu);
    CHECK(graph.input_shape == std::vector<std::uint32_t>{3});
    CHECK(graph.inputs == 3);
    CHECK(graph.outputs == 2);
}

TEST_CASE("MatMul and Add in either order, float_data, Flatten, Reshape and Constant are read") {
    for (const bool bias_first : {false, true}) {
        Graph graph;
        const Bytes constant = node(
            "Constant", {}, "shape",
            {field(1, std::string("value")) + field(5, int_tensor("", {-1, 6})) + field(20, 4)});
        graph.nodes = {constant,
                       node("Flatten", {"x"}, "f", {int_attribute("axis", 1)}),
                       node("Reshape", {"f", "shape"}, "r"),
                       node("MatMul", {"r", "w"}, "h"),
                       bias_first ? node("Add", {"b", "h"}, "a") : node("Add", {"h", "b"}, "a"),
                       node("Identity", {"a"}, "y")};
        graph.tensors = {tensor("w", {6, 1}, {1, 2, 3, 4, 5, 6}, false),
                         tensor("b", {1, 1}, {9}, false)};
        graph.inputs = {value("x", {0, 2, 3})};
        graph.outputs = {value("y", {0, 1})};
        NetworkGraph out;
        const Failure failure = read_onnx(model(graph), out);
        CAPTURE(failure.text);
        REQUIRE(failure.is_ok());
        CHECK(out.input_shape == std::vector<std::uint32_t>{2, 3});
        REQUIRE(out.operators.size() == 1);
        CHECK(out.operators[0].weights == std::vector<float>{1, 2, 3, 4, 5, 6});
        CHECK(out.operators[0].bias == std::vector<float>{9});
    }
}

TEST_CASE("an operator outside the set is named") {
    Graph graph = small_graph();
    graph.nodes[1] = node("Sigmoid", {"h"}, "y");
    refuses(graph, Status::kUnsupportedNetwork, "\"Sigmoid\"");
    graph.nodes[1] =
        node("If", {"h"}, "y",
             {field(1, std::string("then_branch")) + field(6, graph_bytes(small_graph()))});
    refuses(graph, Status::kBadNetwork, "then_branch");
    graph.nodes[1] = node("Relu", {"h"}, "y") + field(7, std::string("com.example"));
    refuses(graph, Status::kBadNetwork, "com.example");
    graph.nodes[1] = node(std::string(5000, '\n'), {"h"}, "y");
    CHECK(read(model(graph)).text.size() < 200);
}

TEST_CASE("attributes that change the arithmetic are refused") {
    const std::vector<Bytes> attributes = {
        float_attribute("alpha", 0.5F), float_attribute("beta", 2.0F), int_attribute("transA", 1),
        int_attribute("transB", 2),     int_attribute("alpha", 1),     int_attribute("other", 0)};
    for (const Bytes& attribute : attributes) {
        Graph graph = small_graph();
        graph.nodes[0] =
            node("Gemm", {"x", "w", "b"}, "h", {int_attribute("transB", 1), attribute});
        refuses(graph, Status::kUnsupportedNetwork, "\"Gemm\"");
    }
}

TEST_CASE("a graph that is no chain is refused") {
    Graph graph = small_graph();
    graph.nodes[1] = node("Relu", {"x"}, "y");
    refuses(graph, Status::kUnsupportedNetwork, "not one chain");
    graph = small_graph();
    graph.nodes[1] = node("Add", {"h", "h"}, "y");
    refuses(graph, Status::kUnsupportedNetwork, "\"Add\"");
    graph = small_graph();
    graph.outputs.push_back(value("h", {0, 2}));
    refuses(graph, Status::kUnsupportedNetwork, "one output");
    graph = small_graph();
    graph.inputs.push_back(value("z", {0, 3}));
    refuses(graph, Status::kUnsupportedNetwork, "more than one input");
    graph = small_graph();
    graph.nodes[1] = node("Relu", {"h"}, "h");
    refuses(graph, Status::kBadNetwork, "two values");
    graph = small_graph();
    graph.nodes.clear();
    refuses(graph, Status::kUnsupportedNetwork, "output");
}

TEST_CASE("tensors that lie about themselves are refused") {
    Graph graph = small_graph();
    graph.tensors[0] = tensor("w", {2, 4}, {1, 2, 3, 4, 5, 6});
    refuses(graph, Status::kBadNetwork, "shape");
    graph.tensors[0] = tensor("w", {1U << 23, 1U << 23, 1U << 23}, {1});
    refuses(graph, Status::kBadNetwork, "more values");
    graph.tensors[0] = tensor("w", {~std::uint64_t{0}}, {1});
    refuses(graph, Status::kUnsupportedNetwork, "shape");
    graph.tensors[0] = tensor("w", {2, 3}, {1, 2, 3, 4, 5, std::numeric_limits<float>::infinity()});
    refuses(graph, Status::kBadNetwork, "not finite");
    graph.tensors[0] = tensor("w", {2, 3}, {1, 2, 3, 4, 5, std::nanf("")});
    refuses(graph, Status::kBadNetwork, "tensor \"w\"");
    graph.tensors[0] =
        tensor("w", {2, 3}, {1, 2, 3, 4, 5, 6}) +
        field(13, field(1, std::string("location")) + field(2, std::string("/etc/passwd")));
    refuses(graph, Status::kBadNetwork, "external data");
    graph.tensors[0] = tensor("w", {2, 3}, {1, 2, 3, 4, 5, 6}) + field(14, 1);
    refuses(graph, Status::kBadNetwork, "external data");
    graph.tensors[0] = tensor("w", {2, 3}, {1, 2, 3, 4, 5, 6}) + field(2, 11);
    refuses(graph, Status::kBadNetwork, "element type 11");
    graph.tensors[0] = tensor("b", {2, 3}, {1, 2, 3, 4, 5, 6});
    refuses(graph, Status::kBadNetwork, "two tensors");
}

TEST_CASE("shapes that do not fit are refused") {
    Graph graph = small_graph();
    graph.inputs = {value("x", {0, 4})};
    refuses(graph, Status::kUnsupportedNetwork, "3 inputs for rows of 4");
    graph.inputs = {value("x", {0, 0})};
    refuses(graph, Status::kUnsupportedNetwork, "free size");
    graph.inputs = {value("x", {2, 3})};
    refuses(graph, Status::kUnsupportedNetwork, "batch fixed at 2");
    graph.inputs = {value("x", {0, 16000, 16000})};
    refuses(graph, Status::kUnsupportedNetwork, "over 16384");
    graph = small_graph();
    graph.tensors[1] = tensor("b", {3}, {7, 8, 9});
    refuses(graph, Status::kUnsupportedNetwork, "bias");
}

TEST_CASE("counts beyond the limits are refused") {
    Graph graph = small_graph();
    for (std::size_t i = 0; i < kOnnxNodesMax; ++i) {
        graph.nodes.push_back(node("Identity", {"y"}, "y"));
    }
    refuses(graph, Status::kBadNetwork, "more than 256");
    CHECK(read(Bytes(kOnnxBytesMax + 1)).status == Status::kBadNetwork);
    CHECK(read(model(small_graph(), 6)).status == Status::kUnsupportedNetwork);
    // One shared matrix, used again and again: small in the file, endless in memory.
    graph = small_graph();
    graph.tensors = {tensor("w", {1024, 1024}, std::vector<float>(1024 * 1024))};
    graph.inputs = {value("x", {0, 1024})};
    graph.nodes.clear();
    std::string current = "x";
    for (int i = 0; i < 8; ++i) {
        graph.nodes.push_back(node("MatMul", {current, "w"}, "h" + std::to_string(i)));
        current = "h" + std::to_string(i);
    }
    refuses(graph, Status::kUnsupportedNetwork, "weights in all");
}

TEST_CASE("functions, training graphs and a second graph are refused") {
    const Bytes good = model(small_graph());
    CHECK(read(good).is_ok());
    CHECK(read(good + field(25, Bytes{})).status == Status::kBadNetwork);
    CHECK(read(good + field(20, Bytes{})).status == Status::kBadNetwork);
    CHECK(read(good + good).status == Status::kBadNetwork);
    CHECK(read({}).status == Status::kBadNetwork);
    CHECK(read(field(1, 8)).status == Status::kBadNetwork);
}

TEST_CASE("a file cut anywhere is refused or read, never a crash") {
    const Bytes good = dense_model({.widths = {6, 5, 4, 3}, .has_norm = true});
    REQUIRE(read(good).is_ok());
    for (std::size_t size = 0; size < good.size(); ++size) {
        // In memory of its own, so that the sanitizer sees a byte read too far.
        const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK_FALSE(read(cut).is_ok());
    }
}

TEST_CASE("flipped bytes give a graph or a failure, never a crash") {
    const Bytes good = dense_model({.widths = {6, 5, 4, 3}, .has_norm = true});
    Numbers numbers(7);
    for (std::size_t i = 0; i < good.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            Bytes bad = good;
            bad[i] = static_cast<std::uint8_t>(bad[i] ^ (1U << bit));
            (void)read(bad);
        }
    }
    for (int round = 0; round < 5000; ++round) {
        Bytes bad = good;
        for (int flips = 0; flips < 6; ++flips) {
            bad[numbers.bits() % bad.size()] = static_cast<std::uint8_t>(numbers.bits());
        }
        (void)read(bad);
    }
}

TEST_CASE("messages nested without end are refused without recursion") {
    Bytes nested = graph_bytes(small_graph());
    for (int depth = 0; depth < 2000; ++depth) {
        nested = field(6, nested);
    }
    Graph graph = small_graph();
    graph.nodes[1] = node("Relu", {"h"}, "y", {nested});
    CHECK(read(model(graph)).status == Status::kBadNetwork);
    CHECK_FALSE(read(nested).is_ok());
}

}  // namespace gm
