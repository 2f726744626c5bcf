// An ONNX file turned into the chain of operators that the native kernels run, or refused.
//
// The bytes are hostile: any input gives a graph or a Failure, never a crash and never a read
// outside the file. Supported is one chain from one float32 input to one float32 output of Gemm
// (alpha = beta = 1, transA = 0, transB 0 or 1), MatMul, Add of a bias, Relu, Tanh and
// LayerNormalization over the last axis; Identity, Flatten and Reshape that only flatten a row.
// Anything else is kUnsupportedNetwork with the operator's name (then onnxruntime may run it);
// bytes that are no ONNX model, and weights that are not finite, are kBadNetwork.
// Source: onnx/onnx.proto (field numbers), ONNX Operators.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/status.hpp"

namespace gm {

inline constexpr std::size_t kOnnxBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kOnnxNodesMax = 256;
inline constexpr std::size_t kOnnxTensorsMax = 1024;
inline constexpr std::size_t kOnnxRankMax = 8;
inline constexpr std::uint32_t kNetworkInputsMax = 16384;
inline constexpr std::uint32_t kNetworkWidthMax = 4096;  // of a hidden or last layer

enum class OperatorKind : std::uint32_t { kDense, kRelu, kTanh, kLayerNorm };

struct NetworkOperator {
    OperatorKind kind = OperatorKind::kDense;
    std::uint32_t inputs = 0;
    std::uint32_t outputs = 0;   // = inputs for all but kDense
    std::vector<float> weights;  // kDense: [input][output]; kLayerNorm: scale
    std::vector<float> bias;     // kDense, kLayerNorm: [output]
    float epsilon = 0.0F;        // kLayerNorm
};

struct NetworkGraph {
    std::vector<std::uint32_t> input_shape;  // of one sample: without the batch dimension
    std::uint32_t inputs = 0;                // product of input_shape
    std::uint32_t outputs = 0;
    std::vector<NetworkOperator> operators;  // the first is kDense
};

// Cold. `out` is whole when the answer is ok and unspecified otherwise.
Failure read_onnx(std::span<const std::uint8_t> file, NetworkGraph& out);

}  // namespace gm
