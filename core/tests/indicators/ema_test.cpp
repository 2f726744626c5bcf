// Promise: the average is what 2/(n+1) of each new value makes of its first one.
#include "gm/indicators/ema.hpp"

#include <doctest/doctest.h>

#include <type_traits>

static_assert(std::is_trivially_copyable_v<gm::Ema<20>>);

TEST_CASE("the first value seeds, then each weighs 2/(n+1)") {
    gm::Ema<3> average;  // α = 1/2
    CHECK_FALSE(average.is_warm());
    CHECK(average.value() == 0.0);
    average.update(8.0);
    CHECK(average.is_warm());
    CHECK(average.value() == 8.0);
    average.update(4.0);
    CHECK(average.value() == 6.0);
    average.update(0.0);
    CHECK(average.value() == 3.0);
}

TEST_CASE("a first value of 0 is a seed like any other") {
    gm::Ema<3> average;
    average.update(0.0);
    CHECK(average.is_warm());
    average.update(0.0);
    CHECK(average.value() == 0.0);
    average.update(10.0);
    CHECK(average.value() == 5.0);
}
