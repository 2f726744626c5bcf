// Elementary functions: argument reduction, Taylor polynomials, and the rounding errors that
// matter carried along in a second double.
//
// Every function is written once, as a template over its lanes: Real is double or a GCC vector of
// doubles. Both do the same IEEE operations in the same order, so they give the same bits. A
// condition is a select between two computed values, never a jump over an operation. The series
// are Taylor's, not minimax: a term or two more, and no constant that one has to believe.
// Sources: Cody & Waite 1980 (reduction); Dekker 1971, Knuth TAOCP 2 §4.2.2 (exact sum, product).
#include "gm/base/elementary.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace gm::elementary {
namespace {

using Double2 = double __attribute__((vector_size(16)));
using Bits2 = std::uint64_t __attribute__((vector_size(16)));

template <typename Real>
struct BitsOf;
template <>
struct BitsOf<double> {
    using Type = std::uint64_t;
};
template <>
struct BitsOf<Double2> {
    using Type = Bits2;
};
template <typename Real>
using Bits = typename BitsOf<Real>::Type;

template <typename Real>
inline Bits<Real> to_bits(Real x) {
    Bits<Real> bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

template <typename Real>
inline Real from_bits(Bits<Real> bits) {
    Real x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

template <typename Real>
inline Real all(double value) {
    return Real{} + value;
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;
constexpr std::uint64_t kMantissaBits = (std::uint64_t{1} << 52) - 1;

template <typename Real>
inline Real magnitude_of(Real x) {
    return from_bits<Real>(to_bits(x) & ~kSignBit);
}

// hi + lo, with |lo| at most half an ulp of hi.
template <typename Real>
struct Pair {
    Real hi;
    Real lo;
};

// a + b exactly (Knuth). No order of size required.
template <typename Real>
inline Pair<Real> sum(Real a, Real b) {
    const Real hi = a + b;
    const Real b_taken = hi - a;
    return {hi, (a - (hi - b_taken)) + (b - b_taken)};
}

// 2^27 + 1: times this and back, a double falls into two halves of 26 bits.
constexpr double kSplitter = 134217729.0;

// a * b exactly (Dekker), for results and operands well inside the range of double.
template <typename Real>
inline Pair<Real> product(Real a, Real b) {
    const Real a_scaled = a * kSplitter;
    const Real a_hi = a_scaled - (a_scaled - a);
    const Real a_lo = a - a_hi;
    const Real b_scaled = b * kSplitter;
    const Real b_hi = b_scaled - (b_scaled - b);
    const Real b_lo = b - b_hi;
    const Real hi = a * b;
    return {hi, ((a_hi * b_hi - hi) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo};
}

// c[0] + c[1] x + c[2] x² + …, from the last term down.
template <typename Real, std::size_t N>
inline Real polynomial(Real x, const double (&c)[N]) {
    Real value = all<Real>(c[N - 1]);
#pragma GCC unroll 16
    for (std::size_t i = N - 1; i > 0; --i) value = value * x + c[i - 1];
    return value;
}

// Adding it leaves the nearest whole number in the low bits of the mantissa, ties to even. Right
// for |x| < 2^51.
constexpr double kRounder = 0x1.8p52;

template <typename Real>
inline Real nearest_whole(Real x) {
    return (x + kRounder) - kRounder;
}

// 2^n for a whole n with -1022 <= n <= 1023.
template <typename Real>
inline Real power_of_two(Real n) {
    return from_bits<Real>((to_bits(n + kRounder) + 1023) << 52);
}

// ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kLn2Inverse = 0x1.71547652b82fep+0;

// 1/n! for n = 2, 4, … and n = 3, 5, …: e^r - 1 - r = r² (even(r²) + r odd(r²)). The first term
// left out is r^15/15! < 1e-19 for |r| <= ln(2)/2.
constexpr double kExpEven[] = {1.0 / 2,       1.0 / 24,        1.0 / 720,        1.0 / 40320,
                               1.0 / 3628800, 1.0 / 479001600, 1.0 / 87178291200};
constexpr double kExpOdd[] = {1.0 / 6,      1.0 / 120,      1.0 / 5040,
                              1.0 / 362880, 1.0 / 39916800, 1.0 / 6227020800};

// x = n ln 2 + r, and e^r - 1 to about 2^-57.
template <typename Real>
struct ExpParts {
    Real n;
    Pair<Real> expm1_of_rest;
};

template <typename Real>
inline ExpParts<Real> exp_parts(Real x) {
    const Real n = nearest_whole(x * kLn2Inverse);
    const Pair<Real> r = sum(x - n * kLn2High, -(n * kLn2Low));
    const Real r2 = r.hi * r.hi;
    const Real tail = r2 * (polynomial(r2, kExpEven) + r.hi * polynomial(r2, kExpOdd));
    const Pair<Real> value = sum(r.hi, tail);
    return {n, {value.hi, value.lo + (r.lo + r.lo * r.hi)}};
}

template <typename Real>
inline Real exp_of(Real x) {
    // Past these limits the result is infinite or zero; clamping keeps n in range.
    const Real low = all<Real>(-746.0);
    const Real high = all<Real>(710.0);
    Real clamped = x < low ? low : x;
    clamped = clamped > high ? high : clamped;
    const ExpParts<Real> parts = exp_parts(clamped);
    const Pair<Real> value = sum(all<Real>(1.0), parts.expm1_of_rest.hi);
    const Real mantissa = value.hi + (value.lo + parts.expm1_of_rest.lo);
    // In two steps: n reaches -1076 and 1024. At most the last one rounds.
    const Real n_first = nearest_whole(parts.n * 0.5);
    const Real scaled = mantissa * power_of_two(n_first) * power_of_two(parts.n - n_first);
    return x != x ? x + x : scaled;
}

// x's exponent is counted from √½, and biased so that no difference is negative.
constexpr std::uint64_t kRootHalfBits = 0x3fe6a09e667f3bcd;  // √½
constexpr std::uint64_t kBiasBits = std::uint64_t{1024} << 52;

// log(1 + f) = f - f²/2 + s (f²/2 + R), s = f/(2 + f), R = 2 s²/3 + 2 s⁴/5 + …; the first term left
// out is s · 2 s²²/23 < 3e-19 for |s| <= 0.172.
constexpr double kLogSeries[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};

template <typename Real>
inline Real log_of(Real x) {
    const auto is_subnormal = x < all<Real>(0x1p-1022);
    const Real normal = is_subnormal ? x * 0x1p54 : x;
    // x = 2^k m with m in [√½, √2).
    const Bits<Real> shifted = to_bits(normal) - kRootHalfBits;
    const Bits<Real> biased = (shifted + kBiasBits) >> 52;
    const Real whole = from_bits<Real>(biased | std::uint64_t{0x4330000000000000});  // 2^52 + it
    const Real k = (whole - (0x1p52 + 1024.0)) - (is_subnormal ? all<Real>(54.0) : all<Real>(0.0));
    const Real m = from_bits<Real>((shifted & kMantissaBits) + kRootHalfBits);

    const Real f = m - 1.0;
    const Pair<Real> half_square = product(f, f * 0.5);
    const Real s = f / (f + 2.0);
    const Real s2 = s * s;
    const Real series = s2 * polynomial(s2, kLogSeries);
    const Pair<Real> near = sum(f, -half_square.hi);
    const Pair<Real> value = sum(k * kLn2High, near.hi);
    const Real rest = (near.lo - half_square.lo) + s * (half_square.hi + series);
    const Real result = value.hi + (value.lo + (k * kLn2Low + rest));

    const Real zero = all<Real>(0.0);
    const Real infinity = all<Real>(kInfinity);
    const Real outside = x == zero ? all<Real>(-kInfinity) : all<Real>(kNaN);
    const Real inside = x > zero ? result : outside;
    const Real at_end = x == infinity ? infinity : inside;
    return x != x ? x + x : at_end;
}

template <typename Real>
inline Real tanh_of(Real x) {
    // tanh = E/(E + 2) with E = e^2|x| - 1. From 20 on the result rounds to 1.
    const Real size = magnitude_of(x);
    const Real high = all<Real>(22.0);
    const Real clamped = size > high ? high : size;
    const ExpParts<Real> parts = exp_parts(clamped * 2.0);
    const Real scale = power_of_two(parts.n);
    const Pair<Real> grown = sum(scale - 1.0, scale * parts.expm1_of_rest.hi);
    const Real grown_lo = grown.lo + scale * parts.expm1_of_rest.lo;
    const Pair<Real> divisor = sum(grown.hi, all<Real>(2.0));
    const Real divisor_lo = divisor.lo + grown_lo;

    const Real quotient = grown.hi / divisor.hi;
    const Pair<Real> back = product(quotient, divisor.hi);
    const Real rest = (((grown.hi - back.hi) - back.lo) + grown_lo) - quotient * divisor_lo;
    const Real value = quotient + rest / divisor.hi;
    const Real is_signed = from_bits<Real>(to_bits(value) | (to_bits(x) & kSignBit));
    // x - x³/3 rounds to x; it also keeps the products above out of the subnormals.
    const Real result = size < all<Real>(0x1p-28) ? x : is_signed;
    return x != x ? x + x : result;
}

// π/2 in parts of 33 bits, so that the product with n < 2^20 is exact, and a tail.
constexpr double kHalfPi1 = 0x1.921fb544p+0;
constexpr double kHalfPi2 = 0x1.0b4611a6p-34;
constexpr double kHalfPi3 = 0x1.3198a2ep-69;
constexpr double kHalfPi4 = 0x1.b839a252049c1p-104;
constexpr double kHalfPiInverse = 0x1.45f306dc9c883p-1;

// Terms of sin r = r + r³(…) and cos r = 1 - r²/2 + r⁴(…); the first ones left out are below
// 1e-19 and 2e-18 for |r| <= π/4.
constexpr double kSinSeries[] = {
    -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
    -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
constexpr double kCosSeries[] = {
    1.0 / 24,        -1.0 / 720,         1.0 / 40320,         -1.0 / 3628800,
    1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000};

template <typename Real>
inline Real sin_near(Pair<Real> r) {
    const Real r2 = r.hi * r.hi;
    const Real cubic = r2 * r.hi * polynomial(r2, kSinSeries);
    // d sin = cos r dr, and 1 - r²/2 is enough of cos r for a dr of 2^-53 r.
    return r.hi + (cubic + (r.lo - r.lo * (r2 * 0.5)));
}

template <typename Real>
inline Real cos_near(Pair<Real> r) {
    const Pair<Real> r2 = product(r.hi, r.hi);
    const Pair<Real> value = sum(all<Real>(1.0), r2.hi * -0.5);
    const Real rest = r2.hi * r2.hi * polynomial(r2.hi, kCosSeries);
    return value.hi + (value.lo + (rest - (r2.lo * 0.5 + r.hi * r.lo)));
}

// sin(x + quarter · π/2).
template <typename Real>
inline Real sin_of(Real x, std::uint64_t quarter) {
    const Real n = nearest_whole(x * kHalfPiInverse);
    const Pair<Real> first = sum(x - n * kHalfPi1, -(n * kHalfPi2));  // the difference is exact
    const Pair<Real> second = sum(first.hi, -(n * kHalfPi3));
    const Pair<Real> third = sum(second.hi, (first.lo + second.lo) - n * kHalfPi4);
    const Bits<Real> turns = to_bits(n + kRounder) + quarter;
    const Bits<Real> zero{};
    const Real value = (turns & 1) != zero ? cos_near(third) : sin_near(third);
    const Real is_signed = (turns & 2) != zero ? -value : value;
    const Real size = magnitude_of(x);
    // Near zero sin x rounds to x and cos x to 1; it also keeps -0 and the subnormals.
    const Real at_zero = quarter == 0 ? x : all<Real>(1.0);
    const Real inside = size < all<Real>(0x1p-28) ? at_zero : is_signed;
    return size <= all<Real>(kAngleMax) ? inside : all<Real>(kNaN);
}

struct Exp {
    template <typename Real>
    static Real of(Real x) {
        return exp_of(x);
    }
};
struct Log {
    template <typename Real>
    static Real of(Real x) {
        return log_of(x);
    }
};
struct Tanh {
    template <typename Real>
    static Real of(Real x) {
        return tanh_of(x);
    }
};
struct Sin {
    template <typename Real>
    static Real of(Real x) {
        return sin_of(x, 0);
    }
};
struct Cos {
    template <typename Real>
    static Real of(Real x) {
        return sin_of(x, 1);
    }
};

template <typename Function>
void apply(std::span<const double> x, std::span<double> out) {
    std::size_t i = 0;
    for (; i + 2 <= x.size(); i += 2) {
        Double2 lanes;
        std::memcpy(&lanes, x.data() + i, sizeof lanes);
        lanes = Function::of(lanes);
        std::memcpy(out.data() + i, &lanes, sizeof lanes);
    }
    if (i < x.size()) out[i] = Function::of(x[i]);
}

}  // namespace

double exp(double x) noexcept {
    return exp_of(x);
}
double log(double x) noexcept {
    return log_of(x);
}
double tanh(double x) noexcept {
    return tanh_of(x);
}
double sin(double x) noexcept {
    return sin_of(x, 0);
}
double cos(double x) noexcept {
    return sin_of(x, 1);
}

void exp(std::span<const double> x, std::span<double> out) noexcept {
    apply<Exp>(x, out);
}
void log(std::span<const double> x, std::span<double> out) noexcept {
    apply<Log>(x, out);
}
void tanh(std::span<const double> x, std::span<double> out) noexcept {
    apply<Tanh>(x, out);
}
void sin(std::span<const double> x, std::span<double> out) noexcept {
    apply<Sin>(x, out);
}
void cos(std::span<const double> x, std::span<double> out) noexcept {
    apply<Cos>(x, out);
}

}  // namespace gm::elementary
