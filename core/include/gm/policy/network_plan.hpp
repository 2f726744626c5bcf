// What a loaded network looks like to a kernel, and the kernels there are, one an instruction set.
//
// Every kernel computes the same bits: each output neuron is one chain of fused multiply-adds in
// the order bias, input 0, input 1, ...; sums over neurons run in 16 lanes whatever the register
// width. After a ReLU the rows of inactive neurons are not read: adding w x 0 with w finite changes
// nothing (but the sign of a zero, and that alike in every kernel).
// Matrices lie [input][output], outputs padded with zeros to blocks of 16 floats, 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/base/instruction_set.hpp"

namespace gm {

inline constexpr std::uint32_t kLanes = 16;

enum class StepKind : std::uint32_t {
    kDense,          // all inputs
    kReluDense,      // ReLU, then the rows of positive inputs
    kReluNormDense,  // ReLU, LayerNorm, matrix: the norm is folded past the matrix
    kRelu,
    kTanh,
    kLayerNorm,
};

struct PlanStep {
    StepKind kind;
    std::uint32_t inputs;
    std::uint32_t outputs;
    std::uint32_t blocks;      // of 16 outputs
    float epsilon;             // kLayerNorm, kReluNormDense
    float inverse_width;       // 1 / inputs
    const float* weights;      // dense: matrix; kLayerNorm: scale
    const float* bias;         // kReluNormDense: beta x matrix + bias
    const float* column_sums;  // kReluNormDense: sum of the matrix over its inputs
    const float* input_mask;   // 1 for an input, 0 for padding: kLayerNorm, kReluNormDense
};

struct NetworkPlan {
    const float* first_weights;  // first layer: [input][16 x first_blocks]
    std::uint32_t first_blocks;
    std::uint32_t step_count;
    std::uint32_t outputs;
    const PlanStep* steps;  // what follows the first layer
};

// Part of a sample: inputs [first, first + count) of the first layer.
struct InputRange {
    const float* values;
    std::uint32_t first;
    std::uint32_t count;
};

struct NetworkKernel {
    // out = start + range x first layer. Padded to whole blocks; start and out may be the same.
    void (*accumulate)(const NetworkPlan& plan, const float* start, const InputRange& range,
                       float* out) noexcept;
    // The same, then every step; logits holds plan.outputs floats.
    void (*run)(const NetworkPlan& plan, const float* start, const InputRange& range,
                float* logits) noexcept;
};

// Null where the build or the machine has no such instruction set. kScalar is always there.
[[nodiscard]] const NetworkKernel* find_kernel(InstructionSet set) noexcept;

// Kernels of one instruction set each, in files of their own; null where not built.
[[nodiscard]] const NetworkKernel* scalar_kernel() noexcept;
[[nodiscard]] const NetworkKernel* avx2_kernel() noexcept;
[[nodiscard]] const NetworkKernel* avx512_kernel() noexcept;

}  // namespace gm
