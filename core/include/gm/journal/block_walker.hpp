// Walks a journal block by block, checks everything that can be checked, and goes on after a fault.
//
// Checked: every record's guard word, checksum and place in the sequence; every block's SHA-256
// against the chain; every segment's header, size and place. A fault names segment, block and
// record; the next call goes on behind it. An invalid record of the last segment is no fault but
// the torn tail of a write that a kill or a power loss ended if nothing whole comes after it, or if
// the disk had not been synced that far: pages reach it in any order. A journal that is being
// written may be walked: it ends where its last whole record is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/journal/journal_file.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/wire/record.hpp"

namespace gm {

enum class FaultKind : std::uint8_t {
    kRecord = 0,         // not whole: edited, zeroed, or its disk block lost
    kSequence = 1,       // whole, but not in its place: records deleted, repeated or swapped
    kChain = 2,          // records whole and in order, but not those that the chain was made of
    kSegmentHeader = 3,  // header edited, file renamed or of another size
    kSegmentMissing = 4,
    kSegmentForeign = 5,  // of another journal
    kAnchor = 6,          // missing, spoiled, or ahead of the journal: the tail was cut
};
[[nodiscard]] const char* name_of(FaultKind kind) noexcept;

struct JournalFault {
    FaultKind kind = FaultKind::kRecord;
    std::string segment;       // file name
    std::uint64_t block = 0;   // from 1 over the whole journal; its place, whatever it claims to be
    std::uint64_t record = 0;  // from 1 in the block; 0: the fault is not one record's
    std::uint64_t count = 1;   // records in a row with the same fault
    std::uint64_t offset = 0;  // bytes into the file
    std::string text;          // all of it as a sentence
};

// Where a walk stands; at its end: where the journal ends and a writer goes on.
struct JournalEnd {
    std::uint64_t journal_id = 0;
    std::uint64_t segments = 0;
    std::string segment_path;  // the last one
    std::uint64_t segment_first_sequence = 1;
    std::uint64_t segment_first_block = 1;
    std::uint64_t segment_slots = 0;  // its size; slot 0 is the header
    std::uint64_t slot = 0;           // where the next record goes
    std::uint64_t last_sequence = 0;
    std::uint64_t blocks = 0;  // sealed
    Sha256Digest digest{};     // of the last sealed block; zeros before the first
    SyncMarks marks;           // of the segment, and of the last sealed block in it
    std::uint64_t records = 0;
    std::uint64_t open_slots = 0;  // records after the last sealed block
    std::uint64_t torn_bytes = 0;  // from `slot` to the last byte that is not zero
};

// Records that a writer may have handed to the disk since its last sync, and chain records among
// them, are fewer: JournalDrain syncs no later than kUnsyncedMax records.
inline constexpr std::uint64_t kUnsyncedMax = 65'536;
inline constexpr std::uint64_t kTailSlotsMax = 4 * kUnsyncedMax;

struct WalkSettings {
    std::string folder;
    bool checks_chain = true;        // false: trust the digests (a reader after a full check)
    bool last_segment_only = false;  // its header is trusted for what came before
    // Last record that the anchor knows to be on the disk. Without it every record counts as
    // synced.
    std::uint64_t synced_sequence = kNoAnchor;
    // Begins there: what came before is neither read nor checked, but the chain record that ends
    // it must be the one that the place names.
    std::optional<ChainPlace> from = {};
    // With such a place in the last segment: what lies before it in that segment is read, too, and
    // checked as without checks_chain. That is what a writer wants to know of the segment in which
    // it goes on.
    bool checks_last_segment = false;
    // So far behind the first slot that is not whole the last segment is searched for more. A start
    // looks kTailSlotsMax far: more was never written ahead of a sync, and what was synced the
    // anchor knows.
    std::uint64_t tail_slots_max = ~std::uint64_t{0};

    static constexpr std::uint64_t kNoAnchor = ~std::uint64_t{0};
};

class BlockWalker {
 public:
    enum class Step : std::uint8_t { kBlock, kFault, kEnd, kFailed };

    Failure open(const WalkSettings& settings);
    // kBlock: records() are the next ones, valid until the next call. kFault: fault() says where.
    // kFailed: failure() is of the operating system, and no call goes on after it.
    Step next();

    [[nodiscard]] std::span<const Slot> records() const noexcept { return records_; }
    [[nodiscard]] const JournalFault& fault() const noexcept { return fault_; }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
    [[nodiscard]] const JournalEnd& end() const noexcept { return end_; }
    [[nodiscard]] const WalkSettings& settings() const noexcept { return settings_; }
    // The walk is over, met no fault, and has seen the last segment from its header on.
    [[nodiscard]] bool has_seen_last_segment() const noexcept {
        return has_ended_ && !has_fault_ && !has_jumped_;
    }
    // The chain's head when block `block` was sealed, if the walk passed it; else null. Set
    // watch_block before the walk.
    void watch_block(std::uint64_t block) noexcept { watched_block_ = block; }
    [[nodiscard]] const Sha256Digest* watched_digest() const noexcept {
        return watched_seen_ ? &watched_digest_ : nullptr;
    }

 private:
    using Outcome = std::optional<Step>;  // nothing: go on with the next slot

    struct HeaderContext {
        bool is_sound;       // whole, and of the file's size
        bool lost_the_head;  // the last block before it had lost slots: its digest is not known
    };

    void begin_behind_compacted();
    Outcome open_segment();
    Outcome check_header(const SegmentHeader& header, const SegmentFile& file,
                         HeaderContext context);
    void adopt_header(const SegmentHeader& header);
    Outcome jump(const SegmentHeader& header, const ChainPlace& to);
    Step not_at(const ChainPlace& place);
    [[nodiscard]] bool has_passed_from() noexcept;
    Outcome at_record(const Slot& slot);
    Outcome at_chain_record(const Slot& slot);
    [[nodiscard]] std::string chain_complaint(const BlockDigest& payload, const Slot& slot);
    [[nodiscard]] Sha256Digest digest_of_block();
    void hash_blocks(std::uint64_t first_slot, std::size_t slots);
    [[nodiscard]] std::size_t slots_of_block(std::size_t begin) const noexcept;
    Outcome at_invalid();
    Outcome at_segment_end();
    Outcome at_journal_end();
    Outcome next_segment();
    Step report(FaultKind kind, std::uint64_t record, std::uint64_t count, const std::string& text);
    Step fail_with(Failure failure);

    bool fill();  // at least one slot at cursor_; false: the segment ends, or failure_
    bool reread();
    bool find_last_whole();
    [[nodiscard]] bool was_synced() const noexcept;
    void note_mark(const BlockDigest& payload) noexcept;
    void take_slot(bool keeps_block) noexcept;
    void begin_block() noexcept;
    void seal(const BlockDigest& payload) noexcept;
    [[nodiscard]] bool is_last_segment() const noexcept { return segment_ + 1 == segments_.size(); }

    WalkSettings settings_;
    std::vector<SegmentFile> segments_;
    std::size_t segment_ = 0;  // index into segments_
    JournalFile file_;

    std::unique_ptr<Slot[]> buffer_;
    std::size_t filled_ = 0;       // slots in the buffer
    std::size_t cursor_ = 0;       // the next one to look at; end_.slot is its place in the file
    std::size_t block_begin_ = 0;  // first record of the block at hand

    // Blocks in the buffer are hashed side by side, the one at hand and those behind it.
    struct Ahead {
        std::uint64_t first_slot;  // in the segment
        std::uint64_t slots;
        Sha256Digest previous;  // the digest before the block, as hashed
        Sha256Digest digest;
    };
    static constexpr std::size_t kAheadMost = 64;
    std::array<Sha256, kAheadMost> hashes_;
    std::array<Ahead, kAheadMost> ahead_;
    std::size_t ahead_count_ = 0;
    std::size_t ahead_next_ = 0;  // the one of the next block

    std::uint64_t expected_ = 1;      // sequence of the next record
    std::uint64_t slack_ = 0;         // invalid slots since the last whole one: perhaps records
    std::uint64_t block_record_ = 0;  // slots of the block before the cursor
    std::uint64_t place_ = 0;         // chain records passed, whatever number they claim
    bool is_damaged_ = false;         // a fault of this block was reported
    bool lost_slots_ = false;         // of this block some slots were invalid
    // The last segment, searched at its first invalid slot.
    bool searched_ = false;
    std::uint64_t last_whole_ = 0;  // slot index; 0: none
    std::uint64_t last_used_ = 0;
    bool tail_given_ = false;            // the open block at the end was handed out
    std::uint64_t marked_sequence_ = 0;  // the most that the segment at hand knows to be synced
    bool is_torn_ = false;  // the journal ends at the cursor, whatever is written there by now
    bool is_before_from_ = false;  // of settings_
    bool has_jumped_ = false;      // into the middle of the segment at hand
    bool has_fault_ = false;
    bool has_ended_ = false;

    std::span<const Slot> records_;
    JournalFault fault_;
    Failure failure_;
    JournalEnd end_;
    std::uint64_t watched_block_ = 0;
    Sha256Digest watched_digest_{};
    bool watched_seen_ = false;
};

}  // namespace gm
