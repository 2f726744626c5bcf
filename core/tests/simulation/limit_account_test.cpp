// Promise: the judge's books know each limit by themselves: an order over one, a trip that is due
// and does not come, and a trip that is not due are each seen.
#include "gm/simulation/limit_account.hpp"

#include <doctest/doctest.h>

#include "engine/rig.hpp"

using namespace gm;

namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kHourNs = 3600 * kSecondNs;

struct Told {
    Settings settings = test::make_settings();
    std::int64_t now_ns = kHourNs;
    std::int64_t stamp_ns = 0;  // the venue's; 0: it says none
    std::uint64_t feed = 0;
    std::uint64_t reply = 0;
    std::uint64_t counter = 0;
    std::uint64_t sequence = 0;
    LimitAccount account{settings};

    std::string take(RecordType type, Source source, std::uint64_t number, const auto& payload) {
        Slot slot = make_slot(type, source, number, now_ns, payload);
        slot.trailer.journal_sequence = ++sequence;
        slot.header.source_ts_ns = stamp_ns;
        return account.take(slot);
    }
    std::string price(std::int64_t ticks) {
        BarClose bar{};
        bar.close_ticks = ticks;
        now_ns += kHourNs;
        return take(RecordType::kBarClose, Source::kVenueFeed, ++feed, bar);
    }
    std::string order(Side side, std::int64_t lots, std::int64_t price_ticks = 0) {
        NewOrder order{};
        order.id = {7, 1, ++counter};
        order.side = side;
        order.quantity_lots = lots;
        order.price_ticks = price_ticks;
        return take(RecordType::kIntent, Source::kEngine, 0, order);
    }
    // Of the newest order, all of it.
    std::string fill(Side side, std::int64_t lots, std::int64_t ticks) {
        Fill fill{};
        fill.id = {7, 1, counter};
        fill.execution_id = counter;
        fill.side = side;
        fill.quantity_lots = lots;
        fill.price_ticks = ticks;
        return take(RecordType::kFill, Source::kVenueOrders, ++reply, fill);
    }
    std::string trip(GateCode code, bool is_of_account = false) {
        RiskTrip trip{};
        trip.code = static_cast<std::uint8_t>(code);
        trip.instrument = is_of_account ? kWholeAccount : 0;
        return take(RecordType::kRiskTrip, Source::kEngine, 0, trip);
    }
    std::string cleared(KillLevel level) {
        KillState state{};
        state.level = level;
        state.cause = KillCause::kCleared;
        return take(RecordType::kKillState, Source::kEngine, 0, state);
    }
    std::string nothing() { return take(RecordType::kTimer, Source::kIo, 0, Timer{}); }
};

bool is_of(const std::string& wrong, const char* code) {
    return wrong.starts_with(code);
}

}  // namespace

TEST_CASE("an order is held against quantity, margin, rate, repetition and headroom") {
    Told told;
    Limits& limits = told.settings.limits[0];
    AccountLimits& account = told.settings.account;
    REQUIRE(told.price(40'000).empty());
    SUBCASE("R05") {
        limits.order_quantity_lots_max = 99;
        CHECK(is_of(told.order(Side::kBuy, 100), "R05"));
    }
    SUBCASE("R11, and what brings the position nearer to flat") {
        limits.margin_micros_per_lot = 10;
        account.credit_micros_max = 999;
        CHECK(told.order(Side::kBuy, 99).empty());
        REQUIRE(told.fill(Side::kBuy, 99, 40'000).empty());
        CHECK(told.order(Side::kSell, 99).empty());
        CHECK(is_of(told.order(Side::kBuy, 1), "R11"));
    }
    SUBCASE("R12") {
        limits.orders_per_second_max = 1;
        limits.orders_burst_max = 2;
        CHECK(told.order(Side::kBuy, 1, 1).empty());
        CHECK(told.order(Side::kBuy, 1, 2).empty());
        told.now_ns += kSecondNs - 1;
        CHECK(told.nothing().empty());
        CHECK(is_of(told.order(Side::kBuy, 1, 3), "R12"));
    }
    SUBCASE("R13") {
        limits.duplicates_max = 1;
        limits.duplicate_window_ns = kSecondNs;
        CHECK(told.order(Side::kBuy, 1).empty());
        CHECK(told.order(Side::kBuy, 2).empty());
        CHECK(is_of(told.order(Side::kBuy, 1), "R13"));
        told.now_ns += kSecondNs;
        CHECK(told.nothing().empty());
        CHECK(told.order(Side::kBuy, 1).empty());
    }
    SUBCASE("R18") {
        Headroom room{};
        room.under = 1;
        REQUIRE(told.take(RecordType::kHeadroom, Source::kIo, 0, room).empty());
        CHECK(is_of(told.order(Side::kBuy, 1), "R18"));
        REQUIRE(told.take(RecordType::kHeadroom, Source::kIo, 0, Headroom{}).empty());
        CHECK(told.order(Side::kBuy, 1).empty());
    }
}

TEST_CASE("R10 holds the gross value of the worst case against its limit") {
    Told told;
    told.settings.account.gross_micros_max = 100 * 40'000 * 100;  // micros a tick and lot: 100
    REQUIRE(told.price(40'000).empty());
    SUBCASE("worst-case lots at the price accepted last") {
        CHECK(told.order(Side::kBuy, 100).empty());
        CHECK(told.order(Side::kSell, 100).empty());  // either may trade alone
        CHECK(is_of(told.order(Side::kSell, 1), "R10"));
    }
    SUBCASE("a price that was refused is none") {
        REQUIRE(told.price(50'000).empty());
        REQUIRE(
            told.take(RecordType::kBarQuarantined, Source::kEngine, 0, BarQuarantined{}).empty());
        CHECK(told.order(Side::kBuy, 100).empty());
        REQUIRE(told.price(50'000).empty());
        CHECK(is_of(told.order(Side::kSell, 100), "R10"));
    }
    SUBCASE("what brings the position nearer to flat goes, however much it is worth by now") {
        REQUIRE(told.order(Side::kBuy, 100).empty());
        REQUIRE(told.fill(Side::kBuy, 100, 40'000).empty());
        REQUIRE(told.price(50'000).empty());
        CHECK(told.order(Side::kSell, 100).empty());
        CHECK(is_of(told.order(Side::kBuy, 1), "R10"));
    }
    SUBCASE("a price behind a gap is none") {
        ++told.feed;
        REQUIRE(told.price(50'000).empty());
        CHECK(told.order(Side::kBuy, 100).empty());
    }
}

TEST_CASE("R14 trips with one execution too many in the window, and then nothing is sent") {
    Told told;
    told.settings.limits[0].repeat_executions_max = 2;
    told.settings.limits[0].repeat_window_ns = kHourNs;
    const auto trade = [&] {
        (void)told.order(Side::kBuy, 1);
        return told.fill(Side::kBuy, 1, 40'000);
    };
    REQUIRE(trade().empty());
    CHECK(is_of(told.trip(GateCode::kRepeatExecution), "R14"));  // not yet
    REQUIRE(trade().empty());
    told.now_ns += kHourNs;  // those two are past
    REQUIRE(trade().empty());
    REQUIRE(trade().empty());
    REQUIRE(trade().empty());
    SUBCASE("it does") {
        CHECK(told.trip(GateCode::kRepeatExecution).empty());
        CHECK(told.nothing().empty());
        CHECK(is_of(told.order(Side::kBuy, 1), "R14"));
    }
    SUBCASE("it does not") {
        CHECK(is_of(told.nothing(), "R14"));
    }
}

TEST_CASE("R14 goes by the venue's stamp, in whatever order it is told") {
    Told told;
    told.settings.limits[0].repeat_executions_max = 1;
    told.settings.limits[0].repeat_window_ns = kHourNs;
    told.now_ns = 9 * kHourNs;
    const auto traded_at = [&](std::int64_t stamp_ns) {
        told.stamp_ns = stamp_ns;
        (void)told.order(Side::kBuy, 1);
        return told.fill(Side::kBuy, 1, 40'000);
    };
    REQUIRE(traded_at(8 * kHourNs).empty());
    REQUIRE(traded_at(6 * kHourNs).empty());  // held back, and no burst
    CHECK(told.nothing().empty());
    REQUIRE(traded_at(8 * kHourNs - 1).empty());
    CHECK(is_of(told.nothing(), "R14"));
}

TEST_CASE("R14: what is told twice, or behind a gap, is no execution") {
    Told told;
    told.settings.limits[0].repeat_executions_max = 1;
    told.settings.limits[0].repeat_window_ns = kHourNs;
    REQUIRE(told.order(Side::kBuy, 1).empty());
    REQUIRE(told.fill(Side::kBuy, 1, 40'000).empty());
    REQUIRE(told.fill(Side::kBuy, 1, 40'000).empty());
    CHECK(told.nothing().empty());
    REQUIRE(told.order(Side::kBuy, 1).empty());
    ++told.reply;
    REQUIRE(told.fill(Side::kBuy, 1, 40'000).empty());
    CHECK(told.nothing().empty());
}

TEST_CASE("R15 trips when as many prices as must confirm a loss have done so") {
    Told told;
    told.settings.header.loss_confirmations = 2;
    told.settings.limits[0].loss_micros_max = 999;
    REQUIRE(told.price(40'000).empty());
    (void)told.order(Side::kBuy, 1);
    REQUIRE(told.fill(Side::kBuy, 1, 40'000).empty());
    REQUIRE(told.price(39'990).empty());  // 1000 micros lost, once
    CHECK(told.nothing().empty());
    REQUIRE(told.price(39'990).empty());
    SUBCASE("it does") {
        CHECK(told.trip(GateCode::kLoss).empty());
        CHECK(told.nothing().empty());
        CHECK(is_of(told.order(Side::kSell, 1), "R15"));
    }
    SUBCASE("it does not") {
        CHECK(is_of(told.nothing(), "R15"));
    }
    SUBCASE("it names the account, which has no such limit") {
        CHECK(is_of(told.trip(GateCode::kLoss, true), "R15"));
    }
}

TEST_CASE("R15: a drawdown is held against the best that was confirmed") {
    Told told;
    told.settings.header.loss_confirmations = 2;
    told.settings.account.drawdown_micros_max = 999;
    REQUIRE(told.price(40'000).empty());
    REQUIRE(told.order(Side::kBuy, 1).empty());
    REQUIRE(told.fill(Side::kBuy, 1, 40'000).empty());
    for (const std::int64_t ticks : {40'010, 40'010, 40'500, 40'000, 40'000}) {
        CHECK(told.nothing().empty());  // 40'500 came once
        REQUIRE(told.price(ticks).empty());
    }
    CHECK(told.trip(GateCode::kLoss, true).empty());
    CHECK(told.nothing().empty());
}

TEST_CASE("R15: two people who clear a loss begin anew from there") {
    Told told;
    told.settings.header.loss_confirmations = 2;
    told.settings.limits[0].loss_micros_max = 999;
    REQUIRE(told.price(40'000).empty());
    REQUIRE(told.order(Side::kBuy, 1).empty());
    REQUIRE(told.fill(Side::kBuy, 1, 40'000).empty());
    REQUIRE(told.price(39'990).empty());
    REQUIRE(told.price(39'990).empty());
    REQUIRE(told.trip(GateCode::kLoss).empty());
    CHECK(told.cleared(KillLevel::kHalted).empty());
    CHECK(is_of(told.order(Side::kSell, 1), "R15"));
    CHECK(told.cleared(KillLevel::kReducing).empty());
    CHECK(told.order(Side::kSell, 1).empty());
    REQUIRE(told.price(39'981).empty());  // 900 micros more, of 999
    REQUIRE(told.price(39'981).empty());
    CHECK(told.nothing().empty());
    REQUIRE(told.price(39'980).empty());
    REQUIRE(told.price(39'980).empty());
    CHECK(told.trip(GateCode::kLoss).empty());
}

TEST_CASE("what a loss of power took is in the books no more") {
    Told told;
    told.settings.limits[0].margin_micros_per_lot = 10;
    told.settings.account.credit_micros_max = 1000;
    REQUIRE(told.price(40'000).empty());
    const std::uint64_t kept = told.sequence;
    REQUIRE(told.order(Side::kBuy, 100).empty());
    CHECK(is_of(told.order(Side::kBuy, 1), "R11"));
    told.account.forget_behind(kept);
    told.sequence = kept;
    CHECK(told.order(Side::kBuy, 100).empty());
}
