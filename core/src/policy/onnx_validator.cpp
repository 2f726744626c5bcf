// One pass over model, graph, nodes, attributes and tensors, each a loop over its fields.
#include "gm/policy/onnx_validator.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "gm/policy/onnx_model.hpp"
#include "gm/policy/onnx_reader.hpp"
#include "gm/policy/onnx_tensor.hpp"
#include "gm/policy/protobuf_reader.hpp"

namespace gm {

namespace {

using Bytes = std::span<const std::uint8_t>;

// Arithmetic and views of tensors: no control flow, no randomness, no strings, no sequences.
constexpr std::string_view kOperators[] = {
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "Cos",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pad",
    "Pow",
    "PRelu",
    "Range",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Where",
};

// Values of TensorProto.DataType.
constexpr std::uint64_t kFloat = 1;
constexpr std::uint64_t kInt32 = 6;
constexpr std::uint64_t kInt64 = 7;
constexpr std::uint64_t kBool = 9;

Failure bad(std::string text) {
    return fail(Status::kBadNetwork, std::move(text));
}

bool are_finite(Bytes bytes) {
    for (std::size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
        float value = 0.0F;
        std::memcpy(&value, bytes.data() + at, sizeof(value));
        if (!std::isfinite(value)) {
            return false;
        }
    }
    return true;
}

Failure validate_tensor(Bytes bytes) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    std::string_view name;
    std::uint64_t element = 0;
    bool is_external = false;
    bool is_finite = true;
    Bytes raw;
    while (reader.next(field)) {  // each turn consumes bytes
        if (field.is(8, WireType::kBytes)) {
            name = field.text();
        } else if (field.is(2, WireType::kVarint)) {
            element = field.value;
        } else if (field.is(9, WireType::kBytes)) {
            raw = field.bytes;
        } else if (field.is(4, WireType::kBytes)) {
            is_finite = is_finite && are_finite(field.bytes);
        } else if (field.is(4, WireType::kFixed32)) {
            is_finite =
                is_finite &&
                std::isfinite(std::bit_cast<float>(static_cast<std::uint32_t>(field.value)));
        } else if (field.number == 13 || (field.number == 14 && field.value != 0) ||
                   field.is(14, WireType::kBytes)) {
            is_external = true;
        }
    }
    if (reader.is_bad()) {
        return malformed_onnx("tensor");
    }
    if (is_external) {
        return bad("external data of tensor " + quote_onnx_name(name));
    }
    if (element != kFloat && element != kInt32 && element != kInt64 && element != kBool) {
        return bad("element type " + std::to_string(element) + " of tensor " +
                   quote_onnx_name(name) + ", must be float32, int32, int64 or bool");
    }
    if (!is_finite || (element == kFloat && !are_finite(raw))) {
        return bad("a value of tensor " + quote_onnx_name(name) + " is not finite");
    }
    return ok();
}

Failure validate_attribute(Bytes bytes) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    std::string_view name;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(1, WireType::kBytes)) {
            name = field.text();
        } else if (field.is(5, WireType::kBytes) || field.is(10, WireType::kBytes)) {
            failure = validate_tensor(field.bytes);
        } else if (field.number == 6 || field.number == 11) {
            failure = bad("attribute " + quote_onnx_name(name) + " holds a graph");
        } else if (field.number == 21) {
            failure = bad("attribute " + quote_onnx_name(name) + " refers to a function's");
        } else if (field.number == 22 || field.number == 23) {
            failure = bad("attribute " + quote_onnx_name(name) + " holds a sparse tensor");
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of_onnx(reader, "attribute");
}

Failure validate_operator(std::string_view name, std::string_view domain) {
    if (!domain.empty() && domain != "ai.onnx") {
        return bad("operator " + quote_onnx_name(name) + " of domain " + quote_onnx_name(domain));
    }
    for (const std::string_view known : kOperators) {
        if (name == known) {
            return ok();
        }
    }
    return bad("operator " + quote_onnx_name(name) + " is not on the list of allowed ones");
}

Failure validate_node(Bytes bytes) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    std::string_view name;
    std::string_view domain;
    Failure inside;
    while (reader.next(field)) {  // each turn consumes bytes
        if (field.is(4, WireType::kBytes)) {
            name = field.text();
        } else if (field.is(7, WireType::kBytes)) {
            domain = field.text();
        } else if (field.is(5, WireType::kBytes)) {
            inside = validate_attribute(field.bytes);
            if (!inside.is_ok()) {
                return bad("operator " + quote_onnx_name(name) + ": " + inside.text);
            }
        }
    }
    return reader.is_bad() ? malformed_onnx("node") : validate_operator(name, domain);
}

Failure validate_graph(Bytes bytes) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    std::size_t nodes = 0;
    std::size_t tensors = 0;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(1, WireType::kBytes)) {
            failure = ++nodes > kOnnxNodesMax
                          ? bad("more than " + std::to_string(kOnnxNodesMax) + " nodes")
                          : validate_node(field.bytes);
        } else if (field.is(5, WireType::kBytes)) {
            failure = ++tensors > kOnnxTensorsMax
                          ? bad("more than " + std::to_string(kOnnxTensorsMax) + " tensors")
                          : validate_tensor(field.bytes);
        } else if (field.number == 15) {
            failure = bad("sparse initializers");
        } else if (field.number == 14) {
            failure = bad("quantisation annotations");
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of_onnx(reader, "graph");
}

}  // namespace

Failure validate_onnx(Bytes file) {
    if (file.size() > kOnnxBytesMax) {
        return bad("ONNX file of " + std::to_string(file.size()) + " bytes, at most " +
                   std::to_string(kOnnxBytesMax));
    }
    ProtobufReader reader(file);
    ProtobufField field;
    bool has_graph = false;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(7, WireType::kBytes)) {
            failure = has_graph ? malformed_onnx("two graphs") : validate_graph(field.bytes);
            has_graph = true;
        } else if (field.number == 20 || field.number == 25) {
            failure = bad(field.number == 25 ? "local functions" : "training graphs");
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return reader.is_bad() || !has_graph ? malformed_onnx("no model with a graph") : ok();
}

}  // namespace gm
