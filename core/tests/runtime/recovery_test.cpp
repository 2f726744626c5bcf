// A machine that lost its power comes back without the last records of its journal, and asks the
// venue for what they may have been; a venue that does not answer, or whose books are others, keeps
// the engine from READY.
#include "gm/engine/recovery.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::read_journal;
using test::RunningCore;
using test::RunningVenue;
using test::wave_tape;

// What a disk holds of a journal that lost its tail: the first `size` records.
void keep_first(const std::string& run_dir, std::size_t size) {
    const std::vector<Slot> records = read_journal(run_dir);
    REQUIRE(size <= records.size());
    std::filesystem::remove_all(journal_folder(run_dir));
    std::filesystem::remove(anchor_path(run_dir));
    SegmentSettings settings;
    settings.run_directory = run_dir;
    settings.segment_bytes = 1U << 20;
    SegmentWriter writer;
    REQUIRE(writer.open(settings).is_ok());
    REQUIRE(writer.append(std::span(records).first(size)).is_ok());
    REQUIRE(writer.close().is_ok());
}

std::size_t place_of_last(const std::vector<Slot>& records, RecordType type) {
    const auto last = std::find_if(records.rbegin(), records.rend(),
                                   [&](const Slot& slot) { return slot.type() == type; });
    REQUIRE(last != records.rend());
    return static_cast<std::size_t>(records.rend() - last) - 1;
}

std::size_t count_of(const std::string& run_dir, RecordType type) {
    const auto journal = read_journal(run_dir);
    return static_cast<std::size_t>(
        std::ranges::count_if(journal, [&](const Slot& slot) { return slot.type() == type; }));
}

RecordType type_of(const void* data, std::size_t size) {
    RecordHeader header{};
    if (size >= sizeof header) std::memcpy(&header, data, sizeof header);
    return header.magic == kMagic ? static_cast<RecordType>(header.type) : RecordType::kNone;
}

// Frames that the engine's sockets lose, or that come to it changed.
struct Wire {
    static inline std::atomic<RecordType> lost{RecordType::kNone};
    static inline std::atomic<std::int64_t> more_lots{0};  // in the books that the venue tells

    static void set(ZmqTable& zmq) {
        lost = RecordType::kNone;
        more_lots = 0;
        zmq.send = [](void* socket, const void* data, std::size_t size, int flags) {
            const RecordType type = type_of(data, size);
            if (type != RecordType::kNone && type == lost) return static_cast<int>(size);
            return test::MemoryNetwork::table().send(socket, data, size, flags);
        };
        zmq.recv = [](void* socket, void* data, std::size_t size, int flags) {
            const int got = test::MemoryNetwork::table().recv(socket, data, size, flags);
            const RecordType type =
                got > 0 ? type_of(data, static_cast<std::size_t>(got)) : RecordType::kNone;
            if (type == RecordType::kPositionReport || type == RecordType::kPositionNotice) {
                PositionReport report;
                auto* payload = static_cast<std::uint8_t*>(data) + sizeof(RecordHeader);
                std::memcpy(&report, payload, sizeof report);
                report.position_lots += more_lots;
                std::memcpy(payload, &report, sizeof report);
            }
            return got;
        };
    }
};

std::uint64_t awaited(const RunningCore& running) {
    return running.status().engine.awaited;
}

constexpr auto kBreak = static_cast<std::uint64_t>(Awaited::kReconBreak);

}  // namespace

TEST_CASE("an order whose INTENT a loss of power took is found, adopted, and counted once") {
    // Cut before the input that it follows from; behind that, where the replay makes it again; and
    // behind the order.
    for (const int cut : {-4, 0, 1}) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        RunningVenue venue(network, folder.path(), wave_tape());
        {
            RunningCore first;
            first.start(network, folder.path());
            REQUIRE(first.wait_until([&] { return first.status().engine.orders > 2; }));
            first.stop();
        }
        const auto records = read_journal(folder.path());
        const std::size_t intent = place_of_last(records, RecordType::kIntent);
        const OrderId id = records[intent].as<NewOrder>().id;
        keep_first(folder.path(), static_cast<std::size_t>(static_cast<int>(intent) + cut));
        RunningCore second;
        second.start(network, folder.path());
        second.wait_for_end();
        venue.join();
        second.stop();
        const StatusReading status = second.status();
        const LedgerTotals& totals = venue.venue.ledger().totals();
        const auto orders = venue.venue.ledger().orders();
        const auto copies =
            std::ranges::count_if(orders, [&](const LedgerOrder& order) { return order.id == id; });
        CHECK(copies == 1);
        const auto row =
            std::ranges::find_if(orders, [&](const LedgerOrder& order) { return order.id == id; });
        const bool was_taken = row->state != OrderState::kRejected;
        CHECK(status.engine.recovered == (cut < 0 && was_taken ? 1 : 0));
        CHECK(status.engine.orphans == 0);
        CHECK(status.engine.bad_transitions == 0);
        CHECK(status.engine.awaited == 0);
        CHECK(status.instruments[0].kill_level == 0);
        CHECK(status.instruments[0].position_lots == totals.position_lots);
        CHECK(status.instruments[0].commission_micros == totals.commission_micros);
        CHECK(totals.repeated_ids == 0);
        CHECK(count_of(folder.path(), RecordType::kQueryRange) == 1);
        ReplayReport report;
        const Failure replayed = replay_run(folder.path(), folder / "copy", report);
        CHECK_MESSAGE(replayed.is_ok(), replayed.text);
    }
}

TEST_CASE("a venue that does not answer keeps the engine from READY, and says what it waits for") {
    const struct {
        RecordType lost;
        Awaited awaited;
    } rows[] = {{RecordType::kQueryRange, Awaited::kRange},
                {RecordType::kQueryAccount, Awaited::kAccount}};
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(100'000));
    {
        RunningCore first;
        first.start(network, folder.path());
        REQUIRE(first.wait_until([&] { return first.status().engine.orders > 2; }));
        first.stop();
    }
    const auto records = read_journal(folder.path());
    keep_first(folder.path(), place_of_last(records, RecordType::kStop));
    for (const auto& row : rows) {
        RunningCore running;
        Wire::set(running.zmq);
        Wire::lost = row.lost;
        running.start(network, folder.path());
        const auto waits = static_cast<std::uint64_t>(row.awaited);
        REQUIRE(running.wait_until([&] { return awaited(running) == waits; }));
        CHECK_FALSE(running.core->wait(test::kSecond / 5));
        CHECK(running.core->phase() == Phase::kReconciling);
        CHECK(awaited(running) == waits);
        Wire::lost = RecordType::kNone;
        network.cut(running.core->endpoints().orders);
        REQUIRE(running.wait_until([&] { return running.core->is_ready(); }));
        CHECK(running.wait_until([&] { return awaited(running) == 0; }));
        running.stop();
    }
}

TEST_CASE("books that are not ours at the start: HALTED, latched, not READY, until they agree") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(100'000));
    RunningCore running;
    Wire::set(running.zmq);
    Wire::more_lots = 7;
    running.start(network, folder.path());
    REQUIRE(running.wait_until([&] { return awaited(running) == kBreak; }));
    CHECK(running.core->phase() == Phase::kReconciling);
    LatchReading latch;
    REQUIRE(running.wait_until([&] {
        return read_latch(folder.path(), latch).is_ok() &&
               latch.record.level() == KillLevel::kHalted;
    }));
    CHECK(latch.record.cause == KillCause::kReconBreak);
    // Signed for, but nothing is reconciled: it stays.
    ClearOrder clear;
    clear.latch_id = latch.record.latch_id;
    clear.sequence = latch.record.sequence;
    clear.level = KillLevel::kReducing;
    clear.signatures_sha256 = {9, 9};
    REQUIRE(running.core->clear_kill(clear).is_ok());
    network.cut(running.core->endpoints().orders);
    CHECK_FALSE(running.core->wait(test::kSecond / 5));
    CHECK(running.core->is_kill_falling());
    Wire::more_lots = 0;
    network.cut(running.core->endpoints().orders);
    REQUIRE(running.wait_until([&] { return !running.core->is_kill_falling(); }));
    REQUIRE(running.wait_until([&] { return running.core->is_ready(); }));
    CHECK(running.wait_until([&] { return awaited(running) == 0; }));
    running.stop();
}

TEST_CASE("a free-running venue tells its books, and a difference that lasts halts the account") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    VenueServerSettings server;
    server.speed_permille = 1'000'000'000;  // eleven days of tape in a second
    server.notice_ns = 10'000'000;
    RunningVenue venue(network, folder.path(), wave_tape(100'000), test::kTapeId, server);
    Settings settings = test::make_settings();
    settings.header.recon_break_after_ns = 1;
    RunningCore running;
    Wire::set(running.zmq);
    REQUIRE(running.open(network, folder.path(), Driver::kInline, settings).is_ok());
    REQUIRE(running.core->start().is_ok());
    REQUIRE(running.wait_until([&] { return running.core->is_ready(); }));
    REQUIRE(running.wait_until([&] { return awaited(running) == 0; }));
    CHECK_FALSE(running.core->wait(test::kSecond / 5));
    CHECK(awaited(running) == 0);
    Wire::more_lots = 1;
    REQUIRE(running.wait_until([&] { return awaited(running) == kBreak; }));
    CHECK(running.core->is_ready());  // the feed goes on, and nothing is sent
    CHECK(running.status().instruments[0].kill_level ==
          static_cast<std::uint64_t>(KillLevel::kHalted));
    Wire::more_lots = 0;
    REQUIRE(running.wait_until([&] { return awaited(running) == 0; }));
    CHECK(running.status().instruments[0].kill_level ==
          static_cast<std::uint64_t>(KillLevel::kHalted));
    running.stop();
    CHECK(count_of(folder.path(), RecordType::kPositionCheck) > 5);
    CHECK(count_of(folder.path(), RecordType::kReconBreak) == 2);
}
