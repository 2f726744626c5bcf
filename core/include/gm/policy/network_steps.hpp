// What follows the first matrix, one sample, step by step; see network_kernel.hpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "gm/base/elementary.hpp"
#include "gm/policy/network_plan.hpp"
#include "gm/policy/network_product.hpp"

namespace gm::network_kernel {

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

// Four sums that take blocks of lanes in turn: a fixed order without one long chain.
template <typename Lanes>
struct Sums {
    // Written out: one that the compiler makes is compiled behind the pragma that allows registers
    // as wide as these, and where it is not inlined it takes them from another place.
    Sums()
        : part{Lanes::broadcast(0.0F), Lanes::broadcast(0.0F), Lanes::broadcast(0.0F),
               Lanes::broadcast(0.0F)} {}

    Lanes part[4];

    [[nodiscard]] float total() const {
        return Lanes::add(Lanes::add(part[0], part[1]), Lanes::add(part[2], part[3])).sum();
    }
};

inline Moments moments_of(float mean, float variance, float epsilon) {
    return {mean, 1.0F / std::sqrt(variance + epsilon)};
}

// Mean and deviation over the inputs, in two passes. Padding holds zeros.
template <typename Lanes, bool kHasRelu>
inline Moments moments(const PlanStep& step, const float* x) {
    Sums<Lanes> sums;
    for (std::size_t i = 0; i < step.inputs; i += kLanes) {
        Lanes& sum = sums.part[i / kLanes % 4];
        sum = Lanes::add(sum, load_input<Lanes, kHasRelu>(x + i));
    }
    const float mean = sums.total() * step.inverse_width;
    const Lanes means = Lanes::broadcast(mean);
    Sums<Lanes> squares;
    for (std::size_t i = 0; i < step.inputs; i += kLanes) {
        Lanes& sum = squares.part[i / kLanes % 4];
        const Lanes away = Lanes::subtract(load_input<Lanes, kHasRelu>(x + i), means);
        const Lanes kept = Lanes::multiply(away, Lanes::load(step.input_mask + i));
        sum = Lanes::fma(kept, kept, sum);
    }
    return moments_of(mean, squares.total() * step.inverse_width, step.epsilon);
}

// The same after ReLU in one pass, as mean square - mean^2. If a share p of the neurons is active,
// (mean)^2 <= p x mean square, so the difference keeps at least 1 - p of what it is made from.
template <typename Lanes>
inline Moments sparse_moments(const PlanStep& step, const float* x) {
    Sums<Lanes> sums;
    Sums<Lanes> squares;
    for (std::size_t i = 0; i < step.inputs; i += kLanes) {
        const std::size_t turn = i / kLanes % 4;
        const Lanes value = Lanes::load(x + i).relu();
        sums.part[turn] = Lanes::add(sums.part[turn], value);
        squares.part[turn] = Lanes::fma(value, value, squares.part[turn]);
    }
    const float mean = sums.total() * step.inverse_width;
    const float variance = squares.total() * step.inverse_width - mean * mean;
    return moments_of(mean, variance > 0.0F || variance != variance ? variance : 0.0F,
                      step.epsilon);
}

// LayerNorm where it stands: (x - mean) / deviation x scale + bias. Padding stays 0.
template <typename Lanes>
inline void normalise(const PlanStep& step, float* x) {
    const Moments found = moments<Lanes, false>(step, x);
    const Lanes mean = Lanes::broadcast(found.mean);
    const Lanes inverse = Lanes::broadcast(found.inverse);
    for (std::size_t i = 0; i < step.inputs; i += kLanes) {
        const Lanes away = Lanes::multiply(Lanes::subtract(Lanes::load(x + i), mean), inverse);
        Lanes::fma(away, Lanes::load(step.scale + i), Lanes::load(step.bias + i)).store(x + i);
    }
}

// LayerNorm folded past the matrix: inverse x (sum - mean x column_sums) + bias.
template <typename Lanes>
inline void unfold(const PlanStep& step, const Moments& found, float* sums) {
    const Lanes minus_mean = Lanes::broadcast(-found.mean);
    const Lanes inverse = Lanes::broadcast(found.inverse);
    for (std::size_t o = 0; o < step.matrix.blocks * kLanes; o += kLanes) {
        const Lanes centred =
            Lanes::fma(minus_mean, Lanes::load(step.column_sums + o), Lanes::load(sums + o));
        Lanes::fma(inverse, centred, Lanes::load(step.bias + o)).store(sums + o);
    }
}

// next = start + activations x weights; rows of inactive neurons are not read.
template <typename Lanes>
inline void multiply_active(const PlanStep& step, const float* start, Scratch& scratch) {
    const std::size_t count =
        Lanes::collect(scratch.activations, step.inputs, scratch.values, scratch.rows);
    multiply<Lanes, true>(step.matrix, {scratch.values, scratch.rows, count}, start, scratch.next);
}

// Collects the active inputs. Folding subtracts mean x column_sums from a sum, which costs digits
// when most neurons are active and saves nothing then: from three quarters on the norm is computed
// where it stands.
template <typename Lanes>
inline bool is_foldable(const PlanStep& step, const float* x, Scratch& scratch) {
    scratch.active = Lanes::collect(x, step.inputs, scratch.values, scratch.rows);
    return scratch.active * 4 < std::size_t{step.inputs} * 3;
}

// ReLU, LayerNorm, matrix.
template <typename Lanes>
inline void multiply_normalised(const PlanStep& step, Scratch& scratch) {
    const float* x = scratch.activations;
    if (is_foldable<Lanes>(step, x, scratch)) {
        const Moments found = sparse_moments<Lanes>(step, x);
        multiply<Lanes, true>(step.matrix, {scratch.values, scratch.rows, scratch.active}, nullptr,
                              scratch.next);
        unfold<Lanes>(step, found, scratch.next);
        return;
    }
    const Moments found = moments<Lanes, true>(step, x);
    const Lanes mean = Lanes::broadcast(found.mean);
    const Lanes inverse = Lanes::broadcast(found.inverse);
    for (std::size_t i = 0; i < step.inputs; i += kLanes) {
        const Lanes away = Lanes::subtract(Lanes::load(x + i).relu(), mean);
        Lanes::multiply(away, inverse).store(scratch.values + i);
    }
    multiply<Lanes, false>(step.matrix, {scratch.values, nullptr, step.inputs}, step.bias,
                           scratch.next);
}

// In place, in double; a value that is not finite makes all of them not-a-number.
template <typename Lanes>
inline void softmax(const PlanStep& step, float* x) {
    float largest = x[0];
    for (std::uint32_t i = 1; i < step.outputs; ++i) {
        largest = x[i] > largest ? x[i] : largest;
    }
    double total = 0.0;
    for (std::uint32_t i = 0; i < step.outputs; ++i) {
        const double share =
            elementary::exp(static_cast<double>(x[i]) - static_cast<double>(largest));
        total += share;
        x[i] = static_cast<float>(share);
    }
    for (std::uint32_t i = 0; i < step.outputs; ++i) {
        x[i] = static_cast<float>(static_cast<double>(x[i]) / total);
    }
}

template <typename Lanes>
inline void run_step(const PlanStep& step, Scratch& scratch) {
    float* x = scratch.activations;
    switch (step.kind) {
        case StepKind::kDense:
            multiply<Lanes, false>(step.matrix, {x, nullptr, step.inputs}, step.bias, scratch.next);
            scratch.swap();
            break;
        case StepKind::kReluDense:
            multiply_active<Lanes>(step, step.bias, scratch);
            scratch.swap();
            break;
        case StepKind::kReluNormDense:
            multiply_normalised<Lanes>(step, scratch);
            scratch.swap();
            break;
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
        case StepKind::kSoftmax: softmax<Lanes>(step, x); break;
    }
}

}  // namespace gm::network_kernel
