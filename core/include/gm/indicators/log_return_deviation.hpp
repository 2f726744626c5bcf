// σ30: sample standard deviation of the last 30 log returns.
//
// The 29 known returns are summed by prepare(), before the bar; the newest joins in constant time.
// A deviation under 1e-12 counts as 0 (ours): no price of fewer than 1e11 ticks can move by so
// little, so what is there is rounding.
#pragma once

#include <cmath>
#include <cstdint>

#include "gm/indicators/moments.hpp"
#include "gm/indicators/window.hpp"

namespace gm {

inline constexpr std::int32_t kDeviationReturns = 30;
inline constexpr double kDeviationMin = 1e-12;

class LogReturnDeviation {
 public:
    // Everything about the next value that does not need it. After it, update() gives the value.
    void prepare() noexcept {
        known_ = known_moments(returns_.last(returns_.count()), returns_.count());
    }
    void update(double log_return) noexcept {
        is_warm_ = returns_.is_full();
        value_ = 0.0;
        if (is_warm_ != 0) {
            const Moments moments = with_newest(known_, log_return);
            const double deviation = std::sqrt(moments.squares / (kDeviationReturns - 1));
            value_ = deviation < kDeviationMin ? 0.0 : deviation;
        }
        returns_.push(log_return);
    }
    void clear() noexcept {
        returns_.clear();
        is_warm_ = 0;
        value_ = 0.0;
    }

    [[nodiscard]] bool is_warm() const noexcept { return is_warm_ != 0; }
    [[nodiscard]] double value() const noexcept { return value_; }

 private:
    Window<kDeviationReturns - 1> returns_{};  // the known ones
    KnownMoments known_{};
    double value_ = 0.0;
    std::int64_t is_warm_ = 0;
};

}  // namespace gm
