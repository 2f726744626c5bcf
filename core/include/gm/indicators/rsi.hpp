// RSI n: relative strength index of Wilder, New Concepts in Technical Trading Systems, 1978.
//
// Average gain and loss are the plain means of the first n changes, then each change weighs 1/n.
// RSI = 100 gain/(gain + loss), which is Wilder's 100 - 100/(1 + gain/loss); without any loss 100,
// without any movement 50. Warm from the (n+1)-th value.
#pragma once

#include <cmath>
#include <cstdint>

namespace gm {

template <std::int32_t N>
class Rsi {
 public:
    void update(double x) noexcept {
        const double higher = x > before_ ? x : before_;  // no branch: a coin toss
        const double gain = higher - before_;
        const double loss = higher - x;
        before_ = x;
        if (is_warm()) [[likely]] {
            gain_ = gain_ * kKept + gain * kTaken;
            loss_ = loss_ * kKept + loss * kTaken;
        } else {
            if (count_++ == 0) return;  // no change yet
            gain_ += gain * kTaken;
            loss_ += loss * kTaken;
            if (!is_warm()) return;
        }
        const double both = gain_ + loss_;
        value_ = both > 0.0 ? 100.0 * (gain_ / both) : 50.0;
    }

    [[nodiscard]] bool is_warm() const noexcept { return count_ == N + 1; }
    // 0 to 100; 0 before it is warm.
    [[nodiscard]] double value() const noexcept { return value_; }

 private:
    // No division between one bar and the next: the chain is a product and a sum.
    static constexpr double kTaken = 1.0 / N;
    static constexpr double kKept = 1.0 - kTaken;

    double gain_ = 0.0;
    double loss_ = 0.0;
    double before_ = 0.0;
    double value_ = 0.0;
    std::int64_t count_ = 0;  // values so far, at most N + 1
};

}  // namespace gm
