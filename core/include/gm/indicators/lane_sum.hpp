// Sums over contiguous doubles in one fixed order: 16 running lanes, then a halving tree.
//
// The order depends on the count alone, never on the instruction set or the optimisation level, so
// every build gives the same bits, and 16 independent chains keep the adders busy. A term is
// called with a pair of doubles or with one double and must use plain arithmetic only.
#pragma once

#include <cstdint>
#include <cstring>

namespace gm {

inline constexpr std::int32_t kSumLanes = 16;
inline constexpr std::int32_t kSumPairs = kSumLanes / 2;
using DoublePair = double __attribute__((vector_size(16)));      // in every x86-64 and aarch64
using BitPair = std::uint64_t __attribute__((vector_size(16)));  // all bits or none: compared

template <typename Number>
[[nodiscard]] inline Number load_number(const double* from) noexcept {
    Number number;
    std::memcpy(&number, from, sizeof number);
    return number;
}

// Sum of term(i) for i in [0, count). `term` is called as term.template operator()<Number>(i) and
// answers for element i (Number = double) or for elements i and i + 1 (Number = DoublePair).
template <typename Term>
[[nodiscard]] inline double sum_in_lanes(std::int32_t count, Term term) noexcept {
    DoublePair pairs[kSumPairs] = {};
    std::int32_t i = 0;
    for (; i + kSumLanes <= count; i += kSumLanes) {
#pragma GCC unroll 8  // keeps the lanes in registers at -O2
        for (std::int32_t k = 0; k < kSumPairs; ++k) {
            pairs[k] += term.template operator()<DoublePair>(i + 2 * k);
        }
    }
    double lanes[kSumLanes];
    std::memcpy(lanes, pairs, sizeof lanes);
    for (std::int32_t k = 0; i < count; ++i, ++k) lanes[k] += term.template operator()<double>(i);
    for (std::int32_t width = kSumLanes / 2; width > 0; width /= 2) {
        for (std::int32_t k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
}

[[nodiscard]] inline double lane_sum(const double* values, std::int32_t count) noexcept {
    return sum_in_lanes(count, [values]<typename Number>(std::int32_t i) {
        return load_number<Number>(values + i);
    });
}

// Sum of values - centre.
[[nodiscard]] inline double lane_sum_about(const double* values, std::int32_t count,
                                           double centre) noexcept {
    return sum_in_lanes(count, [values, centre]<typename Number>(std::int32_t i) {
        return load_number<Number>(values + i) - centre;
    });
}

// Sum of (values - centre) squared.
[[nodiscard]] inline double lane_squares_about(const double* values, std::int32_t count,
                                               double centre) noexcept {
    return sum_in_lanes(count, [values, centre]<typename Number>(std::int32_t i) {
        const Number difference = load_number<Number>(values + i) - centre;
        return difference * difference;
    });
}

// Sum of weights · (values - centre).
[[nodiscard]] inline double lane_dot_about(const double* weights, const double* values,
                                           std::int32_t count, double centre) noexcept {
    return sum_in_lanes(count, [weights, values, centre]<typename Number>(std::int32_t i) {
        return load_number<Number>(weights + i) * (load_number<Number>(values + i) - centre);
    });
}

}  // namespace gm
