// What a loaded network looks like to a kernel, and the kernels there are, one an instruction set.
//
// Every kernel computes the same bits: each output neuron is one chain of fused multiply-adds in
// the order bias, input 0, input 1, ...; sums over neurons run in 16 lanes whatever the register
// width. After a ReLU the rows of inactive neurons are not read: adding w x 0 with w finite changes
// nothing (but the sign of a zero, and that alike in every kernel).
// A column of a convolution is such a chain too: bias, columns oldest to newest, channels in order;
// columns outside the window are left out. A pool adds its columns oldest first, then divides.
// Matrices lie [input][output], outputs padded with zeros to blocks of 16 floats, 64-byte aligned.
// With a bfloat16 tail large matrices after the first layer (the first matrix, or the convolutions)
// hold rounded weights. They are the same chains of float32 over other numbers, so all of the above
// holds for them too, and the logits are those of a float32 network with rounded weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/base/instruction_set.hpp"
#include "gm/policy/bfloat16.hpp"
#include "gm/policy/onnx_reader.hpp"

namespace gm {

inline constexpr std::uint32_t kLanes = 16;
// Floats of all columns that the newest row changes, and of one bin of the pool.
inline constexpr std::uint32_t kChangingMax = 1024;

enum class StepKind : std::uint32_t {
    kDense,          // all inputs
    kReluDense,      // ReLU, then the rows of positive inputs
    kReluNormDense,  // ReLU, LayerNorm, matrix: the norm is folded past the matrix
    kRelu,
    kTanh,
    kLayerNorm,
    kSoftmax,
};

// Weights of one kind; the other is null.
struct Matrix {
    const float* wide;           // [input][16 x blocks]
    const Bfloat16Pair* narrow;  // [input][8 x blocks]
    std::uint32_t blocks;        // of 16 outputs; even where narrow
};

struct PlanStep {
    StepKind kind;
    std::uint32_t inputs;
    std::uint32_t outputs;
    float epsilon;             // kLayerNorm, kReluNormDense
    float inverse_width;       // 1 / inputs
    Matrix matrix;             // kDense, kReluDense, kReluNormDense
    const float* scale;        // kLayerNorm
    const float* bias;         // kReluNormDense: beta x matrix + bias
    const float* column_sums;  // kReluNormDense: sum of the matrix over its inputs
    const float* input_mask;   // 1 for an input, 0 for padding: kLayerNorm, kReluNormDense
};

// One convolution. The newest row changes its last `changing` columns and no others.
struct ConvStep {
    const float* weights;  // [tap][input][16 x blocks]
    const float* bias;
    std::uint32_t inputs;        // channels of a column
    std::uint32_t input_stride;  // floats from one column of inputs to the next
    std::uint32_t blocks;        // of 16 channels
    std::uint32_t taps;          // odd
    std::uint32_t changing;
    bool has_relu;
    bool is_sparse;  // inputs come from a ReLU: those that are 0 are not read
};

struct NetworkPlan {
    Matrix first;  // after the convolutions, if there are any
    const float* first_bias;
    std::uint32_t first_inputs;
    std::uint32_t first_known;   // inputs that the newest row does not change
    std::uint32_t known_inputs;  // floats of the rows before the newest
    std::uint32_t step_count;
    std::uint32_t outputs;
    const PlanStep* steps;  // what follows the first matrix
    const ConvStep* convs;  // what comes before it, over `columns` rows of the input
    std::uint32_t conv_count;
    std::uint32_t columns;
    std::uint32_t pool;  // columns a bin
    float inverse_pool;
};

// What the known rows decide, for one network and one window.
struct PreparedRows {
    alignas(64) float partial[kNetworkWidthMax];  // sums of the first matrix
    // Sums of the changing columns, one convolution after another, and of the pool's open bin.
    alignas(64) float changing[kChangingMax];
};

// What can be computed before the newest row comes, in pieces: some columns of one convolution, or
// the rows of the first matrix for some inputs. So many products a piece, 1 to 3 us, or those of
// one column or input where they are more.
inline constexpr std::size_t kPieceProducts = 65'536;
struct NetworkPiece {
    std::uint32_t conv;  // its number; plan.conv_count: the first matrix
    std::uint32_t first;
    std::uint32_t last;  // one behind
    bool begins;         // the convolution, or the matrix
    bool ends;
};
[[nodiscard]] std::size_t count_pieces(const NetworkPlan& plan) noexcept;
[[nodiscard]] NetworkPiece piece_at(const NetworkPlan& plan, std::size_t index) noexcept;

// What the pieces of one network hand on to each other: columns of a convolution, in turns.
struct PrepareScratch {
    alignas(64) float columns[2][kNetworkWidthMax];
};

struct BatchInput {
    const float* values;
    std::size_t inputs;  // floats a sample
    std::size_t samples;
};

struct NetworkKernel {
    // known: plan.known_inputs floats.
    void (*prepare)(const NetworkPlan& plan, const float* known, PreparedRows& out) noexcept;
    // The same, piece by piece, in order: see NetworkPiece.
    void (*prepare_piece)(const NetworkPlan& plan, std::size_t index, const float* known,
                          PrepareScratch& scratch, PreparedRows& out) noexcept;
    // newest: the inputs after the known ones. logits: plan.outputs floats, as below.
    void (*run_new_row)(const NetworkPlan& plan, const PreparedRows& prepared, const float* newest,
                        float* logits) noexcept;
    void (*run_full)(const NetworkPlan& plan, const float* input, float* logits) noexcept;
    // logits: plan.outputs floats a sample. Bits of run_full, but for the sign of a zero.
    void (*run_batch)(const NetworkPlan& plan, const BatchInput& batch, float* logits) noexcept;
};

// Null where the build or the machine has no such instruction set. kScalar is always there.
[[nodiscard]] const NetworkKernel* find_kernel(InstructionSet set) noexcept;

// Kernels of one instruction set each, in files of their own; null where not built.
[[nodiscard]] const NetworkKernel* scalar_kernel() noexcept;
[[nodiscard]] const NetworkKernel* avx2_kernel() noexcept;
[[nodiscard]] const NetworkKernel* avx512_kernel() noexcept;

}  // namespace gm
