// Promise: a core that joins a running venue is warm from the first live bar on, from the venue,
// from files or from both; and its journal says all of it again.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "gm/runtime/core.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::kSecond;
using test::read_journal;
using test::RunningCore;
using test::RunningVenue;
using test::wave_tape;

constexpr std::uint64_t kHistory = 600;

VenueServerSettings free_running(std::uint64_t history_rows) {
    VenueServerSettings settings;
    settings.speed_permille = 1'000'000'000;  // half an hour in 1.8 ms
    settings.history_rows = history_rows;
    return settings;
}

std::vector<BarClose> bars_of(const std::vector<TapeRow>& tape, std::size_t first,
                              std::size_t last) {
    std::vector<BarClose> bars;
    for (std::size_t i = first; i < last; ++i) bars.push_back(tape[i].as<BarClose>());
    return bars;
}

std::size_t count_of(const std::vector<Slot>& records, RecordType type) {
    return static_cast<std::size_t>(
        std::ranges::count_if(records, [&](const Slot& slot) { return slot.type() == type; }));
}

void wait_for_feed(RunningCore& running, std::uint64_t sequence) {
    REQUIRE_MESSAGE(
        running.wait_until([&] { return running.status().engine.last_feed_sequence >= sequence; }),
        describe(running.core->phase()) << running.core->failure().text);
}

void check_replay(const TemporaryFolder& folder) {
    ReplayReport report;
    const Failure replayed = replay_run(folder.path(), folder / "copy", report);
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);
    std::filesystem::remove_all(folder / "copy");
}

}  // namespace

TEST_CASE("a core that comes late trades from the first live bar on") {
    for (const Driver driver : {Driver::kInline, Driver::kThreaded}) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        RunningVenue venue(network, folder.path(), wave_tape(), test::kTapeId,
                           free_running(kHistory));
        RunningCore running;
        running.start(network, folder.path(), driver);
        CHECK(running.core->report().needs_backfill);
        CHECK(running.core->report().bars_needed == std::vector<std::int64_t>{177});
        wait_for_feed(running, 2 * test::kBars + 1);
        running.stop();
        venue.join();

        const StatusReading status = running.status();
        CHECK(status.io.backfilled_venue_bars == kHistory);
        CHECK(status.io.backfilled_file_bars == 0);
        CHECK(status.io.sequence_gaps == 0);
        CHECK(status.engine.decisions == test::kBars - kHistory);
        CHECK(status.engine.fills > 0);
        CHECK(status.engine.bad_transitions == 0);
        CHECK(status.instruments[0].backfilled_bars == kHistory);
        CHECK(status.instruments[0].bars_30m == test::kBars);
        CHECK(status.instruments[0].bars_needed == 0);
        const auto records = read_journal(folder.path());
        CHECK(count_of(records, RecordType::kBackfill) == kHistory);
        CHECK(count_of(records, RecordType::kBackfillEnd) == 1);
        // All of it before the first order, and none of it is of the feed.
        const auto first_live = std::ranges::find_if(
            records, [](const Slot& slot) { return slot.type() == RecordType::kBarOpen; });
        CHECK(first_live->header.first_sequence == 2 * kHistory + 1);
        CHECK(count_of({first_live, records.end()}, RecordType::kBackfill) == 0);
        CHECK(count_of({records.begin(), first_live}, RecordType::kDecision) == 0);
        check_replay(folder);
    }
}

TEST_CASE("a tape of trades warms up as well") {
    std::vector<TapeRow> tape;
    for (std::int64_t i = 0; i < 200 * 12; ++i) {  // every two and a half minutes
        Trade trade{};
        trade.price_ticks = test::wave(i / 12) + i % 7;
        trade.quantity_lots = 1 + i % 3;
        tape.push_back(make_row(RecordType::kTrade, test::kStartNs + i * 150 * kSecond, trade));
    }
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), tape, test::kTapeId, free_running(190 * 12));
    RunningCore running;
    running.start(network, folder.path());
    wait_for_feed(running, tape.size() + 1);
    running.stop();
    venue.join();
    const StatusReading status = running.status();
    // The last bucket of five minutes was not over: one of its trades is lost, its rest is live.
    CHECK(status.instruments[0].backfilled_bars == 190 * 6 - 1);
    CHECK(status.instruments[0].quarantined == 0);
    CHECK(status.engine.decisions == 10);
    check_replay(folder);
}

TEST_CASE("files give what the venue does not have, and only on the first start") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    const auto whole = wave_tape();
    const std::vector<TapeRow> tape(whole.begin() + 300, whole.end());
    RunningVenue venue(network, folder.path(), tape, test::kTapeId, free_running(100));
    {
        RunningCore running;
        REQUIRE(running.open(network, folder.path()).is_ok());
        running.core->add_backfill_files(bars_of(whole, 0, 500));
        REQUIRE(running.core->start().is_ok());
        wait_for_feed(running, 2 * 100 + 40);
        const StatusReading status = running.status();
        CHECK(status.io.backfilled_file_bars == 300);
        CHECK(status.io.backfilled_venue_bars == 100);
        CHECK(status.instruments[0].is_ready == 1);
        CHECK(status.instruments[0].quarantined == 0);
        running.stop();
    }
    RunningCore again;
    again.start(network, folder.path());
    CHECK_FALSE(again.core->report().needs_backfill);
    CHECK(again.core->report().bars_needed == std::vector<std::int64_t>{0});
    wait_for_feed(again, 2 * tape.size() + 1);
    again.stop();
    CHECK(again.status().io.backfilled_file_bars == 0);
    CHECK(again.status().instruments[0].bars_30m == whole.size());
    CHECK(count_of(read_journal(folder.path()), RecordType::kBackfillEnd) == 1);
    check_replay(folder);
}

TEST_CASE("connections that are cut in a backfill lose no bar of it and repeat none") {
    for (const Driver driver : {Driver::kInline, Driver::kThreaded}) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        const auto tape = wave_tape(5000);
        RunningVenue venue(network, folder.path(), tape, test::kTapeId, free_running(4900));
        RunningCore running;
        running.start(network, folder.path(), driver);
        for (int i = 0; i < 40; ++i) {
            std::this_thread::sleep_for(std::chrono::microseconds(300));
            network.cut(running.core->endpoints().orders);
        }
        wait_for_feed(running, 2 * tape.size() + 1);
        running.stop();
        CHECK(running.status().io.reconnects > 0);
        CHECK(running.status().engine.bad_transitions == 0);
        CHECK(running.status().instruments[0].quarantined == 0);
        CHECK(running.status().instruments[0].bars_30m == kBackfillMinutes / 30 + 100);
        std::int64_t last_ns = 0;
        for (const Slot& slot : read_journal(folder.path())) {
            if (slot.type() != RecordType::kBackfill) continue;
            const std::int64_t start_ns = slot.as<BarClose>().start_ts_ns;
            if (last_ns != 0) REQUIRE(start_ns == last_ns + test::kHalfHourNs);
            last_ns = start_ns;
        }
        check_replay(folder);
    }
}

TEST_CASE("in lockstep no backfill is asked for, whatever files there are") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(200));
    RunningCore running;
    REQUIRE(running.open(network, folder.path()).is_ok());
    running.core->add_backfill_files(bars_of(wave_tape(), 0, 100));
    REQUIRE(running.core->start().is_ok());
    running.wait_for_end();
    venue.join();
    running.stop();
    CHECK(running.status().engine.last_feed_sequence == 401);
    const auto records = read_journal(folder.path());
    CHECK(count_of(records, RecordType::kBackfill) == 0);
    CHECK(count_of(records, RecordType::kBackfillEnd) == 0);
    CHECK(venue.server.counters().replayed_bars == 0);
}

TEST_CASE("a venue without a past delays nobody") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(50), test::kTapeId, free_running(0));
    RunningCore running;
    running.start(network, folder.path());
    wait_for_feed(running, 101);
    running.stop();
    CHECK(running.status().instruments[0].bars_30m == 50);
    CHECK(running.status().instruments[0].bars_needed == 127);
    CHECK(running.status().io.backfilled_venue_bars == 0);
    CHECK(count_of(read_journal(folder.path()), RecordType::kBackfillEnd) == 1);
    check_replay(folder);
}
