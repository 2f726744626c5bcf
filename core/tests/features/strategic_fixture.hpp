// Bars and features for the tests of the strategic matrix.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "gm/features/strategic.hpp"

namespace gm::test {

inline constexpr std::int64_t kBarNs = 1'800'000'000'000;
inline constexpr std::int64_t kHourNs = 2 * kBarNs;

// A random walk around a wave of eight bars, so that MLMI has its 20 samples by bar 130.
inline std::vector<ClosedBar> walk(std::size_t count, std::uint64_t seed,
                                   std::int64_t price = 40'000) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> step(-60, 60);
    std::uniform_int_distribution<std::int64_t> wick(0, 30);
    std::uniform_int_distribution<std::int64_t> volume(1, 400);
    std::vector<ClosedBar> bars;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t open = price;
        price = std::max<std::int64_t>(100, price + step(random) + (i % 8 < 4 ? 200 : -200));
        bars.push_back({static_cast<std::int64_t>(i) * kBarNs, open,
                        std::max(open, price) + wick(random), std::min(open, price) - wick(random),
                        price, volume(random), 30, 0});
    }
    return bars;
}

inline std::unique_ptr<StrategicFeatures> opened() {
    auto features = std::make_unique<StrategicFeatures>();
    features->open();
    return features;
}

inline std::vector<std::uint8_t> snapshot_of(StrategicFeatures& features) {
    std::vector<std::uint8_t> bytes(StrategicFeatures::snapshot_size());
    REQUIRE(features.snapshot(bytes) == Status::kOk);
    return bytes;
}

}  // namespace gm::test
