// Promise: durations never run backwards, and a tick of the cycle counter has a known length.
#include "gm/base/clock.hpp"

#include <doctest/doctest.h>

TEST_CASE("the monotonic clock and the cycle counter never go back") {
    std::int64_t last_ns = gm::monotonic_ns();
    std::uint64_t last_ticks = gm::ticks();
    for (int i = 0; i < 100'000; ++i) {
        const std::int64_t now_ns = gm::monotonic_ns();
        const std::uint64_t now_ticks = gm::ticks();
        REQUIRE(now_ns >= last_ns);
        REQUIRE(now_ticks >= last_ticks);
        last_ns = now_ns;
        last_ticks = now_ticks;
    }
}

TEST_CASE("the wall clock is in nanoseconds since 1970") {
    const std::int64_t year_2025_ns = 1'735'689'600'000'000'000;
    CHECK(gm::wall_ns() > year_2025_ns);
}

TEST_CASE("calibration gives a plausible tick") {
    const gm::TickScale scale = gm::TickScale::calibrate(2'000'000);
    CHECK(scale.ns_per_tick() > 0.05);   // 20 GHz
    CHECK(scale.ns_per_tick() < 110.0);  // 9 MHz, slower than any generic timer in use
    CHECK(scale.to_ns(1000) == doctest::Approx(1000 * scale.ns_per_tick()));
}
