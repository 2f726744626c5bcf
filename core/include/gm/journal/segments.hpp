// Writes the journal's segments: records into blocks, blocks into a chain, the head into the
// anchor.
//
// Journal thread only, after a cold open. Opening is recovery: the last segment is walked, a torn
// tail is cut, a fault or a journal that ends before its anchor is kJournalCorrupt, and writing
// goes on in the open block. The next segment is reserved and zeroed while the second half of the
// present one fills, a piece with each block, so that changing over does not wait for it.
// The first failure of a write or a sync is final: every later call answers with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/journal/anchor.hpp"
#include "gm/journal/block_walker.hpp"
#include "gm/journal/journal_file.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/wire/record.hpp"

namespace gm {

struct SegmentSettings {
    std::string run_directory;  // holds journal/ and journal.anchor
    // Of segments made from now on; those that exist keep their size. A multiple of 4,096.
    std::uint64_t segment_bytes = kSegmentBytesDefault;
    std::uint64_t journal_id = 0;  // of a new journal; 0: taken from the wall clock
    FileHook hook;                 // tests only
};

class SegmentWriter {
 public:
    // `walked`: a walk of this journal under its anchor. If it has ended without a fault and has
    // seen all of the last segment, there is no need of another; else it does not count.
    Failure open(const SegmentSettings& settings, const BlockWalker* walked = nullptr);

    // Records in order, the first with sequence last_sequence() + 1. Fills in their checksums.
    // On return they survive the death of the process; after sync() also the loss of power.
    Failure append(std::span<const Slot> records) { return append_bytes(std::as_bytes(records)); }
    // The same from memory of any alignment: whole slots, one after the other.
    Failure append_bytes(std::span<const std::byte> records);
    // For the copy that a replay makes, before each block: its chain record, and the header of a
    // segment that begins with it, say about the disk what the original's say.
    void copy_marks(const SyncMarks& marks) { copied_marks_ = marks; }
    // Ends the open block with its chain record. Nothing to do when no block is open.
    Failure seal_block();
    // Seals, syncs, and moves the anchor. Nothing to do when nothing was written since.
    Failure sync();
    // sync(), and the anchor is durable too.
    Failure close();

    [[nodiscard]] std::uint64_t journal_id() const noexcept { return anchor_.record().journal_id; }
    [[nodiscard]] std::uint64_t last_sequence() const noexcept { return last_sequence_; }
    [[nodiscard]] std::uint64_t synced_sequence() const noexcept { return synced_sequence_; }
    [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }
    [[nodiscard]] const Sha256Digest& head_digest() const noexcept { return digest_; }
    // Behind the last sealed block.
    [[nodiscard]] ChainPlace sealed_place() const noexcept;
    [[nodiscard]] bool is_open_block() const noexcept { return open_slots_ != 0; }
    // Of the tail that the last open cut.
    [[nodiscard]] std::uint64_t torn_bytes() const noexcept { return torn_bytes_; }

 private:
    Failure open_journal(const BlockWalker* walked);
    Failure begin_journal();
    Failure resume(const std::string& folder);
    Failure go_on_behind(const JournalEnd& end);
    [[nodiscard]] bool suffices(const BlockWalker& walked, const SegmentFile& last) const;
    Failure check_against_anchor(const BlockWalker& walker) const;
    Failure cut_torn_tail(const JournalEnd& end);
    Failure restore_open_block(const JournalEnd& end);
    Failure write_records(std::span<const std::byte> records);
    Failure change_segment();
    Failure prepare_next(std::uint64_t bytes);
    Failure finish_segment_file(JournalFile& file);
    void begin_block() noexcept;
    Failure keep(Failure failure);  // remembers the first failure

    [[nodiscard]] SyncMarks marks() const {
        return copied_marks_.value_or(SyncMarks{true, synced_sequence_});
    }
    [[nodiscard]] std::uint64_t slots_left() const noexcept { return segment_slots_ - slot_; }

    SegmentSettings settings_;
    std::string folder_;
    JournalFile segment_;
    JournalFile next_;
    JournalAnchor anchor_;
    std::unique_ptr<Slot[]> staged_;  // one block: records with their checksums
    Sha256 hash_;                     // of the open block

    std::uint64_t segment_first_ = 1;  // sequence of its first record
    std::uint64_t segment_slots_ = 0;
    std::uint64_t slot_ = 0;  // where the next record goes
    std::uint64_t last_sequence_ = 0;
    std::uint64_t synced_sequence_ = 0;
    std::uint64_t blocks_ = 0;
    std::uint64_t open_slots_ = 0;
    std::uint64_t next_zeroed_ = 0;  // bytes of next_ that are zeroed
    std::uint64_t torn_bytes_ = 0;
    Sha256Digest digest_{};
    std::optional<SyncMarks> copied_marks_;
    Failure failure_;
};

}  // namespace gm
