// Promise: killed at whatever point, ring and segments together lose nothing that was published.
#include "gm/journal/drain.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "gm/base/clock.hpp"
#include "gm/journal/verify.hpp"
#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

void append_next(JournalRing& ring) {
    Slot slot = make_record(ring.next_sequence());
    ring.append(slot);
}

// What a start does. Returns the sequence of the last record.
std::uint64_t recover(const std::string& ring_path, const std::string& run_directory) {
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    require_ok(ring.open(ring_path, 64));
    require_ok(segments.open(small_settings(run_directory)));
    require_ok(drain_ring_into_segments(ring, segments, report));
    CHECK(ring.published() == ring.drained());
    CHECK(ring.next_sequence() == segments.last_sequence() + 1);
    require_ok(segments.close());
    return segments.last_sequence();
}

void expect_sound(const std::string& run_directory, std::uint64_t records) {
    CHECK(count_records(run_directory) == records);
    JournalReport report;
    require_ok(verify_journal(run_directory, report));
    CHECK(report.fault_count == 0);
}

// Stops the world after a number of operations; the write at which it stops is done in part.
struct Guillotine {
    std::uint64_t left;
    std::size_t part;  // bytes of the last write that still happen
    bool fell = false;

    static std::size_t allow(void* context, const FileAccess& access) {
        auto& self = *static_cast<Guillotine*>(context);
        const std::size_t bytes =
            access.operation == FileOperation::kWrite ? access.bytes.size() : 1;
        if (self.left > 0) {
            self.left -= 1;
            return bytes;
        }
        if (self.fell) return 0;
        self.fell = true;
        return bytes > 1 ? std::min(self.part, bytes) : 0;
    }
    FileHook hook() { return {this, &Guillotine::allow}; }
};

}  // namespace

TEST_CASE("the drain brings every record into the segments and syncs when its time has come") {
    TemporaryFolder run;
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    require_ok(ring.open_anonymous(16));
    require_ok(segments.open(small_settings(run.path())));
    require_ok(drain_ring_into_segments(ring, segments, report));
    JournalDrain drain(ring, segments);
    std::int64_t now_ns = 1'000'000'000;
    for (int i = 0; i < 5; ++i) append_next(ring);
    CHECK(drain.turn(now_ns) == 5);
    CHECK(drain.synced_sequence() == 5);
    append_next(ring);
    CHECK(drain.turn(now_ns + kSyncIntervalNs - 1) == 1);
    CHECK(drain.synced_sequence() == 5);
    CHECK(segments.is_open_block());
    CHECK(drain.turn(now_ns + kSyncIntervalNs) == 0);
    CHECK(drain.synced_sequence() == 6);
    CHECK_FALSE(segments.is_open_block());
    append_next(ring);
    drain.finish();
    CHECK_FALSE(drain.has_failed());
    expect_sound(run.path(), 7);
}

TEST_CASE("a kill between writing and popping leaves duplicates that recovery drops") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        SegmentWriter segments;
        DrainReport report;
        require_ok(ring.open(path, 64));
        require_ok(segments.open(small_settings(run)));
        require_ok(drain_ring_into_segments(ring, segments, report));
        for (int i = 0; i < 30; ++i) append_next(ring);
        require_ok(segments.append(ring.front().first(20)));  // and no pop
    }
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    require_ok(ring.open(path, 64));
    require_ok(segments.open(small_settings(run)));
    require_ok(drain_ring_into_segments(ring, segments, report));
    CHECK(report.duplicates == 20);
    CHECK(report.drained == 10);
    CHECK_FALSE(report.ring_was_new);
    require_ok(segments.close());
    expect_sound(run, 30);
}

TEST_CASE("a lost ring is seen and the sequence goes on") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    write_journal(small_settings(run), 50, 10);
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    require_ok(ring.open(folder / "ring", 64));
    require_ok(segments.open(small_settings(run)));
    require_ok(drain_ring_into_segments(ring, segments, report));
    CHECK(report.ring_was_new);
    CHECK(ring.next_sequence() == 51);
}

TEST_CASE("a ring that outlived its journal is refused, not emptied into another") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const std::string path = folder / "ring";
    CHECK(recover(path, run) == 0);
    std::filesystem::remove_all(run);
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    require_ok(ring.open(path, 64));
    SegmentSettings settings = small_settings(run);
    settings.journal_id = 8;
    require_ok(segments.open(settings));
    const Failure failure = drain_ring_into_segments(ring, segments, report);
    CHECK(failure.status == Status::kJournalForeign);
    CHECK(failure.text.find(path) != std::string::npos);
}

// Every persistent operation of a run with many blocks and segments is the last one once.
TEST_CASE("a kill at every write, sync and rename loses nothing that was published") {
    bool survived = false;
    std::uint64_t kills = 0;
    for (std::uint64_t index = 0; !survived; ++index) {
        for (const std::size_t part : {std::size_t{0}, std::size_t{70}, std::size_t{300}}) {
            CAPTURE(index);
            CAPTURE(part);
            TemporaryFolder folder;
            const std::string run = folder / "run";
            const std::string path = folder / "ring";
            Guillotine guillotine{index, part};
            std::uint64_t published = 0;
            {
                JournalRing ring;
                SegmentWriter segments;
                DrainReport report;
                SegmentSettings settings = small_settings(run);
                settings.hook = guillotine.hook();
                require_ok(ring.open(path, 64));
                Failure failure = segments.open(settings);
                if (failure.is_ok()) failure = drain_ring_into_segments(ring, segments, report);
                if (failure.is_ok()) {
                    JournalDrain drain(ring, segments, 5);
                    std::int64_t now_ns = 100;
                    while (published < 150 && !drain.has_failed()) {
                        const int burst = static_cast<int>(published % 7) + 1;
                        for (int i = 0; i < burst; ++i) append_next(ring);
                        published = ring.published();
                        drain.turn(now_ns += 2);
                    }
                    if (!drain.has_failed()) drain.finish();
                    survived = !drain.has_failed();
                }
            }
            kills += guillotine.fell ? 1 : 0;
            CHECK(recover(path, run) == published);
            expect_sound(run, published);
        }
    }
    MESSAGE("killed at " << kills << " places");
    CHECK(kills > 300);
}

TEST_CASE("the first failed sync is final, is reported, and tells the engine to halt") {
    TemporaryFolder run;
    JournalRing ring;
    SegmentWriter segments;
    DrainReport report;
    struct BadDisk {
        bool is_bad = false;
        static std::size_t allow(void* context, const FileAccess& access) {
            const bool refuses = access.operation == FileOperation::kSync;
            const std::size_t wanted = std::max<std::size_t>(access.bytes.size(), 1);
            return static_cast<BadDisk*>(context)->is_bad && refuses ? 0 : wanted;
        }
    } disk;
    SegmentSettings settings = small_settings(run.path(), 1U << 20);
    settings.hook = {&disk, &BadDisk::allow};
    require_ok(ring.open_anonymous(64));
    require_ok(segments.open(settings));
    require_ok(drain_ring_into_segments(ring, segments, report));
    JournalDrain drain(ring, segments);
    append_next(ring);
    CHECK(drain.turn(kSyncIntervalNs) == 1);
    CHECK_FALSE(drain.has_failed());
    disk.is_bad = true;
    append_next(ring);
    CHECK(drain.turn(2 * kSyncIntervalNs) == 1);
    CHECK(drain.has_failed());
    CHECK(drain.failure().status == Status::kSystemCallFailed);
    CHECK(drain.failure().text.find("sync") != std::string::npos);
    disk.is_bad = false;  // a disk that recovers does not bring trust back
    append_next(ring);
    CHECK(drain.turn(3 * kSyncIntervalNs) == 0);
    CHECK(drain.has_failed());
    CHECK(drain.synced_sequence() == 1);
}

TEST_CASE("kill -9 in the middle of appending and draining loses nothing that was published") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const std::string path = folder / "ring";
    void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    auto* effects = static_cast<std::uint64_t*>(shared);  // sequences that had an effect outside
    std::uint64_t last = 0;
    for (int round = 0; round < 20; ++round) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            const auto ring = std::make_unique<JournalRing>();
            SegmentWriter segments;
            DrainReport report;
            if (!ring->open(path, 64).is_ok()) ::_exit(1);
            if (!segments.open(small_settings(run, 65536)).is_ok()) ::_exit(2);
            if (!drain_ring_into_segments(*ring, segments, report).is_ok()) ::_exit(3);
            JournalDrain drain(*ring, segments, 1'000'000);
            for (;;) {  // until killed
                const std::uint64_t burst = ring->next_sequence() % 50 + 1;
                for (std::uint64_t i = 0; i < burst && ring->has_room(1); ++i) {
                    append_next(*ring);
                    std::atomic_ref(*effects).store(ring->next_sequence() - 1);
                }
                drain.turn(monotonic_ns());
                if (drain.has_failed()) ::_exit(4);
            }
        }
        // Not too early: a kill during the start is the test above.
        const std::uint64_t before = std::atomic_ref(*effects).load();
        for (int i = 0; i < 10'000 && std::atomic_ref(*effects).load() < before + 100; ++i) {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        std::this_thread::sleep_for(std::chrono::microseconds(337 * (round + 1)));
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        const std::uint64_t recovered = recover(path, run);
        CHECK(recovered >= std::atomic_ref(*effects).load());
        CHECK(recovered > last);
        last = recovered;
    }
    expect_sound(run, last);
    ::munmap(shared, 4096);
}

TEST_CASE("engine thread and journal thread together bring every record to the disk") {
    TemporaryFolder run;
    constexpr std::uint64_t kRecords = 20'000;
    const auto ring = std::make_unique<JournalRing>();
    SegmentWriter segments;
    DrainReport report;
    require_ok(ring->open_anonymous(256));
    require_ok(segments.open(small_settings(run.path(), 1U << 18)));
    require_ok(drain_ring_into_segments(*ring, segments, report));
    JournalDrain drain(*ring, segments);
    std::atomic<bool> has_ended{false};
    std::thread journal([&] {
        while (!has_ended.load(std::memory_order_acquire)) {
            if (drain.turn(monotonic_ns()) == 0) std::this_thread::yield();
        }
        drain.finish();
    });
    for (std::uint64_t i = 0; i < kRecords && !drain.has_failed(); ++i) {
        while (!ring->has_room(1)) std::this_thread::yield();
        append_next(*ring);
    }
    has_ended.store(true, std::memory_order_release);
    journal.join();
    CHECK_FALSE(drain.has_failed());
    expect_sound(run.path(), kRecords);
}

TEST_CASE("a journal that is being written verifies at any moment") {
    TemporaryFolder run;
    SegmentWriter segments;
    require_ok(segments.open(small_settings(run.path(), 16384)));
    std::atomic<bool> has_ended{false};
    std::thread writer([&] {
        for (int i = 0; i < 10'000; ++i) {
            if (!segments.append(make_records(segments.last_sequence() + 1, 7)).is_ok()) break;
            if (i % 50 == 0 && !segments.sync().is_ok()) break;
        }
        has_ended.store(true);
    });
    std::uint64_t rounds = 0;
    std::uint64_t last = 0;
    bool is_sound = true;
    std::string text;
    while (!has_ended.load()) {
        JournalReport live;
        is_sound = is_sound && verify_journal(run.path(), live).is_ok() && live.fault_count == 0;
        if (!live.faults.empty()) text = live.faults[0].text;
        is_sound = is_sound && live.end.last_sequence >= last;
        last = live.end.last_sequence;
        rounds += 1;
    }
    writer.join();
    INFO(text);
    CHECK(is_sound);
    CHECK(rounds > 0);
    require_ok(segments.close());
    expect_sound(run.path(), 70'000);
}
