// The simulator's chance, without state: a throw is a hash of (seed, order, number of the throw).
//
// Orders are named by the venue's own count of orders that passed every check, not by their client
// ids and not by the number of throws so far. A client id holds the engine's epoch, so a restart
// would change every later throw; a stream with a position would shift with each refused or
// repeated message. Counted so, the tenth good order meets the same luck in every run.
// Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (mix64).
#pragma once

#include <cstdint>

#include "gm/base/checked.hpp"

namespace gm {

inline constexpr std::int64_t kPpm = 1'000'000;

class Dice {
 public:
    explicit Dice(std::uint64_t seed = 0) noexcept : seed_(seed) {}

    [[nodiscard]] std::uint64_t bits(std::uint64_t order, std::uint64_t number) const noexcept {
        return mix(mix(mix(seed_ + kStep) + order * kStep) + number * kStep);
    }
    // True in ppm of a million throws.
    [[nodiscard]] bool hits(std::uint64_t order, std::uint64_t number,
                            std::int64_t ppm) const noexcept {
        return below(bits(order, number), kPpm) < ppm;
    }
    // Uniform in [1, count], count >= 1.
    [[nodiscard]] std::int64_t one_of(std::uint64_t order, std::uint64_t number,
                                      std::int64_t count) const noexcept {
        return 1 + below(bits(order, number), count);
    }

 private:
    static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;

    [[nodiscard]] static constexpr std::uint64_t mix(std::uint64_t value) noexcept {
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }
    // The high word of a product: no division, the bias is below count / 2^64.
    [[nodiscard]] static std::int64_t below(std::uint64_t value, std::int64_t count) noexcept {
        return static_cast<std::int64_t>((Uint128{value} * static_cast<std::uint64_t>(count)) >>
                                         64);
    }

    std::uint64_t seed_;
};

}  // namespace gm
