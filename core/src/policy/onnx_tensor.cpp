// The values of one tensor, whichever of the three fields of a TensorProto they lie in.
#include "gm/policy/onnx_tensor.hpp"

#include <bit>
#include <cstring>

#include "gm/policy/onnx_reader.hpp"

namespace gm {

namespace {

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
        // The name may come later in the file.
        return unsupported_onnx("shape of a tensor: axis " + std::to_string(out.dims.size()) +
                                " of " + std::to_string(dim) + ", at most " +
                                std::to_string(kOnnxRankMax) + " axes of " +
                                std::to_string(kOnnxBytesMax));
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
    return failure.is_ok() ? end_of_onnx(packed, "dimensions of a tensor") : failure;
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
    return end_of_onnx(packed, "integers of a tensor");
}

Failure read_tensor_field(const ProtobufField& field, OnnxTensor& out, TensorFields& fields) {
    const bool is_bytes = field.type == WireType::kBytes;
    const bool is_varint = field.type == WireType::kVarint;
    switch (field.number) {
        case 1:  // dims
            return is_bytes || is_varint ? read_dims(field, out) : malformed_onnx("tensor");
        case 2:  // data_type
            fields.element = field.value;
            return is_varint ? ok() : malformed_onnx("tensor");
        case 4:  // float_data
            if (field.type == WireType::kFixed32) {
                out.floats.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(field.value)));
                return ok();
            }
            if (!is_bytes || field.bytes.size() % sizeof(float) != 0) {
                return malformed_onnx("float_data");
            }
            append_floats(field.bytes, out.floats);
            return ok();
        case 7:  // int64_data
            return is_bytes || is_varint ? read_ints(field, out) : malformed_onnx("int64_data");
        case 8:  // name
            out.name = field.text();
            return is_bytes ? check_onnx_name(out.name) : malformed_onnx("tensor");
        case 9:  // raw_data
            fields.raw = field.bytes;
            fields.has_raw = true;
            return is_bytes ? ok() : malformed_onnx("raw_data");
        case 14:  // data_location: in the file, or validate_onnx had refused it
        case 12:  // doc_string
        case 16:  // metadata_props
            return ok();
        default:  // segment, and values of other element types
            return unsupported_onnx("field " + std::to_string(field.number) + " of tensor " +
                                    quote_onnx_name(out.name));
    }
}

Failure finish_tensor(const TensorFields& fields, OnnxTensor& out) {
    const std::string name = quote_onnx_name(out.name);
    if (fields.element != static_cast<std::uint64_t>(OnnxElement::kFloat) &&
        fields.element != static_cast<std::uint64_t>(OnnxElement::kInt64)) {
        return unsupported_onnx("element type " + std::to_string(fields.element) + " of tensor " +
                                name);
    }
    out.element = static_cast<OnnxElement>(fields.element);
    const bool is_float = out.element == OnnxElement::kFloat;
    std::uint64_t count = 1;
    for (const std::uint32_t dim : out.dims) {  // at most kOnnxRankMax
        count *= dim;
        if (count > kOnnxBytesMax) {
            return malformed_onnx("more values than bytes in a tensor");
        }
    }
    if (fields.has_raw) {
        const std::size_t size = is_float ? sizeof(float) : sizeof(std::int64_t);
        if (!out.floats.empty() || !out.ints.empty() || fields.raw.size() != count * size) {
            return malformed_onnx("raw_data does not fill its shape");
        }
        if (is_float) {
            append_floats(fields.raw, out.floats);
        } else if (count != 0) {
            out.ints.resize(count);
            std::memcpy(out.ints.data(), fields.raw.data(), fields.raw.size());
        }
    }
    if (out.floats.size() != (is_float ? count : 0) || out.ints.size() != (is_float ? 0 : count)) {
        return malformed_onnx("values do not fill the shape of a tensor");
    }
    return ok();
}

}  // namespace

Failure read_onnx_tensor(std::span<const std::uint8_t> bytes, OnnxTensor& out) {
    ProtobufReader reader(bytes);
    ProtobufField field;
    TensorFields fields;
    while (reader.next(field)) {  // each turn consumes bytes
        Failure failure = read_tensor_field(field, out, fields);
        if (!failure.is_ok()) {
            return failure;
        }
    }
    Failure failure = end_of_onnx(reader, "tensor");
    return failure.is_ok() ? finish_tensor(fields, out) : failure;
}

}  // namespace gm
