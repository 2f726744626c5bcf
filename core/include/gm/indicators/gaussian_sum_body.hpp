// The body of every gaussian_sum, over a register of some doubles. Included only by the files of
// one instruction set, each with a register type of its own in an unnamed namespace, so that no
// function compiled for a wider machine is ever shared with a narrower one.
//
// Register must offer: kWidth (a divisor of 16), load, store, broadcast, add, subtract, multiply,
// fma, min, first (the first n elements, else 0), and root (2^-n/16, n in the low bits of a double
// that kSixteenths was added to).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "gm/indicators/gaussian_sum.hpp"

namespace gm::gaussian_sum_body {

// Adding it rounds to sixteenths, ties to even, and leaves their number in the low bits.
inline constexpr double kSixteenths = 0x1.8p48;
inline constexpr double kExponentMax = 1000.0;

// (-ln 2)^n / n!: Taylor's series of 2^-f. For |f| <= 1/32 the first term left out is 5e-16.
inline constexpr int kTerms = 7;
struct Series {
    double term[kTerms];
};
constexpr Series series_of_power() {
    Series series{};
    double term = 1.0;
    for (int n = 0; n < kTerms; ++n) {
        series.term[n] = term;
        term *= -0x1.62e42fefa39efp-1 / (n + 1);
    }
    return series;
}
inline constexpr Series kSeries = series_of_power();

// 2^-j/16.
inline constexpr double kRoots[] = {
    0x1p0,
    0x1.ea4afa2a490dap-1,
    0x1.d5818dcfba487p-1,
    0x1.c199bdd85529cp-1,
    0x1.ae89f995ad3adp-1,
    0x1.9c49182a3f090p-1,
    0x1.8ace5422aa0dbp-1,
    0x1.7a11473eb0187p-1,
    0x1.6a09e667f3bcdp-1,
    0x1.5ab07dd485429p-1,
    0x1.4bfdad5362a27p-1,
    0x1.3dea64c123422p-1,
    0x1.306fe0a31b715p-1,
    0x1.2387a6e756238p-1,
    0x1.172b83c7d517bp-1,
    0x1.0b5586cf9890fp-1,
};

// Entry n mod 16 less n in the bits from kExponentOfSixteenth on is 2^-n/16: what n has beside
// whole powers of two is in the entry too, and cancels.
inline constexpr int kExponentOfSixteenth = 48;
struct RootBits {
    alignas(64) std::uint64_t bits[16];
};
constexpr RootBits bits_of_roots() {
    RootBits roots{};
    for (std::uint64_t j = 0; j < 16; ++j) {
        roots.bits[j] = std::bit_cast<std::uint64_t>(kRoots[j]) + (j << kExponentOfSixteenth);
    }
    return roots;
}
inline constexpr RootBits kRootBits = bits_of_roots();

// sum + 2^-d for d >= 0.
template <typename Register>
inline Register add_power_of_minus(const Register& d, const Register& sum) {
    const Register bounded = Register::min(d, Register::broadcast(kExponentMax));
    const Register shifted = Register::add(bounded, Register::broadcast(kSixteenths));
    const Register whole = Register::subtract(shifted, Register::broadcast(kSixteenths));
    const Register f = Register::subtract(bounded, whole);
    Register power = Register::broadcast(kSeries.term[kTerms - 1]);
#pragma GCC unroll 8
    for (int n = kTerms - 2; n >= 0; --n) {
        power = Register::fma(power, f, Register::broadcast(kSeries.term[n]));
    }
    return Register::fma(power, Register::root(shifted), sum);
}

// The lanes of all parts, in a halving tree.
template <typename Register, int kParts>
inline double sum_of_lanes(const Register (&sums)[kParts]) {
    double lanes[kGaussianBlock];
    for (int p = 0; p < kParts; ++p) sums[p].store(lanes + p * Register::kWidth);
    for (int width = kGaussianBlock / 2; width > 0; width /= 2) {
        for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
}

template <typename Register>
inline GaussianSums sums(const GaussianPoints& points, std::int32_t split, const double* point) {
    constexpr int kParts = kGaussianBlock / Register::kWidth;
    Register at[kGaussianCoordinates];
    for (int c = 0; c < kGaussianCoordinates; ++c) at[c] = Register::broadcast(point[c]);
    const auto add_kernels = [&](std::int32_t i, const Register& sum) {
        Register d = Register::broadcast(0.0);
#pragma GCC unroll 4
        for (int c = 0; c < kGaussianCoordinates; ++c) {
            const double* from = points.first + static_cast<std::ptrdiff_t>(c) * points.stride + i;
            const Register apart = Register::subtract(Register::load(from), at[c]);
            d = c == 0 ? Register::multiply(apart, apart) : Register::fma(apart, apart, d);
        }
        return add_power_of_minus(d, sum);
    };
    const auto add_block = [&](std::int32_t i, Register(&sums)[kParts]) {
#pragma GCC unroll 16
        for (int p = 0; p < kParts; ++p) {
            sums[p] = add_kernels(i + p * Register::kWidth, sums[p]);
        }
    };
    Register head[kParts];
    Register tail[kParts];
    for (int p = 0; p < kParts; ++p) head[p] = tail[p] = Register::broadcast(0.0);
    // Of a block in which a sum ends.
    const auto add_part_of_block = [&](std::int32_t i) {
#pragma GCC unroll 16
        for (int p = 0; p < kParts; ++p) {
            const std::int32_t from = i + p * Register::kWidth;
            const Register kernels = add_kernels(from, Register::broadcast(0.0));
            const Register of_head = kernels.first(split - from);
            const Register of_both = kernels.first(points.count - from);
            head[p] = Register::add(head[p], of_head);
            tail[p] = Register::add(tail[p], Register::subtract(of_both, of_head));
        }
    };
    std::int32_t i = 0;
    for (; i + kGaussianBlock <= split; i += kGaussianBlock) add_block(i, head);
    if (i < split) {
        add_part_of_block(i);
        i += kGaussianBlock;
    }
    for (; i + kGaussianBlock <= points.count; i += kGaussianBlock) add_block(i, tail);
    if (i < points.count) add_part_of_block(i);
    return {sum_of_lanes(head), sum_of_lanes(tail)};
}

}  // namespace gm::gaussian_sum_body
