// The journal thread's first failed write or sync stops the engine, once, and the page says why.
#include "gm/runtime/journal_thread.hpp"

#include <algorithm>
#include <atomic>
#include <memory>

#include "journal/journal_fixture.hpp"

namespace {

using namespace gm;
using gm::testing::make_record;
using gm::testing::require_ok;
using gm::testing::small_settings;
using gm::testing::TemporaryFolder;

struct FailingDisk {
    FileOperation operation = FileOperation::kSync;
    std::atomic<bool> is_bad{false};

    static std::size_t allow(void* context, const FileAccess& access) {
        auto& self = *static_cast<FailingDisk*>(context);
        if (self.is_bad.load() && access.operation == self.operation) return 0;
        return std::max<std::size_t>(access.bytes.size(), 1);
    }
};

// What an engine does: appends while there is room and nothing has failed. Answers how many.
std::uint64_t append_until_failed(JournalRing& ring, const JournalThread& thread,
                                  std::uint64_t limit) {
    std::uint64_t count = 0;
    while (count < limit && !thread.has_failed()) {  // bounded by the failure, or by the limit
        if (!ring.has_room(1)) continue;
        Slot slot = make_record(ring.next_sequence());
        ring.append(slot);
        count += 1;
    }
    return count;
}

}  // namespace

TEST_CASE("a sync, a write or a reservation that fails halts the engine, and the page says why") {
    FailingDisk disk;
    int error = EIO;
    SUBCASE("sync") {}
    SUBCASE("write") {
        disk.operation = FileOperation::kWrite;
        error = ENOSPC;
    }
    SUBCASE("reservation of the next segment") {
        disk.operation = FileOperation::kReserve;
        error = ENOSPC;
    }
    const TemporaryFolder folder;
    const auto ring = std::make_unique<JournalRing>();
    SegmentWriter segments;
    DrainReport report;
    StatusPage page;
    SegmentSettings settings = small_settings(folder / "run");
    settings.hook = {&disk, &FailingDisk::allow, error};
    require_ok(ring->open(folder / "ring", 64));
    require_ok(segments.open(settings));
    require_ok(drain_ring_into_segments(*ring, segments, report));
    require_ok(page.create(folder / "status", 1));
    JournalThread thread;
    std::atomic<int> halts{0};
    require_ok(thread.start(*ring, segments, page, -1, {[&] { ++halts; }, [] {}, {}}));
    append_until_failed(*ring, thread, 10);
    CHECK(thread.wait_synced(10));
    CHECK(halts.load() == 0);
    disk.is_bad = true;
    append_until_failed(*ring, thread, 1'000'000);
    CHECK_FALSE(thread.wait_synced(ring->published()));
    thread.stop();
    CHECK(halts.load() == 1);
    CHECK(thread.failure().status == Status::kSystemCallFailed);
    CHECK(thread.failure().text.find(std::generic_category().message(error)) != std::string::npos);
    StatusReading reading{};
    REQUIRE(page.read(reading));
    CHECK(reading.journal.failure_status == static_cast<std::uint64_t>(Status::kSystemCallFailed));
    CHECK(reading.journal.synced < ring->published());

    const std::uint64_t published = ring->published();
    ring->close();
    SegmentWriter again;
    require_ok(ring->open(folder / "ring", 64));
    require_ok(again.open(small_settings(folder / "run")));
    require_ok(drain_ring_into_segments(*ring, again, report));
    require_ok(again.close());
    CHECK(gm::testing::count_records(folder / "run") == published);
}
