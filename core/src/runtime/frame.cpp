#include "gm/runtime/frame.hpp"

#include <cstring>
#include <limits>

namespace gm {
namespace {

bool is_allowed(RecordType type, FrameRole role) noexcept {
    switch (type) {
        case RecordType::kBarOpen:
        case RecordType::kBarClose:
        case RecordType::kTrade:
        case RecordType::kQuarantine:
        case RecordType::kQuote:
        case RecordType::kBookLevel:
        case RecordType::kBookReset:
        case RecordType::kEnd: return role == FrameRole::kFeed;
        case RecordType::kHeartbeat: return role != FrameRole::kToVenue;
        case RecordType::kHello:
        case RecordType::kReady:
        case RecordType::kDone:
        case RecordType::kNewOrder:
        case RecordType::kCancelOrder:
        case RecordType::kQueryOrder:
        case RecordType::kReplaceOrder:
        case RecordType::kQueryRange:
        case RecordType::kQueryAccount:
        case RecordType::kFeedReplay: return role == FrameRole::kToVenue;
        case RecordType::kRangeOrder:
        case RecordType::kRangeEnd:
        case RecordType::kPositionReport:
        case RecordType::kPositionNotice:
        case RecordType::kWelcome:
        case RecordType::kAck:
        case RecordType::kReject:
        case RecordType::kFill:
        case RecordType::kCancelled:
        case RecordType::kExpired:
        case RecordType::kOrderState:
        case RecordType::kReplaced:
        case RecordType::kReplayedBar:
        case RecordType::kReplayEnd: return role == FrameRole::kFromVenue;
        default: return false;
    }
}

bool is_source_of(std::uint16_t source, FrameRole role) noexcept {
    switch (role) {
        case FrameRole::kFeed: return source == static_cast<std::uint16_t>(Source::kVenueFeed);
        case FrameRole::kFromVenue:
            return source == static_cast<std::uint16_t>(Source::kVenueOrders);
        case FrameRole::kToVenue:
            return source == static_cast<std::uint16_t>(Source::kEngine) ||
                   source == static_cast<std::uint16_t>(Source::kIo);
    }
    return false;
}

}  // namespace

const char* describe(FrameFault fault) noexcept {
    switch (fault) {
        case FrameFault::kNone: return "none";
        case FrameFault::kWrongSize: return "size";
        case FrameFault::kWrongMagic: return "magic";
        case FrameFault::kWrongSchema: return "schema";
        case FrameFault::kWrongCount: return "count";
        case FrameFault::kWrongType: return "type";
        case FrameFault::kWrongSource: return "source";
        case FrameFault::kWrongSequence: return "sequence";
    }
    return "unknown";
}

bool is_numbered(RecordType type) noexcept {
    switch (type) {
        case RecordType::kHeartbeat:
        case RecordType::kHello:
        case RecordType::kWelcome:
        case RecordType::kReady:
        case RecordType::kDone:
        case RecordType::kFeedReplay:
        case RecordType::kReplayedBar:
        case RecordType::kReplayEnd:
        case RecordType::kPositionNotice: return false;
        default: return true;
    }
}

FrameFault decode_frame(std::span<const std::uint8_t> bytes, FrameRole role, Frame& out) noexcept {
    if (bytes.size() < kOneRecordFrameSize) return FrameFault::kWrongSize;
    RecordHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != kMagic) return FrameFault::kWrongMagic;
#ifndef GM_MUTANT_P15  // takes what another build meant otherwise
    if (header.schema != kSchema) return FrameFault::kWrongSchema;
#endif
    if (header.count == 0 || header.count > kFrameRecordsMax) return FrameFault::kWrongCount;
#ifndef GM_MUTANT_P8  // believes the count, and reads behind what came
    if (bytes.size() != sizeof header + header.count * kPayloadSize) return FrameFault::kWrongSize;
#endif
    const auto type = static_cast<RecordType>(header.type);
    if (!is_allowed(type, role)) return FrameFault::kWrongType;
    if (!is_source_of(header.source, role)) return FrameFault::kWrongSource;
    const std::uint64_t last_first =
        std::numeric_limits<std::uint64_t>::max() - header.count;  // room for first + count
    if (is_numbered(type) && (header.first_sequence == 0 || header.first_sequence > last_first)) {
        return FrameFault::kWrongSequence;
    }
    out = {header, bytes.data() + sizeof header};
    return FrameFault::kNone;
}

Slot Frame::slot(std::size_t index, std::int64_t receive_ts_ns) const noexcept {
    Slot slot{};
    slot.header = header;
    slot.header.count = 1;
    slot.header.first_sequence = header.first_sequence + index;
    slot.header.receive_ts_ns = receive_ts_ns;
    std::memcpy(slot.payload, payloads + index * kPayloadSize, kPayloadSize);
    return slot;
}

std::span<const std::uint8_t> encode_frame(
    const Slot& slot, std::span<std::uint8_t, kOneRecordFrameSize> out) noexcept {
    std::memcpy(out.data(), &slot.header, sizeof slot.header);
    std::memcpy(out.data() + sizeof slot.header, slot.payload, kPayloadSize);
    return out;
}

}  // namespace gm
