// Protobuf messages of an ONNX file, one function a message, each a loop over its fields.
//
// Nothing here recurses: a model holds one graph, a graph holds nodes, and attributes that hold
// graphs are refused. Field numbers are those of onnx/onnx.proto.
#include "gm/policy/onnx_model.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "gm/policy/onnx_reader.hpp"
#include "gm/policy/protobuf_reader.hpp"

namespace gm {

namespace {

constexpr std::size_t kNodeEdgesMax = 16;
constexpr std::size_t kNameBytesMax = 1024;
constexpr std::size_t kShownBytesMax = 40;
constexpr std::uint64_t kOpsetMin = 7;  // Gemm and Add broadcast as they do now

Failure malformed(const char* message) {
    return fail(Status::kBadNetwork, std::string("malformed ONNX file: ") + message);
}

Failure unsupported(std::string text) {
    return fail(Status::kUnsupportedNetwork, std::move(text));
}

Failure end_of(const ProtobufReader& reader, const char* message) {
    return reader.is_bad() ? malformed(message) : ok();
}

Failure check_name(std::string_view name) {
    if (name.size() > kNameBytesMax) {
        return unsupported("name of " + std::to_string(name.size()) + " bytes, at most " +
                           std::to_string(kNameBytesMax));
    }
    return ok();
}

void append_floats(std::span<const std::uint8_t> bytes, std::vector<float>& out) {
    static_assert(std::endian::native == std::endian::little);
    const std::size_t before = out.size();
    out.resize(before + bytes.size() / sizeof(float));
    if (!bytes.empty()) {
        std::memcpy(out.data() + before, bytes.data(), bytes.size());
    }
}

// What the fields of a TensorProto said, before the counts are held against each other.
struct TensorFields {
    std::uint64_t element = 0;
    std::span<const std::uint8_t> raw;
    bool has_raw = false;
};

Failure append_dim(std::uint64_t dim, OnnxTensor& out) {
    if (out.dims.size() == kOnnxRankMax || dim > kOnnxBytesMax) {
        return unsupported("shape of tensor " + quote_onnx_name(out.name));
    }
    out.dims.push_back(static_cast<std::uint32_t>(dim));
    return ok();
}

Failure read_dims(const ProtobufField& field, OnnxTensor& out) {
    if (field.type == WireType::kVarint) {
        return append_dim(field.value, out);
    }
    ProtobufReader packed(field.bytes);
    std::uint64_t dim = 0;
    Failure failure;
    while (failure.is_ok() && !packed.is_empty() && packed.next_varint(dim)) {
        failure = append_dim(dim, out);
    }
    return failure.is_ok() ? end_of(packed, "dimensions of a tensor") : failure;
}

Failure read_ints(const ProtobufField& field, OnnxTensor& out) {
    if (field.type == WireType::kVarint) {
        out.ints.push_back(static_cast<std::int64_t>(field.value));
        return ok();
    }
    ProtobufReader packed(field.bytes);
    std::uint64_t value = 0;
    while (!packed.is_empty() && packed.next_varint(value)) {
        out.ints.push_back(static_cast<std::int64_t>(value));
    }
    return end_of(packed, "integers of a tensor");
}

Failure read_tensor_field(const ProtobufField& field, OnnxTensor& out, TensorFields& fields) {
    const bool is_bytes = field.type == WireType::kBytes;
    const bool is_varint = field.type == WireType::kVarint;
    switch (field.number) {
        case 1:  // dims
            return is_bytes || is_varint ? read_dims(field, out) : malformed("tensor");
        case 2:  // data_type
            fields.element = field.value;
            return is_varint ? ok() : malformed("tensor");
        case 4:  // float_data
            if (field.type == WireType::kFixed32) {
                out.floats.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(field.value)));
                return ok();
            }
            if (!is_bytes || field.bytes.size() % sizeof(float) != 0) {
                return malformed("float_data");
            }
            append_floats(field.bytes, out.floats);
            return ok();
        case 7:  // int64_data
            return is_bytes || is_varint ? read_ints(field, out) : malformed("int64_data");
        case 8:  // name
            out.name = field.text();
            return is_bytes ? check_name(out.name) : malformed("tensor");
        case 9:  // raw_data
            fields.raw = field.bytes;
            fields.has_raw = true;
            return is_bytes ? ok() : malformed("raw_data");
        case 13:  // external_data
            return unsupported("external data of tensor " + quote_onnx_name(out.name));
        case 14:  // data_location
            if (field.value != 0) {
                return unsupported("external data of tensor " + quote_onnx_name(out.name));
            }
            return ok();
        case 12:  // doc_string
        case 16:  // metadata_props
            return ok();
        default:  // segment, and values of other element types
            return unsupported("field " + std::to_string(field.number) + " of tensor " +
                               quote_onnx_name(out.name));
    }
}

Failure finish_tensor(const TensorFields& fields, OnnxTensor& out) {
    const std::string name = quote_onnx_name(out.name);
    if (fields.element != static_cast<std::uint64_t>(OnnxElement::kFloat) &&
        fields.element != static_cast<std::uint64_t>(OnnxElement::kInt64)) {
        return unsupported("element type " + std::to_string(fields.element) + " of tensor " + name);
    }
    out.element = static_cast<OnnxElement>(fields.element);
    const bool is_float = out.element == OnnxElement::kFloat;
    std::uint64_t count = 1;
    for (const std::uint32_t dim : out.dims) {  // at most kOnnxRankMax
        count *= dim;
        if (count > kOnnxBytesMax) {
            return malformed("more values than bytes in a tensor");
        }
    }
    if (fields.has_raw) {
        const std::size_t size = is_float ? sizeof(float) : sizeof(std::int64_t);
        if (!out.floats.empty() || !out.ints.empty() || fields.raw.size() != count * size) {
            return malformed("raw_data does not fill its shape");
        }
        if (is_float) {
            append_floats(fields.raw, out.floats);
        } else if (count != 0) {
            out.ints.resize(count);
            std::memcpy(out.ints.data(), fields.raw.data(), fields.raw.size());
        }
    }
    if (out.floats.size() != (is_float ? count : 0) || out.ints.size() != (is_float ? 0 : count)) {
        return malformed("values do not fill the shape of a tensor");
    }
    for (std::size_t i = 0; i < out.floats.size(); ++i) {
        if (!std::isfinite(out.floats[i])) {
            return fail(Status::kBadNetwork,
                        "value " + std::to_string(i) + " of tensor " + name + " is not finite");
        }
    }
    return ok();
}

Failure read_tensor(std::span<const std::uint8_t> bytes, OnnxTensor& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    TensorFields fields;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure = read_tensor_field(field, out, fields);
        if (!failure.is_ok()) {
            return failure;
        }
    }
    Failure failure = end_of(reader, "tensor");
    return failure.is_ok() ? finish_tensor(fields, out) : failure;
}

Failure read_attribute(std::span<const std::uint8_t> bytes, OnnxAttribute& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        if (field.is(1, WireType::kBytes)) {
            out.name = field.text();
        } else if (field.is(2, WireType::kFixed32)) {
            out.number = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        } else if (field.is(3, WireType::kVarint)) {
            out.integer = static_cast<std::int64_t>(field.value);
        } else if (field.is(5, WireType::kBytes)) {
            out.tensor = field.bytes;
        } else if (field.is(20, WireType::kVarint)) {
            out.type = static_cast<OnnxAttributeType>(field.value);
        } else if (!field.is(13, WireType::kBytes)) {  // doc_string
            return unsupported("attribute " + quote_onnx_name(out.name) + ": field " +
                               std::to_string(field.number));
        }
    }
    return end_of(reader, "attribute");
}

Failure read_edge(const ProtobufField& field, std::vector<std::string_view>& out) {
    if (field.type != WireType::kBytes) {
        return malformed("node");
    }
    if (out.size() == kNodeEdgesMax) {
        return unsupported("node with more than " + std::to_string(kNodeEdgesMax) + " edges");
    }
    out.push_back(field.text());
    return check_name(out.back());
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
                return unsupported("attributes of " + quote_onnx_name(out.operator_name));
            }
            failure = read_attribute(field.bytes, out.attributes.emplace_back());
        } else if (field.is(7, WireType::kBytes)) {
            if (!field.text().empty() && field.text() != "ai.onnx") {
                return unsupported("operator " + quote_onnx_name(out.operator_name) +
                                   " of domain " + quote_onnx_name(field.text()));
            }
        }  // else: name, doc_string, metadata: nothing that computes
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of(reader, "node");
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
                    return malformed("dimension 0 of a graph input or output");
                }
            }
        }
        if (dimension.is_bad()) {
            return malformed("dimension");
        }
        if (size > kNetworkInputsMax || out.dims.size() == kOnnxRankMax) {
            return unsupported("shape of " + quote_onnx_name(out.name));
        }
        out.dims.push_back({static_cast<std::uint32_t>(size)});
    }
    return end_of(reader, "shape");
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
    return end_of(reader, "type of a tensor");
}

Failure read_value(std::span<const std::uint8_t> bytes, OnnxValue& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(1, WireType::kBytes)) {
            out.name = field.text();
            failure = check_name(out.name);
        } else if (field.is(2, WireType::kBytes)) {
            ProtobufReader type(field.bytes);
            ProtobufField part;
            while (failure.is_ok() && type.next(part)) {  // each turn consumes bytes
                if (part.is(1, WireType::kBytes)) {
                    failure = read_tensor_type(part.bytes, out);
                }
            }
            if (type.is_bad()) {
                return malformed("type");
            }
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    return end_of(reader, "graph input or output");
}

template <typename Part>
Failure append(std::span<const std::uint8_t> bytes, std::vector<Part>& parts, std::size_t max,
               Failure (*read)(std::span<const std::uint8_t>, Part&)) {
    if (parts.size() == max) {
        return unsupported("more than " + std::to_string(max) + " nodes, tensors or inputs");
    }
    return read(bytes, parts.emplace_back());
}

Failure read_graph_field(const ProtobufField& field, OnnxModel& out) {
    const bool is_part = field.type == WireType::kBytes;
    switch (is_part ? field.number : 0) {
        case 1: return append(field.bytes, out.nodes, kOnnxNodesMax, read_node);
        case 5: return append(field.bytes, out.tensors, kOnnxTensorsMax, read_tensor);
        case 11: return append(field.bytes, out.inputs, kOnnxTensorsMax, read_value);
        case 12: return append(field.bytes, out.outputs, kNodeEdgesMax, read_value);
        case 14: return unsupported("quantisation annotations");
        case 15: return unsupported("sparse initializers");
        default: return is_part ? ok() : malformed("graph");
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
    return end_of(reader, "graph");
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
    return end_of(reader, "opset");
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
            return unsupported("operator \"Constant\" without one tensor value");
        }
        Failure failure =
            append(node.attributes[0].tensor, out.tensors, kOnnxTensorsMax, read_tensor);
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
    if (file.size() > kOnnxBytesMax) {
        return unsupported("ONNX file of " + std::to_string(file.size()) + " bytes, at most " +
                           std::to_string(kOnnxBytesMax));
    }
    ProtobufReader reader(file);
    ProtobufField field;
    std::uint64_t opset = 0;
    bool has_graph = false;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure;
        if (field.is(7, WireType::kBytes)) {
            failure = has_graph ? malformed("two graphs") : read_graph(field.bytes, out);
            has_graph = true;
        } else if (field.is(8, WireType::kBytes)) {
            failure = read_opset(field.bytes, opset);
        } else if (field.number == 20 || field.number == 25) {
            failure = unsupported(field.number == 25 ? "local functions" : "training graphs");
        }
        if (!failure.is_ok()) {
            return failure;
        }
    }
    if (reader.is_bad() || !has_graph) {
        return malformed("no model with a graph");
    }
    if (opset < kOpsetMin) {
        return unsupported("opset " + std::to_string(opset) + ", at least " +
                           std::to_string(kOpsetMin));
    }
    Failure failure = gather_constants(out);
    return failure.is_ok() ? check_tensor_names(out) : failure;
}

}  // namespace gm
