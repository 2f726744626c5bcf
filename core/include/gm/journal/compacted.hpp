// What stays of a segment for ever once its market data went: a compacted segment.
//
// `compacted-<first journal sequence of the segment, 20 digits>.gmj`: a header of a slot's size,
// then the records that are no market data, as they were written and with the numbers they had, in
// blocks of at most 512 with a chain record behind each. Nothing follows the last chain record.
//
// Compacted segments have a chain of their own, as the numbers in them have gaps: it begins with
// the SHA-256 of the header, which names the head of the compacted segment before it and the head
// that the journal's chain had where the replaced segment ended. The newest head is anchored
// outside (compacted.anchor, the same file format as the journal's). So an edit is located to the
// block, a missing file by the numbers of the one behind it, and the journal goes on from the last
// of them as it went on from the segments that they replace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/journal/block_walker.hpp"
#include "gm/journal/journal_file.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/wire/record.hpp"

namespace gm {

inline constexpr std::uint32_t kCompactedMagic = 0x43304d47;  // "GM0C" in memory order

// Slot 0 of every compacted segment.
struct CompactedHeader {
    std::uint32_t magic;
    std::uint16_t schema;
    std::uint16_t slot_bytes;
    std::uint64_t journal_id;
    std::uint64_t first_sequence;  // of the replaced segment; also in the file's name
    std::uint64_t last_sequence;
    std::uint64_t last_block;        // of the journal's chain
    std::uint8_t last_digest[32];    // its head where the replaced segment ended
    std::uint8_t previous_head[32];  // of the compacted segment before; zeros in the first
    std::uint8_t reserved[20];
    std::uint32_t crc32c;  // over the 124 bytes before it
};
static_assert(sizeof(CompactedHeader) == sizeof(Slot));
static_assert(offsetof(CompactedHeader, last_digest) == 40);
static_assert(offsetof(CompactedHeader, crc32c) == 124);

// What goes. Anything else stays, so that a record of a new type is kept until somebody says
// otherwise here.
[[nodiscard]] bool is_market_data(RecordType type) noexcept;

[[nodiscard]] std::uint32_t crc_of(const CompactedHeader& header) noexcept;
[[nodiscard]] Sha256Digest chain_start(const CompactedHeader& header) noexcept;
[[nodiscard]] std::string compacted_name(std::uint64_t first_sequence);
[[nodiscard]] std::string compacted_anchor_path(std::string_view run_directory);

// Those of segments before record `before_sequence`, in order. One that is not before it is what a
// death left of a compaction that has not removed its segment yet.
Failure list_compacted(const std::string& folder, std::uint64_t before_sequence,
                       std::vector<SegmentFile>& files);
// kJournalCorrupt: the file is not one, or not of that name.
Failure read_compacted_header(const SegmentFile& file, CompactedHeader& header);
// Whether one ends right before that record, where a segment begins: its header.
[[nodiscard]] bool read_last_compacted(const std::string& folder, std::uint64_t before_sequence,
                                       CompactedHeader& header);

// Where a walk over them stands.
struct CompactedEnd {
    std::uint64_t journal_id = 0;
    std::uint64_t segments = 0;
    std::uint64_t bytes = 0;
    std::uint64_t records = 0;        // that were kept
    std::uint64_t last_sequence = 0;  // of the last replaced segment
    std::uint64_t last_block = 0;     // of the journal's chain, there
    Sha256Digest last_digest{};       // its head, there
    Sha256Digest head{};              // of the chain of compacted segments
};

// The kept records in order, each block checked first. Of a file with a fault the rest is passed
// over, and the walk goes on with the next.
class CompactedWalker {
 public:
    Failure open(const std::string& folder, std::uint64_t before_sequence = ~std::uint64_t{0});
    BlockWalker::Step next();

    [[nodiscard]] std::span<const Slot> records() const noexcept { return records_; }
    [[nodiscard]] const JournalFault& fault() const noexcept { return fault_; }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
    [[nodiscard]] const CompactedEnd& end() const noexcept { return end_; }
    // The head behind the compacted segment of that number, from 1. Set before the walk.
    void watch_segment(std::uint64_t number) noexcept { watched_ = number; }
    [[nodiscard]] const Sha256Digest* watched_head() const noexcept {
        return watched_seen_ ? &watched_head_ : nullptr;
    }

 private:
    BlockWalker::Step open_file();
    BlockWalker::Step next_block();
    [[nodiscard]] std::string block_complaint(std::size_t records, std::uint64_t& record);
    BlockWalker::Step report(FaultKind kind, std::uint64_t record, const std::string& text);

    std::vector<SegmentFile> files_;
    std::size_t next_file_ = 0;
    JournalFile file_;
    std::unique_ptr<Slot[]> buffer_;  // one block with its chain record
    CompactedHeader header_{};
    Sha256Digest digest_{};
    std::uint64_t slots_ = 0;  // of the open file
    std::uint64_t slot_ = 0;   // where its next block begins
    std::uint64_t blocks_ = 0;
    std::uint64_t sequence_ = 0;  // of the last record
    bool knows_head_ = true;      // the file before was whole
    std::span<const Slot> records_;
    JournalFault fault_;
    Failure failure_;
    CompactedEnd end_;
    std::uint64_t watched_ = 0;
    bool watched_seen_ = false;
    Sha256Digest watched_head_{};
};

}  // namespace gm
