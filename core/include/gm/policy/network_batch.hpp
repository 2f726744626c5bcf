// Several samples at once, so that a weight is read once for all of them; see network_kernel.hpp.
//
// Each sum is the chain of run_full(), the same bits but for the sign of a zero: what is 0 after a
// ReLU is multiplied here, not skipped, since samples differ in what they could skip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gm/policy/network_columns.hpp"
#include "gm/policy/network_product.hpp"
#include "gm/policy/network_steps.hpp"
#include "gm/policy/network_tile.hpp"

namespace gm::network_kernel {

inline constexpr std::size_t kTile = 12;  // samples; with two blocks their sums fit 32 registers
// Known to the compiler, so that one pointer reaches all samples; one line more than a power of
// two, so that their values lie in different sets of the cache.
inline constexpr std::size_t kTileStride = kNetworkWidthMax + kLanes;

// 400 KiB on the stack, of which narrow networks touch a part: batches are cold.
struct Tile {
    alignas(64) float first[kTile * kTileStride];
    alignas(64) float second[kTile * kTileStride];
    float* activations = first;
    float* next = second;

    void swap() {
        float* const old = activations;
        activations = next;
        next = old;
    }
};

// kCount blocks of the sums of all samples, as many samples at a time as the registers hold.
template <typename Lanes, int kCount, typename Weight>
inline void add_samples(const Weight* weights, std::size_t step, std::size_t count,
                        const float* values, float* sums) {
    constexpr int kSums = Lanes::kTileSums / kCount;
    constexpr int kRows = kSums < static_cast<int>(kTile) ? kSums : static_cast<int>(kTile);
    static_assert(kTile % kRows == 0);
    for (std::size_t s = 0; s < kTile; s += kRows) {
        add_tile<Lanes, kRows, kCount>(TileProduct<Weight>{weights, step, count,
                                                           values + s * kTileStride, kTileStride,
                                                           sums + s * kTileStride, kTileStride});
    }
}

template <typename Lanes, typename Weight>
inline void add_all_blocks(const Weight* weights, std::size_t step, std::size_t count,
                           const float* values, float* sums) {
    constexpr std::size_t kWords = kLanes / kOutputsOf<Weight>;  // of one block
    std::size_t block = 0;
    const std::size_t blocks = step / kWords;
    for (; block + 2 <= blocks; block += 2) {
        add_samples<Lanes, 2>(weights + block * kWords, step, count, values, sums + block * kLanes);
    }
    if constexpr (kOutputsOf<Weight> == 1) {
        for (; block < blocks; ++block) {
            add_samples<Lanes, 1>(weights + block * kWords, step, count, values,
                                  sums + block * kLanes);
        }
    }
}

// sums += values x matrix, of each sample.
template <typename Lanes>
inline void multiply_tile(const Matrix& matrix, std::size_t count, const float* values,
                          float* sums) {
    const std::size_t stride = std::size_t{matrix.blocks} * kLanes;
    if (matrix.narrow != nullptr) {
        add_all_blocks<Lanes>(matrix.narrow, stride / 2, count, values, sums);
    } else {
        add_all_blocks<Lanes>(matrix.wide, stride, count, values, sums);
    }
}

// What a sample's sums start with; null: 0.
template <typename Lanes>
inline void start_sums(const float* start, std::uint32_t blocks, float* sums) {
    for (std::size_t o = 0; o < std::size_t{blocks} * kLanes; o += kLanes) {
        (start != nullptr ? Lanes::load(start + o) : Lanes::broadcast(0.0F)).store(sums + o);
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
            scratch.activations = tile.activations + s * kTileStride;
            run_step<Lanes>(step, scratch);
        }
        return;
    }
    Moments found[kTile];
    bool is_folded[kTile];
    for (std::size_t s = 0; s < kTile; ++s) {
        float* const x = tile.activations + s * kTileStride;
        is_folded[s] = ready_for_matrix<Lanes>(step, x, scratch, found[s]);
        start_sums<Lanes>(is_folded[s] ? nullptr : step.bias, step.matrix.blocks,
                          tile.next + s * kTileStride);
    }
    multiply_tile<Lanes>(step.matrix, step.inputs, tile.activations, tile.next);
    for (std::size_t s = 0; s < kTile; ++s) {
        if (is_folded[s]) {
            unfold<Lanes>(step, found[s], tile.next + s * kTileStride);
        }
    }
    tile.swap();
}

// Past the last sample that one again: a tile is always full.
[[gnu::always_inline]] inline std::size_t sample_of(std::size_t row, const BatchInput& batch) {
    return row < batch.samples ? row : batch.samples - 1;
}

// The first matrix, a part of its inputs at a time: more of them may be than a tile holds.
template <typename Lanes>
inline void run_first_matrix(const NetworkPlan& plan, const BatchInput& batch, Tile& tile,
                             Scratch& scratch) {
    for (std::size_t s = 0; s < kTile; ++s) {
        start_sums<Lanes>(plan.first_bias, plan.first.blocks, tile.next + s * kTileStride);
    }
    for (std::size_t i = 0; i < plan.first_inputs; i += kNetworkWidthMax) {
        const std::size_t left = plan.first_inputs - i;
        const std::size_t count = left < kNetworkWidthMax ? left : kNetworkWidthMax;
        for (std::size_t s = 0; s < kTile; ++s) {
            const float* from = batch.values + sample_of(s, batch) * batch.inputs + i;
            if (plan.conv_count != 0) {  // their bins are never more than kNetworkWidthMax
                run_columns<Lanes>(plan, from, scratch);
                from = scratch.activations;
            }
            std::memcpy(tile.activations + s * kTileStride, from, count * sizeof(float));
        }
        multiply_tile<Lanes>(rows_from(plan.first, i), count, tile.activations, tile.next);
    }
    tile.swap();
}

// 1 to kTile samples.
template <typename Lanes>
inline void run_tile(const NetworkPlan& plan, const BatchInput& batch, float* logits) {
    Tile tile;
    Scratch scratch;
    run_first_matrix<Lanes>(plan, batch, tile, scratch);
    for (std::uint32_t i = 0; i < plan.step_count; ++i) {  // at most kOnnxNodesMax
        run_tile_step<Lanes>(plan.steps[i], tile, scratch);
    }
    for (std::size_t s = 0; s < batch.samples; ++s) {
        std::memcpy(logits + s * plan.outputs, tile.activations + s * kTileStride,
                    plan.outputs * sizeof(float));
    }
}

}  // namespace gm::network_kernel
