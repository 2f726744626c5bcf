// MLMI, machine-learning momentum index: how momentum crosses that looked like this one ended.
//
// On Heiken Ashi closes: p₁ = WMA20(RSI20), p₂ = WMA20(RSI5). A cross is a change of sign of
// WMA5 - WMA20 (zero keeps the last sign), counted once p₁ and p₂ exist. Each cross labels the one
// before it by the sign of the move between them and is itself a sample once it has a label; value
// = 50 + 50·mean label of the nearest samples. On a synthetic bar a cross moves the sign and does
// nothing else. SPEC §2.
// Source: Cover, Hart, "Nearest Neighbor Pattern Classification", IEEE Transactions on Information
// Theory 13(1), 1967 (the vote); the rest is ours.
#pragma once

#include <cstdint>

#include "gm/indicators/neighbours.hpp"
#include "gm/indicators/rsi.hpp"
#include "gm/indicators/weighted_mean.hpp"

namespace gm {

inline constexpr std::int32_t kMlmiSamplesMin = kNeighbourPointsMin;

class Mlmi {
 public:
    // Everything about the next value that does not need it.
    void prepare() noexcept;
    // prepare() came before.
    void update(double heiken_ashi_close, bool is_synthetic) noexcept;

    // Brings near what update() reads.
    void touch() const noexcept;

    // (value - 50)/50, in [-1, 1]; 0 while there are fewer than 20 samples.
    [[nodiscard]] double lean() const noexcept { return lean_; }
    [[nodiscard]] double value() const noexcept { return 50.0 + 50.0 * lean_; }
    // 1: an upward cross with a value above 50. -1: a downward cross with a value below. Else 0.
    [[nodiscard]] std::int32_t signal() const noexcept { return signal_; }

    [[nodiscard]] std::int32_t samples() const noexcept { return samples_.count(); }
    [[nodiscard]] bool is_warm() const noexcept { return samples_.count() >= kMlmiSamplesMin; }
    // Values still to come at the least until it is warm; in truth a few for each sample.
    [[nodiscard]] std::int64_t bars_needed() const noexcept;

 private:
    // -1, 0 or 1 for the cross of this value; remembers the sign.
    [[nodiscard]] std::int32_t take_cross() noexcept;

    WeightedMean<5> fast_{};
    WeightedMean<20> slow_{};
    Rsi<20> slow_rsi_{};
    Rsi<5> fast_rsi_{};
    WeightedMean<20> slow_momentum_{};  // p₁
    WeightedMean<20> fast_momentum_{};  // p₂
    Neighbours samples_{};
    double lean_ = 0.0;
    double close_at_cross_ = 0.0;
    std::int32_t sign_ = 0;  // of WMA5 - WMA20, the last that was not 0
    std::int32_t signal_ = 0;
};

}  // namespace gm
