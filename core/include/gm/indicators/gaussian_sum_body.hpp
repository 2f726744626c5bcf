// The body of every gaussian_sum, over a register of some doubles. Included only by the files of
// one instruction set, each with a register type of its own in an unnamed namespace, so that no
// function compiled for a wider machine is ever shared with a narrower one.
//
// Register must offer: kWidth (a divisor of 16), load, store, broadcast, add, subtract, multiply,
// fma, min, first (the first n elements, else 0), and power (2^-n times x, n in the low bits of a
// double that kWholePart was added to).
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/indicators/gaussian_sum.hpp"

namespace gm::gaussian_sum_body {

// Adding it rounds to a whole number, ties to even, and leaves that in the low bits.
inline constexpr double kWholePart = 0x1.8p52;
inline constexpr double kExponentMax = 1000.0;

// (-ln 2)^n / n!: Taylor's series of 2^-f. For |f| <= 1/2 the first term left out is 2e-16.
inline constexpr int kTerms = 13;
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

// 2^-d for d >= 0. Even and odd terms apart: half as long a chain.
template <typename Register>
inline Register power_of_minus(const Register& d) {
    const Register bounded = Register::min(d, Register::broadcast(kExponentMax));
    const Register shifted = Register::add(bounded, Register::broadcast(kWholePart));
    const Register whole = Register::subtract(shifted, Register::broadcast(kWholePart));
    const Register f = Register::subtract(bounded, whole);
    const Register f2 = Register::multiply(f, f);
    Register even = Register::broadcast(kSeries.term[kTerms - 1]);
    Register odd = Register::broadcast(kSeries.term[kTerms - 2]);
#pragma GCC unroll 8
    for (int n = kTerms - 3; n > 0; n -= 2) {
        even = Register::fma(even, f2, Register::broadcast(kSeries.term[n]));
        if (n > 1) odd = Register::fma(odd, f2, Register::broadcast(kSeries.term[n - 1]));
    }
    even = Register::fma(even, f2, Register::broadcast(kSeries.term[0]));
    return Register::power(Register::fma(odd, f, even), shifted);
}

template <typename Register>
inline double sum(const GaussianPoints& points, const double* point) {
    constexpr int kParts = kGaussianBlock / Register::kWidth;
    Register at[kGaussianCoordinates];
    for (int c = 0; c < kGaussianCoordinates; ++c) at[c] = Register::broadcast(point[c]);
    const auto kernel = [&](std::int32_t i) {
        Register d = Register::broadcast(0.0);
#pragma GCC unroll 4
        for (int c = 0; c < kGaussianCoordinates; ++c) {
            const double* from = points.first + static_cast<std::ptrdiff_t>(c) * points.stride + i;
            const Register apart = Register::subtract(Register::load(from), at[c]);
            d = c == 0 ? Register::multiply(apart, apart) : Register::fma(apart, apart, d);
        }
        return power_of_minus(d);
    };
    Register sums[kParts];
    for (int p = 0; p < kParts; ++p) sums[p] = Register::broadcast(0.0);
    std::int32_t i = 0;
    for (; i + kGaussianBlock <= points.count; i += kGaussianBlock) {
#pragma GCC unroll 16
        for (int p = 0; p < kParts; ++p) {
            sums[p] = Register::add(sums[p], kernel(i + p * Register::kWidth));
        }
    }
    if (i < points.count) {
#pragma GCC unroll 16
        for (int p = 0; p < kParts; ++p) {
            const std::int32_t from = i + p * Register::kWidth;
            sums[p] = Register::add(sums[p], kernel(from).first(points.count - from));
        }
    }
    double lanes[kGaussianBlock];
    for (int p = 0; p < kParts; ++p) sums[p].store(lanes + p * Register::kWidth);
    for (int width = kGaussianBlock / 2; width > 0; width /= 2) {
        for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
}

}  // namespace gm::gaussian_sum_body
