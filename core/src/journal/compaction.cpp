// A segment is walked as a verification walks it, and copied block by block.
#include "gm/journal/compaction.hpp"

#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/journal/anchor.hpp"
#include "gm/journal/block_walker.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/journal/segment_format.hpp"

namespace gm {
namespace {

// Appends what is kept of a segment to a file, in blocks of the chain.
class CompactedWriter {
 public:
    Failure open(const std::string& path, const CompactedHeader& header, FileHook hook) {
        block_ = std::make_unique<Slot[]>(kBlockSlots + 1);
        digest_ = chain_start(header);
        Failure failure = file_.create(path, hook);
        if (failure.is_ok()) failure = file_.write_at(0, std::as_bytes(std::span(&header, 1)));
        offset_ = sizeof header;
        return failure;
    }

    Failure take(const Slot& record) {
        block_[used_] = record;
        used_ += 1;
        kept_ += 1;
        return used_ == kBlockSlots ? seal() : ok();
    }

    Failure finish(const std::string& path) {
        Failure failure = used_ == 0 ? ok() : seal();
        if (failure.is_ok()) failure = file_.sync();
        if (failure.is_ok()) failure = file_.rename_to(path);
        return failure;
    }

    [[nodiscard]] const Sha256Digest& head() const noexcept { return digest_; }
    [[nodiscard]] std::uint64_t kept() const noexcept { return kept_; }

 private:
    Failure seal() {
        Sha256 hash;
        hash.update(digest_.data(), digest_.size());
        hash.update(block_.get(), used_ * sizeof(Slot));
        digest_ = hash.finish();
        BlockDigest payload{};
        std::memcpy(payload.sha256, digest_.data(), digest_.size());
        payload.first_journal_sequence = block_[0].trailer.journal_sequence;
        payload.last_journal_sequence = block_[used_ - 1].trailer.journal_sequence;
        payload.block = ++blocks_;
        block_[used_] = make_chain_record(payload);
        const std::span<const Slot> all(block_.get(), used_ + 1);
        Failure failure = file_.write_at(offset_, std::as_bytes(all));
        offset_ += all.size_bytes();
        used_ = 0;
        return failure;
    }

    JournalFile file_;
    std::unique_ptr<Slot[]> block_;
    std::size_t used_ = 0;
    std::uint64_t offset_ = 0;
    std::uint64_t blocks_ = 0;
    std::uint64_t kept_ = 0;
    Sha256Digest digest_{};
};

Failure read_header(const SegmentFile& file, SegmentHeader& header, std::uint64_t& bytes) {
    JournalFile opened;
    std::size_t got = 0;
    Failure failure = opened.open_to_read(file.path);
    if (failure.is_ok()) failure = opened.size(bytes);
    if (failure.is_ok()) {
        failure = opened.read_at(0, std::as_writable_bytes(std::span(&header, 1)), got);
    }
    if (!failure.is_ok()) return failure;
    const bool is_sound = got == sizeof header && is_whole(header) &&
                          header.first_sequence == file.first_sequence &&
                          header.segment_bytes == bytes;
    return is_sound ? ok() : fail(Status::kJournalCorrupt, file.path + ": its header is damaged");
}

// One call of compact_oldest.
class Pass {
 public:
    Pass(const Compaction& compaction, CompactionReport& report)
        : compaction_(compaction),
          report_(report),
          folder_(journal_folder(compaction.run_directory)) {}

    Failure run() {
        std::vector<SegmentFile> segments;
        Failure failure = list_segments(folder_, segments);
        if (!failure.is_ok() || segments.size() < 2) return failure;
        oldest_ = segments[0];
        failure = read_header(oldest_, old_, report_.bytes_removed);
        std::uint64_t unused = 0;
        if (failure.is_ok()) failure = read_header(segments[1], next_, unused);
        if (failure.is_ok()) failure = open_anchor();
        if (!failure.is_ok()) return failure;
        // The death before: everything but the segment's end had happened.
        const bool is_anchored = anchor_.record().last_sequence + 1 == next_.first_sequence;
        failure = is_anchored ? check_anchored() : write();
        if (!failure.is_ok() || !goes_on_) return failure;
        failure = remove_durably(oldest_.path, compaction_.hook);
        report_.last_sequence = next_.first_sequence - 1;
        report_.is_done = failure.is_ok();
        return failure;
    }

 private:
    Failure open_anchor() {
        const std::string path = compacted_anchor_path(compaction_.run_directory);
        Failure failure = ok();
        if (exists(path)) {
            failure = anchor_.open(path, compaction_.hook);
        } else if (old_.first_sequence == 1) {
            failure = anchor_.create(path, old_.journal_id, compaction_.hook);
        } else {
            failure = fail(Status::kJournalCorrupt, "the anchor " + path + " is missing");
        }
        if (!failure.is_ok()) return failure;
        const std::uint64_t known = anchor_.record().last_sequence;
        if (anchor_.record().journal_id == old_.journal_id &&
            (known + 1 == old_.first_sequence || known + 1 == next_.first_sequence)) {
            return ok();
        }
        return fail(Status::kJournalCorrupt,
                    path + " knows record " + std::to_string(known) + " of journal " +
                        std::to_string(anchor_.record().journal_id) + ", journal " +
                        std::to_string(old_.journal_id) + " begins with record " +
                        std::to_string(old_.first_sequence));
    }

    // Is the file that stands for the segment there, and the one that the anchor knows?
    Failure check_anchored() {
        CompactedWalker walker;
        Failure failure = walker.open(folder_, next_.first_sequence);
        walker.watch_segment(anchor_.record().blocks);
        BlockWalker::Step step = BlockWalker::Step::kFailed;
        while (failure.is_ok()) {  // bounded by what was kept
            step = walker.next();
            if (step != BlockWalker::Step::kBlock) break;
        }
        if (failure.is_ok()) failure = walker.failure();
        if (!failure.is_ok()) return failure;
        const Sha256Digest* head = walker.watched_head();
        const bool is_known = step == BlockWalker::Step::kEnd && head != nullptr &&
                              std::memcmp(head->data(), anchor_.record().head_digest, 32) == 0;
        if (is_known && walker.end().last_sequence + 1 == next_.first_sequence) return ok();
        return fail(Status::kJournalCorrupt,
                    compacted_name(oldest_.first_sequence) + " is not the one that " +
                        compacted_anchor_path(compaction_.run_directory) + " knows");
    }

    Failure write() {
        CompactedHeader header{};
        header.magic = kCompactedMagic;
        header.schema = kSchema;
        header.slot_bytes = sizeof(Slot);
        header.journal_id = old_.journal_id;
        header.first_sequence = old_.first_sequence;
        header.last_sequence = next_.first_sequence - 1;
        header.last_block = next_.first_block - 1;
        std::memcpy(header.last_digest, next_.previous_digest, sizeof header.last_digest);
        std::memcpy(header.previous_head, anchor_.record().head_digest,
                    sizeof header.previous_head);
        header.crc32c = crc_of(header);
        CompactedWriter writer;
        Failure failure = writer.open(folder_ + "/compacted.new", header, compaction_.hook);
        if (failure.is_ok()) failure = copy(writer);
        if (!failure.is_ok() || !goes_on_) return failure;
        report_.records_kept = writer.kept();
        failure = writer.finish(folder_ + "/" + compacted_name(old_.first_sequence));
        if (failure.is_ok()) {
            failure =
                anchor_.move_to(header.last_sequence, anchor_.record().blocks + 1, writer.head());
        }
        return failure.is_ok() ? anchor_.sync() : failure;
    }

    // Checks all of the segment, up to the head of the chain that the next one continues.
    Failure copy(CompactedWriter& writer) {
        ChainPlace place{old_.first_sequence, 1, old_.first_sequence - 1, old_.first_block - 1, {}};
        std::memcpy(place.digest, old_.previous_digest, sizeof place.digest);
        BlockWalker walker;
        Failure failure = walker.open({.folder = folder_, .from = place});
        while (failure.is_ok() && walker.end().blocks + 1 < next_.first_block) {  // bounded by it
            goes_on_ = !compaction_.may_go_on || compaction_.may_go_on();
            if (!goes_on_) return ok();
            const BlockWalker::Step step = walker.next();
            if (step == BlockWalker::Step::kFailed) return walker.failure();
            if (step == BlockWalker::Step::kFault) {
                return fail(Status::kJournalCorrupt, walker.fault().text);
            }
            if (step == BlockWalker::Step::kEnd) break;
            for (const Slot& record : walker.records()) {
                if (failure.is_ok() && !is_market_data(record.type())) {
                    failure = writer.take(record);
                }
            }
        }
        if (!failure.is_ok()) return failure;
        const bool is_whole_segment =
            walker.end().last_sequence + 1 == next_.first_sequence &&
            std::memcmp(walker.end().digest.data(), next_.previous_digest, 32) == 0;
        if (is_whole_segment) return ok();
        return fail(Status::kJournalCorrupt,
                    oldest_.path + " does not end where the next segment begins");
    }

    const Compaction& compaction_;
    CompactionReport& report_;
    std::string folder_;
    SegmentFile oldest_;
    SegmentHeader old_{};
    SegmentHeader next_{};
    JournalAnchor anchor_;
    bool goes_on_ = true;
};

}  // namespace

Failure compact_oldest(const Compaction& compaction, CompactionReport& report) {
    report = {};
    return Pass(compaction, report).run();
}

}  // namespace gm
