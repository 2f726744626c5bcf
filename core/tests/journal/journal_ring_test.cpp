// Promise: what was published in the ring survives the process, once, in order, and whole.
#include "gm/journal/journal_ring.hpp"

#include <sys/statvfs.h>

#include <bit>
#include <memory>
#include <thread>
#include <vector>

#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

void append_records(JournalRing& ring, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        Slot slot = make_record(ring.next_sequence());
        slot.trailer.commit = 0;
        slot.trailer.journal_sequence = 0;
        ring.append(slot);
    }
}

void expect_waiting(JournalRing& ring, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto waiting = ring.front();
        REQUIRE_FALSE(waiting.empty());
        const Slot expected = make_record(first + i);
        REQUIRE(std::memcmp(&waiting[0], &expected, sizeof expected) == 0);
        ring.pop(1);
    }
    CHECK(ring.front().empty());
}

}  // namespace

TEST_CASE("a record comes out as it went in, with its place set") {
    JournalRing ring;
    require_ok(ring.open_anonymous(4));
    CHECK(ring.next_sequence() == 1);
    Slot slot = make_record(1);
    slot.trailer = {42, 99, 99, 99};
    ring.append(slot);
    CHECK(slot.trailer.journal_sequence == 1);
    CHECK(slot.trailer.commit == 1);
    const auto waiting = ring.front();
    REQUIRE(waiting.size() == 1);
    CHECK(waiting[0].trailer.input_sequence == 42);
    CHECK(waiting[0].trailer.crc32c == 0);
    CHECK(std::memcmp(&waiting[0], &slot, sizeof slot) == 0);
}

TEST_CASE("the guard word is the low half of the sequence and never zero") {
    CHECK(commit_word(1) == 1);
    CHECK(commit_word(0x1'0000'0001) == 1);
    CHECK(commit_word(0x1'0000'0000) == 0xffffffff);
    CHECK(commit_word(0xffffffff) == 0xffffffff);
}

TEST_CASE("room is exactly the capacity and comes back as the consumer pops") {
    JournalRing ring;
    require_ok(ring.open_anonymous(8));
    CHECK(ring.free() == 8);
    append_records(ring, 8);
    CHECK(ring.free() == 0);
    CHECK_FALSE(ring.has_room(1));
    CHECK(ring.front().size() == 8);
    ring.pop(3);
    CHECK(ring.free() == 3);
    CHECK(ring.has_room(3));
    CHECK_FALSE(ring.has_room(4));
}

TEST_CASE("records keep their order over many laps and the batch ends at the end of the memory") {
    JournalRing ring;
    require_ok(ring.open_anonymous(8));
    std::uint64_t sequence = 1;
    for (int lap = 0; lap < 100; ++lap) {
        append_records(ring, 5);
        CHECK(ring.front().size() <= 5);
        expect_waiting(ring, sequence, 5);
        sequence += 5;
    }
}

TEST_CASE("a capacity that is no power of two is refused with its value") {
    JournalRing ring;
    for (const std::uint64_t capacity : {0ULL, 1ULL, 12ULL, 1ULL << 41}) {
        const Failure failure = ring.open_anonymous(capacity);
        CHECK(failure.status == Status::kBadCapacity);
        CHECK(failure.text.find(std::to_string(capacity)) != std::string::npos);
    }
}

TEST_CASE("the named ring keeps what was not drained when the process is gone") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 16));
        append_records(ring, 10);
        (void)ring.front();
        ring.pop(4);
    }
    JournalRing ring;
    require_ok(ring.open(path, 16));
    CHECK(ring.next_sequence() == 11);
    CHECK(ring.drained() == 4);
    CHECK(ring.free() == 10);
    append_records(ring, 10);  // over the end of the memory
    expect_waiting(ring, 5, 16);
}

TEST_CASE("a record whose position was not published yet is found by its guard word") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 8));
        append_records(ring, 6);
    }
    std::vector<std::uint8_t> bytes = read_bytes(path);
    const std::uint64_t published = 4;  // as if killed before the position was stored
    std::memcpy(&bytes[offsetof(JournalRingHeader, published)], &published, 8);
    SUBCASE("both guard words were written") {
        write_bytes(path, bytes);
        JournalRing ring;
        require_ok(ring.open(path, 8));
        CHECK(ring.published() == 6);
        expect_waiting(ring, 1, 6);
    }
    SUBCASE("the last one was not") {
        const std::uint32_t commit = 0;
        std::memcpy(&bytes[kRingHeaderSize + 5 * sizeof(Slot) + 124], &commit, 4);
        write_bytes(path, bytes);
        JournalRing ring;
        require_ok(ring.open(path, 8));
        CHECK(ring.published() == 5);
        expect_waiting(ring, 1, 5);
    }
}

TEST_CASE("a guard word of an earlier lap is not taken for a new record") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 8));
        append_records(ring, 8);
        (void)ring.front();
        ring.pop(8);
        append_records(ring, 3);
    }
    JournalRing ring;
    require_ok(ring.open(path, 8));
    CHECK(ring.published() == 11);
    expect_waiting(ring, 9, 3);
}

TEST_CASE("a published record that is gone, or positions that cannot be, are corruption") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 8));
        append_records(ring, 6);
    }
    std::vector<std::uint8_t> bytes = read_bytes(path);
    SUBCASE("lost record") {
        bytes[kRingHeaderSize + 2 * sizeof(Slot) + 124] ^= 1;
    }
    SUBCASE("drained past published") {
        bytes[offsetof(JournalRingHeader, drained)] = 7;
    }
    SUBCASE("more published than fits") {
        bytes[offsetof(JournalRingHeader, published)] = 99;
    }
    SUBCASE("foreign magic") {
        bytes[0] ^= 1;
    }
    SUBCASE("impossible capacity") {
        bytes[offsetof(JournalRingHeader, capacity)] = 9;
    }
    SUBCASE("file cut") {
        bytes.resize(bytes.size() - 1);
    }
    SUBCASE("empty file") {
        bytes.clear();
    }
    write_bytes(path, bytes);
    JournalRing ring;
    const Failure failure = ring.open(path, 8);
    CHECK(failure.status == Status::kJournalCorrupt);
    CHECK(failure.text.find(path) != std::string::npos);
}

TEST_CASE("a ring of a later schema is refused as such") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 8));
    }
    std::vector<std::uint8_t> bytes = read_bytes(path);
    bytes[offsetof(JournalRingHeader, schema)] += 1;
    write_bytes(path, bytes);
    JournalRing ring;
    CHECK(ring.open(path, 8).status == Status::kSchemaMismatch);
}

TEST_CASE("another capacity takes effect once the ring is empty and not before") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 8));
        append_records(ring, 3);
    }
    {
        JournalRing ring;
        require_ok(ring.open(path, 32));
        CHECK(ring.capacity() == 8);
        expect_waiting(ring, 1, 3);
    }
    JournalRing ring;
    require_ok(ring.open(path, 32));
    CHECK(ring.capacity() == 32);
    CHECK(ring.next_sequence() == 4);
    append_records(ring, 32);
    expect_waiting(ring, 4, 32);
}

TEST_CASE("a ring is joined with one journal and refuses another") {
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    {
        JournalRing ring;
        require_ok(ring.open(path, 8));
        require_ok(ring.join(7, 100));  // new ring, old journal: power was lost
        CHECK(ring.next_sequence() == 101);
        append_records(ring, 4);
        (void)ring.front();
        ring.pop(2);
    }
    JournalRing ring;
    require_ok(ring.open(path, 8));
    CHECK(ring.join(8, 102).status == Status::kJournalForeign);
    CHECK(ring.join(7, 101).status == Status::kJournalCorrupt);  // drained 102 of them
    CHECK(ring.join(7, 105).status == Status::kJournalCorrupt);  // never published
    require_ok(ring.join(7, 102));
    require_ok(ring.join(7, 104));
    expect_waiting(ring, 103, 2);
}

TEST_CASE("records written before the first join belong to an empty journal only") {
    JournalRing ring;
    require_ok(ring.open_anonymous(8));
    append_records(ring, 2);
    CHECK(ring.join(7, 1).status == Status::kJournalForeign);
    require_ok(ring.join(7, 0));
    CHECK(ring.journal_id() == 7);
    expect_waiting(ring, 1, 2);
}

TEST_CASE("a full tmpfs is an error at open that names the file and the bytes") {
    struct statvfs shared{};
    REQUIRE(::statvfs("/dev/shm", &shared) == 0);
    const std::uint64_t total = static_cast<std::uint64_t>(shared.f_blocks) * shared.f_frsize;
    REQUIRE(total > 0);
    TemporaryFolder folder;
    const std::string path = folder / "ring";
    JournalRing ring;
    // More than the whole tmpfs: the kernel refuses before it takes a page.
    const Failure failure = ring.open(path, std::bit_ceil(2 * total / sizeof(Slot)));
    CHECK(failure.status == Status::kSystemCallFailed);
    CHECK(failure.text.find("reserve") != std::string::npos);
    CHECK(failure.text.find(path) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("a runtime directory that is not there is an error that names it") {
    JournalRing ring;
    const Failure failure = ring.open("/tmp/gm-no-such-folder/ring", 8);
    CHECK(failure.status == Status::kSystemCallFailed);
    CHECK(failure.text.find("/tmp/gm-no-such-folder") != std::string::npos);
}

TEST_CASE("one producer and one consumer thread see every record once, in order") {
    constexpr std::uint64_t kRecords = 200'000;
    const auto ring = std::make_unique<JournalRing>();
    require_ok(ring->open_anonymous(64));
    std::thread producer([&ring] {
        for (std::uint64_t sequence = 1; sequence <= kRecords; ++sequence) {
            while (!ring->has_room(1)) std::this_thread::yield();
            Slot slot = make_record(sequence);
            ring->append(slot);
        }
    });
    std::uint64_t seen = 0;
    bool in_order = true;
    while (seen < kRecords) {
        const auto waiting = ring->front();
        for (const Slot& slot : waiting) {
            seen += 1;
            const Slot expected = make_record(seen);
            in_order = in_order && std::memcmp(&slot, &expected, sizeof slot) == 0;
        }
        ring->pop(waiting.size());
        if (waiting.empty()) std::this_thread::yield();
    }
    producer.join();
    CHECK(in_order);
    CHECK(ring->drained() == kRecords);
}
