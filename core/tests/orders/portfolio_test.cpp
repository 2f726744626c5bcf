// Promise: realised + unrealised is exact to the micro-unit, whatever the order of the fills.
#include "gm/orders/portfolio.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace gm;

TEST_CASE("a long of 3 at 100 sold 1 at 110 and 2 at 90, worked by hand") {
    Position position;
    REQUIRE(apply_fill(position, Side::kBuy, 100, 3, 7, 5) == Status::kOk);
    CHECK(position.lots == 3);
    CHECK(position.cost == 300);
    REQUIRE(apply_fill(position, Side::kSell, 110, 1, 7, 5) == Status::kOk);
    CHECK(position.realised_micros == 50);
    CHECK(position.round_trips == 0);
    REQUIRE(apply_fill(position, Side::kSell, 90, 2, 7, 5) == Status::kOk);
    CHECK(position.realised_micros == -50);
    CHECK(position.lots == 0);
    CHECK(position.cost == 0);
    CHECK(position.commission_micros == 21);
    CHECK(position.round_trips == 1);
}

TEST_CASE("closing part of an odd average cost truncates toward zero and keeps the remainder") {
    Position position;
    REQUIRE(apply_fill(position, Side::kSell, 10, 1, 0, 1) == Status::kOk);
    REQUIRE(apply_fill(position, Side::kSell, 11, 2, 0, 1) == Status::kOk);
    CHECK(position.cost == -32);
    REQUIRE(apply_fill(position, Side::kBuy, 9, 1, 0, 1) == Status::kOk);
    CHECK(position.realised_micros == 1);  // removed trunc(-32/3) = -10; cash -9; gain 10 - 9
    CHECK(position.cost == -22);
    std::int64_t open_micros = 0;
    REQUIRE(unrealised_micros(position, 9, 1, open_micros) == Status::kOk);
    CHECK(open_micros == 4);
}

TEST_CASE("an order that crosses zero closes, counts a round trip and opens the other side") {
    Position position;
    REQUIRE(apply_fill(position, Side::kBuy, 100, 2, 0, 1) == Status::kOk);
    REQUIRE(apply_fill(position, Side::kSell, 105, 5, 0, 1) == Status::kOk);
    CHECK(position.lots == -3);
    CHECK(position.cost == -315);
    CHECK(position.realised_micros == 10);
    CHECK(position.round_trips == 1);
}

TEST_CASE("property: realised + unrealised equals cash plus value for any sequence of fills") {
    std::mt19937_64 random(3);
    for (int run = 0; run < 200; ++run) {
        Position position;
        Int128 cash = 0;
        const std::int64_t tick_value = 1 + static_cast<std::int64_t>(random() % 5'000'000);
        for (int i = 0; i < 100; ++i) {
            const Side side = random() % 2 ? Side::kBuy : Side::kSell;
            const auto price = static_cast<std::int64_t>(random() % 100'000) - 20'000;
            const auto lots = static_cast<std::int64_t>(random() % 50) + 1;
            REQUIRE(apply_fill(position, side, price, lots, 1, tick_value) == Status::kOk);
            cash += Int128{side == Side::kBuy ? -lots : lots} * price;
            const auto mark = static_cast<std::int64_t>(random() % 100'000);
            std::int64_t open_micros = 0;
            REQUIRE(unrealised_micros(position, mark, tick_value, open_micros) == Status::kOk);
            const Int128 value = (cash + Int128{position.lots} * mark) * tick_value;
            CHECK(Int128{position.realised_micros} + open_micros == value);
        }
        CHECK(position.commission_micros == 100);
    }
}

TEST_CASE("what does not fit in 64 bits changes nothing") {
    Position position;
    REQUIRE(apply_fill(position, Side::kBuy, INT64_MAX / 2, 1000, 0, 1) == Status::kOk);
    const Position before = position;
    CHECK(apply_fill(position, Side::kSell, 1, 1000, 0, 1'000'000) == Status::kOverflow);
    CHECK(position.lots == before.lots);
    CHECK(position.cost == before.cost);
    CHECK(apply_fill(position, Side::kBuy, 1, 0, 0, 1) == Status::kBadArgument);
}
