// Nothing that a peer sends breaks the venue, and an engine that dies anywhere is told the rest.
#include "gm/runtime/venue_server.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/memory_network.hpp"
#include "venue/driver.hpp"

namespace {

using namespace gm;

const std::string kFeed = "ipc:///tmp/gm-venue-server-test-feed";
const std::string kOrders = "ipc:///tmp/gm-venue-server-test-orders";
constexpr std::uint8_t kTape = 5;
constexpr int kPatience = 5'000;  // polls of a millisecond

std::vector<TapeRow> tape_of(std::int64_t bars) {
    std::vector<TapeRow> rows;
    for (std::int64_t i = 0; i < bars; ++i) rows.push_back(venue_test::bar(i, 100, 110, 90, 100));
    return rows;
}

class Running {
 public:
    explicit Running(std::int64_t bars, std::int64_t speed_permille = 0,
                     std::uint64_t history_rows = 0, bool runs = true)
        : tape_(tape_of(bars)) {
        VenueSettings with = venue_test::settings();
        with.partial_fill_ppm = 300'000;
        REQUIRE(venue.open(with, venue_test::instrument(), tape_).is_ok());
        VenueServerSettings settings;
        settings.feed_endpoint = kFeed;
        settings.orders_endpoint = kOrders;
        settings.tape_id[0] = kTape;
        settings.speed_permille = speed_permille;
        settings.history_rows = history_rows;
        settings.linger_ns = 1'000'000;
        REQUIRE(server.open(zmq, &network, settings, venue).is_ok());
        if (runs) thread_ = std::thread([this] { failure = server.run(); });
    }
    ~Running() {
        server.stop();
        join();
    }
    void join() {
        if (thread_.joinable()) thread_.join();
    }

    test::MemoryNetwork network;
    ZmqTable zmq = test::MemoryNetwork::table();
    Venue venue;
    VenueServer server;
    Failure failure;

 private:
    std::vector<TapeRow> tape_;
    std::thread thread_;
};

// What an engine has consumed; it outlives the engine.
struct Memory {
    std::uint32_t epoch = 0;
    std::uint64_t feed = 0;
    std::uint64_t reply = 0;
    std::int64_t position = 0;
    bool has_ended = false;
};

class Engine {
 public:
    Engine(Running& running, Memory& memory) : memory_(memory), zmq_(running.zmq) {
        ++memory_.epoch;
        REQUIRE(feed_.open(running.zmq, &running.network, SocketKind::kSub, {}).is_ok());
        REQUIRE(orders_.open(running.zmq, &running.network, SocketKind::kDealer, {}).is_ok());
        REQUIRE(feed_.connect(kFeed).is_ok());
        REQUIRE(orders_.connect(kOrders).is_ok());
    }

    void send_bytes(std::span<const std::uint8_t> bytes) { (void)orders_.send(bytes); }
    template <typename P>
    void send(RecordType type, const P& payload) {
        Slot slot = make_slot(type, Source::kEngine, 1, 0, payload);
        slot.header.epoch = memory_.epoch;
        std::array<std::uint8_t, kOneRecordFrameSize> bytes{};
        send_bytes(encode_frame(slot, bytes));
    }
    Welcome hello(std::uint8_t tape = 0) {
        Hello hello{};
        hello.last_feed_sequence = memory_.feed;
        hello.last_reply_sequence = memory_.reply;
        hello.epoch = memory_.epoch;
        hello.connection = 1;
        hello.tape_id[0] = tape;
        send(RecordType::kHello, hello);
        Slot slot{};
        while (slot.type() != RecordType::kWelcome) slot = receive();
        return slot.as<Welcome>();
    }
    void recover() {
        const Welcome welcome = hello();
        REQUIRE(welcome.refused == 0);
        while (memory_.reply < welcome.last_reply_sequence) take(receive());
        send(RecordType::kReady, Ready{memory_.feed, memory_.reply, {}});
    }
    void order(std::int64_t lots) {
        NewOrder order = venue_test::order(++counter_, lots > 0 ? Side::kBuy : Side::kSell,
                                           lots > 0 ? lots : -lots);
        order.id.epoch = memory_.epoch;
        send(RecordType::kNewOrder, order);
        ++orders_sent_;
    }
    // The next frame of either socket.
    Slot receive() {
        std::array<std::uint8_t, kOneRecordFrameSize> bytes{};
        for (int i = 0; i < kPatience; ++i) {
            for (Socket* socket : {&orders_, &feed_}) {
                if (socket->receive(bytes).result != IoResult::kDone) continue;
                Slot slot{};
                std::memcpy(&slot, bytes.data(), bytes.size());
                if (slot.type() == RecordType::kReplayEnd) last_end = slot.as<ReplayEnd>();
                return slot;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        FAIL("the venue is silent");
        return {};
    }
    bool has_message() {
        ZmqPollItem items[] = {orders_.poll_item(), feed_.poll_item()};
        return poll_sockets(zmq_, items, 0) > 0;
    }
    void take(const Slot& slot) {
        consume(slot);
        done();
    }
    void consume(const Slot& slot) {
        const bool is_feed = slot.header.source == static_cast<std::uint16_t>(Source::kVenueFeed);
        std::uint64_t& last = is_feed ? memory_.feed : memory_.reply;
        if (slot.type() == RecordType::kHeartbeat || slot.header.first_sequence <= last) return;
        REQUIRE(slot.header.first_sequence == ++last);
        if (slot.type() == RecordType::kEnd) memory_.has_ended = true;
        if (slot.type() == RecordType::kBarClose) order(memory_.feed % 3 == 0 ? -2 : 3);
        if (slot.type() != RecordType::kFill) return;
        const auto fill = slot.as<Fill>();
        memory_.position += (fill.side == Side::kBuy ? 1 : -1) * fill.quantity_lots;
    }
    ReplayEnd last_end{};
    void done() { send(RecordType::kDone, Done{memory_.feed, memory_.reply, orders_sent_, {}}); }

 private:
    Memory& memory_;
    ZmqTable zmq_;
    Socket feed_;
    Socket orders_;
    std::uint64_t counter_ = 0;
    std::uint64_t orders_sent_ = 0;
};

void live(Running& running, Memory& memory) {
    Engine engine(running, memory);
    engine.recover();
    while (!memory.has_ended) engine.take(engine.receive());
}

}  // namespace

TEST_CASE("a session runs to its end and the server finishes") {
    Running running(20);
    Memory memory;
    live(running, memory);
    running.join();
    CHECK(running.failure.is_ok());
    CHECK(running.server.is_finished());
    CHECK(memory.feed == 41);
    CHECK(memory.position == running.venue.ledger().totals().position_lots);
    CHECK(running.server.counters().order_gaps == 0);
    CHECK(running.server.counters().frame_faults[1] == 0);
}

TEST_CASE("an engine that dies before, within and after a step misses and repeats nothing") {
    for (int step = 1; step < 40; step += 3) {
        for (int point = 0; point < 3; ++point) {
            Running running(8);
            Memory memory;
            bool has_answered = false;  // the END
            {
                Engine engine(running, memory);
                engine.recover();
                for (int i = 1; i < step && !memory.has_ended; ++i) engine.take(engine.receive());
                has_answered = memory.has_ended || point > 1;
                if (!memory.has_ended && point > 0) engine.consume(engine.receive());
                if (point > 1) engine.done();
            }
            if (!memory.has_ended) {
                live(running, memory);
            } else if (!has_answered) {
                Engine engine(running, memory);  // it died before the DONE of END
                engine.recover();
            }
            running.join();
            CHECK(running.server.is_finished());
            CHECK(memory.position == running.venue.ledger().totals().position_lots);
        }
    }
}

TEST_CASE("random bytes, random payloads and messages before HELLO change nothing") {
    Running running(10);
    Memory stranger_memory;
    Engine stranger(running, stranger_memory);
    std::mt19937_64 random(4);
    for (int i = 0; i < 2'000; ++i) {
        std::array<std::uint8_t, kOneRecordFrameSize> bytes{};
        for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
        if (i % 2 == 0) {  // a header that passes, a payload that is noise
            Slot slot = make_slot(static_cast<RecordType>(31 + random() % 5), Source::kEngine, 1, 0,
                                  Ready{});
            slot.header.epoch = static_cast<std::uint32_t>(random() % 3);
            std::memcpy(bytes.data(), &slot.header, sizeof slot.header);
        }
        stranger.send_bytes({bytes.data(), i % 7 == 0 ? random() % bytes.size() : bytes.size()});
    }
    Memory memory;
    live(running, memory);
    running.join();
    CHECK(running.failure.is_ok());
    CHECK(memory.position == running.venue.ledger().totals().position_lots);
    CHECK(running.server.counters().frame_faults[1] > 0);
    CHECK(running.server.counters().foreign_messages > 0);
    CHECK(running.server.counters().sessions == 1);
}

TEST_CASE("noise from the engine itself is answered or dropped, and the books stay sound") {
    Running running(10);
    Memory memory;
    Engine engine(running, memory);
    engine.recover();
    std::mt19937_64 random(9);
    for (int i = 0; i < 500; ++i) {
        NewOrder order{};
        auto* bytes = reinterpret_cast<std::uint8_t*>(&order);
        for (std::size_t k = 0; k < sizeof order; ++k)
            bytes[k] = static_cast<std::uint8_t>(random());
        engine.send(i % 3 == 0   ? RecordType::kNewOrder
                    : i % 3 == 1 ? RecordType::kCancelOrder
                                 : RecordType::kQueryOrder,
                    order);
    }
    while (!memory.has_ended) engine.take(engine.receive());
    running.join();
    CHECK(running.failure.is_ok());
    CHECK(running.server.counters().order_gaps > 0);  // it never counted its noise
    const LedgerTotals& totals = running.venue.ledger().totals();
    CHECK(totals.orders == totals.accepted + totals.rejected);
    CHECK(memory.position == totals.position_lots);
}

TEST_CASE("an older engine and a foreign tape are refused, the newest goes on") {
    Running running(2);
    Memory memory{.epoch = 6};
    Engine newest(running, memory);  // epoch 7
    newest.recover();
    Memory old{.epoch = 2};
    CHECK(Engine(running, old).hello().refused ==
          static_cast<std::uint32_t>(RejectReason::kOldEpoch));
    Memory twin{.epoch = 6};
    CHECK(Engine(running, twin).hello().refused ==
          static_cast<std::uint32_t>(RejectReason::kOldConnection));
    Memory foreign{.epoch = 8};
    CHECK(Engine(running, foreign).hello(kTape + 1).refused ==
          static_cast<std::uint32_t>(RejectReason::kForeignTape));
    while (!memory.has_ended) newest.take(newest.receive());
    running.join();
    CHECK(running.server.counters().refused_sessions == 3);
    CHECK(running.server.counters().sessions == 1);
}

TEST_CASE("free-running waits for nobody and ends") {
    Running running(20, 1'000'000'000);
    Memory memory;
    Engine engine(running, memory);
    CHECK(engine.hello().lockstep == 0);
    engine.send(RecordType::kReady, Ready{});
    while (!memory.has_ended) engine.consume(engine.receive());
    running.join();
    CHECK(running.server.is_finished());
    CHECK(memory.feed == 41);
}

TEST_CASE("free-running: after HELLO the feed is silent until READY, then tells all in order") {
    Running running(20, 1'000'000'000, 0, false);
    Memory memory;
    Engine engine(running, memory);
    engine.send(RecordType::kHello, Hello{.epoch = 1, .connection = 1});
    engine.send(RecordType::kReady, Ready{});
    std::int64_t now_ns = 0;
    for (int turns = 0; turns < 5; ++turns) REQUIRE(running.server.turn(now_ns += 100'000));
    while (engine.has_message()) engine.consume(engine.receive());
    CHECK(memory.feed > 0);
    engine.send(RecordType::kHello, Hello{memory.feed, memory.reply, 1, 2, {}, {}});
    const std::uint64_t begin = running.venue.last_feed_sequence();
    for (int turns = 0; turns < 5; ++turns) REQUIRE(running.server.turn(now_ns += 100'000));
    CHECK(running.venue.last_feed_sequence() > begin);  // it waits for nobody
    const std::uint64_t consumed = memory.feed;
    while (engine.has_message()) engine.consume(engine.receive());  // WELCOME and replies
    CHECK(memory.feed == consumed);
    engine.send(RecordType::kReady, Ready{memory.feed, memory.reply, {}});
    while (running.server.turn(now_ns += 100'000)) {
        while (engine.has_message()) engine.consume(engine.receive());
    }
    CHECK(memory.feed == 41);
}

TEST_CASE("free-running: the venue stays until who listens has been sent all of it") {
    constexpr std::int64_t kLater = 1'000'000'000'000;
    Running running(400, 1'000'000'000, 0, false);
    Memory memory;
    Engine engine(running, memory);
    engine.send(RecordType::kHello, Hello{.epoch = 1, .connection = 1});
    engine.send(RecordType::kReady, Ready{});
    REQUIRE(running.server.turn(0));
    // The whole tape while nobody is ready.
    engine.send(RecordType::kHello, Hello{.epoch = 1, .connection = 2});
    while (!running.venue.is_ended()) REQUIRE(running.server.turn(kLater));
    engine.send(RecordType::kReady, Ready{});
    REQUIRE(running.server.turn(kLater));
    int hour = 2;
    for (; !memory.has_ended; ++hour) {
        REQUIRE(running.server.turn(hour * kLater));
        while (engine.has_message()) engine.consume(engine.receive());
    }
    while (running.server.turn(hour * kLater)) REQUIRE(++hour < 100);  // the orders are read first
    CHECK(running.server.is_finished());
    CHECK(memory.feed == 801);
}

namespace {

// A page of a replay: its bars, and the record that ends it.
std::vector<BarClose> page_of(Engine& engine, const FeedReplay& request, ReplayEnd& end) {
    engine.send(RecordType::kFeedReplay, request);
    std::vector<BarClose> bars;
    for (Slot slot = engine.receive(); slot.type() != RecordType::kReplayEnd;
         slot = engine.receive()) {
        if (slot.type() != RecordType::kReplayedBar) continue;  // a heartbeat
        REQUIRE(slot.header.first_sequence == 0);
        REQUIRE(slot.header.count == 1);
        bars.push_back(slot.as<BarClose>());
    }
    end = engine.last_end;
    return bars;
}

}  // namespace

TEST_CASE("an engine that comes late joins the feed and is given what was before") {
    Running running(20, 1'000'000'000, 7);
    Memory memory;
    Engine engine(running, memory);
    const Welcome welcome = engine.hello();
    CHECK(welcome.last_feed_sequence == 14);
    FeedReplay request{};
    request.request = 77;
    request.after_ts_ns = INT64_MIN;
    request.before_ts_ns = INT64_MAX;
    request.minutes_max = 1;
    request.connection = 1;
    ReplayEnd end{};
    const auto newest = page_of(engine, request, end);
    REQUIRE(newest.size() == 1);
    CHECK(newest[0].start_ts_ns == venue_test::kStartNs + 6 * venue_test::kBarNs);
    CHECK(end.request == 77);
    CHECK(end.bars == 1);
    CHECK(end.cursor == 0);
    request.connection = 2;  // of a connection that is not this one
    request.minutes_max = 100;
    CHECK(page_of(engine, request, end).empty());
    memory.feed = 14;
    engine.send(RecordType::kReady, Ready{14, 0, {}});
    while (!memory.has_ended) engine.consume(engine.receive());
    running.join();
    CHECK(memory.feed == 41);
    CHECK(running.server.counters().replayed_bars == 1);
    CHECK(running.server.counters().order_gaps == 0);
}

TEST_CASE("in lockstep nobody joins late") {
    Running running(5);
    Memory memory;
    Engine engine(running, memory);
    engine.recover();
    engine.take(engine.receive());
    FeedReplay request{};
    request.before_ts_ns = INT64_MAX;
    request.minutes_max = 100;
    request.connection = 1;
    engine.send(RecordType::kFeedReplay, request);
    bool has_end = false;
    while (!memory.has_ended) {
        const Slot slot = engine.receive();
        has_end |= slot.type() == RecordType::kReplayEnd;
        CHECK(slot.type() != RecordType::kReplayedBar);
        if (slot.type() != RecordType::kReplayEnd) engine.take(slot);
    }
    CHECK(has_end);
    running.join();
    VenueServer server;
    VenueServerSettings settings;
    settings.history_rows = 3;
    CHECK(server.open(running.zmq, &running.network, settings, running.venue).text ==
          "history_rows must be 0 in lockstep, where the tape itself warms up: 3");
}

TEST_CASE("a speed out of range is refused with its value") {
    VenueServer server;
    Venue venue;
    test::MemoryNetwork network;
    VenueServerSettings settings;
    settings.speed_permille = -1;
    CHECK(server.open(test::MemoryNetwork::table(), &network, settings, venue).text ==
          "speed_permille must be 0 to 1000000000: -1");
}

TEST_CASE("a HELLO that covers END is enough: the engine may leave without READY") {
    Running running(2);
    Memory memory;
    {
        Engine engine(running, memory);
        engine.recover();
        while (!memory.has_ended) {
            engine.consume(engine.receive());
            if (!memory.has_ended) engine.done();
        }
    }
    Engine(running, memory).hello();
    running.join();
    CHECK(running.server.is_finished());
}
