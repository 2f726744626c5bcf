// Several samples at once, so that a weight is read once for all of them; see network_kernel.hpp.
//
// Each sum is the chain of run_full(), the same bits but for the sign of a zero: what is 0 after a
// ReLU is multiplied here, not skipped, since samples differ in what they could skip.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/policy/network_columns.hpp"
#include "gm/policy/network_product.hpp"
#include "gm/policy/network_steps.hpp"

namespace gm::network_kernel {

inline constexpr std::size_t kTile = 6;  // samples; with four blocks their sums fit 32 registers

// A matrix, the inputs of each sample, and what its sums start with (null: 0).
struct TileProduct {
    const float* weights;
    std::size_t count;
    std::size_t stride;  // floats from one row of weights to the next, and of each sample's sums
    const float* values[kTile];
    const float* starts[kTile];
};

// 200 KiB on the stack: batches are cold.
struct Tile {
    alignas(64) float first[kTile * kNetworkWidthMax];
    alignas(64) float second[kTile * kNetworkWidthMax];
    float* activations = first;
    float* next = second;
    std::size_t stride = 0;  // from one sample's activations to the next

    void swap() {
        float* const old = activations;
        activations = next;
        next = old;
    }
};

template <typename Lanes, int kCount>
inline void add_tile(const TileProduct& product, std::size_t offset, float* out) {
    Lanes sums[kTile][kCount];
    for (std::size_t s = 0; s < kTile; ++s) {
        for (int b = 0; b < kCount; ++b) {
            sums[s][b] = product.starts[s] != nullptr
                             ? Lanes::load(product.starts[s] + offset + b * 16)
                             : Lanes::broadcast(0.0F);
        }
    }
    const float* row = product.weights + offset;
    for (std::size_t i = 0; i < product.count; ++i, row += product.stride) {
        Lanes weights[kCount];
#pragma GCC unroll 16
        for (int b = 0; b < kCount; ++b) {
            weights[b] = Lanes::load(row + b * 16);
        }
#pragma GCC unroll 16
        for (std::size_t s = 0; s < kTile; ++s) {
            const Lanes value = Lanes::broadcast(product.values[s][i]);
#pragma GCC unroll 16
            for (int b = 0; b < kCount; ++b) {
                sums[s][b] = Lanes::fma(value, weights[b], sums[s][b]);
            }
        }
    }
    for (std::size_t s = 0; s < kTile; ++s) {
        for (int b = 0; b < kCount; ++b) {
            sums[s][b].store(out + s * product.stride + offset + b * 16);
        }
    }
}

template <typename Lanes>
inline void multiply_tile(const TileProduct& product, float* out) {
    std::size_t offset = 0;
    if constexpr (Lanes::kBlocks >= 16) {
        for (; offset + 64 <= product.stride; offset += 64) {
            add_tile<Lanes, 4>(product, offset, out);
        }
    }
    for (; offset < product.stride; offset += kLanes) {
        add_tile<Lanes, 1>(product, offset, out);
    }
}

// Inputs of the step's matrix where they stand; true if the norm is still to be unfolded.
template <typename Lanes>
inline bool ready_for_matrix(const PlanStep& step, float* x, Scratch& scratch, Moments& found) {
    bool is_folded = false;
    if (step.kind == StepKind::kReluNormDense) {
        is_folded = is_foldable<Lanes>(step, x, scratch);
        found = is_folded ? sparse_moments<Lanes>(step, x) : moments<Lanes, true>(step, x);
    }
    const bool has_norm = step.kind == StepKind::kReluNormDense && !is_folded;
    for (std::size_t i = 0; step.kind != StepKind::kDense && i < step.inputs; i += kLanes) {
        Lanes value = Lanes::load(x + i).relu();
        if (has_norm) {
            value = Lanes::multiply(Lanes::subtract(value, Lanes::broadcast(found.mean)),
                                    Lanes::broadcast(found.inverse));
        }
        value.store(x + i);
    }
    return is_folded;
}

template <typename Lanes>
inline void run_tile_step(const PlanStep& step, Tile& tile, Scratch& scratch) {
    const bool is_matrix = step.kind == StepKind::kDense || step.kind == StepKind::kReluDense ||
                           step.kind == StepKind::kReluNormDense;
    if (!is_matrix) {
        for (std::size_t s = 0; s < kTile; ++s) {
            scratch.activations = tile.activations + s * tile.stride;
            run_step<Lanes>(step, scratch);
        }
        return;
    }
    Moments found[kTile];
    bool is_folded[kTile];
    TileProduct product{step.weights, step.inputs, std::size_t{step.blocks} * kLanes, {}, {}};
    for (std::size_t s = 0; s < kTile; ++s) {
        float* const x = tile.activations + s * tile.stride;
        is_folded[s] = ready_for_matrix<Lanes>(step, x, scratch, found[s]);
        product.values[s] = x;
        product.starts[s] = is_folded[s] ? nullptr : step.bias;
    }
    multiply_tile<Lanes>(product, tile.next);
    for (std::size_t s = 0; s < kTile; ++s) {
        if (is_folded[s]) {
            unfold<Lanes>(step, found[s], tile.next + s * product.stride);
        }
    }
    tile.stride = product.stride;
    tile.swap();
}

// kTile samples, `inputs` floats each.
template <typename Lanes>
inline void run_tile(const NetworkPlan& plan, const float* input, std::size_t inputs,
                     float* logits) {
    Tile tile;
    Scratch scratch;
    TileProduct product{
        plan.first_weights, plan.first_inputs, std::size_t{plan.first_blocks} * kLanes, {}, {}};
    for (std::size_t s = 0; s < kTile; ++s) {
        product.values[s] = input + s * inputs;
        product.starts[s] = plan.first_bias;
        if (plan.conv_count != 0) {
            run_columns<Lanes>(plan, product.values[s], scratch);
            float* const bins = tile.activations + s * plan.first_inputs;
            copy<Lanes>(scratch.activations, plan.first_inputs, bins);
            product.values[s] = bins;
        }
    }
    multiply_tile<Lanes>(product, tile.next);
    tile.stride = product.stride;
    tile.swap();
    for (std::uint32_t i = 0; i < plan.step_count; ++i) {  // at most kOnnxNodesMax
        run_tile_step<Lanes>(plan.steps[i], tile, scratch);
    }
    for (std::size_t s = 0; s < kTile; ++s) {
        for (std::uint32_t o = 0; o < plan.outputs; ++o) {
            logits[s * plan.outputs + o] = tile.activations[s * tile.stride + o];
        }
    }
}

}  // namespace gm::network_kernel
