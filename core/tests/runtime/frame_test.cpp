// No bytes from outside become a record unless every field of their frame is right.
#include "gm/runtime/frame.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "gm/runtime/socket.hpp"
#include "gm/wire/payload.hpp"

namespace {

using namespace gm;

std::vector<std::uint8_t> feed_frame(std::uint16_t count, std::uint64_t first_sequence) {
    RecordHeader header{kMagic,
                        kSchema,
                        static_cast<std::uint16_t>(RecordType::kTrade),
                        count,
                        static_cast<std::uint16_t>(Source::kVenueFeed),
                        7,
                        first_sequence,
                        1'000,
                        0};
    std::vector<std::uint8_t> bytes(sizeof header + count * kPayloadSize);
    std::memcpy(bytes.data(), &header, sizeof header);
    for (std::uint16_t i = 0; i < count; ++i) {
        Trade trade{};
        trade.price_ticks = 100 + i;
        std::memcpy(bytes.data() + sizeof header + i * kPayloadSize, &trade, sizeof trade);
    }
    return bytes;
}

template <typename T>
void patch(std::vector<std::uint8_t>& bytes, std::size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

TEST_CASE("a frame of three records gives three slots with their own sequences") {
    const auto bytes = feed_frame(3, 41);
    Frame frame{};
    REQUIRE(decode_frame(bytes, FrameRole::kFeed, frame) == FrameFault::kNone);
    CHECK(frame.last_sequence() == 43);
    for (std::size_t i = 0; i < 3; ++i) {
        const Slot slot = frame.slot(i, 5'000);
        CHECK(slot.header.count == 1);
        CHECK(slot.header.first_sequence == 41 + i);
        CHECK(slot.header.source_ts_ns == 1'000);
        CHECK(slot.header.receive_ts_ns == 5'000);
        CHECK(slot.as<Trade>().price_ticks == 100 + static_cast<std::int64_t>(i));
        CHECK(slot.trailer.commit == 0);
    }
}

TEST_CASE("a slot that is sent comes back the same") {
    NewOrder order{};
    order.id = {1, 2, 3};
    order.quantity_lots = 5;
    const Slot sent = make_slot(RecordType::kNewOrder, Source::kEngine, 9, 77, order);
    std::array<std::uint8_t, kOneRecordFrameSize> buffer{};
    const auto bytes = encode_frame(sent, buffer);
    CHECK(bytes.size() == 104);
    Frame frame{};
    REQUIRE(decode_frame(bytes, FrameRole::kToVenue, frame) == FrameFault::kNone);
    const Slot got = frame.slot(0, 77);
    CHECK(std::memcmp(&got, &sent, sizeof got) == 0);
}

TEST_CASE("every truncation and every extension is refused by its size") {
    auto bytes = feed_frame(2, 1);
    Frame frame{};
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::vector<std::uint8_t> cut(bytes.begin(),
                                            bytes.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(decode_frame(cut, FrameRole::kFeed, frame) == FrameFault::kWrongSize);
    }
    for (int extra = 0; extra < 200; ++extra) {
        bytes.push_back(0);
        CHECK(decode_frame(bytes, FrameRole::kFeed, frame) == FrameFault::kWrongSize);
    }
}

TEST_CASE("the largest frame is taken and a count above it is refused") {
    Frame frame{};
    CHECK(decode_frame(feed_frame(512, 1), FrameRole::kFeed, frame) == FrameFault::kNone);
    CHECK(feed_frame(512, 1).size() == kFrameSizeMax);
    CHECK(decode_frame(feed_frame(513, 1), FrameRole::kFeed, frame) == FrameFault::kWrongCount);
    auto none = feed_frame(1, 1);
    patch<std::uint16_t>(none, 8, 0);
    CHECK(decode_frame(none, FrameRole::kFeed, frame) == FrameFault::kWrongCount);
}

TEST_CASE("a wrong magic, schema, type, source or sequence is named") {
    Frame frame{};
    const auto fault_of = [&](std::size_t offset, auto value) {
        auto bytes = feed_frame(1, 1);
        patch(bytes, offset, value);
        return decode_frame(bytes, FrameRole::kFeed, frame);
    };
    CHECK(fault_of(0, std::uint32_t{0}) == FrameFault::kWrongMagic);
    CHECK(fault_of(4, std::uint16_t{2}) == FrameFault::kWrongSchema);
    CHECK(fault_of(6, std::uint16_t{0}) == FrameFault::kWrongType);
    CHECK(fault_of(6, std::uint16_t{4}) == FrameFault::kWrongType);
    CHECK(fault_of(6, std::uint16_t{0xffff}) == FrameFault::kWrongType);
    CHECK(fault_of(6, static_cast<std::uint16_t>(RecordType::kFill)) == FrameFault::kWrongType);
    CHECK(fault_of(6, static_cast<std::uint16_t>(RecordType::kEpoch)) == FrameFault::kWrongType);
    CHECK(fault_of(10, std::uint16_t{2}) == FrameFault::kWrongSource);
    CHECK(fault_of(16, std::uint64_t{0}) == FrameFault::kWrongSequence);
    CHECK(fault_of(16, ~std::uint64_t{0}) == FrameFault::kWrongSequence);
}

TEST_CASE("no record that only io or the engine may make is taken from a socket") {
    Frame frame{};
    for (std::uint16_t type = 50; type < 200; ++type) {
        for (const FrameRole role :
             {FrameRole::kFeed, FrameRole::kFromVenue, FrameRole::kToVenue}) {
            for (std::uint16_t source = 0; source < 8; ++source) {
                auto bytes = feed_frame(1, 1);
                patch(bytes, 6, type);
                patch(bytes, 10, source);
                CHECK(decode_frame(bytes, role, frame) == FrameFault::kWrongType);
            }
        }
    }
}

TEST_CASE("bars of a replay travel on the order session alone, outside its numbers") {
    const auto fault_of = [](RecordType type, Source source, FrameRole role) {
        auto bytes = feed_frame(1, 1);
        patch(bytes, 6, static_cast<std::uint16_t>(type));
        patch(bytes, 10, static_cast<std::uint16_t>(source));
        patch(bytes, 16, std::uint64_t{0});
        Frame frame{};
        return decode_frame(bytes, role, frame);
    };
    for (const RecordType type : {RecordType::kReplayedBar, RecordType::kReplayEnd}) {
        CHECK(fault_of(type, Source::kVenueOrders, FrameRole::kFromVenue) == FrameFault::kNone);
        CHECK(fault_of(type, Source::kVenueFeed, FrameRole::kFeed) == FrameFault::kWrongType);
        CHECK(fault_of(type, Source::kIo, FrameRole::kToVenue) == FrameFault::kWrongType);
    }
    const auto request = RecordType::kFeedReplay;
    CHECK(fault_of(request, Source::kIo, FrameRole::kToVenue) == FrameFault::kNone);
    CHECK(fault_of(request, Source::kVenueOrders, FrameRole::kFromVenue) == FrameFault::kWrongType);
}

TEST_CASE("random bytes never pass with a header that is not ours") {
    std::mt19937_64 random(20260101);
    Frame frame{};
    for (int round = 0; round < 20'000; ++round) {
        auto bytes = feed_frame(static_cast<std::uint16_t>(1 + random() % 4), 1 + random() % 9);
        const int changes = 1 + static_cast<int>(random() % 3);
        for (int i = 0; i < changes; ++i) {
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        }
        if (random() % 2 == 0) bytes.resize(random() % (bytes.size() + 64));
        if (decode_frame(bytes, FrameRole::kFeed, frame) != FrameFault::kNone) continue;
        CHECK(bytes.size() == sizeof(RecordHeader) + frame.header.count * kPayloadSize);
        CHECK(frame.payloads == bytes.data() + sizeof(RecordHeader));
        CHECK(frame.header.magic == kMagic);
    }
}
