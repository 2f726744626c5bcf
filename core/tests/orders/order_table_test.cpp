// Promise: an order moves only along the table of SAFETY, its open quantity is counted until the
// venue says it is dead, and silence never kills it.
#include "gm/orders/order_table.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

using namespace gm;
using S = OrderState;
using E = OrderEvent;

namespace {

NewOrder request(std::uint64_t counter, Side side = Side::kBuy, std::int64_t lots = 10) {
    NewOrder order{};
    order.id = {1, 1, counter};
    order.side = side;
    order.quantity_lots = lots;
    return order;
}

OrderTable make_table() {
    OrderTable table;
    REQUIRE(table.open(1).is_ok());
    return table;
}

}  // namespace

TEST_CASE("the whole transition table, cell by cell") {
    const std::map<S, std::map<E, S>> allowed = {
        {S::kIntent,
         {{E::kSend, S::kSent},
          {E::kAck, S::kLive},
          {E::kReject, S::kRejected},
          {E::kTimeout, S::kUnknown},
          {E::kReportAbsent, S::kNever},
          {E::kReportLive, S::kLive},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kSent,
         {{E::kAck, S::kLive},
          {E::kReject, S::kRejected},
          {E::kTimeout, S::kUnknown},
          {E::kReportAbsent, S::kNever},
          {E::kReportLive, S::kLive},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kUnknown,
         {{E::kAck, S::kLive},
          {E::kReject, S::kRejected},
          {E::kTimeout, S::kUnknown},
          {E::kReportAbsent, S::kNever},
          {E::kReportLive, S::kLive},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kLive,
         {{E::kCancelSent, S::kPendingCancel},
          {E::kReportLive, S::kLive},
          {E::kTimeout, S::kLive},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kPartial,
         {{E::kCancelSent, S::kPendingCancel},
          {E::kReportLive, S::kPartial},
          {E::kTimeout, S::kPartial},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kPendingCancel,
         {{E::kCancelSent, S::kPendingCancel},
          {E::kReportLive, S::kLive},
          {E::kTimeout, S::kPendingCancel},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
    };
    for (int state = 0; state <= static_cast<int>(S::kDenied); ++state) {
        for (int event = 0; event <= static_cast<int>(E::kReportLive); ++event) {
            const auto s = static_cast<S>(state);
            const auto e = static_cast<E>(event);
            if (e == E::kFill) continue;  // its own test
            const auto row = allowed.find(s);
            const bool may = row != allowed.end() && row->second.count(e) > 0;
            CHECK(next_state(s, e, false) == (may ? row->second.at(e) : S::kAbsent));
        }
    }
}

TEST_CASE("a fill is booked in any state that may trade and in no other") {
    for (const S state : {S::kIntent, S::kSent, S::kUnknown, S::kLive, S::kPartial}) {
        CHECK(next_state(state, E::kFill, false) == S::kPartial);
        CHECK(next_state(state, E::kFill, true) == S::kFilled);
    }
    CHECK(next_state(S::kPendingCancel, E::kFill, false) == S::kPendingCancel);
    CHECK(next_state(S::kPendingCancel, E::kFill, true) == S::kFilled);
    for (const S state : {S::kFilled, S::kCancelled, S::kExpired, S::kRejected, S::kNever}) {
        CHECK(next_state(state, E::kFill, true) == S::kAbsent);
    }
}

TEST_CASE("open quantity is reserved from the intent until the venue ends the order") {
    OrderTable table = make_table();
    Order* order = table.insert(request(1));
    REQUIRE(order != nullptr);
    CHECK(table.exposure(0).open_buy_lots == 10);
    REQUIRE(table.apply(*order, E::kSend) == Status::kOk);
    REQUIRE(table.apply(*order, E::kTimeout) == Status::kOk);
    CHECK(order->state == S::kUnknown);
    CHECK(table.has_unknown(0));
    CHECK(table.exposure(0).open_buy_lots == 10);
    REQUIRE(table.apply(*order, E::kReportLive) == Status::kOk);
    CHECK(!table.has_unknown(0));
    REQUIRE(table.apply_fill(*order, 4, 6) == Status::kOk);
    CHECK(order->state == S::kPartial);
    CHECK(table.exposure(0).open_buy_lots == 6);
    REQUIRE(table.apply(*order, E::kExpired) == Status::kOk);
    CHECK(table.exposure(0).open_buy_lots == 0);
    CHECK(table.open_count() == 0);
}

TEST_CASE("a fill whose leaves do not add up changes nothing") {
    OrderTable table = make_table();
    Order* order = table.insert(request(1));
    REQUIRE(table.apply(*order, E::kSend) == Status::kOk);
    for (const auto& [lots, leaves] :
         std::initializer_list<std::pair<int, int>>{{4, 5}, {11, -1}, {0, 10}, {-1, 11}}) {
        CHECK(table.apply_fill(*order, lots, leaves) == Status::kBadTransition);
    }
    REQUIRE(table.apply_fill(*order, 4, 6) == Status::kOk);
    CHECK(table.apply_fill(*order, 4, 6) == Status::kBadTransition);  // the same execution again
    CHECK(order->filled_lots == 4);
    CHECK(table.exposure(0).open_buy_lots == 6);
}

TEST_CASE("an order that is known partly filled is partial after a report, not live") {
    OrderTable table = make_table();
    Order* order = table.insert(request(1));
    REQUIRE(table.apply_fill(*order, 1, 9) == Status::kOk);
    REQUIRE(table.apply(*order, E::kReportLive) == Status::kOk);
    CHECK(order->state == S::kPartial);
}

TEST_CASE("a full table answers null and takes orders again once one has ended") {
    OrderTable table = make_table();
    for (std::uint64_t i = 1; i <= kOpenOrdersMax; ++i) {
        REQUIRE(table.insert(request(i)) != nullptr);
    }
    CHECK(table.insert(request(9999)) == nullptr);
    REQUIRE(table.apply(*table.find({1, 1, 1}), E::kReject) == Status::kOk);
    CHECK(table.insert(request(9999)) != nullptr);
}

TEST_CASE("property: exposure equals the sum over open orders after any sequence of events") {
    std::mt19937_64 random(11);
    OrderTable table = make_table();
    std::set<std::uint64_t> ids;
    std::uint64_t counter = 0;
    for (int i = 0; i < 50'000; ++i) {
        if (random() % 3 == 0) {
            const Side side = random() % 2 ? Side::kBuy : Side::kSell;
            if (table.insert(request(++counter, side, 1 + static_cast<int>(random() % 20)))) {
                ids.insert(counter);
            }
        } else if (counter > 0) {
            Order* order = table.find({1, 1, 1 + random() % counter});
            if (order == nullptr) continue;
            const auto event = static_cast<E>(random() % 10);
            if (event == E::kFill) {
                const auto lots = static_cast<std::int64_t>(random() % 8);
                (void)table.apply_fill(*order, lots, order->leaves_lots() - lots);
            } else {
                (void)table.apply(*order, event);
            }
        }
        std::int64_t buys = 0;
        std::int64_t sells = 0;
        std::size_t open = 0;
        table.for_each_open([&](Order& order) {
            ++open;
            CHECK(!is_terminal(order.state));
            (order.request.side == Side::kBuy ? buys : sells) += order.leaves_lots();
        });
        REQUIRE(table.exposure(0).open_buy_lots == buys);
        REQUIRE(table.exposure(0).open_sell_lots == sells);
        REQUIRE(table.open_count() == open);
    }
}
