// Promise: events become 5- and 30-minute bars as SPEC §1 says, in order of time, with synthetic
// bars where a session has holes and nowhere else; equal to a slow model that sees all at once.
#include "gm/market/bar_builder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;

namespace {

constexpr std::int64_t kMin = kMinuteNs;

Calendar open_calendar(const std::vector<SessionInterval>& sessions) {
    Calendar calendar;
    REQUIRE(calendar.open(sessions, utc()).is_ok());
    return calendar;
}

BarPart part(std::int64_t start, std::int64_t minutes, std::int64_t price = 100,
             std::int64_t volume = 1) {
    return {start, start + minutes * kMin, price, price + 1, price - 1, price, volume, 0};
}

struct Bench {
    explicit Bench(const std::vector<SessionInterval>& sessions)
        : calendar(open_calendar(sessions)) {
        REQUIRE(builder.open().is_ok());
    }
    // One event, and all that it closed, e.g. "30@0 5@25s": size@minutes after kMonday, s
    // synthetic.
    std::string feed(const BarPart& event) {
        builder.advance(event.start_ts_ns);
        (void)builder.add(event);
        return drain();
    }
    std::string drain() {
        std::string text;
        ClosedBar bar{};
        while (builder.next_closed(calendar, bar)) {
            if (!text.empty()) text += ' ';
            text += std::to_string(bar.minutes) + '@' +
                    std::to_string((bar.start_ts_ns - kMonday) / kMin);
            if ((bar.flags & kBarSynthetic) != 0) text += 's';
            taken.push_back(bar);
        }
        return text;
    }
    Calendar calendar;
    BarBuilder builder;
    std::vector<ClosedBar> taken;
};

}  // namespace

TEST_CASE("one-minute bars close five and thirty minutes on their last minute") {
    Bench bench(always());
    for (std::int64_t minute = 0; minute < 30; ++minute) {
        const std::string closed = bench.feed(part(kMonday + minute * kMin, 1, 100 + minute));
        if (minute == 29) {
            CHECK(closed == "30@0 5@25");  // the 30-minute bar first
        } else {
            CHECK(closed == (minute % 5 == 4 ? "5@" + std::to_string(minute - 4) : ""));
        }
    }
    const ClosedBar& thirty = bench.taken[bench.taken.size() - 2];
    CHECK(thirty.open_ticks == 100);
    CHECK(thirty.high_ticks == 130);
    CHECK(thirty.low_ticks == 99);
    CHECK(thirty.close_ticks == 129);
    CHECK(thirty.volume_lots == 30);
    CHECK(thirty.flags == 0);
    CHECK_FALSE(bench.builder.has_open_bucket());
}

TEST_CASE("a trade exactly on a boundary opens the new bar") {
    Bench bench(always());
    CHECK(bench.feed(part(kMonday + 30 * kMin - 1, 0, 100)).empty());
    CHECK(bench.feed(part(kMonday + 30 * kMin, 0, 200)) == "30@0 5@25");
    CHECK(bench.taken[0].close_ticks == 100);
    CHECK(bench.builder.has_open_bucket());
}

TEST_CASE("a thirty-minute feed has no five-minute side") {
    Bench bench(always());
    CHECK(bench.feed(part(kMonday, 30)) == "30@0");
    CHECK(bench.feed(part(kMonday + 30 * kMin, 30)) == "30@30");
    CHECK(bench.feed(part(kMonday + 120 * kMin, 30)) == "30@60s 30@90s 30@120");
}

TEST_CASE("a bar longer than thirty minutes enters no bucket") {
    Bench bench(always());
    CHECK_FALSE(bench.builder.add(part(kMonday, 60)));
    CHECK(bench.drain().empty());
}

TEST_CASE("missing rows inside a bucket make nothing synthetic, missing buckets do") {
    Bench bench(always());
    CHECK(bench.feed(part(kMonday + 2 * kMin, 1, 100)).empty());  // entered late: it counts
    CHECK(bench.feed(part(kMonday + 18 * kMin, 1, 110)) == "5@0 5@5s 5@10s");
    const ClosedBar& filled = bench.taken.back();
    CHECK(filled.open_ticks == 100);
    CHECK(filled.high_ticks == 100);
    CHECK(filled.low_ticks == 100);
    CHECK(filled.close_ticks == 100);
    CHECK(filled.volume_lots == 0);
    CHECK(bench.feed(part(kMonday + 30 * kMin, 1)) == "5@15 5@20s 30@0 5@25s");
}

TEST_CASE("holes are filled to the end of a session and from the start of the next") {
    Bench bench(days_until_17());
    CHECK(bench.feed(part(kMonday + 15 * 60 * kMin, 30)) == "30@900");
    // Missing: 15:30, 16:00, 16:30 of Monday; 00:00 and 00:30 of Tuesday.
    CHECK(bench.feed(part(kMonday + kDayNs + 60 * kMin, 30)) ==
          "30@930s 30@960s 30@990s 30@1440s 30@1470s 30@1500");
}

TEST_CASE("nothing is filled across a night, and nothing after the table of sessions") {
    Bench bench(days_until_17());
    CHECK(bench.feed(part(kMonday + 16 * 60 * kMin + 30 * kMin, 30)) == "30@990");
    CHECK(bench.feed(part(kMonday + kDayNs, 30)) == "30@1440");
    CHECK(bench.feed(part(kMonday + 30 * kDayNs, 30)).find("43200") != std::string::npos);
}

TEST_CASE("a session that opens inside a bucket is filled from the next bucket on") {
    const std::int64_t open = kMonday + kDayNs + 7 * kMin;
    Bench bench({{kMonday, kMonday + kHourNs, 0},
                 {kMonday + 2 * kHourNs + kMin, kMonday + 2 * kHourNs + 2 * kMin, 1},
                 {open, open + kHourNs, 2}});
    CHECK(bench.feed(part(kMonday + 30 * kMin, 30)) == "30@30");
    CHECK(bench.feed(part(open + 54 * kMin, 1)) == "30@1470s");
}

TEST_CASE("time that steps back closes nothing and enters nothing") {
    Bench bench(always());
    CHECK(bench.feed(part(kMonday + 60 * kMin, 1)).empty());
    CHECK(bench.feed(part(kMonday + 20 * kMin, 1)).empty());
    CHECK(bench.feed(part(kMonday + 90 * kMin, 1)) == "5@60 5@65s 5@70s 5@75s 5@80s 30@60 5@85s");
    CHECK(bench.taken.front().volume_lots == 1);
}

TEST_CASE("a hole of more than a year is another recording") {
    Bench bench(always());
    CHECK(bench.feed(part(kMonday, 30)) == "30@0");
    const std::int64_t later = kMonday + BucketSide::kFilledNsMax;
    CHECK(bench.feed(part(later + 30 * kMin, 30)) == "30@527070");
    CHECK(bench.feed(part(later + 90 * kMin, 30)) == "30@527100s 30@527130");
}

TEST_CASE("the end of a session closes what is open, and what comes after is too late") {
    Bench bench(days_until_17());
    CHECK(bench.feed(part(kMonday + 17 * kHourNs - 4 * kMin, 1)).empty());
    bench.builder.end_session();
    CHECK(bench.drain() == "30@990 5@1015");
    CHECK_FALSE(bench.builder.add(part(kMonday + 17 * kHourNs - 1 * kMin, 1)));
    CHECK(bench.drain().empty());
}

TEST_CASE("more than three synthetic bars in a row are stale until a real one") {
    Bench bench(always());
    (void)bench.feed(part(kMonday, 30));
    (void)bench.feed(part(kMonday + 4 * 30 * kMin, 30));
    CHECK_FALSE(bench.builder.is_stale());
    bench.builder.advance(kMonday + 9 * 30 * kMin);
    (void)bench.drain();
    CHECK(bench.builder.is_stale());
    (void)bench.builder.add(part(kMonday + 9 * 30 * kMin, 30));
    (void)bench.drain();
    CHECK_FALSE(bench.builder.is_stale());

    Bench ticks(always());
    (void)ticks.feed(part(kMonday, 1));
    ticks.builder.advance(kMonday + 7 * 5 * kMin);
    CHECK(ticks.drain() == "5@0 5@5s 5@10s 5@15s 5@20s 30@0 5@25s 5@30s");
    CHECK_FALSE(ticks.builder.is_stale());
    ticks.builder.advance(kMonday + 8 * 5 * kMin);
    (void)ticks.drain();
    CHECK(ticks.builder.is_stale());
}

TEST_CASE("volumes saturate and the flag of a missing volume is kept") {
    Bench bench(always());
    BarPart big = part(kMonday, 1, 100, INT64_MAX);
    big.flags = kBarNoVolume | kBarOutOfSession;
    (void)bench.feed(big);
    BarPart last = part(kMonday + 4 * kMin, 1, 100, 5);
    last.flags = kBarOutOfSession;
    (void)bench.feed(last);
    CHECK(bench.taken.at(0).volume_lots == INT64_MAX);
    CHECK(bench.taken.at(0).flags == kBarNoVolume);
}

TEST_CASE("buckets before 1970 are floored like any other") {
    Bench bench({{-kDayNs, kDayNs, 0}});
    CHECK(bench.feed(part(-2 * kMin, 1, 100)).empty());
    (void)bench.feed(part(0, 1, 100));
    CHECK(bench.taken.at(0).start_ts_ns == -30 * kMin);
    CHECK(bench.taken.at(1).start_ts_ns == -5 * kMin);
}

TEST_CASE("minutes must divide a day") {
    BucketSide side;
    CHECK(side.open(0).status == Status::kBadArgument);
    CHECK(side.open(7).text == "minutes of a bar must divide a day of 1440: 7");
    CHECK(side.open(60).is_ok());
}

namespace {

bool is_inside(const std::vector<SessionInterval>& sessions, std::int64_t ts) {
    return std::any_of(sessions.begin(), sessions.end(), [&](const SessionInterval& row) {
        return row.open_ts_ns <= ts && ts < row.close_ts_ns;
    });
}

// All bars of one size that the events make, found by looking at all of them at once.
std::vector<ClosedBar> model(const std::vector<BarPart>& events,
                             const std::vector<SessionInterval>& sessions, std::int64_t minutes) {
    const std::int64_t size = minutes * kMin;
    std::map<std::int64_t, ClosedBar> buckets;
    std::int64_t reached = INT64_MIN;
    std::int64_t complete = INT64_MIN;
    for (const BarPart& event : events) {
        const std::int64_t start = event.start_ts_ns / size * size;
        reached = start;
        const auto [at, is_new] = buckets.try_emplace(
            start,
            ClosedBar{start, event.open_ticks, event.high_ticks, event.low_ticks, event.close_ticks,
                      event.volume_lots, static_cast<std::uint32_t>(minutes), 0});
        if (!is_new) {
            ClosedBar& bar = at->second;
            bar.high_ticks = std::max(bar.high_ticks, event.high_ticks);
            bar.low_ticks = std::min(bar.low_ticks, event.low_ticks);
            bar.close_ticks = event.close_ticks;
            bar.volume_lots += event.volume_lots;
        }
        if (event.end_ts_ns == start + size) complete = start;
    }
    std::vector<ClosedBar> out;
    if (buckets.empty()) return out;
    for (std::int64_t start = buckets.begin()->first; start <= reached; start += size) {
        const auto found = buckets.find(start);
        if (found != buckets.end()) {
            if (start < reached || complete == start) out.push_back(found->second);
        } else if (is_inside(sessions, start)) {
            const std::int64_t price = out.back().close_ticks;
            out.push_back({start, price, price, price, price, 0,
                           static_cast<std::uint32_t>(minutes), kBarSynthetic});
        }
    }
    return out;
}

bool same(const ClosedBar& a, const ClosedBar& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

TEST_CASE("any events make the bars of the slow model, in order of their ends") {
    for (unsigned seed = 0; seed < 60; ++seed) {
        std::mt19937_64 random(seed);
        const std::vector<SessionInterval> sessions = days_until_17();
        const std::int64_t keep_percent = seed % 2 == 0 ? 90 : 8;
        std::vector<BarPart> events;
        for (std::int64_t minute = 0; minute < 4 * 1440; ++minute) {
            const std::int64_t start = kMonday + minute * kMin;
            const bool is_dead = random() % 200 == 0;
            if (is_dead) minute += static_cast<std::int64_t>(random() % 240);
            if (!is_inside(sessions, start)) continue;
            if (static_cast<std::int64_t>(random() % 100) >= keep_percent) continue;
            const bool is_trade = random() % 2 == 0;
            events.push_back(
                part(start + (is_trade ? static_cast<std::int64_t>(random() % kMin) : 0),
                     is_trade ? 0 : 1, static_cast<std::int64_t>(random() % 1'000) + 5,
                     static_cast<std::int64_t>(random() % 9)));
        }
        Bench bench(sessions);
        for (const BarPart& event : events) (void)bench.feed(event);

        std::vector<ClosedBar> expected = model(events, sessions, 5);
        const std::vector<ClosedBar> thirty = model(events, sessions, 30);
        expected.insert(expected.end(), thirty.begin(), thirty.end());
        std::stable_sort(expected.begin(), expected.end(),
                         [](const ClosedBar& a, const ClosedBar& b) {
                             const std::int64_t a_end = a.start_ts_ns + a.minutes * kMin;
                             const std::int64_t b_end = b.start_ts_ns + b.minutes * kMin;
                             return a_end != b_end ? a_end < b_end : a.minutes > b.minutes;
                         });
        REQUIRE(bench.taken.size() == expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            REQUIRE(same(bench.taken[i], expected[i]));
        }
    }
}

TEST_CASE("what is forgotten closes no bar and leaves no hole") {
    Bench bench(always());
    for (std::int64_t minute = 0; minute < 70; minute += 5) {
        bench.feed(part(kMonday + minute * kMin, 5));
    }
    // The event behind the hole has closed the bucket of minute 60, untaken: 2 of its 6 parts.
    bench.builder.advance(kMonday + 600 * kMin);
    REQUIRE(bench.builder.add(part(kMonday + 600 * kMin, 5)));
    bench.builder.forget_before(kMonday + 600 * kMin);
    CHECK(bench.drain() == "5@600");
    CHECK_FALSE(bench.builder.is_stale());
    CHECK(bench.feed(part(kMonday + 605 * kMin, 5)) == "5@605");
    CHECK(bench.feed(part(kMonday + 630 * kMin, 30)) ==
          "5@610s 5@615s 5@620s 30@600 5@625s 30@630");
    // One bucket that is still open is forgotten like one that has closed.
    Bench open(always());
    open.feed(part(kMonday, 5));
    open.builder.forget_before(kMonday + 60 * kMin);
    CHECK(open.feed(part(kMonday + 60 * kMin, 30)) == "30@60");
}

TEST_CASE("a trade fills the buckets that a part without length fills") {
    std::size_t closed = 0;
    std::size_t refused = 0;
    for (unsigned seed = 0; seed < 40; ++seed) {
        std::mt19937_64 random(seed);
        const auto below = [&](std::int64_t count) {
            return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(count));
        };
        Bench parts(days_until_17());
        Bench trades(days_until_17());
        std::int64_t ts = kMonday;
        for (int i = 0; i < 4'000; ++i) {
            // Often on a boundary, or one before it; sometimes older than the open bucket.
            ts += below(4) > 0 ? below(kMin) : below(3) == 0 ? below(kHourNs) : 0;
            if (below(8) == 0) ts += 5 * kMin - ts % (5 * kMin) - below(2);
            const std::int64_t at = below(10) == 0 ? ts - below(40 * kMin) : ts;
            const std::int64_t price = below(2'000) - 1'000;
            const std::int64_t lots = below(200) == 0 ? INT64_MAX - below(3) : below(9);
            // A trade that nobody announced is of a bucket that time has not reached.
            const bool is_announced = below(50) > 0;
            const bool has_length = below(20) == 0;
            BarPart event{at, at, price, price, price, price, lots, 0};
            if (has_length) {
                event.end_ts_ns += kMin - at % kMin;
                event.flags = kBarNoVolume;
            }
            for (Bench* bench : {&parts, &trades}) {
                if (is_announced) bench->builder.advance(at);
                if (has_length) (void)bench->builder.add(event);
            }
            if (!has_length) {
                const bool is_taken = parts.builder.add(event);
                REQUIRE(trades.builder.add_trade(at, price, lots) == is_taken);
                refused += is_taken ? 0 : 1;
            }
            const int end = static_cast<int>(below(300));
            for (Bench* bench : {&parts, &trades}) {
                if (end == 0) bench->builder.end_session();
                if (end == 1) bench->builder.forget_before(at);
                const bool may_have_closed = bench->builder.may_have_closed();
                REQUIRE((bench->drain().empty() || may_have_closed));
            }
            REQUIRE(trades.builder.has_open_bucket() == parts.builder.has_open_bucket());
            REQUIRE(trades.builder.is_stale() == parts.builder.is_stale());
        }
        REQUIRE(trades.taken.size() == parts.taken.size());
        for (std::size_t i = 0; i < parts.taken.size(); ++i) {
            REQUIRE(same(trades.taken[i], parts.taken[i]));
        }
        closed += parts.taken.size();
    }
    CHECK(closed > 10'000);
    CHECK(refused > 1'000);
}

TEST_CASE("the volume of trades that no int64 holds stays at the most it holds") {
    Bench bench(always());
    bench.builder.advance(kMonday);
    CHECK(bench.builder.add_trade(kMonday, 100, INT64_MAX - 1));
    CHECK(bench.builder.add_trade(kMonday + 1, 90, 1));
    CHECK(bench.builder.add_trade(kMonday + 2, 110, 5));
    CHECK(bench.builder.add_trade(kMonday + 3, 105, 0));
    bench.builder.advance(kMonday + 5 * kMin);
    CHECK(bench.drain() == "5@0");
    CHECK(same(bench.taken[0], {kMonday, 100, 110, 90, 105, INT64_MAX, 5, 0}));
}
