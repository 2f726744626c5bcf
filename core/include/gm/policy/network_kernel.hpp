// The body of every kernel, over a type of 16 float lanes. Included only by the files of one
// instruction set, each with a lane type of its own in an unnamed namespace, so that no function
// compiled for a wider machine is ever shared with a narrower one.
//
// Lanes must offer: kBlocks (accumulators that fit the registers), load, store, broadcast, fma,
// add, subtract, multiply, relu, sum (lane i + lane i + 8, then 4, 2, 1), and collect; load_low and
// load_high of words of bfloat16; kTileSums (accumulators of a tile, each of one block).
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/policy/network_batch.hpp"
#include "gm/policy/network_columns.hpp"
#include "gm/policy/network_pieces.hpp"
#include "gm/policy/network_plan.hpp"
#include "gm/policy/network_product.hpp"
#include "gm/policy/network_steps.hpp"

namespace gm::network_kernel {

// What follows the first matrix.
template <typename Lanes>
inline void run_steps(const NetworkPlan& plan, Scratch& scratch, float* logits) {
    for (std::uint32_t s = 0; s < plan.step_count; ++s) {  // at most kOnnxNodesMax
        run_step<Lanes>(plan.steps[s], scratch);
    }
    for (std::uint32_t o = 0; o < plan.outputs; ++o) {
        logits[o] = scratch.activations[o];
    }
}

template <typename Lanes>
inline void prepare(const NetworkPlan& plan, const float* known, PreparedRows& out) noexcept {
    if (plan.known_inputs != 0 && plan.conv_count != 0) {
        prepare_columns<Lanes>(plan, known, out);
        return;
    }
    accumulate<Lanes>(plan, plan.first_bias, {known, 0, plan.first_known}, out.partial);
}

template <typename Lanes>
inline void run_full(const NetworkPlan& plan, const float* input, float* logits) noexcept {
    Scratch scratch;  // what is read was written: no zeroing of 64 KiB
    if (plan.conv_count != 0) {
        run_columns<Lanes>(plan, input, scratch);
        input = scratch.activations;
    }
    accumulate<Lanes>(plan, plan.first_bias, {input, 0, plan.first_inputs}, scratch.next);
    scratch.swap();
    run_steps<Lanes>(plan, scratch, logits);
}

template <typename Lanes>
inline void run_new_row(const NetworkPlan& plan, const PreparedRows& prepared, const float* newest,
                        float* logits) noexcept {
    if (plan.known_inputs == 0) {  // nothing was known before
        run_full<Lanes>(plan, newest, logits);
        return;
    }
    Scratch scratch;
    if (plan.conv_count != 0) {
        run_new_columns<Lanes>(plan, prepared, newest, scratch);
        newest = scratch.activations;
    }
    accumulate<Lanes>(plan, prepared.partial,
                      {newest, plan.first_known, plan.first_inputs - plan.first_known},
                      scratch.next);
    scratch.swap();
    run_steps<Lanes>(plan, scratch, logits);
}

template <typename Lanes>
inline void run_batch(const NetworkPlan& plan, const BatchInput& batch, float* logits) noexcept {
    BatchInput rest = batch;
    // Half a tile costs what as many samples alone cost.
    while (rest.samples * 2 >= kTile) {
        const std::size_t count = rest.samples < kTile ? rest.samples : kTile;
        run_tile<Lanes>(plan, {rest.values, rest.inputs, count}, logits);
        rest.values += count * rest.inputs;
        rest.samples -= count;
        logits += count * plan.outputs;
    }
    for (std::size_t i = 0; i < rest.samples; ++i) {
        run_full<Lanes>(plan, rest.values + i * rest.inputs, logits + i * plan.outputs);
    }
}

template <typename Lanes>
constexpr NetworkKernel kernel_of() {
    return {prepare<Lanes>, prepare_piece<Lanes>, run_new_row<Lanes>, run_full<Lanes>,
            run_batch<Lanes>};
}

}  // namespace gm::network_kernel
