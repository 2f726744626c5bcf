// A rate limit in integer arithmetic: `burst` tokens at most, refilled at `per_second` in engine
// time. The level is kept in tokens x 1e9, so that one nanosecond adds exactly `per_second`.
#pragma once

#include <cstdint>

namespace gm {

class TokenBucket {
 public:
    void open(std::int64_t per_second, std::int64_t burst) noexcept {
        per_second_ = per_second;
        full_ = burst * kToken;
        level_ = full_;
        last_ts_ns_ = INT64_MIN;
    }

    // Takes one token if there is one. Time that stands still or falls back refills nothing.
    [[nodiscard]] bool take(std::int64_t now_ns) noexcept {
        refill(now_ns);
        if (level_ < kToken) return false;
        level_ -= kToken;
        return true;
    }

    [[nodiscard]] std::int64_t tokens() const noexcept { return level_ / kToken; }
    [[nodiscard]] std::int64_t burst() const noexcept { return full_ / kToken; }

 private:
    static constexpr std::int64_t kToken = 1'000'000'000;

    void refill(std::int64_t now_ns) noexcept {
        if (last_ts_ns_ == INT64_MIN) {
            last_ts_ns_ = now_ns;
            return;
        }
        if (now_ns <= last_ts_ns_) return;
        const auto passed_ns =
            static_cast<std::uint64_t>(now_ns) - static_cast<std::uint64_t>(last_ts_ns_);
        last_ts_ns_ = now_ns;
        const auto missing = static_cast<std::uint64_t>(full_ - level_);
        const auto rate = static_cast<std::uint64_t>(per_second_);
        // Compare by division: passed_ns x rate may not fit.
        level_ = passed_ns >= missing / rate + 1
                     ? full_
                     : level_ + static_cast<std::int64_t>(passed_ns * rate);
        if (level_ > full_) level_ = full_;
    }

    std::int64_t per_second_ = 1;
    std::int64_t full_ = 0;
    std::int64_t level_ = 0;
    std::int64_t last_ts_ns_ = INT64_MIN;
};

}  // namespace gm
