// The walk: one slot at a time inside a buffer that always holds the block at hand in one piece.
#include "gm/journal/block_walker.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "gm/journal/compacted.hpp"

namespace gm {

namespace {

constexpr std::size_t kBlockStride = kBlockSlots + 1;    // with its chain record
constexpr std::size_t kBufferSlots = 16 * kBlockStride;  // 1 MiB

std::string text_of(std::uint64_t number) {
    return std::to_string(number);
}

}  // namespace

const char* name_of(FaultKind kind) noexcept {
    switch (kind) {
        case FaultKind::kRecord: return "record";
        case FaultKind::kSequence: return "sequence";
        case FaultKind::kChain: return "chain";
        case FaultKind::kSegmentHeader: return "segment_header";
        case FaultKind::kSegmentMissing: return "segment_missing";
        case FaultKind::kSegmentForeign: return "segment_foreign";
        case FaultKind::kAnchor: return "anchor";
    }
    return "unknown";
}

Failure BlockWalker::open(const WalkSettings& settings) {
    settings_ = settings;
    buffer_ = std::make_unique_for_overwrite<Slot[]>(kBufferSlots);
    Failure failure = list_segments(settings.folder, segments_);
    if (!failure.is_ok()) return failure;
    if (settings.last_segment_only && segments_.size() > 1) {
        segments_.erase(segments_.begin(), segments_.end() - 1);
    }
    if (!settings.from && !settings.last_segment_only) begin_behind_compacted();
    if (!settings.from) return ok();
    const std::uint64_t first = settings.from->segment_first_sequence;
    std::erase_if(segments_, [&](const SegmentFile& file) { return file.first_sequence < first; });
    if (!segments_.empty() && segments_[0].first_sequence == first) return ok();
    return fail(Status::kJournalCorrupt,
                "the journal in " + settings.folder + " has no " + segment_name(first));
}

// Without what stands in the place of the segments before it, the first header is a fault.
void BlockWalker::begin_behind_compacted() {
    CompactedHeader header{};
    if (segments_.empty() || segments_[0].first_sequence == 1) return;
    if (!read_last_compacted(settings_.folder, segments_[0].first_sequence, header)) return;
    expected_ = segments_[0].first_sequence;
    end_.journal_id = header.journal_id;
    end_.last_sequence = header.last_sequence;
    end_.blocks = header.last_block;
    std::memcpy(end_.digest.data(), header.last_digest, end_.digest.size());
}

BlockWalker::Step BlockWalker::next() {
    records_ = {};
    if (!failure_.is_ok()) return Step::kFailed;
    has_ended_ = false;
    if (segments_.empty()) return Step::kEnd;
    Outcome outcome;
    if (!file_.is_open()) outcome = open_segment();
    while (!outcome) {  // bounded by the slots of the journal: each pass takes one or leaves
        if (!fill()) {
            outcome = failure_.is_ok() ? at_segment_end() : Step::kFailed;
        } else if (const Slot& slot = buffer_[cursor_]; !is_whole(slot)) {
            outcome = at_invalid();
        } else if (slot.type() == RecordType::kBlockDigest) {
            outcome = at_chain_record(slot);
        } else {
            outcome = at_record(slot);
        }
    }
    return *outcome;
}

BlockWalker::Outcome BlockWalker::at_record(const Slot& slot) {
    const std::uint64_t sequence = slot.trailer.journal_sequence;
    if (sequence - expected_ > slack_) {  // also true for a sequence below: the difference wraps
        const std::string text = "record " + text_of(sequence) + " stands where record " +
                                 text_of(expected_) + " belongs";
        expected_ = sequence;
        is_damaged_ = true;
        return report(FaultKind::kSequence, block_record_ + 1, 1, text);
    }
    if (block_record_ == kBlockSlots && !is_damaged_) {
        is_damaged_ = true;
        return report(FaultKind::kChain, 0, 1, "has no chain record after its last place");
    }
    expected_ = sequence + 1;
    slack_ = 0;
    end_.last_sequence = sequence;
    end_.records += 1;
    take_slot(!is_damaged_);
    return {};
}

BlockWalker::Outcome BlockWalker::at_chain_record(const Slot& slot) {
    const auto payload = slot.as<BlockDigest>();
    const std::string complaint = is_damaged_ ? "" : chain_complaint(payload, slot);
    if (is_damaged_ && payload.last_journal_sequence + 1 - expected_ <= slack_) {
        expected_ = payload.last_journal_sequence + 1;
        slack_ = 0;
    }
    if (!complaint.empty()) {
        const Step step = report(FaultKind::kChain, 0, 1, complaint);
        seal(payload);
        take_slot(false);
        begin_block();
        return step;
    }
    const std::span<const Slot> records(buffer_.get() + block_begin_, cursor_ - block_begin_);
    const bool was_damaged = is_damaged_;
    seal(payload);
    take_slot(false);
    begin_block();
    if (!has_passed_from()) return not_at(*settings_.from);
    if (was_damaged) return {};
    records_ = records;
    return Step::kBlock;
}

std::string BlockWalker::chain_complaint(const BlockDigest& payload, const Slot& slot) {
    const std::uint64_t count = cursor_ - block_begin_;
    if (count == 0) return "is a chain record without records";
    const Slot canonical = make_chain_record(payload);
    if (std::memcmp(&slot, &canonical, sizeof slot) != 0) {
        return "has a chain record that no writer makes";
    }
    if (payload.block != end_.blocks + 1) return "calls itself block " + text_of(payload.block);
    const bool covers = payload.first_journal_sequence == expected_ - count &&
                        payload.last_journal_sequence == expected_ - 1 &&
                        slot.trailer.journal_sequence == expected_ - 1;
    if (!covers) {
        return "has a chain record of records " + text_of(payload.first_journal_sequence) + " to " +
               text_of(payload.last_journal_sequence) + ", not of " + text_of(expected_ - count) +
               " to " + text_of(expected_ - 1);
    }
    if (payload.synced_journal_sequence >= payload.first_journal_sequence) {
        return "has a chain record that knows record " + text_of(payload.synced_journal_sequence) +
               " to have been synced before it";
    }
    if (!settings_.checks_chain || is_before_from_) return "";
    const Sha256Digest digest = digest_of_block();
    if (std::memcmp(digest.data(), payload.sha256, digest.size()) == 0) return "";
    return "does not have the SHA-256 of its chain record";
}

BlockWalker::Outcome BlockWalker::at_invalid() {
    const bool is_last = is_last_segment();
    if (is_last) {
        if (is_torn_) return at_journal_end();
        if (!searched_ && !find_last_whole()) return Step::kFailed;
        if (end_.slot > last_whole_) return at_journal_end();
        // Whole records behind it: a fault, unless it was written since we read it, or had not
        // reached the disk yet when they had.
        if (reread()) return {};
        if (!failure_.is_ok()) return Step::kFailed;
        is_torn_ = !was_synced();
        if (is_torn_) return at_journal_end();
    } else if (end_.slot + 1 == end_.segment_slots && block_record_ == 0 &&
               is_empty(buffer_[cursor_])) {
        take_slot(false);  // the one slot in which no block could begin
        begin_block();
        return {};
    }
    const std::uint64_t first_record = block_record_ + 1;
    const std::uint64_t first_slot = end_.slot;
    is_damaged_ = true;
    lost_slots_ = true;
    // Bounded by the slots of the segment.
    while (fill() && !is_whole(buffer_[cursor_]) && !(is_last && end_.slot > last_whole_)) {
        take_slot(false);
    }
    const std::uint64_t count = end_.slot - first_slot;
    slack_ += count;
    const Step step = report(FaultKind::kRecord, first_record, count,
                             "fails its checksum, and whole records or segments come after it");
    fault_.offset = first_slot * sizeof(Slot);
    return step;
}

BlockWalker::Outcome BlockWalker::at_segment_end() {
    if (block_record_ != 0 && !is_damaged_) {
        begin_block();
        return report(FaultKind::kChain, 0, 1, "has no chain record at the end of the segment");
    }
    return at_journal_end();
}

// The place where the journal ends, unless a segment was begun since the folder was listed.
BlockWalker::Outcome BlockWalker::at_journal_end() {
    if (!is_last_segment()) return next_segment();
    if (end_.slot + 1 >= end_.segment_slots && block_record_ == 0 && !settings_.last_segment_only) {
        std::vector<SegmentFile> newer;
        Failure failure = list_segments(settings_.folder, newer);
        if (!failure.is_ok()) return fail_with(std::move(failure));
        // Those before may have been left out or have given way to compacted ones.
        std::erase_if(newer, [&](const SegmentFile& file) {
            return file.first_sequence <= segments_.back().first_sequence;
        });
        segments_.insert(segments_.end(), newer.begin(), newer.end());
        if (!newer.empty()) return next_segment();
    }
    end_.open_slots = block_record_;
    end_.torn_bytes = last_used_ >= end_.slot ? (last_used_ + 1 - end_.slot) * sizeof(Slot) : 0;
    if (!tail_given_ && cursor_ > block_begin_ && !is_damaged_) {
        tail_given_ = true;
        records_ = {buffer_.get() + block_begin_, cursor_ - block_begin_};
        return Step::kBlock;
    }
    if (is_before_from_) return not_at(*settings_.from);
    has_ended_ = true;
    return Step::kEnd;
}

BlockWalker::Outcome BlockWalker::next_segment() {
    segment_ += 1;
    file_.close();
    return open_segment();
}

BlockWalker::Outcome BlockWalker::open_segment() {
    const SegmentFile& segment = segments_[segment_];
    SegmentHeader header{};
    std::uint64_t file_bytes = 0;
    std::size_t got = 0;
    Failure failure = file_.open_to_read(segment.path);
    if (failure.is_ok()) failure = file_.size(file_bytes);
    if (failure.is_ok()) {
        failure = file_.read_at(0, std::as_writable_bytes(std::span(&header, 1)), got);
    }
    if (!failure.is_ok()) return fail_with(std::move(failure));
    end_.segments += 1;
    end_.segment_path = segment.path;
    end_.segment_first_sequence = segment.first_sequence;
    end_.segment_slots = std::min(file_bytes, kSegmentBytesMax) / sizeof(Slot);
    end_.slot = 1;
    filled_ = cursor_ = 0;
    ahead_count_ = 0;
    searched_ = has_jumped_ = false;
    last_whole_ = last_used_ = 0;
    const bool lost_the_head = lost_slots_;  // perhaps the chain record of the segment before
    begin_block();
    const bool is_sound =
        got == sizeof header && is_whole(header) && header.segment_bytes == file_bytes;
    return check_header(header, segment, {is_sound, lost_the_head});
}

BlockWalker::Outcome BlockWalker::check_header(const SegmentHeader& header, const SegmentFile& file,
                                               HeaderContext context) {
    const bool is_first = end_.segments == 1;
    if (!context.is_sound || header.first_sequence != file.first_sequence) {
        if (is_first) expected_ = file.first_sequence;
        return report(FaultKind::kSegmentHeader, 0, 1,
                      "the header, the name and the size of the segment do not agree");
    }
    const JournalEnd before = end_;
    const std::uint64_t wanted = expected_;
    adopt_header(header);
    if (is_first && settings_.from) {
        is_before_from_ =
            settings_.checks_last_segment && is_last_segment() && settings_.from->slot > 1;
        return is_before_from_ ? Outcome{} : jump(header, *settings_.from);
    }
    if (is_first && settings_.last_segment_only) return {};
    if (before.journal_id != 0 && before.journal_id != header.journal_id) {
        return report(FaultKind::kSegmentForeign, 0, 1,
                      "is of journal " + text_of(header.journal_id) + ", not of " +
                          text_of(before.journal_id));
    }
    if (header.first_sequence - wanted > slack_) {
        return report(FaultKind::kSegmentMissing, 0, 1,
                      "begins with record " + text_of(header.first_sequence) + " where record " +
                          text_of(wanted) + " belongs");
    }
    slack_ = 0;
    const bool continues =
        header.first_block == before.blocks + 1 &&
        std::memcmp(header.previous_digest, before.digest.data(), before.digest.size()) == 0;
    if (!continues && !context.lost_the_head) {
        return report(FaultKind::kChain, 0, 1,
                      "the header does not continue the chain of the segment before");
    }
    return {};
}

// The header is sound and adopted: goes on to a place behind it.
BlockWalker::Outcome BlockWalker::jump(const SegmentHeader& header, const ChainPlace& to) {
    Slot before{};
    std::size_t got = sizeof before;
    if (to.slot > 1 && to.slot <= end_.segment_slots) {
        failure_ = file_.read_at((to.slot - 1) * sizeof(Slot),
                                 std::as_writable_bytes(std::span(&before, 1)), got);
        if (!failure_.is_ok()) return Step::kFailed;
    }
    const auto chain = before.as<BlockDigest>();
    const bool is_header = to.slot == 1 && header.first_block == to.blocks + 1 &&
                           header.first_sequence == to.last_sequence + 1 &&
                           std::memcmp(header.previous_digest, to.digest, sizeof to.digest) == 0;
    const bool is_chain_record = to.slot > 1 && got == sizeof before && is_whole(before) &&
                                 before.type() == RecordType::kBlockDigest &&
                                 chain.block == to.blocks &&
                                 chain.last_journal_sequence == to.last_sequence &&
                                 std::memcmp(chain.sha256, to.digest, sizeof to.digest) == 0;
    if (!is_header && !is_chain_record) return not_at(to);
    has_jumped_ = is_chain_record;
    end_.slot = to.slot;
    end_.last_sequence = to.last_sequence;
    end_.blocks = place_ = to.blocks;
    std::memcpy(end_.digest.data(), to.digest, end_.digest.size());
    expected_ = to.last_sequence + 1;
    if (is_chain_record) note_mark(chain);
    if (end_.blocks == watched_block_) {
        watched_digest_ = end_.digest;
        watched_seen_ = true;
    }
    return {};
}

BlockWalker::Step BlockWalker::not_at(const ChainPlace& place) {
    is_before_from_ = false;
    return report(FaultKind::kChain, 0, 1,
                  "slot " + text_of(place.slot) + " does not follow block " +
                      text_of(place.blocks) + " of the chain that the walk was to go on from");
}

// Behind a chain record. False: there the walk should have been at its place, and was not.
bool BlockWalker::has_passed_from() noexcept {
    if (!is_before_from_ || end_.slot < settings_.from->slot) return true;
    const ChainPlace& place = *settings_.from;
    is_before_from_ = false;
    return end_.slot == place.slot && end_.blocks == place.blocks &&
           end_.last_sequence == place.last_sequence &&
           std::memcmp(end_.digest.data(), place.digest, sizeof place.digest) == 0;
}

void BlockWalker::adopt_header(const SegmentHeader& header) {
    end_.marks = {header.has_synced_marks != 0, 0};
    marked_sequence_ = header.first_sequence - 1;  // synced before this segment got its name
    end_.journal_id = header.journal_id;
    expected_ = header.first_sequence;
    // What a first segment claims, it may be wrong about; one behind it is all there is to go by.
    if (end_.segments == 1) place_ = header.first_sequence == 1 ? 0 : header.first_block - 1;
    end_.last_sequence = header.first_sequence - 1;
    end_.blocks = header.first_block - 1;
    end_.segment_first_block = header.first_block;
    std::memcpy(end_.digest.data(), header.previous_digest, end_.digest.size());
    if (end_.blocks == watched_block_) {
        watched_digest_ = end_.digest;
        watched_seen_ = true;
    }
}

void BlockWalker::seal(const BlockDigest& payload) noexcept {
    const bool lost_a_chain_record = lost_slots_ && payload.block == end_.blocks + 2;
    place_ += lost_a_chain_record ? 2 : 1;
    end_.blocks = payload.block;
    end_.marks.synced_sequence = payload.synced_journal_sequence;
    note_mark(payload);
    std::memcpy(end_.digest.data(), payload.sha256, end_.digest.size());
    if (payload.block == watched_block_) {
        watched_digest_ = end_.digest;
        watched_seen_ = true;
    }
}

void BlockWalker::take_slot(bool keeps_block) noexcept {
    cursor_ += 1;
    end_.slot += 1;
    block_record_ += 1;
    if (!keeps_block) block_begin_ = cursor_;
}

void BlockWalker::begin_block() noexcept {
    block_begin_ = cursor_;
    block_record_ = 0;
    is_damaged_ = false;
    lost_slots_ = false;
}

bool BlockWalker::fill() {
    if (cursor_ < filled_) return true;
    if (end_.slot >= end_.segment_slots) return false;
    const std::size_t kept = cursor_ - block_begin_;  // at most kBlockSlots + 1
    std::memmove(static_cast<void*>(buffer_.get()), buffer_.get() + block_begin_,
                 kept * sizeof(Slot));
    block_begin_ = 0;
    cursor_ = filled_ = kept;
    const std::size_t wanted =
        std::min<std::uint64_t>(kBufferSlots - kept, end_.segment_slots - end_.slot);
    std::size_t got = 0;
    failure_ = file_.read_at(end_.slot * sizeof(Slot),
                             std::as_writable_bytes(std::span(buffer_.get() + kept, wanted)), got);
    if (!failure_.is_ok()) return false;
    filled_ += got / sizeof(Slot);
    if (cursor_ < filled_) return true;
    end_.segment_slots = end_.slot;  // the file was cut while we read it
    return false;
}

// Reads again from the cursor on. True when the slot there is whole by now.
bool BlockWalker::reread() {
    filled_ = cursor_;
    ahead_count_ = 0;
    return fill() && is_whole(buffer_[cursor_]);
}

// Whether the slot at the cursor was on the disk before the last chain record that is there, or the
// anchor, was written. A sync ends a block first: with the last record of one also its chain
// record.
bool BlockWalker::was_synced() const noexcept {
    if (!end_.marks.has_marks || settings_.synced_sequence == WalkSettings::kNoAnchor) return true;
    const std::uint64_t synced = std::max(marked_sequence_, settings_.synced_sequence);
    return (block_record_ == 0 ? expected_ : expected_ - 1) <= synced;
}

void BlockWalker::note_mark(const BlockDigest& payload) noexcept {
    marked_sequence_ = std::max(marked_sequence_, payload.synced_journal_sequence);
}

// One pass over the rest of the last segment: which slots are whole, which are used at all, and how
// far the chain records among them know the disk to have been synced.
bool BlockWalker::find_last_whole() {
    constexpr std::size_t kChunkSlots = 512;
    const auto chunk = std::make_unique_for_overwrite<Slot[]>(kChunkSlots);
    searched_ = true;
    const std::uint64_t left = end_.segment_slots - end_.slot;
    const std::uint64_t limit = end_.slot + std::min(left, settings_.tail_slots_max);
    for (std::uint64_t slot = end_.slot; slot < limit; slot += kChunkSlots) {
        std::size_t got = 0;
        failure_ = file_.read_at(slot * sizeof(Slot),
                                 std::as_writable_bytes(std::span(chunk.get(), kChunkSlots)), got);
        if (!failure_.is_ok()) return false;
        const std::size_t count = std::min<std::uint64_t>(got / sizeof(Slot), limit - slot);
        for (std::size_t i = 0; i < count; ++i) {
            if (is_empty(chunk[i])) continue;
            last_used_ = slot + i;
            if (!is_whole(chunk[i])) continue;
            last_whole_ = slot + i;
            if (chunk[i].type() == RecordType::kBlockDigest) note_mark(chunk[i].as<BlockDigest>());
        }
    }
    return true;
}

BlockWalker::Step BlockWalker::report(FaultKind kind, std::uint64_t record, std::uint64_t count,
                                      const std::string& text) {
    has_fault_ = true;
    fault_ = {};
    fault_.kind = kind;
    fault_.segment = std::filesystem::path(end_.segment_path).filename().string();
    const bool is_of_segment = kind == FaultKind::kSegmentHeader ||
                               kind == FaultKind::kSegmentMissing ||
                               kind == FaultKind::kSegmentForeign;
    fault_.block = is_of_segment ? 0 : place_ + 1;
    fault_.record = record;
    fault_.count = count;
    fault_.offset = is_of_segment ? 0 : end_.slot * sizeof(Slot);
    fault_.text = fault_.segment;
    if (!is_of_segment) fault_.text += ", block " + text_of(fault_.block);
    if (record != 0) fault_.text += ", record " + text_of(record);
    if (count > 1) fault_.text += " and " + text_of(count - 1) + " after it";
    fault_.text += ": " + text;
    return Step::kFault;
}

BlockWalker::Step BlockWalker::fail_with(Failure failure) {
    failure_ = std::move(failure);
    return Step::kFailed;
}

}  // namespace gm
