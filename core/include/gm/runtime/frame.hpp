// Frames of ZeroMQ to slots and back. Everything that can be wrong with bytes from outside is
// found here, before any of them is used: size first, then the header, field by field.
//
// What a payload says (an instrument that does not exist, a price off the band) is the engine's
// business; enumerations in it may hold any number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "gm/wire/record.hpp"

namespace gm {

inline constexpr std::size_t kOneRecordFrameSize = sizeof(RecordHeader) + kPayloadSize;

// What a socket carries, and so which types and sources are allowed on it.
enum class FrameRole : std::uint8_t {
    kFeed = 0,       // venue -> engine, SUB
    kFromVenue = 1,  // venue -> engine, order session
    kToVenue = 2,    // engine -> venue, order session
};

// Why a frame was refused. Numbers go to counters and metrics.
enum class FrameFault : std::uint8_t {
    kNone = 0,
    kWrongSize = 1,  // not a header and `count` payloads, or not one message part
    kWrongMagic = 2,
    kWrongSchema = 3,
    kWrongCount = 4,  // 0 or over 512
    kWrongType = 5,   // unknown, or not allowed on this socket
    kWrongSource = 6,
    kWrongSequence = 7,  // 0 where numbers begin at 1, or it would wrap
};
inline constexpr std::size_t kFrameFaults = 8;
[[nodiscard]] const char* describe(FrameFault fault) noexcept;

struct Frame {
    RecordHeader header;
    const std::uint8_t* payloads;  // into the caller's bytes

    [[nodiscard]] RecordType type() const noexcept { return static_cast<RecordType>(header.type); }
    [[nodiscard]] std::uint64_t last_sequence() const noexcept {
        return header.first_sequence + header.count - 1;
    }
    // Payload `index` as a record of its own, received at receive_ts_ns.
    [[nodiscard]] Slot slot(std::size_t index, std::int64_t receive_ts_ns) const noexcept;
};

// Heartbeats, the messages of the handshake and feed replays stand outside the numbered streams.
[[nodiscard]] bool is_numbered(RecordType type) noexcept;

[[nodiscard]] FrameFault decode_frame(std::span<const std::uint8_t> bytes, FrameRole role,
                                      Frame& out) noexcept;

// A slot as a frame of one record. Returns its bytes, which lie in `out`.
[[nodiscard]] std::span<const std::uint8_t> encode_frame(
    const Slot& slot, std::span<std::uint8_t, kOneRecordFrameSize> out) noexcept;

}  // namespace gm
