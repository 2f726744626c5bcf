// Promise: no order passes that any limit forbids, every failure is in the mask, and only the gate
// can make a token.
#include "gm/risk/gate.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <type_traits>

#include "risk/gate_rig.hpp"

using namespace gm;
using namespace gm::test;

static_assert(!std::is_default_constructible_v<RiskToken>);
static_assert(!std::is_constructible_v<RiskToken, NewOrder>);
static_assert(!std::is_copy_constructible_v<RiskToken>);

TEST_CASE("an order within every limit gets a token that holds this very order") {
    Gate gate = make_gate();
    Verdict verdict;
    const NewOrder order = market_order(1, Side::kBuy, 1000);
    GateContext c = context();
    c.parent.lots = 1000;
    const auto token = gate.check(order, c, verdict);
    REQUIRE(token.has_value());
    CHECK(std::memcmp(&token->message(), &order, sizeof order) == 0);
    CHECK(verdict.mask == 0);
}

TEST_CASE("R01: halted refuses all, reducing lets through only what nears flat") {
    GateContext c = context();
    c.level = KillLevel::kHalted;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kKilled);
    c.level = KillLevel::kReducing;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kKilled);
    c.exposure.position_lots = 500;
    CHECK(ask_once(market_order(1, Side::kSell, 500), c).code == GateCode::kNone);
    CHECK(ask_once(market_order(1, Side::kSell, 501), c).code == GateCode::kKilled);
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kKilled);
    c.exposure.open_sell_lots = 400;  // an order that may still trade leaves room for 100
    CHECK(ask_once(market_order(1, Side::kSell, 101), c).code == GateCode::kKilled);
    CHECK(ask_once(market_order(1, Side::kSell, 100), c).code == GateCode::kNone);
}

TEST_CASE("R02, R03: not ready, side, type, session and instrument are permissions") {
    GateContext c = context();
    c.is_ready = false;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kNotReady);
    c = context();
    c.is_in_session = false;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kNotPermitted);
    Limits sells_only = limits();
    sells_only.sides_allowed = 2;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), context(), sells_only).code ==
          GateCode::kNotPermitted);
    NewOrder elsewhere = market_order(1, Side::kBuy, 1);
    elsewhere.instrument = 1;
    CHECK(ask_once(elsewhere, context()).code == GateCode::kNotPermitted);
}

TEST_CASE("R04: quantity, grid, unknown enumerators and a price on a market order") {
    CHECK(ask_once(market_order(1, Side::kBuy, 0), context()).code == GateCode::kMalformed);
    CHECK(ask_once(market_order(1, Side::kBuy, -5), context()).code == GateCode::kMalformed);
    NewOrder order = market_order(1, Side::kBuy, 1);
    order.price_ticks = 40'000;
    CHECK(ask_once(order, context()).code == GateCode::kMalformed);
    order = market_order(1, static_cast<Side>(7), 1);
    CHECK((ask_once(order, context()).mask & bit(GateCode::kMalformed)) != 0);
    order = market_order(1, Side::kBuy, 1);
    order.type = static_cast<OrderType>(9);
    CHECK((ask_once(order, context()).mask & bit(GateCode::kMalformed)) != 0);
    order = market_order(0, Side::kBuy, 1);  // no client id
    CHECK((ask_once(order, context()).mask & bit(GateCode::kMalformed)) != 0);

    Gate gate;
    Instrument coarse = btc();
    coarse.order_tick_ticks = 100;
    const Limits l = limits();
    REQUIRE(gate.open({&coarse, 1}, {&l, 1}, account()).is_ok());
    order = market_order(1, Side::kBuy, 1);
    order.type = OrderType::kLimit;
    order.price_ticks = 40'050;
    CHECK(ask(gate, order, context()).code == GateCode::kMalformed);
}

TEST_CASE("R05, R06: a reversal of 2,000 lots passes at 44,118 and not at 44,119") {
    CHECK(ask_once(market_order(1, Side::kBuy, 2001), context()).code == GateCode::kMaxQuantity);
    GateContext c = context(44'118);
    c.exposure.position_lots = -1000;
    CHECK(ask_once(market_order(1, Side::kBuy, 2000), c).code == GateCode::kNone);
    c.reference_ticks = 44'119;  // 0.2 BTC at 45,001, the worst collar, is 9,000.20
    const Verdict verdict = ask_once(market_order(1, Side::kBuy, 2000), c);
    CHECK(verdict.code == GateCode::kMaxNotional);
    CHECK(verdict.limit == 9'000'000'000);
    CHECK(verdict.value == 200'000LL * (44'119 + 882));
}

TEST_CASE("R07: a limit price may stand on the edge of the collar and not beyond") {
    NewOrder order = market_order(1, Side::kBuy, 1);
    order.type = OrderType::kLimit;
    order.price_ticks = 40'800;
    CHECK(ask_once(order, context()).code == GateCode::kNone);
    order.price_ticks = 40'801;
    CHECK(ask_once(order, context()).code == GateCode::kCollar);
    order.price_ticks = 39'199;
    CHECK(ask_once(order, context()).code == GateCode::kCollar);
}

TEST_CASE("R08: no reference, an old one or a gap refuses") {
    GateContext c = context();
    c.has_reference = false;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kStaleReference);
    c = context();
    c.reference_ts_ns = kNow - 60 * kSecond;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kNone);
    c.reference_ts_ns -= 1;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kStaleReference);
    c = context();
    c.is_gapped = true;
    CHECK(ask_once(market_order(1, Side::kBuy, 1), c).code == GateCode::kStaleReference);
}

TEST_CASE("R09: the worst case counts open orders; a reducing order passes above the limit") {
    GateContext c = context();
    c.exposure.position_lots = 600;
    c.exposure.open_buy_lots = 300;
    CHECK(ask_once(market_order(1, Side::kBuy, 100), c).code == GateCode::kNone);
    CHECK(ask_once(market_order(1, Side::kBuy, 101), c).code == GateCode::kPosition);
    c.exposure = {1500, 0, 0};  // above the limit already, say after the limit was lowered
    CHECK(ask_once(market_order(1, Side::kSell, 1500), c).code == GateCode::kNone);
    CHECK(ask_once(market_order(1, Side::kSell, 1501), c).code == GateCode::kPosition);
}

TEST_CASE("R12: a refused order consumes a token all the same") {
    Limits l = limits();
    l.orders_burst_max = 3;
    l.orders_per_second_max = 1;
    Gate gate = make_gate(l);
    GateContext c = context();
    c.is_ready = false;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        CHECK((ask(gate, market_order(i, Side::kBuy, 1), c).mask & bit(GateCode::kRate)) == 0);
    }
    c.is_ready = true;
    CHECK(ask(gate, market_order(4, Side::kBuy, 2), c).code == GateCode::kRate);
    c.now_ns += kSecond;
    c.reference_ts_ns = c.now_ns;
    CHECK(ask(gate, market_order(5, Side::kBuy, 3), c).code == GateCode::kNone);
}

TEST_CASE("R13: the fourth equal order in the window and a client id used again") {
    Gate gate = make_gate();
    for (std::uint64_t i = 1; i <= 3; ++i) {
        CHECK(ask(gate, market_order(i, Side::kBuy, 1), context()).code == GateCode::kNone);
    }
    CHECK(ask(gate, market_order(4, Side::kBuy, 1), context()).code == GateCode::kDuplicate);
    CHECK(ask(gate, market_order(5, Side::kSell, 1), context()).code == GateCode::kNone);
    CHECK(ask(gate, market_order(5, Side::kSell, 2), context()).code == GateCode::kDuplicate);
    GateContext later = context();
    later.now_ns += kSecond;
    CHECK(ask(gate, market_order(6, Side::kBuy, 1), later).code == GateCode::kNone);
}

TEST_CASE("the first failure decides and the mask holds all of them") {
    GateContext c = context();
    c.is_ready = false;
    c.is_gapped = true;
    const Verdict verdict = ask_once(market_order(1, Side::kBuy, 5000), c);
    CHECK(verdict.code == GateCode::kNotReady);
    CHECK(verdict.mask ==
          (bit(GateCode::kNotReady) | bit(GateCode::kMaxQuantity) | bit(GateCode::kMaxNotional) |
           bit(GateCode::kStaleReference) | bit(GateCode::kPosition)));
}

TEST_CASE("a missing or zero limit is refused by name at open") {
    Gate gate;
    const Instrument instrument = btc();
    Limits l = limits();
    l.position_lots_max = 0;
    const Failure failure = gate.open({&instrument, 1}, {&l, 1}, account());
    CHECK(failure.status == Status::kBadLimits);
    CHECK(failure.text == "limits.BTC-PERP.position_lots_max must be positive: 0");
    CHECK(!gate.open({&instrument, 1}, {}, account()).is_ok());
}

TEST_CASE("property: whatever passes leaves the worst case within the limit or nearer to flat") {
    std::mt19937_64 random(7);
    const std::int64_t extremes[] = {0, 1, -1, 999, 1000, 1001, INT64_MAX, INT64_MIN};
    auto draw = [&](std::int64_t span) {
        return random() % 8 == 0
                   ? extremes[random() % std::size(extremes)]
                   : static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(2 * span)) -
                         span;
    };
    int passed = 0;
    Limits l = limits();
    l.orders_burst_max = l.orders_per_second_max = 1'000'000'000;
    l.duplicates_max = 64;
    Gate gate = make_gate(l);
    for (std::uint64_t i = 1; i <= 20'000; ++i) {
        GateContext c = context(draw(100'000));
        c.now_ns += static_cast<std::int64_t>(i) * kSecond;
        c.reference_ts_ns = c.now_ns;
        c.exposure.position_lots = draw(1500);
        c.exposure.open_buy_lots = std::max<std::int64_t>(draw(1000), 0);
        c.exposure.open_sell_lots = std::max<std::int64_t>(draw(1000), 0);
        const Side side = random() % 2 ? Side::kBuy : Side::kSell;
        const NewOrder order = market_order(i, side, draw(3000));
        if (ask(gate, order, c).code != GateCode::kNone) continue;
        ++passed;
        Exposure after = c.exposure;
        std::int64_t worst = 0;
        REQUIRE(reserve(after, side, order.quantity_lots));
        REQUIRE(worst_case_lots(after, worst));
        CHECK((worst <= l.position_lots_max || is_reducing(c.exposure, side, order.quantity_lots)));
    }
    CHECK(passed > 100);
}

TEST_CASE("a token bucket never holds more than its burst and survives extreme times") {
    TokenBucket bucket;
    bucket.open(3, 2);
    CHECK(bucket.take(0));
    CHECK(bucket.take(0));
    CHECK(!bucket.take(0));
    CHECK(!bucket.take(333'333'333));
    CHECK(bucket.take(333'333'334));
    CHECK(!bucket.take(333'333'334));
    CHECK(!bucket.take(-5));  // time that runs backward refills nothing
    CHECK(bucket.take(INT64_MAX));
    CHECK(bucket.tokens() == 1);
}
