// Engine time follows the venue in lockstep and on a tape, the wall clock when live, never back.
#include "gm/runtime/engine_clock.hpp"

#include <doctest/doctest.h>

#include <cstdint>

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kWall = 1'800'000'000 * kSecond;
constexpr std::int64_t kTape = 1'641'000'000 * kSecond;
}  // namespace

TEST_CASE("in lockstep the venue's stamp is the time, and io's own records do not move it") {
    gm::EngineClock clock;
    CHECK(clock.of_frame(kTape, kWall) == kTape);
    CHECK(clock.now(kWall + 5) == kTape);
    CHECK(clock.of_frame(kTape - 1, kWall) == kTape);
}

TEST_CASE("a live venue's stamps are replaced by the receive stamp") {
    gm::EngineClock clock;
    clock.set_lockstep(false);
    CHECK(clock.of_frame(kWall - 20 * kSecond, kWall) == kWall);
    CHECK(clock.now(kWall + 7) == kWall + 7);
    CHECK(clock.now(kWall + 3) == kWall + 7);
    // One absurd stamp later on moves nothing.
    CHECK(clock.of_frame(INT64_MAX, kWall + 9) == kWall + 9);
    CHECK(clock.of_frame(INT64_MIN, kWall + 10) == kWall + 10);
}

TEST_CASE("a tape that is replayed by the clock sets the time, and it goes on between its events") {
    gm::EngineClock clock;
    clock.set_lockstep(false);
    CHECK(clock.of_frame(kTape, kWall) == kTape);
    CHECK(clock.now(kWall + kSecond) == kTape + kSecond);
    CHECK(clock.of_frame(kTape + 60 * kSecond, kWall + kSecond) == kTape + 60 * kSecond);
    CHECK(clock.of_frame(INT64_MIN, kWall + 2 * kSecond) == kTape + 61 * kSecond);
}

TEST_CASE("a frame that does not say the venue's time is taken at io's") {
    gm::EngineClock lockstep;
    CHECK(lockstep.of_frame(kTape, kWall) == kTape);
    CHECK(lockstep.of_frame(0, kWall + kSecond) == kTape);
    gm::EngineClock tape;
    tape.set_lockstep(false);
    CHECK(tape.of_frame(kTape, kWall) == kTape);
    CHECK(tape.of_frame(0, kWall + kSecond) == kTape + kSecond);
    CHECK(tape.of_frame(kTape + 2 * kSecond, kWall + kSecond) == kTape + 2 * kSecond);
    gm::EngineClock silent;
    silent.set_lockstep(false);
    CHECK(silent.of_frame(0, kWall) == kWall);
    CHECK(silent.of_frame(0, kWall + kSecond) == kWall + kSecond);
    CHECK(silent.now(kWall + 2 * kSecond) == kWall + 2 * kSecond);
}

TEST_CASE("what io records before the first frame does not turn the clock to the wall's") {
    gm::EngineClock clock;
    clock.set_lockstep(false);
    CHECK(clock.now(kWall) == 0);
    CHECK(clock.of_frame(kTape, kWall + 1) == kTape);
    CHECK(clock.now(kWall + 1 + kSecond) == kTape + kSecond);
}

TEST_CASE("after recovery time goes on where the journal ended") {
    gm::EngineClock clock(kTape);
    CHECK(clock.now(0) == kTape);
    clock.set_lockstep(false);
    CHECK(clock.now(kTape - kSecond) == kTape);
}
