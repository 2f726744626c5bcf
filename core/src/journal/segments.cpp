// The writer. Order of writes: records, chain record, sync, anchor; a new segment gets its name
// only when it is whole, and only after the one before it was synced.
#include "gm/journal/segments.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "gm/base/clock.hpp"

namespace gm {

namespace {

// Zeroed ahead with each block. A half-full segment has at least segment_bytes / 128 KiB blocks to
// come, so twice 64 KiB a block would do; four times leaves room.
constexpr std::uint64_t kPreparedWithBlock = 256U << 10;

std::span<const std::byte> bytes_of(std::span<const Slot> slots) {
    return std::as_bytes(slots);
}

Failure check_segment_bytes(std::uint64_t bytes) {
    if (bytes >= kSegmentBytesMin && bytes <= kSegmentBytesMax && bytes % kSegmentBytesStep == 0) {
        return ok();
    }
    return fail(Status::kBadArgument, "journal_segment_bytes must be a multiple of 4096 from " +
                                          std::to_string(kSegmentBytesMin) + " to " +
                                          std::to_string(kSegmentBytesMax) + ": " +
                                          std::to_string(bytes));
}

}  // namespace

Failure SegmentWriter::keep(Failure failure) {
    if (failure_.is_ok()) failure_ = std::move(failure);
    return failure_;
}

Failure SegmentWriter::open(const SegmentSettings& settings, const BlockWalker* walked) {
    settings_ = settings;
    failure_ = {};
    folder_ = journal_folder(settings.run_directory);
    staged_ = std::make_unique<Slot[]>(kBlockSlots);
    failure_ = open_journal(walked);
    return failure_;
}

Failure SegmentWriter::open_journal(const BlockWalker* walked) {
    Failure failure = check_segment_bytes(settings_.segment_bytes);
    if (failure.is_ok()) failure = make_folder(folder_);
    std::vector<SegmentFile> segments;
    if (failure.is_ok()) failure = list_segments(folder_, segments);
    if (!failure.is_ok()) return failure;
    const std::string anchor = anchor_path(settings_.run_directory);
    if (exists(anchor)) {
        failure = anchor_.open(anchor, settings_.hook);
    } else if (segments.empty()) {
        const auto now_ns = static_cast<std::uint64_t>(wall_ns());
        const std::uint64_t id = settings_.journal_id != 0 ? settings_.journal_id : now_ns;
        failure = anchor_.create(anchor, id, settings_.hook);
    } else {
        failure = fail(Status::kJournalCorrupt, "the journal anchor " + anchor + " is missing");
    }
    if (!failure.is_ok()) return failure;
    if (segments.empty()) return begin_journal();
    const bool is_walked = walked != nullptr && suffices(*walked, segments.back());
    return is_walked ? go_on_behind(walked->end()) : resume(folder_);
}

// Whether resume() would come to the same end: it walks the last segment, asking less of each block
// and knowing no more of what was synced.
bool SegmentWriter::suffices(const BlockWalker& walked, const SegmentFile& last) const {
    const JournalEnd& end = walked.end();
    return walked.has_seen_last_segment() && end.segment_path == last.path &&
           walked.settings().folder == folder_ &&
           walked.settings().tail_slots_max == kTailSlotsMax &&
           walked.settings().synced_sequence == anchor_.record().last_sequence &&
           anchor_.record().blocks + 1 >= end.segment_first_block &&
           check_against_anchor(walked).is_ok();
}

Failure SegmentWriter::begin_journal() {
    if (anchor_.record().last_sequence != 0) {
        return fail(Status::kJournalCorrupt, "the journal in " + folder_ +
                                                 " is empty, but its anchor knows record " +
                                                 std::to_string(anchor_.record().last_sequence));
    }
    last_sequence_ = synced_sequence_ = blocks_ = 0;
    digest_ = {};
    segment_.close();
    return change_segment();
}

Failure SegmentWriter::resume(const std::string& folder) {
    BlockWalker walker;
    WalkSettings walk{.folder = folder, .checks_chain = false, .last_segment_only = true};
    walk.synced_sequence = anchor_.record().last_sequence;
    walk.tail_slots_max = kTailSlotsMax;
    Failure failure = walker.open(walk);
    if (!failure.is_ok()) return failure;
    walker.watch_block(anchor_.record().blocks);
    BlockWalker::Step step;
    do {  // bounded by the blocks of one segment
        step = walker.next();
    } while (step == BlockWalker::Step::kBlock);
    if (step == BlockWalker::Step::kFailed) return walker.failure();
    if (step == BlockWalker::Step::kFault) {
        return fail(Status::kJournalCorrupt, walker.fault().text);
    }
    failure = check_against_anchor(walker);
    return failure.is_ok() ? go_on_behind(walker.end()) : failure;
}

Failure SegmentWriter::go_on_behind(const JournalEnd& end) {
    segment_first_ = end.segment_first_sequence;
    segment_slots_ = end.segment_slots;
    slot_ = end.slot;
    last_sequence_ = end.last_sequence;
    synced_sequence_ = anchor_.record().last_sequence;
    blocks_ = end.blocks;
    digest_ = end.digest;
    Failure failure = segment_.open_to_write(end.segment_path, settings_.hook);
    if (failure.is_ok()) failure = cut_torn_tail(end);
    if (failure.is_ok()) failure = restore_open_block(end);
    return failure;
}

Failure SegmentWriter::check_against_anchor(const BlockWalker& walker) const {
    const AnchorRecord& anchor = anchor_.record();
    const JournalEnd& end = walker.end();
    if (anchor.journal_id != end.journal_id) {
        return fail(Status::kJournalForeign,
                    "the anchor of " + settings_.run_directory + " is of journal " +
                        std::to_string(anchor.journal_id) + ", the segments are of journal " +
                        std::to_string(end.journal_id));
    }
    if (anchor.last_sequence > end.last_sequence || anchor.blocks > end.blocks) {
        return fail(Status::kJournalCorrupt,
                    "the journal in " + folder_ + " ends with record " +
                        std::to_string(end.last_sequence) + ", its anchor knows record " +
                        std::to_string(anchor.last_sequence) + ": the tail was cut");
    }
    const Sha256Digest* digest = walker.watched_digest();
    if (digest == nullptr || std::memcmp(digest->data(), anchor.head_digest, digest->size()) != 0) {
        return fail(Status::kJournalCorrupt, "block " + std::to_string(anchor.blocks) +
                                                 " of the journal in " + folder_ +
                                                 " is not the one that its anchor knows");
    }
    return ok();
}

Failure SegmentWriter::cut_torn_tail(const JournalEnd& end) {
    torn_bytes_ = end.torn_bytes;
    if (torn_bytes_ == 0) return ok();
    Failure failure = segment_.write_zeros(end.slot * sizeof(Slot), torn_bytes_);
    // Before anything new is written there: else the next loss of power could bring back old
    // records in between, which would be whole and fit.
    return failure.is_ok() ? segment_.sync() : failure;
}

Failure SegmentWriter::restore_open_block(const JournalEnd& end) {
    begin_block();
    open_slots_ = end.open_slots;
    const std::span<Slot> records(staged_.get(), open_slots_);
    std::size_t got = 0;
    Failure failure = segment_.read_at((end.slot - open_slots_) * sizeof(Slot),
                                       std::as_writable_bytes(records), got);
    if (!failure.is_ok()) return failure;
    hash_.update(records.data(), got);
    // A kill between the last record of a block and its chain record.
    if (open_slots_ == kBlockSlots || slots_left() <= 1) return seal_block();
    return ok();
}

void SegmentWriter::begin_block() noexcept {
    open_slots_ = 0;
    hash_.restart();
    hash_.update(digest_.data(), digest_.size());
}

Failure SegmentWriter::append_bytes(std::span<const std::byte> records) {
    if (!failure_.is_ok()) return failure_;
    while (records.size() >= sizeof(Slot)) {  // bounded: each pass takes at least one record
        if (slots_left() <= 1) {
            Failure failure = keep(change_segment());
            if (!failure.is_ok()) return failure;
        }
        // The last place of a segment is for a chain record.
        const std::size_t bytes =
            sizeof(Slot) *
            std::min({records.size() / sizeof(Slot), kBlockSlots - open_slots_, slots_left() - 1});
        Failure failure = keep(write_records(records.first(bytes)));
        if (!failure.is_ok()) return failure;
        records = records.subspan(bytes);
        if (open_slots_ == kBlockSlots || slots_left() <= 1) {
            failure = seal_block();
            if (!failure.is_ok()) return failure;
        }
    }
    return ok();
}

Failure SegmentWriter::write_records(std::span<const std::byte> records) {
    const std::span<Slot> staged(staged_.get(), records.size() / sizeof(Slot));
    std::memcpy(static_cast<void*>(staged.data()), records.data(), staged.size_bytes());
    std::uint64_t expected = last_sequence_;
    for (Slot& slot : staged) {
        expected += 1;
        slot.trailer.crc32c = slot_crc(slot);
        if (slot.trailer.journal_sequence != expected || !is_committed(slot)) {
            return fail(Status::kJournalCorrupt,
                        "record " + std::to_string(slot.trailer.journal_sequence) +
                            " was handed to the journal as record " + std::to_string(expected));
        }
    }
    Failure failure = segment_.write_at(slot_ * sizeof(Slot), bytes_of(staged));
    if (!failure.is_ok()) return failure;
    hash_.update(staged.data(), staged.size_bytes());
    slot_ += staged.size();
    open_slots_ += staged.size();
    last_sequence_ = expected;
    return ok();
}

Failure SegmentWriter::seal_block() {
    if (!failure_.is_ok() || open_slots_ == 0) return failure_;
    BlockDigest payload{};
    digest_ = hash_.finish();
    std::memcpy(payload.sha256, digest_.data(), digest_.size());
    payload.first_journal_sequence = last_sequence_ - open_slots_ + 1;
    payload.last_journal_sequence = last_sequence_;
    payload.block = blocks_ + 1;
    payload.synced_journal_sequence = marks().synced_sequence;
    const Slot slot = make_chain_record(payload);
    Failure failure = keep(segment_.write_at(slot_ * sizeof(Slot), bytes_of({&slot, 1})));
    if (!failure.is_ok()) return failure;
    slot_ += 1;
    blocks_ += 1;
    begin_block();
    if (slot_ * 2 < segment_slots_) return ok();
    return keep(prepare_next(kPreparedWithBlock));
}

ChainPlace SegmentWriter::sealed_place() const noexcept {
    ChainPlace place{
        segment_first_, slot_ - open_slots_, last_sequence_ - open_slots_, blocks_, {}};
    std::memcpy(place.digest, digest_.data(), digest_.size());
    return place;
}

Failure SegmentWriter::sync() {
    if (!failure_.is_ok() || synced_sequence_ == last_sequence_) return failure_;
    Failure failure = seal_block();
    if (failure.is_ok()) failure = keep(segment_.sync());
    if (failure.is_ok()) failure = keep(anchor_.move_to(last_sequence_, blocks_, digest_));
    if (failure.is_ok()) synced_sequence_ = last_sequence_;
    return failure;
}

Failure SegmentWriter::close() {
    Failure failure = sync();
    return failure.is_ok() ? keep(anchor_.sync()) : failure;
}

// Up to `bytes` more zeros for the segment after this one; the first call reserves its room.
Failure SegmentWriter::prepare_next(std::uint64_t bytes) {
    if (!next_.is_open()) {
        next_zeroed_ = 0;
        Failure failure = next_.create(folder_ + "/next.gmj", settings_.hook);
        if (failure.is_ok()) failure = next_.allocate(settings_.segment_bytes);
        if (!failure.is_ok()) return failure;
    }
    const std::uint64_t count = std::min(bytes, settings_.segment_bytes - next_zeroed_);
    if (count == 0) return ok();
    Failure failure = next_.write_zeros(next_zeroed_, count);
    if (failure.is_ok()) next_zeroed_ += count;
    return failure;
}

Failure SegmentWriter::change_segment() {
    Failure failure = sync();  // nothing to do in a new journal
    if (failure.is_ok() && segment_.is_open()) failure = anchor_.sync();
    if (failure.is_ok()) failure = prepare_next(settings_.segment_bytes);
    const SegmentHeader header =
        make_segment_header(settings_.segment_bytes, journal_id(), last_sequence_ + 1, blocks_ + 1,
                            digest_, marks().has_marks);
    if (failure.is_ok()) failure = next_.write_at(0, std::as_bytes(std::span(&header, 1)));
    if (failure.is_ok()) failure = next_.sync();
    if (failure.is_ok())
        failure = next_.rename_to(folder_ + "/" + segment_name(last_sequence_ + 1));
    if (!failure.is_ok()) return failure;
    segment_ = std::move(next_);
    segment_first_ = last_sequence_ + 1;
    segment_slots_ = settings_.segment_bytes / sizeof(Slot);
    slot_ = 1;
    begin_block();
    return ok();
}

}  // namespace gm
