// An order leaves on the connection it was made for or not at all, and no record is stepped twice.
#include "gm/runtime/venue_session.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>

#include "journal/journal_fixture.hpp"
#include "runtime/session_fixture.hpp"

namespace {

using namespace gm;
using test::Bytes;
using test::FakeSocket;
using test::frame_of;
using test::kMillisecond;
using Fixture = test::SessionFixture;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a connection begins with HELLO, which says what was consumed") {
    settings.last_feed_sequence = 17;
    settings.last_reply_sequence = 5;
    settings.tape_id[0] = 9;
    open();
    REQUIRE(advance());
    REQUIRE(orders().sent.size() == 1);
    const Frame first = sent(0);
    CHECK(first.type() == RecordType::kHello);
    const auto hello = first.slot(0, 0).as<Hello>();
    CHECK(hello.last_feed_sequence == 17);
    CHECK(hello.last_reply_sequence == 5);
    CHECK(hello.epoch == 3);
    CHECK(hello.connection == 1);
    CHECK(hello.tape_id[0] == 9);
}

TEST_CASE_FIXTURE(Fixture, "a venue that is not there yet is waited for on one connection") {
    context.takes_messages = false;
    open();
    for (int i = 0; i < 5'000; ++i) REQUIRE(advance());
    CHECK(session.connection() == 1);
    CHECK(session.phase() == SessionPhase::kHello);
    orders().takes_messages = true;
    REQUIRE(advance());
    CHECK(session.phase() == SessionPhase::kWelcome);
}

TEST_CASE_FIXTURE(Fixture, "replies sent again are taken before the engine is told") {
    settings.last_reply_sequence = 5;
    open();
    REQUIRE(advance());
    welcome(0, 7);
    reply(6);
    reply(7);
    CHECK(receive_reply() == FrameUse::kIgnored);
    CHECK_FALSE(session.must_announce());
    CHECK(receive_reply() == FrameUse::kRecords);
    CHECK_FALSE(session.must_announce());
    CHECK(receive_reply() == FrameUse::kRecords);
    CHECK(session.must_announce());
    CHECK(session.last_reply_sequence() == 7);
    CHECK(receive_reply() == FrameUse::kNothing);
}

TEST_CASE_FIXTURE(Fixture, "what the feed said before READY, and nobody has read yet, is no hole") {
    open();
    connect();
    trade(40);
    trade(41);
    REQUIRE(session.send(make_slot(RecordType::kReady, Source::kEngine, 1, 0, Ready{})));
    trade(1);
    CHECK(receive_feed() == FrameUse::kRecords);
    CHECK(session.last_feed_sequence() == 1);
    CHECK(session.counters().sequence_gaps == 0);
    trade(3);  // and behind it a hole is one
    CHECK(receive_feed() == FrameUse::kLost);
}

TEST_CASE_FIXTURE(Fixture, "no new order leaves before READY, and queries do") {
    open();
    connect();
    const std::size_t before = orders().sent.size();
    REQUIRE(send_order(1));
    CHECK(orders().sent.size() == before);
    CHECK(session.counters().orders_dropped == 1);
    QueryOrder query{};
    query.connection = 1;
    REQUIRE(session.send(make_slot(RecordType::kQueryOrder, Source::kEngine, 3, 0, query)));
    CHECK(orders().sent.size() == before + 1);
}

TEST_CASE_FIXTURE(Fixture, "an order of an older connection is dropped for ever") {
    open();
    ready();
    REQUIRE(send_order(1));
    CHECK(sent(orders().sent.size() - 1).type() == RecordType::kNewOrder);
    session.lose(LossReason::kPeerGone);
    REQUIRE(send_order(1));  // closed: dropped
    advance(20 * kMillisecond);
    CHECK(session.connection() == 2);
    welcome(0, 0);
    REQUIRE(receive_reply() == FrameUse::kIgnored);
    session.announced(now_ns);
    REQUIRE(session.send(make_slot(RecordType::kReady, Source::kEngine, 1, 0, Ready{})));
    const std::size_t before = orders().sent.size();
    REQUIRE(send_order(1));
    CHECK(orders().sent.size() == before);
    REQUIRE(send_order(2));
    CHECK(orders().sent.size() == before + 1);
    CHECK(session.counters().orders_dropped == 2);
}

TEST_CASE_FIXTURE(Fixture, "a new order above the level of its kill word is stopped at the send") {
    const gm::testing::TemporaryFolder folder;
    KillWords words;
    REQUIRE(words.open(folder / "kill").is_ok());
    settings.kill_words = &words;
    open();
    ready();
    const auto leaves = [&](std::uint32_t instrument, bool is_reducing) {
        NewOrder order = order_of(1);
        order.instrument = instrument;
        order.is_reducing = is_reducing ? 1 : 0;
        const std::size_t before = orders().sent.size();
        REQUIRE(session.send(make_slot(RecordType::kNewOrder, Source::kEngine, 2, 0, order)));
        const bool has_left = orders().sent.size() > before;
        CHECK(session.was_stopped() != has_left);
        return has_left;
    };
    const auto cancel_leaves = [&] {
        CancelOrder cancel{};
        cancel.connection = 1;
        const std::size_t before = orders().sent.size();
        REQUIRE(session.send(make_slot(RecordType::kCancelOrder, Source::kEngine, 2, 0, cancel)));
        CHECK_FALSE(session.was_stopped());
        return orders().sent.size() > before;
    };
    CHECK(leaves(4, false));
    for (const std::size_t word : {std::size_t{5}, std::size_t{0}}) {  // instrument 4, then all
        words.raise(word, KillLevel::kReducing, KillCause::kOrdered);
        CHECK(leaves(3, false) == (word != 0));
        if (word != 0) CHECK_FALSE(leaves(4, false));
        CHECK(leaves(4, true) == (words.level_for(4) == KillLevel::kReducing));
        words.raise(word, KillLevel::kHalted, KillCause::kOrdered);
        CHECK_FALSE(leaves(4, true));
        words.raise(word, KillLevel::kKilled, KillCause::kOrdered);
        CHECK_FALSE(leaves(4, true));
        CHECK(leaves(3, true) == (word != 0));
        CHECK(cancel_leaves());
    }
    CHECK(session.counters().orders_stopped == 8);
}

TEST_CASE_FIXTURE(Fixture, "a venue that takes no message loses the connection and its queue") {
    open();
    ready();
    FakeSocket& first = orders();
    first.takes_messages = false;
    CHECK_FALSE(send_order(1));
    CHECK_FALSE(first.is_open);
    CHECK(session.last_loss() == LossReason::kSendRefused);
    CHECK(session.phase() == SessionPhase::kClosed);
    advance();  // too early
    CHECK(session.phase() == SessionPhase::kClosed);
    advance(20 * kMillisecond);
    CHECK(&orders() != &first);
    CHECK(sent(0).slot(0, 0).as<Hello>().connection == 2);
}

TEST_CASE_FIXTURE(Fixture, "what libzmq says about the peer ends the connection") {
    open();
    ready();
    FakeSocket& monitor = *context.sockets.back();
    CHECK(monitor.endpoint.starts_with("inproc://gm-session-"));
    monitor.to_receive.push_back({0x00, 0x02, 0, 0, 0, 0});  // ZMQ_EVENT_DISCONNECTED
    CHECK_FALSE(advance());
    CHECK(session.last_loss() == LossReason::kPeerGone);
}

TEST_CASE_FIXTURE(Fixture,
                  "a peer that goes before HELLO has left is met again under a new number") {
    context.takes_messages = false;
    open();
    REQUIRE(advance());
    context.sockets.back()->to_receive.push_back({0x00, 0x02, 0, 0, 0, 0});
    CHECK_FALSE(advance());
    context.takes_messages = true;
    REQUIRE(advance(20 * kMillisecond));
    CHECK(sent(0).slot(0, 0).as<Hello>().connection == 2);
}

TEST_CASE_FIXTURE(Fixture, "a repeated frame is not stepped and a partly new one only in part") {
    open();
    ready();
    trade(1);
    trade(1);
    CHECK(receive_feed() == FrameUse::kRecords);
    CHECK(receive_feed() == FrameUse::kRepeated);

    Bytes two = frame_of(RecordType::kTrade, Source::kVenueFeed, 1, Trade{});
    two.resize(two.size() + kPayloadSize);
    two[8] = 2;  // count
    feed().to_receive.push_back(two);
    REQUIRE(receive_feed() == FrameUse::kRecords);
    CHECK(first_new == 1);
    CHECK(session.last_feed_sequence() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a hole in either stream leads to a new connection that asks again") {
    open();
    ready();
    trade(1);
    REQUIRE(receive_feed() == FrameUse::kRecords);
    SUBCASE("feed") {
        trade(3);
        CHECK(receive_feed() == FrameUse::kLost);
        CHECK(session.last_loss() == LossReason::kFeedGap);
    }
    SUBCASE("replies") {
        reply(2);
        CHECK(receive_reply() == FrameUse::kLost);
        CHECK(session.last_loss() == LossReason::kReplyGap);
    }
    SUBCASE("heartbeat") {
        Heartbeat heartbeat{};
        heartbeat.last_feed_sequence = 2;
        feed().to_receive.push_back(
            frame_of(RecordType::kHeartbeat, Source::kVenueFeed, 0, heartbeat));
        CHECK(receive_feed() == FrameUse::kLost);
    }
    SUBCASE("heartbeat of a reply that does not come") {
        Heartbeat heartbeat{};
        heartbeat.last_feed_sequence = 1;
        heartbeat.last_reply_sequence = 1;
        for (int i = 0; i < 2; ++i) {  // it may still be on its way
            feed().to_receive.push_back(
                frame_of(RecordType::kHeartbeat, Source::kVenueFeed, 0, heartbeat));
            CHECK(receive_feed() == FrameUse::kIgnored);
            CHECK(advance(500 * kMillisecond));
        }
        CHECK_FALSE(advance());
        CHECK(session.last_loss() == LossReason::kReplyGap);
    }
    CHECK(session.counters().sequence_gaps == 1);
    advance(20 * kMillisecond);
    const auto hello = sent(0).slot(0, 0).as<Hello>();
    CHECK(hello.last_feed_sequence == 1);
    CHECK(hello.last_reply_sequence == 0);
}

TEST_CASE_FIXTURE(Fixture, "feed frames before READY are left to the venue to send again") {
    open();
    connect();
    trade(1);
    CHECK(receive_feed() == FrameUse::kIgnored);
    CHECK(session.last_feed_sequence() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a bad frame is dropped on the feed and ends the order session") {
    open();
    ready();
    feed().to_receive.push_back({1, 2, 3});
    feed().to_receive.push_back(Bytes(kFrameSizeMax + 64, 0));
    CHECK(receive_feed() == FrameUse::kIgnored);
    CHECK(receive_feed() == FrameUse::kIgnored);
    const auto size_fault = static_cast<std::size_t>(FrameFault::kWrongSize);
    CHECK(session.counters().frame_faults[size_fault] == 2);
    orders().to_receive.push_back({1, 2, 3});
    CHECK(receive_reply() == FrameUse::kLost);
}

TEST_CASE_FIXTURE(Fixture, "a venue of another tape or another run is refused, naming --run-dir") {
    settings.last_feed_sequence = 4;
    settings.last_reply_sequence = 4;
    settings.tape_id[0] = 9;
    open();
    REQUIRE(advance());
    auto status = Status::kJournalForeign;
    std::string named = "--run-dir";
    SUBCASE("tape") {
        welcome(10, 10, 1, 8);
    }
    SUBCASE("replies it has not written") {
        welcome(10, 3);
    }
    SUBCASE("feed it has not published") {
        welcome(3, 10);
    }
    SUBCASE("it refuses us") {
        welcome(10, 10, 1, 9, static_cast<std::uint32_t>(RejectReason::kOldEpoch));
        status = Status::kVenueRefused;
        named = "later epoch";
    }
    CHECK(receive_reply() == FrameUse::kIgnored);
    CHECK(session.failure().status == status);
    CHECK(session.failure().text.find(named) != std::string::npos);
    CHECK_FALSE(session.must_announce());
}

TEST_CASE_FIXTURE(Fixture, "a venue that plays another instrument is refused for good") {
    settings.symbol_hash = 5;
    open();
    REQUIRE(advance());
    welcome(0, 0);
    (void)receive_reply();
    CHECK(session.failure().status == Status::kUnknownInstrument);
    CHECK(session.failure().text.find("--instrument") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an answer that does not come ends the connection") {
    open();
    REQUIRE(advance());
    SUBCASE("WELCOME") {
        CHECK_FALSE(advance(2'001 * kMillisecond));
        CHECK(session.last_loss() == LossReason::kWelcomeLate);
    }
    SUBCASE("replies") {
        welcome(0, 7);
        REQUIRE(receive_reply() == FrameUse::kIgnored);
        CHECK_FALSE(advance(10'001 * kMillisecond));
        CHECK(session.last_loss() == LossReason::kReconcileLate);
    }
}

TEST_CASE_FIXTURE(Fixture, "DONE tells the positions and the messages of this connection") {
    open();
    ready();
    trade(1);
    REQUIRE(receive_feed() == FrameUse::kRecords);
    REQUIRE(send_order(1));
    REQUIRE(session.send_done());
    const auto done = sent(orders().sent.size() - 1).slot(0, 0).as<Done>();
    CHECK(done.feed_sequence == 1);
    CHECK(done.reply_sequence == 0);
    CHECK(done.orders_sent == 1);
}

TEST_CASE_FIXTURE(Fixture, "bars of a replay are taken between the queries and READY alone") {
    const auto replayed = [&](RecordType type) {
        orders().to_receive.push_back(frame_of(type, Source::kVenueOrders, 0, BarClose{}));
        return receive_reply();
    };
    open();
    REQUIRE(advance());
    CHECK(replayed(RecordType::kReplayedBar) == FrameUse::kIgnored);
    welcome(90, 0, 0);
    REQUIRE(receive_reply() == FrameUse::kIgnored);
    CHECK(session.welcome_ts_ns() == 1'000);
    CHECK(replayed(RecordType::kReplayedBar) == FrameUse::kIgnored);
    session.announced(now_ns);
    session.join_feed();
    CHECK(session.last_feed_sequence() == 90);
    FeedReplay request{};
    request.request = 3;
    REQUIRE(session.request_replay(request));
    CHECK(sent(orders().sent.size() - 1).type() == RecordType::kFeedReplay);
    CHECK(replayed(RecordType::kReplayedBar) == FrameUse::kReplayed);
    CHECK(replayed(RecordType::kReplayEnd) == FrameUse::kReplayed);
    CHECK(session.last_reply_sequence() == 0);  // they are not numbered
    REQUIRE(session.send(make_slot(RecordType::kReady, Source::kEngine, 1, 0, Ready{})));
    CHECK(replayed(RecordType::kReplayedBar) == FrameUse::kIgnored);
    trade(91);
    CHECK(receive_feed() == FrameUse::kRecords);
    orders().takes_messages = false;
    CHECK_FALSE(session.request_replay(request));
    CHECK(session.last_loss() == LossReason::kSendRefused);
}
