// A TensorProto read from hostile bytes, and the ways in which an ONNX message is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "gm/base/status.hpp"
#include "gm/policy/onnx_model.hpp"
#include "gm/policy/protobuf_reader.hpp"

namespace gm {

inline constexpr std::size_t kOnnxNameBytesMax = 1024;

inline Failure malformed_onnx(const char* message) {
    return fail(Status::kBadNetwork, std::string("malformed ONNX file: ") + message);
}

inline Failure unsupported_onnx(std::string text) {
    return fail(Status::kUnsupportedNetwork, std::move(text));
}

inline Failure end_of_onnx(const ProtobufReader& reader, const char* message) {
    return reader.is_bad() ? malformed_onnx(message) : ok();
}

inline Failure check_onnx_name(std::string_view name) {
    if (name.size() > kOnnxNameBytesMax) {
        return unsupported_onnx("name of " + std::to_string(name.size()) + " bytes, at most " +
                                std::to_string(kOnnxNameBytesMax));
    }
    return ok();
}

// Cold, after validate_onnx. float32 or int64; its values fill its shape.
Failure read_onnx_tensor(std::span<const std::uint8_t> bytes, OnnxTensor& out);

}  // namespace gm
