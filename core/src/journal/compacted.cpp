// One block at a time, each read whole: what is kept is little beside what went.
#include "gm/journal/compacted.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "gm/base/crc32c.hpp"

namespace gm {
namespace {

using Step = BlockWalker::Step;

constexpr std::string_view kCompactedPrefix = "compacted-";

bool is_sound(const CompactedHeader& header) noexcept {
    return header.magic == kCompactedMagic && header.schema == kSchema &&
           header.slot_bytes == sizeof(Slot) && header.crc32c == crc_of(header) &&
           header.journal_id != 0 && header.first_sequence != 0 &&
           header.last_sequence >= header.first_sequence &&
           std::ranges::all_of(header.reserved, [](auto byte) { return byte == 0; });
}

}  // namespace

bool is_market_data(RecordType type) noexcept {
    switch (type) {
        case RecordType::kBarOpen:
        case RecordType::kBarClose:
        case RecordType::kTrade:
        case RecordType::kHeartbeat:
        case RecordType::kQuote:
        case RecordType::kBookLevel:
        case RecordType::kBookReset:
        case RecordType::kReplayedBar:
        case RecordType::kReplayEnd:
        case RecordType::kTimer:
        case RecordType::kBackfill: return true;
        default: return false;
    }
}

std::uint32_t crc_of(const CompactedHeader& header) noexcept {
    return crc32c(&header, offsetof(CompactedHeader, crc32c));
}

Sha256Digest chain_start(const CompactedHeader& header) noexcept {
    return sha256(&header, sizeof header);
}

std::string compacted_name(std::uint64_t first_sequence) {
    return std::string(kCompactedPrefix) +
           segment_name(first_sequence).substr(std::string_view("segment-").size());
}

std::string compacted_anchor_path(std::string_view run_directory) {
    return std::string(run_directory) + "/compacted.anchor";
}

Failure list_compacted(const std::string& folder, std::uint64_t before_sequence,
                       std::vector<SegmentFile>& files) {
    if (Failure failure = list_segments(folder, files, kCompactedPrefix); !failure.is_ok()) {
        return failure;
    }
    std::erase_if(files, [&](const auto& file) { return file.first_sequence >= before_sequence; });
    return ok();
}

Failure read_compacted_header(const SegmentFile& file, CompactedHeader& header) {
    JournalFile opened;
    std::size_t got = 0;
    Failure failure = opened.open_to_read(file.path);
    if (failure.is_ok()) {
        failure = opened.read_at(0, std::as_writable_bytes(std::span(&header, 1)), got);
    }
    if (!failure.is_ok()) return failure;
    const bool is_whole = got == sizeof header && is_sound(header);
    if (is_whole && header.first_sequence == file.first_sequence) return ok();
    return fail(Status::kJournalCorrupt,
                file.path + ": its header and its name are not those of a compacted segment");
}

bool read_last_compacted(const std::string& folder, std::uint64_t before_sequence,
                         CompactedHeader& header) {
    std::vector<SegmentFile> files;
    return list_compacted(folder, before_sequence, files).is_ok() && !files.empty() &&
           read_compacted_header(files.back(), header).is_ok() &&
           header.last_sequence + 1 == before_sequence;
}

Failure CompactedWalker::open(const std::string& folder, std::uint64_t before_sequence) {
    buffer_ = std::make_unique_for_overwrite<Slot[]>(kBlockSlots + 1);
    failure_ = list_compacted(folder, before_sequence, files_);
    return failure_;
}

Step CompactedWalker::next() {
    records_ = {};
    if (!failure_.is_ok()) return Step::kFailed;
    for (;;) {  // bounded: each pass gives something out or goes to the next file
        if (file_.is_open() && slot_ < slots_) return next_block();
        if (file_.is_open()) {
            file_.close();
            end_.head = digest_;
            if (end_.segments == watched_) {
                watched_head_ = digest_;
                watched_seen_ = knows_head_;
            }
        }
        if (next_file_ == files_.size()) return Step::kEnd;
        const Step step = open_file();
        if (step != Step::kBlock) return step;
    }
}

// kBlock: go on.
Step CompactedWalker::open_file() {
    const SegmentFile& file = files_[next_file_];
    next_file_ += 1;
    end_.segments += 1;
    slot_ = slots_ = blocks_ = 0;
    std::uint64_t bytes = 0;
    Failure failure = read_compacted_header(file, header_);
    bool is_corrupt = failure.status == Status::kJournalCorrupt;
    if (failure.is_ok()) failure = file_.open_to_read(file.path);
    if (failure.is_ok()) failure = file_.size(bytes);
    if (!failure.is_ok() && !is_corrupt) {
        failure_ = std::move(failure);
        return Step::kFailed;
    }
    if (!is_corrupt && bytes % sizeof(Slot) != 0) {
        failure = fail(Status::kJournalCorrupt, "holds " + std::to_string(bytes % sizeof(Slot)) +
                                                    " bytes behind its last slot");
        is_corrupt = true;
    }
    end_.bytes += bytes;
    const std::uint64_t wanted = end_.last_sequence + 1;
    if (is_corrupt) {
        header_ = {};
        end_.last_sequence = file.first_sequence - 1;
        knows_head_ = false;
        return report(FaultKind::kSegmentHeader, 0, failure.text);
    }
    const bool follows = knows_head_;
    const bool continues = std::memcmp(header_.previous_head, end_.head.data(), 32) == 0;
    const bool is_foreign = end_.journal_id != 0 && end_.journal_id != header_.journal_id;
    end_.journal_id = header_.journal_id;
    end_.last_sequence = header_.last_sequence;
    end_.last_block = header_.last_block;
    std::memcpy(end_.last_digest.data(), header_.last_digest, end_.last_digest.size());
    digest_ = chain_start(header_);
    sequence_ = header_.first_sequence - 1;
    slots_ = bytes / sizeof(Slot);
    slot_ = 1;
    knows_head_ = true;
    if (is_foreign) return report(FaultKind::kSegmentForeign, 0, "is of another journal");
    if (follows && header_.first_sequence != wanted) {
        return report(FaultKind::kSegmentMissing, 0,
                      "begins with record " + std::to_string(header_.first_sequence) +
                          " where record " + std::to_string(wanted) + " belongs");
    }
    if (follows && !continues) {
        return report(FaultKind::kChain, 0,
                      "does not continue the chain of the compacted segment before");
    }
    return Step::kBlock;
}

Step CompactedWalker::next_block() {
    const std::size_t wanted = std::min<std::uint64_t>(kBlockSlots + 1, slots_ - slot_);
    std::size_t got = 0;
    failure_ = file_.read_at(slot_ * sizeof(Slot),
                             std::as_writable_bytes(std::span(buffer_.get(), wanted)), got);
    if (!failure_.is_ok()) return Step::kFailed;
    const std::size_t read = got / sizeof(Slot);
    const Slot* const end = std::find_if(buffer_.get(), buffer_.get() + read, [](const Slot& s) {
        return s.type() == RecordType::kBlockDigest;
    });
    const auto records = static_cast<std::size_t>(end - buffer_.get());
    std::uint64_t record = 0;
    const std::string complaint = records == read ? "has no chain record behind its last place"
                                                  : block_complaint(records, record);
    if (!complaint.empty()) {
        const FaultKind kind = record != 0 ? FaultKind::kRecord : FaultKind::kChain;
        const Step step = report(kind, record, complaint);
        slots_ = slot_;  // what follows hangs on what was lost
        knows_head_ = false;
        return step;
    }
    const auto payload = end->as<BlockDigest>();
    std::memcpy(digest_.data(), payload.sha256, digest_.size());
    blocks_ += 1;
    sequence_ = payload.last_journal_sequence;
    slot_ += records + 1;
    end_.records += records;
    records_ = {buffer_.get(), records};
    return Step::kBlock;
}

// Of the records in the buffer and the chain record behind them. `record`: the one it is about.
std::string CompactedWalker::block_complaint(std::size_t records, std::uint64_t& record) {
    std::uint64_t sequence = sequence_;
    for (std::size_t i = 0; i < records; ++i) {
        const Slot& slot = buffer_[i];
        record = i + 1;
        if (!is_whole(slot)) return "fails its checksum";
        const std::uint64_t next = slot.trailer.journal_sequence;
        if (next <= sequence || next > header_.last_sequence) {
            return "is record " + std::to_string(next) + ", behind record " +
                   std::to_string(sequence) + " of " + std::to_string(header_.last_sequence);
        }
        sequence = next;
    }
    record = 0;
    if (records == 0) return "is a chain record without records";
    Sha256 hash;
    hash.update(digest_.data(), digest_.size());
    hash.update(buffer_.get(), records * sizeof(Slot));
    const Sha256Digest digest = hash.finish();
    BlockDigest expected{};
    std::memcpy(expected.sha256, digest.data(), digest.size());
    expected.first_journal_sequence = buffer_[0].trailer.journal_sequence;
    expected.last_journal_sequence = sequence;
    expected.block = blocks_ + 1;
    const Slot chain = make_chain_record(expected);
    if (std::memcmp(&chain, &buffer_[records], sizeof chain) == 0) return "";
    return "does not have the SHA-256, the numbers and the place of its chain record";
}

Step CompactedWalker::report(FaultKind kind, std::uint64_t record, const std::string& text) {
    fault_ = {};
    fault_.kind = kind;
    fault_.segment = std::filesystem::path(files_[next_file_ - 1].path).filename().string();
    fault_.block = slot_ > 1 || record != 0 || kind == FaultKind::kChain ? blocks_ + 1 : 0;
    fault_.record = record;
    fault_.offset = slot_ * sizeof(Slot) + (record == 0 ? 0 : (record - 1) * sizeof(Slot));
    fault_.text = fault_.segment;
    if (fault_.block != 0) fault_.text += ", block " + std::to_string(fault_.block);
    if (record != 0) fault_.text += ", record " + std::to_string(record);
    fault_.text += ": " + text;
    return Step::kFault;
}

}  // namespace gm
