// Promise: each reason of SPEC §1 refuses what it names and nothing else, a jump is believed at
// the third row that agrees, and five refusals in a row cost 48 clean bars.
#include "gm/market/quarantine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "market/edge_walk.hpp"
#include "market/fixtures.hpp"
#include "market/slow_bar_check.hpp"

using namespace gm;
using namespace gm::test;
using Reason = QuarantineReason;

namespace {

BarCheck fresh() {
    BarCheck check;
    check.open(instrument(), 48);
    return check;
}
// After one good bar at 10,000 that began at kMonday.
BarCheck warm() {
    BarCheck check = fresh();
    REQUIRE(check.judge_close(flat(kMonday, 30)) == Reason::kNone);
    return check;
}
std::int64_t at(std::int64_t bars) {
    return kMonday + bars * 30 * kMinuteNs;
}

}  // namespace

TEST_CASE("every reason has a name of its own") {
    std::set<std::string> names;
    for (std::uint32_t i = 0; i < kQuarantineReasons; ++i) {
        names.insert(name_of(static_cast<Reason>(i)));
    }
    CHECK(names.size() == kQuarantineReasons);
    CHECK(std::string(name_of(Reason::kOffGrid)) == "off_grid");
    CHECK(std::string(name_of(static_cast<Reason>(99))) == "unknown");
}

TEST_CASE("a single row is refused for what is wrong in it") {
    const auto judge = [](const BarClose& row) {
        BarCheck check = warm();
        return check.judge_close(row);
    };
    CHECK(judge(bar(at(1), 30, 10'000, 10'010, 9'990, 10'005)) == Reason::kNone);
    CHECK(judge(bar(at(1), 30, 10'000, 10'010, -1, 10'005)) == Reason::kBelowFloor);
    CHECK(judge(bar(at(1), 30, 10'000, 10'010, 0, 10'005)) == Reason::kBelowFloor);
    CHECK(judge(bar(at(1), 30, 10'000, 10'010, 9'990, 10'005, -1)) == Reason::kNegativeVolume);
    CHECK(judge(bar(at(1), 30, 10'000, 9'999, 9'990, 9'995)) == Reason::kContradiction);
    CHECK(judge(bar(at(1), 30, 10'000, 10'010, 10'001, 10'005)) == Reason::kContradiction);
    CHECK(judge(bar(at(1), 30, 10'000, 10'001, 9'990, 10'005)) == Reason::kContradiction);
    CHECK(judge(bar(at(1), 30, 10'000, 9'000, 11'000, 10'000)) == Reason::kContradiction);
    CHECK(judge(flat(at(1), 30, INT64_MAX)) == Reason::kOverflow);
    CHECK(judge(bar(at(1), 30, 10'000, 10'000, 10'000, 10'000, INT64_MAX)) == Reason::kOverflow);
    CHECK(judge(flat(INT64_MAX, 30)) == Reason::kOverflow);
    CHECK(judge(flat(INT64_MIN, 30)) == Reason::kOverflow);
    CHECK(judge(flat(at(1), 0)) == Reason::kMalformed);
    CHECK(judge(flat(at(1), 30 * 24 * 60)) == Reason::kMalformed);
    CHECK(judge(flat(at(0), 30)) == Reason::kDuplicateTime);
    CHECK(judge(flat(at(-1), 30)) == Reason::kBackwardTime);
    CHECK(judge(flat(at(1), 30, 12'000)) == Reason::kNone);  // 20 % to the tick
    CHECK(judge(flat(at(1), 30, 12'001)) == Reason::kJumpBand);
    CHECK(judge(flat(at(1), 30, 7'999)) == Reason::kJumpBand);
    CHECK(judge(bar(at(1), 30, 10'000, 12'001, 10'000, 10'000)) == Reason::kJumpBand);
}

TEST_CASE("one lot at the highest price let in still fits in an int64 of micro-units") {
    Instrument row = instrument();
    row.tick_value_micros = 5'000'000;
    BarCheck check;
    check.open(row, 48);
    const std::int64_t most = INT64_MAX / 5'000'000;
    CHECK(check.judge_close(flat(at(0), 30, most + 1)) == Reason::kOverflow);
    CHECK(check.judge_close(flat(at(0), 30, most)) == Reason::kNone);
}

TEST_CASE("near zero the band is a number of ticks, and a negative price above the floor is good") {
    Instrument row = instrument();
    row.price_floor_ticks = -10'000;
    BarCheck check;
    check.open(row, 48);
    CHECK(check.judge_close(flat(at(0), 30, 60)) == Reason::kNone);
    CHECK(check.judge_close(flat(at(1), 30, -40)) == Reason::kNone);
    CHECK(check.judge_close(flat(at(2), 30, -141)) == Reason::kJumpBand);
    CHECK(check.judge_close(flat(at(3), 30, -140)) == Reason::kNone);
    CHECK(check.judge_close(flat(at(4), 30, -10'000)) == Reason::kBelowFloor);
}

TEST_CASE("the third of three rows that agree is believed, the first two stay refused") {
    BarCheck check = warm();
    CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
    CHECK(check.judge_close(flat(at(2), 30, 20'500)) == Reason::kJumpBand);
    CHECK(check.judge_close(flat(at(3), 30, 20'250)) == Reason::kNone);
    CHECK(check.reference_ticks() == 20'250);
    CHECK(check.judge_close(flat(at(4), 30, 10'000)) == Reason::kJumpBand);
}

TEST_CASE("rows that do not agree, or do not follow each other, never move the reference") {
    SUBCASE("whipsaw") {
        BarCheck check = warm();
        for (std::int64_t i = 1; i < 50; ++i) {
            CHECK(check.judge_close(flat(at(i), 30, i % 2 == 0 ? 20'000 : 40'000)) ==
                  Reason::kJumpBand);
        }
    }
    SUBCASE("a good row between them starts the count again") {
        BarCheck check = warm();
        for (std::int64_t i = 1; i < 30; i += 3) {
            CHECK(check.judge_close(flat(at(i), 30, 20'000)) == Reason::kJumpBand);
            CHECK(check.judge_close(flat(at(i + 1), 30, 20'000)) == Reason::kJumpBand);
            CHECK(check.judge_close(flat(at(i + 2), 30, 10'000)) == Reason::kNone);
        }
    }
    SUBCASE("a row refused for something else starts the count again") {
        BarCheck check = warm();
        CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(flat(at(2), 30, 20'000)) == Reason::kJumpBand);
        check.count_refused_row(Reason::kOffGrid);
        CHECK(check.judge_close(flat(at(4), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(flat(at(5), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(flat(at(6), 30, 20'000)) == Reason::kNone);
    }
    SUBCASE("a contradictory row between them starts the count again") {
        BarCheck check = warm();
        CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(flat(at(2), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(bar(at(3), 30, 20'000, 1, 1, 1)) == Reason::kContradiction);
        CHECK(check.judge_close(flat(at(4), 30, 20'000)) == Reason::kJumpBand);
    }
    SUBCASE("each of the three must agree with each other, seen from either side") {
        const auto last_of = [](std::int64_t first, std::int64_t second, std::int64_t third) {
            BarCheck check = warm();
            CHECK(check.judge_close(flat(at(1), 30, first)) == Reason::kJumpBand);
            CHECK(check.judge_close(flat(at(2), 30, second)) == Reason::kJumpBand);
            return check.judge_close(flat(at(3), 30, third));
        };
        CHECK(last_of(20'000, 23'000, 23'500) == Reason::kNone);
        CHECK(last_of(20'000, 23'000, 26'000) == Reason::kJumpBand);
        CHECK(last_of(23'000, 20'000, 26'500) == Reason::kJumpBand);
        CHECK(last_of(20'000, 24'500, 24'500) == Reason::kJumpBand);  // 20 % of the larger
        CHECK(last_of(24'500, 20'000, 20'000) == Reason::kJumpBand);
    }
    SUBCASE("copies of one row are one observation") {
        BarCheck check = warm();
        for (int i = 0; i < 10; ++i) {
            CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
        }
    }
    SUBCASE("all prices of the rows must agree, not only the closes") {
        BarCheck check = warm();
        CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(flat(at(2), 30, 20'000)) == Reason::kJumpBand);
        CHECK(check.judge_close(bar(at(3), 30, 20'000, 30'000, 20'000, 20'000)) ==
              Reason::kJumpBand);
    }
}

TEST_CASE("a stamp more than five minutes ahead of the clock is refused") {
    BarCheck check = fresh();
    const std::int64_t end = kMonday + 30 * kMinuteNs;
    CHECK(check.judge_close(flat(kMonday, 30), end - 5 * kMinuteNs - 1) == Reason::kFuture);
    CHECK(check.judge_open(opening(kMonday, 30), kMonday - 5 * kMinuteNs - 1) == Reason::kFuture);
    CHECK(check.judge_trade(trade(10'000), kMonday, kMonday - 5 * kMinuteNs - 1) ==
          Reason::kFuture);
    CHECK(check.judge_close(flat(kMonday, 30), end - 5 * kMinuteNs) == Reason::kNone);
    CHECK(check.judge_close(flat(at(1), 30), kNoClock) == Reason::kNone);
}

TEST_CASE("an OPEN is judged against the close before it and does not become the reference") {
    BarCheck check = warm();
    CHECK(check.judge_open(opening(at(1), 30, 12'001)) == Reason::kJumpBand);
    CHECK(check.judge_open(opening(at(1), 30, -1)) == Reason::kBelowFloor);
    CHECK(check.judge_open(opening(at(0), 30)) == Reason::kDuplicateTime);
    CHECK(check.judge_open(opening(at(-1), 30)) == Reason::kBackwardTime);
    CHECK(check.judge_open(opening(at(1), 0)) == Reason::kMalformed);
    CHECK(check.judge_open(opening(at(1), 30, 8'000)) == Reason::kNone);
    CHECK(check.reference_ticks() == 10'000);
    CHECK(check.judge_open(opening(at(1), 30, 8'000)) == Reason::kDuplicateTime);
    // 12,000 is more than 20 % above the OPEN, and within the band of the close before.
    CHECK(check.judge_close(bar(at(1), 30, 8'000, 12'000, 8'000, 12'000)) == Reason::kNone);
    CHECK(check.reference_ticks() == 12'000);
}

TEST_CASE("the OPEN of the third row that agrees is let in") {
    BarCheck check = warm();
    CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
    CHECK(check.judge_open(opening(at(2), 30, 20'000)) == Reason::kJumpBand);
    CHECK(check.judge_close(flat(at(2), 30, 20'000)) == Reason::kJumpBand);
    CHECK(check.judge_open(opening(at(3), 30, 30'000)) == Reason::kJumpBand);
    CHECK(check.judge_open(opening(at(3), 30, 20'000)) == Reason::kNone);
    CHECK(check.judge_close(flat(at(3), 30, 20'000)) == Reason::kNone);
}

TEST_CASE("an OPEN needs both rows before it, and rows that are still the last two") {
    BarCheck check = warm();
    CHECK(check.judge_close(flat(at(1), 30, 20'000)) == Reason::kJumpBand);
    CHECK(check.judge_close(flat(at(2), 30, 23'000)) == Reason::kJumpBand);
    CHECK(check.judge_open(opening(at(3), 30, 26'000)) == Reason::kJumpBand);
    CHECK(check.judge_open(opening(at(3), 30, 17'000)) == Reason::kJumpBand);
    CHECK(check.judge_close(flat(at(3), 30, 10'000)) == Reason::kNone);
    CHECK(check.judge_open(opening(at(4), 30, 21'500)) == Reason::kJumpBand);
}

TEST_CASE("a CLOSE behind the OPEN of a later bar came too late") {
    BarCheck check = warm();
    REQUIRE(check.judge_open(opening(at(2), 30)) == Reason::kNone);
    CHECK(check.judge_close(flat(at(1), 30)) == Reason::kBackwardTime);
    CHECK(check.judge_close(flat(at(2), 30)) == Reason::kNone);
}

TEST_CASE("who sees rows and who sees OPEN and CLOSE of the good ones refuse the same rows") {
    std::mt19937_64 random(19);
    BarCheck venue = fresh();
    BarCheck engine = fresh();
    std::int64_t start = kMonday;
    std::int64_t level = 10'000;
    std::size_t refused = 0;
    for (int i = 0; i < 50'000; ++i) {
        const auto near = [&](std::int64_t by) {
            return level + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(by)) -
                   by / 2;
        };
        start +=
            (static_cast<std::int64_t>(random() % 10) - (random() % 20 == 0 ? 9 : 0)) * kMinuteNs;
        if (random() % 30 == 0) level = 5'000 + static_cast<std::int64_t>(random() % 20'000);
        const std::int64_t spread = random() % 4 == 0 ? level / 2 : 200;
        BarClose row = bar(start, 5, near(spread), 0, 0, near(spread));
        row.high_ticks = std::max(row.open_ticks, row.close_ticks) + 5;
        row.low_ticks = std::min(row.open_ticks, row.close_ticks) - 5;
        if (random() % 40 == 0) row.volume_lots = -1;
        if (random() % 40 == 0) {
            venue.count_refused_row(Reason::kOffGrid);
            engine.count_refused_row(Reason::kOffGrid);
            continue;
        }
        const Reason reason = venue.judge_close(row);
        refused += reason != Reason::kNone;
        if (reason == Reason::kNone) {
            REQUIRE(engine.judge_open(opening(start, 5, row.open_ticks)) == Reason::kNone);
        }
        REQUIRE(engine.judge_close(row) == reason);
        REQUIRE(engine.is_clean() == venue.is_clean());
    }
    CHECK(refused > 10'000);
    CHECK(refused < 45'000);
    CHECK(engine.counts() == venue.counts());
}

TEST_CASE("trades of one instant are in order, an earlier one is not") {
    BarCheck check = fresh();
    CHECK(check.judge_trade(trade(10'000), 1'000) == Reason::kNone);
    CHECK(check.judge_trade(trade(10'001), 1'000) == Reason::kNone);
    CHECK(check.judge_trade(trade(10'001), 999) == Reason::kBackwardTime);
    CHECK(check.judge_trade(trade(10'001, -1), 1'001) == Reason::kNegativeVolume);
    CHECK(check.judge_trade(trade(20'000), 1'001) == Reason::kJumpBand);
    CHECK(check.judge_trade(trade(20'000), 1'001) == Reason::kJumpBand);
    CHECK(check.judge_trade(trade(20'000), 1'001) == Reason::kNone);
}

TEST_CASE("the fifth refusal in a row closes the door for 48 clean bars") {
    BarCheck check = warm();
    for (std::int64_t i = 1; i <= 4; ++i) {
        (void)check.judge_close(flat(at(i), 30, -1));
        CHECK(check.is_clean());
    }
    CHECK(check.judge_close(flat(at(5), 30)) == Reason::kNone);  // the run is broken
    for (std::int64_t i = 6; i <= 9; ++i) check.count_refused_row(Reason::kOffGrid);
    CHECK(check.is_clean());
    (void)check.judge_close(flat(at(10), 30, -1));
    CHECK_FALSE(check.is_clean());
    for (std::int64_t i = 0; i < 47; ++i) {
        CHECK(check.judge_close(flat(at(11 + 2 * i), 30)) == Reason::kNone);
        CHECK_FALSE(check.is_clean());
        (void)check.judge_close(flat(at(12 + 2 * i), 30, -1));  // one alone costs nothing more
    }
    CHECK(check.judge_close(flat(at(200), 30)) == Reason::kNone);
    CHECK(check.is_clean());
    CHECK(check.counts()[static_cast<std::size_t>(Reason::kNone)] == 50);
    CHECK(check.counts()[static_cast<std::size_t>(Reason::kOffGrid)] == 4);
    CHECK(check.counts()[static_cast<std::size_t>(Reason::kBelowFloor)] == 52);
}

TEST_CASE("a reason from the wire that is none, or that nobody knows, is counted as malformed") {
    BarCheck check = fresh();
    check.count_refused_row(static_cast<Reason>(4'000'000'000));
    check.count_refused_row(Reason::kNone);
    CHECK(check.counts()[static_cast<std::size_t>(Reason::kMalformed)] == 2);
    CHECK(check.counts()[static_cast<std::size_t>(Reason::kNone)] == 0);
}

TEST_CASE("a bar that ends behind the end of time is of the future for every clock") {
    BarCheck check = fresh();
    const BarClose bar = flat(kTimeMax - 1, 7 * 24 * 60);
    CHECK(check.judge_close(bar, 1 - kTimeMax) == Reason::kFuture);
    CHECK(check.judge_close(bar, at(0)) == Reason::kFuture);
}

namespace {

// Judges stamps given in hours; returns a letter a row: '.' believed, 'F' refused.
std::string judged(const std::vector<std::int64_t>& hours) {
    std::vector<std::int64_t> stamps;
    for (const std::int64_t hour : hours) {
        stamps.push_back(hour == kNoTime ? kNoTime : kMonday + hour * kHourNs);
    }
    std::vector<Reason> reasons(stamps.size(), Reason::kNone);
    check_file_stamps(stamps, reasons);
    std::string text;
    for (const Reason reason : reasons) text += reason == Reason::kNone ? '.' : 'F';
    return text;
}
constexpr std::int64_t kFar = 75 * 365 * 24;

}  // namespace

TEST_CASE("a stamp later than both of the next two is refused") {
    CHECK(judged({0, 1, 2, 3}) == "....");
    CHECK(judged({0, 9, 2, 3}) == ".F..");
    CHECK(judged({9, 1, 2, 3}) == "F...");
    CHECK(judged({0, 2, 1, 3}) == "....");  // later than one of them: that one came too late
    CHECK(judged({0, 1, 9, 2}) == "....");  // at the end nobody can tell
    CHECK(judged({0, kNoTime, 9, kNoTime, 1, kNoTime, 2}) == "..F....");
}

TEST_CASE("a jump of more than ten days is refused and does not poison what follows") {
    CHECK(judged({0, 1, kFar, 2, 3}) == "..F..");
    CHECK(judged({0, 1, kFar, kFar + 1, 2, 3}) == "..FF..");
    CHECK(judged({0, 1, kFar, kFar, kFar, 2, 3}) == "..FFF..");
    CHECK(judged({0, 240, 241, 242}) == "....");
    CHECK(judged({0, 241, 242, 243}) == ".F..");  // a hole in the file costs one row
    CHECK(judged({0, 1, kFar}) == "..F");
    CHECK(judged({500, 490, 241, 242, 240, 250}) == "FF....");
}

TEST_CASE("a stamp from the past does not make the row after it a jump") {
    CHECK(judged({300, 301, 0, 302, 303}) == ".....");  // 0 is backward: BarCheck refuses it
}

TEST_CASE("the first trade behind bars needs a time like any other") {
    for (const std::int64_t ts : {INT64_MIN, -kTimeMax, kTimeMax}) {
        BarCheck check = warm();
        CHECK(check.judge_trade(trade(10'000), ts) == Reason::kOverflow);
        CHECK(check.judge_trade(trade(10'000), 1 - kTimeMax) == Reason::kNone);
    }
}

TEST_CASE("the band goes with the price of the last trade, however short its step was") {
    const auto last_of = [](std::int64_t first, std::int64_t second, std::int64_t third) {
        BarCheck check = fresh();
        CHECK(check.judge_trade(trade(first), 1) == Reason::kNone);
        CHECK(check.judge_trade(trade(second), 2) == Reason::kNone);
        CHECK(check.reference_ticks() == second);
        return check.judge_trade(trade(third), 3);
    };
    CHECK(last_of(10'000, 9'500, 11'400) == Reason::kNone);  // 20 % of 9,500
    CHECK(last_of(10'000, 9'500, 11'401) == Reason::kJumpBand);
    CHECK(last_of(10'000, 10'500, 8'400) == Reason::kNone);
    CHECK(last_of(10'000, 10'500, 8'399) == Reason::kJumpBand);
    CHECK(last_of(100, 76, 176) == Reason::kNone);  // 100 ticks are more than 20 %
    CHECK(last_of(100, 76, 177) == Reason::kJumpBand);
    CHECK(last_of(20, 1, 0) == Reason::kBelowFloor);
}

namespace {

// One event of any kind to both: whether they answer alike.
bool answer_alike(BarCheck& check, SlowBarCheck& slow, EdgeWalk& walk) {
    const std::int64_t reference = slow.reference_ticks();
    const std::int64_t kind = walk.below(100);
    if (kind < 65) {
        const Trade event = trade(walk.price(reference), walk.lots());
        const std::int64_t ts = walk.stamp();
        const std::int64_t clock = walk.clock();
        return check.judge_trade(event, ts, clock) == slow.judge_trade(event, ts, clock);
    }
    if (kind < 75) {
        const BarClose event = walk.close(reference);
        const std::int64_t clock = walk.clock();
        return check.judge_close(event, clock) == slow.judge_close(event, clock);
    }
    if (kind < 79) {
        const BarOpen event = opening(walk.stamp(), 5, walk.price(reference));
        const std::int64_t clock = walk.clock();
        return check.judge_open(event, clock) == slow.judge_open(event, clock);
    }
    if (kind < 88) {
        const std::int64_t bid = walk.price(reference);
        Quote event = quote(bid, walk.below(3) == 0 ? bid + walk.below(3) : walk.price(reference));
        if (walk.below(2) == 0) event.bid_lots = walk.lots();
        if (walk.below(2) == 0) event.ask_lots = walk.lots();
        return check.judge_top(event) == slow.judge_top(event);
    }
    if (kind < 94) {
        const auto side = static_cast<Side>(walk.below(20) == 0 ? 2 : walk.below(2));
        const BookLevel event = book_level(side, walk.price(reference), walk.lots());
        return check.judge_level(event) == slow.judge_level(event);
    }
    if (kind < 99) {
        const std::int64_t after = walk.below(4) == 0 ? kNoTime : walk.stamp();
        const std::int64_t ts = walk.stamp();
        const std::int64_t clock = walk.clock();
        return check.judge_book_time(ts, after, clock) == slow.judge_book_time(ts, after, clock);
    }
    check.count_refused_row(Reason::kOffGrid);
    slow.count_refused_row(Reason::kOffGrid);
    return true;
}

}  // namespace

TEST_CASE("events on every edge are judged as the slow rules judge them, for every band") {
    struct Place {
        std::int64_t band_ticks_min, floor, home, tick_value_micros;
    };
    const std::vector<Place> places = {
        {100, 0, 10'000, 10'000},
        {1, 0, 100'000, 10'000},
        {0, 0, 7, 10'000},
        {100, 0, 60, 10'000},  // the floor lies within the band
        {5, -10'000, 20, 10'000},
        {100, -10'000, -9'950, 10'000},
        {2, -1'000'000, 900'000, 10'000'000'000'000},  // so does the highest price, 922,337
        {2, -1'000'000, -900'000, 10'000'000'000'000},
        {1, 0, BarCheck::kUnitsMax - 1'000, 1},
    };
    std::array<std::uint64_t, kQuarantineReasons> total{};
    std::uint64_t seed = 0;
    for (const std::int64_t band_ppm : {0, 1, 100'000, 2'000'000, 3'000'000}) {
        std::uint64_t believed = 0;
        for (const Place& place : places) {
            Instrument row = instrument();
            row.band_ppm = band_ppm;
            row.band_ticks_min = place.band_ticks_min;
            row.price_floor_ticks = place.floor;
            row.tick_value_micros = place.tick_value_micros;
            BarCheck check;
            check.open(row, 3);
            SlowBarCheck slow(row, 3);
            EdgeWalk walk(row, place.home, ++seed);
            for (int i = 0; i < 20'000; ++i) {
                CAPTURE(seed);
                CAPTURE(i);
                REQUIRE(answer_alike(check, slow, walk));
                REQUIRE(check.counts() == slow.counts());
                REQUIRE(check.reference_ticks() == slow.reference_ticks());
                REQUIRE(check.is_clean() == slow.is_clean());
            }
            REQUIRE(check.has_reference() == slow.has_reference());
            believed += slow.believed_jumps();
            for (std::size_t at = 0; at < total.size(); ++at) total[at] += slow.counts()[at];
        }
        CHECK(believed > 1'000);
    }
    for (const Reason reason :
         {Reason::kNone, Reason::kBelowFloor, Reason::kNegativeVolume, Reason::kContradiction,
          Reason::kOverflow, Reason::kBackwardTime, Reason::kDuplicateTime, Reason::kFuture,
          Reason::kJumpBand, Reason::kCrossedBook, Reason::kLockedBook, Reason::kMalformed}) {
        CAPTURE(name_of(reason));
        CHECK(total[static_cast<std::size_t>(reason)] > 1'000);
    }
}
