#include "gm/runtime/start_replay.hpp"

#include <cstring>
#include <utility>
#include <vector>

#include "gm/journal/journal_file.hpp"
#include "gm/runtime/read_ahead.hpp"
#include "replayer.hpp"

namespace gm {
namespace {

// Behind the last sealed block of a walk.
ChainPlace sealed_place(const JournalEnd& end) {
    ChainPlace place{end.segment_first_sequence,
                     end.slot - end.open_slots,
                     end.last_sequence - end.open_slots,
                     end.blocks,
                     {}};
    std::memcpy(place.digest, end.digest.data(), sizeof place.digest);
    return place;
}

}  // namespace

StartReplay::StartReplay() = default;
StartReplay::~StartReplay() = default;

Failure StartReplay::run(const std::string& run_dir, const Settings& settings, Engine& engine,
                         ReplayReport& replay, SnapshotReport& snapshot) {
    folder_ = journal_folder(run_dir);
    report_ = &replay;
    replay = {};
    ReplayStart start;
    Failure failure = restore_newest(run_dir, settings, engine, start, snapshot);
    if (!failure.is_ok()) return failure;
    if (start.sequence != 0) snapshot_path_ = snapshot_path(run_dir, start.sequence);
    taken_sequence_ = start.sequence;
    replayer_ = std::make_unique<Replayer>(settings, engine, run_dir, replay);
    failure = replayer_->open(start);
    if (!failure.is_ok() || !exists(folder_)) return failure;
    WalkSettings walk{.folder = folder_, .from = start.place};
    walk.checks_last_segment = true;
    walk.tail_slots_max = kTailSlotsMax;
    reader_ = std::make_unique<ReadAhead>();
    failure = reader_->open(walk);
    if (failure.is_ok()) failure = take_all(*reader_);
    is_at_end_ = failure.is_ok();
    return explain(failure);
}

const BlockWalker* StartReplay::walk() const noexcept {
    return is_at_end_ ? &reader_->walker() : nullptr;
}

Failure StartReplay::finish(const SegmentWriter& segments) {
    if (segments.last_sequence() < taken_sequence_) {
        return fail(Status::kJournalCorrupt,
                    "the journal in " + folder_ + " was read up to record " +
                        std::to_string(taken_sequence_) + ", and its writer ends with record " +
                        std::to_string(segments.last_sequence()));
    }
    if (segments.last_sequence() != taken_sequence_) {
        WalkSettings walk{.folder = folder_};
        if (is_at_end_ && reader_->walker().end().segments != 0)
            walk.from = sealed_place(reader_->walker().end());
        walk.tail_slots_max = kTailSlotsMax;
        ReadAhead reader;
        Failure failure = reader.open(walk);
        if (failure.is_ok()) failure = take_all(reader);
        if (!failure.is_ok()) return explain(failure);
    }
    replayer_->finish();
    return ok();
}

Failure StartReplay::take_all(ReadAhead& reader) {
    for (auto block = reader.next_block(); !block.empty(); block = reader.next_block()) {
        for (const Slot& record : block) {  // bounded by the journal
            if (record.trailer.journal_sequence <= taken_sequence_) continue;
            Failure failure = replayer_->take(record);
            if (!failure.is_ok()) return failure;
        }
        if (block.back().trailer.journal_sequence > taken_sequence_) {
            taken_sequence_ = block.back().trailer.journal_sequence;
        }
    }
    return reader.failure();
}

// Doubt halts. Whoever deletes the file has the whole journal replayed instead.
Failure StartReplay::explain(Failure failure) const {
    if (failure.status != Status::kReplayDiverged || snapshot_path_.empty()) return failure;
    return fail(failure.status, failure.text + "; it went on from " + snapshot_path_);
}

}  // namespace gm
