// The inner loop where several sums share a weight: samples of a batch, columns of a convolution.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/policy/network_product.hpp"

namespace gm::network_kernel {

// Weights, and rows of inputs and of sums: samples, or columns.
template <typename Weight>
struct TileProduct {
    const Weight* weights;
    std::size_t step;   // words from one row of weights to the next
    std::size_t count;  // inputs of each row
    const float* values;
    std::size_t values_step;  // floats from one row to the next
    float* sums;
    std::size_t sums_step;
};

template <int kCount, typename Lanes>
[[gnu::always_inline]] inline void load_row(const float* row, Lanes* out) {
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        out[b] = Lanes::load(row + b * 16);
    }
}

template <int kCount, typename Lanes>
[[gnu::always_inline]] inline void load_row(const Bfloat16Pair* row, Lanes* out) {
    static_assert(kCount % 2 == 0);
#pragma GCC unroll 16
    for (int b = 0; b < kCount; b += 2) {
        out[b] = Lanes::load_low(row + b * 8);
        out[b + 1] = Lanes::load_high(row + b * 8);
    }
}

// kRows x kCount blocks of sums in registers while all inputs pass.
template <typename Lanes, int kRows, int kCount, typename Weight>
[[gnu::always_inline]] inline void add_tile(const TileProduct<Weight>& product) {
    Lanes sums[kRows][kCount];
#pragma GCC unroll 16
    for (int s = 0; s < kRows; ++s) {
        load_row<kCount>(product.sums + static_cast<std::size_t>(s) * product.sums_step, sums[s]);
    }
    const Weight* row = product.weights;
    for (std::size_t i = 0; i < product.count; ++i, row += product.step) {
        Lanes weights[kCount];
        load_row<kCount>(row, weights);
#pragma GCC unroll 16
        for (int s = 0; s < kRows; ++s) {
            const Lanes value = Lanes::broadcast(
                product.values[static_cast<std::size_t>(s) * product.values_step + i]);
#pragma GCC unroll 16
            for (int b = 0; b < kCount; ++b) {
                sums[s][b] = Lanes::fma(value, weights[b], sums[s][b]);
            }
        }
    }
#pragma GCC unroll 16
    for (int s = 0; s < kRows; ++s) {
#pragma GCC unroll 16
        for (int b = 0; b < kCount; ++b) {
            sums[s][b].store(product.sums + static_cast<std::size_t>(s) * product.sums_step +
                             b * 16);
        }
    }
}

}  // namespace gm::network_kernel
