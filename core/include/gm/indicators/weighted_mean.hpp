// WMA n: mean of the last n values with weights n … 1, the newest heaviest.
//
// The n - 1 known values are summed by prepare(), before the bar; the newest joins as one product.
// Nothing is carried from bar to bar, so nothing drifts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gm/indicators/lane_sum.hpp"
#include "gm/indicators/window.hpp"

namespace gm {

template <std::int32_t N>
class WeightedMean {
 public:
    static constexpr double kWeightSum = N * (N + 1) / 2.0;

    void prepare() noexcept {
        known_sum_ = known_.is_full()
                         ? lane_dot_about(kKnownWeights.data(), known_.last(N - 1), N - 1, 0.0)
                         : 0.0;
    }
    // prepare() came before.
    void update(double x) noexcept {
        is_warm_ = known_.is_full();
        weighted_sum_ = is_warm_ != 0 ? known_sum_ + N * x : 0.0;
        known_.push(x);
    }

    // From the n-th value on.
    [[nodiscard]] bool is_warm() const noexcept { return is_warm_ != 0; }
    // Σ w X with weights 1 … n: exact for whole numbers and their quarters. 0 before the n-th.
    [[nodiscard]] double weighted_sum() const noexcept { return weighted_sum_; }
    [[nodiscard]] double value() const noexcept { return weighted_sum_ / kWeightSum; }
    // What value() would be if x came next; prepare() came before.
    [[nodiscard]] double value_with(double x) const noexcept {
        return (known_sum_ + N * x) / kWeightSum;
    }

 private:
    [[nodiscard]] static constexpr std::array<double, N - 1> known_weights() noexcept {
        std::array<double, N - 1> weights{};
        for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i + 1);
        return weights;
    }
    static constexpr std::array<double, N - 1> kKnownWeights = known_weights();

    Window<N - 1> known_{};
    double known_sum_ = 0.0;
    double weighted_sum_ = 0.0;
    std::int64_t is_warm_ = 0;
};

}  // namespace gm
