// Puts a compacted segment in the place of the oldest segment of a journal.
//
// Order of writes: compacted segment, sync, its name; the anchor of compacted segments, sync; only
// then the segment goes. A death or a loss of power anywhere leaves the old or the new state: the
// next call begins again with the same segment and makes the same bytes. Whoever calls knows that
// nothing needs the market data any more; what is asked here is that the segment is whole, and
// that it is not the last one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "gm/base/status.hpp"
#include "gm/journal/journal_file.hpp"

namespace gm {

struct Compaction {
    std::string run_directory;
    FileHook hook;  // tests only
    // Asked between two blocks, some of it many times a second: false ends the call, which changes
    // nothing. Empty: always true.
    std::function<bool()> may_go_on;
};

struct CompactionReport {
    bool is_done = false;             // false: a single segment, or may_go_on said no
    std::uint64_t last_sequence = 0;  // of the segment that went
    std::uint64_t bytes_removed = 0;
    std::uint64_t records_kept = 0;
};

// Not from two threads at once. kJournalCorrupt: the segment or what was compacted before is
// damaged, and everything is left as it is.
Failure compact_oldest(const Compaction& compaction, CompactionReport& report);

}  // namespace gm
