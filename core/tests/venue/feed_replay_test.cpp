// Promise: a replay gives the bars that a trader on the feed has seen, whatever the size of a page.
#include "gm/venue/feed_replay.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "gm/market/market.hpp"
#include "venue/driver.hpp"

namespace {

using namespace gm;
using venue_test::kBarNs;
using venue_test::kStartNs;

FeedReplay everything() {
    FeedReplay request{};
    request.after_ts_ns = INT64_MIN;
    request.before_ts_ns = INT64_MAX;
    request.minutes_max = 1'000'000;
    return request;
}

// All pages of a request, each of `size` bars at most.
std::vector<BarClose> replay_of(const Venue& venue, FeedReplay request, std::size_t size = 512,
                                std::uint64_t last_sequence = UINT64_MAX) {
    std::vector<BarClose> bars;
    std::vector<BarClose> page(size);
    for (int pages = 0; pages < 10'000; ++pages) {
        const ReplayPage found = read_replay(venue, request, last_sequence, page);
        bars.insert(bars.end(), page.begin(),
                    page.begin() + static_cast<std::ptrdiff_t>(found.bars));
        if (found.cursor == 0) return bars;
        CHECK(found.bars == size);
        request.cursor = found.cursor;
    }
    FAIL("the pages do not end");
    return bars;
}

bool are_equal(const std::vector<BarClose>& left, const std::vector<BarClose>& right) {
    return left.size() == right.size() &&
           (left.empty() ||
            std::memcmp(left.data(), right.data(), left.size() * sizeof(BarClose)) == 0);
}

void play(Venue& venue, std::uint64_t events) {
    Slot slot{};
    while (venue.last_feed_sequence() < events && venue.next_feed(slot)) {
    }
}

std::vector<TapeRow> bars_of(std::int64_t count) {
    std::vector<TapeRow> rows;
    for (std::int64_t i = 0; i < count; ++i) {
        rows.push_back(venue_test::bar(i, 1000 + i, 1010 + i, 990 + i, 1001 + i));
    }
    return rows;
}

}  // namespace

TEST_CASE("five bars by hand") {
    const auto tape = bars_of(10);
    Venue venue;
    REQUIRE(venue.open(venue_test::settings(), venue_test::instrument(), tape).is_ok());
    CHECK(replay_of(venue, everything()).empty());
    play(venue, 11);  // five bars, and the OPEN of the sixth
    const auto bars = replay_of(venue, everything());
    REQUIRE(bars.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(bars[i].start_ts_ns == kStartNs + static_cast<std::int64_t>(i) * kBarNs);
        CHECK(bars[i].close_ticks == 1001 + static_cast<std::int64_t>(i));
    }
    FeedReplay request = everything();
    request.after_ts_ns = kStartNs + kBarNs;
    CHECK(replay_of(venue, request).size() == 4);
    request.before_ts_ns = kStartNs + 3 * kBarNs;
    CHECK(replay_of(venue, request).size() == 2);
    request.minutes_max = 3;  // the last three: of minutes 2, 3 and 4
    CHECK(replay_of(venue, request).size() == 1);
    request.minutes_max = 0;
    CHECK(replay_of(venue, request).empty());
    CHECK(replay_of(venue, everything(), 512, 4).size() == 2);  // two OPENs, two CLOSEs
}

TEST_CASE("pages of any size hold the same bars") {
    const auto tape = bars_of(1500);
    Venue venue;
    REQUIRE(venue.open(venue_test::settings(), venue_test::instrument(), tape).is_ok());
    play(venue, UINT64_MAX);
    const auto whole = replay_of(venue, everything(), 2000);
    CHECK(whole.size() == 1500);
    for (const std::size_t size : {1U, 2U, 7U, 512U, 1499U, 1500U}) {
        CHECK(are_equal(replay_of(venue, everything(), size), whole));
    }
}

TEST_CASE("refused bars are given as they were published, refused lines are not bars") {
    std::vector<TapeRow> tape = bars_of(3);
    tape.push_back(venue_test::bar(3, 100'000, 100'001, 99'999, 100'000));  // beyond the band
    tape.push_back(venue_test::refusal(7));
    tape.push_back(venue_test::bar(4, 1000, 1010, 990, 1001));
    Venue venue;
    REQUIRE(venue.open(venue_test::settings(), venue_test::instrument(), tape).is_ok());
    play(venue, UINT64_MAX);
    const auto bars = replay_of(venue, everything());
    REQUIRE(bars.size() == 5);
    CHECK(bars[3].open_ticks == 100'000);
}

TEST_CASE("trades come as the bars of five minutes that they made") {
    std::mt19937_64 random(20260105);
    for (int round = 0; round < 20; ++round) {
        std::vector<TapeRow> tape;
        std::int64_t ts_ns = kStartNs + 17'000'000'000;
        std::int64_t price = 10'000;
        for (int i = 0; i < 3000; ++i) {
            ts_ns += static_cast<std::int64_t>(random() % 25'000'000'000);
            price += static_cast<std::int64_t>(random() % 21) - 10;
            const auto kind = random() % 40;
            tape.push_back(kind == 0   ? venue_test::trade(ts_ns, price * 100)  // beyond the band
                           : kind == 1 ? venue_test::trade(ts_ns - 900'000'000'000, price)
                                       : venue_test::trade(ts_ns, price));
        }
        Venue venue;
        REQUIRE(venue.open(venue_test::settings(), venue_test::instrument(), tape).is_ok());

        // What a trader on the feed makes of it.
        const std::vector<SessionInterval> always{{0, std::int64_t{1} << 62, 0}};
        const std::vector<OffsetChange> utc{{0, 0}};
        Market market;
        REQUIRE(market.open(venue_test::instrument(), always, utc, 48).is_ok());
        std::vector<ClosedBar> seen;
        Slot slot{};
        const std::uint64_t events = 1 + random() % 3000;
        while (venue.last_feed_sequence() < events && venue.next_feed(slot)) {
            (void)market.on_trade(slot.as<Trade>(), slot.header.source_ts_ns);
            ClosedBar bar{};
            while (market.next_closed(bar)) {
                if (bar.minutes == 5 && (bar.flags & kBarSynthetic) == 0) seen.push_back(bar);
            }
        }
        FeedReplay request = everything();
        request.before_ts_ns = venue.now_ns();
        const auto bars = replay_of(venue, request, 1 + random() % 9);
        // The trader closes a bucket with an event behind it; its end may have been reached before.
        REQUIRE(bars.size() >= seen.size());
        REQUIRE(bars.size() <= seen.size() + 1);
        for (std::size_t i = 0; i < seen.size(); ++i) {
            CHECK(bars[i].start_ts_ns == seen[i].start_ts_ns);
            CHECK(bars[i].duration_s == 300);
            CHECK(bars[i].open_ticks == seen[i].open_ticks);
            CHECK(bars[i].high_ticks == seen[i].high_ticks);
            CHECK(bars[i].low_ticks == seen[i].low_ticks);
            CHECK(bars[i].close_ticks == seen[i].close_ticks);
            CHECK(bars[i].volume_lots == seen[i].volume_lots);
        }
        // The newest hour: twelve buckets at most, and the newest of all that there are.
        request.minutes_max = 60;
        const auto newest = replay_of(venue, request, 5);
        REQUIRE(newest.size() <= 12);
        CHECK(newest.size() >= std::min<std::size_t>(bars.size(), 11));
        const auto shared = static_cast<std::ptrdiff_t>(newest.size());
        CHECK(are_equal(newest, {bars.end() - shared, bars.end()}));
    }
}

TEST_CASE("a request that makes no sense gets no bar") {
    const auto tape = bars_of(10);
    Venue venue;
    REQUIRE(venue.open(venue_test::settings(), venue_test::instrument(), tape).is_ok());
    play(venue, UINT64_MAX);
    std::mt19937_64 random(3);
    std::array<BarClose, 4> page{};
    for (int i = 0; i < 2000; ++i) {
        FeedReplay request{};
        auto* bytes = reinterpret_cast<std::uint8_t*>(&request);
        for (std::size_t k = 0; k < sizeof request; ++k) {
            bytes[k] = static_cast<std::uint8_t>(random());
        }
        if (i % 3 == 0) request.cursor = random() % 30;
        const ReplayPage found = read_replay(venue, request, random(), page);
        CHECK(found.bars <= page.size());
        CHECK(found.cursor <= venue.last_feed_sequence());
    }
    FeedReplay beyond = everything();
    beyond.cursor = UINT64_MAX;
    CHECK(read_replay(venue, beyond, UINT64_MAX, page).bars == 0);
}
