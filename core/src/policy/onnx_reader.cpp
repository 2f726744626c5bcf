// The graph followed from its one input to its one output, one operator at a time.
//
// A chain is all there is: a node must read what the node before it wrote, and everything else it
// reads must be a constant, so a branch, a skip or a loop is refused where it begins.
#include "gm/policy/onnx_reader.hpp"

#include <string>
#include <string_view>

#include "gm/policy/onnx_model.hpp"

namespace gm {

namespace {

constexpr std::size_t kWeightsMax = kOnnxBytesMax / sizeof(float);  // of all operators together

class ChainBuilder {
 public:
    ChainBuilder(const OnnxModel& model, NetworkGraph& graph) : model_(model), graph_(graph) {}

    Failure build();

 private:
    Failure enter();
    Failure leave();
    Failure follow(const OnnxNode& node);
    Failure apply(const OnnxNode& node);
    Failure apply_gemm(const OnnxNode& node);
    Failure apply_matmul(const OnnxNode& node);
    Failure apply_add(const OnnxNode& node);
    Failure apply_activation(const OnnxNode& node, OperatorKind kind);
    Failure apply_layer_norm(const OnnxNode& node);
    Failure apply_flatten(const OnnxNode& node);
    Failure apply_reshape(const OnnxNode& node);
    Failure add_dense(const OnnxNode& node, const OnnxTensor& weights, bool is_transposed);
    Failure refuse(const OnnxNode& node, const std::string& why) const;

    [[nodiscard]] const OnnxTensor* floats(const OnnxNode& node, std::size_t index) const {
        const OnnxTensor* tensor =
            index < node.inputs.size() ? model_.find_tensor(node.inputs[index]) : nullptr;
        return tensor != nullptr && tensor->element == OnnxElement::kFloat ? tensor : nullptr;
    }
    // One row for all samples: [width], [1, width], or one value for all.
    [[nodiscard]] bool read_row(const OnnxTensor& tensor, std::vector<float>& out) const;
    [[nodiscard]] bool has_input(const OnnxNode& node, std::size_t index) const {
        return index < node.inputs.size() && !node.inputs[index].empty();
    }
    [[nodiscard]] bool is_flat() const { return has_batch_ && shape_.size() == 1; }

    const OnnxModel& model_;
    NetworkGraph& graph_;
    std::string_view current_;
    std::vector<std::string_view> written_;
    std::vector<std::uint32_t> shape_;  // of one sample
    std::size_t weight_count_ = 0;
    bool has_batch_ = true;
    bool has_bias_ = true;  // of the last operator, if it is dense
};

Failure ChainBuilder::refuse(const OnnxNode& node, const std::string& why) const {
    return fail(Status::kUnsupportedNetwork,
                "operator " + quote_onnx_name(node.operator_name) + ": " + why);
}

// Attributes of one node, each of which must be known, of its type, and at a supported value.
class AttributeCheck {
 public:
    explicit AttributeCheck(const OnnxNode& node) : node_(node) {}

    AttributeCheck& number_is(std::string_view name, float wanted) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kFloat)) {
            is_ok_ = is_ok_ && found->number == wanted;
        }
        return *this;
    }
    AttributeCheck& number(std::string_view name, float& out) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kFloat)) {
            out = found->number;
        }
        return *this;
    }
    AttributeCheck& integer_is(std::string_view name, std::int64_t first, std::int64_t second) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kInt)) {
            is_ok_ = is_ok_ && (found->integer == first || found->integer == second);
        }
        return *this;
    }
    AttributeCheck& flag(std::string_view name, bool& out) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kInt)) {
            is_ok_ = is_ok_ && (found->integer == 0 || found->integer == 1);
            out = found->integer == 1;
        }
        return *this;
    }
    [[nodiscard]] bool is_ok() const { return is_ok_ && taken_ == node_.attributes.size(); }

 private:
    const OnnxAttribute* take(std::string_view name, OnnxAttributeType type) {
        for (const OnnxAttribute& attribute : node_.attributes) {  // at most 16
            if (attribute.name == name && attribute.type == type) {
                ++taken_;
                return &attribute;
            }
        }
        return nullptr;
    }

    const OnnxNode& node_;
    std::size_t taken_ = 0;
    bool is_ok_ = true;
};

bool ChainBuilder::read_row(const OnnxTensor& tensor, std::vector<float>& out) const {
    const std::uint32_t width = shape_.back();
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
    if (shape_.size() != 1 || weights.dims.size() != 2) {
        return refuse(node, "wants rows and a matrix");
    }
    const std::uint32_t inputs = weights.dims[is_transposed ? 1 : 0];
    const std::uint32_t outputs = weights.dims[is_transposed ? 0 : 1];
    if (inputs != shape_[0] || outputs == 0) {
        return refuse(node, "matrix of " + std::to_string(inputs) + " inputs for rows of " +
                                std::to_string(shape_[0]));
    }
    weight_count_ += weights.floats.size();
    if (outputs > kNetworkWidthMax || weight_count_ > kWeightsMax) {
        return refuse(node, "width " + std::to_string(outputs) + ", at most " +
                                std::to_string(kNetworkWidthMax) + ", and at most " +
                                std::to_string(kWeightsMax) + " weights in all");
    }
    NetworkOperator dense{OperatorKind::kDense, inputs, outputs, {}, {}, 0.0F};
    dense.weights.resize(weights.floats.size());
    for (std::size_t i = 0; i < inputs; ++i) {
        for (std::size_t o = 0; o < outputs; ++o) {
            dense.weights[i * outputs + o] =
                weights.floats[is_transposed ? o * inputs + i : i * outputs + o];
        }
    }
    dense.bias.assign(outputs, 0.0F);
    graph_.operators.push_back(std::move(dense));
    shape_ = {outputs};
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
    if (node.inputs.size() != 1 || !node.attributes.empty() || graph_.operators.empty()) {
        return refuse(node, "wants one input, after a Gemm or MatMul");
    }
    graph_.operators.push_back({kind, shape_[0], shape_[0], {}, {}, 0.0F});
    return ok();
}

Failure ChainBuilder::apply_layer_norm(const OnnxNode& node) {
    NetworkOperator norm{OperatorKind::kLayerNorm, shape_[0], shape_[0], {}, {}, 1e-5F};
    const bool is_plain = AttributeCheck(node)
                              .integer_is("axis", -1, 1)
                              .integer_is("stash_type", 1, 1)
                              .number("epsilon", norm.epsilon)
                              .is_ok();
    if (!is_plain || graph_.operators.empty() || !is_flat() || !(norm.epsilon > 0.0F) ||
        norm.epsilon > 1.0F) {
        return refuse(node, "wants the last axis of rows, epsilon in (0, 1], after a Gemm");
    }
    const OnnxTensor* scale = floats(node, 1);
    norm.bias.assign(shape_[0], 0.0F);
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

Failure ChainBuilder::apply_flatten(const OnnxNode& node) {
    if (node.inputs.size() != 1 || !has_batch_ ||
        !AttributeCheck(node).integer_is("axis", 1, 1).is_ok()) {
        return refuse(node, "only with axis 1");
    }
    shape_ = {graph_.operators.empty() ? graph_.inputs : shape_[0]};
    return ok();
}

Failure ChainBuilder::apply_reshape(const OnnxNode& node) {
    const OnnxTensor* target =
        node.inputs.size() == 2 ? model_.find_tensor(node.inputs[1]) : nullptr;
    const std::uint32_t width = graph_.operators.empty() ? graph_.inputs : shape_[0];
    if (target == nullptr || target->ints.size() != 2 || target->dims.size() != 1 || !has_batch_ ||
        !AttributeCheck(node).integer_is("allowzero", 0, 0).is_ok()) {
        return refuse(node, "only to rows, by a constant");
    }
    const std::int64_t batch = target->ints[0];
    const std::int64_t columns = target->ints[1];
    const bool keeps_batch = batch == 0 || batch == 1 || (batch == -1 && columns != -1);
    if (!keeps_batch || (columns != -1 && columns != width)) {
        return refuse(node, "only to rows of " + std::to_string(width));
    }
    shape_ = {width};
    return ok();
}

Failure ChainBuilder::apply(const OnnxNode& node) {
    const std::string_view name = node.operator_name;
    if (name == "Gemm") {
        return apply_gemm(node);
    }
    if (name == "MatMul") {
        return apply_matmul(node);
    }
    if (name == "Add") {
        return apply_add(node);
    }
    if (name == "Relu") {
        return apply_activation(node, OperatorKind::kRelu);
    }
    if (name == "Tanh") {
        return apply_activation(node, OperatorKind::kTanh);
    }
    if (name == "LayerNormalization") {
        return apply_layer_norm(node);
    }
    if (name == "Flatten") {
        return apply_flatten(node);
    }
    if (name == "Reshape") {
        return apply_reshape(node);
    }
    if (name == "Identity" && node.inputs.size() == 1 && node.attributes.empty()) {
        return ok();
    }
    return refuse(node, "not in the native set");
}

Failure ChainBuilder::follow(const OnnxNode& node) {
    if (node.inputs.empty() || node.outputs.empty()) {
        return refuse(node, "wants inputs and outputs");
    }
    const bool is_second_of_add = node.operator_name == "Add" && node.inputs.size() == 2 &&
                                  node.inputs[1] == current_ && node.inputs[0] != current_;
    if (node.inputs[0] != current_ && !is_second_of_add) {
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
    std::uint64_t count = 1;
    for (std::size_t i = has_batch_ ? 1 : 0; i < input->dims.size(); ++i) {  // at most 8
        const std::uint32_t size = input->dims[i].size;
        count *= size;
        if (count == 0 || count > kNetworkInputsMax) {
            return fail(Status::kUnsupportedNetwork,
                        "input of a free size, or over " + std::to_string(kNetworkInputsMax));
        }
        shape_.push_back(size);
    }
    if (has_batch_ && input->dims[0].size > 1) {
        return fail(
            Status::kUnsupportedNetwork,
            "batch fixed at " + std::to_string(input->dims[0].size) + ", must be free or 1");
    }
    graph_.input_shape = shape_;
    graph_.inputs = static_cast<std::uint32_t>(count);
    current_ = input->name;
    written_.push_back(current_);
    return ok();
}

Failure ChainBuilder::leave() {
    if (model_.outputs.size() != 1 || model_.outputs[0].name != current_) {
        return fail(Status::kUnsupportedNetwork, "the graph's one output is not the chain's end");
    }
    if (graph_.operators.empty()) {
        return fail(Status::kUnsupportedNetwork, "no Gemm or MatMul");
    }
    graph_.outputs = shape_[0];
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

}  // namespace

Failure read_onnx(std::span<const std::uint8_t> file, NetworkGraph& out) {
    out = {};
    OnnxModel model;
    Failure failure = parse_onnx(file, model);
    return failure.is_ok() ? ChainBuilder(model, out).build() : failure;
}

}  // namespace gm
