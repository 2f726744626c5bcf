// FVG, fair value gap: prices that three candles with a strong middle one left untraded, and the
// bar on which price comes back into the gap and is turned away (mitigation).
//
// Bullish: L > H₋₂, middle body > 1.5 × mean body of the 10 bars before it, and the gap
// [lo = H₋₂, hi = L] is at least max(2 ticks, 0.1·ATR14); bearish mirrored, [lo = H, hi = L₋₂].
// From the next bar on: penetration is the deepest price since over the width of the gap;
// mitigation is the first bar with penetration >= 0.5 that closes at the near edge or outside it.
// Then, at age > 50, or on a close beyond the far edge, the gap is gone. Ordinary candles, real
// bars only: a synthetic bar is never handed in, so look-back, bodies and age count real bars.
// Prices are doubles of whole ticks, so every comparison but the one with ATR is exact. SPEC §2.
#pragma once

#include <cmath>
#include <cstdint>

#include "gm/indicators/window.hpp"

namespace gm {

inline constexpr std::int32_t kFvgGapsMax = 64;
inline constexpr std::int32_t kFvgAgeMax = 50;
inline constexpr std::int32_t kFvgBodies = 10;  // before the middle bar
inline constexpr double kFvgBodyRatio = 1.5;
inline constexpr double kFvgTicksMin = 2.0;
inline constexpr double kFvgAtrRatio = 0.1;

// A bar makes one gap at most, so ages 0 to 50 are 51 gaps: the bound of SPEC is never reached.
static_assert(kFvgAgeMax + 1 <= kFvgGapsMax);

struct Gap {
    double low_ticks;
    double high_ticks;
    double deepest_ticks;    // bullish: lowest low since; bearish: highest high since
    std::int32_t direction;  // 1 bullish, -1 bearish
    std::int32_t age;        // real bars since the one that made it
};

class Fvg {
 public:
    // One real bar. atr: ATR 14 with this bar in it; 0 (not warm): no gap is made yet.
    void update(double open, double high, double low, double close, double atr) noexcept {
        meet(high, low, close);
        if (bodies_.is_full()) {
            is_warm_ = 1;
            if (atr > 0.0) detect(high, low, atr);
        }
        bodies_.push(std::abs(close - open));
        high_2_ = high_1_;
        low_2_ = low_1_;
        high_1_ = high;
        low_1_ = low;
    }
    // A bar that is none: nothing is mitigated on it.
    void skip() noexcept {
        signal_ = 0;
        mitigated_ticks_ = 0.0;
    }

    // Twelve real bars seen: ten bodies, the middle bar and the one that may leave a gap.
    [[nodiscard]] bool is_warm() const noexcept { return is_warm_ != 0; }
    // Direction of what was mitigated on the last bar; 0: nothing, or both.
    [[nodiscard]] std::int32_t signal() const noexcept { return signal_; }
    // Width of the widest gap behind signal(), in ticks; 0 without one.
    [[nodiscard]] double mitigated_ticks() const noexcept { return mitigated_ticks_; }
    [[nodiscard]] std::int32_t live_gaps() const noexcept { return count_; }
    [[nodiscard]] bool has_live(std::int32_t direction) const noexcept {
        bool found = false;
        for (std::int32_t i = 0; i < count_; ++i) found |= gaps_[i].direction == direction;
        return found;
    }
    // The live gap whose middle is nearest to the price, ties to the newest; null: there is none.
    [[nodiscard]] const Gap* nearest(double price) const noexcept {
        const Gap* best = nullptr;
        double best_distance = 0.0;
        for (std::int32_t i = 0; i < count_; ++i) {
            const double distance =
                std::abs(gaps_[i].low_ticks + gaps_[i].high_ticks - 2.0 * price);
            if (best != nullptr && distance > best_distance) continue;
            best = &gaps_[i];
            best_distance = distance;
        }
        return best;
    }

 private:
    // What a bar does to the gaps that were there before it: they age, fire, or go.
    void meet(double high, double low, double close) noexcept {
        double widest[2] = {};  // mitigated: bearish, bullish
        std::int32_t kept = 0;
        for (std::int32_t i = 0; i < count_; ++i) {  // at most kFvgGapsMax
            Gap gap = gaps_[i];
            if (++gap.age > kFvgAgeMax) continue;
            const bool is_bullish = gap.direction > 0;
            if (is_bullish && low < gap.deepest_ticks) gap.deepest_ticks = low;
            if (!is_bullish && high > gap.deepest_ticks) gap.deepest_ticks = high;
            const double near = is_bullish ? gap.high_ticks : gap.low_ticks;
            const double width = gap.high_ticks - gap.low_ticks;
            const double beyond = is_bullish ? close - near : near - close;
            if (2.0 * std::abs(near - gap.deepest_ticks) >= width && beyond >= 0.0) {
                double& side = widest[is_bullish ? 1 : 0];
                side = width > side ? width : side;
                continue;
            }
            if (beyond < -width) continue;  // closed beyond the far edge
            gaps_[kept++] = gap;
        }
        count_ = kept;
        const bool fired_both = widest[0] > 0.0 && widest[1] > 0.0;
        signal_ = fired_both ? 0 : (widest[1] > 0.0) - (widest[0] > 0.0);
        mitigated_ticks_ = fired_both ? 0.0 : widest[0] + widest[1];
    }

    void detect(double high, double low, double atr) noexcept {
        const double* bodies = bodies_.last(kFvgBodies + 1);
        double even = 0.0;  // of whole ticks: exact in any order
        double odd = 0.0;
        static_assert(kFvgBodies % 2 == 0);
        for (std::int32_t i = 0; i < kFvgBodies; i += 2) {
            even += bodies[i];
            odd += bodies[i + 1];
        }
        if (!(bodies[kFvgBodies] > kFvgBodyRatio * ((even + odd) / kFvgBodies))) return;
        const double scaled = kFvgAtrRatio * atr;
        const double width_min = scaled > kFvgTicksMin ? scaled : kFvgTicksMin;
        if (low - high_2_ >= width_min) {
            gaps_[count_++] = {high_2_, low, low, 1, 0};
        } else if (low_2_ - high >= width_min) {
            gaps_[count_++] = {high, low_2_, high, -1, 0};
        }
    }

    Gap gaps_[kFvgGapsMax] = {};  // live, oldest first
    Window<kFvgBodies + 1> bodies_{};
    double high_1_ = 0.0;  // of the newest real bar, and of the one before it
    double low_1_ = 0.0;
    double high_2_ = 0.0;
    double low_2_ = 0.0;
    double mitigated_ticks_ = 0.0;
    std::int32_t count_ = 0;
    std::int32_t signal_ = 0;
    std::int64_t is_warm_ = 0;
};

}  // namespace gm
