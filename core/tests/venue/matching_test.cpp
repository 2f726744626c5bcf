// Promise: an order trades in an event exactly when the market's prices allow it, and never at a
// price better than the market showed.
#include "gm/venue/matching.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

using gm::MarketEvent;
using gm::MarketEventKind;
using gm::Match;
using gm::OrderType;
using gm::Side;

namespace {

constexpr std::int64_t kNoTrade = INT64_MIN;

std::int64_t price(OrderType type, Side side, std::int64_t order_ticks, const MarketEvent& event,
                   std::int64_t slippage = 0) {
    std::int64_t found = 0;
    return gm::match(type, side, order_ticks, event, slippage, found) == Match::kTrades ? found
                                                                                        : kNoTrade;
}

constexpr MarketEvent kOpen{MarketEventKind::kOpen, 100, 100, 100};
constexpr MarketEvent kClose{MarketEventKind::kClose, 100, 110, 90};

}  // namespace

TEST_CASE("a market order takes the open and pays slippage on its own side") {
    CHECK(price(OrderType::kMarket, Side::kBuy, 0, kOpen, 2) == 102);
    CHECK(price(OrderType::kMarket, Side::kSell, 0, kOpen, 2) == 98);
    CHECK(price(OrderType::kMarket, Side::kBuy, 0, kClose, 2) == kNoTrade);
    CHECK(price(OrderType::kMarket, Side::kSell, 0, {MarketEventKind::kTrade, 77, 77, 77}, 1) ==
          76);
}

TEST_CASE("a limit that the open is better than fills at the open, without slippage") {
    CHECK(price(OrderType::kLimit, Side::kBuy, 105, kOpen, 2) == 100);
    CHECK(price(OrderType::kLimit, Side::kBuy, 100, kOpen, 2) == 100);
    CHECK(price(OrderType::kLimit, Side::kBuy, 99, kOpen, 2) == kNoTrade);
    CHECK(price(OrderType::kLimit, Side::kSell, 95, kOpen, 2) == 100);
    CHECK(price(OrderType::kLimit, Side::kSell, 101, kOpen, 2) == kNoTrade);
}

TEST_CASE("a limit inside the range fills at its price, one beyond the open at the open") {
    CHECK(price(OrderType::kLimit, Side::kBuy, 90, kClose) == 90);
    CHECK(price(OrderType::kLimit, Side::kBuy, 89, kClose) == kNoTrade);
    CHECK(price(OrderType::kLimit, Side::kBuy, 1'000'000, kClose) == 100);
    CHECK(price(OrderType::kLimit, Side::kSell, 110, kClose) == 110);
    CHECK(price(OrderType::kLimit, Side::kSell, 111, kClose) == kNoTrade);
    CHECK(price(OrderType::kLimit, Side::kSell, -5, kClose) == 100);
}

TEST_CASE("a stop that the open has passed fills at the open plus slippage") {
    CHECK(price(OrderType::kStop, Side::kSell, 105, kOpen, 2) == 98);
    CHECK(price(OrderType::kStop, Side::kSell, 100, kOpen, 2) == 98);
    CHECK(price(OrderType::kStop, Side::kSell, 99, kOpen, 2) == kNoTrade);
    CHECK(price(OrderType::kStop, Side::kBuy, 95, kOpen, 2) == 102);
    CHECK(price(OrderType::kStop, Side::kBuy, 101, kOpen, 2) == kNoTrade);
}

TEST_CASE("a stop inside the range fills at its price plus slippage, a passed one at the open") {
    CHECK(price(OrderType::kStop, Side::kSell, 90, kClose, 3) == 87);
    CHECK(price(OrderType::kStop, Side::kSell, 89, kClose, 3) == kNoTrade);
    CHECK(price(OrderType::kStop, Side::kSell, 104, kClose, 3) == 97);
    CHECK(price(OrderType::kStop, Side::kBuy, 110, kClose, 3) == 113);
    CHECK(price(OrderType::kStop, Side::kBuy, 111, kClose, 3) == kNoTrade);
    CHECK(price(OrderType::kStop, Side::kBuy, 96, kClose, 3) == 103);
}

TEST_CASE("a price that does not fit is said, not wrapped") {
    std::int64_t found = 0;
    const MarketEvent top{MarketEventKind::kOpen, INT64_MAX, INT64_MAX, INT64_MAX};
    const MarketEvent bottom{MarketEventKind::kOpen, INT64_MIN, INT64_MIN, INT64_MIN};
    CHECK(gm::match(OrderType::kMarket, Side::kBuy, 0, top, 1, found) == Match::kOverflow);
    CHECK(gm::match(OrderType::kMarket, Side::kSell, 0, bottom, 1, found) == Match::kOverflow);
    CHECK(gm::match(OrderType::kMarket, Side::kSell, 0, top, 1, found) == Match::kTrades);
}

TEST_CASE("over all small worlds no fill is better than the market, and limits keep their word") {
    for (std::int64_t first = 3; first <= 6; ++first) {
        for (std::int64_t high = first; high <= 8; ++high) {
            for (std::int64_t low = 1; low <= first; ++low) {
                for (std::int64_t at = 0; at <= 9; ++at) {
                    const MarketEvent event{MarketEventKind::kClose, first, high, low};
                    const std::int64_t limit_buy = price(OrderType::kLimit, Side::kBuy, at, event);
                    const std::int64_t stop_buy = price(OrderType::kStop, Side::kBuy, at, event);
                    const std::int64_t limit_sell =
                        price(OrderType::kLimit, Side::kSell, at, event);
                    const std::int64_t stop_sell = price(OrderType::kStop, Side::kSell, at, event);
                    CHECK((limit_buy != kNoTrade) == (low <= at));
                    CHECK((stop_buy != kNoTrade) == (high >= at));
                    CHECK((limit_sell != kNoTrade) == (high >= at));
                    CHECK((stop_sell != kNoTrade) == (low <= at));
                    for (const std::int64_t found : {limit_buy, stop_buy, limit_sell, stop_sell}) {
                        CHECK((found == kNoTrade || (found >= low && found <= high)));
                    }
                    CHECK(limit_buy <= at);
                    CHECK((stop_buy == kNoTrade || stop_buy >= at));
                    CHECK((limit_sell == kNoTrade || limit_sell >= at));
                    CHECK(stop_sell <= at);
                }
            }
        }
    }
}
