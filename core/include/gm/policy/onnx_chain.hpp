// The walk along the nodes of one graph; private to the reader's two files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gm/policy/onnx_model.hpp"
#include "gm/policy/onnx_reader.hpp"
#include "gm/policy/onnx_view.hpp"

namespace gm {

inline constexpr std::size_t kOnnxWeightsMax = kOnnxBytesMax / sizeof(float);  // in all

class ChainBuilder {
 public:
    ChainBuilder(const OnnxModel& model, NetworkGraph& graph) : model_(model), graph_(graph) {}

    Failure build();

 private:
    Failure enter();
    Failure leave();
    Failure follow(const OnnxNode& node);
    Failure apply(const OnnxNode& node);
    // onnx_reader.cpp: rows and matrices.
    Failure apply_gemm(const OnnxNode& node);
    Failure apply_matmul(const OnnxNode& node);
    Failure apply_add(const OnnxNode& node);
    Failure apply_activation(const OnnxNode& node, OperatorKind kind);
    Failure apply_layer_norm(const OnnxNode& node);
    Failure apply_softmax(const OnnxNode& node);
    Failure add_dense(const OnnxNode& node, const OnnxTensor& weights, bool is_transposed);
    // onnx_conv.cpp: columns of channels, and what only changes the view.
    Failure apply_mul(const OnnxNode& node);
    Failure apply_conv(const OnnxNode& node);
    Failure apply_relu(const OnnxNode& node);
    Failure apply_pool(const OnnxNode& node);
    Failure apply_view(const OnnxNode& node);
    Failure add_conv(const OnnxNode& node, const OnnxTensor& weights);
    Failure refuse(const OnnxNode& node, const std::string& why) const;

    [[nodiscard]] const OnnxTensor* floats(const OnnxNode& node, std::size_t index) const {
        const OnnxTensor* tensor =
            index < node.inputs.size() ? model_.find_tensor(node.inputs[index]) : nullptr;
        return tensor != nullptr && tensor->element == OnnxElement::kFloat ? tensor : nullptr;
    }
    // A constant list of integers; empty where there is none.
    [[nodiscard]] std::span<const std::int64_t> integers(const OnnxNode& node,
                                                         std::size_t index) const {
        const OnnxTensor* tensor =
            index < node.inputs.size() ? model_.find_tensor(node.inputs[index]) : nullptr;
        return tensor != nullptr && tensor->dims.size() == 1 ? std::span(tensor->ints)
                                                             : std::span<const std::int64_t>{};
    }
    // One row for all samples: [width], [1, width], or one value for all.
    [[nodiscard]] bool read_row(const OnnxTensor& tensor, std::vector<float>& out) const;
    [[nodiscard]] static bool has_input(const OnnxNode& node, std::size_t index) {
        return index < node.inputs.size() && !node.inputs[index].empty();
    }
    [[nodiscard]] bool is_flat() const { return has_batch_ && view_.is_flat(); }
    [[nodiscard]] bool is_at_end() const {
        return !graph_.operators.empty() && graph_.operators.back().kind == OperatorKind::kSoftmax;
    }

    const OnnxModel& model_;
    NetworkGraph& graph_;
    std::string_view current_;
    std::vector<std::string_view> written_;
    OnnxView view_;             // of one sample
    std::vector<float> scale_;  // of each value in memory, until a matrix takes it; or empty
    std::size_t weight_count_ = 0;
    bool has_batch_ = true;
    bool has_bias_ = true;  // of the last operator, if it is dense
};

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
    AttributeCheck& text_is(std::string_view name, std::string_view wanted) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kString)) {
            is_ok_ = is_ok_ && found->text == wanted;
        }
        return *this;
    }
    AttributeCheck& integers(std::string_view name, std::span<const std::int64_t>& out) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kInts)) {
            out = found->integers;
        }
        return *this;
    }
    AttributeCheck& integers_are(std::string_view name, std::int64_t wanted) {
        if (const OnnxAttribute* found = take(name, OnnxAttributeType::kInts)) {
            for (const std::int64_t one : found->integers) {  // at most kOnnxRankMax
                is_ok_ = is_ok_ && one == wanted;
            }
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

}  // namespace gm
