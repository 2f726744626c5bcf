// Promise: the dialects of SPEC §1 are read to the nanosecond, everything else is refused.
#include "gm/market/civil_time.hpp"

#include <doctest/doctest.h>

#include <string>

#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;

namespace {

std::int64_t iso(const char* text) {
    CivilTime time;
    REQUIRE_MESSAGE(parse_civil_time(text, time), text);
    CHECK(time.day_first_ns == time.month_first_ns);
    return time.day_first_ns - (time.offset_ns == kNoTime ? 0 : time.offset_ns);
}
bool reads(const char* text) {
    CivilTime time;
    return parse_civil_time(text, time);
}

}  // namespace

TEST_CASE("ISO stamps with and without fraction, offset, seconds and time of day") {
    CHECK(iso("2024-01-01 00:00:00") == kMonday);
    CHECK(iso("2024-01-01T00:00:00Z") == kMonday);
    CHECK(iso("2024-01-01") == kMonday);
    CHECK(iso("2024/1/1 0:00") == kMonday);
    CHECK(iso("2024-01-01 01:30") == kMonday + 90 * kMinuteNs);
    CHECK(iso("2024-01-01 00:00:00.000000") == kMonday);
    CHECK(iso("2024-01-01 00:00:01.5") == kMonday + 1'500'000'000);
    CHECK(iso("2024-01-01 00:00:00.123456789") == kMonday + 123'456'789);
    CHECK(iso("2024-01-01 00:00:00.12345678900") == kMonday + 123'456'789);
    CHECK(iso("2024-01-01T02:00:00+02:00") == kMonday);
    CHECK(iso("2024-01-01 02:00:00+0200") == kMonday);
    CHECK(iso("2024-01-01 02:00:00 +02") == kMonday);
    CHECK(iso("2023-12-31 18:30:00-05:30") == kMonday);
    CHECK(iso("2024-01-01 00:00:00 UTC") == kMonday);
    CHECK(iso("1970-01-01 00:00:00") == 0);
    CHECK(iso("1969-12-31 23:59:59") == -1'000'000'000);
    CHECK(iso("2024-02-29") - iso("2024-02-28") == kDayNs);
    CHECK(iso("2099-12-31 00:00:00") == 4'102'358'400'000'000'000);
}

TEST_CASE("day-first stamps come in two forms and are told apart by nobody here") {
    CivilTime time;
    REQUIRE(parse_civil_time("29/06/2020 01:00:00", time));
    CHECK(time.day_first_ns == iso("2020-06-29 01:00:00"));
    CHECK(time.month_first_ns == kNoTime);
    REQUIRE(parse_civil_time("1/7/2020 1:00", time));
    CHECK(time.day_first_ns == iso("2020-07-01 01:00:00"));
    CHECK(time.month_first_ns == iso("2020-01-07 01:00:00"));
    REQUIRE(parse_civil_time("7/29/2020 1:00", time));
    CHECK(time.day_first_ns == kNoTime);
    REQUIRE(parse_civil_time("01.07.2020 01:00", time));
    CHECK(time.day_first_ns == iso("2020-07-01 01:00:00"));
}

TEST_CASE("what is not a time is refused") {
    for (const char* text : {"",
                             " ",
                             "x",
                             "2024",
                             "2024-13-01",
                             "2024-00-01",
                             "2024-02-30",
                             "2023-02-29",
                             "2100-02-29",
                             "2024-01-01 24:00",
                             "2024-01-01 00:60",
                             "2024-01-01 00:00:60",
                             "2024-01-01 00",
                             "2024-01-01 00:00:00.",
                             "2024-01-01 00:00:00.1234567891",
                             "2024-01-01 00:00:00+",
                             "2024-01-01 00:00:00+19:00",
                             "2024-01-01 00:00:00+02:60",
                             "2024-01-01 00:00:00+02:00x",
                             "2024-01-01 00:00:00 +2",
                             "2024-01-01  00:00",
                             "2024-01-01x00:00",
                             "2024-1/1",
                             "1/2/20 1:00",
                             "1/2/20201",
                             "32/1/2020",
                             "13/13/2020",
                             "-1/1/2020",
                             "1823-01-01",
                             "2116-01-01",
                             "nan",
                             "inf",
                             "1704067200",
                             "99999-01-01"}) {
        CHECK_FALSE_MESSAGE(reads(text), text);
    }
}
