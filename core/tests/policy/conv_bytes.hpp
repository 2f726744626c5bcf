// SPEC's tactical networks as ONNX files, made by hand; see onnx_bytes.hpp.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/onnx_bytes.hpp"

namespace gm::test {

// x (n, columns, channels[0]) x weights -> Conv, Relu, ... -> AveragePool -> Gemm, Relu, ...
struct ConvNet {
    std::uint32_t columns = 60;
    std::vector<std::uint32_t> channels = {7, 32, 64};
    std::vector<std::uint32_t> taps = {3, 3};
    std::uint32_t pool = 4;                             // 0: none
    std::vector<std::uint32_t> widths = {256, 128, 3};  // after the pool
    std::uint32_t seed = 1;
    bool has_relu = true;
    bool has_scale = true;
    bool is_bin_major = true;      // a Transpose before Flatten
    bool has_planar_pool = false;  // Unsqueeze, AveragePool of two axes, Squeeze
    bool is_tail_rounded = false;  // weights after the pool are bfloat16 already
    float bias_shift = 0.0F;       // of convolutions; 3: most neurons active
};

class ConvWriter {
 public:
    explicit ConvWriter(const ConvNet& net) : net_(net), numbers_(net.seed) {}

    Bytes write() {
        graph_.inputs.push_back(value("x", {0, net_.columns, net_.channels[0]}));
        if (net_.has_scale) {
            add_tensor("scale", {net_.channels[0]}, numbers_.many(net_.channels[0], 0.5F), 1.0F);
            push("Mul", {"scale"});
        }
        push("Transpose", {}, {ints_attribute("perm", {0, 2, 1})});
        for (std::size_t i = 0; i < net_.taps.size(); ++i) {
            add_conv(i);
        }
        std::uint32_t bins = net_.columns;
        if (net_.pool != 0) {
            add_pool();
            bins /= net_.pool;
        }
        if (net_.is_bin_major) {
            push("Transpose", {}, {ints_attribute("perm", {0, 2, 1}, true)});
        }
        push("Flatten", {}, {int_attribute("axis", 1)});
        std::uint32_t inputs = bins * net_.channels.back();
        for (std::size_t i = 0; i < net_.widths.size(); ++i) {
            const std::string suffix = std::to_string(i);
            const std::uint32_t outputs = net_.widths[i];
            const float scale = 1.7F / std::sqrt(static_cast<float>(inputs));
            std::vector<float> weights = numbers_.many(std::size_t{inputs} * outputs, scale);
            for (float& one : weights) {
                one = net_.is_tail_rounded ? rounded_if_large(one, weights) : one;
            }
            add_tensor("w" + suffix, {outputs, inputs}, weights);
            add_tensor("b" + suffix, {outputs}, numbers_.many(outputs, 0.1F));
            push("Gemm", {"w" + suffix, "b" + suffix}, {int_attribute("transB", 1)});
            if (i + 1 < net_.widths.size()) {
                push("Relu");
            }
            inputs = outputs;
        }
        graph_.outputs.push_back(value(current_, {0, inputs}));
        return model(graph_);
    }

 private:
    void push(const std::string& name, std::vector<std::string> inputs = {},
              const std::vector<Bytes>& attributes = {}) {
        const std::string out = name + std::to_string(graph_.nodes.size());
        inputs.insert(inputs.begin(), current_);
        graph_.nodes.push_back(node(name, inputs, out, attributes));
        current_ = out;
    }

    void add_tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                    std::vector<float> values, float shift = 0.0F) {
        for (float& one : values) {
            one += shift;
        }
        graph_.tensors.push_back(tensor(name, dims, values));
    }

    void add_conv(std::size_t i) {
        const std::uint32_t inputs = net_.channels[i];
        const std::uint32_t outputs = net_.channels[i + 1];
        const std::uint32_t taps = net_.taps[i];
        const std::int64_t half = taps / 2;
        const std::string suffix = std::to_string(i);
        const float scale = 1.7F / std::sqrt(static_cast<float>(inputs * taps));
        add_tensor("k" + suffix, {outputs, inputs, taps},
                   numbers_.many(std::size_t{outputs} * inputs * taps, scale));
        add_tensor("c" + suffix, {outputs}, numbers_.many(outputs, 0.1F), net_.bias_shift);
        push("Conv", {"k" + suffix, "c" + suffix},
             {ints_attribute("pads", {half, half}), ints_attribute("kernel_shape", {taps}),
              ints_attribute("strides", {1}), ints_attribute("dilations", {1}),
              int_attribute("group", 1), text_attribute("auto_pad", "NOTSET")});
        if (net_.has_relu) {
            push("Relu");
        }
    }

    void add_pool() {
        const std::int64_t pool = net_.pool;
        if (!net_.has_planar_pool) {
            push("AveragePool", {},
                 {ints_attribute("kernel_shape", {pool}), ints_attribute("strides", {pool})});
            return;
        }
        graph_.tensors.push_back(int_tensor("axes", {-2}));
        push("Unsqueeze", {"axes"});
        push("AveragePool", {},
             {ints_attribute("kernel_shape", {1, pool}), ints_attribute("strides", {1, pool}),
              ints_attribute("pads", {0, 0, 0, 0}), int_attribute("ceil_mode", 0),
              int_attribute("count_include_pad", 1)});
        push("Squeeze", {"axes"});
    }

    ConvNet net_;
    Numbers numbers_;
    Graph graph_;
    std::string current_ = "x";
};

inline Bytes conv_model(const ConvNet& net) {
    return ConvWriter(net).write();
}

}  // namespace gm::test
