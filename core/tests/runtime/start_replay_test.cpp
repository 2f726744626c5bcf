// Promise: a start reads the journal behind its snapshot once, all threads together, and what its
// ring still held with it; a start that cannot go on leaves nothing in the ring alone.
#include "gm/runtime/start_replay.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/bracket_rig.hpp"
#include "engine/listener.hpp"
#include "engine/random_life.hpp"
#include "gm/journal/drain.hpp"
#include "gm/journal/verify.hpp"
#include "journal/journal_fixture.hpp"
#include "journal/read_counter.hpp"
#include "runtime/recorded_rig.hpp"
#include "runtime/settings_block.hpp"

namespace {

using namespace gm;
using gm::testing::bytes_read_by_process;
using gm::testing::TemporaryFolder;
using test::Listener;
using test::RandomLife;

constexpr std::uint64_t kSegmentBytes = 16U << 20;

const Settings& life_settings() {
    static const Settings settings = test::loaded_settings(test::bracketed(2.0, 3.0, true));
    return settings;
}

const RandomLife& one_life() {
    static const auto life = [] {
        auto made = std::make_unique<RandomLife>(life_settings(), 21, 30);
        made->live(10'000);
        return made;
    }();
    REQUIRE(life->written.size() > 55'000);
    return *life;
}

SegmentSettings segment_settings(const std::string& run,
                                 std::uint64_t segment_bytes = kSegmentBytes) {
    SegmentSettings settings;
    settings.run_directory = run;
    settings.segment_bytes = segment_bytes;
    return settings;
}

// Records of one life up to `records` in the segments, with a snapshot behind `snapshot` of them.
void record(const std::string& run, std::size_t records, std::size_t snapshot,
            std::uint64_t segment_bytes = kSegmentBytes) {
    Listener listener(life_settings(), one_life().models);
    SegmentWriter writer;
    REQUIRE(writer.open(segment_settings(run, segment_bytes)).is_ok());
    Snapshots snapshots;
    snapshots.open(*listener.engine, life_settings(), run, writer, {1, 0});
    listener.on_made = [&](std::span<const Slot> made) { REQUIRE(writer.append(made).is_ok()); };
    for (std::size_t at = 0; at < records;) {
        const bool was_before = at < snapshot;
        REQUIRE(listener.step(one_life().written, at));
        if (at % 5 == 0) REQUIRE(writer.seal_block().is_ok());
        if (!was_before || at < snapshot) continue;
        REQUIRE(writer.sync().is_ok());
        REQUIRE(snapshots.write_if_synced(writer, writer.synced_sequence()).is_ok());
        snapshots.copy_if_due(*listener.engine, at, 0);
        REQUIRE(snapshots.write_if_synced(writer, writer.synced_sequence()).is_ok());
        REQUIRE(snapshots.written_sequence() == at);
    }
    REQUIRE(writer.close().is_ok());
}

struct Started {
    Failure replayed;
    Failure failure;
    ReplayReport replay;
    SnapshotReport snapshot;
    std::uint64_t last_sequence = 0;
    std::uint64_t bytes_read = 0;
    std::vector<std::uint8_t> state;
};

// As Core::recover does it.
Started start(const std::string& run, JournalRing& ring) {
    Started made;
    const auto engine = std::make_unique<Engine>();
    const std::uint64_t before = bytes_read_by_process();
    SegmentWriter writer;
    StartReplay start;
    DrainReport drained;
    made.replayed = start.run(run, life_settings(), *engine, made.replay, made.snapshot);
    made.failure = writer.open(segment_settings(run), start.walk());
    if (made.failure.is_ok()) made.failure = drain_ring_into_segments(ring, writer, drained);
    if (made.failure.is_ok()) {
        made.failure = made.replayed.is_ok() ? start.finish(writer) : made.replayed;
    }
    made.bytes_read = bytes_read_by_process() - before;
    made.last_sequence = writer.last_sequence();
    if (!made.failure.is_ok()) return made;
    made.state.resize(engine->snapshot_size());
    made.state.resize(engine->save(made.state));
    return made;
}

Started start(const std::string& run) {
    JournalRing ring;
    REQUIRE(ring.open_anonymous(1U << 14).is_ok());
    return start(run, ring);
}

// Not of the journal's records: the snapshot, headers, the anchor, and a buffer full of blocks of
// which the first few tell that the snapshot is of this journal.
constexpr std::uint64_t kOtherBytes = 3U << 20;
constexpr std::size_t kNoSnapshot = 1'000'000;

// In the ring of a process that was killed: records behind the `position` that the segments hold.
void leave_in_ring(const std::string& run, JournalRing& ring, std::size_t position,
                   std::size_t records) {
    SegmentWriter writer;
    REQUIRE(writer.open(segment_settings(run)).is_ok());
    REQUIRE(writer.last_sequence() == position);
    REQUIRE(ring.open_anonymous(1U << 14).is_ok());
    REQUIRE(ring.join(writer.journal_id(), position).is_ok());
    for (std::size_t i = 0; i < records; ++i) {
        const Slot& slot = one_life().written[position + i];
        ring.append(slot, slot.trailer.input_sequence);
    }
}

}  // namespace

TEST_CASE("a start reads the last segment once, from its snapshot or from record 1") {
    for (const std::size_t snapshot : {kNoSnapshot, std::size_t{40'000}}) {
        CAPTURE(snapshot);
        const TemporaryFolder folder;
        record(folder / "run", 50'000, snapshot);
        const Started made = start(folder / "run");
        REQUIRE_MESSAGE(made.failure.is_ok(), made.failure.text);
        CHECK((made.snapshot.sequence != 0) == (snapshot != kNoSnapshot));
        CHECK(made.replay.records == made.last_sequence);
        CHECK(made.bytes_read >= 50'000 * sizeof(Slot));
        // Behind the records it is searched for what a torn write may have left.
        CHECK(made.bytes_read < kSegmentBytes + kOtherBytes);
    }
}

TEST_CASE("a start reads each segment behind its snapshot once, and none before") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    record(run, 50'000, 20'000, 1U << 20);
    const Started made = start(run);
    REQUIRE_MESSAGE(made.failure.is_ok(), made.failure.text);
    CHECK(made.snapshot.sequence >= 20'000);
    const std::uint64_t behind = (made.last_sequence - made.snapshot.sequence) * sizeof(Slot);
    CHECK(made.bytes_read >= behind);
    CHECK(made.bytes_read < behind + behind / 4 + kOtherBytes);
}

TEST_CASE("what only the ring held is appended, read back and stepped") {
    for (const std::size_t snapshot : {kNoSnapshot, std::size_t{4'000}}) {
        for (const std::size_t left : {0, 1, 2, 3, 700, 6'000}) {
            CAPTURE(snapshot);
            CAPTURE(left);
            const TemporaryFolder folder;
            record(folder / "run", 5'000, snapshot);
            JournalReport report;
            REQUIRE(verify_journal(folder / "run", report).is_ok());
            const std::size_t written = report.end.last_sequence;
            JournalRing ring;
            leave_in_ring(folder / "run", ring, written, left);
            const Started made = start(folder / "run", ring);
            REQUIRE_MESSAGE(made.failure.is_ok(), made.failure.text);
            CHECK(made.last_sequence == written + left);
            CHECK(made.replay.records == written + left);
            CHECK(ring.drained() == ring.published());
            const Started again = start(folder / "run");
            REQUIRE(again.failure.is_ok());
            CHECK(again.state == made.state);
            CHECK(again.replay.missing.size() == made.replay.missing.size());
        }
    }
}

TEST_CASE("a start whose replay fails still brings the ring to the disk, and says why it failed") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    record(run, 5'000, kNoSnapshot);
    std::vector<Slot> records(one_life().written.begin(), one_life().written.begin() + 5'000);
    records[4'000].payload[9] ^= 1;  // sealed again below, so only the replay can tell
    std::filesystem::remove_all(run);
    test::write_journal(run, records);
    JournalRing ring;
    leave_in_ring(run, ring, 5'000, 300);
    const Started made = start(run, ring);
    CHECK(made.replayed.status == Status::kReplayDiverged);
    CHECK(made.failure.text == made.replayed.text);
    CHECK(made.last_sequence == 5'300);
    CHECK(ring.drained() == 5'300);
}
