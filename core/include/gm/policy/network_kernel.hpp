// The body of every kernel, over a type of 16 float lanes. Included only by the files of one
// instruction set, each with a lane type of its own in an unnamed namespace, so that no function
// compiled for a wider machine is ever shared with a narrower one.
//
// Lanes must offer: kBlocks (accumulators that fit the registers), load, store, broadcast, fma,
// add, subtract, multiply, relu, sum (lane i + lane i + 8, then 4, 2, 1), and collect.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "gm/base/elementary.hpp"
#include "gm/policy/network_plan.hpp"
#include "gm/policy/onnx_reader.hpp"

namespace gm::network_kernel {

// One sample on its way through the layers, on the stack: no network shares memory with another.
struct Scratch {
    alignas(64) float activations[kNetworkWidthMax];
    alignas(64) float next[kNetworkWidthMax];
    alignas(64) float values[kNetworkWidthMax + kLanes];  // a collect writes whole blocks
    alignas(64) std::uint32_t rows[kNetworkWidthMax + kLanes];
};

// A matrix and the inputs it is read for: all in order, or those listed in rows.
struct Product {
    const float* weights;
    const float* values;
    const std::uint32_t* rows;  // null: 0, 1, 2, ...
    std::size_t count;
    std::size_t stride;  // floats from one row of weights to the next
};

template <typename Lanes, int kCount, bool kIsSparse>
inline void add_blocks(const Product& product, std::size_t offset, const float* start, float* out) {
    Lanes sums[kCount];
#pragma GCC unroll 16
    for (int b = 0; b < kCount; ++b) {
        sums[b] = Lanes::load(start + offset + b * 16);
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

// out = start + values x weights, as many blocks at a time as the registers hold.
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

struct Moments {
    float mean;
    float inverse;  // 1 / sqrt(variance + epsilon)
};

template <typename Lanes, bool kHasRelu>
inline Lanes load_input(const float* x) {
    if constexpr (kHasRelu) {
        return Lanes::load(x).relu();
    } else {
        return Lanes::load(x);
    }
}

// Mean and deviation over the inputs, four interleaved sums in a fixed order. Padding holds zeros.
template <typename Lanes, bool kHasRelu>
inline Moments moments(const PlanStep& step, const float* x) {
    const std::size_t padded = (step.inputs + kLanes - 1) / kLanes * kLanes;
    Lanes sums[4] = {Lanes::broadcast(0.0F), Lanes::broadcast(0.0F), Lanes::broadcast(0.0F),
                     Lanes::broadcast(0.0F)};
    for (std::size_t i = 0; i < padded; i += kLanes) {
        Lanes& sum = sums[i / kLanes % 4];
        sum = Lanes::add(sum, load_input<Lanes, kHasRelu>(x + i));
    }
    const auto width = static_cast<float>(step.inputs);
    const float mean =
        Lanes::add(Lanes::add(sums[0], sums[1]), Lanes::add(sums[2], sums[3])).sum() / width;
    const Lanes means = Lanes::broadcast(mean);
    for (Lanes& sum : sums) {
        sum = Lanes::broadcast(0.0F);
    }
    for (std::size_t i = 0; i < padded; i += kLanes) {
        Lanes& sum = sums[i / kLanes % 4];
        const Lanes away = Lanes::subtract(load_input<Lanes, kHasRelu>(x + i), means);
        const Lanes kept = Lanes::multiply(away, Lanes::load(step.input_mask + i));
        sum = Lanes::fma(kept, kept, sum);
    }
    const float variance =
        Lanes::add(Lanes::add(sums[0], sums[1]), Lanes::add(sums[2], sums[3])).sum() / width;
    return {mean, 1.0F / std::sqrt(variance + step.epsilon)};
}

// LayerNorm where it stands: (x - mean) / deviation x scale + bias. Padding stays 0.
template <typename Lanes>
inline void normalise(const PlanStep& step, float* x) {
    const Moments found = moments<Lanes, false>(step, x);
    const Lanes mean = Lanes::broadcast(found.mean);
    const Lanes inverse = Lanes::broadcast(found.inverse);
    for (std::size_t i = 0; i < step.inputs; i += kLanes) {
        const Lanes away = Lanes::multiply(Lanes::subtract(Lanes::load(x + i), mean), inverse);
        Lanes::fma(away, Lanes::load(step.weights + i), Lanes::load(step.bias + i)).store(x + i);
    }
}

// LayerNorm folded past the matrix: inverse x (sum - mean x column_sums) + bias.
template <typename Lanes>
inline void unfold(const PlanStep& step, const Moments& found, float* sums) {
    const Lanes minus_mean = Lanes::broadcast(-found.mean);
    const Lanes inverse = Lanes::broadcast(found.inverse);
    for (std::size_t o = 0; o < step.blocks * kLanes; o += kLanes) {
        const Lanes centred =
            Lanes::fma(minus_mean, Lanes::load(step.column_sums + o), Lanes::load(sums + o));
        Lanes::fma(inverse, centred, Lanes::load(step.bias + o)).store(sums + o);
    }
}

template <typename Lanes>
inline void run_sparse(const PlanStep& step, const float* start, Scratch& scratch) {
    const std::size_t count =
        Lanes::collect(scratch.activations, step.inputs, scratch.values, scratch.rows);
    multiply<Lanes, true>(
        {step.weights, scratch.values, scratch.rows, count, std::size_t{step.blocks} * kLanes},
        start, scratch.next);
}

template <typename Lanes>
inline void copy(const float* from, std::uint32_t blocks, float* to) {
    for (std::size_t o = 0; o < std::size_t{blocks} * kLanes; o += kLanes) {
        Lanes::load(from + o).store(to + o);
    }
}

template <typename Lanes>
inline void run_step(const PlanStep& step, Scratch& scratch) {
    float* x = scratch.activations;
    switch (step.kind) {
        case StepKind::kDense:
            multiply<Lanes, false>(
                {step.weights, x, nullptr, step.inputs, std::size_t{step.blocks} * kLanes},
                step.bias, scratch.next);
            copy<Lanes>(scratch.next, step.blocks, x);
            break;
        case StepKind::kReluDense:
            run_sparse<Lanes>(step, step.bias, scratch);
            copy<Lanes>(scratch.next, step.blocks, x);
            break;
        case StepKind::kReluNormDense: {
            for (std::size_t o = 0; o < std::size_t{step.blocks} * kLanes; o += kLanes) {
                Lanes::broadcast(0.0F).store(scratch.next + o);
            }
            const Moments found = moments<Lanes, true>(step, x);
            run_sparse<Lanes>(step, scratch.next, scratch);
            unfold<Lanes>(step, found, scratch.next);
            copy<Lanes>(scratch.next, step.blocks, x);
            break;
        }
        case StepKind::kRelu:
            for (std::size_t i = 0; i < step.inputs; i += kLanes) {
                Lanes::load(x + i).relu().store(x + i);
            }
            break;
        case StepKind::kTanh:
            for (std::size_t i = 0; i < step.inputs; ++i) {
                x[i] = static_cast<float>(elementary::tanh(static_cast<double>(x[i])));
            }
            break;
        case StepKind::kLayerNorm: normalise<Lanes>(step, x); break;
    }
}

template <typename Lanes>
inline void accumulate(const NetworkPlan& plan, const float* start, const InputRange& range,
                       float* out) noexcept {
    const std::size_t stride = std::size_t{plan.first_blocks} * kLanes;
    multiply<Lanes, false>(
        {plan.first_weights + range.first * stride, range.values, nullptr, range.count, stride},
        start, out);
}

template <typename Lanes>
inline void run(const NetworkPlan& plan, const float* start, const InputRange& range,
                float* logits) noexcept {
    Scratch scratch;  // what is read was written: no zeroing of 64 KiB
    accumulate<Lanes>(plan, start, range, scratch.activations);
    for (std::uint32_t s = 0; s < plan.step_count; ++s) {  // at most kOnnxNodesMax
        run_step<Lanes>(plan.steps[s], scratch);
    }
    for (std::uint32_t o = 0; o < plan.outputs; ++o) {
        logits[o] = scratch.activations[o];
    }
}

}  // namespace gm::network_kernel
