// The records of a journal in order, each block checked before any of its records is given out.
//
// Chain records are left out: what comes is what the engine wrote, without the market data of
// segments that were compacted, if it is asked for at all. The first fault ends the
// reading with kJournalCorrupt; a torn tail ends it quietly. Used by recovery and replay.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/journal/block_walker.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/wire/record.hpp"

namespace gm {

class JournalReader {
 public:
    // A folder without segments is an empty journal.
    Failure open(const std::string& folder, bool checks_chain = true) {
        return open(WalkSettings{.folder = folder, .checks_chain = checks_chain});
    }
    // First what was kept of compacted segments, then the segments.
    Failure open_all(const std::string& folder, bool checks_chain = true);
    // The former alone.
    Failure open_compacted(const std::string& folder);
    // The folder of these settings, as they say; the anchor beside it says what was synced.
    Failure open(WalkSettings settings);

    // False: the journal ends, or failure() says why not.
    [[nodiscard]] bool next(Slot& slot) {
        if (given_ == block_.size() && !load_block()) return false;
        slot = block_[given_++];
        return true;
    }
    // The same without a copy: at most a block at once, empty at the end. Valid until the next
    // call. Not to be mixed with next() inside a block.
    [[nodiscard]] std::span<const Slot> next_block() {
        if (!load_block()) return {};
        given_ = block_.size();
        return block_;
    }

    // Copies records into memory of any alignment, until it is full or the journal ends. Answers
    // how many.
    [[nodiscard]] std::size_t read(std::span<std::byte> out);

    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
    // Where the journal ends; complete once next() answered false.
    [[nodiscard]] const JournalEnd& end() const noexcept { return walker_.end(); }
    // Of the compacted segments, once the first record behind them was asked for.
    [[nodiscard]] const CompactedEnd& compacted_end() const noexcept { return compacted_end_; }
    // It has watched for the anchor's block.
    [[nodiscard]] const BlockWalker& walker() const noexcept { return walker_; }

 private:
    bool load_block();
    bool load_compacted();

    BlockWalker walker_;
    std::optional<CompactedWalker> compacted_;  // until it is at its end
    CompactedEnd compacted_end_;
    std::span<const Slot> block_;
    std::size_t given_ = 0;
    Failure failure_;
};

}  // namespace gm
