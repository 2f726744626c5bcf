// Promise: integer arithmetic reports what does not fit and rounds in the named direction.
#include "gm/base/checked.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <random>

namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();

bool fits(gm::Int128 value) {
    return value >= kMin && value <= kMax;
}

}  // namespace

TEST_CASE("the edges of int64 are told apart from what is just past them") {
    std::int64_t out = 0;
    CHECK_FALSE(gm::add_overflows(kMax - 1, 1, out));
    CHECK(out == kMax);
    CHECK(gm::add_overflows(kMax, 1, out));
    CHECK(gm::sub_overflows(kMin, 1, out));
    CHECK(gm::mul_overflows(kMin, -1, out));
    CHECK_FALSE(gm::mul_overflows(kMax, -1, out));
    CHECK(out == -kMax);
}

TEST_CASE("128-bit arithmetic overflows where 128 bits end") {
    const gm::Int128 large = gm::Int128{kMax} * kMax;
    gm::Int128 out = 0;
    CHECK_FALSE(gm::add_overflows(large, large, out));
    CHECK(gm::mul_overflows(large, gm::Int128{4}, out));
    CHECK(gm::sub_overflows(-large - large, large, out));
}

TEST_CASE("overflow agrees with the 128-bit result on random pairs") {
    std::mt19937_64 random(1);
    for (int i = 0; i < 100'000; ++i) {
        const auto a = static_cast<std::int64_t>(random()) >> (random() % 64);
        const auto b = static_cast<std::int64_t>(random()) >> (random() % 64);
        std::int64_t out = 0;
        REQUIRE(gm::add_overflows(a, b, out) == !fits(gm::Int128{a} + b));
        REQUIRE(gm::sub_overflows(a, b, out) == !fits(gm::Int128{a} - b));
        const gm::Int128 product = gm::Int128{a} * b;
        REQUIRE(gm::mul_overflows(a, b, out) == !fits(product));
        REQUIRE(gm::narrow_overflows(product, out) == !fits(product));
        if (fits(product)) REQUIRE(out == product);
    }
}

TEST_CASE("division rounds up or down for both signs") {
    CHECK(gm::ceil_div<std::int64_t>(7, 2) == 4);
    CHECK(gm::ceil_div<std::int64_t>(-7, 2) == -3);
    CHECK(gm::ceil_div<std::int64_t>(8, 2) == 4);
    CHECK(gm::ceil_div<std::int64_t>(0, 5) == 0);
    CHECK(gm::floor_div<std::int64_t>(7, 2) == 3);
    CHECK(gm::floor_div<std::int64_t>(-7, 2) == -4);
    CHECK(gm::floor_div<std::int64_t>(-8, 2) == -4);
    CHECK(gm::ceil_div(gm::Int128{kMax} * 10 + 1, gm::Int128{10}) == gm::Int128{kMax} + 1);
}

TEST_CASE("the magnitude of the most negative number is right") {
    CHECK(gm::magnitude(kMin) == std::uint64_t{1} << 63);
    CHECK(gm::magnitude(-5) == 5);
    CHECK(gm::magnitude(kMax) == static_cast<std::uint64_t>(kMax));
}
