// NW-RQK: one-sided kernel regression in time with the rational quadratic kernel, not repainting.
//
// ŷ_t = Σ wᵢ x_{t−i} / Σ wᵢ over the bars there are, wᵢ = (1 + i²/(2 r h²))^(−r), h = r = 8,
// i = 0…199, first value at index 25. All terms but i = 0 are known before the bar: prepare() sums
// them as differences from the newest known x, so that update() is one product, a flat market
// gives its price exactly, and ŷ − C loses no digits to the size of the price.
// Source: Nadaraya 1964, Watson 1964 (the estimator); Rasmussen, Williams, Gaussian Processes for
// Machine Learning, 2006, equation 4.19 (the kernel).
#pragma once

#include <array>
#include <cstdint>

#include "gm/indicators/lane_sum.hpp"
#include "gm/indicators/window.hpp"

namespace gm {

inline constexpr std::int32_t kNwRqkBars = 200;
inline constexpr std::int32_t kNwRqkFirstIndex = 25;

// w₁₉₉ … w₁, w₀: in the order of a window, oldest bar first.
[[nodiscard]] constexpr std::array<double, kNwRqkBars> nwrqk_weights() noexcept {
    std::array<double, kNwRqkBars> weights{};
    for (std::int32_t age = 0; age < kNwRqkBars; ++age) {
        const double base = 1.0 + static_cast<double>(age * age) / 1024.0;  // 2 r h² = 1024
        const double squared = base * base;
        const double fourth = squared * squared;
        weights[static_cast<std::size_t>(kNwRqkBars - 1 - age)] = 1.0 / (fourth * fourth);
    }
    return weights;
}

// Element n: sum of the n newest weights, smallest first, so that the tail is not rounded away.
[[nodiscard]] constexpr std::array<double, kNwRqkBars + 1> nwrqk_weight_sums() noexcept {
    const std::array<double, kNwRqkBars> weights = nwrqk_weights();
    std::array<double, kNwRqkBars + 1> sums{};
    for (std::int32_t bars = 1; bars <= kNwRqkBars; ++bars) {
        double sum = 0.0;
        for (std::int32_t j = kNwRqkBars - bars; j < kNwRqkBars; ++j) {
            sum += weights[static_cast<std::size_t>(j)];
        }
        sums[static_cast<std::size_t>(bars)] = sum;
    }
    return sums;
}

class NwRqk {
 public:
    void prepare() noexcept {
        const std::int32_t known = known_.count();
        anchor_next_ = known > 0 ? known_.last(1)[0] : 0.0;
        known_sum_ = lane_dot_about(kWeights.data() + (kNwRqkBars - 1 - known), known_.last(known),
                                    known, anchor_next_);
    }
    // prepare() came before.
    void update(double x) noexcept {
        const std::int32_t bars = known_.count() + 1;
        change_before_ = is_slope_warm() ? change() : 0.0;
        offset_before_ = offset_;
        anchor_before_ = anchor_;
        anchor_ = bars > 1 ? anchor_next_ : x;
        offset_ = (known_sum_ + (x - anchor_)) / kWeightSums[static_cast<std::size_t>(bars)];
        known_.push(x);
        if (count_ < kNwRqkFirstIndex + 2) ++count_;
    }

    [[nodiscard]] bool is_warm() const noexcept { return count_ > kNwRqkFirstIndex; }
    [[nodiscard]] bool is_slope_warm() const noexcept { return count_ > kNwRqkFirstIndex + 1; }
    // ŷ − price, without rounding ŷ to the price's own digits first.
    [[nodiscard]] double above(double price) const noexcept { return (anchor_ - price) + offset_; }
    // ŷ − ŷ₋₁.
    [[nodiscard]] double change() const noexcept {
        return (anchor_ - anchor_before_) + (offset_ - offset_before_);
    }
    // 1: ŷ₋₂ > ŷ₋₁ < ŷ. -1: mirrored. Else 0, and so before index 27.
    [[nodiscard]] std::int32_t turn() const noexcept {
        if (change_before_ < 0.0 && change() > 0.0) return 1;
        return change_before_ > 0.0 && change() < 0.0 ? -1 : 0;
    }

 private:
    static constexpr std::array<double, kNwRqkBars> kWeights = nwrqk_weights();
    static constexpr std::array<double, kNwRqkBars + 1> kWeightSums = nwrqk_weight_sums();

    Window<kNwRqkBars - 1> known_{};
    double anchor_next_ = 0.0;  // the newest known x
    double known_sum_ = 0.0;    // Σ wᵢ (x_{t−i} − anchor_next_) for i >= 1
    double anchor_ = 0.0;       // ŷ = anchor_ + offset_
    double offset_ = 0.0;
    double anchor_before_ = 0.0;
    double offset_before_ = 0.0;
    double change_before_ = 0.0;  // ŷ₋₁ − ŷ₋₂
    std::int64_t count_ = 0;      // bars so far, at most kNwRqkFirstIndex + 2
};

}  // namespace gm
