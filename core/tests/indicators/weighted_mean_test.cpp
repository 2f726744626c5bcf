// A weighted mean gives the newest value n parts and the oldest one.
#include "gm/indicators/weighted_mean.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <deque>
#include <random>
#include <type_traits>

static_assert(std::is_trivially_copyable_v<gm::WeightedMean<20>>);

TEST_CASE("1, 2 and 6 weigh 1, 2 and 3 parts of six") {
    gm::WeightedMean<3> mean;
    for (const double x : {1.0, 2.0}) {
        mean.prepare();
        mean.update(x);
        CHECK_FALSE(mean.is_warm());
        CHECK(mean.value() == 0.0);
    }
    mean.prepare();
    CHECK(mean.value_with(6.0) == 23.0 / 6.0);
    mean.update(6.0);
    CHECK(mean.is_warm());
    CHECK(mean.weighted_sum() == 23.0);
    CHECK(mean.value() == 23.0 / 6.0);
    mean.prepare();
    mean.update(0.0);
    CHECK(mean.value() == 14.0 / 6.0);  // the 1 is forgotten
}

TEST_CASE("sums of quarters are exact, so that two level means are equal") {
    gm::WeightedMean<5> fast;
    gm::WeightedMean<20> slow;
    for (int i = 0; i < 40; ++i) {
        fast.prepare();
        slow.prepare();
        fast.update(1e11 + 0.25);
        slow.update(1e11 + 0.25);
    }
    CHECK(fast.weighted_sum() * 14.0 == slow.weighted_sum());
}

TEST_CASE("every mean equals the definition") {
    std::mt19937_64 random(3);
    std::uniform_real_distribution<double> uniform(0.0, 100.0);
    gm::WeightedMean<20> mean;
    std::deque<double> last;
    for (int i = 0; i < 500; ++i) {
        const double x = uniform(random);
        last.push_back(x);
        if (last.size() > 20) last.pop_front();
        mean.prepare();
        mean.update(x);
        REQUIRE(mean.is_warm() == (last.size() == 20));
        if (!mean.is_warm()) continue;
        long double sum = 0.0L;
        for (std::size_t k = 0; k < 20; ++k) sum += static_cast<long double>(k + 1) * last[k];
        REQUIRE(std::abs(mean.value() - static_cast<double>(sum / 210.0L)) < 1e-12);
    }
}
