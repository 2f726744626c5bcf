// RSI is the share of gains in what prices moved, smoothed as Wilder did.
#include "gm/indicators/rsi.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <type_traits>

namespace {

bool is_near(double a, double b) {
    return std::abs(a - b) <= 1e-12 * std::abs(b);
}

}  // namespace

static_assert(std::is_trivially_copyable_v<gm::Rsi<20>>);

TEST_CASE("the first n changes seed by their mean, each later one weighs 1/n") {
    gm::Rsi<2> rsi;
    rsi.update(10.0);
    rsi.update(12.0);
    CHECK_FALSE(rsi.is_warm());
    CHECK(rsi.value() == 0.0);
    rsi.update(11.0);  // gain 2/2, loss 1/2
    CHECK(rsi.is_warm());
    CHECK(is_near(rsi.value(), 100.0 * 1.0 / 1.5));
    rsi.update(14.0);  // gain (1 + 3)/2, loss 0.5/2
    CHECK(is_near(rsi.value(), 100.0 * 2.0 / 2.25));
    rsi.update(10.0);  // gain 2/2, loss (0.25 + 4)/2
    CHECK(is_near(rsi.value(), 100.0 * 1.0 / 3.125));
}

TEST_CASE("without a loss it is 100, without a gain 0, without movement 50") {
    gm::Rsi<5> up;
    gm::Rsi<5> down;
    gm::Rsi<5> flat;
    for (int i = 0; i < 30; ++i) {
        up.update(i);
        down.update(-i);
        flat.update(7.0);
        if (i < 5) continue;
        REQUIRE(up.value() == 100.0);
        REQUIRE(down.value() == 0.0);
        REQUIRE(flat.value() == 50.0);
    }
}

TEST_CASE("a pause after movement leaves it where it is") {
    gm::Rsi<20> rsi;
    for (int i = 0; i < 40; ++i) rsi.update(i % 3 == 0 ? i : -i);
    const double before = rsi.value();
    rsi.update(39.0);
    CHECK(is_near(rsi.value(), before));
}
