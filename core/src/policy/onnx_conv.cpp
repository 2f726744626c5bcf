// The part of the chain before the first matrix: columns of channels, as SPEC's tactical networks
// have them, and the operators that only change how a sample is read.
//
// In memory a sample is columns (time) one after another, the channels of a column side by side.
// Exporters write Conv over [channels, columns]: a Transpose before it that moves nothing here.
#include <cmath>
#include <string>
#include <utility>

#include "gm/policy/network_plan.hpp"
#include "gm/policy/onnx_chain.hpp"

namespace gm {

namespace {

bool are_all(std::span<const std::int64_t> values, std::int64_t wanted) {
    for (const std::int64_t value : values) {  // at most kOnnxRankMax
        if (value != wanted) {
            return false;
        }
    }
    return true;
}

}  // namespace

// Constants broadcast over the input: kept for each value, until the first layer takes them in.
Failure ChainBuilder::apply_mul(const OnnxNode& node) {
    const OnnxTensor* row = floats(node, node.inputs[0] == current_ ? 1 : 0);
    if (row == nullptr || node.inputs.size() != 2 || !node.attributes.empty() || !has_batch_ ||
        !graph_.operators.empty() || !graph_.convs.empty()) {
        return refuse(node, "only of the input by a float32 constant");
    }
    const std::span<const std::uint32_t> sizes = view_.sizes();
    const std::size_t rank = sizes.size();
    const std::size_t extra = row->dims.size() > rank ? row->dims.size() - rank : 0;
    bool is_fitting = extra <= 1 && (extra == 0 || row->dims[0] == 1);
    std::vector<std::uint32_t> of_axis(rank, 1);
    for (std::size_t i = extra; i < row->dims.size(); ++i) {  // at most kOnnxRankMax
        const std::size_t axis = rank - row->dims.size() + i;
        of_axis[axis] = row->dims[i];
        is_fitting = is_fitting && (row->dims[i] == 1 || row->dims[i] == sizes[axis]);
    }
    if (!is_fitting || row->floats.empty()) {
        return refuse(node, "a constant that does not broadcast over the input");
    }
    if (scale_.empty()) {
        scale_.assign(graph_.inputs, 1.0F);
    }
    for (std::uint32_t i = 0; i < graph_.inputs; ++i) {
        std::uint32_t rest = i;
        std::uint32_t from = 0;
        std::uint32_t step = 1;
        for (std::size_t axis = rank; axis-- > 0;) {
            from += of_axis[axis] == 1 ? 0 : rest % sizes[axis] * step;
            step *= of_axis[axis];
            rest /= sizes[axis];
        }
        float& scale = scale_[view_.place_of(i)];
        scale *= row->floats[from];
        if (!std::isfinite(scale)) {
            return fail(Status::kBadNetwork, "a product of constants of Mul is not finite");
        }
    }
    return ok();
}

Failure ChainBuilder::apply_conv(const OnnxNode& node) {
    const OnnxTensor* weights = floats(node, 1);
    if (weights == nullptr || node.inputs.size() > 3 || weights->dims.size() != 3) {
        return refuse(node, "weights are not a float32 constant of three axes");
    }
    const std::uint32_t taps = weights->dims[2];
    std::span<const std::int64_t> kernel;
    std::span<const std::int64_t> pads;
    const bool is_plain = AttributeCheck(node)
                              .integer_is("group", 1, 1)
                              .text_is("auto_pad", "NOTSET")
                              .integers_are("strides", 1)
                              .integers_are("dilations", 1)
                              .integers("kernel_shape", kernel)
                              .integers("pads", pads)
                              .is_ok();
    if (!is_plain || taps % 2 == 0 || taps > kConvTapsMax || !are_all(kernel, taps) ||
        !are_all(pads, taps / 2) || (pads.empty() && taps != 1)) {
        return refuse(node, "wants an odd kernel of at most " + std::to_string(kConvTapsMax) +
                                ", pads of half of it, strides, dilations and group 1");
    }
    Failure failure = add_conv(node, *weights);
    if (!failure.is_ok() || !has_input(node, 2)) {
        return failure;
    }
    const OnnxTensor* bias = floats(node, 2);
    ConvLayer& conv = graph_.convs.back();
    if (bias == nullptr || bias->dims.size() != 1 || bias->dims[0] != conv.outputs) {
        return refuse(node, "bias is not one float32 row of " + std::to_string(conv.outputs));
    }
    conv.bias = bias->floats;
    return ok();
}

Failure ChainBuilder::add_conv(const OnnxNode& node, const OnnxTensor& weights) {
    const std::span<const std::uint32_t> sizes = view_.sizes();
    if (!has_batch_ || sizes.size() != 2 || !view_.has_channels_inside() || graph_.pool != 1 ||
        !graph_.operators.empty() || graph_.convs.size() == kConvLayersMax) {
        return refuse(node,
                      "wants (n, channels, columns) whose channels lie side by side, before "
                      "pools and matrices, at most " +
                          std::to_string(kConvLayersMax) + " times");
    }
    const std::uint32_t columns = sizes[1];
    ConvLayer conv{sizes[0], weights.dims[0], weights.dims[2], {}, {}, false};
    const std::uint64_t padded = (std::uint64_t{conv.outputs} + kLanes - 1) / kLanes * kLanes;
    weight_count_ += weights.floats.size();
    if (weights.dims[1] != conv.inputs || conv.outputs == 0 ||
        columns * padded > kNetworkWidthMax || weight_count_ > kOnnxWeightsMax) {
        return refuse(node, std::to_string(weights.dims[1]) + " to " +
                                std::to_string(conv.outputs) + " channels, must be from " +
                                std::to_string(conv.inputs) + ", and at most " +
                                std::to_string(kNetworkWidthMax) + " values of all columns");
    }
    conv.weights.resize(weights.floats.size());
    conv.bias.assign(conv.outputs, 0.0F);
    for (std::size_t m = 0; m < scale_.size(); ++m) {
        if (scale_[m] != scale_[m % conv.inputs]) {
            return refuse(node, "Mul before it must be by one constant a channel");
        }
    }
    for (std::size_t o = 0; o < conv.outputs; ++o) {
        for (std::size_t i = 0; i < conv.inputs; ++i) {
            const float scale = scale_.empty() ? 1.0F : scale_[i];
            for (std::size_t t = 0; t < conv.taps; ++t) {
                const float weight = weights.floats[(o * conv.inputs + i) * conv.taps + t] * scale;
                if (!std::isfinite(weight)) {
                    return fail(Status::kBadNetwork, "weight x constant of Mul is not finite");
                }
                conv.weights[(t * conv.inputs + i) * conv.outputs + o] = weight;
            }
        }
    }
    scale_.clear();
    graph_.columns = columns;
    // Memory [column][channel], read as [channel, column].
    view_ = OnnxView({columns, conv.outputs});
    graph_.convs.push_back(std::move(conv));
    constexpr std::int64_t kTurn[] = {0, 2, 1};
    return view_.transpose(kTurn) ? ok() : refuse(node, "two axes");
}

Failure ChainBuilder::apply_relu(const OnnxNode& node) {
    if (!graph_.operators.empty() || graph_.convs.empty()) {
        return apply_activation(node, OperatorKind::kRelu);
    }
    if (node.inputs.size() != 1 || !node.attributes.empty() || graph_.pool != 1 ||
        graph_.convs.back().has_relu) {
        return refuse(node, "once after a Conv, before its pool");
    }
    graph_.convs.back().has_relu = true;
    return ok();
}

Failure ChainBuilder::apply_pool(const OnnxNode& node) {
    std::span<const std::int64_t> kernel;
    std::span<const std::int64_t> strides;
    bool unused = false;  // without padding, both ways of counting and of rounding are one
    const bool is_plain = AttributeCheck(node)
                              .text_is("auto_pad", "NOTSET")
                              .flag("ceil_mode", unused)
                              .flag("count_include_pad", unused)
                              .integers_are("pads", 0)
                              .integers_are("dilations", 1)
                              .integers("kernel_shape", kernel)
                              .integers("strides", strides)
                              .is_ok();
    const std::size_t axes = view_.sizes().size();
    if (!is_plain || node.inputs.size() != 1 || !has_batch_ || graph_.convs.empty() ||
        !graph_.operators.empty() || graph_.pool != 1 || kernel.empty() ||
        kernel.size() != strides.size() || kernel.size() + 1 != axes ||
        !view_.has_channels_inside()) {
        return refuse(node, "once after the last Conv, over its columns, without padding");
    }
    const std::uint32_t columns = view_.sizes().back();
    const std::int64_t width = kernel.back();
    if (!are_all(kernel.first(axes - 2), 1) || !are_all(strides.first(axes - 2), 1) || width < 1 ||
        width > columns || columns % width != 0 || strides.back() != width) {
        return refuse(node, "wants a kernel that divides " + std::to_string(columns) +
                                " columns, and strides equal to it");
    }
    for (const std::uint32_t size : view_.sizes().subspan(1, axes - 2)) {
        if (size != 1) {
            return refuse(node, "over columns only");
        }
    }
    graph_.pool = static_cast<std::uint32_t>(width);
    const std::uint32_t channels = view_.sizes()[0];
    const std::uint32_t bins = columns / graph_.pool;
    OnnxView pooled({bins, channels});
    constexpr std::int64_t kTurn[] = {0, 2, 1};
    bool is_whole = pooled.transpose(kTurn);
    for (std::size_t i = 2; i < axes; ++i) {
        constexpr std::int64_t kMiddle[] = {2};
        is_whole = is_whole && pooled.unsqueeze(kMiddle);
    }
    view_ = std::move(pooled);
    return is_whole ? ok() : refuse(node, "axes");
}

Failure ChainBuilder::apply_view(const OnnxNode& node) {
    const std::string_view name = node.operator_name;
    AttributeCheck attributes(node);
    std::span<const std::int64_t> axes = integers(node, 1);
    bool is_done = false;
    if (!has_batch_) {
        return refuse(node, "wants a batch axis");
    }
    if (name == "Flatten") {
        is_done = node.inputs.size() == 1 && attributes.integer_is("axis", 1, 1).is_ok();
        if (is_done) {
            view_.flatten();
        }
    } else if (name == "Reshape") {
        bool allows_zero = false;
        is_done = node.inputs.size() == 2 && attributes.flag("allowzero", allows_zero).is_ok() &&
                  view_.reshape(axes, allows_zero);
    } else if (name == "Transpose") {
        is_done = node.inputs.size() == 1 && attributes.integers("perm", axes).is_ok() &&
                  view_.transpose(axes);
    } else {  // from opset 13 on axes are an input
        const bool is_input = node.inputs.size() == 2 && node.attributes.empty();
        const bool is_plain =
            is_input || (node.inputs.size() == 1 && attributes.integers("axes", axes).is_ok());
        is_done = is_plain && (name == "Squeeze" ? view_.squeeze(axes) : view_.unsqueeze(axes));
    }
    return is_done ? ok() : refuse(node, "not by these axes, sizes or attributes");
}

}  // namespace gm
