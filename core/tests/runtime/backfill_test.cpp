// Promise: a backfill is all that can be had of what is missing, once, oldest first; and no venue
// keeps the engine from its feed with it.
#include "gm/runtime/backfill.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <vector>

namespace {

using namespace gm;

constexpr std::int64_t kMinuteNs = 60'000'000'000;
constexpr std::int64_t kStartNs = 1'640'995'200'000'000'000;

BarClose bar(std::int64_t minute, std::int64_t minutes = 30, std::uint32_t instrument = 0) {
    BarClose bar{};
    bar.start_ts_ns = kStartNs + minute * kMinuteNs;
    bar.duration_s = static_cast<std::uint32_t>(minutes * 60);
    bar.open_ticks = bar.high_ticks = bar.low_ticks = bar.close_ticks = 100;
    bar.instrument = instrument;
    return bar;
}

struct Bench {
    explicit Bench(std::size_t instruments = 1) {
        BackfillSettings settings;
        settings.is_needed = true;
        settings.after_ts_ns.assign(instruments, INT64_MIN);
        backfill.open(settings);
    }
    FeedReplay asked() {
        FeedReplay request{};
        REQUIRE(backfill.next_request(request));
        FeedReplay second{};
        CHECK_FALSE(backfill.next_request(second));  // one question at a time
        return request;
    }
    void answer(const FeedReplay& request, const std::vector<BarClose>& bars,
                std::uint64_t cursor = 0) {
        if (!bars.empty()) {
            Frame frame{};
            frame.header.type = static_cast<std::uint16_t>(RecordType::kReplayedBar);
            frame.header.count = static_cast<std::uint16_t>(bars.size());
            frame.payloads = reinterpret_cast<const std::uint8_t*>(bars.data());
            REQUIRE(backfill.take(frame));
        }
        ReplayEnd end{};
        end.request = request.request;
        end.cursor = cursor;
        end.bars = static_cast<std::uint32_t>(bars.size());
        Frame frame{};
        frame.header.type = static_cast<std::uint16_t>(RecordType::kReplayEnd);
        frame.header.count = 1;
        frame.payloads = reinterpret_cast<const std::uint8_t*>(&end);
        REQUIRE(backfill.take(frame));
    }
    // Minutes of the bars that are handed over, up to `count` of them.
    std::vector<std::int64_t> taken(std::size_t count = SIZE_MAX) {
        std::vector<std::int64_t> minutes;
        Slot slot{};
        while (minutes.size() < count && backfill.next(9, slot)) {
            if (slot.type() == RecordType::kBackfillEnd) {
                end = slot.as<BackfillEnd>();
                break;
            }
            CHECK(slot.type() == RecordType::kBackfill);
            CHECK(slot.header.source_ts_ns == before());
            CHECK(slot.header.receive_ts_ns == 9);
            minutes.push_back((slot.as<BarClose>().start_ts_ns - kStartNs) / kMinuteNs);
        }
        return minutes;
    }
    static std::int64_t before() { return kStartNs + 1000 * kMinuteNs; }
    void begin(std::uint32_t connection = 1) { backfill.begin(connection, before()); }

    Backfill backfill;
    BackfillEnd end{};
};

using Minutes = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("the pages of a venue come as one row of bars and an end") {
    Bench bench;
    Slot slot{};
    CHECK_FALSE(bench.backfill.is_running());
    bench.begin(4);
    CHECK(bench.backfill.is_running());
    const FeedReplay first = bench.asked();
    CHECK(first.cursor == 0);
    CHECK(first.after_ts_ns == INT64_MIN);
    CHECK(first.before_ts_ns == Bench::before());
    CHECK(first.minutes_max == kBackfillMinutes);
    CHECK(first.connection == 4);
    bench.answer(first, {bar(0), bar(30)}, 17);
    CHECK_FALSE(bench.backfill.next(9, slot));  // older ones of files would come before these
    const FeedReplay second = bench.asked();
    CHECK(second.cursor == 17);
    CHECK(second.request != first.request);
    bench.answer(first, {}, 0);  // an answer to another question is none
    bench.answer(second, {bar(60)});
    CHECK(bench.taken() == Minutes{0, 30, 60});
    CHECK(bench.end.venue_bars == 3);
    CHECK(bench.end.file_bars == 0);
    CHECK(bench.end.connection == 4);
    CHECK_FALSE(bench.backfill.is_running());
    CHECK_FALSE(bench.backfill.next(9, slot));
    CHECK(bench.backfill.is_needed());  // until something comes live
}

TEST_CASE("files give what lies before the venue's first bar") {
    Bench bench;
    bench.backfill.add_files({bar(0), bar(30), bar(60), bar(90), bar(120), bar(1200)});
    SUBCASE("the venue has some") {
        bench.begin();
        bench.answer(bench.asked(), {bar(100), bar(130)});
        CHECK(bench.taken() == Minutes{0, 30, 60, 100, 130});
        CHECK(bench.end.file_bars == 3);
        CHECK(bench.end.venue_bars == 2);
    }
    SUBCASE("the venue has none: up to its time") {
        bench.begin();
        bench.answer(bench.asked(), {});
        CHECK(bench.taken() == Minutes{0, 30, 60, 90, 120});
    }
    SUBCASE("the venue has all") {
        bench.begin();
        bench.answer(bench.asked(), {bar(0), bar(30)});
        CHECK(bench.taken() == Minutes{0, 30});
    }
}

TEST_CASE("files fill the memory of the longest column and no more") {
    Bench bench;
    std::vector<BarClose> file;
    const std::int64_t first = 1000 - 30 * 4000;
    for (std::int64_t i = 0; i < 4000; ++i) file.push_back(bar(first + 30 * i));
    bench.backfill.add_files(file);
    bench.begin();
    bench.answer(bench.asked(), {bar(940), bar(970)});
    const auto minutes = bench.taken();
    CHECK(minutes.size() == kBackfillMinutes / 30);
    CHECK(minutes.back() == 970);
    CHECK(minutes.front() == 1000 - std::int64_t{kBackfillMinutes});
}

TEST_CASE("a connection that breaks begins again behind what the engine has") {
    Bench bench;
    bench.backfill.add_files({bar(0), bar(30), bar(60)});
    bench.begin(1);
    bench.answer(bench.asked(), {bar(90), bar(120), bar(150)});
    CHECK(bench.taken(4) == Minutes{0, 30, 60, 90});
    bench.backfill.cancel();
    CHECK_FALSE(bench.backfill.is_running());
    bench.begin(2);
    const FeedReplay again = bench.asked();
    CHECK(again.after_ts_ns == kStartNs + 120 * kMinuteNs);
    CHECK(again.cursor == 0);
    CHECK(again.connection == 2);
    bench.answer(again, {bar(120), bar(150)});
    CHECK(bench.taken() == Minutes{120, 150});  // no file: it would lie behind them
    CHECK(bench.end.venue_bars == 2);
    CHECK(bench.end.file_bars == 0);
}

TEST_CASE("a bar that the engine refuses does not move the mark") {
    Bench bench;
    bench.begin();
    BarClose absurd = bar(5000);
    BarClose overflowing = bar(60);
    overflowing.start_ts_ns = INT64_MAX - 1;
    bench.answer(bench.asked(), {bar(0), absurd, overflowing, bar(30)});
    CHECK(bench.taken().size() == 4);
    bench.begin(2);
    CHECK(bench.asked().after_ts_ns == kStartNs + 60 * kMinuteNs);
}

TEST_CASE("each instrument is asked for and filled on its own") {
    Bench bench(2);
    bench.backfill.add_files({bar(0, 30, 1), bar(30, 30, 1), bar(0, 30, 0)});
    bench.begin();
    const FeedReplay first = bench.asked();
    CHECK(first.instrument == 0);
    bench.answer(first, {bar(30, 30, 0), bar(60, 30, 1)});  // another's bar was not asked for
    const FeedReplay second = bench.asked();
    CHECK(second.instrument == 1);
    bench.answer(second, {bar(60, 30, 1)});
    CHECK(bench.taken() == Minutes{0, 30, 0, 30, 60});
}

TEST_CASE("a venue that never ends its pages is not asked for ever") {
    Bench bench;
    bench.begin();
    SUBCASE("empty pages") {
        bench.answer(bench.asked(), {}, 5);
        CHECK(bench.taken().empty());
    }
    SUBCASE("full ones") {
        const std::vector<BarClose> page(512, bar(0, 1));
        std::size_t pages = 0;
        FeedReplay request{};
        while (bench.backfill.next_request(request)) {
            bench.answer(request, page, 5);
            REQUIRE(++pages <= kBackfillMinutes / 512 + 1);
        }
        CHECK(bench.taken().size() == pages * 512);
    }
    CHECK_FALSE(bench.backfill.is_running());
}

TEST_CASE("a venue that sends more than the page that was asked for is left") {
    for (const std::uint32_t instrument : {0U, 1U}) {  // asked for or not: it is too much
        Bench bench;
        bench.begin(1);
        (void)bench.asked();
        const std::vector<BarClose> page(kFrameRecordsMax, bar(0, 1, instrument));
        Frame frame{};
        frame.header.type = static_cast<std::uint16_t>(RecordType::kReplayedBar);
        frame.payloads = reinterpret_cast<const std::uint8_t*>(page.data());
        frame.header.count = kFrameRecordsMax - 1;
        CHECK(bench.backfill.take(frame));
        frame.header.count = 1;
        CHECK(bench.backfill.take(frame));
        CHECK_FALSE(bench.backfill.take(frame));
        bench.backfill.cancel();
        // On the next connection the count begins again.
        bench.begin(2);
        bench.answer(bench.asked(), page);
        CHECK(bench.taken().size() == (instrument == 0 ? kFrameRecordsMax : 0));
    }
}

TEST_CASE("once something is live nothing is left of it") {
    Bench bench;
    bench.backfill.add_files({bar(0)});
    bench.begin();
    bench.answer(bench.asked(), {bar(30)});
    bench.backfill.forget();
    CHECK_FALSE(bench.backfill.is_needed());
    CHECK_FALSE(bench.backfill.is_running());
    CHECK(bench.taken().empty());
}
