// An order session over queues in memory: what the venue says is written in the test.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "gm/runtime/venue_session.hpp"
#include "runtime/fake_zmq.hpp"

namespace gm::test {

inline constexpr std::int64_t kMillisecond = 1'000'000;

template <typename P>
Bytes frame_of(RecordType type, Source source, std::uint64_t sequence, const P& payload) {
    const Slot slot = make_slot(type, source, sequence, 1'000, payload);
    std::array<std::uint8_t, kOneRecordFrameSize> bytes{};
    const auto frame = encode_frame(slot, bytes);
    return {frame.begin(), frame.end()};
}

struct SessionFixture {
    ZmqTable zmq = fake_zmq_table();
    FakeContext context;
    Endpoints endpoints;
    SessionSettings settings;
    VenueSession session;
    std::int64_t now_ns = 0;

    SessionFixture() {
        REQUIRE(find_endpoints("/tmp/gm-session-test", "/tmp/gm-session-test", endpoints).is_ok());
        settings.epoch = 3;
    }
    void open() { REQUIRE(session.open(zmq, &context, endpoints, settings).is_ok()); }
    FakeSocket& orders() { return *context.last(endpoints.orders); }
    FakeSocket& feed() { return *context.last(endpoints.feed); }
    bool advance(std::int64_t by_ns = kMillisecond) { return session.advance(now_ns += by_ns); }

    Frame sent(std::size_t at) {
        Frame found{};
        REQUIRE(at < orders().sent.size());
        REQUIRE(decode_frame(orders().sent[at], FrameRole::kToVenue, found) == FrameFault::kNone);
        return found;
    }
    void welcome(std::uint64_t feed, std::uint64_t reply, std::uint32_t lockstep = 1,
                 std::uint8_t tape = 9, std::uint32_t refused = 0) {
        Welcome payload{};
        payload.last_feed_sequence = feed;
        payload.last_reply_sequence = reply;
        payload.lockstep = lockstep;
        payload.refused = refused;
        payload.tape_id[0] = tape;
        orders().to_receive.push_back(
            frame_of(RecordType::kWelcome, Source::kVenueOrders, 0, payload));
    }
    void reply(std::uint64_t sequence) {
        orders().to_receive.push_back(
            frame_of(RecordType::kAck, Source::kVenueOrders, sequence, Ack{}));
    }
    void trade(std::uint64_t sequence) {
        feed().to_receive.push_back(
            frame_of(RecordType::kTrade, Source::kVenueFeed, sequence, Trade{}));
    }
    FrameUse receive_reply() { return session.receive_reply(frame, first_new, now_ns); }
    FrameUse receive_feed() { return session.receive_feed(frame, first_new, now_ns); }
    // HELLO, WELCOME without old replies, announced.
    void connect() {
        REQUIRE(advance());
        welcome(settings.last_feed_sequence, settings.last_reply_sequence);
        REQUIRE(receive_reply() == FrameUse::kIgnored);
        REQUIRE(session.must_announce());
        session.announced(now_ns);
    }
    void ready() {
        connect();
        REQUIRE(session.send(make_slot(RecordType::kReady, Source::kEngine, 1, 0, Ready{})));
        REQUIRE(session.phase() == SessionPhase::kReady);
    }
    NewOrder order_of(std::uint32_t connection) {
        NewOrder order{};
        order.id = {1, 3, 1};
        order.connection = connection;
        return order;
    }
    bool send_order(std::uint32_t connection) {
        return session.send(
            make_slot(RecordType::kNewOrder, Source::kEngine, 2, 0, order_of(connection)));
    }

    Frame frame{};
    std::size_t first_new = 0;
};

}  // namespace gm::test
