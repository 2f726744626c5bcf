// Promise: a throw depends on seed, order and number alone, and is as likely as it says.
#include "gm/venue/dice.hpp"

#include <doctest/doctest.h>

#include <set>

using gm::Dice;

TEST_CASE("the bits of version one stay what they are") {
    CHECK(Dice(7).bits(1, 0) == 0xa0aac42c549bed66);
    CHECK(Dice(7).bits(2, 3) == 0x3b7e3abd20179662);
}

TEST_CASE("another seed, order or number is another throw") {
    std::set<std::uint64_t> seen;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        for (std::uint64_t order = 0; order < 20; ++order) {
            for (std::uint64_t number = 0; number < 20; ++number) {
                seen.insert(Dice(seed).bits(order, number));
            }
        }
    }
    CHECK(seen.size() == 8000);
}

TEST_CASE("never and always are exact") {
    const Dice dice(3);
    for (std::uint64_t order = 1; order < 1000; ++order) {
        CHECK_FALSE(dice.hits(order, 0, 0));
        CHECK(dice.hits(order, 0, gm::kPpm));
        CHECK(dice.one_of(order, 1, 1) == 1);
    }
}

TEST_CASE("a fifth of the throws hit at 200000 ppm, and every face falls") {
    const Dice dice(11);
    int hits = 0;
    std::set<std::int64_t> faces;
    for (std::uint64_t order = 1; order <= 100'000; ++order) {
        hits += dice.hits(order, 0, 200'000);
        const std::int64_t face = dice.one_of(order, 1, 6);
        CHECK((face >= 1 && face <= 6));
        faces.insert(face);
    }
    CHECK(hits > 19'500);  // 20,000 ± 4 standard deviations of 126
    CHECK(hits < 20'500);
    CHECK(faces.size() == 6);
}
