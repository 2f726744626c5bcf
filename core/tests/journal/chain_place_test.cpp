// Promise: a walk that begins between two blocks gives the records behind it, at any such place
// and at no other; and what a start searches holds all that was written ahead of a sync.
#include <algorithm>
#include <cstring>
#include <limits>

#include "gm/journal/drain.hpp"
#include "gm/journal/segments.hpp"
#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

// Of records from a place on: how many, each in its order. -1: refused.
std::int64_t count_behind(const std::string& run_directory, const ChainPlace& place) {
    JournalReader reader;
    WalkSettings settings{.folder = journal_folder(run_directory), .from = place};
    if (!reader.open(settings).is_ok()) return -1;
    std::uint64_t sequence = place.last_sequence;
    for (Slot slot; reader.next(slot);) REQUIRE(slot.trailer.journal_sequence == ++sequence);
    if (!reader.failure().is_ok()) return -1;
    return static_cast<std::int64_t>(sequence - place.last_sequence);
}

}  // namespace

TEST_CASE("a walk from any place between two blocks gives the records behind it") {
    struct Shape {
        std::uint64_t block;
        std::uint64_t records;
    };
    // The last one ends with a full segment, and the next is not begun.
    for (const auto [block, records] : {Shape{1, 400}, {7, 400}, {31, 400}, {62, 400}, {62, 372}}) {
        CAPTURE(block);
        CAPTURE(records);
        const TemporaryFolder run;
        std::vector<ChainPlace> places;
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run.path())));
        while (writer.last_sequence() < records) {
            places.push_back(writer.sealed_place());
            const std::uint64_t count = std::min(block, records - writer.last_sequence());
            require_ok(writer.append(make_records(writer.last_sequence() + 1, count)));
            // In the middle of a block it is the place before it.
            CHECK(writer.sealed_place().blocks == writer.blocks());
            require_ok(writer.seal_block());
        }
        require_ok(writer.close());
        places.push_back(writer.sealed_place());
        for (const ChainPlace& place : places) {
            const auto left = static_cast<std::int64_t>(records - place.last_sequence);
            REQUIRE(count_behind(run.path(), place) == left);
        }
        // The writer that goes on from there names the same place.
        SegmentWriter again;
        require_ok(again.open(small_settings(run.path())));
        const ChainPlace reopened = again.sealed_place();
        CHECK(std::memcmp(&reopened, &places.back(), sizeof reopened) == 0);
    }
}

TEST_CASE("a walk begins at no place that the journal does not have") {
    const TemporaryFolder run;
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path())));
    require_ok(writer.append(make_records(1, 150)));
    require_ok(writer.seal_block());
    const ChainPlace place = writer.sealed_place();
    require_ok(writer.append(make_records(151, 20)));
    require_ok(writer.close());
    REQUIRE(count_behind(run.path(), place) == 20);
    // With records behind it, and with none that would show that it is wrong.
    for (const ChainPlace& right : {place, writer.sealed_place()}) {
        for (std::size_t at = 0; at < sizeof right; ++at) {
            CAPTURE(at);
            std::uint8_t bytes[sizeof right];
            std::memcpy(bytes, &right, sizeof right);
            bytes[at] ^= 1;
            ChainPlace other{};
            std::memcpy(&other, bytes, sizeof other);
            CHECK(count_behind(run.path(), other) == -1);
        }
    }
}

TEST_CASE("no more than the tail that a start searches is written ahead of a sync") {
    const TemporaryFolder run;
    JournalRing ring;
    require_ok(ring.open_anonymous(kUnsyncedMax));
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path(), 64U << 20)));
    DrainReport report;
    require_ok(drain_ring_into_segments(ring, writer, report));
    JournalDrain drain(ring, writer, std::numeric_limits<std::int64_t>::max());
    for (std::uint64_t sequence = 1; sequence <= 4 * kUnsyncedMax;) {
        for (std::uint64_t i = 0; i < kUnsyncedMax; ++i) ring.append(make_record(sequence++), 0);
        (void)drain.turn(1);
        CHECK(writer.last_sequence() - drain.synced_sequence() < kUnsyncedMax);
    }
    // Chain records, of blocks as small as they get, included.
    static_assert(2 * (kUnsyncedMax + kJournalRingSlots) <= kTailSlotsMax);
}

TEST_CASE("a torn tail is found and cut as far behind the last record as one could be") {
    const TemporaryFolder run;
    write_journal(small_settings(run.path(), 64U << 20), 10, 10);
    const std::string path = segment_path(run.path(), 1);
    std::vector<std::uint8_t> bytes = read_bytes(path);
    constexpr std::uint64_t kFirst = 1 + 10 + 1;  // header, records, chain record
    bytes[(kFirst + kTailSlotsMax - 1) * sizeof(Slot)] = 1;
    write_bytes(path, bytes);
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path(), 64U << 20)));
    CHECK(writer.torn_bytes() == kTailSlotsMax * sizeof(Slot));
    require_ok(writer.close());
    CHECK(read_bytes(path)[(kFirst + kTailSlotsMax - 1) * sizeof(Slot)] == 0);
}
