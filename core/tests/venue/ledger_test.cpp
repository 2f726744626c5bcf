// Promise: an id is in the ledger at most once, fills never exceed an order, the sums are exact.
#include "gm/venue/ledger.hpp"

#include <doctest/doctest.h>

using namespace gm;

namespace {

LedgerOrder live(std::uint64_t counter, Side side, std::int64_t lots) {
    LedgerOrder order{};
    order.id = {1, 1, counter};
    order.side = side;
    order.quantity_lots = lots;
    order.state = OrderState::kLive;
    return order;
}

Execution execution(const LedgerOrder& order, std::int64_t price, std::int64_t lots,
                    std::int64_t commission = 0) {
    Execution execution{};
    execution.order_id = order.id;
    execution.side = order.side;
    execution.price_ticks = price;
    execution.quantity_lots = lots;
    execution.commission_micros = commission;
    return execution;
}

Int128 cash(const LedgerTotals& totals) {
    return (Int128{totals.cash_micros_high} << 64) | totals.cash_micros_low;
}

}  // namespace

TEST_CASE("a round trip by hand: buy 3 at 100, sell 3 at 110, tick worth 100") {
    Ledger ledger;
    REQUIRE(ledger.open(4).is_ok());
    LedgerOrder* buy = ledger.insert(live(1, Side::kBuy, 3));
    REQUIRE(buy != nullptr);
    CHECK(ledger.execute(*buy, execution(*buy, 100, 2, 5), 100) == Status::kOk);
    CHECK(buy->state == OrderState::kPartial);
    CHECK(ledger.execute(*buy, execution(*buy, 100, 1, 5), 100) == Status::kOk);
    CHECK(buy->state == OrderState::kFilled);
    CHECK(ledger.totals().position_lots == 3);
    CHECK(cash(ledger.totals()) == -30'000);
    LedgerOrder* sell = ledger.insert(live(2, Side::kSell, 3));
    CHECK(ledger.execute(*sell, execution(*sell, 110, 3, 7), 100) == Status::kOk);
    CHECK(ledger.totals().position_lots == 0);
    CHECK(cash(ledger.totals()) == 3'000);
    CHECK(ledger.totals().commission_micros == 17);
    CHECK(buy->commission_micros == 10);
    CHECK(ledger.totals().filled == 2);
}

TEST_CASE("more than the leaves is refused and changes nothing") {
    Ledger ledger;
    REQUIRE(ledger.open(4).is_ok());
    LedgerOrder* order = ledger.insert(live(1, Side::kBuy, 3));
    CHECK(ledger.execute(*order, execution(*order, 100, 4), 1) == Status::kBadArgument);
    CHECK(ledger.execute(*order, execution(*order, 100, 0), 1) == Status::kBadArgument);
    CHECK(ledger.execute(*order, execution(*order, 100, -1), 1) == Status::kBadArgument);
    CHECK(order->filled_lots == 0);
    CHECK(ledger.executions().empty());
    ledger.end(*order, OrderState::kCancelled, 9);
    CHECK(ledger.execute(*order, execution(*order, 100, 1), 1) == Status::kBadArgument);
    CHECK(order->ended_ts_ns == 9);
}

TEST_CASE("an id is taken once: by an order or by a tombstone") {
    Ledger ledger;
    REQUIRE(ledger.open(4).is_ok());
    REQUIRE(ledger.insert(live(1, Side::kBuy, 1)) != nullptr);
    CHECK(ledger.insert(live(1, Side::kSell, 2)) == nullptr);
    CHECK(ledger.bury({1, 1, 1}) == Status::kBadArgument);
    CHECK_FALSE(ledger.is_buried({1, 1, 1}));
    CHECK(ledger.bury({1, 1, 2}) == Status::kOk);
    CHECK(ledger.bury({1, 1, 2}) == Status::kOk);
    CHECK(ledger.is_buried({1, 1, 2}));
    CHECK(ledger.insert(live(2, Side::kBuy, 1)) == nullptr);
    CHECK(ledger.find({1, 1, 2}) == nullptr);
    CHECK(ledger.tombstones().size() == 1);
    CHECK(ledger.find({2, 1, 1}) == nullptr);
    CHECK(ledger.find({1, 2, 1}) == nullptr);
}

TEST_CASE("a full ledger says so") {
    Ledger ledger;
    REQUIRE(ledger.open(2).is_ok());
    REQUIRE(ledger.insert(live(1, Side::kBuy, 100)) != nullptr);
    LedgerOrder* order = ledger.insert(live(2, Side::kBuy, 100));
    REQUIRE(order != nullptr);
    CHECK(ledger.insert(live(3, Side::kBuy, 1)) == nullptr);
    CHECK(ledger.bury({1, 9, 1}) == Status::kOk);
    CHECK(ledger.bury({1, 9, 2}) == Status::kOk);
    CHECK(ledger.bury({1, 9, 3}) == Status::kOutOfMemory);
    for (std::size_t i = 0; i < 2 * Ledger::kExecutionsPerOrder; ++i) {
        REQUIRE(ledger.execute(*order, execution(*order, 1, 1), 1) == Status::kOk);
    }
    CHECK(ledger.execute(*order, execution(*order, 1, 1), 1) == Status::kOutOfMemory);
    CHECK(ledger.open(0).status == Status::kBadArgument);
    CHECK(ledger.open(Ledger::kOrdersMaxMax + 1).status == Status::kBadArgument);
}

TEST_CASE("ids with colliding places are all found again") {
    Ledger ledger;
    REQUIRE(ledger.open(5000).is_ok());
    for (std::uint64_t i = 1; i <= 5000; ++i) {
        REQUIRE(ledger.insert(live(i, Side::kBuy, 1)) != nullptr);
        REQUIRE(ledger.bury({2, 7, i}) == Status::kOk);
    }
    for (std::uint64_t i = 1; i <= 5000; ++i) {
        REQUIRE(ledger.find({1, 1, i}) != nullptr);
        CHECK(ledger.find({1, 1, i})->id.counter == i);
        CHECK(ledger.is_buried({2, 7, i}));
    }
    CHECK(ledger.find({1, 1, 5001}) == nullptr);
}

TEST_CASE("money that does not fit is an overflow, and the books stay as they were") {
    Ledger ledger;
    REQUIRE(ledger.open(4).is_ok());
    LedgerOrder* order = ledger.insert(live(1, Side::kBuy, INT64_MAX));
    CHECK(ledger.execute(*order, execution(*order, INT64_MAX, INT64_MAX), INT64_MAX) ==
          Status::kOverflow);
    CHECK(ledger.totals().executions == 0);
    CHECK(ledger.totals().position_lots == 0);
    CHECK(ledger.execute(*order, execution(*order, 1, INT64_MAX - 1), 1) == Status::kOk);
    LedgerOrder* more = ledger.insert(live(2, Side::kBuy, 2));
    CHECK(ledger.execute(*more, execution(*more, 1, 2), 1) == Status::kOverflow);
}

TEST_CASE("commission by hand: 7 a lot and one basis point, rounded up") {
    std::int64_t commission = 0;
    // 3 lots at 12345 ticks of 100 micros: notional 3,703,500, a basis point of it 370.35.
    CHECK(commission_of({7, 100}, 12345, 3, 100, commission) == Status::kOk);
    CHECK(commission == 21 + 371);
    CHECK(commission_of({0, 100}, -12345, 3, 100, commission) == Status::kOk);
    CHECK(commission == 371);
    CHECK(commission_of({7, 0}, 12345, 3, 100, commission) == Status::kOk);
    CHECK(commission == 21);
    CHECK(commission_of({0, 1'000'000}, 10, 1, 100, commission) == Status::kOk);
    CHECK(commission == 1000);
    CHECK(commission_of({0, 1'000'000}, INT64_MAX, INT64_MAX, INT64_MAX, commission) ==
          Status::kOverflow);
    CHECK(commission_of({INT64_MAX, 0}, 1, 2, 1, commission) == Status::kOverflow);
}
