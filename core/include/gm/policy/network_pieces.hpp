// What the known rows decide, a piece at a time; see NetworkPiece. Every sum is the chain that
// prepare() walks, put down at the end of a piece and taken up by the next.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/policy/network_columns.hpp"
#include "gm/policy/network_product.hpp"

namespace gm::network_kernel {

// Convolution c leaves its columns in columns[c % 2], the pool its bins in the other one.
template <typename Lanes>
inline void prepare_conv_piece(const NetworkPlan& plan, const NetworkPiece& piece,
                               const float* known, PrepareScratch& kept, PreparedRows& out) {
    const std::uint32_t c = piece.conv;
    const ConvStep& step = plan.convs[c];
    const std::size_t width = std::size_t{step.blocks} * kLanes;
    const float* const inputs = c == 0 ? known : kept.columns[(c + 1) % 2];
    float* const sums = kept.columns[c % 2];
    Scratch scratch;  // of inputs that are not 0
    if (piece.begins) start_columns<Lanes>(step, plan.columns, sums);
    add_columns<Lanes>(step, plan.columns, {piece.first, piece.last},
                       inputs + std::size_t{piece.first} * step.input_stride, {sums, 0}, scratch);
    if (!piece.ends) return;
    float* changing = out.changing;
    for (std::uint32_t before = 0; before < c; ++before) {  // at most kConvLayersMax
        const ConvStep& other = plan.convs[before];
        changing += std::size_t{other.changing} * other.blocks * kLanes;
    }
    const std::size_t whole = plan.columns - step.changing;
    copy<Lanes>(sums + whole * width, step.changing * width, changing);
    changing += step.changing * width;
    finish_columns<Lanes>(step, whole, sums);
    if (c + 1 != plan.conv_count) return;
    float* const bins = kept.columns[(c + 1) % 2];
    pool_columns<Lanes>(plan, {0, whole}, sums, 0, bins);
    if (whole % plan.pool != 0) {  // the open bin
        copy<Lanes>(bins + whole / plan.pool * width, width, changing);
    }
}

template <typename Lanes>
inline void prepare_piece(const NetworkPlan& plan, std::size_t index, const float* known,
                          PrepareScratch& kept, PreparedRows& out) noexcept {
    const NetworkPiece piece = piece_at(plan, index);
    if (piece.conv < plan.conv_count) {
        prepare_conv_piece<Lanes>(plan, piece, known, kept, out);
        return;
    }
    const float* const inputs = plan.conv_count == 0 ? known : kept.columns[plan.conv_count % 2];
    const InputRange range{inputs + piece.first, piece.first, piece.last - piece.first};
    accumulate<Lanes>(plan, piece.begins ? plan.first_bias : out.partial, range, out.partial);
}

}  // namespace gm::network_kernel
