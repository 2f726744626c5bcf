// ONNX files made by hand, field by field, for the tests of this floor.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace gm::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes varint(std::uint64_t value) {
    Bytes out;
    for (; value >= 0x80; value >>= 7) {
        out.push_back(static_cast<std::uint8_t>(value | 0x80));
    }
    out.push_back(static_cast<std::uint8_t>(value));
    return out;
}

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

inline Bytes field(std::uint32_t number, std::uint64_t value) {
    return varint(number << 3) + varint(value);
}
inline Bytes field(std::uint32_t number, const Bytes& bytes) {
    return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
inline Bytes field(std::uint32_t number, const std::string& text) {
    return field(number, Bytes(text.begin(), text.end()));
}
inline Bytes field_float(std::uint32_t number, float value) {
    Bytes out(sizeof(value));
    std::memcpy(out.data(), &value, sizeof(value));
    return varint(number << 3 | 5) + out;
}

inline Bytes raw(const std::vector<float>& values) {
    Bytes out(values.size() * sizeof(float));
    if (!values.empty()) {
        std::memcpy(out.data(), values.data(), out.size());
    }
    return out;
}

inline Bytes tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                    const std::vector<float>& values, bool is_raw = true) {
    Bytes out;
    for (const std::uint64_t dim : dims) {
        out = out + field(1, dim);
    }
    return out + field(2, 1) + field(is_raw ? 9 : 4, raw(values)) + field(8, name);
}
inline Bytes int_tensor(const std::string& name, const std::vector<std::int64_t>& values) {
    Bytes packed;
    for (const std::int64_t value : values) {
        packed = packed + varint(static_cast<std::uint64_t>(value));
    }
    return field(1, values.size()) + field(2, 7) + field(7, packed) + field(8, name);
}

inline Bytes int_attribute(const std::string& name, std::int64_t value) {
    return field(1, name) + field(3, static_cast<std::uint64_t>(value)) + field(20, 2);
}
inline Bytes ints_attribute(const std::string& name, const std::vector<std::int64_t>& values,
                            bool is_packed = false) {
    Bytes out = field(1, name);
    Bytes packed;
    for (const std::int64_t value : values) {
        const Bytes one = varint(static_cast<std::uint64_t>(value));
        packed = packed + one;
        out = is_packed ? out : out + varint(8 << 3) + one;
    }
    return (is_packed ? out + field(8, packed) : out) + field(20, 7);
}
inline Bytes text_attribute(const std::string& name, const std::string& value) {
    return field(1, name) + field(4, value) + field(20, 3);
}
inline Bytes float_attribute(const std::string& name, float value) {
    return field(1, name) + field_float(2, value) + field(20, 1);
}

inline Bytes node(const std::string& operator_name, const std::vector<std::string>& inputs,
                  const std::string& output, const std::vector<Bytes>& attributes = {}) {
    Bytes out;
    for (const std::string& input : inputs) {
        out = out + field(1, input);
    }
    out = out + field(2, output) + field(4, operator_name);
    for (const Bytes& attribute : attributes) {
        out = out + field(5, attribute);
    }
    return out;
}

// A float32 graph input or output; dimension 0 is free ("n").
inline Bytes value(const std::string& name, const std::vector<std::uint64_t>& dims) {
    Bytes shape;
    for (const std::uint64_t dim : dims) {
        shape = shape + field(1, dim == 0 ? field(2, std::string("n")) : field(1, dim));
    }
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)));
}

struct Graph {
    std::vector<Bytes> nodes;
    std::vector<Bytes> tensors;
    std::vector<Bytes> inputs;
    std::vector<Bytes> outputs;
};

inline Bytes graph_bytes(const Graph& graph) {
    Bytes out;
    for (const Bytes& bytes : graph.nodes) {
        out = out + field(1, bytes);
    }
    out = out + field(2, std::string("graph"));
    for (const Bytes& bytes : graph.tensors) {
        out = out + field(5, bytes);
    }
    for (const Bytes& bytes : graph.inputs) {
        out = out + field(11, bytes);
    }
    for (const Bytes& bytes : graph.outputs) {
        out = out + field(12, bytes);
    }
    return out;
}
inline Bytes model(const Graph& graph, std::uint64_t opset = 17) {
    return field(1, 8) + field(7, graph_bytes(graph)) +
           field(8, field(1, std::string()) + field(2, opset));
}

// A stream of numbers in [-1, 1) that is the same everywhere.
class Numbers {
 public:
    explicit Numbers(std::uint32_t seed) : state_(seed * 2654435761U + 1U) {}
    float next() { return static_cast<float>(bits() >> 8) * 0x1p-23F - 1.0F; }
    std::uint32_t bits() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }
    std::vector<float> many(std::size_t count, float scale = 1.0F) {
        std::vector<float> out(count);
        for (float& number : out) {
            number = next() * scale;
        }
        return out;
    }

 private:
    std::uint32_t state_;
};

// The slow way to a bfloat16: eight bits of mantissa, ties to even.
inline float nearest_bfloat16(float value) {
    int exponent = 0;
    const float mantissa = std::frexp(value, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
}

inline float rounded_if_large(float value, const std::vector<float>& matrix) {
    return matrix.size() < 16384 ? value : nearest_bfloat16(value);
}

// Gemm, Relu, Gemm, ... of the given widths, with LayerNormalization after ReLU if wanted.
struct Layers {
    std::vector<std::uint32_t> widths;
    std::uint32_t seed = 1;
    bool has_norm = false;
    bool norm_comes_first = false;  // before ReLU
    bool is_tail_rounded = false;   // weights after the first matrix are bfloat16 already
    float bias_shift = 0.0F;        // 3: most neurons active
};

inline Bytes dense_model(const Layers& layers) {
    Numbers numbers(layers.seed);
    Graph graph;
    std::string current = "x";
    const auto push = [&](const std::string& name, std::vector<std::string> inputs) {
        const std::string out = name + std::to_string(graph.nodes.size());
        inputs.insert(inputs.begin(), current);
        graph.nodes.push_back(node(name, inputs, out));
        current = out;
    };
    for (std::size_t i = 0; i + 1 < layers.widths.size(); ++i) {
        const std::uint32_t inputs = layers.widths[i];
        const std::uint32_t outputs = layers.widths[i + 1];
        const std::string suffix = std::to_string(i);
        const float scale = 1.7F / std::sqrt(static_cast<float>(inputs));
        std::vector<float> weights = numbers.many(std::size_t{inputs} * outputs, scale);
        for (float& one : weights) {
            one = layers.is_tail_rounded && i > 0 ? rounded_if_large(one, weights) : one;
        }
        graph.tensors.push_back(tensor("w" + suffix, {inputs, outputs}, weights));
        std::vector<float> bias = numbers.many(outputs, 0.1F);
        for (float& one : bias) {
            one += layers.bias_shift;
        }
        graph.tensors.push_back(tensor("b" + suffix, {outputs}, bias));
        push("Gemm", {"w" + suffix, "b" + suffix});
        if (i + 2 == layers.widths.size()) {
            break;
        }
        std::vector<float> gamma = numbers.many(outputs, 0.3F);
        for (float& scale_value : gamma) {
            scale_value += 1.0F;
        }
        graph.tensors.push_back(tensor("g" + suffix, {outputs}, gamma));
        graph.tensors.push_back(tensor("o" + suffix, {outputs}, numbers.many(outputs, 0.2F)));
        if (layers.has_norm && layers.norm_comes_first) {
            push("LayerNormalization", {"g" + suffix, "o" + suffix});
        }
        push("Relu", {});
        if (layers.has_norm && !layers.norm_comes_first) {
            push("LayerNormalization", {"g" + suffix, "o" + suffix});
        }
    }
    graph.inputs.push_back(value("x", {0, layers.widths.front()}));
    graph.outputs.push_back(value(current, {0, layers.widths.back()}));
    return model(graph);
}

}  // namespace gm::test
