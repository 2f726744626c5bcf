// The parts of an ONNX file that a network is read from, as views into its bytes.
//
// parse_onnx checks the protobuf, the bounds of every count and length, and the values of every
// tensor; what the graph means is onnx_reader's part. The views live as long as the file's bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gm/base/status.hpp"

namespace gm {

enum class OnnxElement : std::uint32_t { kFloat = 1, kInt64 = 7 };

struct OnnxTensor {
    std::string_view name;
    OnnxElement element = OnnxElement::kFloat;
    std::vector<std::uint32_t> dims;
    std::vector<float> floats;  // finite
    std::vector<std::int64_t> ints;
};

enum class OnnxAttributeType : std::uint64_t {
    kUnset = 0,
    kFloat = 1,
    kInt = 2,
    kString = 3,
    kTensor = 4,
    kInts = 7,
};

struct OnnxAttribute {
    std::string_view name;
    OnnxAttributeType type = OnnxAttributeType::kUnset;
    float number = 0.0F;
    std::int64_t integer = 0;
    std::string_view text;
    std::span<const std::uint8_t> tensor;
    std::vector<std::int64_t> integers;  // at most kOnnxRankMax
};

struct OnnxNode {
    std::string_view operator_name;
    std::vector<std::string_view> inputs;
    std::vector<std::string_view> outputs;
    std::vector<OnnxAttribute> attributes;
};

struct OnnxDimension {
    std::uint32_t size = 0;  // 0: free (a name, or nothing written)
};

struct OnnxValue {
    std::string_view name;
    bool is_float = false;
    std::vector<OnnxDimension> dims;
};

struct OnnxModel {
    std::vector<OnnxNode> nodes;
    std::vector<OnnxTensor> tensors;  // initializers; values of Constant nodes
    std::vector<OnnxValue> inputs;
    std::vector<OnnxValue> outputs;

    [[nodiscard]] const OnnxTensor* find_tensor(std::string_view name) const noexcept;
};

// Cold. kBadNetwork for bytes that are no model, kUnsupportedNetwork for one that is not for us.
Failure parse_onnx(std::span<const std::uint8_t> file, OnnxModel& out);

// A name from the file, short and printable, in quotation marks.
[[nodiscard]] std::string quote_onnx_name(std::string_view name);

}  // namespace gm
