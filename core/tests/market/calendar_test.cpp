// Promise: a session and a local time are found for any moment, forward or backward, like a search
// through the whole table.
#include "gm/market/calendar.hpp"

#include <doctest/doctest.h>

#include <random>

#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;

TEST_CASE("a session holds its opening and not its close") {
    Calendar calendar;
    REQUIRE(calendar.open(days_until_17(), utc()).is_ok());
    CHECK(calendar.session_at(kMonday - 1) == nullptr);
    REQUIRE(calendar.session_at(kMonday) != nullptr);
    CHECK(calendar.session_at(kMonday)->day == 0);
    CHECK(calendar.session_at(kMonday + 17 * kHourNs - 1)->day == 0);
    CHECK(calendar.session_at(kMonday + 17 * kHourNs) == nullptr);
    CHECK(calendar.session_after(kMonday + 17 * kHourNs)->open_ts_ns == kMonday + kDayNs);
    CHECK(calendar.session_after(kMonday)->day == 1);
    CHECK(calendar.session_after(kMonday + 30 * kDayNs) == nullptr);
}

TEST_CASE("trading stops at the first pause, not where one day follows another") {
    const std::vector<SessionInterval> table = {{0, 100, 0}, {100, 200, 1}, {300, 400, 2}};
    Calendar calendar;
    REQUIRE(calendar.open(table, utc()).is_ok());
    CHECK(calendar.close_of(*calendar.session_at(50)) == 200);
    CHECK(calendar.close_of(*calendar.session_at(350)) == 400);
}

TEST_CASE("a hole is as long as the market is open in it") {
    Calendar calendar;
    REQUIRE(calendar.open(days_until_17(), utc()).is_ok());
    const auto is_longer = [&](std::int64_t hours, std::int64_t from, std::int64_t to) {
        return calendar.is_open_longer_than(hours * kHourNs, kMonday + from * kHourNs,
                                            kMonday + to * kHourNs);
    };
    CHECK_FALSE(is_longer(3, 2, 5));
    CHECK(is_longer(2, 2, 5));
    CHECK_FALSE(is_longer(0, 17, 24));  // a night
    CHECK_FALSE(is_longer(6, 15, 28));  // two hours before it, four behind it
    CHECK(is_longer(5, 15, 28));
    CHECK_FALSE(is_longer(17, -99, 24));  // from before the table
    CHECK(is_longer(16, -99, 24));
    CHECK_FALSE(is_longer(0, 5, 5));
    CHECK_FALSE(is_longer(0, 5, 2));
    CHECK_FALSE(is_longer(5 * 17, 0, 9'999));
    CHECK(is_longer(5 * 17 - 1, 0, 9'999));
}

TEST_CASE("the first offset also covers the time before it") {
    const std::vector<OffsetChange> offsets = {{1'000, -5 * kHourNs}, {2'000, -4 * kHourNs}};
    Calendar calendar;
    REQUIRE(calendar.open(always(), offsets).is_ok());
    CHECK(calendar.local_offset_ns(0) == -5 * kHourNs);
    CHECK(calendar.local_offset_ns(1'999) == -5 * kHourNs);
    CHECK(calendar.local_offset_ns(2'000) == -4 * kHourNs);
    CHECK(calendar.local_offset_ns(INT64_MAX) == -4 * kHourNs);
}

TEST_CASE("tables that contradict themselves are refused with the row") {
    Calendar calendar;
    const std::vector<SessionInterval> backward = {{100, 50, 0}};
    const std::vector<SessionInterval> overlapping = {{0, 100, 0}, {99, 200, 1}};
    const std::vector<OffsetChange> twice = {{5, 0}, {5, 1}};
    const std::vector<OffsetChange> far = {{5, kDayNs}};
    const std::vector<SessionInterval> endless = {{0, INT64_MAX, 0}};
    const std::vector<SessionInterval> ancient = {{INT64_MIN, 0, 0}};
    CHECK(calendar.open(endless, utc()).status == Status::kBadCalendar);
    CHECK(calendar.open(ancient, utc()).text.find("1823") != std::string::npos);
    CHECK(calendar.open({}, utc()).status == Status::kBadCalendar);
    CHECK(calendar.open(backward, utc()).status == Status::kBadCalendar);
    CHECK(calendar.open(overlapping, utc()).text.find("session 1") == 0);
    CHECK(calendar.open(always(), {}).status == Status::kBadCalendar);
    CHECK(calendar.open(always(), twice).status == Status::kBadCalendar);
    CHECK(calendar.open(always(), far).status == Status::kBadCalendar);
}

TEST_CASE("look-ups in any order agree with a search through the table") {
    std::mt19937_64 random(7);
    std::vector<SessionInterval> sessions;
    std::vector<OffsetChange> offsets;
    std::int64_t now = 0;
    for (std::int64_t i = 0; i < 200; ++i) {
        const std::int64_t open = now + static_cast<std::int64_t>(random() % 3);
        now = open + 1 + static_cast<std::int64_t>(random() % 10);
        sessions.push_back({open, now, i});
        offsets.push_back({open, static_cast<std::int64_t>(random() % 100)});
    }
    Calendar calendar;
    REQUIRE(calendar.open(sessions, offsets).is_ok());
    std::int64_t walk = 0;
    for (int i = 0; i < 20'000; ++i) {
        const auto range = static_cast<std::uint64_t>(now + 20);
        walk = i % 3 == 0 ? static_cast<std::int64_t>(random() % range) - 10 : walk + 1;
        const SessionInterval* at = nullptr;
        const SessionInterval* after = nullptr;
        std::int64_t offset = offsets[0].offset_ns;
        for (const SessionInterval& row : sessions) {
            if (row.open_ts_ns <= walk && walk < row.close_ts_ns) at = &row;
            if (row.open_ts_ns > walk && after == nullptr) after = &row;
        }
        for (const OffsetChange& row : offsets) {
            if (row.ts_ns <= walk) offset = row.offset_ns;
        }
        const SessionInterval* const found_at = calendar.session_at(walk);
        const SessionInterval* const found_after = calendar.session_after(walk);
        REQUIRE((found_at == nullptr) == (at == nullptr));
        REQUIRE((found_after == nullptr) == (after == nullptr));
        if (at != nullptr) REQUIRE(found_at->day == at->day);
        if (after != nullptr) REQUIRE(found_after->day == after->day);
        REQUIRE(calendar.local_offset_ns(walk) == offset);
    }
}
