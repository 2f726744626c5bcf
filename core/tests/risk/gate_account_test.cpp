// Promise: what all instruments could become together stays within the account's limits by the
// last micro-unit, and what cannot be valued is over them.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <random>

#include "risk/gate_rig.hpp"

using namespace gm;
using namespace gm::test;

namespace {

// Two instruments, 100 micros a lot and tick, references of 40,000: 4,000,000 micros a lot.
struct TwoDesks {
    std::array<Instrument, 2> instruments{btc(), btc()};
    std::array<Limits, 2> rows{limits(), limits()};
    AccountLimits sums = account();
    Gate gate;

    void open() {
        for (Limits& row : rows) row.margin_micros_per_lot = 1'000'000;
        const Failure failure = gate.open(instruments, rows, sums);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    }
    Verdict buy(std::int64_t lots, const Exposure& exposure = {}) {
        GateContext c = context();
        c.exposure = exposure;
        return ask(gate, market_order(++counter, Side::kBuy, lots), c);
    }
    std::uint64_t counter = 0;
};

}  // namespace

TEST_CASE("R10: the other instruments' worst case counts beside the order's own") {
    TwoDesks desks;
    desks.sums.gross_micros_max = 1'000 * 4'000'000LL;
    desks.open();
    CHECK(desks.buy(1000).code == GateCode::kNone);
    CHECK(desks.buy(1001).mask == (bit(GateCode::kGross) | bit(GateCode::kPosition)));
    desks.gate.value(1, {-100, 50, 300}, {40'000, true});  // 400 lots short at worst
    CHECK(desks.buy(600).code == GateCode::kNone);
    const Verdict over = desks.buy(601);
    CHECK(over.code == GateCode::kGross);
    CHECK(over.value == 1'001 * 4'000'000LL);
    CHECK(over.limit == 1'000 * 4'000'000LL);
    desks.gate.value(1, {-100, 0, 0}, {40'000, true});  // the rest is dead
    CHECK(desks.buy(900).code == GateCode::kNone);
    desks.gate.value(1, {-100, 0, 0}, {80'000, true});  // the same lots are worth more
    CHECK(desks.buy(801).code == GateCode::kGross);
    CHECK(desks.buy(800).code == GateCode::kNone);
}

TEST_CASE("R10: the order's own instrument counts once, at its newest exposure") {
    TwoDesks desks;
    desks.sums.gross_micros_max = 500 * 4'000'000LL;
    desks.open();
    desks.gate.value(0, {300, 0, 0}, {40'000, true});
    CHECK(desks.buy(200, {300, 0, 0}).code == GateCode::kNone);
    CHECK(desks.buy(201, {300, 0, 0}).code == GateCode::kGross);
}

TEST_CASE("R10, R11: an order that reduces passes above the limit") {
    TwoDesks desks;
    desks.sums.gross_micros_max = desks.sums.credit_micros_max = 1;
    desks.open();
    GateContext c = context();
    c.exposure.position_lots = 500;
    CHECK(ask(desks.gate, market_order(1, Side::kSell, 500), c).code == GateCode::kNone);
    CHECK(ask(desks.gate, market_order(2, Side::kSell, 501), c).mask ==
          (bit(GateCode::kGross) | bit(GateCode::kCredit)));
}

TEST_CASE("R09 to R11: a stop beside its target passes above the limit, another order does not") {
    TwoDesks desks;
    desks.sums.gross_micros_max = desks.sums.credit_micros_max = 1;
    desks.open();
    GateContext c = context();
    c.exposure = {2'000, 0, 2'000};  // the target is open; the position's limit is 1,000
    c.own.target_lots = 2'000;
    NewOrder stop = market_order(1, Side::kSell, 2'000);
    stop.type = OrderType::kStop;
    stop.reason = OrderReason::kStop;
    stop.price_ticks = 39'900;
    CHECK(ask(desks.gate, stop, c).code == GateCode::kNone);
    c.exposure = {0, 0, 2'000};  // without the position both may trade: more than before
    stop.id.counter = 2;
    const std::uint32_t sums = bit(GateCode::kGross) | bit(GateCode::kCredit);
    CHECK((ask(desks.gate, stop, c).mask & (sums | bit(GateCode::kPosition))) ==
          (sums | bit(GateCode::kPosition)));
    c.exposure = {2'000, 0, 2'000};
    CHECK((ask(desks.gate, market_order(3, Side::kSell, 2'000), c).mask & sums) == sums);
}

TEST_CASE("R10: exposure without a reference is not worth nothing") {
    TwoDesks desks;
    desks.sums.gross_micros_max = INT64_MAX - 1;
    desks.open();
    desks.gate.value(1, {1, 0, 0}, {0, false});
    const Verdict unknown = desks.buy(1);
    CHECK(unknown.code == GateCode::kGross);
    CHECK(unknown.value == INT64_MAX);
    desks.gate.value(1, {1, 0, 0}, {40'000, true});
    CHECK(desks.buy(1).code == GateCode::kNone);
    desks.gate.value(1, {0, 0, 0}, {0, false});
    CHECK(desks.buy(1).code == GateCode::kNone);
}

TEST_CASE("R10, R11: what does not fit into 64 bits is over the limit") {
    TwoDesks desks;
    desks.sums.gross_micros_max = desks.sums.credit_micros_max = INT64_MAX - 1;
    desks.open();
    desks.gate.value(1, {INT64_MAX, 1, 0}, {INT64_MAX, true});
    CHECK(desks.buy(1).mask == (bit(GateCode::kGross) | bit(GateCode::kCredit)));
    desks.gate.value(1, {}, {40'000, true});  // and back: the sums kept what they were
    CHECK(desks.buy(1).code == GateCode::kNone);
}

TEST_CASE("R11: the margins of all instruments' worst cases against the credit") {
    TwoDesks desks;
    desks.sums.credit_micros_max = 700'000'000;
    desks.open();
    desks.gate.value(1, {0, 100, 0}, {0, false});  // a margin needs no reference
    CHECK(desks.buy(600).code == GateCode::kNone);
    const Verdict over = desks.buy(601);
    CHECK(over.code == GateCode::kCredit);
    CHECK(over.value == 701'000'000);
    CHECK(over.limit == 700'000'000);
}

TEST_CASE("an account limit wants margins, one currency and no minus sign") {
    TwoDesks desks;
    std::strcpy(desks.instruments[0].currency, "USD");
    std::strcpy(desks.instruments[1].currency, "USDT");
    desks.sums.gross_micros_max = 1;
    CHECK(desks.gate.open(desks.instruments, desks.rows, desks.sums).text ==
          "a limit of the account wants one currency: BTC-PERP has USD, BTC-PERP has USDT");
    std::strcpy(desks.instruments[1].currency, "USD");
    CHECK(desks.gate.open(desks.instruments, desks.rows, desks.sums).is_ok());
    desks.sums.credit_micros_max = 1;
    CHECK(desks.gate.open(desks.instruments, desks.rows, desks.sums).text ==
          "limits.BTC-PERP.margin_micros_per_lot must be positive: 0");
    desks.sums.credit_micros_max = -1;
    CHECK(desks.gate.open(desks.instruments, desks.rows, desks.sums).text ==
          "account.credit_micros_max must not be negative: -1");
}

TEST_CASE("property: the incremental sums are those of a whole walk") {
    std::mt19937_64 random(11);
    constexpr std::size_t kDesks = 20;
    const std::vector<Instrument> instruments(kDesks, btc());
    std::vector<Limits> rows(kDesks, limits());
    std::vector<Exposure> exposures(kDesks);
    std::vector<std::int64_t> references(kDesks);
    for (Limits& row : rows) {
        row.margin_micros_per_lot = 1 + static_cast<std::int64_t>(random() % 9);
        row.position_lots_max = row.order_quantity_lots_max = 1'000'000;
        row.orders_burst_max = row.orders_per_second_max = 1'000'000'000;
    }
    AccountLimits sums = account();
    sums.orders_burst_max = sums.orders_per_second_max = 1'000'000'000;
    sums.gross_micros_max = sums.credit_micros_max = 1;  // the verdict says what was counted
    Gate gate;
    REQUIRE(gate.open(instruments, rows, sums).is_ok());
    for (std::uint64_t i = 1; i < 2'000; ++i) {
        const std::size_t at = random() % kDesks;
        exposures[at] = {static_cast<std::int64_t>(random() % 200) - 100,
                         static_cast<std::int64_t>(random() % 50),
                         static_cast<std::int64_t>(random() % 50)};
        references[at] = static_cast<std::int64_t>(random() % 90'000) + 1;
        gate.value(at, exposures[at], {references[at], true});
        std::int64_t gross = 0;
        for (std::size_t k = 0; k < kDesks; ++k) {
            std::int64_t worst = 0;
            REQUIRE(worst_case_lots(exposures[k], worst));
            gross += worst * references[k] * 100;
        }
        GateContext c = context(references[0]);
        c.exposure = exposures[0];
        c.exposure.position_lots = 0;  // nothing that an order could reduce
        c.exposure.open_buy_lots = 200;
        Exposure after = c.exposure;
        std::int64_t own = 0;
        std::int64_t before = 0;
        REQUIRE(worst_case_lots(exposures[0], before));
        after.open_buy_lots += 1;
        REQUIRE(worst_case_lots(after, own));
        const Verdict verdict = ask(gate, market_order(i, Side::kBuy, 1), c);
        REQUIRE((verdict.mask & bit(GateCode::kGross)) != 0);
        if (verdict.code != GateCode::kGross) continue;
        CHECK(verdict.value == gross + (own - before) * references[0] * 100);
    }
}
