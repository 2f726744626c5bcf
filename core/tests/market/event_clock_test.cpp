// Promise: what a link held back is as old as it says, whatever the feed's clock is off by.
#include "gm/market/event_clock.hpp"

#include <doctest/doctest.h>

using namespace gm;

namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMs;
constexpr std::int64_t kNow = 1'700'000'000 * kSecond;

}  // namespace

TEST_CASE("an event that comes as fast as any is as old as its arrival, with any offset") {
    for (const std::int64_t offset : {0 * kMs, 3 * kMs, -40 * kSecond, 90 * kSecond}) {
        EventClock clock;
        for (int i = 0; i < 100; ++i) {
            const std::int64_t arrived = kNow + i * kSecond;
            CHECK(clock.happened(arrived - offset, arrived) == arrived);
        }
    }
}

TEST_CASE("what was drained after an outage is as old as its stamp") {
    EventClock clock;
    const std::int64_t way = 2 * kMs;
    (void)clock.happened(kNow - way, kNow);
    const std::int64_t drained = kNow + 60 * kSecond;
    for (int i = 1; i <= 60; ++i) {
        const std::int64_t happened = clock.happened(kNow + i * kSecond - way, drained);
        CHECK(happened - (kNow + i * kSecond) >= 0);
        CHECK(happened - (kNow + i * kSecond) <= 60 * kSecond / 10'000);  // what may have drifted
        CHECK(happened <= drained);
    }
}

TEST_CASE("the smallest lag is believed at once, a larger one at 100 ppm") {
    EventClock clock;
    CHECK(clock.happened(kNow - 5 * kSecond, kNow) == kNow);
    CHECK(clock.happened(kNow - kMs, kNow) == kNow);  // faster: that is the way's length
    CHECK(clock.happened(kNow - 5 * kSecond, kNow) == kNow - 5 * kSecond + kMs);
    // The feed's clock was set back by a second. After 10,000 of ours it is believed.
    const std::int64_t later = kNow + 10'000 * kSecond;
    CHECK(clock.happened(later - kSecond - kMs, later) == later);
    CHECK(clock.happened(kNow - 5 * kSecond, kNow) < kNow);  // time that goes back drifts nothing
}

TEST_CASE("one stamp from the future costs a second, not the feed") {
    EventClock clock;
    CHECK(clock.happened(kNow - kMs, kNow) == kNow);
    CHECK(clock.happened(kNow + 299 * kSecond, kNow) == kNow);
    const std::int64_t happened = clock.happened(kNow + kSecond - kMs, kNow + kSecond);
    CHECK(happened <= kNow + kSecond);
    CHECK(happened >= kNow - kMs);
}

TEST_CASE("a feed whose clock was set back is old until the next start") {
    EventClock clock;
    (void)clock.happened(kNow, kNow);
    CHECK(clock.happened(kNow - 120 * kSecond, kNow) == kNow - 120 * kSecond);
    clock.restart();
    CHECK(clock.happened(kNow - 120 * kSecond, kNow) == kNow);
}

TEST_CASE("a stamp that cannot be counted with is none") {
    EventClock clock;
    CHECK(clock.happened(INT64_MIN, kNow) == kNow);
    CHECK(clock.happened(kNow - kMs, kNow) == kNow);
    CHECK(clock.happened(INT64_MIN, kNow) == kNow);
    // Arrivals a world apart, both ways, and a stamp at the end of all time.
    CHECK(clock.happened(-4 * kNow, -4 * kNow) == -4 * kNow);
    CHECK(clock.happened(4 * kNow, 4 * kNow) == 4 * kNow);
    CHECK(clock.happened(-4 * kNow, -4 * kNow) == -4 * kNow);
    CHECK(clock.happened(INT64_MIN, INT64_MIN + 1) <= INT64_MIN + 1);
    CHECK(clock.happened(INT64_MAX, kNow) == kNow);
}
