// Weights of half the bytes: the upper half of a float32, rounded to nearest, ties to even.
//
// Two of them share a word, so that lanes come apart with a shift and a mask and nothing crosses
// from lane to lane: every instruction set expands them to the same float32.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace gm {

// The matrices after the first layer of a network, which the closing tick walks through.
enum class Tail : std::uint32_t {
    kFloat32 = 0,   // as in the file
    kBfloat16 = 1,  // large ones rounded; products and sums stay float32
};

// Weights of a matrix that is large: 64 KiB of float32. What is smaller is not worth its rounding:
// of SPEC's strategic networks the first such matrix holds three quarters of the tail's bytes, and
// the two behind it as much of the error again.
inline constexpr std::size_t kNarrowWeightsMin = 16384;

// Lane i of block 2 b in the low half, lane i of block 2 b + 1 in the high half.
struct Bfloat16Pair {
    std::uint32_t bits;
};
static_assert(sizeof(Bfloat16Pair) == 4);

// The float32 that stands for value. A value within half a step of infinity becomes infinite.
[[nodiscard]] inline float round_to_bfloat16(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return std::bit_cast<float>((bits + 0x7fffU + (bits >> 16 & 1U)) & 0xffff0000U);
}

// Both are values that round_to_bfloat16() gives.
[[nodiscard]] inline Bfloat16Pair pair_of(float low, float high) noexcept {
    return {std::bit_cast<std::uint32_t>(low) >> 16 | std::bit_cast<std::uint32_t>(high)};
}

}  // namespace gm
