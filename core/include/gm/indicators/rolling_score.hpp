// z-score of a value against its last 500 values, itself included (population deviation).
//
// At least 100 values, else 0. The 499 known values are summed by prepare(). A deviation under
// 1e-12 gives 0 (ours): the values scored are logarithms of order 10, which round by 1e-15.
#pragma once

#include <cmath>
#include <cstdint>

#include "gm/indicators/moments.hpp"
#include "gm/indicators/window.hpp"

namespace gm {

inline constexpr std::int32_t kScoreValues = 500;
inline constexpr std::int32_t kScoreValuesMin = 100;
inline constexpr double kScoreDeviationMin = 1e-12;

class RollingScore {
 public:
    void prepare() noexcept {
        known_ = known_moments(values_.last(values_.count()), values_.count());
    }
    // Takes the value into the history and answers its score. prepare() came before.
    [[nodiscard]] double update(double value) noexcept {
        double score = 0.0;
        if (values_.count() + 1 >= kScoreValuesMin) {
            const Moments moments = with_newest(known_, value);
            const double deviation =
                std::sqrt(moments.squares / static_cast<double>(moments.count));
            if (deviation >= kScoreDeviationMin) score = moments.newest_deviation / deviation;
        }
        values_.push(value);
        if (count_ < kScoreValuesMin) ++count_;
        return score;
    }

    // Whether enough values have entered since the start.
    [[nodiscard]] bool is_warm() const noexcept { return count_ == kScoreValuesMin; }
    [[nodiscard]] std::int64_t values_needed() const noexcept { return kScoreValuesMin - count_; }

 private:
    Window<kScoreValues - 1> values_{};  // the known ones
    KnownMoments known_{};
    std::int64_t count_ = 0;  // values so far, at most kScoreValuesMin
};

}  // namespace gm
