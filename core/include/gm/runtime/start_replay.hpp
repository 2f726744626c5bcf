// The replay of a start: one walk behind the newest snapshot, which the writer goes on from.
//
// What the walk has read, checked and stepped, the writer need not walk again. What the writer then
// finds in the ring of a process that was killed it appends, and that is read and stepped as well.
#pragma once

#include <memory>
#include <string>

#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/journal/segments.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/snapshots.hpp"

namespace gm {

class ReadAhead;
class Replayer;

class StartReplay {
 public:
    StartReplay();
    ~StartReplay();
    StartReplay(const StartReplay&) = delete;
    StartReplay& operator=(const StartReplay&) = delete;

    // Cold, once; what is handed in outlives this object. Opens the engine and brings it to the end
    // of the segments: from the newest snapshot of this build, these settings and this journal that
    // is whole, else from record 1. What lies before the snapshot and before the last segment is
    // not read; `gm verify` checks the whole of it. replay.records counts them all.
    Failure run(const std::string& run_dir, const Settings& settings, Engine& engine,
                ReplayReport& replay, SnapshotReport& snapshot);
    // Of a run() that came to the end; else null: the writer walks, and says what is wrong.
    [[nodiscard]] const BlockWalker* walk() const noexcept;
    // The records behind the walk that `segments` has appended since, then what the engine owes.
    Failure finish(const SegmentWriter& segments);

 private:
    Failure take_all(ReadAhead& reader);
    Failure explain(Failure failure) const;

    std::string folder_;
    std::string snapshot_path_;  // empty: from record 1
    std::uint64_t taken_sequence_ = 0;
    ReplayReport* report_ = nullptr;
    std::unique_ptr<Replayer> replayer_;
    std::unique_ptr<ReadAhead> reader_;
    bool is_at_end_ = false;
};

}  // namespace gm
