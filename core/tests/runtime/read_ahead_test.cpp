// What a reader that runs ahead gives is what a plain reader gives, faults and ends included.
#include "gm/runtime/read_ahead.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <vector>

#include "gm/journal/segments.hpp"
#include "journal/journal_fixture.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;

// A journal of `count` records in small segments; the last block stays open.
std::string write_journal(const TemporaryFolder& folder, std::uint64_t count) {
    SegmentSettings settings;
    settings.run_directory = folder.path() + "/run";
    settings.segment_bytes = 1U << 20;
    SegmentWriter writer;
    REQUIRE(writer.open(settings).is_ok());
    for (std::uint64_t sequence = 1; sequence <= count; ++sequence) {
        Heartbeat payload{};
        payload.last_feed_sequence = sequence * 7;
        Slot slot = make_slot(RecordType::kHeartbeat, Source::kVenueFeed, sequence, 0, payload);
        slot.trailer = {sequence, sequence, 0, commit_word(sequence)};
        REQUIRE(writer.append({&slot, 1}).is_ok());
    }
    return journal_folder(settings.run_directory);
}

struct Found {
    std::vector<Slot> records;
    std::vector<std::uint64_t> blocks;  // sealed, after each block
    Failure failure;
};

Found read_plainly(const std::string& folder) {
    JournalReader reader;
    REQUIRE(reader.open(folder).is_ok());
    Found found;
    for (auto block = reader.next_block(); !block.empty(); block = reader.next_block()) {
        found.records.insert(found.records.end(), block.begin(), block.end());
        found.blocks.push_back(reader.end().blocks);
    }
    found.failure = reader.failure();
    return found;
}

Found read_ahead(const std::string& folder) {
    ReadAhead reader;
    REQUIRE(reader.open(folder).is_ok());
    Found found;
    for (auto block = reader.next_block(); !block.empty(); block = reader.next_block()) {
        found.records.insert(found.records.end(), block.begin(), block.end());
        found.blocks.push_back(reader.blocks());
    }
    found.failure = reader.failure();
    CHECK(reader.next_block().empty());  // and stays so
    return found;
}

void check_same(const Found& a, const Found& b) {
    REQUIRE(a.records.size() == b.records.size());
    const bool is_empty = a.records.empty();  // then there is no address to compare
    CHECK((is_empty ||
           std::memcmp(a.records.data(), b.records.data(), a.records.size() * sizeof(Slot)) == 0));
    CHECK(a.blocks == b.blocks);
    CHECK(a.failure.status == b.failure.status);
    CHECK(a.failure.text == b.failure.text);
}

}  // namespace

TEST_CASE("blocks, their numbers and the open end are those of the plain reader") {
    for (const std::uint64_t count : {0U, 1U, 511U, 512U, 513U, 30'000U}) {
        const TemporaryFolder folder;
        const std::string journal = write_journal(folder, count);
        const Found found = read_ahead(journal);
        CHECK(found.records.size() == count);
        check_same(read_plainly(journal), found);
    }
}

TEST_CASE("a changed byte ends the reading where the plain reader ends") {
    const TemporaryFolder folder;
    const std::string journal = write_journal(folder, 20'000);
    std::vector<SegmentFile> segments;
    REQUIRE(list_segments(journal, segments).is_ok());
    std::fstream file(segments[1].path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(128 * 700 + 50);
    file.put('x');
    file.close();
    const Found found = read_ahead(journal);
    CHECK(found.failure.status == Status::kJournalCorrupt);
    CHECK(found.records.size() > 7'000);
    check_same(read_plainly(journal), found);
}

TEST_CASE("whoever stops in the middle leaves no thread behind") {
    const TemporaryFolder folder;
    const std::string journal = write_journal(folder, 30'000);
    for (const int blocks : {0, 1, 40}) {
        ReadAhead reader;
        REQUIRE(reader.open(journal).is_ok());
        for (int i = 0; i < blocks; ++i) CHECK_FALSE(reader.next_block().empty());
    }
}

TEST_CASE("a folder that is not there is a failure") {
    const TemporaryFolder folder;
    ReadAhead reader;
    CHECK_FALSE(reader.open(folder.path() + "/nothing").is_ok());
}
