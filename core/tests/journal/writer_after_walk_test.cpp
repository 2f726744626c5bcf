// Promise: a writer that goes on behind a walk goes on exactly where its own walk would have ended,
// without reading the segment again; a walk that has not seen all of it does not count.
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "gm/journal/segments.hpp"
#include "journal/journal_fixture.hpp"
#include "journal/read_counter.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

constexpr std::uint64_t kSegmentBytes = 32'768;  // 256 slots

std::vector<SegmentFile> segments_of(const std::string& run) {
    std::vector<SegmentFile> segments;
    require_ok(list_segments(journal_folder(run), segments));
    return segments;
}

// A journal of a process that was killed: some blocks, some syncs, an open block, a torn tail.
// Answers the places between its blocks.
std::vector<ChainPlace> write_killed(const std::string& run, std::mt19937_64& random) {
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run, kSegmentBytes)));
    std::vector<ChainPlace> places;
    const std::uint64_t records = 1 + random() % 900;
    while (writer.last_sequence() < records) {
        places.push_back(writer.sealed_place());
        require_ok(writer.append(make_records(writer.last_sequence() + 1, 1 + random() % 60)));
        if (random() % 4 != 0) require_ok(writer.seal_block());
        if (random() % 6 == 0) require_ok(writer.sync());
    }
    places.push_back(writer.sealed_place());
    return places;
}

// One change such as a crash, a bad disk or a person makes; often none.
void spoil(const std::string& run, std::mt19937_64& random) {
    const std::string path = segments_of(run).back().path;
    std::vector<std::uint8_t> bytes = read_bytes(path);
    std::size_t used = bytes.size();
    while (used > 0 && bytes[used - 1] == 0) --used;
    const std::size_t slot = sizeof(Slot) * (random() % (used / sizeof(Slot) + 3));
    switch (random() % 5) {
        case 0: bytes[std::min(slot + random() % sizeof(Slot), bytes.size() - 1)] ^= 1; break;
        case 1: bytes[std::min(used + random() % 300, bytes.size() - 1)] = 7; break;
        case 2: std::fill_n(&bytes[std::min(slot, bytes.size() - 128)], 128, 0); break;
        default: return;
    }
    write_bytes(path, bytes);
}

struct Opened {
    Failure failure;
    std::uint64_t last_sequence = 0;
    std::uint64_t torn_bytes = 0;
    ChainPlace place{};
    std::vector<std::uint8_t> last_segment;
};

Opened go_on(const std::string& run, const BlockWalker* walked) {
    Opened made;
    SegmentWriter writer;
    made.failure = writer.open(small_settings(run, kSegmentBytes), walked);
    if (!made.failure.is_ok()) return made;
    made.last_sequence = writer.last_sequence();
    made.torn_bytes = writer.torn_bytes();
    made.place = writer.sealed_place();
    require_ok(writer.append(make_records(writer.last_sequence() + 1, 3)));
    require_ok(writer.close());
    made.last_segment = read_bytes(segments_of(run).back().path);
    return made;
}

WalkSettings start_walk(const std::string& run, const std::optional<ChainPlace>& from) {
    WalkSettings walk{.folder = journal_folder(run), .from = from};
    walk.checks_last_segment = true;
    walk.tail_slots_max = kTailSlotsMax;
    return walk;
}

// False: it met a fault.
bool walk_all(JournalReader& reader, const WalkSettings& walk) {
    require_ok(reader.open(walk));
    while (!reader.next_block().empty()) {
    }
    return reader.failure().is_ok();
}

}  // namespace

TEST_CASE("a writer behind a walk goes on where its own walk ends, whatever was killed or spoilt") {
    std::mt19937_64 random(5);
    int walked = 0;
    int faults = 0;
    for (int round = 0; round < 1'500; ++round) {
        CAPTURE(round);
        const TemporaryFolder folder;
        const std::vector<ChainPlace> places = write_killed(folder / "run", random);
        spoil(folder / "run", random);
        std::filesystem::copy(folder / "run", folder / "twin",
                              std::filesystem::copy_options::recursive);
        std::optional<ChainPlace> from;
        if (random() % 4 != 0) from = places[random() % places.size()];
        JournalReader reader;
        const bool is_whole = walk_all(reader, start_walk(folder / "twin", from));
        const Opened plain = go_on(folder / "run", nullptr);
        const Opened behind = go_on(folder / "twin", is_whole ? &reader.walker() : nullptr);
        REQUIRE(plain.failure.status == behind.failure.status);
        CHECK(plain.last_sequence == behind.last_sequence);
        CHECK(plain.torn_bytes == behind.torn_bytes);
        CHECK(std::memcmp(&plain.place, &behind.place, sizeof plain.place) == 0);
        CHECK(plain.last_segment == behind.last_segment);
        (is_whole ? walked : faults) += 1;
    }
    CHECK(walked > 500);
    CHECK(faults > 100);
}

TEST_CASE("a writer behind a walk reads no more than the open block; one that must walk, does") {
    std::mt19937_64 random(6);
    const TemporaryFolder run;
    write_journal(small_settings(run.path(), 1U << 20), 5'000, 100);
    SegmentWriter first;
    require_ok(first.open(small_settings(run.path(), 1U << 20)));
    const ChainPlace end = first.sealed_place();
    require_ok(first.append(make_records(5'001, 50)));
    require_ok(first.sync());
    const auto bytes_read = [&](const BlockWalker* walked) {
        const std::uint64_t before = bytes_read_by_process();
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run.path(), 1U << 20), walked));
        CHECK(writer.last_sequence() == 5'050);
        return bytes_read_by_process() - before;
    };
    constexpr std::uint64_t kSegmentRead = 5'050 * sizeof(Slot);
    CHECK(bytes_read(nullptr) >= kSegmentRead);
    JournalReader whole;
    REQUIRE(walk_all(whole, start_walk(run.path(), {})));
    CHECK(bytes_read(&whole.walker()) < 20'000);
    JournalReader behind;
    REQUIRE(walk_all(behind, start_walk(run.path(), end)));
    CHECK(bytes_read(&behind.walker()) < 20'000);
    // Into the middle of the segment, not to the end, under another anchor, of another folder.
    JournalReader jumped;
    WalkSettings jump = start_walk(run.path(), end);
    jump.checks_last_segment = false;
    REQUIRE(walk_all(jumped, jump));
    CHECK(bytes_read(&jumped.walker()) >= kSegmentRead);
    JournalReader begun;
    require_ok(begun.open(start_walk(run.path(), {})));
    REQUIRE_FALSE(begun.next_block().empty());
    CHECK(bytes_read(&begun.walker()) >= kSegmentRead);
    const TemporaryFolder other;
    std::filesystem::copy(run.path(), other / "run", std::filesystem::copy_options::recursive);
    JournalReader foreign;
    REQUIRE(walk_all(foreign, start_walk(other / "run", {})));
    CHECK(bytes_read(&foreign.walker()) >= kSegmentRead);
    require_ok(first.append(make_records(5'051, 50)));
    require_ok(first.close());  // the anchor moves
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path(), 1U << 20), &whole.walker()));
    CHECK(writer.last_sequence() == 5'100);
}

TEST_CASE("a fault before the place stops a walk that checks the last segment") {
    const TemporaryFolder run;
    write_journal(small_settings(run.path(), 1U << 20), 1'000, 100);
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path(), 1U << 20)));
    const ChainPlace end = writer.sealed_place();
    const std::string path = segments_of(run.path())[0].path;
    std::vector<std::uint8_t> bytes = read_bytes(path);
    for (const std::size_t slot : {1, 50, 101, 500, 1'009}) {
        CAPTURE(slot);
        bytes[slot * sizeof(Slot) + 40] ^= 1;
        write_bytes(path, bytes);
        JournalReader reader;
        CHECK_FALSE(walk_all(reader, start_walk(run.path(), end)));
        bytes[slot * sizeof(Slot) + 40] ^= 1;
    }
    write_bytes(path, bytes);
    // And a place that the walk comes by but does not find, as one that it never reaches.
    for (const int wrong : {0, 1, 2, 3, 4}) {
        CAPTURE(wrong);
        ChainPlace place = end;
        if (wrong == 0) place.digest[31] ^= 1;
        if (wrong == 1) place.blocks -= 1;
        if (wrong == 2) place.last_sequence += 1;
        if (wrong == 3) place.slot -= 1;
        if (wrong == 4) place.slot += 200;
        JournalReader reader;
        CHECK_FALSE(walk_all(reader, start_walk(run.path(), place)));
        CHECK(reader.failure().text.find("does not follow block") != std::string::npos);
    }
    JournalReader reader;
    CHECK(walk_all(reader, start_walk(run.path(), end)));
}
