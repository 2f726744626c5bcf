// ATR 14: average true range of Wilder, New Concepts in Technical Trading Systems, 1978.
//
// TR = max(H−L, |H−C₋₁|, |L−C₋₁|), first TR = H−L; the mean of the first 14 seeds, then each bar
// weighs 1/14. Warm from the 14th bar; 0 before.
#pragma once

#include <cmath>
#include <cstdint>

namespace gm {

inline constexpr std::int32_t kAtrBars = 14;

class Atr {
 public:
    void update(double high, double low, double close) noexcept {
        double range = high - low;
        const double up = std::abs(high - close_before_);
        const double down = std::abs(low - close_before_);
        close_before_ = close;
        if (is_warm()) [[likely]] {
            range = up > range ? up : range;
            range = down > range ? down : range;
            accumulated_ = accumulated_ * kKept + range * kTaken;
            return;
        }
        if (count_ > 0) {  // the first bar has no close before it
            range = up > range ? up : range;
            range = down > range ? down : range;
        }
        accumulated_ += range;
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
