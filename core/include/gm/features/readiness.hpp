// Why a matrix is not ready: one word for the engine, the journal and people.
#pragma once

#include <cstdint>

namespace gm {

// Numbers are never reused.
enum class NotReadyReason : std::uint8_t {
    kNone = 0,  // it is ready
    kWarmingUp = 1,
    kPriceNotPositive = 2,  // until enough positive bars have passed: see PositiveBars
    kOutOfSession = 3,      // the last bar handed in was: the matrix is that of the bar before it
};
[[nodiscard]] const char* describe(NotReadyReason reason) noexcept;

// A price <= 0 has no logarithm and no share: momentum begins again, and the matrix is ready once
// its longest momentum is warm and every row was made since. Strategic: 51 + 47 bars (SPEC §1).
template <std::uint32_t MomentumBars, std::uint32_t Rows>
class PositiveBars {
 public:
    static constexpr std::uint32_t kBarsMin = MomentumBars + 1 + Rows - 1;

    void update(bool is_positive) noexcept {
        if (!is_positive) is_bad_ = 1;
        in_row_ = is_positive ? in_row_ + 1 : 0;
        if (in_row_ < kBarsMin) return;
        in_row_ = kBarsMin;
        is_bad_ = 0;
    }
    [[nodiscard]] bool is_bad() const noexcept { return is_bad_ != 0; }
    // Positive bars that have passed without another, at most kBarsMin.
    [[nodiscard]] std::uint32_t in_row() const noexcept { return in_row_; }

 private:
    std::uint32_t in_row_ = 0;  // up to kBarsMin
    std::uint32_t is_bad_ = 0;  // 1: a price <= 0 was seen fewer than kBarsMin bars ago
};

}  // namespace gm
