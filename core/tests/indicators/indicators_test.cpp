// Each indicator gives what its definition in SPEC §2 gives by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "gm/indicators/atr.hpp"
#include "gm/indicators/heiken_ashi.hpp"
#include "gm/indicators/log_return_deviation.hpp"
#include "gm/indicators/momentum.hpp"
#include "gm/indicators/nwrqk.hpp"
#include "gm/indicators/rolling_score.hpp"

namespace {

bool is_near(double a, double b) {
    return std::abs(a - b) <= 1e-12 * std::fmax(1.0, std::abs(b));
}

static_assert(std::is_trivially_copyable_v<gm::HeikenAshi>);
static_assert(std::is_trivially_copyable_v<gm::Atr>);
static_assert(std::is_trivially_copyable_v<gm::NwRqk>);
static_assert(std::is_trivially_copyable_v<gm::Momentum<50>>);
static_assert(std::is_trivially_copyable_v<gm::LogReturnDeviation>);
static_assert(std::is_trivially_copyable_v<gm::RollingScore>);

}  // namespace

TEST_CASE("Heiken Ashi opens in the middle of its own last candle") {
    gm::HeikenAshi candle;
    candle.update(10, 14, 8, 12);
    CHECK(candle.close() == 11.0);
    CHECK(candle.open() == 11.0);  // (10 + 12) / 2
    candle.update(12, 16, 10, 14);
    CHECK(candle.close() == 13.0);
    CHECK(candle.open() == 11.0);  // (11 + 11) / 2
    candle.update(14, 14, 6, 7);
    CHECK(candle.close() == 10.25);
    CHECK(candle.open() == 12.0);  // (11 + 13) / 2
}

TEST_CASE("ATR is seeded by the mean of 14 ranges, then moves by one part in 14") {
    gm::Atr atr;
    for (int bar = 0; bar < 13; ++bar) {
        atr.update(101, 99, 100);
        CHECK_FALSE(atr.is_warm());
        CHECK(atr.value() == 0.0);
    }
    atr.update(116, 100, 110);  // true range 16: (13·2 + 16)/14 = 3
    CHECK(atr.is_warm());
    CHECK(atr.value() == 3.0);
    atr.update(110, 107, 108);
    CHECK(atr.value() == 3.0);
    atr.update(127, 125, 126);  // gap up: 127 − 108 = 19 beats 2
    CHECK(is_near(atr.value(), (3.0 * 13 + 19) / 14));
    const double before = atr.value();
    atr.update(100, 99, 99);  // gap down: |99 − 126| = 27
    CHECK(is_near(atr.value(), (before * 13 + 27) / 14));
}

TEST_CASE("the first true range is high minus low") {
    gm::Atr atr;
    atr.update(15, 1, 2);
    for (int bar = 1; bar < 14; ++bar) atr.update(2, 2, 2);
    CHECK(atr.value() == 1.0);  // 14/14
}

TEST_CASE("kernel weights are (1 + i²/1024)^-8, renormalised over the bars there are") {
    gm::NwRqk kernel;
    double weights = 0.0;
    for (int age = 0; age < 26; ++age) weights += std::pow(1.0 + age * age / 1024.0, -8.0);
    for (int bar = 0; bar < 25; ++bar) {
        kernel.prepare();
        kernel.update(100.0);
        CHECK_FALSE(kernel.is_warm());
    }
    kernel.prepare();
    kernel.update(101.0);  // the 26th bar, index 25: weight 1 of the sum
    CHECK(kernel.is_warm());
    CHECK_FALSE(kernel.is_slope_warm());
    CHECK(is_near(kernel.above(100.0), 1.0 / weights));
    const double before = kernel.above(100.0);
    const double next_weight = std::pow(1.0 + 26 * 26 / 1024.0, -8.0);
    kernel.prepare();
    kernel.update(100.0);
    CHECK(kernel.is_slope_warm());
    const double expected = std::pow(1.0 + 1 / 1024.0, -8.0) / (weights + next_weight);
    CHECK(is_near(kernel.above(100.0), expected));
    CHECK(is_near(kernel.change(), expected - before));
}

TEST_CASE("the kernel looks back 200 bars and not one more") {
    gm::NwRqk kernel;
    kernel.prepare();
    kernel.update(1e6);
    for (int bar = 1; bar < 200; ++bar) {
        kernel.prepare();
        kernel.update(5.0);
    }
    CHECK(kernel.above(5.0) > 0.0);
    kernel.prepare();
    kernel.update(5.0);
    CHECK(kernel.above(5.0) == 0.0);  // a flat market gives its price exactly
    CHECK(kernel.change() < 0.0);
}

TEST_CASE("momentum is the logarithm of the ratio, warm one bar after n") {
    gm::Momentum<2> momentum;
    momentum.update(100.0);
    momentum.update(150.0);
    CHECK_FALSE(momentum.is_warm());
    CHECK(momentum.value() == 0.0);
    momentum.update(200.0);
    CHECK(momentum.is_warm());
    CHECK(is_near(momentum.value(), std::log(2.0)));
    momentum.update(150.0);
    CHECK(momentum.value() == 0.0);
    momentum.clear();
    momentum.update(100.0);
    CHECK_FALSE(momentum.is_warm());
}

TEST_CASE("thirty returns of plus and minus r deviate by r·√(30/29)") {
    gm::LogReturnDeviation deviation;
    const double r = 0.01;
    for (int bar = 0; bar < 30; ++bar) {
        CHECK_FALSE(deviation.is_warm());
        deviation.prepare();
        deviation.update(bar % 2 == 0 ? r : -r);
    }
    CHECK(deviation.is_warm());
    CHECK(is_near(deviation.value(), r * std::sqrt(30.0 / 29.0)));
}

TEST_CASE("a market that does not move has a deviation of exactly 0") {
    gm::LogReturnDeviation deviation;
    for (int bar = 0; bar < 40; ++bar) {
        deviation.prepare();
        deviation.update(bar == 0 ? 0.5 : 0.0);
        if (bar == 29) CHECK(deviation.value() > 0.0);
        if (bar >= 30) CHECK(deviation.value() == 0.0);
    }
}

TEST_CASE("equal returns, and returns that differ by rounding alone, are no deviation") {
    for (int numerator = 1; numerator < 100; ++numerator) {
        const double r = numerator / 7.0;
        gm::LogReturnDeviation equal;
        gm::LogReturnDeviation rounded;
        for (int bar = 0; bar < 40; ++bar) {
            equal.prepare();
            equal.update(r);
            rounded.prepare();
            rounded.update(bar % 3 == 0 ? std::nextafter(r, 100.0) : r);
        }
        CHECK(equal.is_warm());
        CHECK(equal.value() == 0.0);
        CHECK(rounded.value() == 0.0);
    }
}

TEST_CASE("the score needs a hundred values and then counts itself in") {
    gm::RollingScore score;
    for (int i = 0; i < 99; ++i) {
        score.prepare();
        CHECK(score.update(i) == 0.0);
        CHECK_FALSE(score.is_warm());
    }
    score.prepare();
    CHECK(is_near(score.update(99), 49.5 / std::sqrt((100.0 * 100.0 - 1.0) / 12.0)));
    CHECK(score.is_warm());
}

TEST_CASE("the score forgets the value five hundred back") {
    gm::RollingScore score;
    score.prepare();
    CHECK(score.update(1e9) == 0.0);
    double last = 0.0;
    for (int i = 0; i < 500; ++i) {
        score.prepare();
        last = score.update(i);
    }
    CHECK(is_near(last, 249.5 / std::sqrt((500.0 * 500.0 - 1.0) / 12.0)));
}

TEST_CASE("values that differ by rounding alone score 0") {
    gm::RollingScore score;
    for (int i = 0; i < 200; ++i) {
        score.prepare();
        const double value =
            i % 2 == 0 ? -9.0 : std::nextafter(-9.0, std::numeric_limits<double>::infinity());
        REQUIRE(score.update(value) == 0.0);
    }
}
