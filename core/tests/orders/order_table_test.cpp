// Promise: an order moves only along the table of SAFETY, its open quantity is counted until the
// venue says it is dead, and silence never kills it.
#include "gm/orders/order_table.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

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
    const std::map<E, S> waiting = {{E::kAck, S::kLive},        {E::kReject, S::kRejected},
                                    {E::kTimeout, S::kUnknown}, {E::kReportAbsent, S::kNever},
                                    {E::kReportLive, S::kLive}, {E::kCancelled, S::kCancelled},
                                    {E::kExpired, S::kExpired}};
    std::map<E, S> intent = waiting;
    intent[E::kSend] = S::kSent;
    const auto resting = [](S itself) {
        return std::map<E, S>{{E::kCancelSent, S::kPendingCancel},
                              {E::kReplaceSent, S::kPendingReplace},
                              {E::kReportLive, itself},
                              {E::kTimeout, itself},
                              {E::kCancelled, S::kCancelled},
                              {E::kExpired, S::kExpired}};
    };
    const std::map<S, std::map<E, S>> allowed = {
        {S::kIntent, intent},
        {S::kSent, waiting},
        {S::kUnknown, waiting},
        {S::kLive, resting(S::kLive)},
        {S::kPartial, resting(S::kPartial)},
        {S::kPendingCancel,
         {{E::kCancelSent, S::kPendingCancel},
          {E::kReportLive, S::kLive},
          {E::kTimeout, S::kPendingCancel},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kPendingReplace,
         {{E::kReplaced, S::kLive},
          {E::kReplaceRefused, S::kLive},
          {E::kReportLive, S::kPendingReplace},
          {E::kTimeout, S::kPendingReplace},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
        {S::kOrphan,
         {{E::kAck, S::kOrphan},
          {E::kCancelSent, S::kOrphan},
          {E::kReportLive, S::kOrphan},
          {E::kTimeout, S::kOrphan},
          {E::kCancelled, S::kCancelled},
          {E::kExpired, S::kExpired}}},
    };
    for (int state = 0; state <= static_cast<int>(S::kOrphan); ++state) {
        for (int event = 0; event <= static_cast<int>(E::kReplaceRefused); ++event) {
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
    for (const S state : {S::kPendingCancel, S::kPendingReplace, S::kOrphan}) {
        CHECK(next_state(state, E::kFill, false) == state);
        CHECK(next_state(state, E::kFill, true) == S::kFilled);
    }
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

TEST_CASE("until a replace is answered the larger of both sizes is reserved") {
    const auto replace = [](std::int64_t lots) {
        ReplaceOrder asked{};
        asked.replace_id = {1, 1, 50};
        asked.quantity_lots = lots;
        asked.price_ticks = 7;
        return asked;
    };
    const auto answer = [](std::int64_t lots, std::int64_t filled) {
        return Replaced{{1, 1, 1}, {1, 1, 50}, 7, lots, filled, 0, {}};
    };
    for (const std::int64_t wanted : {15, 6}) {
        OrderTable table = make_table();
        Order* order = table.insert(request(1));
        CHECK(table.send_replace(*order, replace(wanted)) == Status::kBadTransition);
        REQUIRE(table.apply(*order, E::kSend) == Status::kOk);
        REQUIRE(table.apply_fill(*order, 4, 6) == Status::kOk);
        CHECK(table.send_replace(*order, replace(4)) == Status::kBadArgument);  // it is filled
        CHECK(table.send_replace(*order, replace(INT64_MAX)) == Status::kOk);
        REQUIRE(table.apply(*order, E::kReplaceRefused) == Status::kOk);
        CHECK(order->state == S::kPartial);
        CHECK(table.exposure(0).open_buy_lots == 6);
        REQUIRE(table.send_replace(*order, replace(wanted)) == Status::kOk);
        CHECK(table.exposure(0).open_buy_lots == std::max<std::int64_t>(wanted, 10) - 4);
        CHECK(table.apply_replaced(*order, answer(wanted + 1, 4)) == Status::kBadTransition);
        CHECK(table.apply_replaced(*order, answer(wanted, 3)) == Status::kBadTransition);
        REQUIRE(table.apply_fill(*order, 1, 5) == Status::kOk);  // of the size before
        CHECK(order->state == S::kPendingReplace);
        REQUIRE(table.apply_replaced(*order, answer(wanted, 5)) == Status::kOk);
        CHECK(order->state == S::kPartial);
        CHECK(order->request.price_ticks == 7);
        CHECK(table.exposure(0).open_buy_lots == wanted - 5);
        REQUIRE(table.apply(*order, E::kCancelled) == Status::kOk);
        CHECK(table.exposure(0).open_buy_lots == 0);
    }
}

TEST_CASE("an order that ends before its replace is answered reserves nothing") {
    OrderTable table = make_table();
    Order* order = table.insert(request(1));
    REQUIRE(table.apply(*order, E::kAck) == Status::kOk);
    ReplaceOrder asked{};
    asked.replace_id = {1, 1, 50};
    asked.quantity_lots = 30;
    REQUIRE(table.send_replace(*order, asked) == Status::kOk);
    CHECK(table.exposure(0).open_buy_lots == 30);
    REQUIRE(table.apply_fill(*order, 10, 0) == Status::kOk);
    CHECK(order->state == S::kFilled);
    CHECK(table.exposure(0).open_buy_lots == 0);
}

TEST_CASE("a late fill is booked on a dead order and on no other") {
    OrderTable table = make_table();
    Order* order = table.insert(request(1));
    CHECK(table.apply_late_fill(*order, 3) == Status::kBadTransition);
    REQUIRE(table.apply(*order, E::kReject) == Status::kOk);
    CHECK(table.apply_late_fill(*order, 0) == Status::kBadTransition);
    REQUIRE(table.apply_late_fill(*order, 3) == Status::kOk);
    CHECK(order->state == S::kRejected);
    CHECK(order->filled_lots == 3);
    CHECK(table.exposure(0).open_buy_lots == 0);
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

TEST_CASE("own orders: what rests or may rest, by side, by leg, and by either price of a replace") {
    OrderTable table = make_table();
    NewOrder bid = request(1, Side::kBuy, 10);
    bid.type = OrderType::kLimit;
    bid.price_ticks = 90;
    Order* first = table.insert(bid);
    NewOrder stop = request(2, Side::kSell, 7);
    stop.type = OrderType::kStop;
    stop.reason = OrderReason::kStop;
    stop.price_ticks = 50;
    REQUIRE(table.insert(stop) != nullptr);
    NewOrder target = request(3, Side::kSell, 8);
    target.type = OrderType::kLimit;
    target.reason = OrderReason::kTarget;
    target.price_ticks = 120;
    Order* leg = table.insert(target);
    REQUIRE(table.insert(request(4, Side::kSell, 5)) != nullptr);  // at market: no price
    OwnOrders own = table.own_orders(0, nullptr);
    CHECK(own.bid_ticks == 90);
    CHECK(own.ask_ticks == 120);
    CHECK(own.stop_lots == 7);
    CHECK(own.target_lots == 8);
    CHECK(own.buy_lots == 10);
    CHECK(own.sell_lots == 5);
    CHECK(table.own_orders(0, first).bid_ticks == INT64_MIN);
    CHECK(table.own_orders(0, first).buy_lots == 0);

    REQUIRE(table.apply(*leg, E::kSend) == Status::kOk);
    REQUIRE(table.apply(*leg, E::kAck) == Status::kOk);
    ReplaceOrder lower{};
    lower.id = target.id;
    lower.replace_id = {1, 1, 9};
    lower.price_ticks = 110;
    lower.quantity_lots = 9;
    REQUIRE(table.send_replace(*leg, lower) == Status::kOk);
    CHECK(table.own_orders(0, nullptr).ask_ticks == 110);
    CHECK(table.own_orders(0, nullptr).target_lots == 9);
    REQUIRE(table.apply(*leg, E::kReplaceRefused) == Status::kOk);
    CHECK(table.own_orders(0, nullptr).ask_ticks == 120);
    REQUIRE(table.apply(*leg, E::kCancelled) == Status::kOk);
    CHECK(table.own_orders(0, nullptr).ask_ticks == INT64_MAX);
    CHECK(table.own_orders(0, nullptr).target_lots == 0);
}

TEST_CASE("a parent counts what its orders traded, those that died too, and no other's") {
    OrderTable table = make_table();
    CHECK(table.parent(0).lots == 0);  // nobody decided anything
    table.begin_parent(0, 30);
    table.set_position(0, -20);
    CHECK(table.parent(0).lots == 50);  // no order yet: from where it stands
    Order* order = table.insert(request(1, Side::kBuy, 50));
    REQUIRE(table.apply_fill(*order, 15, 35) == Status::kOk);
    table.set_position(0, -5);
    CHECK(table.parent(0).lots == 50);  // fixed with the first order
    CHECK(table.parent(0).filled_lots == 15);
    REQUIRE(table.apply(*order, E::kCancelled) == Status::kOk);
    CHECK(table.own_orders(0, nullptr).buy_lots == 0);
    REQUIRE(table.apply_late_fill(*order, 5) == Status::kOk);
    CHECK(table.parent(0).filled_lots == 20);
    NewOrder stop = request(2, Side::kBuy, 5);
    stop.reason = OrderReason::kStop;
    Order* leg = table.insert(stop);
    REQUIRE(table.apply_fill(*leg, 5, 0) == Status::kOk);
    CHECK(table.parent(0).filled_lots == 20);
    table.begin_parent(0, 0);
    REQUIRE(table.apply_late_fill(*order, 5) == Status::kOk);
    CHECK(table.parent(0).filled_lots == 0);
    CHECK(table.parent(0).lots == 5);
}

TEST_CASE("every change of an exposure is told once, whatever made it") {
    OrderTable table;
    REQUIRE(table.open(3).is_ok());
    std::vector<std::uint32_t> told;
    const auto take = [&] {
        told.clear();
        table.take_changes([&](std::uint32_t at) { told.push_back(at); });
        return told.size();
    };
    NewOrder ask = request(1, Side::kBuy, 10);
    ask.instrument = 2;
    Order* order = table.insert(ask);
    CHECK(take() == 1);
    CHECK(told[0] == 2);
    CHECK(take() == 0);
    REQUIRE(table.apply(*order, E::kSend) == Status::kOk);
    REQUIRE(table.apply(*order, E::kAck) == Status::kOk);
    CHECK(take() == 0);
    REQUIRE(table.apply_fill(*order, 4, 6) == Status::kOk);
    table.set_position(2, 4);
    CHECK(take() == 1);
    ReplaceOrder more{};
    more.replace_id = {1, 1, 2};
    more.quantity_lots = 12;
    REQUIRE(table.send_replace(*order, more) == Status::kOk);
    CHECK(take() == 1);
    REQUIRE(table.apply(*order, E::kReplaceRefused) == Status::kOk);
    CHECK(take() == 1);
    REQUIRE(table.apply(*order, E::kCancelled) == Status::kOk);
    CHECK(take() == 1);
    table.set_position(0, 1);
    table.set_position(1, 1);
    table.note_change(1);
    CHECK(take() == 2);
}
