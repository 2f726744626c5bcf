// ONNX files: any bytes are a chain of operators that fits together, or a Failure that says why.
#include <cmath>

#include "gm/policy/onnx_reader.hpp"
#include "input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace gm;
    using gm::fuzz::hold;
    NetworkGraph graph;
    const Failure failure = read_onnx({data, size}, graph);
    hold(failure.is_ok() == failure.text.empty(), "a refusal says why");
    if (!failure.is_ok()) return 0;
    hold(!graph.operators.empty() && graph.operators[0].kind == OperatorKind::kDense,
         "the first operator is dense");
    std::uint32_t width = graph.inputs;
    std::uint32_t channels = graph.convs.empty() ? 0 : width / graph.columns;
    for (const ConvLayer& one : graph.convs) {  // at most kConvLayersMax
        hold(one.inputs == channels && one.bias.size() == one.outputs, "channels fit");
        hold(one.taps % 2 == 1 && one.taps <= kConvTapsMax, "a kernel has a middle");
        hold(one.weights.size() == std::size_t{one.taps} * one.inputs * one.outputs,
             "weights fill their kernel");
        for (const float weight : one.weights) hold(std::isfinite(weight), "weights are finite");
        for (const float bias : one.bias) hold(std::isfinite(bias), "biases are finite");
        channels = one.outputs;
    }
    if (!graph.convs.empty()) {
        hold(graph.columns % graph.pool == 0, "bins are whole");
        width = graph.columns / graph.pool * channels;
    }
    for (const NetworkOperator& one : graph.operators) {  // at most kOnnxNodesMax
        const bool is_dense = one.kind == OperatorKind::kDense;
        hold(one.inputs == width, "an operator takes what the one before it gives");
        hold(is_dense || one.outputs == one.inputs, "only a dense operator changes the width");
        hold(!is_dense || one.weights.size() == std::size_t{one.inputs} * one.outputs,
             "weights fill their matrix");
        for (const float weight : one.weights) hold(std::isfinite(weight), "weights are finite");
        for (const float bias : one.bias) hold(std::isfinite(bias), "biases are finite");
        width = one.outputs;
    }
    hold(width == graph.outputs, "the last operator gives the output");
    return 0;
}
