// Promise: books of a venue that will never be ours are accepted by a running core as an input: a
// replay says the same, the next life has them, and the page shows both sides and what was
// adjusted.
#include <doctest/doctest.h>

#include <cstring>

#include "gm/engine/books.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

using namespace gm;
using namespace gm::test;
using gm::testing::TemporaryFolder;

namespace {

constexpr std::int64_t kOff = -5'000'000;

// A venue that counts its money otherwise, for ever.
void take_money(std::string& frame) {
    RecordHeader header{};
    std::memcpy(&header, frame.data(), sizeof header);
    const auto type = static_cast<RecordType>(header.type);
    if (type != RecordType::kPositionReport && type != RecordType::kPositionNotice) return;
    PositionReport report{};
    std::memcpy(&report, frame.data() + sizeof header, sizeof report);
    const Int128 cash =
        Int128{report.cash_micros_high} * (Int128{1} << 64) + report.cash_micros_low + kOff;
    report.cash_micros_low = static_cast<std::uint64_t>(cash);
    report.cash_micros_high = static_cast<std::int64_t>(cash >> 64);
    std::memcpy(frame.data() + sizeof header, &report, sizeof report);
}

Sha256Digest shown_by(const StatusReading& reading) {
    Sha256Digest digest{};
    std::memcpy(digest.data(), reading.engine.break_sha256, digest.size());
    return digest;
}

bool is_broken(const StatusReading& reading) {
    return reading.engine.awaited == static_cast<std::uint64_t>(Awaited::kReconBreak) &&
           shown_by(reading) != Sha256Digest{} &&
           reading.instruments[0].books_differ == 1;  // its row is written after
}

}  // namespace

TEST_CASE("an acceptance enters a running core, is replayed, and holds in the next life") {
    const TemporaryFolder folder;
    MemoryNetwork network;
    network.tamper = take_money;
    RunningVenue venue(network, folder.path(), wave_tape(100'000));
    {
        RunningCore running;
        running.start(network, folder.path());
        REQUIRE(running.wait_until([&] { return is_broken(running.status()); }));
        const StatusReading broken = running.status();
        const InstrumentStatus& row = broken.instruments[0];
        CHECK(row.books_differ == 1);
        CHECK(row.venues_cash_micros_low == static_cast<std::uint64_t>(kOff));
        CHECK(row.venues_cash_micros_high == -1);
        CHECK(row.cash_micros_low == 0);
        // The digest is that of the rows that the page shows.
        Sha256 hash;
        BooksRow shown;
        shown.venues.cash_micros = kOff;
        hash_row(hash, 0, shown);
        CHECK(shown_by(broken) == hash.finish());

        BooksAccepted accepted{};
        accepted.signatures_sha256[0] = 3;
        CHECK(running.core->accept_books(accepted).is_ok());  // of nothing that is shown
        std::memcpy(accepted.break_sha256, broken.engine.break_sha256, 32);
        REQUIRE(running.wait_until([&] { return running.core->accept_books(accepted).is_ok(); }));
        REQUIRE(running.wait_until([&] { return running.core->is_ready(); }));
        // The page may be a step behind.
        REQUIRE(
            running.wait_until([&] { return running.status().instruments[0].books_differ == 0; }));
        const StatusReading after = running.status();
        CHECK(after.instruments[0].adjusted_micros_low == static_cast<std::uint64_t>(kOff));
        CHECK(after.instruments[0].kill_level == static_cast<std::uint64_t>(KillLevel::kHalted));
        running.stop();
    }
    RunningCore next;
    next.start(network, folder.path());
    REQUIRE(next.wait_until([&] { return next.core->is_ready(); }));
    CHECK(next.wait_until([&] { return next.status().instruments[0].adjusted_micros_high == -1; }));
    next.stop();

    std::size_t taken = 0;
    std::size_t adjusted = 0;
    std::size_t breaks = 0;
    for (const Slot& slot : read_journal(folder.path())) {
        taken += slot.type() == RecordType::kBooksAccepted;
        adjusted += slot.type() == RecordType::kBooksAdjusted;
        breaks += slot.type() == RecordType::kReconBreak;
    }
    CHECK(taken == 2);     // the one of nothing, too, is an input
    CHECK(adjusted == 1);  // and changed nothing
    CHECK(breaks == 2);    // one begins, one ends it
    ReplayReport report;
    const Failure replayed = replay_run(folder.path(), folder / "copy", report);
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);
}

TEST_CASE("one acceptance at a time waits for the engine") {
    const TemporaryFolder folder;
    MemoryNetwork network;
    RunningCore running;
    const Failure failure = running.open(network, folder.path());
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    CHECK(running.core->accept_books({}).is_ok());
    CHECK(running.core->accept_books({}).text == "the acceptance before this one is not taken yet");
    REQUIRE(running.core->start().is_ok());
    REQUIRE(running.wait_until([&] { return running.core->accept_books({}).is_ok(); }));
    running.stop();
}

TEST_CASE("limits that do not stand any more begin REDUCING, latched, and say so") {
    const TemporaryFolder folder;
    MemoryNetwork network;
    CoreSettings settings;
    settings.run_dir = folder.path();
    settings.runtime_directory = folder / "r";
    settings.journal_segment_bytes = 1U << 20;
    settings.reduces_because = "set 1 expired";
    RunningCore running;
    const Failure failure =
        running.core->open(settings_block(make_settings()), settings, running.zmq, &network);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    CHECK(running.core->engine().account_level() == KillLevel::kReducing);
    running.core->close();
    LatchReading latch;
    REQUIRE(read_latch(folder.path(), latch).is_ok());
    CHECK(latch.record.level() == KillLevel::kReducing);
    CHECK(latch.record.cause == KillCause::kLimits);
    CHECK(std::string(latch.record.text.reason) == "set 1 expired");
    CHECK(std::string(latch.record.text.author) == "gm run");
}
