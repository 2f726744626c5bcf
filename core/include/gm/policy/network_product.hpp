// Inputs times a matrix, over a type of 16 float lanes; see network_kernel.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gm/policy/network_plan.hpp"
#include "gm/policy/onnx_reader.hpp"

namespace gm::network_kernel {

// One sample on its way through the layers, on the stack: no network shares memory with another.
struct Scratch {
    alignas(64) float first[kNetworkWidthMax];
    alignas(64) float second[kNetworkWidthMax];
    alignas(64) float values[kNetworkWidthMax + kLanes];  // a collect writes whole blocks
    alignas(64) std::uint32_t rows[kNetworkWidthMax + kLanes];
    std::size_t active = 0;  // of values and rows
    float* activations = first;
    float* next = second;

    void swap() {
        float* const old = activations;
        activations = next;
        next = old;
    }
};

// The inputs that a matrix is read for: all in order, or those listed in rows.
struct Inputs {
    const float* values;
    const std::uint32_t* rows;  // null: 0, 1, 2, ...
    std::size_t count;
};

// Part of a sample: inputs [first, first + count) of the first matrix.
struct InputRange {
    const float* values;
    std::uint32_t first;
    std::uint32_t count;
};

// Outputs that one word of a matrix belongs to.
template <typename Weight>
inline constexpr std::size_t kOutputsOf = std::is_same_v<Weight, Bfloat16Pair> ? 2 : 1;

// The same sums in terms of one kind of word.
template <typename Weight>
struct Product {
    const Weight* weights;
    Inputs inputs;
    std::size_t step;  // words from one row of weights to the next
};

// sums += value x kCount blocks of a row.
template <int kCount, typename Lanes>
[[gnu::always_inline]] inline void add_row(const float* row, const Lanes& value, Lanes* sums) {
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        sums[b] = Lanes::fma(value, Lanes::load(row + b * 16), sums[b]);
    }
}

template <int kCount, typename Lanes>
[[gnu::always_inline]] inline void add_row(const Bfloat16Pair* row, const Lanes& value,
                                           Lanes* sums) {
    static_assert(kCount % 2 == 0);
#pragma GCC unroll 16
    for (int b = 0; b < kCount; b += 2) {
        sums[b] = Lanes::fma(value, Lanes::load_low(row + b * 8), sums[b]);
        sums[b + 1] = Lanes::fma(value, Lanes::load_high(row + b * 8), sums[b + 1]);
    }
}

template <typename Lanes, int kCount, bool kIsSparse, typename Weight>
inline void add_blocks(const Product<Weight>& product, std::size_t offset, const float* start,
                       float* out) {
    Lanes sums[kCount];
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        sums[b] = start != nullptr ? Lanes::load(start + offset + b * 16) : Lanes::broadcast(0.0F);
    }
    const Weight* column = product.weights + offset / kOutputsOf<Weight>;
    const Inputs& inputs = product.inputs;
    for (std::size_t i = 0; i < inputs.count; ++i) {
        const Weight* row = column + (kIsSparse ? inputs.rows[i] : i) * product.step;
        add_row<kCount>(row, Lanes::broadcast(inputs.values[i]), sums);
    }
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        sums[b].store(out + offset + b * 16);
    }
}

// As many blocks at a time as the registers hold.
template <typename Lanes, bool kIsSparse, typename Weight>
inline void multiply_words(const Product<Weight>& product, const float* start, float* out) {
    std::size_t offset = 0;
    std::size_t left = product.step * kOutputsOf<Weight> / kLanes;
    if constexpr (Lanes::kBlocks >= 16) {
        for (; left >= 16; left -= 16, offset += 256) {
            add_blocks<Lanes, 16, kIsSparse>(product, offset, start, out);
        }
    }
    if constexpr (Lanes::kBlocks >= 8) {
        for (; left >= 8; left -= 8, offset += 128) {
            add_blocks<Lanes, 8, kIsSparse>(product, offset, start, out);
        }
    }
    if constexpr (Lanes::kBlocks >= 4) {
        for (; left >= 4; left -= 4, offset += 64) {
            add_blocks<Lanes, 4, kIsSparse>(product, offset, start, out);
        }
    }
    constexpr std::size_t kLeast = kOutputsOf<Weight>;
    for (; left >= kLeast; left -= kLeast, offset += kLeast * kLanes) {
        add_blocks<Lanes, static_cast<int>(kLeast), kIsSparse>(product, offset, start, out);
    }
}

// out = start + values x matrix. No start: 0.
template <typename Lanes, bool kIsSparse>
inline void multiply(const Matrix& matrix, const Inputs& inputs, const float* start, float* out) {
    const std::size_t stride = std::size_t{matrix.blocks} * kLanes;
    if (matrix.narrow != nullptr) {
        const Product<Bfloat16Pair> product{matrix.narrow, inputs, stride / 2};
        multiply_words<Lanes, kIsSparse>(product, start, out);
    } else {
        const Product<float> product{matrix.wide, inputs, stride};
        multiply_words<Lanes, kIsSparse>(product, start, out);
    }
}

// The rows of a matrix from `first` on.
[[gnu::always_inline]] inline Matrix rows_from(const Matrix& matrix, std::size_t first) {
    const std::size_t floats = first * matrix.blocks * kLanes;
    return {matrix.wide != nullptr ? matrix.wide + floats : nullptr,
            matrix.narrow != nullptr ? matrix.narrow + floats / 2 : nullptr, matrix.blocks};
}

// out = start + inputs [first, first + count) of the first matrix; start and out may be the same.
template <typename Lanes>
inline void accumulate(const NetworkPlan& plan, const float* start, const InputRange& range,
                       float* out) {
    multiply<Lanes, false>(rows_from(plan.first, range.first), {range.values, nullptr, range.count},
                           start, out);
}

}  // namespace gm::network_kernel
