// Snapshots of a running engine: copied between two steps, written behind the journal.
//
// The stepping thread, when nothing waits and the last copy is long enough ago, copies the state
// into the one buffer and tags it with the sequence of the last record it wrote. The journal thread
// writes the file once the journal is on the disk up to there, and gives the buffer back: until
// then no other copy is made, so there is no need for a second buffer.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/journal/segments.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/snapshot_file.hpp"

namespace gm {

inline constexpr std::int64_t kSnapshotEveryNs = 60'000'000'000;

// From one to the next. Both 0: none is ever made.
struct SnapshotPace {
    std::int64_t every_ns = 0;
    std::uint64_t every_records = 0;
};

class Snapshots {
 public:
    // Cold, before there are threads. Allocates the buffer. None is made where this build has no
    // id.
    void open(Engine& engine, const Settings& settings, const std::string& run_dir,
              const SegmentWriter& segments, const SnapshotPace& pace);

    // Before there are threads: of older ones the first in each segment of the journal stays too.
    // From there on what is kept can be derived again when what was before it is gone.
    void keep_one_a_segment() noexcept { keeps_one_a_segment_ = true; }

    // Stepping thread, while it is idle. `sequence` of the last record that the engine wrote.
    void copy_if_due(Engine& engine, std::uint64_t sequence, std::uint64_t io_sequence) noexcept;

    // Journal thread, each turn. A file that cannot be written costs nothing but itself: the
    // next start replays more.
    Failure write_if_synced(const SegmentWriter& segments, std::uint64_t synced_sequence);

    // Any thread.
    [[nodiscard]] std::uint64_t written_sequence() const noexcept {
        return written_sequence_.load(std::memory_order_relaxed);
    }

 private:
    [[nodiscard]] bool is_due(std::uint64_t sequence) const noexcept;

    std::string run_dir_;
    SnapshotPace pace_;
    bool is_on_ = false;
    bool keeps_one_a_segment_ = false;
    // Stepping thread while is_full_ is false, journal thread while it is true.
    std::vector<std::uint8_t> file_;
    std::size_t size_ = 0;
    SnapshotHeader header_{};
    std::atomic<bool> is_full_{false};
    // Stepping thread.
    std::int64_t copied_ns_ = 0;
    std::uint64_t copied_sequence_ = 0;
    // Journal thread.
    ChainPlace place_{};  // when the buffer was last seen empty: not behind what will be copied
    std::atomic<std::uint64_t> written_sequence_{0};
};

// What a start found of them.
struct SnapshotReport {
    std::uint64_t sequence = 0;        // the record that the engine went on from; 0: from record 1
    std::vector<std::string> skipped;  // newer ones that were not used, and why
};

// Cold. Opens the engine and restores the newest snapshot of this build, these settings and this
// journal that is whole, if there is one.
Failure restore_newest(const std::string& run_dir, const Settings& settings, Engine& engine,
                       ReplayStart& start, SnapshotReport& report);

// Cold. Of the newest kSnapshotsKept that a start would use: the first sequence of the oldest
// segment that one of them reads. 0: there are fewer than two. The journal may be written
// meanwhile.
[[nodiscard]] std::uint64_t first_segment_needed(const std::string& run_dir,
                                                 const Settings& settings);

// Cold. Opens the engine for a replay of a journal that has no record 1 any more: from the oldest
// snapshot that can be used; with `before_sequence`, from the newest that stands before that
// record. A failure says what is gone and why there is none.
Failure open_from_snapshot(const std::string& run_dir, const Settings& settings, Engine& engine,
                           ReplayStart& start, std::uint64_t before_sequence = 0);

}  // namespace gm
