// Inputs times a matrix, over a type of 16 float lanes; see network_kernel.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

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

// A matrix and the inputs it is read for: all in order, or those listed in rows.
struct Product {
    const float* weights;
    const float* values;
    const std::uint32_t* rows;  // null: 0, 1, 2, ...
    std::size_t count;
    std::size_t stride;  // floats from one row of weights to the next
};

// Part of a sample: inputs [first, first + count) of the first matrix.
struct InputRange {
    const float* values;
    std::uint32_t first;
    std::uint32_t count;
};

template <typename Lanes, int kCount, bool kIsSparse>
inline void add_blocks(const Product& product, std::size_t offset, const float* start, float* out) {
    Lanes sums[kCount];
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        sums[b] = start != nullptr ? Lanes::load(start + offset + b * 16) : Lanes::broadcast(0.0F);
    }
    const float* column = product.weights + offset;
    for (std::size_t i = 0; i < product.count; ++i) {
        const Lanes value = Lanes::broadcast(product.values[i]);
        const float* row = column + (kIsSparse ? product.rows[i] : i) * product.stride;
#pragma GCC unroll 16
        for (int b = 0; b < kCount; ++b) {
            sums[b] = Lanes::fma(value, Lanes::load(row + b * 16), sums[b]);
        }
    }
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        sums[b].store(out + offset + b * 16);
    }
}

// out = start + values x weights, as many blocks at a time as the registers hold. No start: 0.
template <typename Lanes, bool kIsSparse>
inline void multiply(const Product& product, const float* start, float* out) {
    std::size_t offset = 0;
    std::size_t left = product.stride / kLanes;
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
    for (; left > 0; --left, offset += kLanes) {
        add_blocks<Lanes, 1, kIsSparse>(product, offset, start, out);
    }
}

// out = start + inputs [first, first + count) of the first matrix; start and out may be the same.
template <typename Lanes>
inline void accumulate(const NetworkPlan& plan, const float* start, const InputRange& range,
                       float* out) {
    const std::size_t stride = std::size_t{plan.first_blocks} * kLanes;
    multiply<Lanes, false>(
        {plan.first_weights + range.first * stride, range.values, nullptr, range.count, stride},
        start, out);
}

}  // namespace gm::network_kernel
