// Momentum n: ln(C/C₋ₙ), by one logarithm of the ratio; n = 1 is the log return.
//
// Not as a difference of logarithms: near C = C₋ₙ that loses the digits that a small σ30 divides
// by. Warm from the (n+1)-th bar since the start or the last clear(); prices must be positive.
#pragma once

#include <cstdint>

#include "gm/base/elementary.hpp"
#include "gm/indicators/window.hpp"

namespace gm {

template <std::int32_t N>
class Momentum {
 public:
    void update(double close) noexcept { take(close, elementary::log(ratio(close))); }
    // update() in two halves, for a caller that takes several logarithms at once.
    [[nodiscard]] double ratio(double close) const noexcept {
        return closes_.is_full() ? close / closes_.last(N)[0] : 1.0;
    }
    void take(double close, double log_ratio) noexcept {
        is_warm_ = closes_.is_full();
        value_ = log_ratio;
        closes_.push(close);
    }
    // After a price that has no logarithm: begin again.
    void clear() noexcept {
        closes_.clear();
        is_warm_ = 0;
        value_ = 0.0;
    }

    [[nodiscard]] bool is_warm() const noexcept { return is_warm_ != 0; }
    [[nodiscard]] double value() const noexcept { return value_; }

 private:
    Window<N> closes_{};
    double value_ = 0.0;
    std::int64_t is_warm_ = 0;
};

}  // namespace gm
