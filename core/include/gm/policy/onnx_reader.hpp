// An ONNX file turned into the chain of operators that the native kernels run, or refused.
//
// The bytes are hostile: any input gives a graph or a Failure, never a crash and never a read
// outside the file. Supported is one chain from one float32 input to one float32 output of
//   Conv over rows of channels (odd kernel, same padding, stride 1), each with a Relu or none,
//   Mul by a row of constants before a Conv, Gemm or MatMul, one AveragePool after the last Conv
//   (stride = kernel), Gemm (alpha = beta = 1, transA = 0, transB 0 or 1), MatMul, Add of a bias,
//   Relu, Tanh, LayerNormalization over the last axis, Softmax at the end; Transpose, Unsqueeze,
//   Squeeze, Flatten, Reshape and Identity, which move nothing: they change how memory is read.
// Anything else is kUnsupportedNetwork with the operator's name (then onnxruntime may run it);
// bytes that are no ONNX model, or that onnx_validator.hpp refuses, are kBadNetwork.
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
inline constexpr std::uint32_t kConvLayersMax = 4;
inline constexpr std::uint32_t kConvTapsMax = 15;

enum class OperatorKind : std::uint32_t { kDense, kRelu, kTanh, kLayerNorm, kSoftmax };

struct NetworkOperator {
    OperatorKind kind = OperatorKind::kDense;
    std::uint32_t inputs = 0;
    std::uint32_t outputs = 0;   // = inputs for all but kDense
    std::vector<float> weights;  // kDense: [input][output]; kLayerNorm: scale
    std::vector<float> bias;     // kDense, kLayerNorm: [output]
    float epsilon = 0.0F;        // kLayerNorm
};

// One column of outputs for each column of inputs; outside the window inputs are 0.
struct ConvLayer {
    std::uint32_t inputs = 0;  // channels
    std::uint32_t outputs = 0;
    std::uint32_t taps = 0;      // odd: columns j - taps/2 to j + taps/2 give column j
    std::vector<float> weights;  // [tap][input][output]
    std::vector<float> bias;     // [output]
    bool has_relu = false;
};

struct NetworkGraph {
    std::vector<std::uint32_t> input_shape;  // of one sample: without the batch dimension
    std::uint32_t inputs = 0;                // product of input_shape
    std::uint32_t outputs = 0;
    std::vector<ConvLayer> convs;            // over `columns` columns, before the operators
    std::uint32_t columns = 0;               // 0 without convs
    std::uint32_t pool = 1;                  // columns that are averaged, after the convs
    std::vector<NetworkOperator> operators;  // the first is kDense; its inputs column by column
};

// Cold. `out` is whole when the answer is ok and unspecified otherwise.
Failure read_onnx(std::span<const std::uint8_t> file, NetworkGraph& out);

}  // namespace gm
