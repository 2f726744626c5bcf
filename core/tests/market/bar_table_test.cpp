// Promise: a table of bars is judged and aggregated exactly as the engine's market would do with
// the same bars on its feed.
#include "gm/market/bar_table.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "gm/market/market.hpp"
#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;
using Reason = QuarantineReason;

namespace {

Calendar open_calendar(const std::vector<SessionInterval>& sessions) {
    Calendar calendar;
    REQUIRE(calendar.open(sessions, utc()).is_ok());
    return calendar;
}
BarRow row(std::int64_t start, std::int64_t price, std::uint32_t flags = 0) {
    return {start, price, price, price, price, 1, flags, 0};
}

}  // namespace

TEST_CASE("reasons of the reader are kept, those of the engine added, sessions flagged") {
    const Calendar calendar = open_calendar(days_until_17());
    const std::int64_t step = 30 * kMinuteNs;
    std::vector<BarRow> bars = {row(kMonday, 100), row(kMonday + step, 0), row(kMonday, 100),
                                row(kMonday + 2 * step, 9'000), row(kMonday + 17 * kHourNs, 101)};
    std::vector<Reason> reasons(bars.size(), Reason::kNone);
    reasons[1] = Reason::kOffGrid;
    REQUIRE(check_bars(bars, reasons, instrument(), calendar, 1'800).is_ok());
    CHECK(reasons == std::vector<Reason>{Reason::kNone, Reason::kOffGrid, Reason::kDuplicateTime,
                                         Reason::kJumpBand, Reason::kNone});
    CHECK(bars[0].flags == 0);
    CHECK(bars[4].flags == kBarOutOfSession);
    reasons.pop_back();
    CHECK(check_bars(bars, reasons, instrument(), calendar, 1'800).status == Status::kBadArgument);
}

TEST_CASE("the table's bars are the market's bars") {
    std::mt19937_64 random(5);
    const Calendar calendar = open_calendar(days_until_17());
    Market market;
    REQUIRE(market.open(instrument(), days_until_17(), utc(), 48).is_ok());
    std::vector<BarRow> bars;
    std::vector<Reason> judged;
    std::vector<ClosedBar> five;
    std::vector<ClosedBar> thirty;
    for (std::int64_t minute = 0; minute < 3 * 1440; ++minute) {
        if (random() % 6 == 0) minute += static_cast<std::int64_t>(random() % 40);
        std::int64_t price = 10'000 + static_cast<std::int64_t>(random() % 300);
        if (random() % 20 == 0) price = 90'000;
        const BarClose close = flat(kMonday + minute * kMinuteNs, 1, price);
        bars.push_back({close.start_ts_ns, price, price, price, price, close.volume_lots, 0, 0});
        judged.push_back(market.on_close(close));
        ClosedBar bar{};
        while (market.next_closed(bar)) (bar.minutes == 5 ? five : thirty).push_back(bar);
    }
    std::vector<Reason> reasons(bars.size(), Reason::kNone);
    REQUIRE(check_bars(bars, reasons, instrument(), calendar, 60).is_ok());
    CHECK(reasons == judged);
    std::vector<BarRow> good;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        if (reasons[i] == Reason::kNone) good.push_back(bars[i]);
    }
    CHECK(good.size() < bars.size());
    for (const auto* expected : {&five, &thirty}) {
        std::vector<BarRow> out;
        REQUIRE(aggregate_bars(good, calendar, kMinuteNs, expected->front().minutes, out).is_ok());
        REQUIRE(out.size() == expected->size());
        for (std::size_t i = 0; i < out.size(); ++i) {
            REQUIRE(out[i].start_ts_ns == (*expected)[i].start_ts_ns);
            REQUIRE(out[i].close_ticks == (*expected)[i].close_ticks);
            REQUIRE(out[i].volume_lots == (*expected)[i].volume_lots);
            REQUIRE(out[i].flags == (*expected)[i].flags);
        }
    }
}

TEST_CASE("synthetic rows of an earlier aggregation are made anew, not taken for real") {
    const Calendar calendar = open_calendar(always());
    const std::int64_t five = 5 * kMinuteNs;
    std::vector<BarRow> bars;
    for (std::int64_t i = 0; i < 18; ++i) {
        const bool is_missing = i >= 6 && i < 12;
        bars.push_back(row(kMonday + i * five, 100 + i, is_missing ? kBarSynthetic : 0));
    }
    std::vector<BarRow> out;
    REQUIRE(aggregate_bars(bars, calendar, five, 30, out).is_ok());
    REQUIRE(out.size() == 3);
    CHECK(out[1].flags == kBarSynthetic);
    CHECK(out[1].close_ticks == 105);
    CHECK(out[2].open_ticks == 112);
}

TEST_CASE("a row behind the bell closes what the session left open") {
    const Calendar calendar = open_calendar(days_until_17());
    const std::vector<BarRow> bars = {row(kMonday + 16 * kHourNs + 40 * kMinuteNs, 7),
                                      row(kMonday + 18 * kHourNs, 8)};
    std::vector<BarRow> out;
    REQUIRE(aggregate_bars(bars, calendar, kMinuteNs, 30, out).is_ok());
    REQUIRE(out.size() == 1);
    CHECK(out[0].close_ticks == 7);
}

TEST_CASE("trades are judged and joined as the market does, several in one instant") {
    const Calendar calendar = open_calendar(days_until_17());
    std::mt19937_64 random(3);
    std::vector<BarRow> trades;
    std::int64_t ts = kMonday;
    for (int i = 0; i < 4'000; ++i) {
        ts += static_cast<std::int64_t>(random() % 4) * kMinuteNs / 2;
        const auto price = static_cast<std::int64_t>(10'000 + random() % 400);
        trades.push_back(row(random() % 50 == 0 ? ts - 1 : ts, random() % 90 == 0 ? 1 : price));
    }
    std::vector<Reason> reasons(trades.size(), Reason::kNone);
    REQUIRE(check_bars(trades, reasons, instrument(), calendar, 0).is_ok());
    Market market;
    REQUIRE(market.open(instrument(), days_until_17(), utc(), 48).is_ok());
    std::vector<BarRow> good;
    std::vector<BarRow> expected;
    for (std::size_t i = 0; i < trades.size(); ++i) {
        REQUIRE(market.on_trade(trade(trades[i].close_ticks), trades[i].start_ts_ns) == reasons[i]);
        if (reasons[i] == Reason::kNone) good.push_back(trades[i]);
        ClosedBar bar{};
        while (market.next_closed(bar)) {
            if (bar.minutes != 5) continue;
            expected.push_back({bar.start_ts_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks,
                                bar.close_ticks, bar.volume_lots, bar.flags, 0});
        }
    }
    CHECK(good.size() < trades.size());
    std::vector<BarRow> out;
    REQUIRE(aggregate_bars(good, calendar, 0, 5, out).is_ok());
    REQUIRE(out.size() == expected.size());
    REQUIRE(out.size() > 400);
    for (std::size_t i = 0; i < out.size(); ++i) {
        CHECK(std::memcmp(&out[i], &expected[i], sizeof out[i]) == 0);
    }
}

TEST_CASE("bars that do not ascend or do not fit are refused with their row") {
    const Calendar calendar = open_calendar(always());
    std::vector<BarRow> out;
    const std::vector<BarRow> twice = {row(kMonday, 1), row(kMonday, 1)};
    const std::vector<BarRow> far = {row(INT64_MAX, 1)};
    CHECK(aggregate_bars(twice, calendar, kMinuteNs, 30, out).text.find("row 1") !=
          std::string::npos);
    CHECK(aggregate_bars(far, calendar, kMinuteNs, 30, out).status == Status::kBadArgument);
    CHECK(aggregate_bars({}, calendar, 60 * kMinuteNs, 30, out).status == Status::kBadArgument);
    CHECK(aggregate_bars({}, calendar, -1, 30, out).status == Status::kBadArgument);
    CHECK(aggregate_bars({}, calendar, kMinuteNs, 7, out).status == Status::kBadArgument);
    CHECK(aggregate_bars({}, calendar, kMinuteNs, 30, out).is_ok());
}
