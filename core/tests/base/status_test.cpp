// Promise: every status has a text of its own.
#include "gm/base/status.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

TEST_CASE("no two statuses share a text") {
    std::set<std::string> texts;
    int known = 0;
    for (std::int32_t number = 0; number < 256; ++number) {
        const std::string text = gm::describe(static_cast<gm::Status>(number));
        if (text == "unknown status") continue;
        ++known;
        texts.insert(text);
    }
    CHECK(known >= 31);
    CHECK(texts.size() == static_cast<std::size_t>(known));
}

TEST_CASE("a failure carries status and text") {
    CHECK(gm::ok().is_ok());
    const gm::Failure failure = gm::fail(gm::Status::kBadCapacity, "ring_capacity: 12");
    CHECK_FALSE(failure.is_ok());
    CHECK(failure.text == "ring_capacity: 12");
}
