// Heiken Ashi candle: the averaged open and close of SPEC §2, recursive from the first bar.
//
// C' = (O+H+L+C)/4; O' = (O'₋₁+C'₋₁)/2, first O' = (O+C)/2. For signals only: never fills, stops
// or P&L. In ticks C' is a multiple of 1/4 and exact.
#pragma once

#include <cstdint>

namespace gm {

class HeikenAshi {
 public:
    void update(double open, double high, double low, double close) noexcept {
        open_ = count_ == 0 ? (open + close) / 2.0 : (open_ + close_) / 2.0;
        close_ = (open + high + low + close) / 4.0;
        count_ = 1;
    }

    [[nodiscard]] double open() const noexcept { return open_; }
    [[nodiscard]] double close() const noexcept { return close_; }

 private:
    double open_ = 0.0;
    double close_ = 0.0;
    std::int64_t count_ = 0;  // 0 before the first bar, then 1
};

}  // namespace gm
