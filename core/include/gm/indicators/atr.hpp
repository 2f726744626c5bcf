// ATR 14: average true range of Wilder, New Concepts in Technical Trading Systems, 1978.
//
// TR = max(H−L, |H−C₋₁|, |L−C₋₁|), first TR = H−L; the mean of the first 14 seeds, then each bar
// weighs 1/14. Warm from the 14th bar; 0 before. Computed as max(H, C₋₁) − min(L, C₋₁): the same
// bits where H ≥ L, since rounding keeps an order, in half the instructions.
#pragma once

#include <cstdint>

namespace gm {

inline constexpr std::int32_t kAtrBars = 14;

class Atr {
 public:
    void update(double high, double low, double close) noexcept {
        const double above = high > close_before_ ? high : close_before_;
        const double below = low < close_before_ ? low : close_before_;
        close_before_ = close;
        if (is_warm()) [[likely]] {
            accumulated_ = accumulated_ * kKept + (above - below) * kTaken;
            return;
        }
        accumulated_ += count_ > 0 ? above - below : high - low;  // no close before the first bar
        if (++count_ == kAtrBars) accumulated_ *= kTaken;
    }

    [[nodiscard]] bool is_warm() const noexcept { return count_ == kAtrBars; }
    // In ticks, never negative; 0 also when no price has ever moved.
    [[nodiscard]] double value() const noexcept { return is_warm() ? accumulated_ : 0.0; }

 private:
    // No division between one bar and the next: the chain is a product and a sum.
    static constexpr double kTaken = 1.0 / kAtrBars;
    static constexpr double kKept = 1.0 - kTaken;

    double accumulated_ = 0.0;  // sum of true ranges while seeding, then the average
    double close_before_ = 0.0;
    std::int64_t count_ = 0;  // bars so far, at most kAtrBars
};

}  // namespace gm
