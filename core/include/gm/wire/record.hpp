// Sizes and envelopes: the frame header on ZeroMQ and the 128-byte slot of rings and journal.
//
// A frame is a header and 1 to 512 payloads of 64 bytes; the sequence of a payload is
// first_sequence + its index. A slot is the header with the record's own sequence, one payload,
// and a trailer. Everything is little-endian, fixed-width, and zero where nothing is said.
// gm/layout.py repeats these layouts; tests/test_layout.py fails when they part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

namespace gm {

inline constexpr std::uint32_t kMagic = 0x31304d47;  // "GM01" in memory order
inline constexpr std::uint16_t kSchema = 1;
inline constexpr std::size_t kPayloadSize = 64;
inline constexpr std::size_t kFrameRecordsMax = 512;
inline constexpr std::size_t kCacheLineSize = 64;

// What a record is. Numbers are never reused. 1-23 feed, 24-49 order session, 50-69 made by io or
// the operator, 70-99 made by the engine, 100+ made by the journal thread.
enum class RecordType : std::uint16_t {
    kNone = 0,
    kBarOpen = 1,
    kBarClose = 2,
    kTrade = 3,
    kQuarantine = 5,
    kHeartbeat = 6,
    kEnd = 7,
    kQuote = 8,
    kBookLevel = 9,
    kBookReset = 10,
    // venue -> engine
    kRangeOrder = 24,
    kRangeEnd = 25,
    kPositionReport = 26,
    kPositionNotice = 27,  // outside the numbers of the replies
    // engine -> venue
    kHello = 30,
    kReady = 31,
    kDone = 32,
    kNewOrder = 33,
    kCancelOrder = 34,
    kQueryOrder = 35,
    kFeedReplay = 36,
    kReplaceOrder = 37,
    kQueryRange = 38,
    kQueryAccount = 39,
    // venue -> engine
    kWelcome = 40,
    kAck = 41,
    kReject = 42,
    kFill = 43,
    kCancelled = 44,
    kExpired = 45,
    kOrderState = 46,
    kReplayedBar = 47,
    kReplayEnd = 48,
    kReplaced = 49,
    // inputs that io or the supervisor makes
    kTimer = 50,
    kEpoch = 51,
    kStop = 52,
    kDisconnected = 53,
    kConnected = 54,
    kBackfill = 55,
    kKernelResult = 56,
    kBackfillEnd = 57,
    kModelCommand = 58,
    kHeadroom = 59,
    kKill = 60,
    kOrderStopped = 61,
    kPolicyLate = 62,
    kIdsReserved = 66,
    kPositionCheck = 67,
    kBooksAccepted = 68,
    // outputs of the engine
    kDecision = 70,
    kIntent = 71,
    kRefusal = 72,
    kOrderUpdate = 73,
    kPosition = 74,
    kState = 75,
    kBarQuarantined = 76,
    kSynergy = 77,
    kKernelState = 78,
    kModelUpdate = 79,
    kShadowDecision = 80,  // a Decision that is not acted on
    kTacticalDecision = 81,
    kShadowTacticalDecision = 82,
    kRiskTrip = 83,
    kKillState = 84,
    kIdsWanted = 88,
    kReconBreak = 89,
    kBooksAdjusted = 94,
    // written into segments by the journal thread
    kBlockDigest = 100,
};

// Who wrote a record (RecordHeader::source).
enum class Source : std::uint16_t {
    kVenueFeed = 1,
    kVenueOrders = 2,
    kIo = 3,
    kEngine = 4,
    kOperator = 5,
    kJournal = 6,
    kKernel = 7,  // user kernels: what they return enters as an input
};

// A frame's receive_ts_ns is the venue's own time when it sent it, and is required of every venue,
// in lockstep and free-running alike; 0 says nothing, and io's clock is taken (gm/runtime's
// EngineClock). source_ts_ns may be older than that, or absurd.
struct RecordHeader {
    std::uint32_t magic;
    std::uint16_t schema;
    std::uint16_t type;
    std::uint16_t count;  // payloads that follow; 1 in a slot
    std::uint16_t source;
    std::uint32_t epoch;           // of the writer: it grows with every start
    std::uint64_t first_sequence;  // per source, from 1
    std::int64_t source_ts_ns;     // when the writer says it happened
    std::int64_t receive_ts_ns;    // when io took it in; in a frame: venue's time, never 0
};
static_assert(sizeof(RecordHeader) == 40 && alignof(RecordHeader) == 8);
static_assert(offsetof(RecordHeader, first_sequence) == 16);

struct SlotTrailer {
    std::uint64_t input_sequence;    // which consumed input caused it (an input: its own number)
    std::uint64_t journal_sequence;  // its place in the journal, from 1
    std::uint32_t crc32c;            // over the 120 bytes before it; filled by the journal thread
    std::uint32_t commit;            // written last: low half of journal_sequence, never 0
};
static_assert(sizeof(SlotTrailer) == 24);

// A payload where it lies, as the struct that was copied there: a copy of it for the sake of two
// fields is 64 bytes, written and then waited for. `payload` is aligned to 8.
template <typename P>
[[nodiscard]] inline const P& view_payload(const std::uint8_t* payload) noexcept {
    static_assert(sizeof(P) == kPayloadSize && alignof(P) <= 8 && std::is_trivially_copyable_v<P>);
    return *std::launder(reinterpret_cast<const P*>(payload));
}

struct alignas(kCacheLineSize) Slot {
    RecordHeader header;
    std::uint8_t payload[kPayloadSize];
    SlotTrailer trailer;

    [[nodiscard]] RecordType type() const noexcept { return static_cast<RecordType>(header.type); }
    // The payload as P. A copy, so that no alias rule is bent; the compiler sees through it.
    template <typename P>
    [[nodiscard]] P as() const noexcept {
        static_assert(sizeof(P) == kPayloadSize && std::is_trivially_copyable_v<P>);
        P value;
        std::memcpy(&value, payload, sizeof value);
        return value;
    }
    // While the slot stays as it is.
    template <typename P>
    [[nodiscard]] const P& view() const noexcept {
        return view_payload<P>(payload);
    }
};
static_assert(sizeof(Slot) == 128 && alignof(Slot) == kCacheLineSize);
static_assert(offsetof(Slot, payload) % 8 == 0 && offsetof(Slot, trailer) == 104);
static_assert(std::is_trivially_copyable_v<Slot>);

// A slot with header and payload set and an empty trailer.
template <typename P>
[[nodiscard]] inline Slot make_slot(RecordType type, Source source, std::uint64_t sequence,
                                    std::int64_t ts_ns, const P& payload) noexcept {
    static_assert(sizeof(P) == kPayloadSize && std::is_trivially_copyable_v<P>);
    Slot slot{};
    slot.header = {kMagic,
                   kSchema,
                   static_cast<std::uint16_t>(type),
                   1,
                   static_cast<std::uint16_t>(source),
                   0,
                   sequence,
                   ts_ns,
                   ts_ns};
    std::memcpy(slot.payload, &payload, sizeof payload);
    return slot;
}

}  // namespace gm
