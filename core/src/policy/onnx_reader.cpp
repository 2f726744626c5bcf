// The graph followed from its one input to its one output, one operator at a time.
//
// A chain is all there is: a node must read what the node before it wrote, and everything else it
// reads must be a constant, so a branch, a skip or a loop is refused where it begins.
#include "gm/policy/onnx_reader.hpp"

#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "gm/policy/onnx_chain.hpp"
#include "gm/policy/onnx_model.hpp"

namespace gm {

Failure ChainBuilder::refuse(const OnnxNode& node, const std::string& why) const {
    return fail(Status::kUnsupportedNetwork,
                "operator " + quote_onnx_name(node.operator_name) + ": " + why);
}

bool ChainBuilder::read_row(const OnnxTensor& tensor, std::vector<float>& out) const {
    const std::uint32_t width = view_.width();
    std::size_t leading = 1;
    for (std::size_t i = 0; i + 1 < tensor.dims.size(); ++i) {  // at most kOnnxRankMax
        leading *= tensor.dims[i];
    }
    if (leading != 1 || tensor.dims.size() > 2 ||
        (tensor.floats.size() != 1 && tensor.floats.size() != width)) {
        return false;
    }
    if (tensor.floats.size() == 1) {
        out.assign(width, tensor.floats[0]);
    } else {
        out = tensor.floats;
    }
    return true;
}

Failure ChainBuilder::add_dense(const OnnxNode& node, const OnnxTensor& weights,
                                bool is_transposed) {
    if (!view_.is_flat() || weights.dims.size() != 2 || is_at_end()) {
        return refuse(node, "wants rows and a matrix, before a Softmax");
    }
    const std::uint32_t inputs = weights.dims[is_transposed ? 1 : 0];
    const std::uint32_t outputs = weights.dims[is_transposed ? 0 : 1];
    if (inputs != view_.width() || outputs == 0) {
        return refuse(node, "matrix of " + std::to_string(inputs) + " inputs for rows of " +
                                std::to_string(view_.width()));
    }
    weight_count_ += weights.floats.size();
    if (outputs > kNetworkWidthMax || weight_count_ > kOnnxWeightsMax) {
        return refuse(node, "width " + std::to_string(outputs) + ", at most " +
                                std::to_string(kNetworkWidthMax) + ", and at most " +
                                std::to_string(kOnnxWeightsMax) + " weights in all");
    }
    NetworkOperator dense{OperatorKind::kDense, inputs, outputs, {}, {}, 0.0F};
    dense.weights.resize(weights.floats.size());
    for (std::uint32_t i = 0; i < inputs; ++i) {
        const std::size_t place = view_.place_of(i);
        const float scale = scale_.empty() ? 1.0F : scale_[place];
        for (std::size_t o = 0; o < outputs; ++o) {
            const float weight =
                weights.floats[is_transposed ? o * inputs + i : i * outputs + o] * scale;
            if (!std::isfinite(weight)) {
                return fail(Status::kBadNetwork, "weight x constant of Mul is not finite");
            }
            dense.weights[place * outputs + o] = weight;
        }
    }
    dense.bias.assign(outputs, 0.0F);
    graph_.operators.push_back(std::move(dense));
    view_ = OnnxView({outputs});
    scale_.clear();
    has_bias_ = false;
    return ok();
}

Failure ChainBuilder::apply_gemm(const OnnxNode& node) {
    bool is_transposed = false;
    const bool is_plain = AttributeCheck(node)
                              .number_is("alpha", 1.0F)
                              .number_is("beta", 1.0F)
                              .integer_is("transA", 0, 0)
                              .flag("transB", is_transposed)
                              .is_ok();
    if (!is_plain || !is_flat()) {
        return refuse(node, "wants alpha = beta = 1, transA = 0 and a batch of rows");
    }
    const OnnxTensor* weights = floats(node, 1);
    if (weights == nullptr || node.inputs.size() > 3) {
        return refuse(node, "weights are not a float32 constant");
    }
    Failure failure = add_dense(node, *weights, is_transposed);
    if (!failure.is_ok() || !has_input(node, 2)) {
        return failure;
    }
    const OnnxTensor* bias = floats(node, 2);
    if (bias == nullptr || !read_row(*bias, graph_.operators.back().bias)) {
        return refuse(node, "bias is not one float32 row");
    }
    has_bias_ = true;
    return ok();
}

Failure ChainBuilder::apply_matmul(const OnnxNode& node) {
    const OnnxTensor* weights = floats(node, 1);
    if (weights == nullptr || node.inputs.size() != 2 || !node.attributes.empty()) {
        return refuse(node, "weights are not a float32 constant");
    }
    return add_dense(node, *weights, false);
}

Failure ChainBuilder::apply_add(const OnnxNode& node) {
    if (node.inputs.size() != 2 || !node.attributes.empty() || graph_.operators.empty() ||
        graph_.operators.back().kind != OperatorKind::kDense || has_bias_) {
        return refuse(node, "only as the bias of a MatMul or Gemm before it");
    }
    const OnnxTensor* bias = floats(node, node.inputs[0] == current_ ? 1 : 0);
    if (bias == nullptr || !read_row(*bias, graph_.operators.back().bias)) {
        return refuse(node, "bias is not one float32 row");
    }
    has_bias_ = true;
    return ok();
}

Failure ChainBuilder::apply_activation(const OnnxNode& node, OperatorKind kind) {
    if (node.inputs.size() != 1 || !node.attributes.empty() || graph_.operators.empty() ||
        is_at_end()) {
        return refuse(node, "wants one input, after a Gemm or MatMul and before a Softmax");
    }
    graph_.operators.push_back({kind, view_.width(), view_.width(), {}, {}, 0.0F});
    return ok();
}

// Before opset 13 the default axis is 1; of rows that is the last one too.
Failure ChainBuilder::apply_softmax(const OnnxNode& node) {
    if (node.inputs.size() != 1 || graph_.operators.empty() || !is_flat() || is_at_end() ||
        !AttributeCheck(node).integer_is("axis", -1, 1).is_ok()) {
        return refuse(node, "only over the last axis of rows, once, after a Gemm or MatMul");
    }
    graph_.operators.push_back(
        {OperatorKind::kSoftmax, view_.width(), view_.width(), {}, {}, 0.0F});
    return ok();
}

Failure ChainBuilder::apply_layer_norm(const OnnxNode& node) {
    NetworkOperator norm{OperatorKind::kLayerNorm, view_.width(), view_.width(), {}, {}, 1e-5F};
    const bool is_plain = AttributeCheck(node)
                              .integer_is("axis", -1, 1)
                              .integer_is("stash_type", 1, 1)
                              .number("epsilon", norm.epsilon)
                              .is_ok();
    if (!is_plain || graph_.operators.empty() || !is_flat() || is_at_end() ||
        !(norm.epsilon > 0.0F) || norm.epsilon > 1.0F) {
        return refuse(node, "wants the last axis of rows, epsilon in (0, 1], after a Gemm");
    }
    const OnnxTensor* scale = floats(node, 1);
    norm.bias.assign(view_.width(), 0.0F);
    if (scale == nullptr || node.inputs.size() > 3 || !read_row(*scale, norm.weights)) {
        return refuse(node, "scale is not one float32 row");
    }
    if (has_input(node, 2)) {
        const OnnxTensor* bias = floats(node, 2);
        if (bias == nullptr || !read_row(*bias, norm.bias)) {
            return refuse(node, "bias is not one float32 row");
        }
    }
    weight_count_ += norm.weights.size();
    graph_.operators.push_back(std::move(norm));
    return ok();
}

Failure ChainBuilder::apply(const OnnxNode& node) {
    struct Known {
        std::string_view name;
        Failure (ChainBuilder::*apply)(const OnnxNode&);
    };
    static constexpr Known kKnown[] = {
        {"Gemm", &ChainBuilder::apply_gemm},
        {"MatMul", &ChainBuilder::apply_matmul},
        {"Add", &ChainBuilder::apply_add},
        {"Mul", &ChainBuilder::apply_mul},
        {"Conv", &ChainBuilder::apply_conv},
        {"AveragePool", &ChainBuilder::apply_pool},
        {"Relu", &ChainBuilder::apply_relu},
        {"LayerNormalization", &ChainBuilder::apply_layer_norm},
        {"Softmax", &ChainBuilder::apply_softmax},
        {"Transpose", &ChainBuilder::apply_view},
        {"Unsqueeze", &ChainBuilder::apply_view},
        {"Squeeze", &ChainBuilder::apply_view},
        {"Flatten", &ChainBuilder::apply_view},
        {"Reshape", &ChainBuilder::apply_view},
    };
    for (const Known& known : kKnown) {
        if (node.operator_name == known.name) {
            return (this->*known.apply)(node);
        }
    }
    if (node.operator_name == "Tanh") {
        return apply_activation(node, OperatorKind::kTanh);
    }
    if (node.operator_name == "Identity" && node.inputs.size() == 1 && node.attributes.empty()) {
        return ok();
    }
    return refuse(node, "not in the native set");
}

Failure ChainBuilder::follow(const OnnxNode& node) {
    if (node.inputs.empty() || node.outputs.empty()) {
        return refuse(node, "wants inputs and outputs");
    }
    const bool has_order = node.operator_name != "Add" && node.operator_name != "Mul";
    const bool is_second = !has_order && node.inputs.size() == 2 && node.inputs[1] == current_;
    if (node.inputs[0] != current_ && !is_second) {
        return refuse(node, "the graph is not one chain");
    }
    Failure failure = apply(node);
    if (!failure.is_ok()) {
        return failure;
    }
    for (std::size_t i = 1; i < node.outputs.size(); ++i) {  // at most 16
        if (!node.outputs[i].empty()) {
            return refuse(node, "more than one output");
        }
    }
    current_ = node.outputs[0];
    bool is_fresh = !current_.empty() && model_.find_tensor(current_) == nullptr;
    for (const std::string_view name : written_) {  // at most kOnnxNodesMax
        is_fresh = is_fresh && name != current_;
    }
    written_.push_back(current_);
    return is_fresh ? ok()
                    : fail(Status::kBadNetwork, "two values named " + quote_onnx_name(current_));
}

// The one input that no initializer stands for.
Failure ChainBuilder::enter() {
    const OnnxValue* input = nullptr;
    for (const OnnxValue& value : model_.inputs) {  // at most kOnnxTensorsMax
        if (model_.find_tensor(value.name) != nullptr) {
            continue;
        }
        if (input != nullptr) {
            return fail(Status::kUnsupportedNetwork, "more than one input");
        }
        input = &value;
    }
    if (input == nullptr || input->name.empty() || !input->is_float || input->dims.empty()) {
        return fail(Status::kUnsupportedNetwork, "no float32 input with a shape");
    }
    has_batch_ = input->dims.size() > 1;
    std::vector<std::uint32_t>& shape = graph_.input_shape;
    std::uint64_t count = 1;
    for (std::size_t i = has_batch_ ? 1 : 0; i < input->dims.size(); ++i) {  // at most 8
        const std::uint32_t size = input->dims[i].size;
        count *= size;
        if (count == 0 || count > kNetworkInputsMax) {
            return fail(Status::kUnsupportedNetwork,
                        "input of a free size, or over " + std::to_string(kNetworkInputsMax));
        }
        shape.push_back(size);
    }
    if (has_batch_ && input->dims[0].size > 1) {
        return fail(
            Status::kUnsupportedNetwork,
            "batch fixed at " + std::to_string(input->dims[0].size) + ", must be free or 1");
    }
    view_ = OnnxView(shape);
    graph_.inputs = static_cast<std::uint32_t>(count);
    current_ = input->name;
    written_.push_back(current_);
    return ok();
}

Failure ChainBuilder::leave() {
    if (model_.outputs.size() != 1 || model_.outputs[0].name != current_) {
        return fail(Status::kUnsupportedNetwork, "the graph's one output is not the chain's end");
    }
    if (graph_.operators.empty() || !view_.is_flat()) {
        return fail(Status::kUnsupportedNetwork, "no Gemm or MatMul that gives rows");
    }
    graph_.outputs = view_.width();
    return ok();
}

Failure ChainBuilder::build() {
    Failure failure = enter();
    for (std::size_t i = 0; failure.is_ok() && i < model_.nodes.size(); ++i) {
        if (model_.nodes[i].operator_name != "Constant") {
            failure = follow(model_.nodes[i]);
        }
    }
    return failure.is_ok() ? leave() : failure;
}

Failure read_onnx(std::span<const std::uint8_t> file, NetworkGraph& out) {
    out = {};
    OnnxModel model;
    Failure failure = parse_onnx(file, model);
    return failure.is_ok() ? ChainBuilder(model, out).build() : failure;
}

}  // namespace gm
