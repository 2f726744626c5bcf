// The one source of chance of a simulated world: a stream that its seed fixes.
//
// Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
#pragma once

#include <cstdint>

#include "gm/base/checked.hpp"

namespace gm {

class Random {
 public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

    [[nodiscard]] std::uint64_t bits() noexcept {
        state_ += 0x9e3779b97f4a7c15;
        std::uint64_t value = state_;
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }
    // Uniform in [0, count), count >= 1.
    [[nodiscard]] std::int64_t below(std::int64_t count) noexcept {
        return static_cast<std::int64_t>((Uint128{bits()} * static_cast<std::uint64_t>(count)) >>
                                         64);
    }
    // Uniform in [low, high], both included.
    [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high) noexcept {
        return low + below(high - low + 1);
    }
    // True in ppm of a million throws. Takes one throw whatever the rate.
    [[nodiscard]] bool hits(std::int64_t ppm) noexcept { return below(1'000'000) < ppm; }

 private:
    std::uint64_t state_;
};

}  // namespace gm
