// A walk that collects faults, held against an anchor that was read before it began.
#include "gm/journal/verify.hpp"

#include <cstring>
#include <filesystem>
#include <system_error>

#include "gm/journal/anchor.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/journal/segment_format.hpp"

namespace gm {

namespace {

constexpr int kTriesMax = 3;

void add(JournalReport& report, const JournalFault& fault) {
    report.fault_count += 1;
    if (report.faults.size() < kFaultsListedMax) report.faults.push_back(fault);
}

void add_anchor_fault(JournalReport& report, const std::string& text) {
    JournalFault fault;
    fault.kind = FaultKind::kAnchor;
    fault.text = text;
    add(report, fault);
}

void check_anchor(JournalReport& report, const AnchorRecord& anchor, const BlockWalker& walker) {
    const JournalEnd& end = walker.end();
    report.anchored_sequence = anchor.last_sequence;
    if (end.journal_id != 0 && anchor.journal_id != end.journal_id) {
        add_anchor_fault(report, "the anchor is of journal " + std::to_string(anchor.journal_id) +
                                     ", the segments are of journal " +
                                     std::to_string(end.journal_id));
    } else if (anchor.last_sequence > end.last_sequence || anchor.blocks > end.blocks) {
        add_anchor_fault(report, "the journal ends with record " +
                                     std::to_string(end.last_sequence) +
                                     ", its anchor knows record " +
                                     std::to_string(anchor.last_sequence) + ": the tail was cut");
    } else if (anchor.blocks != 0) {
        const Sha256Digest* digest = walker.watched_digest();
        if (digest == nullptr ||
            std::memcmp(digest->data(), anchor.head_digest, digest->size()) != 0) {
            add_anchor_fault(report, "block " + std::to_string(anchor.blocks) +
                                         " is not the one that the anchor knows");
        }
    }
}

// What stands in the place of the segments that went, up to the first that is there.
Failure check_compacted(JournalReport& report, const std::string& run_directory,
                        const std::string& folder) {
    std::vector<SegmentFile> segments;
    Failure failure = list_segments(folder, segments);
    CompactedWalker walker;
    const std::uint64_t first = segments.empty() ? 1 : segments[0].first_sequence;
    if (failure.is_ok()) failure = walker.open(folder, first);
    const std::string path = compacted_anchor_path(run_directory);
    AnchorRecord anchor{};
    Failure anchored = exists(path) ? JournalAnchor::read(path, anchor) : ok();
    walker.watch_segment(anchor.blocks);
    while (failure.is_ok()) {  // bounded by what was kept
        const BlockWalker::Step step = walker.next();
        if (step == BlockWalker::Step::kFailed) return walker.failure();
        if (step == BlockWalker::Step::kEnd) break;
        if (step == BlockWalker::Step::kFault) add(report, walker.fault());
    }
    if (!failure.is_ok()) return failure;
    const CompactedEnd& end = report.compacted = walker.end();
    // The anchor is moved before a segment goes: it may know one more than what is looked at here.
    const bool knows_more = anchor.blocks == end.segments + 1 && anchor.last_sequence >= first;
    const Sha256Digest* head = walker.watched_head();
    if (!anchored.is_ok()) {
        add_anchor_fault(report, anchored.text);
    } else if (report.fault_count != 0) {
        return ok();  // what the anchor says of a chain that is broken is no news
    } else if (end.segments != 0 && anchor.last_sequence < end.last_sequence) {
        add_anchor_fault(report, path + " knows compacted records up to " +
                                     std::to_string(anchor.last_sequence) + ", there are " +
                                     std::to_string(end.last_sequence));
    } else if (anchor.blocks != 0 && !knows_more &&
               (head == nullptr ||
                std::memcmp(head->data(), anchor.head_digest, head->size()) != 0)) {
        add_anchor_fault(report, "compacted segment " + std::to_string(anchor.blocks) +
                                     " is not the one that " + path + " knows");
    }
    return ok();
}

Failure verify_once(const std::string& path, JournalReport& report) {
    report = {};
    std::string run_directory = path;
    while (run_directory.size() > 1 && run_directory.back() == '/') run_directory.pop_back();
    std::error_code error;
    const bool is_run_directory =
        std::filesystem::is_directory(journal_folder(run_directory), error);
    std::string folder = run_directory;
    if (is_run_directory) {
        folder = journal_folder(run_directory);
    } else {
        run_directory = (std::filesystem::path(folder) / "..").string();
    }

    if (Failure failure = check_compacted(report, run_directory, folder); !failure.is_ok()) {
        return failure;
    }
    BlockWalker walker;
    AnchorRecord anchor{};
    const Failure anchor_failure = JournalAnchor::read(anchor_path(run_directory), anchor);
    WalkSettings settings{.folder = folder};
    if (anchor_failure.is_ok()) settings.synced_sequence = anchor.last_sequence;
    Failure failure = walker.open(settings);
    if (!failure.is_ok()) return failure;
    walker.watch_block(anchor.blocks);
    for (;;) {  // bounded by the slots of the journal
        const BlockWalker::Step step = walker.next();
        if (step == BlockWalker::Step::kFailed) return walker.failure();
        if (step == BlockWalker::Step::kEnd) break;
        if (step == BlockWalker::Step::kFault) add(report, walker.fault());
    }
    report.end = walker.end();
    if (anchor_failure.is_ok()) {
        check_anchor(report, anchor, walker);
    } else {
        add_anchor_fault(report, anchor_failure.text);
    }
    return ok();
}

}  // namespace

Failure verify_journal(const std::string& path, JournalReport& report) {
    Failure failure = verify_once(path, report);
    // The oldest segment may go between the look into the folder and the first read.
    for (int tries = 1; tries < kTriesMax && failure.status == Status::kSystemCallFailed; ++tries) {
        failure = verify_once(path, report);
    }
    return failure;
}

}  // namespace gm
