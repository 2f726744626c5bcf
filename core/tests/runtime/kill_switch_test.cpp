// A running engine obeys a raised word, latches it, and starts from it; two people bring it down by
// one step and no further.
#include "gm/runtime/kill_switch.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::RunningCore;
using test::RunningVenue;
using test::wave_tape;
using enum KillLevel;

LatchReading latch_of(const TemporaryFolder& folder) {
    LatchReading reading;
    REQUIRE(read_latch(folder.path(), reading).is_ok());
    return reading;
}

std::string words_path(const TemporaryFolder& folder) {
    return folder / "r/kill";
}

// Raises from outside, as another process does, and waits for the answer.
void raise(RunningCore& running, const TemporaryFolder& folder, KillLevel level,
           std::size_t word = 0) {
    KillWords words;
    REQUIRE(words.open(words_path(folder)).is_ok());
    REQUIRE(words.write_text("ada", "a test").is_ok());
    const std::uint64_t ticket = words.raise(word, level, KillCause::kOrdered);
    REQUIRE(running.wait_until([&] { return words.confirmed(word) >= ticket; }));
}

ClearOrder clear_of(const TemporaryFolder& folder, KillLevel level) {
    const KillRecord record = latch_of(folder).record;
    ClearOrder order;
    order.latch_id = record.latch_id;
    order.sequence = record.sequence;
    order.level = level;
    order.signatures_sha256 = {9, 9};
    return order;
}

void trade_a_while(RunningCore& running, std::uint64_t orders) {
    REQUIRE(running.wait_until([&] { return running.status().engine.orders > orders; }));
}

// The page may be of before a raise: what counts is the first that shows the level.
std::uint64_t orders_at(RunningCore& running, KillLevel level) {
    StatusReading status{};
    REQUIRE(running.wait_until([&] {
        status = running.status();
        return status.instruments[0].kill_level == static_cast<std::uint64_t>(level);
    }));
    return status.engine.orders;
}

void check_replay(const TemporaryFolder& folder) {
    ReplayReport report;
    const Failure replayed = replay_run(folder.path(), folder / "copy", report);
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);
    std::filesystem::remove_all(folder / "copy");
}

// Raises on the io thread, when a certain event of the feed comes: after the look at the words,
// before the order that follows from the event is sent. Notes at which events orders were sent. By
// the number of the event: a venue that hears nothing for a while sends it again.
struct Trap {
    static inline KillWords* words = nullptr;
    static inline std::uint64_t at_event = 0;
    static inline std::uint64_t last_event = 0;
    static inline std::vector<std::uint64_t> order_events;

    static RecordHeader header_of(const void* data, std::size_t size) {
        RecordHeader header{};
        if (size >= sizeof header) std::memcpy(&header, data, sizeof header);
        return header.magic == kMagic ? header : RecordHeader{};
    }
    static void on_received(const RecordHeader& header) {
        const bool is_feed = header.source == static_cast<std::uint16_t>(Source::kVenueFeed);
        if (!is_feed || header.first_sequence <= last_event) return;
        last_event = header.first_sequence;
        if (last_event == at_event) words->raise(0, kKilled, KillCause::kOrdered);
    }
    static void set(ZmqTable& zmq, KillWords* of, std::uint64_t event) {
        words = of;
        at_event = event;
        last_event = 0;
        order_events.clear();
        zmq.recv = [](void* socket, void* data, std::size_t size, int flags) {
            const int got = test::MemoryNetwork::table().recv(socket, data, size, flags);
            if (got > 0) on_received(header_of(data, static_cast<std::size_t>(got)));
            return got;
        };
        zmq.send = [](void* socket, const void* data, std::size_t size, int flags) {
            const auto type = static_cast<std::uint16_t>(RecordType::kNewOrder);
            if (header_of(data, size).type == type) order_events.push_back(last_event);
            return test::MemoryNetwork::table().send(socket, data, size, flags);
        };
    }
};

std::size_t count_of(const TemporaryFolder& folder, RecordType type) {
    const auto journal = test::read_journal(folder.path());
    return static_cast<std::size_t>(
        std::ranges::count_if(journal, [&](const Slot& slot) { return slot.type() == type; }));
}

}  // namespace

TEST_CASE("a raised word stops all orders, is latched before it is confirmed, and survives") {
    for (const Driver driver : {Driver::kInline, Driver::kThreaded}) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        RunningVenue venue(network, folder.path(), wave_tape(100'000));
        {
            RunningCore running;
            running.start(network, folder.path(), driver);
            trade_a_while(running, 3);
            raise(running, folder, kKilled);
            const KillRecord record = latch_of(folder).record;
            CHECK(record.level() == kKilled);
            CHECK(record.latch_id != std::array<std::uint8_t, 16>{});
            CHECK(record.cause == KillCause::kOrdered);
            CHECK(std::string(record.text.author) == "ada");
            const std::uint64_t orders = orders_at(running, kKilled);
            const std::uint64_t seen = running.status().engine.last_feed_sequence;
            REQUIRE(running.wait_until([&] {
                const EngineStatus status = running.status().engine;
                return status.last_feed_sequence > seen + 300 && status.open_orders == 0;
            }));
            CHECK(running.status().engine.orders == orders);
            CHECK(running.status().engine.refusals[1] > 0);
            CHECK(running.status().engine.bad_transitions == 0);
            running.stop();
        }
        const std::array<std::uint8_t, 16> id = latch_of(folder).record.latch_id;
        const std::uint64_t sequence = latch_of(folder).record.sequence;
        for (const bool is_rebooted : {false, true}) {
            if (is_rebooted) std::filesystem::remove(words_path(folder));
            RunningCore running;
            running.start(network, folder.path(), driver);
            const std::uint64_t seen = running.status().engine.last_feed_sequence;
            REQUIRE(running.wait_until([&] {
                const StatusReading status = running.status();
                return status.engine.last_feed_sequence > seen + 100 &&
                       status.instruments[0].kill_level == 3;
            }));
            running.stop();
            CHECK(latch_of(folder).record.latch_id == id);
            CHECK(latch_of(folder).record.sequence == sequence);  // a start writes nothing new
        }
        check_replay(folder);
    }
}

TEST_CASE("an order between the gate and the send when the word rises is NEVER, and nowhere else") {
    std::vector<std::uint64_t> order_events;
    for (int turn = 0; turn < 2; ++turn) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        KillWords words;
        REQUIRE(make_folder(folder / "r").is_ok());
        REQUIRE(words.open(words_path(folder)).is_ok());
        RunningVenue venue(network, folder.path(), wave_tape());
        RunningCore running;
        Trap::set(running.zmq, &words, turn == 0 ? 0 : order_events[5]);
        running.start(network, folder.path());
        running.wait_for_end();
        venue.join();
        running.stop();
        std::size_t never = 0;
        for (const Slot& slot : test::read_journal(folder.path())) {
            if (slot.type() != RecordType::kOrderUpdate) continue;
            const auto update = slot.as<OrderUpdate>();
            if (update.state != OrderState::kNever) continue;
            ++never;
            CHECK(update.previous == OrderState::kSent);
            CHECK(update.tombstoned == 0);
            CHECK(std::ranges::none_of(venue.venue.ledger().orders(),
                                       [&](const LedgerOrder& o) { return o.id == update.id; }));
        }
        CHECK(running.status().engine.bad_transitions == 0);
        CHECK(running.status().engine.open_orders == 0);
        check_replay(folder);
        if (turn == 0) {
            order_events = Trap::order_events;
            REQUIRE(order_events.size() > 8);
            CHECK(never == 0);
            continue;
        }
        CHECK(never == 1);
        CHECK(Trap::order_events.size() == 5);
        CHECK(venue.venue.ledger().totals().orders == 5);
        CHECK(count_of(folder, RecordType::kOrderStopped) == 1);
        CHECK(count_of(folder, RecordType::kKill) == 1);
    }
}

TEST_CASE("the journal behind the latch, or none at all: the latch holds the level") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    REQUIRE(make_folder(folder / "r").is_ok());
    REQUIRE(raise_without_engine(folder.path(), words_path(folder), 0, kHalted, 7).is_ok());
    std::filesystem::remove(words_path(folder));
    RunningVenue venue(network, folder.path(), wave_tape(200));
    RunningCore running;
    running.start(network, folder.path());
    running.wait_for_end();
    venue.join();
    running.stop();
    CHECK(running.status().engine.orders == 0);
    CHECK(running.status().instruments[0].kill_level == 2);
    CHECK(count_of(folder, RecordType::kKill) == 1);
    check_replay(folder);
}

TEST_CASE("a latch that leaves doubt starts KILLED, under a latch that people can clear") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(300));
    KillRecord record;
    REQUIRE(write_latch(folder.path(), record).is_ok());
    std::filesystem::resize_file(folder / "latch.a", 100);
    RunningCore running;
    running.start(network, folder.path());
    CHECK(latch_of(folder).is_in_step);
    CHECK(latch_of(folder).record.level() == kKilled);
    CHECK(latch_of(folder).record.cause == KillCause::kLatchDoubt);
    CHECK(latch_of(folder).record.latch_id != std::array<std::uint8_t, 16>{});
    running.wait_for_end();
    venue.join();
    running.stop();
    CHECK(running.status().engine.orders == 0);
}

TEST_CASE("a clear falls by one step, and only from the latch that was signed for") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(20'000));
    RunningCore running;
    running.start(network, folder.path());
    trade_a_while(running, 3);
    raise(running, folder, kKilled);
    raise(running, folder, kHalted, 1);
    const auto refused = [&](const ClearOrder& order) {
        return running.core->clear_kill(order).text;
    };
    ClearOrder other = clear_of(folder, kHalted);
    other.latch_id[0] ^= 1U;
    CHECK(refused(other).find("another latch") != std::string::npos);
    other = clear_of(folder, kHalted);
    --other.sequence;
    CHECK(refused(other).find("written anew") != std::string::npos);
    CHECK(refused(clear_of(folder, kReducing)) == "a level falls by one: from killed to halted");
    CHECK(refused(clear_of(folder, kActive)).find("by one") != std::string::npos);
    CHECK(latch_of(folder).record.level() == kKilled);

    const std::uint64_t orders = orders_at(running, kKilled);
    for (const KillLevel level : {kHalted, kReducing, kActive}) {
        const ClearOrder order = clear_of(folder, level);
        REQUIRE(running.core->clear_kill(order).is_ok());
        REQUIRE(running.wait_until([&] { return !running.core->is_kill_falling(); }));
        CHECK(latch_of(folder).record.level() == level);
        CHECK(latch_of(folder).record.signatures_sha256 == order.signatures_sha256);
        CHECK_FALSE(running.core->clear_kill(order).is_ok());  // once is once
        if (level == kHalted) CHECK(running.status().engine.orders == orders);
    }
    KillWords words;
    REQUIRE(words.open(words_path(folder)).is_ok());
    CHECK(words.level_for(0) == kActive);
    CHECK(latch_of(folder).record.latch_id == std::array<std::uint8_t, 16>{});
    CHECK(running.core->clear_kill(clear_of(folder, kActive)).text == "nothing is latched");
    trade_a_while(running, orders);
    const std::array<std::uint8_t, 16> none{};
    raise(running, folder, kReducing);
    CHECK(latch_of(folder).record.latch_id != none);
    running.stop();
    check_replay(folder);
    // Two words fell from HALTED to REDUCING together.
    CHECK(count_of(folder, RecordType::kKill) == 2 + 1 + 2 + 2 + 1);
}

TEST_CASE("the latch waits for the journal, and the confirmation for the latch") {
    const TemporaryFolder folder;
    KillSwitch kill;
    REQUIRE(kill.open(folder.path(), folder / "kill", 1, 7).is_ok());
    const std::uint64_t ticket = kill.words().raise(0, kHalted, KillCause::kOrdered);
    Kill change{};
    REQUIRE(kill.next_change(change));
    CHECK(change.level == kHalted);
    kill.told(change);
    CHECK_FALSE(kill.next_change(change));
    REQUIRE(kill.attend(1000).is_ok());  // where it lies in the journal is not known yet
    CHECK_FALSE(latch_of(folder).is_there);
    kill.latch_behind(10);
    REQUIRE(kill.attend(9).is_ok());
    CHECK_FALSE(latch_of(folder).is_there);
    CHECK(kill.words().confirmed(0) < ticket);
    REQUIRE(kill.attend(10).is_ok());
    CHECK(latch_of(folder).record.level() == kHalted);
    CHECK(kill.words().confirmed(0) == ticket);
    // A raise while a fall is under way: the word stands, and the engine is told anew.
    ClearOrder order = clear_of(folder, kReducing);
    REQUIRE(kill.order_fall(order).empty());
    CHECK(kill.order_fall(order).find("under way") != std::string::npos);
    REQUIRE(kill.next_fall(change));
    CHECK(change.level == kReducing);
    CHECK_FALSE(kill.next_fall(change));
    kill.words().raise(0, kReducing, KillCause::kOrdered);
    kill.latch_behind(20);
    kill.advance_fall();
    CHECK(kill.is_falling());  // not before the latch has it
    REQUIRE(kill.attend(20).is_ok());
    CHECK(latch_of(folder).record.level() == kReducing);
    kill.advance_fall();
    CHECK_FALSE(kill.is_falling());
    CHECK(kill.words().word(0).level == kHalted);
    REQUIRE(kill.next_change(change));
    CHECK(change.level == kHalted);
    kill.told(change);
    kill.latch_behind(30);
    REQUIRE(kill.attend(30).is_ok());
    CHECK(latch_of(folder).record.level() == kHalted);
    // And one between the signatures and the fall.
    REQUIRE(kill.order_fall(clear_of(folder, kReducing)).empty());
    kill.words().raise(0, kHalted, KillCause::kSignal);
    REQUIRE(kill.next_change(change));
    kill.told(change);
    CHECK_FALSE(kill.next_fall(change));
    CHECK_FALSE(kill.is_falling());
}

// The engine consumed the fall, and the process died before the latch had it.
TEST_CASE("a word that stands above the engine is told as a raise, even one that has fallen") {
    const TemporaryFolder folder;
    KillSwitch kill;
    REQUIRE(kill.open(folder.path(), folder / "kill", 1, 7).is_ok());
    kill.words().raise(1, kHalted, KillCause::kOrdered);
    REQUIRE(kill.words().lower(1, kill.words().word(1), kReducing));
    test::Rig rig;
    kill.meet(*rig.engine);
    Kill change{};
    REQUIRE(kill.next_change(change));
    rig.io(RecordType::kKill, change);
    CHECK(rig.engine->kill_level(0) == kReducing);
    kill.told(change);
    CHECK_FALSE(kill.next_change(change));
    kill.words().raise(1, kReducing, KillCause::kOrdered);
    CHECK(kill.next_change(change));  // and a raise behind it is not swallowed
}

TEST_CASE("whoever attends to the latch at the same time, one record is written") {
    for (int round = 0; round < 100; ++round) {
        const TemporaryFolder folder;
        std::filesystem::create_directory(folder / "r");
        KillSwitch kill;
        REQUIRE(kill.open(folder.path(), words_path(folder), 1, 7).is_ok());
        kill.words().raise(0, kReducing, KillCause::kLimits);
        Kill told{};
        REQUIRE(kill.next_change(told));
        kill.told(told);
        kill.latch_behind(0);
        // The journal thread, and the one that opens.
        std::latch both(2);
        const auto attend = [&](Failure& out) {
            both.arrive_and_wait();
            out = kill.attend(0);
        };
        Failure own;
        Failure other;
        std::thread beside(attend, std::ref(other));
        attend(own);
        beside.join();
        CHECK(own.is_ok());
        CHECK(other.is_ok());
        const LatchReading latch = latch_of(folder);
        CHECK_MESSAGE(latch.doubt.empty(), latch.doubt);
        CHECK(latch.record.sequence == 1);
        CHECK(kill.latched().latch_id == latch.record.latch_id);
    }
}

TEST_CASE("a reconciliation is fresh when every order's fate is known and no event is missing") {
    EngineView view;
    for (const EngineState state :
         {EngineState::kReady, EngineState::kRecovering, EngineState::kEnded}) {
        view.state = state;
        view.awaiting_queries = 0;
        CHECK(view.is_reconciled());
        view.awaiting_queries = 1;
        CHECK_FALSE(view.is_reconciled());
    }
    view.awaiting_queries = 0;
    view.is_gapped = true;
    CHECK_FALSE(view.is_reconciled());
    view.is_gapped = false;
    for (const Awaited awaited : {Awaited::kReconBreak, Awaited::kBackfill, Awaited::kAccount}) {
        view.awaited = awaited;  // books that were not compared, or differ
        CHECK_FALSE(view.is_reconciled());
    }
    view.awaited = Awaited::kIds;
    CHECK(view.is_reconciled());
    view.awaited = Awaited::kNothing;
    CHECK(view.is_reconciled());
    view.state = EngineState::kStopping;
    CHECK_FALSE(view.is_reconciled());
}

TEST_CASE("a fall waits until the reconciliation is fresh") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningCore running;
    running.start(network, folder.path());  // no venue: nobody knows anything
    raise(running, folder, kReducing);
    REQUIRE(running.core->clear_kill(clear_of(folder, kActive)).is_ok());
    CHECK_FALSE(running.core->wait(test::kSecond / 10));
    CHECK(running.core->is_kill_falling());
    CHECK(latch_of(folder).record.level() == kReducing);
    RunningVenue venue(network, folder.path(), wave_tape(100'000));
    REQUIRE(running.wait_until([&] { return !running.core->is_kill_falling(); }));
    CHECK(latch_of(folder).record.level() == kActive);
    running.stop();
}

TEST_CASE("unclean starts in a row end in HALTED, and restart_policy may say so at the first") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    const auto begin = [&](std::uint32_t starts, bool halts, std::int64_t window_ns) {
        RunningCore running;
        CoreSettings settings;
        settings.run_dir = folder.path();
        settings.runtime_directory = folder / "r";
        settings.journal_segment_bytes = 1U << 20;
        settings.crash_loop_starts = starts;
        settings.crash_loop_window_ns = window_ns;
        settings.halts_after_unclean = halts;
        const auto block = test::settings_block(test::make_settings());
        const Failure failure = running.core->open(block, settings, running.zmq, &network);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        running.core->close();  // without a kStop: unclean
        return latch_of(folder).record;
    };
    constexpr std::int64_t kLong = 3600 * test::kSecond;
    CHECK(begin(3, false, kLong).level() == kActive);  // the first start of all is none
    CHECK(begin(3, false, kLong).level() == kActive);
    CHECK(begin(3, false, kLong).level() == kActive);
    SUBCASE("the third unclean start in the window") {
        const KillRecord record = begin(3, false, kLong);
        CHECK(record.level() == kHalted);
        CHECK(record.cause == KillCause::kCrashLoop);
        CHECK(begin(3, false, kLong).latch_id == record.latch_id);
    }
    SUBCASE("outside the window") {
        CHECK(begin(3, false, 1).level() == kActive);
    }
    SUBCASE("switched off") {
        CHECK(begin(0, false, kLong).level() == kActive);
    }
    SUBCASE("restart_policy halted") {
        CHECK(begin(0, true, kLong).cause == KillCause::kRestart);
        CHECK(latch_of(folder).record.level() == kHalted);
    }
}
