// What lies in a segment file, byte by byte, and how a slot is known to be whole.
//
// A segment is `segment-<first journal sequence, 20 digits>.gmj`: one header of a slot's size, then
// slots without gaps, then zeros. Slots come in blocks of at most 512; a block ends with a chain
// record (kBlockDigest) whose SHA-256 covers the digest before it and the block's slots. A block
// never crosses a segment, so a full segment ends with a chain record, or with one and a single
// empty slot in which no block could have begun.
//
// Pages reach the disk in any order, so a loss of power can leave whole slots behind missing ones.
// A chain record therefore says how far the disk was synced when it was written: what is missing
// up to there was damaged, what is missing behind it had not arrived. Neither that mark nor the
// header's flag is under the chain. Who lowers them (and makes the checksums right) has an edit
// taken for such a hole and cut off, which is what zeroing the journal from there would do too, and
// no further down than to the anchor; who raises them stops the next start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

inline constexpr std::size_t kBlockSlots = 512;  // 64 KiB of records, chain record not counted
inline constexpr std::uint64_t kSegmentBytesDefault = 256ULL << 20;
inline constexpr std::uint64_t kSegmentBytesMin = 8192;
inline constexpr std::uint64_t kSegmentBytesMax = 4ULL << 30;
inline constexpr std::uint64_t kSegmentBytesStep = 4096;
inline constexpr std::uint32_t kSegmentMagic = 0x53304d47;  // "GM0S" in memory order
inline constexpr std::uint32_t kAnchorMagic = 0x41304d47;   // "GM0A"

// Slot 0 of every segment file.
struct SegmentHeader {
    std::uint32_t magic;
    std::uint16_t schema;
    std::uint16_t slot_bytes;
    std::uint64_t segment_bytes;
    std::uint64_t journal_id;      // the same in the ring, in the anchor and in every segment
    std::uint64_t first_sequence;  // of its first record; also in the file's name
    std::uint64_t first_block;
    std::uint8_t previous_digest[32];  // head of the chain when it began; zeros in the first
    std::uint8_t has_synced_marks;     // 0 in a segment begun before chain records had them
    std::uint8_t reserved[51];
    std::uint32_t crc32c;  // over the 124 bytes before it
};
static_assert(sizeof(SegmentHeader) == sizeof(Slot));
static_assert(offsetof(SegmentHeader, previous_digest) == 40);
static_assert(offsetof(SegmentHeader, has_synced_marks) == 72);
static_assert(offsetof(SegmentHeader, crc32c) == 124);
static_assert(std::is_trivially_copyable_v<SegmentHeader>);

// What a segment and the chain record of a block in it say about the disk.
struct SyncMarks {
    bool has_marks = true;              // the segment's
    std::uint64_t synced_sequence = 0;  // the chain record's
};

// The guard word of a record: written last, so it is right only when everything before it is.
[[nodiscard]] inline std::uint32_t commit_word(std::uint64_t journal_sequence) noexcept {
    const auto low = static_cast<std::uint32_t>(journal_sequence);
    return low == 0 ? 0xffffffffU : low;  // 0 is what an empty slot holds
}

// CRC32C of the 120 bytes of a slot before its checksum.
[[nodiscard]] std::uint32_t slot_crc(const Slot& slot) noexcept;

// Whether the slot was written to its end: known header, and the guard word of its sequence.
[[nodiscard]] inline bool is_committed(const Slot& slot) noexcept {
    return slot.trailer.commit == commit_word(slot.trailer.journal_sequence) &&
           slot.header.magic == kMagic && slot.header.schema == kSchema && slot.header.count == 1;
}
// Committed, and not changed since. Says nothing about its place in the journal.
[[nodiscard]] bool is_whole(const Slot& slot) noexcept;
[[nodiscard]] bool is_empty(const Slot& slot) noexcept;  // all zeros

// Between two blocks: where a walk may begin, and what it must find there. Crosses into files.
struct ChainPlace {
    std::uint64_t segment_first_sequence;  // of the segment that holds it
    std::uint64_t slot;                    // of that segment: where the next block begins
    std::uint64_t last_sequence;           // of the block before it
    std::uint64_t blocks;                  // sealed before it
    std::uint8_t digest[32];               // of the last of them; zeros before the first
};
static_assert(sizeof(ChainPlace) == 64 && offsetof(ChainPlace, digest) == 32);

// How many of the slots from the first on are whole and in order, chain records among them, when
// the next record is `next_sequence`. For readers that follow a journal as it grows.
[[nodiscard]] std::size_t count_in_order(std::span<const std::byte> slots,
                                         std::uint64_t next_sequence) noexcept;

// The chain record of a finished block: everything in it but the digest, which the caller has.
[[nodiscard]] Slot make_chain_record(const BlockDigest& payload) noexcept;

[[nodiscard]] SegmentHeader make_segment_header(
    std::uint64_t segment_bytes, std::uint64_t journal_id, std::uint64_t first_sequence,
    std::uint64_t first_block, const Sha256Digest& previous_digest, bool has_synced_marks) noexcept;
[[nodiscard]] bool is_whole(const SegmentHeader& header) noexcept;

[[nodiscard]] std::string segment_name(std::uint64_t first_sequence);

struct SegmentFile {
    std::uint64_t first_sequence;  // from the name
    std::string path;
};

inline constexpr std::string_view kSegmentPrefix = "segment-";

// The segments of a folder in order of sequence. Other files are not looked at.
Failure list_segments(const std::string& folder, std::vector<SegmentFile>& segments,
                      std::string_view prefix = kSegmentPrefix);

[[nodiscard]] std::string journal_folder(std::string_view run_directory);
[[nodiscard]] std::string anchor_path(std::string_view run_directory);
[[nodiscard]] std::string to_hex(const Sha256Digest& digest);

}  // namespace gm
