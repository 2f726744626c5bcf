// Promise: a kernel that hung once stays in the file, whichever hangs after it.
#include "gm/runtime/quarantine_file.hpp"

#include <doctest/doctest.h>

#include <array>

namespace {
using gm::with_quarantined;
constexpr std::array<std::uint8_t, 2> kFirst = {0xab, 0x01};
constexpr std::array<std::uint8_t, 2> kSecond = {0x0c, 0xff};
}  // namespace

TEST_CASE("the file grows by one kernel and keeps the others") {
    const std::string one = with_quarantined("", kFirst, "a");
    CHECK(one == "[{\"sha256\":\"ab01\",\"name\":\"a\",\"reason\":\"hung\"}]\n");
    const std::string two = with_quarantined(one, kSecond, "b");
    CHECK(two ==
          "[{\"sha256\":\"ab01\",\"name\":\"a\",\"reason\":\"hung\"},\n"
          " {\"sha256\":\"0cff\",\"name\":\"b\",\"reason\":\"hung\"}]\n");
    CHECK(with_quarantined(two, kFirst, "a") == two);  // it is there already
}

TEST_CASE("an empty list is one to begin with") {
    CHECK(with_quarantined("[]\n", kFirst, "a") == with_quarantined("", kFirst, "a"));
    CHECK(with_quarantined("[ ]", kFirst, "a") == with_quarantined("", kFirst, "a"));
}
