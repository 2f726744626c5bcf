// Promise: the first write, sync, reservation or rename that fails is the last thing the journal
// does; it is named with its file and reason, and a start on a disk that works again has all.
#include <algorithm>
#include <system_error>

#include "gm/journal/drain.hpp"
#include "gm/journal/verify.hpp"
#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

// Fails the n-th operation of a kind, once: the disk works again at once, as one with a bad sector
// or a file system that somebody has cleaned up does.
struct FailingDisk {
    FileOperation operation;
    std::uint64_t left;
    std::size_t part = 0;  // of a write
    bool has_failed = false;
    std::uint64_t operations_after = 0;
    std::string path;

    static std::size_t allow(void* context, const FileAccess& access) {
        auto& self = *static_cast<FailingDisk*>(context);
        self.operations_after += self.has_failed ? 1 : 0;
        const std::size_t wanted = std::max<std::size_t>(access.bytes.size(), 1);
        if (self.has_failed || access.operation != self.operation) return wanted;
        if (self.left > 0) {
            self.left -= 1;
            return wanted;
        }
        self.has_failed = true;
        self.path = access.path;
        return access.operation == FileOperation::kWrite ? std::min(self.part, wanted - 1) : 0;
    }
};

struct Outcome {
    Failure failure;  // of the start, or of the drain
    std::uint64_t published = 0;
};

// 150 records through a ring of 64 slots into segments of 63.
Outcome trade(const std::string& folder, FileHook hook) {
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    Outcome outcome;
    SegmentSettings settings = small_settings(folder + "/run");
    settings.hook = hook;
    require_ok(ring.open(folder + "/ring", 64));
    outcome.failure = segments.open(settings);
    if (outcome.failure.is_ok()) {
        outcome.failure = drain_ring_into_segments(ring, segments, report);
    }
    if (!outcome.failure.is_ok()) return outcome;
    JournalDrain drain(ring, segments, 5);
    std::int64_t now_ns = 100;
    while (ring.published() < 150 && !drain.has_failed()) {
        for (std::uint64_t left = ring.published() % 7 + 1; left > 0; --left) {
            Slot slot = make_record(ring.next_sequence());
            ring.append(slot);
        }
        drain.turn(now_ns += 2);
    }
    if (!drain.has_failed()) drain.finish();
    outcome.failure = drain.failure();
    outcome.published = ring.published();
    if (!drain.has_failed()) return outcome;
    CHECK(drain.turn(now_ns + 1000) == 0);  // a disk that recovers does not bring trust back
    drain.finish();
    CHECK(drain.has_failed());
    CHECK(drain.failure().text == outcome.failure.text);
    return outcome;
}

std::uint64_t fail_each(FileOperation operation, int error, std::size_t part) {
    for (std::uint64_t index = 0;; ++index) {  // bounded by the operations of a run
        CAPTURE(index);
        TemporaryFolder folder;
        FailingDisk disk{operation, index, part};
        const Outcome outcome = trade(folder.path(), {&disk, &FailingDisk::allow, error});
        if (!disk.has_failed) {
            require_ok(outcome.failure);
            return index;
        }
        CHECK(outcome.failure.status == Status::kSystemCallFailed);
        const std::string reason = std::generic_category().message(error);
        CHECK(outcome.failure.text.find(disk.path + ": " + reason) != std::string::npos);
        CHECK(disk.operations_after == 0);
        // The engine's records wait in the ring, and the next start has them all.
        JournalRing ring;
        SegmentWriter segments;
        DrainReport report;
        require_ok(ring.open(folder / "ring", 64));
        require_ok(segments.open(small_settings(folder / "run")));
        require_ok(drain_ring_into_segments(ring, segments, report));
        require_ok(segments.close());
        CHECK(segments.last_sequence() == outcome.published);
        CHECK(count_records(folder / "run") == outcome.published);
        JournalReport checked;
        require_ok(verify_journal(folder / "run", checked));
        CHECK(checked.fault_count == 0);
    }
}

}  // namespace

TEST_CASE("a sync that fails is final, wherever it is") {
    CHECK(fail_each(FileOperation::kSync, EIO, 0) > 20);
}

TEST_CASE("a full disk is final: at the reservation of a segment, or at any write") {
    CHECK(fail_each(FileOperation::kReserve, ENOSPC, 0) >= 3);
    CHECK(fail_each(FileOperation::kWrite, ENOSPC, 0) > 100);
    CHECK(fail_each(FileOperation::kWrite, ENOSPC, 200) > 100);
}

TEST_CASE("a write or rename that the disk refuses is final") {
    CHECK(fail_each(FileOperation::kWrite, EIO, 0) > 100);
    CHECK(fail_each(FileOperation::kRename, EIO, 0) >= 4);
}

TEST_CASE("a writer that has failed once answers with that failure and touches nothing") {
    TemporaryFolder run;
    FailingDisk disk{FileOperation::kSync, 4};
    SegmentSettings settings = small_settings(run.path());
    settings.hook = {&disk, &FailingDisk::allow, EIO};
    SegmentWriter writer;
    require_ok(writer.open(settings));
    Failure failure;
    while (failure.is_ok()) {  // bounded by the syncs before the one that fails
        require_ok(writer.append(make_records(writer.last_sequence() + 1, 3)));
        failure = writer.sync();
    }
    CHECK(writer.synced_sequence() == writer.last_sequence() - 3);
    CHECK(writer.append(make_records(writer.last_sequence() + 1, 1)).text == failure.text);
    CHECK(writer.seal_block().text == failure.text);
    CHECK(writer.sync().text == failure.text);
    CHECK(writer.close().text == failure.text);
    CHECK(disk.operations_after == 0);
}
