// Promise: decimal text becomes exactly the ticks it says, or is refused; never rounded by chance.
#include "gm/base/units.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <limits>
#include <random>
#include <string>

using gm::Status;

namespace {

constexpr std::int64_t kQuarter = 250'000'000;  // tick .25 in 1e-9
constexpr std::int64_t kOne = 1'000'000'000;

struct Answer {
    Status status;
    std::int64_t units;
};

Answer ticks_of(std::string_view text, std::int64_t unit_e9) {
    gm::Decimal decimal;
    std::int64_t units = 0;
    Status status = gm::parse_decimal(text, decimal);
    if (status == Status::kOk) status = gm::to_units(decimal, unit_e9, units);
    return {status, units};
}

Answer rounded(std::string_view text, std::int64_t unit_e9) {
    gm::Decimal decimal;
    std::int64_t units = 0;
    Status status = gm::parse_decimal(text, decimal);
    if (status == Status::kOk) status = gm::to_units_rounded(decimal, unit_e9, units);
    return {status, units};
}

Status parsed(std::string_view text) {
    gm::Decimal decimal;
    return gm::parse_decimal(text, decimal);
}

void check_ticks(std::string_view text, std::int64_t unit_e9, std::int64_t expected) {
    CAPTURE(text);
    const Answer answer = ticks_of(text, unit_e9);
    CHECK(answer.status == Status::kOk);
    CHECK(answer.units == expected);
}

}  // namespace

TEST_CASE("prices of the instrument table become ticks") {
    check_ticks("16000.25", kQuarter, 64'001);
    check_ticks("16000.250000", kQuarter, 64'001);
    check_ticks("1.09035", 50'000, 21'807);
    check_ticks("1.27345", 10'000, 127'345);
    check_ticks("46216", kOne, 46'216);
    check_ticks("185.4600", 100'000, 1'854'600);
    check_ticks("-37.63", 10'000'000, -3'763);
    check_ticks("+.5", kQuarter, 2);
    check_ticks("5.", kQuarter, 20);
    check_ticks("1.6e4", kQuarter, 64'000);
    check_ticks("1600025E-2", kQuarter, 64'001);
    check_ticks("0", kQuarter, 0);
    check_ticks("-0.000", kQuarter, 0);
    check_ticks("0e999999999999999999999", kQuarter, 0);
    check_ticks("0000000000000000000000000000000000000000016000.25", kQuarter, 64'001);
}

TEST_CASE("a price off the grid is refused") {
    CHECK(ticks_of("16000.26", kQuarter).status == Status::kOffGrid);
    CHECK(ticks_of("46216.5", kOne).status == Status::kOffGrid);
    CHECK(ticks_of("-0.1", kQuarter).status == Status::kOffGrid);
    CHECK(ticks_of("16000.2499", kQuarter).status == Status::kOffGrid);
}

TEST_CASE("the tolerance is one billionth of a tick, itself included") {
    check_ticks("1.000000001", kOne, 1);
    check_ticks("0.999999999", kOne, 1);
    CHECK(ticks_of("1.0000000010000000001", kOne).status == Status::kOffGrid);
    CHECK(ticks_of("0.9999999989999999999", kOne).status == Status::kOffGrid);
    check_ticks("16000.250000000000001", kQuarter, 64'001);  // a float printed in full
    check_ticks("16000.24999999999999999999999999999999999999999999999", kQuarter, 64'001);
    // One digit past the 28th decides.
    CHECK(ticks_of("1.000000001" + std::string(40, '0') + "1", kOne).status == Status::kOffGrid);
    check_ticks("0.999999999" + std::string(40, '0') + "1", kOne, 1);
}

TEST_CASE("words and empty cells are not numbers") {
    for (const char* text : {"", "nan", "NaN", "-nan", "inf", "-inf", "+Infinity", "INF", "-"}) {
        CAPTURE(text);
        CHECK(parsed(text) == Status::kNotANumber);
    }
}

TEST_CASE("malformed text is refused") {
    for (const char* text : {".", "e5", ".e5", "1e", "1e+", "1 ", " 1", "1,5", "1.2.3", "0x10",
                             "1e5.0", "--1", "+-1", "nano", "infinite", "1f", "1e5x", "\xff"}) {
        CAPTURE(text);
        CHECK(parsed(text) == Status::kBadArgument);
    }
    CHECK(parsed(std::string_view("1\0", 2)) == Status::kBadArgument);
}

TEST_CASE("values beyond int64 overflow and tiny ones are zero") {
    check_ticks("9223372036854775807", kOne, std::numeric_limits<std::int64_t>::max());
    check_ticks("-9223372036854775807", kOne, -std::numeric_limits<std::int64_t>::max());
    CHECK(ticks_of("9223372036854775808", kOne).status == Status::kOverflow);
    CHECK(ticks_of("1e308", kQuarter).status == Status::kOverflow);
    CHECK(ticks_of("-1e99999999999999999999", kQuarter).status == Status::kOverflow);
    CHECK(ticks_of(std::string(70'000, '9'), kQuarter).status == Status::kOverflow);
    check_ticks("1e-308", kQuarter, 0);
    check_ticks("1e-99999999999999999999", kQuarter, 0);
    check_ticks("0." + std::string(70'000, '0') + "1", kQuarter, 0);
    CHECK(ticks_of("1", 0).status == Status::kBadArgument);
    CHECK(ticks_of("1", -5).status == Status::kBadArgument);
    check_ticks("9223372036.854775807", 1, std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("volumes round half to even") {
    const std::int64_t lot = 1'000'000;  // .001
    CHECK(rounded("0.0005", lot).units == 0);
    CHECK(rounded("0.0015", lot).units == 2);
    CHECK(rounded("0.0025", lot).units == 2);
    CHECK(rounded("-0.0025", lot).units == -2);
    CHECK(rounded("0.00250000000000000000000000000000000000000001", lot).units == 3);
    CHECK(rounded("0.0024999999999999999999999999999999999999", lot).units == 2);
    CHECK(rounded("12.3456", lot).units == 12'346);
    CHECK(rounded("1e300", lot).status == Status::kOverflow);
    CHECK(rounded("1e-300", lot).units == 0);
    CHECK(rounded("9223372036854775807.4", kOne).units == std::numeric_limits<std::int64_t>::max());
    CHECK(rounded("9223372036854775807.5", kOne).status == Status::kOverflow);
}

TEST_CASE("random tick counts survive the way through text") {
    std::mt19937_64 random(7);
    for (int i = 0; i < 100'000; ++i) {
        const auto units = static_cast<std::int64_t>(random()) >> (11 + random() % 53);
        const gm::Int128 nanos = gm::Int128{units} * 50'000;  // tick .00005
        const auto whole = static_cast<long long>(nanos / 1'000'000'000);
        const auto rest = static_cast<long long>(nanos % 1'000'000'000);
        char text[64];
        std::snprintf(text, sizeof text, "%s%lld.%09lld", units < 0 ? "-" : "",
                      whole < 0 ? -whole : whole, rest < 0 ? -rest : rest);
        const Answer answer = ticks_of(text, 50'000);
        REQUIRE(answer.status == Status::kOk);
        REQUIRE(answer.units == units);
        REQUIRE(rounded(text, 50'000).units == units);
    }
}

TEST_CASE("random bytes are answered, whatever they are") {
    std::mt19937_64 random(11);
    const std::string_view alphabet = "0123456789.+-eEnaif \xff";
    for (int i = 0; i < 200'000; ++i) {
        std::string text(random() % 40, '0');
        for (char& c : text) c = alphabet[random() % alphabet.size()];
        const Answer answer = ticks_of(text, kQuarter);
        const bool is_known = answer.status == Status::kOk || answer.status == Status::kOffGrid ||
                              answer.status == Status::kOverflow ||
                              answer.status == Status::kNotANumber ||
                              answer.status == Status::kBadArgument;
        REQUIRE(is_known);
    }
}
