// Promise: R14 to R20 refuse what they must, what only a person clears stays until then, and a
// price that stands alone trips nothing.
#include <doctest/doctest.h>

#include <random>

#include "risk/gate_rig.hpp"

using namespace gm;
using namespace gm::test;

namespace {

NewOrder limit_order(std::uint64_t counter, Side side, std::int64_t lots, std::int64_t price) {
    NewOrder order = market_order(counter, side, lots);
    order.type = OrderType::kLimit;
    order.price_ticks = price;
    return order;
}

Gate loss_gate(std::int64_t loss, std::int64_t drawdown, std::int64_t own = 0,
               std::uint32_t confirmations = 3, std::size_t desks = 2) {
    Gate gate;
    const std::vector<Instrument> instruments(desks, btc());
    Limits row = limits();
    row.loss_micros_max = own;
    const std::vector<Limits> rows(desks, row);
    AccountLimits sums = account();
    sums.loss_micros_max = loss;
    sums.drawdown_micros_max = drawdown;
    GateSettings settings;
    settings.loss_confirmations = confirmations;
    REQUIRE(gate.open(instruments, rows, sums, settings).is_ok());
    return gate;
}

}  // namespace

TEST_CASE("R03: limits that have expired permit nothing but less of what is held") {
    Gate gate;
    const Instrument instrument = btc();
    const Limits row = limits();
    GateSettings settings;
    settings.limits_expire_ts_ns = kNow + 1;
    REQUIRE(gate.open({&instrument, 1}, {&row, 1}, account(), settings).is_ok());
    GateContext c = context();
    CHECK(ask(gate, market_order(1, Side::kBuy, 1), c).code == GateCode::kNone);
    c.now_ns = c.reference_ts_ns = kNow + 1;
    const Verdict expired = ask(gate, market_order(2, Side::kBuy, 2), c);
    CHECK(expired.code == GateCode::kNotPermitted);
    CHECK(expired.value == kNow + 1);
    CHECK(expired.limit == kNow + 1);
    c.exposure.position_lots = 5;
    CHECK(ask(gate, market_order(3, Side::kSell, 5), c).code == GateCode::kNone);
    CHECK(ask(gate, market_order(4, Side::kSell, 6), c).code == GateCode::kNotPermitted);
    CHECK(gate.may_cancel(c.now_ns));
}

TEST_CASE("R14: one execution more than allowed in the window, of one strategy, until cleared") {
    Limits row = limits();
    row.repeat_executions_max = 3;
    row.repeat_window_ns = kSecond;
    Gate gate = make_gate(row);
    for (std::int64_t i = 0; i < 3; ++i) {
        CHECK(gate.on_execution(0, 7, kNow + i).code == GateCode::kNone);
        CHECK(gate.on_execution(0, 8, kNow + i).code == GateCode::kNone);
    }
    CHECK(gate.on_execution(0, 7, kNow + kSecond).code == GateCode::kNone);  // the first is out
    CHECK(ask(gate, market_order(1, Side::kBuy, 1), context()).code == GateCode::kNone);
    const Trip trip = gate.on_execution(0, 7, kNow + kSecond);
    CHECK(trip.code == GateCode::kRepeatExecution);
    CHECK(trip.value == 4);
    CHECK(trip.limit == 3);
    CHECK(!trip.is_of_account);
    CHECK(gate.on_execution(0, 7, kNow + kSecond).code == GateCode::kNone);  // told once
    GateContext later = context();
    later.now_ns = later.reference_ts_ns = kNow + 100 * kSecond;
    const Verdict verdict = ask(gate, market_order(2, Side::kBuy, 1), later);
    CHECK(verdict.code == GateCode::kRepeatExecution);
    CHECK(verdict.value == 4);
    CHECK(verdict.limit == 3);
    gate.clear_account();
    CHECK(ask(gate, market_order(3, Side::kBuy, 2), later).code == GateCode::kRepeatExecution);
    gate.clear_instrument(0);
    CHECK(ask(gate, market_order(4, Side::kBuy, 3), later).code == GateCode::kNone);
    CHECK(gate.on_execution(0, 7, kNow + kSecond).code == GateCode::kNone);  // counts anew
}

TEST_CASE("R14: it counts when they traded, in whatever order that is told") {
    Limits row = limits();
    row.repeat_executions_max = 3;
    row.repeat_window_ns = kSecond;
    Gate gate = make_gate(row);
    for (const std::int64_t at : {9, 7, 5, 3, 1, 8, 6, 4, 2}) {  // a second apart
        CHECK(gate.on_execution(0, 7, kNow + at * kSecond).code == GateCode::kNone);
    }
    CHECK(gate.on_execution(0, 7, INT64_MIN).code == GateCode::kNone);  // farther than is counted
    CHECK(gate.on_execution(0, 7, kNow + 5 * kSecond + 1).code == GateCode::kNone);
    CHECK(gate.on_execution(0, 7, kNow + 5 * kSecond - 1).code == GateCode::kRepeatExecution);
}

TEST_CASE("R14: a window and a number that cannot be remembered are refused") {
    Gate gate;
    const Instrument instrument = btc();
    Limits row = limits();
    row.repeat_executions_max = 64;
    row.repeat_window_ns = kSecond;
    CHECK(gate.open({&instrument, 1}, {&row, 1}, account()).text ==
          "limits.BTC-PERP.repeat_executions_max must be 0 to 63 with a positive "
          "repeat_window_ns: 64, 1000000000");
    row.repeat_executions_max = 1;
    row.repeat_window_ns = 0;
    CHECK(!gate.open({&instrument, 1}, {&row, 1}, account()).is_ok());
}

TEST_CASE("R15: a loss is one when every one of the last prices says so") {
    Gate gate = loss_gate(1'000, 0);
    CHECK(gate.on_equity(0, -5'000).code == GateCode::kNone);  // stands alone
    CHECK(gate.on_equity(0, -900).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -1'001).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -1'500).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -1'000).code == GateCode::kNone);  // the limit itself
    CHECK(gate.on_equity(0, -1'001).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -1'002).code == GateCode::kNone);
    const Trip trip = gate.on_equity(0, -1'003);
    CHECK(trip.code == GateCode::kLoss);
    CHECK(trip.value == 1'001);  // of the best of them
    CHECK(trip.limit == 1'000);
    CHECK(trip.is_of_account);
    CHECK(gate.on_equity(0, 5'000).code == GateCode::kNone);
    NewOrder elsewhere = market_order(1, Side::kBuy, 1);
    elsewhere.instrument = 1;
    const Verdict verdict = ask(gate, elsewhere, context());
    CHECK(verdict.code == GateCode::kLoss);
    CHECK(verdict.value == 1'001);
    gate.clear_instrument(0);
    CHECK(ask(gate, market_order(2, Side::kBuy, 1), context()).code == GateCode::kLoss);
    gate.clear_account();
    CHECK(ask(gate, market_order(3, Side::kBuy, 1), context()).code == GateCode::kNone);
}

TEST_CASE("R15: a bad price of one instrument is not confirmed by the prices of another") {
    Gate gate = loss_gate(1'000, 0);
    CHECK(gate.on_equity(0, -5'000).code == GateCode::kNone);
    for (int i = 0; i < 10; ++i) CHECK(gate.on_equity(1, -400).code == GateCode::kNone);
    CHECK(gate.on_equity(0, 0).code == GateCode::kNone);
    for (int i = 0; i < 2; ++i) CHECK(gate.on_equity(0, -601).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -601).value == 1'001);  // 601 here and 400 there
}

TEST_CASE("R15: a peak is one when every one of the last prices says so, too") {
    Gate gate = loss_gate(0, 1'000);
    for (int i = 0; i < 3; ++i) CHECK(gate.on_equity(0, 500).code == GateCode::kNone);
    CHECK(gate.on_equity(0, 90'000).code == GateCode::kNone);  // stands alone: no peak
    for (int i = 0; i < 3; ++i) CHECK(gate.on_equity(0, -500).code == GateCode::kNone);
    for (int i = 0; i < 2; ++i) CHECK(gate.on_equity(0, -501).code == GateCode::kNone);
    const Trip trip = gate.on_equity(0, -501);
    CHECK(trip.value == 1'001);
    CHECK(trip.is_of_account);
    gate.clear_account();  // what was lost is accepted: the next 1,000 count
    for (int i = 0; i < 3; ++i) CHECK(gate.on_equity(0, -1'501).code == GateCode::kNone);
    for (int i = 0; i < 2; ++i) CHECK(gate.on_equity(0, -1'502).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -1'502).value == 1'001);
}

TEST_CASE("R15: an instrument has a loss of its own, and stops alone") {
    Gate gate = loss_gate(0, 0, 100, 2);
    CHECK(gate.watches_loss());
    CHECK(gate.on_equity(1, -101).code == GateCode::kNone);
    const Trip trip = gate.on_equity(1, -101);
    CHECK(trip.code == GateCode::kLoss);
    CHECK(!trip.is_of_account);
    CHECK(ask(gate, market_order(1, Side::kBuy, 1), context()).code == GateCode::kNone);
    NewOrder there = market_order(2, Side::kBuy, 1);
    there.instrument = 1;
    CHECK(ask(gate, there, context()).code == GateCode::kLoss);
    gate.clear_instrument(1);
    there.id.counter = 3;
    CHECK(ask(gate, there, context()).code == GateCode::kNone);
    CHECK(gate.on_equity(1, -201).code == GateCode::kNone);
    CHECK(gate.on_equity(1, -202).code == GateCode::kNone);  // 100 since then
    CHECK(gate.on_equity(1, -203).value == 101);
}

TEST_CASE("R15: who clears what did not trip has forgiven nothing") {
    Gate gate = loss_gate(1'000, 1'000, 100, 2);
    for (int i = 0; i < 3; ++i) CHECK(gate.on_equity(0, -99).code == GateCode::kNone);
    gate.clear_instrument(0);
    gate.clear_account();
    CHECK(gate.on_equity(0, -101).code == GateCode::kNone);
    CHECK(gate.on_equity(0, -101).value == 101);
    for (int i = 0; i < 2; ++i) CHECK(gate.on_equity(1, -99).code == GateCode::kNone);
    gate.clear_account();
    CHECK(gate.on_equity(0, -902).code == GateCode::kNone);
    const Trip trip = gate.on_equity(0, -902);
    CHECK(trip.is_of_account);
    CHECK(trip.value == 1'001);
}

TEST_CASE("R15: extremes saturate and one price is never enough") {
    Gate gate = loss_gate(1, 1, 1, 2);
    CHECK(gate.on_equity(0, INT64_MIN).code == GateCode::kNone);
    CHECK(gate.on_equity(1, INT64_MIN).code == GateCode::kNone);
    CHECK(gate.on_equity(0, INT64_MIN).value == INT64_MAX);
    Gate bad;
    const Instrument instrument = btc();
    const Limits row = limits();
    AccountLimits sums = account();
    sums.loss_micros_max = 1;
    GateSettings settings;
    settings.loss_confirmations = 1;
    CHECK(bad.open({&instrument, 1}, {&row, 1}, sums, settings).text ==
          "loss_confirmations must lie in [2, 16]: 1");
}

TEST_CASE("R16: an order does not meet our own, whichever way it would be filled") {
    GateContext c = context();
    c.own.ask_ticks = 40'010;
    c.own.bid_ticks = 39'990;
    const auto code = [&](const NewOrder& order) { return ask_once(order, c).code; };
    CHECK(code(limit_order(1, Side::kBuy, 1, 40'009)) == GateCode::kNone);
    CHECK(code(limit_order(1, Side::kBuy, 1, 40'010)) == GateCode::kSelfMatch);
    CHECK(code(limit_order(1, Side::kSell, 1, 39'991)) == GateCode::kNone);
    CHECK(code(limit_order(1, Side::kSell, 1, 39'990)) == GateCode::kSelfMatch);
    CHECK(code(market_order(1, Side::kBuy, 1)) == GateCode::kNone);
    c.own.ask_ticks = 40'000;
    const Verdict verdict = ask_once(market_order(1, Side::kBuy, 1), c);
    CHECK(verdict.code == GateCode::kSelfMatch);
    CHECK(verdict.value == 40'000);
    CHECK(verdict.limit == 40'000);
    CHECK(code(market_order(1, Side::kSell, 1)) == GateCode::kNone);
    NewOrder stop = limit_order(1, Side::kBuy, 1, 40'100);
    stop.type = OrderType::kStop;
    CHECK(code(stop) == GateCode::kNone);  // not in the book before its price is
}

TEST_CASE("R17: orders of a decision trade what it wants, and not a lot more") {
    GateContext c = context();
    c.parent = {-800, 300};
    c.own.sell_lots = 200;
    c.own.buy_lots = 999;  // of the other side
    CHECK(ask_once(market_order(1, Side::kSell, 300), c).code == GateCode::kNone);
    const Verdict over = ask_once(market_order(1, Side::kSell, 301), c);
    CHECK(over.code == GateCode::kParentExcess);
    CHECK(over.value == 801);
    CHECK(over.limit == 800);
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kParentExcess);
    Gate gate = make_gate();
    Verdict verdict;
    CHECK(!gate.check(market_order(1, Side::kBuy, 1), context(), verdict));  // of no decision
    CHECK(verdict.code == GateCode::kParentExcess);
}

TEST_CASE("R17: a leg is no larger than the position, beside what is open of its kind") {
    GateContext c = context();
    c.exposure.position_lots = 500;
    c.parent = {500, 500};
    c.own.stop_lots = 200;
    NewOrder stop = limit_order(1, Side::kSell, 300, 39'900);
    stop.type = OrderType::kStop;
    stop.reason = OrderReason::kStop;
    CHECK(ask_once(stop, c).code == GateCode::kNone);
    stop.quantity_lots = 301;
    CHECK((ask_once(stop, c).mask & bit(GateCode::kParentExcess)) != 0);
    NewOrder target = limit_order(1, Side::kSell, 500, 40'100);
    target.reason = OrderReason::kTarget;
    CHECK(ask_once(target, c).code == GateCode::kNone);
    target.side = Side::kBuy;  // would add to it
    CHECK((ask_once(target, c).mask & bit(GateCode::kParentExcess)) != 0);
    c.exposure.position_lots = 0;
    target.side = Side::kSell;
    CHECK((ask_once(target, c).mask & bit(GateCode::kParentExcess)) != 0);
}

TEST_CASE("R18: without room nothing new, and cancels go on") {
    Gate gate = make_gate();
    GateContext c = context();
    c.headroom = {90'000, 100'000, room_bit(Room::kDisk), {}};
    const Verdict verdict = ask(gate, market_order(1, Side::kBuy, 1), c);
    CHECK(verdict.code == GateCode::kBackpressure);
    CHECK(verdict.value == 90'000);
    CHECK(verdict.limit == 100'000);
    CHECK(gate.may_cancel(c.now_ns));
    c.headroom.under = 0;
    CHECK(ask(gate, market_order(2, Side::kBuy, 2), c).code == GateCode::kNone);
}

TEST_CASE("R20: what follows from an invalid output is refused, what protects is not") {
    GateContext c = context();
    c.is_policy_invalid = true;
    c.exposure.position_lots = 100;
    NewOrder order = market_order(1, Side::kSell, 100);
    for (const OrderReason reason : {OrderReason::kDecision, OrderReason::kEntry}) {
        order.reason = reason;
        CHECK(ask_once(order, c).code == GateCode::kPolicyInvalid);
    }
    for (const OrderReason reason :
         {OrderReason::kMaxHold, OrderReason::kSessionEnd, OrderReason::kStop, OrderReason::kTarget,
          OrderReason::kGiveBack}) {
        order.reason = reason;
        CHECK(ask_once(order, c).code == GateCode::kNone);
    }
    Gate gate = make_gate();
    CHECK(gate.on_policy_failures(0, 3, 2).code == GateCode::kPolicyInvalid);
    CHECK(gate.on_policy_failures(0, 3, 2).code == GateCode::kNone);  // told once
    order.reason = OrderReason::kMaxHold;
    c.is_policy_invalid = false;
    const Verdict verdict = ask(gate, order, c);
    CHECK(verdict.code == GateCode::kPolicyInvalid);
    CHECK(verdict.value == 3);
    gate.clear_instrument(0);
    order.id.counter = 2;
    CHECK(ask(gate, order, c).code == GateCode::kNone);
}

TEST_CASE("the first failure in the order of the codes decides, and the mask holds them all") {
    Limits row = limits();
    row.repeat_executions_max = 1;
    row.repeat_window_ns = kSecond;
    Gate gate = make_gate(row);
    (void)gate.on_execution(0, 0, kNow);
    (void)gate.on_execution(0, 0, kNow);
    GateContext c = context();
    c.own.ask_ticks = 1;
    c.parent = {1, 1};
    c.headroom.under = room_bit(Room::kJournalRing);
    c.is_policy_invalid = true;
    const Verdict verdict = ask(gate, market_order(1, Side::kBuy, 1), c);
    CHECK(verdict.code == GateCode::kRepeatExecution);
    CHECK(verdict.mask == (bit(GateCode::kRepeatExecution) | bit(GateCode::kSelfMatch) |
                           bit(GateCode::kParentExcess) | bit(GateCode::kBackpressure) |
                           bit(GateCode::kPolicyInvalid)));
}
