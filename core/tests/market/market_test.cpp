// Promise: one instrument's feed, checked and in sessions, gives closed bars, a price reference and
// the permission to enter, as SPEC §1 says; a refused record changes nothing but counters.
#include "gm/market/market.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;
using Reason = QuarantineReason;

namespace {

constexpr std::int64_t kMin = kMinuteNs;

Market open_market(const std::vector<SessionInterval>& sessions) {
    Market market;
    REQUIRE(market.open(instrument(), sessions, utc(), 48).is_ok());
    return market;
}

std::string drain(Market& market) {
    std::string text;
    ClosedBar bar{};
    while (market.next_closed(bar)) {
        if (!text.empty()) text += ' ';
        text +=
            std::to_string(bar.minutes) + '@' + std::to_string((bar.start_ts_ns - kMonday) / kMin);
        if ((bar.flags & kBarSynthetic) != 0) text += 's';
    }
    return text;
}

}  // namespace

TEST_CASE("an OPEN moves price and time, closes late buckets and enters none") {
    Market market = open_market(always());
    CHECK(market.last_good_ts_ns() == kNoTime);
    for (std::int64_t minute = 0; minute < 4; ++minute) {  // the fifth minute is missing
        REQUIRE(market.on_close(flat(kMonday + minute * kMin, 1)) == Reason::kNone);
        CHECK(drain(market).empty());
    }
    REQUIRE(market.on_open(opening(kMonday + 5 * kMin, 1, 10'100)) == Reason::kNone);
    CHECK(market.last_good_price_ticks() == 10'100);
    CHECK(market.last_good_ts_ns() == kMonday + 5 * kMin);
    CHECK(drain(market) == "5@0");
    // The OPEN of 10,100 is in no bar: the close says 10,000 throughout.
    for (std::int64_t minute = 5; minute < 10; ++minute) {
        REQUIRE(market.on_close(flat(kMonday + minute * kMin, 1)) == Reason::kNone);
    }
    ClosedBar bar{};
    REQUIRE(market.next_closed(bar));
    CHECK(bar.high_ticks == 10'000);
    CHECK(bar.volume_lots == 50);
    CHECK(market.last_good_ts_ns() == kMonday + 10 * kMin);
}

TEST_CASE("a refused bar counts as missing and moves nothing") {
    Market market = open_market(always());
    REQUIRE(market.on_close(flat(kMonday, 30)) == Reason::kNone);
    CHECK(drain(market) == "30@0");
    CHECK(market.on_close(flat(kMonday + 30 * kMin, 30, 50'000)) == Reason::kJumpBand);
    CHECK(drain(market).empty());
    CHECK(market.last_good_price_ticks() == 10'000);
    CHECK(market.last_good_ts_ns() == kMonday + 30 * kMin);
    REQUIRE(market.on_open(opening(kMonday + 60 * kMin, 30)) == Reason::kNone);
    CHECK(drain(market) == "30@30s");
    REQUIRE(market.on_close(flat(kMonday + 60 * kMin, 30)) == Reason::kNone);
    CHECK(drain(market) == "30@60");
    CHECK(market.counts()[static_cast<std::size_t>(Reason::kJumpBand)] == 1);
}

TEST_CASE("outside sessions a good bar updates the price, enters no bar and permits no entry") {
    Market market = open_market(days_until_17());
    REQUIRE(market.on_close(flat(kMonday + 16 * kHourNs, 30)) == Reason::kNone);
    CHECK(market.entries_allowed());
    CHECK(market.last_flags() == 0);
    CHECK(drain(market) == "30@960");
    REQUIRE(market.on_close(flat(kMonday + 17 * kHourNs, 30, 10'050)) == Reason::kNone);
    CHECK(drain(market).empty());
    CHECK(market.last_flags() == kBarOutOfSession);
    CHECK(market.last_good_price_ticks() == 10'050);
    CHECK_FALSE(market.entries_allowed());
    CHECK_FALSE(market.in_session(kMonday + 17 * kHourNs));
    REQUIRE(market.on_open(opening(kMonday + kDayNs, 30)) == Reason::kNone);
    CHECK(market.entries_allowed());
    CHECK(drain(market) == "30@990s");
}

TEST_CASE("a bar that ends with the session permits an entry: it fills at the next opening") {
    Market market = open_market(days_until_17());
    REQUIRE(market.on_close(flat(kMonday + 16 * kHourNs + 30 * kMin, 30)) == Reason::kNone);
    CHECK(drain(market) == "30@990");
    CHECK(market.entries_allowed());
    CHECK(market.next_deadline_ns() == INT64_MAX);
}

TEST_CASE("the session clock closes what is open a moment after the bell") {
    Market market = open_market(days_until_17());
    const std::int64_t bell = kMonday + 17 * kHourNs;
    REQUIRE(market.on_close(flat(bell - 3 * kMin, 1)) == Reason::kNone);
    CHECK(drain(market).empty());
    const std::int64_t deadline = market.next_deadline_ns();
    CHECK(deadline == bell + Market::kSessionEndGraceNs);
    market.on_time(bell);
    CHECK(drain(market).empty());
    market.on_time(deadline);
    CHECK(drain(market) == "30@990 5@1015");
    CHECK(market.next_deadline_ns() == INT64_MAX);
    // The last minute came after all: nothing opens again.
    REQUIRE(market.on_close(flat(bell - kMin, 1)) == Reason::kNone);
    CHECK(drain(market).empty());
    CHECK(market.unplaced_events() == 1);
}

TEST_CASE("an event outside the session closes what the session left open") {
    Market market = open_market(days_until_17());
    REQUIRE(market.on_close(flat(kMonday + 17 * kHourNs - 3 * kMin, 1)) == Reason::kNone);
    REQUIRE(market.on_close(flat(kMonday + 18 * kHourNs, 1)) == Reason::kNone);
    CHECK(drain(market) == "30@990 5@1015");
}

TEST_CASE("engine time may differ from exchange time by any lag") {
    Market market = open_market(days_until_17());
    const std::int64_t lag = 700 * kDayNs;
    const std::int64_t start = kMonday + 16 * kHourNs;
    CHECK(market.on_close(flat(start, 1), start + kMin - kHourNs) == Reason::kFuture);
    REQUIRE(market.on_close(flat(start, 1), start + kMin + lag) == Reason::kNone);
    CHECK(market.last_good_ts_ns() == start + kMin + lag);
    CHECK(market.next_deadline_ns() == kMonday + 17 * kHourNs + Market::kSessionEndGraceNs + lag);
    REQUIRE(market.on_close(flat(start + kMin, 1), INT64_MAX) == Reason::kNone);
    CHECK(market.next_deadline_ns() > 0);
}

TEST_CASE("trades make bars of both sizes and clean five-minute bars") {
    Market market = open_market(always());
    for (int i = 0; i < 5; ++i) market.on_reader_refusal(Reason::kMalformed);
    CHECK(market.is_quarantined());
    std::int64_t ts = kMonday;
    for (int i = 0; i < 48; ++i) {
        REQUIRE(market.on_trade(trade(10'000 + i, 2), ts) == Reason::kNone);
        (void)drain(market);
        CHECK_FALSE(market.entries_allowed());
        ts += 5 * kMin;
    }
    REQUIRE(market.on_trade(trade(10'000, 2), ts) == Reason::kNone);
    CHECK(drain(market) == "30@210 5@235");
    CHECK(market.entries_allowed());
}

TEST_CASE("a synthetic bar is no clean bar") {
    Market market = open_market(always());
    REQUIRE(market.on_trade(trade(10'000), kMonday) == Reason::kNone);
    for (int i = 0; i < 5; ++i) market.on_reader_refusal(Reason::kMalformed);
    REQUIRE(market.on_trade(trade(10'000), kMonday + 60 * 5 * kMin) == Reason::kNone);
    (void)drain(market);
    CHECK(market.is_quarantined());
}

TEST_CASE("a stale market permits no entry until a real bar") {
    Market market = open_market(always());
    REQUIRE(market.on_close(flat(kMonday, 30)) == Reason::kNone);
    (void)drain(market);
    REQUIRE(market.on_open(opening(kMonday + 5 * 30 * kMin, 30)) == Reason::kNone);
    CHECK(drain(market) == "30@30s 30@60s 30@90s 30@120s");
    CHECK(market.is_stale());
    CHECK_FALSE(market.entries_allowed());
    REQUIRE(market.on_close(flat(kMonday + 5 * 30 * kMin, 30)) == Reason::kNone);
    CHECK(drain(market) == "30@150");
    CHECK(market.entries_allowed());
}

TEST_CASE("the last but one bar is the one before the bar that ends the session") {
    const Market market = open_market(days_until_17());
    const auto is_last_but_one = [&](std::int64_t hour, std::int64_t minute, std::int64_t size) {
        return market.is_last_but_one_bar_of_session(kMonday + hour * kHourNs + minute * kMin,
                                                     size * kMin);
    };
    CHECK(is_last_but_one(16, 0, 30));
    CHECK_FALSE(is_last_but_one(16, 30, 30));
    CHECK_FALSE(is_last_but_one(15, 30, 30));
    CHECK_FALSE(is_last_but_one(17, 0, 30));
    CHECK(is_last_but_one(16, 58, 1));
    std::vector<SessionInterval> early = {{kMonday, kMonday + 13 * kHourNs + 15 * kMin, 0}};
    const Market half_day = open_market(early);
    CHECK(half_day.is_last_but_one_bar_of_session(kMonday + 12 * kHourNs + 30 * kMin, 30 * kMin));
    const Market endless = open_market(always());
    CHECK_FALSE(endless.is_last_but_one_bar_of_session(kMonday, 30 * kMin));
}

TEST_CASE("an instrument or a calendar that cannot be is refused with key and value") {
    Market market;
    const auto open = [&](const Instrument& row) { return market.open(row, always(), utc(), 48); };
    Instrument row = instrument();
    row.tick_value_micros = 0;
    CHECK(open(row).text == "TEST: tick_value_micros must be positive: 0");
    row = instrument();
    row.band_ppm = -1;
    CHECK(open(row).status == Status::kBadInstrument);
    CHECK(market.open(instrument(), {}, utc(), 48).status == Status::kBadCalendar);
    std::memset(row.symbol, 'X', sizeof row.symbol);
    CHECK(open(row).text.find("XXXXXXXXXXXXXXXX: ") == 0);
}

TEST_CASE("no sequence of hostile records crashes, hangs or makes a contradictory bar") {
    std::mt19937_64 random(11);
    constexpr std::int64_t kExtremes[] = {
        0,        -1,        INT64_MAX, INT64_MIN, kMonday, INT64_MAX / 2, INT64_MIN / 2,
        kTimeMax, -kTimeMax, 10'000};
    const auto value = [&](std::int64_t usual) {
        return random() % 8 == 0 ? kExtremes[random() % 10] : usual;
    };
    Market market = open_market(days_until_17());
    std::int64_t now = kMonday;
    for (int i = 0; i < 200'000; ++i) {
        now += static_cast<std::int64_t>(random() % 3) * kMin;
        const std::int64_t price = 10'000 + static_cast<std::int64_t>(random() % 50);
        const std::int64_t clock = random() % 4 == 0 ? value(now) : kNoClock;
        switch (random() % 5) {
            case 0: (void)market.on_open(opening(value(now), 1, value(price)), clock); break;
            case 1: {
                BarClose row = bar(value(now), 1, value(price), value(price + 50),
                                   value(price - 50), value(price), value(5));
                if (random() % 50 == 0) row.duration_s = static_cast<std::uint32_t>(random());
                (void)market.on_close(row, clock);
                break;
            }
            case 2: (void)market.on_trade(trade(value(price), value(3)), value(now), clock); break;
            case 3: market.on_reader_refusal(static_cast<Reason>(random() % 40)); break;
            default: market.on_time(value(now)); break;
        }
        ClosedBar closed{};
        while (market.next_closed(closed)) {
            REQUIRE(closed.low_ticks <= closed.high_ticks);
            REQUIRE(closed.low_ticks >= 0);
            REQUIRE(closed.volume_lots >= 0);
        }
    }
}
