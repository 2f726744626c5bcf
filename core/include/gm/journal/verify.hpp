// The whole check of a journal: every record, every block, every segment, and the anchor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/journal/block_walker.hpp"
#include "gm/journal/compacted.hpp"

namespace gm {

inline constexpr std::size_t kFaultsListedMax = 1000;

struct JournalReport {
    JournalEnd end;                       // of the segments that are there
    CompactedEnd compacted;               // what stands in the place of those before them
    std::uint64_t anchored_sequence = 0;  // the journal is known to reach at least to here
    std::uint64_t fault_count = 0;
    std::vector<JournalFault> faults;  // the first kFaultsListedMax of them
};

// Reads only; may run beside the engine. `path` is a run directory or its journal folder. A
// Failure means that the journal could not be read; what is wrong with it is in the report.
Failure verify_journal(const std::string& path, JournalReport& report);

}  // namespace gm
