// Promise: an edit, a deletion, a swap or a cut is found, and named by segment, block and record.
#include "gm/journal/verify.hpp"

#include <algorithm>
#include <random>

#include "gm/journal/anchor.hpp"
#include "journal/edited_journal.hpp"
#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

constexpr std::uint64_t kRecords = 200;
constexpr std::uint64_t kBlockRecords = 10;  // a block is 11 slots, 5 of them fill a segment's 63

// Segments of 64 slots: header, 5 blocks of 11, and a block of 7 records that the end cuts short.
struct Journal {
    TemporaryFolder run;
    std::string first;

    Journal() : first(segment_path(run.path(), 1)) {
        write_journal(small_settings(run.path()), kRecords, kBlockRecords);
    }

    JournalReport verify() const {
        JournalReport report;
        require_ok(verify_journal(run.path(), report));
        return report;
    }

    // Slot `slot` of the first segment, after `edit`.
    template <typename Edit>
    void edit_slot(std::size_t slot, Edit edit) const {
        auto bytes = read_bytes(first);
        Slot record;
        std::memcpy(static_cast<void*>(&record), &bytes[slot * sizeof(Slot)], sizeof record);
        edit(record);
        std::memcpy(&bytes[slot * sizeof(Slot)], &record, sizeof record);
        write_bytes(first, bytes);
    }
};

void flip(const std::string& path, std::size_t offset) {
    auto bytes = read_bytes(path);
    bytes[offset] ^= 0x10;
    write_bytes(path, bytes);
}

}  // namespace

TEST_CASE("a sound journal has no fault and its counts are right") {
    const Journal journal;
    const JournalReport report = journal.verify();
    CHECK(report.fault_count == 0);
    CHECK(report.end.records == kRecords);
    CHECK(report.end.last_sequence == kRecords);
    CHECK(report.anchored_sequence == kRecords);
    CHECK(report.end.torn_bytes == 0);
    CHECK(report.end.segments == 4);
    CHECK(report.end.journal_id == 7);
    AnchorRecord anchor{};
    require_ok(JournalAnchor::read(anchor_path(journal.run.path()), anchor));
    CHECK(report.end.blocks == anchor.blocks);
    CHECK(std::memcmp(report.end.digest.data(), anchor.head_digest, 32) == 0);
    JournalReport by_folder;
    require_ok(verify_journal(journal_folder(journal.run.path()) + "/", by_folder));
    CHECK(by_folder.fault_count == 0);
}

TEST_CASE("a folder that is not there cannot be verified") {
    JournalReport report;
    CHECK(verify_journal("/tmp/gm-no-such-journal", report).status == Status::kSystemCallFailed);
}

TEST_CASE("one flipped bit anywhere in the written part of the first segment is found") {
    const Journal journal;
    const auto sound = read_bytes(journal.first);
    for (std::size_t offset = 0; offset < sound.size(); offset += 13) {
        CAPTURE(offset);
        auto bytes = sound;
        bytes[offset] ^= static_cast<std::uint8_t>(1U << (offset % 8));
        write_bytes(journal.first, bytes);
        const JournalReport report = journal.verify();
        REQUIRE(report.fault_count >= 1);
        CHECK(report.faults[0].segment == segment_name(1));
        const std::size_t slot = offset / sizeof(Slot);
        if (slot == 0) {
            CHECK(report.faults[0].kind == FaultKind::kSegmentHeader);
            continue;
        }
        CHECK(report.faults[0].kind == FaultKind::kRecord);
        CHECK(report.faults[0].block == 1 + (slot - 1) / 11);
        CHECK(report.faults[0].record == 1 + (slot - 1) % 11);
        CHECK(report.faults[0].offset == slot * sizeof(Slot));
        CHECK(report.fault_count == 1);  // and nothing else is blamed
    }
}

TEST_CASE("a flipped bit in the last segment is corruption before its end and tail after it") {
    const Journal journal;
    std::vector<SegmentFile> segments;
    require_ok(list_segments(journal_folder(journal.run.path()), segments));
    const std::string last = segments.back().path;
    const auto used = static_cast<std::size_t>(journal.verify().end.slot);
    SUBCASE("before") {
        flip(last, 2 * sizeof(Slot) + 60);
        CHECK(journal.verify().faults[0].kind == FaultKind::kRecord);
    }
    SUBCASE("after") {
        flip(last, (used + 3) * sizeof(Slot) + 60);
        const JournalReport report = journal.verify();
        CHECK(report.fault_count == 0);
        CHECK(report.end.torn_bytes == 4 * sizeof(Slot));
    }
    SUBCASE("the last chain record: the anchor knows it") {
        flip(last, (used - 1) * sizeof(Slot) + 60);
        const JournalReport report = journal.verify();
        REQUIRE(report.fault_count == 1);
        CHECK(report.faults[0].kind == FaultKind::kAnchor);
    }
}

TEST_CASE("an edited record with a right checksum breaks the chain at its block") {
    const Journal journal;
    journal.edit_slot(14, [](Slot& slot) {  // block 2 is slots 12 to 22
        slot.payload[0] ^= 1;
        slot.trailer.crc32c = slot_crc(slot);
    });
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kChain);
    CHECK(report.faults[0].block == 2);
    CHECK(report.faults[0].record == 0);
}

TEST_CASE("an edited block with a right chain record breaks the block after it") {
    const Journal journal;
    auto bytes = read_bytes(journal.first);
    bytes[13 * sizeof(Slot) + 40] ^= 1;
    Slot slot;
    std::memcpy(static_cast<void*>(&slot), &bytes[13 * sizeof(Slot)], sizeof slot);
    slot.trailer.crc32c = slot_crc(slot);
    std::memcpy(&bytes[13 * sizeof(Slot)], &slot, sizeof slot);
    Slot before;
    Slot chain;
    std::memcpy(static_cast<void*>(&before), &bytes[11 * sizeof(Slot)], sizeof before);
    std::memcpy(static_cast<void*>(&chain), &bytes[22 * sizeof(Slot)], sizeof chain);
    auto payload = chain.as<BlockDigest>();
    Sha256 hash;
    hash.update(before.payload, 32);
    hash.update(&bytes[12 * sizeof(Slot)], 10 * sizeof(Slot));
    const Sha256Digest digest = hash.finish();
    std::memcpy(payload.sha256, digest.data(), digest.size());
    chain = make_chain_record(payload);
    std::memcpy(&bytes[22 * sizeof(Slot)], &chain, sizeof chain);
    write_bytes(journal.first, bytes);
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kChain);
    CHECK(report.faults[0].block == 3);
}

TEST_CASE("a journal rewritten as a whole is found by the anchor") {
    const Journal journal;
    TemporaryFolder other;
    // The same number of records, other contents: block ends elsewhere.
    write_journal(small_settings(other.path()), kRecords, 9);
    std::filesystem::remove_all(journal_folder(journal.run.path()));
    std::filesystem::copy(journal_folder(other.path()), journal_folder(journal.run.path()));
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kAnchor);
}

TEST_CASE("a deleted block is found where it was") {
    const Journal journal;
    auto bytes = read_bytes(journal.first);
    const auto begin = bytes.begin() + 12 * sizeof(Slot);  // block 2
    bytes.erase(begin, begin + 11 * sizeof(Slot));
    bytes.resize(8192, 0);
    write_bytes(journal.first, bytes);
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count >= 1);
    CHECK(report.faults[0].kind == FaultKind::kSequence);
    CHECK(report.faults[0].block == 2);
    CHECK(report.faults[0].record == 1);
    CHECK(report.faults[0].text.find("record 21 stands where record 11 belongs") !=
          std::string::npos);
}

TEST_CASE("a deleted record is found where it was") {
    const Journal journal;
    auto bytes = read_bytes(journal.first);
    const auto begin = bytes.begin() + 15 * sizeof(Slot);  // the 4th of block 2
    bytes.erase(begin, begin + sizeof(Slot));
    bytes.resize(8192, 0);
    write_bytes(journal.first, bytes);
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count >= 1);
    CHECK(report.faults[0].kind == FaultKind::kSequence);
    CHECK(report.faults[0].block == 2);
    CHECK(report.faults[0].record == 4);
}

TEST_CASE("swapped blocks are found at both places") {
    const Journal journal;
    auto bytes = read_bytes(journal.first);
    const auto second = bytes.begin() + 12 * sizeof(Slot);
    std::swap_ranges(second, second + 11 * sizeof(Slot), second + 11 * sizeof(Slot));
    write_bytes(journal.first, bytes);
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count == 3);  // each of the two, and the one after them
    for (std::uint64_t i = 0; i < 3; ++i) {
        CHECK(report.faults[i].kind == FaultKind::kSequence);
        CHECK(report.faults[i].block == 2 + i);
        CHECK(report.faults[i].record == 1);
    }
}

TEST_CASE("swapped and repeated records are found") {
    const Journal journal;
    auto bytes = read_bytes(journal.first);
    const auto at = [&bytes](std::size_t slot) { return bytes.begin() + slot * sizeof(Slot); };
    SUBCASE("swapped") {
        std::swap_ranges(at(14), at(15), at(15));
    }
    SUBCASE("repeated") {
        std::copy(at(13), at(14), at(14));
    }
    write_bytes(journal.first, bytes);
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count >= 1);
    CHECK(report.faults[0].kind == FaultKind::kSequence);
    CHECK(report.faults[0].block == 2);
    CHECK(report.faults[0].record == 3);
}

TEST_CASE("zeroed records in the middle are one fault with their number") {
    const Journal journal;
    auto bytes = read_bytes(journal.first);
    std::fill_n(bytes.begin() + 20 * sizeof(Slot), 5 * sizeof(Slot), std::uint8_t{0});
    write_bytes(journal.first, bytes);
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kRecord);
    CHECK(report.faults[0].count == 5);
    CHECK(report.faults[0].block == 2);
    CHECK(report.faults[0].record == 9);
}

TEST_CASE("a missing, renamed, cut or foreign segment is found") {
    const Journal journal;
    std::vector<SegmentFile> segments;
    require_ok(list_segments(journal_folder(journal.run.path()), segments));
    FaultKind expected = FaultKind::kSegmentMissing;
    SUBCASE("the first is missing") {
        std::filesystem::remove(segments[0].path);
    }
    SUBCASE("one in the middle is missing") {
        std::filesystem::remove(segments[1].path);
    }
    SUBCASE("renamed") {
        std::filesystem::rename(segments[3].path, segment_path(journal.run.path(), 900));
        expected = FaultKind::kSegmentHeader;
    }
    SUBCASE("cut") {
        std::filesystem::resize_file(segments[1].path, 5000);
        expected = FaultKind::kSegmentHeader;
    }
    SUBCASE("empty") {
        std::filesystem::resize_file(segments[1].path, 0);
        expected = FaultKind::kSegmentHeader;
    }
    SUBCASE("foreign") {
        TemporaryFolder other;
        SegmentSettings settings = small_settings(other.path());
        settings.journal_id = 8;
        write_journal(settings, kRecords, kBlockRecords);
        std::filesystem::copy_file(segment_path(other.path(), segments[1].first_sequence),
                                   segments[1].path,
                                   std::filesystem::copy_options::overwrite_existing);
        expected = FaultKind::kSegmentForeign;
    }
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count >= 1);
    CHECK(report.faults[0].kind == expected);
}

TEST_CASE("a tail cut off is evident from the anchor") {
    const Journal journal;
    std::vector<SegmentFile> segments;
    require_ok(list_segments(journal_folder(journal.run.path()), segments));
    SUBCASE("last segment removed") {
        std::filesystem::remove(segments.back().path);
    }
    SUBCASE("last records zeroed") {
        const auto slot = static_cast<std::size_t>(journal.verify().end.slot);
        auto bytes = read_bytes(segments.back().path);
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>((slot - 3) * sizeof(Slot)),
                  bytes.end(), std::uint8_t{0});
        write_bytes(segments.back().path, bytes);
    }
    const JournalReport report = journal.verify();
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kAnchor);
    CHECK(report.faults[0].text.find("the tail was cut") != std::string::npos);
    SegmentWriter writer;
    CHECK(writer.open(small_settings(journal.run.path())).status == Status::kJournalCorrupt);
}

TEST_CASE("random bytes in place of a segment are faults and never more") {
    const Journal journal;
    const auto sound = read_bytes(journal.first);
    std::uint64_t state = 1;
    const auto random = [&state] {  // xorshift64: a fixed corpus
        state ^= state << 13;
        state ^= state >> 7;
        return state ^= state << 17;
    };
    for (int round = 0; round < 200; ++round) {
        auto bytes = sound;
        const std::size_t first = random() % bytes.size();
        const std::size_t count = random() % (bytes.size() - first) + 1;
        for (std::size_t i = 0; i < count; ++i) {
            bytes[first + i] = static_cast<std::uint8_t>(random());
        }
        if (round % 4 == 0) bytes.resize(random() % bytes.size());
        write_bytes(journal.first, bytes);
        CHECK(journal.verify().fault_count >= 1);
        JournalReader reader;
        require_ok(reader.open(journal_folder(journal.run.path())));
        while (!reader.next_block().empty()) {
        }
        CHECK(reader.failure().status == Status::kJournalCorrupt);
    }
}

TEST_CASE("an edit that only the chain can see is found in its block, however many are in memory") {
    TemporaryFolder run;
    // Eight blocks are read at once, and hashed by twos.
    std::vector<std::uint64_t> sizes(13, kBlockSlots);
    sizes.push_back(100);
    EditedJournal journal(run.path(), 1U << 20, sizes);
    REQUIRE(journal.blocks().size() == 14);
    REQUIRE(journal.faults_of_walk().empty());
    for (std::size_t block = 0; block < 14; ++block) {
        CAPTURE(block);
        const std::size_t last = journal.blocks()[block].count - 1;
        for (const std::size_t at : {std::size_t{0}, last / 2, last}) {
            edit_behind_checksum(journal.record(block, at), block);
            journal.save();
            CHECK(journal.faults_of_walk() ==
                  std::vector<ExpectedFault>{{FaultKind::kChain, block + 1}});
            journal.restore();
        }
        // What a chain record claims is what the next block goes on from.
        edit_behind_checksum(journal.chain_record(block), 31);
        journal.save();
        const ExpectedFault next = block == 13 ? ExpectedFault{FaultKind::kAnchor, 0}
                                               : ExpectedFault{FaultKind::kChain, block + 2};
        CHECK(journal.faults_of_walk() ==
              std::vector<ExpectedFault>{{FaultKind::kChain, block + 1}, next});
        journal.restore();
    }
    // Two in one pair, and two of which each is the other half of a pair.
    for (const std::size_t block : {2U, 3U, 6U, 7U}) {
        edit_behind_checksum(journal.record(block, 5), 0);
        edit_behind_checksum(journal.record(block + 1, 5), 0);
        journal.save();
        CHECK(journal.faults_of_walk() ==
              std::vector<ExpectedFault>{{FaultKind::kChain, block + 1},
                                         {FaultKind::kChain, block + 2}});
        journal.restore();
    }
}

TEST_CASE("faults are those of blocks looked at one by one, whatever their sizes") {
    std::size_t chains = 0;
    for (unsigned seed = 0; seed < 6; ++seed) {
        std::mt19937_64 random(seed);
        // Behind a full block: two whose chain record is where that of one full block would be.
        std::vector<std::uint64_t> sizes = {512, 200, 311, 512, 512, 512, 1, 510};
        for (int i = 0; i < 12; ++i) sizes.push_back(random() % 4 > 0 ? 512 : 1 + random() % 511);
        TemporaryFolder run;
        // One segment, several of seven full blocks and one cut short, many of two and one.
        const std::uint64_t bytes = seed == 0 ? 2U << 20 : seed < 4 ? 1U << 19 : 163'840;
        EditedJournal journal(run.path(), bytes, sizes);
        REQUIRE(journal.faults_of_walk().empty());
        for (int round = 0; round < 40; ++round) {
            for (std::size_t block = 0; block < journal.blocks().size(); ++block) {
                Slot& record = journal.record(block, random() % journal.blocks()[block].count);
                switch (random() % 10) {
                    case 0: edit_behind_checksum(record, random() % 64); break;
                    case 1: edit_behind_checksum(journal.chain_record(block), random() % 32); break;
                    case 2:  // of the last block it might be the last record: a cut tail too
                        if (block + 1 < journal.blocks().size()) {
                            record.payload[random() % 64] ^= 1;
                        }
                        break;
                    default: break;
                }
            }
            journal.save();
            const auto expected = journal.faults_of_model();
            REQUIRE(journal.faults_of_walk() == expected);
            chains += static_cast<std::size_t>(
                std::count_if(expected.begin(), expected.end(),
                              [](const auto& fault) { return fault.kind == FaultKind::kChain; }));
            journal.restore();
        }
    }
    CHECK(chains > 500);
}

TEST_CASE("what was hashed ahead of a damaged block is not taken for one of the next segment") {
    TemporaryFolder run;
    // Segments of 1056 slots: two full blocks and one of 28. The last one is read again at a fault.
    EditedJournal journal(run.path(), 135'168, {512, 512, 28, 512, 512, 28, 512});
    REQUIRE(journal.blocks()[4].segment == 1);
    REQUIRE(journal.blocks()[6].segment == 2);
    REQUIRE(journal.blocks()[4].slot == journal.blocks()[1].slot);
    for (const std::size_t block : {1U, 2U, 3U}) journal.record(block, 9).payload[0] ^= 1;
    journal.save();
    CHECK(journal.faults_of_walk() == std::vector<ExpectedFault>{{FaultKind::kRecord, 2},
                                                                 {FaultKind::kRecord, 3},
                                                                 {FaultKind::kRecord, 4}});
}

TEST_CASE("a record that is written while the walk is before it is no fault") {
    TemporaryFolder run;
    EditedJournal journal(run.path(), 1U << 20, {512, 512, 512});
    journal.record(1, 100) = Slot{};
    journal.save();
    BlockWalker walker;
    require_ok(walker.open({journal_folder(run.path()), true, false}));
    REQUIRE(walker.next() == BlockWalker::Step::kBlock);
    journal.restore();
    journal.save();
    CHECK(walker.next() == BlockWalker::Step::kBlock);
    CHECK(walker.next() == BlockWalker::Step::kBlock);
    CHECK(walker.next() == BlockWalker::Step::kEnd);
}
