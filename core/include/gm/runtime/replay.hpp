// The engine once more, from its journal: every input stepped again, every output compared byte
// for byte with what was written down. Recovery and `gm replay` are this one function.
//
// At the end of the journal of a process that was killed, outputs of the last input may be missing.
// They are made again and reported; recovery appends them, and nobody ever sends them: the orders
// among them are of an epoch that is over, and the queries of the next one will tell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/journal/journal_reader.hpp"
#include "gm/journal/segments.hpp"

namespace gm {

// Where a replay begins: by default with record 1.
struct ReplayStart {
    std::optional<ChainPlace> place;  // of the journal, at or before the record
    std::uint64_t sequence = 0;       // the record that the engine's snapshot stands behind
    std::uint64_t io_sequence = 0;    // of the last record that io had made
    std::uint32_t epoch = 0;
    bool has_ended = false;
};

struct ReplayReport {
    std::uint64_t records = 0;  // in the journal
    std::uint64_t inputs = 0;
    std::uint64_t outputs = 0;
    std::uint64_t io_sequence = 0;  // of the last record that io made
    std::int64_t last_ts_ns = 0;    // engine time at the end
    std::uint32_t epoch = 0;        // of the last start
    bool has_ended = false;         // END was consumed
    bool is_clean = true;           // the last life ended with STOP or END, or there was none
    std::uint64_t after = 0;        // records up to this one were not derived again
    std::vector<Slot> missing;      // outputs that the process did not live to write
};

// Replays the journal in `folder` from `start` on through `engine`, which was opened with
// `settings` and stands there. kReplayDiverged names the first journal sequence that differs;
// kJournalForeign: the journal was written under other settings. `copy` may be null; else it gets
// every record as the replay made it, sealed in blocks as the journal's.
Failure replay_journal(const std::string& folder, const Settings& settings, Engine& engine,
                       SegmentWriter* copy, ReplayReport& report, const ReplayStart& start = {});

// The record up to which a replay goes.
struct ReplayTarget {
    std::uint64_t sequence = 0;  // its journal sequence, from 1
    Slot journalled{};
    Slot made{};  // what the replay made in its place
};

// Replays, from `start` on, to the end of the step that wrote the target, and leaves the engine
// there. A target of the right type and other contents is no failure: whoever asked compares.
// kBadArgument: the journal holds no such record.
Failure replay_until(const std::string& folder, const Settings& settings, Engine& engine,
                     ReplayTarget& target, const ReplayStart& start = {});

// `gm replay`: replays <run_dir>/journal under <run_dir>/settings.bin into <output_dir>/journal
// and compares the two journals' files byte for byte, as far as records go. Where the first
// segments were compacted, every record behind the oldest snapshot that can be used is made again
// and compared, report.after says which were not, and nothing is written.
Failure replay_run(const std::string& run_dir, const std::string& output_dir, ReplayReport& report);

// Cold. Reads a file whole.
Failure read_file(const std::string& path, std::vector<std::uint8_t>& out);

}  // namespace gm
