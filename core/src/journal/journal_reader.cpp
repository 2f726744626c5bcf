// A walk that ends at the first fault.
#include "gm/journal/journal_reader.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "gm/journal/anchor.hpp"

namespace gm {

Failure JournalReader::open(WalkSettings settings) {
    block_ = {};
    given_ = 0;
    // Of a folder without an anchor beside it nothing is known to be unsynced.
    AnchorRecord anchor{};
    const std::string run_directory = (std::filesystem::path(settings.folder) / "..").string();
    if (JournalAnchor::read(anchor_path(run_directory), anchor).is_ok()) {
        settings.synced_sequence = anchor.last_sequence;
        walker_.watch_block(anchor.blocks);
    }
    failure_ = walker_.open(settings);
    return failure_;
}

Failure JournalReader::open_all(const std::string& folder, bool checks_chain) {
    Failure failure = open(folder, checks_chain);
    return failure.is_ok() ? open_compacted(folder) : failure;
}

Failure JournalReader::open_compacted(const std::string& folder) {
    std::vector<SegmentFile> segments;
    failure_ = list_segments(folder, segments);
    if (!failure_.is_ok() || segments.empty()) return failure_;
    compacted_.emplace();
    failure_ = compacted_->open(folder, segments[0].first_sequence);
    return failure_;
}

std::size_t JournalReader::read(std::span<std::byte> out) {
    const std::size_t wanted = out.size() / sizeof(Slot);
    std::size_t done = 0;
    while (done < wanted) {  // bounded: each pass copies at least one record, or ends
        if (given_ == block_.size() && !load_block()) break;
        const std::size_t count = std::min(wanted - done, block_.size() - given_);
        std::memcpy(out.data() + done * sizeof(Slot), &block_[given_], count * sizeof(Slot));
        done += count;
        given_ += count;
    }
    return done;
}

bool JournalReader::load_block() {
    block_ = {};
    given_ = 0;
    if (!failure_.is_ok()) return false;
    if (compacted_) {
        if (load_compacted()) return true;
        if (!failure_.is_ok()) return false;
        compacted_end_ = compacted_->end();
        compacted_.reset();
    }
    switch (walker_.next()) {
        case BlockWalker::Step::kBlock: block_ = walker_.records(); return true;
        case BlockWalker::Step::kFault:
            failure_ = fail(Status::kJournalCorrupt, walker_.fault().text);
            return false;
        case BlockWalker::Step::kFailed: failure_ = walker_.failure(); return false;
        case BlockWalker::Step::kEnd: return false;
    }
    return false;
}

bool JournalReader::load_compacted() {
    switch (compacted_->next()) {
        case BlockWalker::Step::kBlock: block_ = compacted_->records(); return true;
        case BlockWalker::Step::kFault:
            failure_ = fail(Status::kJournalCorrupt, compacted_->fault().text);
            return false;
        case BlockWalker::Step::kFailed: failure_ = compacted_->failure(); return false;
        case BlockWalker::Step::kEnd: return false;
    }
    return false;
}

}  // namespace gm
