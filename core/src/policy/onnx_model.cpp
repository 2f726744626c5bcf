// Protobuf messages of an ONNX file, one function a message, each a loop over its fields.
//
// Nothing here recurses: a model holds one graph, a graph holds nodes, and attributes that hold
// graphs are refused. Field numbers are those of onnx/onnx.proto.
#include "gm/policy/onnx_model.hpp"

#include <bit>
#include <cstddef>

#include "gm/policy/onnx_reader.hpp"
#include "gm/policy/onnx_tensor.hpp"
#include "gm/policy/onnx_validator.hpp"
#include "gm/policy/protobuf_reader.hpp"

namespace gm {

namespace {

constexpr std::size_t kNodeEdgesMax = 16;
constexpr std::size_t kShownBytesMax = 40;
constexpr std::uint64_t kOpsetMin = 7;  // Gemm and Add broadcast as they do now

// Packed or one by one: at most kOnnxRankMax, one an axis or two.
Failure read_attribute_ints(const ProtobufField& field, OnnxAttribute& out) {
    ProtobufReader packed(field.bytes);
    std::uint64_t value = field.value;
    bool is_there = field.type == WireType::kVarint;
    if (!is_there) {
        is_there = !packed.is_empty() && packed.next_varint(value);
    }
    while (is_there) {
        if (out.integers.size() == kOnnxRankMax) {
            return unsupported_onnx("attribute " + quote_onnx_name(out.name) + ": more than " +
                                    std::to_string(kOnnxRankMax) + " integers");
        }
        out.integers.push_back(static_cast<std::int64_t>(value));
        is_there = !packed.is_empty() && packed.next_varint(value);
    }
    return end_of_onnx(packed, "integers of an attribute");
}

Failure read_attribute(std::span<const std::uint8_t> bytes, OnnxAttribute& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        if (field.is(8, WireType::kBytes) || field.is(8, WireType::kVarint)) {
            Failure failure = read_attribute_ints(field, out);
            if (!failure.is_ok()) {
                return failure;
            }
        } else if (field.is(1, WireType::kBytes)) {
            out.name = field.text();
        } else if (field.is(4, WireType::kBytes)) {
            out.text = field.text();
        } else if (field.is(2, WireType::kFixed32)) {
            out.number = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        } else if (field.is(3, WireType::kVarint)) {
            out.integer = static_cast<std::int64_t>(field.value);
        } else if (field.is(5, WireType::kBytes)) {
            out.tensor = field.bytes;
        } else if (field.is(20, WireType::kVarint)) {
            out.type = static_cast<OnnxAttributeType>(field.value);
        } else if (!field.is(13, WireType::kBytes)) {  // doc_string
            return unsupported_onnx("attribute " + quote_onnx_name(out.name) + ": field " +
                                    std::to_string(field.number));
        }
    }
    return end_of_onnx(reader, "attribute");
}

Failure read_edge(const ProtobufField& field, std::vector<std::string_view>& out) {
    if (field.type != WireType::kBytes) {
        return malformed_onnx("node");
    }
    if (out.size() == kNodeEdgesMax) {
        return unsupported_onnx("node with more than " + std::to_string(kNodeEdgesMax) + " edges");
    }
    out.push_back(field.text());
    return check_onnx_name(out.back());
}

Failure read_node(std::span<const std::uint8_t> bytes, OnnxNode& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.number == 1 || field.number == 2) {
            failure = read_edge(field, field.number == 1 ? out.inputs : out.outputs);
        } else if (field.is(4, WireType::kBytes)) {
            out.operator_name = field.text();
        } else if (field.is(5, WireType::kBytes)) {
            if (out.attributes.size() == kNodeEdgesMax) {
                return unsupported_onnx("attributes of " + quote_onnx_name(out.operator_name));
            }
            failure = read_attribute(field.bytes, out.attributes.emplace_back());
        }  // else: name, doc_string, domain, metadata: nothing that computes
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of_onnx(reader, "node");
}

// TensorShapeProto: a dimension without a size is free.
Failure read_shape(std::span<const std::uint8_t> bytes, OnnxValue& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        if (!field.is(1, WireType::kBytes)) {
            continue;
        }
        ProtobufReader dimension(field.bytes);
        ProtobufField part;
        std::uint64_t size = 0;
        while (dimension.next(part)) {  // each turn consumes bytes
            if (part.is(1, WireType::kVarint)) {
                size = part.value;
                if (size == 0) {
                    return malformed_onnx("dimension 0 of a graph input or output");
                }
            }
        }
        if (dimension.is_bad()) {
            return malformed_onnx("dimension");
        }
        if (size > kNetworkInputsMax || out.dims.size() == kOnnxRankMax) {
            return unsupported_onnx("shape of " + quote_onnx_name(out.name));
        }
        out.dims.push_back({static_cast<std::uint32_t>(size)});
    }
    return end_of_onnx(reader, "shape");
}

// TypeProto.Tensor: element type and shape.
Failure read_tensor_type(std::span<const std::uint8_t> bytes, OnnxValue& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        if (field.is(1, WireType::kVarint)) {
            out.is_float = field.value == static_cast<std::uint64_t>(OnnxElement::kFloat);
        } else if (field.is(2, WireType::kBytes)) {
            Failure failure = read_shape(field.bytes, out);
            if (!failure.is_ok()) {
                return failure;
            }
        }
    }
    return end_of_onnx(reader, "type of a tensor");
}

Failure read_value(std::span<const std::uint8_t> bytes, OnnxValue& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(1, WireType::kBytes)) {
            out.name = field.text();
            failure = check_onnx_name(out.name);
        } else if (field.is(2, WireType::kBytes)) {
            ProtobufReader type(field.bytes);
            ProtobufField part;
            while (failure.is_ok() && type.next(part)) {  // each turn consumes bytes
                if (part.is(1, WireType::kBytes)) {
                    failure = read_tensor_type(part.bytes, out);
                }
            }
            if (type.is_bad()) {
                return malformed_onnx("type");
            }
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of_onnx(reader, "graph input or output");
}

template <typename Part>
Failure append(std::span<const std::uint8_t> bytes, std::vector<Part>& parts, std::size_t max,
               Failure (*read)(std::span<const std::uint8_t>, Part&)) {
    if (parts.size() == max) {
        return unsupported_onnx("more than " + std::to_string(max) + " nodes, tensors or inputs");
    }
    return read(bytes, parts.emplace_back());
}

Failure read_graph_field(const ProtobufField& field, OnnxModel& out) {
    const bool is_part = field.type == WireType::kBytes;
    switch (is_part ? field.number : 0) {
        case 1: return append(field.bytes, out.nodes, kOnnxNodesMax, read_node);
        case 5: return append(field.bytes, out.tensors, kOnnxTensorsMax, read_onnx_tensor);
        case 11: return append(field.bytes, out.inputs, kOnnxTensorsMax, read_value);
        case 12: return append(field.bytes, out.outputs, kNodeEdgesMax, read_value);
        default: return is_part ? ok() : malformed_onnx("graph");
    }
}

Failure read_graph(std::span<const std::uint8_t> bytes, OnnxModel& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure = read_graph_field(field, out);
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of_onnx(reader, "graph");
}

Failure read_opset(std::span<const std::uint8_t> bytes, std::uint64_t& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    std::string_view domain;
    std::uint64_t version = 0;
    while (reader.next(field)) {  // each turn consumes bytes
        if (field.is(1, WireType::kBytes)) {
            domain = field.text();
        } else if (field.is(2, WireType::kVarint)) {
            version = field.value;
        }
    }
    if (domain.empty() || domain == "ai.onnx") {
        out = version;
    }
    return end_of_onnx(reader, "opset");
}

// A Constant node is a tensor under the name of its output.
Failure gather_constants(OnnxModel& out) {
    for (const OnnxNode& node : out.nodes) {  // at most kOnnxNodesMax
        if (node.operator_name != "Constant") {
            continue;
        }
        if (node.outputs.size() != 1 || node.attributes.size() != 1 ||
            node.attributes[0].name != "value" ||
            node.attributes[0].type != OnnxAttributeType::kTensor) {
            return unsupported_onnx("operator \"Constant\" without one tensor value");
        }
        Failure failure =
            append(node.attributes[0].tensor, out.tensors, kOnnxTensorsMax, read_onnx_tensor);
        if (!failure.is_ok()) {
            return failure;
        }
        out.tensors.back().name = node.outputs[0];
    }
    return ok();
}

Failure check_tensor_names(const OnnxModel& model) {
    for (const OnnxTensor& tensor : model.tensors) {  // at most kOnnxTensorsMax
        if (tensor.name.empty() || model.find_tensor(tensor.name) != &tensor) {
            return fail(Status::kBadNetwork,
                        "two tensors named " + quote_onnx_name(tensor.name) + ", or no name");
        }
    }
    return ok();
}

}  // namespace

std::string quote_onnx_name(std::string_view name) {
    std::string text = "\"";
    for (const char letter : name.substr(0, kShownBytesMax)) {
        text += letter >= ' ' && letter <= '~' && letter != '"' ? letter : '?';
    }
    return text + (name.size() > kShownBytesMax ? "...\"" : "\"");
}

const OnnxTensor* OnnxModel::find_tensor(std::string_view name) const noexcept {
    for (const OnnxTensor& tensor : tensors) {  // at most kOnnxTensorsMax
        if (tensor.name == name) {
            return &tensor;
        }
    }
    return nullptr;
}

Failure parse_onnx(std::span<const std::uint8_t> file, OnnxModel& out) {
    out = {};
    Failure valid = validate_onnx(file);
    if (!valid.is_ok()) {
        return valid;
    }
    ProtobufReader reader(file);
    ProtobufField field;
    std::uint64_t opset = 0;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(7, WireType::kBytes)) {
            failure = read_graph(field.bytes, out);
        } else if (field.is(8, WireType::kBytes)) {
            failure = read_opset(field.bytes, opset);
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    if (opset < kOpsetMin) {
        return unsupported_onnx("opset " + std::to_string(opset) + ", at least " +
                                std::to_string(kOpsetMin));
    }
    Failure failure = gather_constants(out);
    return failure.is_ok() ? check_tensor_names(out) : failure;
}

}  // namespace gm
