// Mean and sum of squares of a window whose newest value comes last.
//
// All values but the newest are known before a bar closes: their part is computed then, in two
// passes (mean, then squares about it), and the newest value joins in constant time by the exact
// update about the known mean. Nothing is carried from bar to bar, so nothing drifts.
// Source: Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance", The American
// Statistician 37(3), 1983, equations 1.5 and 1.7 (corrected two-pass, one value added).
#pragma once

#include <cstdint>

#include "gm/indicators/lane_sum.hpp"

namespace gm {

struct KnownMoments {
    double mean = 0.0;
    double residual = 0.0;  // sum of deviations from `mean`: the rounding of `mean`, times count
    double squares = 0.0;   // sum of squared deviations from `mean`
    std::int64_t count = 0;
};

struct Moments {
    double newest_deviation;  // newest value minus the mean of all
    double squares;           // sum of squared deviations from the mean of all, never below 0
    std::int64_t count;
};

[[nodiscard]] inline KnownMoments known_moments(const double* values, std::int32_t count) noexcept {
    if (count == 0) return {};
    const double mean = lane_sum(values, count) / count;
    return {mean, lane_sum_about(values, count, mean), lane_squares_about(values, count, mean),
            count};
}

[[nodiscard]] inline Moments with_newest(const KnownMoments& known, double newest) noexcept {
    const std::int64_t count = known.count + 1;
    const double deviation = newest - known.mean;
    const double shift = (known.residual + deviation) / static_cast<double>(count);
    const double squares =
        known.squares + deviation * deviation - (known.residual + deviation) * shift;
    return {deviation - shift, squares > 0.0 ? squares : 0.0, count};
}

}  // namespace gm
