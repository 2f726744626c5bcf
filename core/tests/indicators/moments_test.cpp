// Known values plus the newest give the same moments as all of them at once.
#include "gm/indicators/moments.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

TEST_CASE("1, 2, 3 and then 6 deviate by 3 from their mean and by 14 in squares") {
    const double known[] = {1.0, 2.0, 3.0};
    const gm::Moments moments = gm::with_newest(gm::known_moments(known, 3), 6.0);
    CHECK(moments.count == 4);
    CHECK(moments.newest_deviation == 3.0);
    CHECK(moments.squares == 14.0);
}

TEST_CASE("one value alone has no deviation") {
    const gm::Moments moments = gm::with_newest(gm::known_moments(nullptr, 0), 5.0);
    CHECK(moments.count == 1);
    CHECK(moments.newest_deviation == 0.0);
    CHECK(moments.squares == 0.0);
}

TEST_CASE("equal values have squares of exactly 0") {
    const std::vector<double> known(29, 0.0);
    CHECK(gm::with_newest(gm::known_moments(known.data(), 29), 0.0).squares == 0.0);
}

TEST_CASE("values far from 0 keep their digits") {
    std::mt19937_64 random(11);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    for (int round = 0; round < 200; ++round) {
        std::vector<double> values(500);
        for (double& value : values) value = 1e6 + uniform(random);
        long double mean = 0.0L;
        for (const double value : values) mean += value;
        mean /= 500.0L;
        long double squares = 0.0L;
        for (const double value : values) squares += (value - mean) * (value - mean);
        const gm::Moments moments =
            gm::with_newest(gm::known_moments(values.data(), 499), values[499]);
        REQUIRE(std::abs(moments.squares - static_cast<double>(squares)) <
                1e-9 * static_cast<double>(squares));
        REQUIRE(std::abs(moments.newest_deviation - static_cast<double>(values[499] - mean)) <
                1e-9);
    }
}
