// EMA n: exponential moving average, α = 2/(n+1), seeded with the first value.
//
// Warm from that first value. A run of zeros stays exactly 0.
#pragma once

#include <cstdint>

namespace gm {

template <std::int32_t N>
class Ema {
 public:
    void update(double x) noexcept {
        value_ = is_warm_ != 0 ? value_ * kKept + x * kTaken : x;
        is_warm_ = 1;
    }

    [[nodiscard]] bool is_warm() const noexcept { return is_warm_ != 0; }
    [[nodiscard]] double value() const noexcept { return value_; }

 private:
    static constexpr double kTaken = 2.0 / (N + 1);
    static constexpr double kKept = 1.0 - kTaken;

    double value_ = 0.0;
    std::int64_t is_warm_ = 0;
};

}  // namespace gm
