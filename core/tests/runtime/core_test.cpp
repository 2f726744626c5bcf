// Engine and venue on one tape write the same journal under both drivers, whatever happens to the
// connection the engine knows every order's fate, and a start is a recovery.
#include "gm/runtime/core.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/session/session.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::kBars;
using test::kSecond;
using test::read_journal;
using test::RunningCore;
using test::RunningVenue;
using test::wave_tape;

std::vector<Slot> trade(Driver driver) {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape());
    RunningCore running;
    running.start(network, folder.path(), driver);
    running.wait_for_end();
    venue.join();
    CHECK(venue.server.is_finished());
    CHECK(venue.server.counters().order_gaps == 0);
    running.stop();

    const StatusReading status = running.status();
    CHECK(status.engine.fills > 4);
    CHECK(status.engine.bad_transitions == 0);
    CHECK(status.engine.last_feed_sequence == 2 * kBars + 1);
    CHECK(status.io.reconnects == 0);
    CHECK(status.journal.synced == status.journal.published);
    CHECK(status.instruments[0].bars_30m == kBars);
    CHECK(status.instruments[0].position_lots == venue.venue.ledger().totals().position_lots);
    ReplayReport report;
    const Failure replayed = replay_run(folder.path(), folder / "copy", report);
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);
    CHECK(report.has_ended);
    CHECK(report.is_clean);
    return read_journal(folder.path());
}

// The same without sockets and threads.
std::vector<Slot> trade_in_one_thread() {
    const TemporaryFolder folder;
    const std::vector<TapeRow> tape = wave_tape();
    SessionOptions options;
    options.run_directory = folder.path();
    options.segment_bytes = 1U << 20;
    options.tape_id[0] = test::kTapeId;
    Session session;
    Failure failure = session.open(test::loaded_settings(), test::venue_settings(), tape, options);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    failure = session.run(UINT64_MAX);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    return read_journal(folder.path());
}

// Every client id once in the ledger at most, and every order's end the same on both sides.
void compare_with_ledger(const std::string& run_dir, const Venue& venue) {
    std::vector<OrderUpdate> last;
    std::int64_t lots = 0;
    for (const Slot& slot : read_journal(run_dir)) {
        if (slot.type() == RecordType::kFill) {
            const auto fill = slot.as<Fill>();
            lots += fill.side == Side::kBuy ? fill.quantity_lots : -fill.quantity_lots;
        }
        if (slot.type() != RecordType::kOrderUpdate) continue;
        const auto update = slot.as<OrderUpdate>();
        std::erase_if(last, [&](const OrderUpdate& known) { return known.id == update.id; });
        last.push_back(update);
    }
    CHECK(lots == venue.ledger().totals().position_lots);
    const auto orders = venue.ledger().orders();
    for (const OrderUpdate& update : last) {
        const auto matches = std::ranges::count_if(
            orders, [&](const LedgerOrder& order) { return order.id == update.id; });
        CHECK(matches == (update.state == OrderState::kNever ? 0 : 1));
    }
}

}  // namespace

TEST_CASE("a journal that cannot be opened is a reason, not the end of the process") {
    const TemporaryFolder folder;
    std::ofstream(folder / "journal.anchor") << "no anchor";
    test::MemoryNetwork network;
    RunningCore running;
    const Failure failure = running.open(network, folder.path());
    CHECK_MESSAGE(failure.status == Status::kJournalCorrupt, failure.text);
}

TEST_CASE("inline driver, threaded driver and a session in one thread write the same bytes") {
    const auto first = trade(Driver::kInline);
    for (const auto& other : {trade(Driver::kThreaded), trade_in_one_thread()}) {
        REQUIRE(first.size() == other.size());
        for (std::size_t i = 0; i < first.size(); ++i) {
            REQUIRE(std::memcmp(&first[i], &other[i], sizeof(Slot)) == 0);
        }
    }
}

TEST_CASE("connections that are cut again and again lose no order and repeat none") {
    for (const Driver driver : {Driver::kInline, Driver::kThreaded}) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        RunningVenue venue(network, folder.path(), wave_tape());
        RunningCore running;
        running.start(network, folder.path(), driver);
        const std::string orders = running.core->endpoints().orders;
        for (int i = 0; i < 12 && !running.core->has_ended(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5 + 3 * i));
            network.cut(orders);
        }
        running.wait_for_end();
        venue.join();
        running.stop();
        CHECK(running.status().io.reconnects > 0);
        CHECK(running.status().engine.open_orders == 0);
        CHECK(running.status().engine.awaiting_queries == 0);
        CHECK(running.status().engine.bad_transitions == 0);
        compare_with_ledger(folder.path(), venue.venue);
        ReplayReport report;
        const Failure replayed = replay_run(folder.path(), folder / "copy", report);
        CHECK_MESSAGE(replayed.is_ok(), replayed.text);
    }
}

TEST_CASE("an engine that is stopped in the middle goes on where it was") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape());
    std::uint64_t consumed = 0;
    for (std::uint32_t epoch = 1; epoch <= 4; ++epoch) {
        RunningCore running;
        running.start(network, folder.path(), epoch % 2 == 0 ? Driver::kThreaded : Driver::kInline);
        CHECK(running.core->report().epoch == epoch);
        CHECK(running.core->report().replay.is_clean);
        REQUIRE(running.wait_until([&] {
            return running.status().engine.last_feed_sequence > consumed + 200 ||
                   running.core->has_ended();
        }));
        const std::string ring = running.core->endpoints().ring_path;
        CHECK(std::filesystem::exists(ring));
        running.stop();
        CHECK_FALSE(std::filesystem::exists(ring));  // all of it is synced in the segments
        consumed = running.status().engine.last_feed_sequence;
    }
    RunningCore last;
    last.start(network, folder.path());
    last.wait_for_end();
    venue.join();
    last.stop();
    compare_with_ledger(folder.path(), venue.venue);
}

TEST_CASE("a run directory is refused while in use, and for other settings or another tape") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    {
        RunningVenue venue(network, folder.path(), wave_tape(60));
        RunningCore running;
        running.start(network, folder.path());
        RunningCore second;
        CHECK(second.open(network, folder.path()).status == Status::kJournalLocked);
        running.wait_for_end();
        venue.join();
        running.stop();
    }
    Settings other = test::make_settings();
    other.header.threshold = 0.75;
    RunningCore with_other_settings;
    const Failure refused =
        with_other_settings.open(network, folder.path(), Driver::kInline, other);
    CHECK(refused.status == Status::kJournalForeign);
    CHECK(refused.text.find("--run-dir") != std::string::npos);

    RunningVenue foreign(network, folder.path(), wave_tape(60), 6);
    RunningCore running;
    running.start(network, folder.path());
    REQUIRE(running.core->wait(10 * kSecond));
    CHECK(running.core->phase() == Phase::kFailed);
    CHECK(running.core->failure().status == Status::kJournalForeign);
    CHECK(running.status().failure.find("--run-dir") != std::string::npos);
}

TEST_CASE("control answers status and stop, and the trader port refuses") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningCore running;
    running.start(network, folder.path());
    const auto ask = [&](const std::string& endpoint, const std::string& request) {
        Socket socket;
        REQUIRE(socket.open(running.zmq, &network, SocketKind::kDealer, SocketOptions{}).is_ok());
        REQUIRE(socket.connect(endpoint).is_ok());
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(request.data());
        REQUIRE(socket.send({bytes, request.size()}) == IoResult::kDone);
        std::array<std::uint8_t, 1024> answer{};
        Received received;
        for (int i = 0; i < 5000 && received.result != IoResult::kDone; ++i) {
            std::array items{socket.poll_item()};
            (void)poll_sockets(running.zmq, items, 1);
            received = socket.receive(answer);
        }
        return std::string(reinterpret_cast<const char*>(answer.data()), received.size);
    };
    const Endpoints& endpoints = running.core->endpoints();
    CHECK(ask(endpoints.control, "status").find(R"("phase":"connecting")") != std::string::npos);
    CHECK(ask(endpoints.control, "nonsense").find(R"("ok":false)") != std::string::npos);
    CHECK(ask(endpoints.control, std::string(5000, 'x')).find(R"("ok":false)") !=
          std::string::npos);
    CHECK(ask(endpoints.commands, "buy").find("takes no orders yet") != std::string::npos);
    CHECK(ask(endpoints.control, "stop").find("stopping") != std::string::npos);
    REQUIRE(running.core->wait(10 * kSecond));
    CHECK(running.core->phase() == Phase::kStopped);
}
