// Convolutions over the rows of the input, and the pool after them; see network_kernel.hpp.
//
// A column of inputs is added into the sums of the columns around it, columns in order, so that
// each sum is one chain whether its inputs come at once or the newest later. The sums that the
// newest row changes are kept aside before it is known.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/policy/network_product.hpp"
#include "gm/policy/network_tile.hpp"

namespace gm::network_kernel {

// kTaps neighbouring sums, the oldest at `sums`, which takes tap `tap`; the next takes tap - 1.
template <typename Lanes, int kTaps, int kCount, bool kIsSparse>
inline void add_taps(const ConvStep& step, const Inputs& from, std::size_t tap, float* sums_at) {
    const std::size_t width = std::size_t{step.blocks} * kLanes;
    const std::size_t tap_size = step.inputs * width;
    Lanes sums[kTaps][kCount];
#pragma GCC unroll 16
    for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 16
        for (int b = 0; b < kCount; ++b) {
            sums[t][b] = Lanes::load(sums_at + static_cast<std::size_t>(t) * width + b * 16);
        }
    }
    for (std::size_t i = 0; i < from.count; ++i) {
        const Lanes value = Lanes::broadcast(from.values[i]);
        const float* row = step.weights + tap * tap_size + (kIsSparse ? from.rows[i] : i) * width;
#pragma GCC unroll 16
        for (int t = 0; t < kTaps; ++t) {
            const float* weights = row - static_cast<std::size_t>(t) * tap_size;
#pragma GCC unroll 16
            for (int b = 0; b < kCount; ++b) {
                sums[t][b] = Lanes::fma(value, Lanes::load(weights + b * 16), sums[t][b]);
            }
        }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 16
        for (int b = 0; b < kCount; ++b) {
            sums[t][b].store(sums_at + static_cast<std::size_t>(t) * width + b * 16);
        }
    }
}

template <typename Lanes, int kTaps, bool kIsSparse>
inline void add_neighbours(const ConvStep& step, const Inputs& from, std::size_t tap, float* sums) {
    // Three taps of so many blocks fit the registers.
    constexpr std::size_t kCount = Lanes::kBlocks >= 16 ? 4 : Lanes::kBlocks >= 4 ? 2 : 1;
    ConvStep part = step;
    std::size_t block = 0;
    for (; block + kCount <= step.blocks; block += kCount) {
        add_taps<Lanes, kTaps, static_cast<int>(kCount), kIsSparse>(part, from, tap,
                                                                    sums + block * kLanes);
        part.weights += kCount * kLanes;
    }
    for (; block < step.blocks; ++block) {
        add_taps<Lanes, kTaps, 1, kIsSparse>(part, from, tap, sums + block * kLanes);
        part.weights += kLanes;
    }
}

// One column of inputs into the sums of the columns [first, first + count) around it.
template <typename Lanes, bool kIsSparse>
inline void add_column(const ConvStep& step, const Inputs& from, std::size_t tap, std::size_t count,
                       float* sums) {
    const std::size_t width = std::size_t{step.blocks} * kLanes;
    for (; count >= 3; count -= 3, tap -= 3, sums += 3 * width) {  // at most kConvTapsMax
        add_neighbours<Lanes, 3, kIsSparse>(step, from, tap, sums);
    }
    if (count == 2) {
        add_neighbours<Lanes, 2, kIsSparse>(step, from, tap, sums);
    } else if (count == 1) {
        add_neighbours<Lanes, 1, kIsSparse>(step, from, tap, sums);
    }
}

// Columns [first, last) and where column `first` stands.
struct Columns {
    std::size_t first;
    std::size_t last;
};

// Sums of columns, and which column the first of them is.
struct ColumnSums {
    float* at;
    std::size_t first;
};

// Inputs of columns `range` (at `inputs`) into their sums.
template <typename Lanes>
inline void add_columns(const ConvStep& step, std::size_t columns, const Columns& range,
                        const float* inputs, const ColumnSums& sums, Scratch& scratch) {
    const std::size_t half = step.taps / 2;
    const std::size_t width = std::size_t{step.blocks} * kLanes;
    for (std::size_t j = range.first; j < range.last; ++j, inputs += step.input_stride) {
        const std::size_t oldest = j > half ? j - half : 0;
        const std::size_t newest = j + half < columns ? j + half : columns - 1;
        const std::size_t tap = j + half - oldest;
        float* const at = sums.at + (oldest - sums.first) * width;
        if (step.is_sparse) {
            const std::size_t count =
                Lanes::collect(inputs, step.inputs, scratch.values, scratch.rows);
            add_column<Lanes, true>(step, {scratch.values, scratch.rows, count}, tap,
                                    newest - oldest + 1, at);
        } else {
            add_column<Lanes, false>(step, {inputs, nullptr, step.inputs}, tap, newest - oldest + 1,
                                     at);
        }
    }
}

template <typename Lanes>
inline void start_columns(const ConvStep& step, std::size_t count, float* sums) {
    const std::size_t width = std::size_t{step.blocks} * kLanes;
    for (std::size_t j = 0; j < count; ++j) {
        for (std::size_t o = 0; o < width; o += kLanes) {
            Lanes::load(step.bias + o).store(sums + j * width + o);
        }
    }
}

template <typename Lanes>
inline void finish_columns(const ConvStep& step, std::size_t count, float* sums) {
    const std::size_t floats = step.has_relu ? count * step.blocks * kLanes : 0;
    for (std::size_t i = 0; i < floats; i += kLanes) {
        Lanes::load(sums + i).relu().store(sums + i);
    }
}

template <typename Lanes>
inline void copy(const float* from, std::size_t floats, float* to) {
    for (std::size_t i = 0; i < floats; i += kLanes) {
        Lanes::load(from + i).store(to + i);
    }
}

// Columns `range` (at `from`) into the bins they belong to; the first of bins is first_bin.
template <typename Lanes>
inline void pool_columns(const NetworkPlan& plan, const Columns& range, const float* from,
                         std::size_t first_bin, float* bins) {
    const std::size_t width = std::size_t{plan.convs[plan.conv_count - 1].blocks} * kLanes;
    const Lanes inverse = Lanes::broadcast(plan.inverse_pool);
    for (std::size_t j = range.first; j < range.last; ++j, from += width) {
        float* const bin = bins + (j / plan.pool - first_bin) * width;
        const std::size_t turn = j % plan.pool;
        for (std::size_t o = 0; o < width; o += kLanes) {
            Lanes sum = Lanes::load(from + o);
            if (turn != 0) {
                sum = Lanes::add(Lanes::load(bin + o), sum);
            }
            if (turn + 1 == plan.pool) {
                sum = Lanes::multiply(sum, inverse);
            }
            sum.store(bin + o);
        }
    }
}

// Taps [first, last) of a kernel.
struct Taps {
    std::size_t first;
    std::size_t last;
};

// kRows columns from `first` on, each with the same taps, all inputs multiplied.
template <typename Lanes, int kRows, int kCount>
inline void gather_blocks(const ConvStep& step, const Taps& taps, std::size_t first,
                          const float* inputs, float* sums) {
    const std::size_t width = std::size_t{step.blocks} * kLanes;
    // Without padding between columns, all that one sum is made of lies in one piece.
    const bool is_one_piece = step.inputs == step.input_stride;
    const std::size_t turn = is_one_piece ? taps.last - taps.first : 1;  // taps in one go
    for (std::size_t tap = taps.first; tap < taps.last; tap += turn) {   // at most kConvTapsMax
        add_tile<Lanes, kRows, kCount>(
            TileProduct<float>{step.weights + tap * step.inputs * width, width, turn * step.inputs,
                               inputs + (first + tap - step.taps / 2) * step.input_stride,
                               step.input_stride, sums + first * width, width});
    }
}

template <typename Lanes, int kRows>
inline void gather_columns(const ConvStep& step, const Taps& taps, std::size_t first,
                           const float* inputs, float* sums) {
    constexpr int kCount = Lanes::kTileSums >= 4 * kRows ? 4 : 1;
    ConvStep part = step;  // its weights and blocks: those that are left
    std::uint32_t block = 0;
    for (; block + kCount <= step.blocks; block += kCount) {
        gather_blocks<Lanes, kRows, kCount>(part, taps, first, inputs, sums + block * kLanes);
        part.weights += kCount * kLanes;
    }
    for (; block < step.blocks; ++block) {
        gather_blocks<Lanes, kRows, 1>(part, taps, first, inputs, sums + block * kLanes);
        part.weights += kLanes;
    }
}

// All inputs of all columns multiplied; columns in the middle share each weight, six at a time.
template <typename Lanes>
inline void gather_all_columns(const ConvStep& step, std::size_t columns, const float* inputs,
                               float* sums) {
    constexpr std::size_t kTogether = 6;  // with four blocks their sums fit 32 registers
    const std::size_t half = step.taps / 2;
    for (std::size_t j = 0; j < columns;) {  // each turn takes one or six
        if (j >= half && j + kTogether + half <= columns) {
            gather_columns<Lanes, kTogether>(step, {0, step.taps}, j, inputs, sums);
            j += kTogether;
            continue;
        }
        const std::size_t first = j < half ? half - j : 0;
        const std::size_t last = j + half < columns ? step.taps : columns + half - j;
        gather_columns<Lanes, 1>(step, {first, last}, j, inputs, sums);
        ++j;
    }
}

// Whether to multiply all inputs, zeros too: gathering reads a weight for six columns at once,
// which is worth more than skipping a quarter. A fourth of the columns tells how many are zeros.
// Where some are, only a ReLU after the sums makes the sign of a zero sum nobody's business.
template <typename Lanes>
inline bool is_dense(const ConvStep& step, std::size_t columns, const float* inputs,
                     Scratch& scratch) {
    if (!step.is_sparse || !step.has_relu) {
        return !step.is_sparse;
    }
    std::size_t active = 0;
    std::size_t all = 0;
    for (std::size_t j = 0; j < columns; j += 4) {
        active += Lanes::collect(inputs + j * step.input_stride, step.inputs, scratch.values,
                                 scratch.rows);
        all += step.inputs;
    }
    return active * 4 >= all * 3;
}

// All columns; the bins are then scratch.activations.
template <typename Lanes>
inline void run_columns(const NetworkPlan& plan, const float* input, Scratch& scratch) {
    const Columns all{0, plan.columns};
    for (std::uint32_t c = 0; c < plan.conv_count; ++c) {  // at most kConvLayersMax
        const ConvStep& step = plan.convs[c];
        start_columns<Lanes>(step, plan.columns, scratch.next);
        if (is_dense<Lanes>(step, plan.columns, input, scratch)) {
            gather_all_columns<Lanes>(step, plan.columns, input, scratch.next);
        } else {
            add_columns<Lanes>(step, plan.columns, all, input, {scratch.next, 0}, scratch);
        }
        finish_columns<Lanes>(step, plan.columns, scratch.next);
        scratch.swap();
        input = scratch.activations;
    }
    pool_columns<Lanes>(plan, all, scratch.activations, 0, scratch.next);
    scratch.swap();
}

// The same as far as the known rows go.
template <typename Lanes>
inline void prepare_columns(const NetworkPlan& plan, const float* known, PreparedRows& out) {
    Scratch scratch;
    float* kept = out.changing;
    std::size_t whole = plan.columns - 1;
    std::size_t width = 0;
    for (std::uint32_t c = 0; c < plan.conv_count; ++c) {  // at most kConvLayersMax
        const ConvStep& step = plan.convs[c];
        width = std::size_t{step.blocks} * kLanes;
        start_columns<Lanes>(step, plan.columns, scratch.next);
        add_columns<Lanes>(step, plan.columns, {0, whole}, known, {scratch.next, 0}, scratch);
        whole = plan.columns - step.changing;
        copy<Lanes>(scratch.next + whole * width, step.changing * width, kept);
        kept += step.changing * width;
        finish_columns<Lanes>(step, whole, scratch.next);
        scratch.swap();
        known = scratch.activations;
    }
    pool_columns<Lanes>(plan, {0, whole}, scratch.activations, 0, scratch.next);
    if (whole % plan.pool != 0) {  // the open bin
        copy<Lanes>(scratch.next + whole / plan.pool * width, width, kept);
    }
    accumulate<Lanes>(plan, plan.first_bias, {scratch.next, 0, plan.first_known}, out.partial);
}

// The columns that the newest row changes; their bins are then scratch.activations.
template <typename Lanes>
inline void run_new_columns(const NetworkPlan& plan, const PreparedRows& prepared,
                            const float* newest, Scratch& scratch) {
    const float* kept = prepared.changing;
    std::size_t whole = plan.columns - 1;
    std::size_t width = 0;
    for (std::uint32_t c = 0; c < plan.conv_count; ++c) {  // at most kConvLayersMax
        const ConvStep& step = plan.convs[c];
        width = std::size_t{step.blocks} * kLanes;
        const std::size_t sums_first = plan.columns - step.changing;
        copy<Lanes>(kept, step.changing * width, scratch.next);
        kept += step.changing * width;
        add_columns<Lanes>(step, plan.columns, {whole, plan.columns}, newest,
                           {scratch.next, sums_first}, scratch);
        finish_columns<Lanes>(step, step.changing, scratch.next);
        whole = sums_first;
        scratch.swap();
        newest = scratch.activations;
    }
    if (whole % plan.pool != 0) {
        copy<Lanes>(kept, width, scratch.next);
    }
    pool_columns<Lanes>(plan, {whole, plan.columns}, scratch.activations, whole / plan.pool,
                        scratch.next);
    scratch.swap();
}

}  // namespace gm::network_kernel
