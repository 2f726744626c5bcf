// What is compacted keeps every record that is no market data, whatever dies in between, and an
// edit or a removal of it is found where it is.
#include "gm/journal/compaction.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "gm/journal/anchor.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/journal/verify.hpp"
#include "journal/edited_journal.hpp"
#include "journal/journal_fixture.hpp"
#include "journal/power_loss.hpp"

namespace {

using namespace gm;
using namespace gm::testing;

// One record in seven is a fill.
bool is_kept(std::uint64_t sequence) {
    return sequence % 7 == 0;
}

Slot mixed_record(std::uint64_t sequence) {
    Slot slot = make_record(sequence);
    if (is_kept(sequence)) slot.header.type = static_cast<std::uint16_t>(RecordType::kFill);
    return slot;
}

// Blocks of 10 in segments of 64 slots.
void write_mixed(const std::string& run_dir, std::uint64_t records, FileHook hook = {}) {
    SegmentSettings settings = small_settings(run_dir);
    settings.hook = hook;
    SegmentWriter writer;
    require_ok(writer.open(settings));
    while (writer.last_sequence() < records) {
        const Slot record = mixed_record(writer.last_sequence() + 1);
        require_ok(writer.append({&record, 1}));
        if (writer.last_sequence() % 10 == 0) require_ok(writer.seal_block());
    }
    require_ok(writer.close());
}

CompactionReport compact(const std::string& run_dir, FileHook hook = {}) {
    CompactionReport report;
    require_ok(compact_oldest({run_dir, hook, {}}, report));
    return report;
}

std::vector<SegmentFile> segments_of(const std::string& run_dir) {
    std::vector<SegmentFile> segments;
    require_ok(list_segments(journal_folder(run_dir), segments));
    return segments;
}

std::uint64_t first_of(const std::string& run_dir) {
    return segments_of(run_dir)[0].first_sequence;
}

JournalReport verified(const std::string& run_dir) {
    JournalReport report;
    require_ok(verify_journal(run_dir, report));
    return report;
}

void check_sound(const std::string& run_dir) {
    const JournalReport report = verified(run_dir);
    for (const JournalFault& fault : report.faults) MESSAGE(fault.text);
    CHECK(report.fault_count == 0);
}

// Every record that the journal must still have, as it was written.
void check_records(const std::string& run_dir, std::uint64_t records) {
    const std::uint64_t first = first_of(run_dir);
    JournalReader reader;
    require_ok(reader.open_all(journal_folder(run_dir)));
    std::uint64_t sequence = 0;
    Slot slot;
    while (reader.next(slot)) {
        do ++sequence;
        while (sequence < first && !is_kept(sequence));
        Slot expected = mixed_record(sequence);
        expected.trailer.crc32c = slot_crc(expected);
        REQUIRE(std::memcmp(&slot, &expected, sizeof slot) == 0);
    }
    require_ok(reader.failure());
    CHECK(sequence == records);
    CHECK(reader.end().last_sequence == records);
}

std::string compacted_path(const std::string& run_dir, std::uint64_t first_sequence) {
    return journal_folder(run_dir) + "/" + compacted_name(first_sequence);
}

struct Compacted {
    explicit Compacted(int times) {
        write_mixed(folder.path(), 400);
        for (const SegmentFile& segment : segments_of(folder.path())) {
            firsts.push_back(segment.first_sequence);
        }
        for (int i = 0; i < times; ++i) REQUIRE(compact(folder.path()).is_done);
    }
    void edit(std::uint64_t first_sequence, std::size_t slot,
              const std::function<void(Slot&)>& change) const {
        const std::string path = compacted_path(folder.path(), first_sequence);
        std::vector<std::uint8_t> bytes = read_bytes(path);
        Slot edited;
        std::memcpy(static_cast<void*>(&edited), &bytes[slot * sizeof edited], sizeof edited);
        change(edited);
        std::memcpy(&bytes[slot * sizeof edited], &edited, sizeof edited);
        write_bytes(path, bytes);
    }

    TemporaryFolder folder;
    std::vector<std::uint64_t> firsts;
};

TEST_CASE("a compacted segment keeps what is no market data, and the chain goes on behind it") {
    TemporaryFolder folder;
    write_mixed(folder.path(), 400);
    const std::vector<SegmentFile> segments = segments_of(folder.path());
    REQUIRE(segments.size() > 4);
    std::uint64_t kept = 0;
    for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
        const CompactionReport report = compact(folder.path());
        REQUIRE(report.is_done);
        CHECK(report.last_sequence == segments[i + 1].first_sequence - 1);
        CHECK(report.bytes_removed == 8192);
        kept += report.records_kept;
        CHECK(segments_of(folder.path()).size() == segments.size() - 1 - i);
        check_sound(folder.path());
        check_records(folder.path(), 400);
    }
    // The last segment never goes.
    CHECK_FALSE(compact(folder.path()).is_done);
    const JournalReport report = verified(folder.path());
    CHECK(report.compacted.segments == segments.size() - 1);
    CHECK(report.compacted.records == kept);
    CHECK(report.compacted.last_sequence == segments.back().first_sequence - 1);
    // And a writer goes on.
    SegmentWriter writer;
    require_ok(writer.open(small_settings(folder.path())));
    CHECK(writer.last_sequence() == 400);
    for (std::uint64_t i = 401; i <= 600; ++i) {
        const Slot record = mixed_record(i);
        require_ok(writer.append({&record, 1}));
    }
    require_ok(writer.close());
    REQUIRE(compact(folder.path()).is_done);
    check_sound(folder.path());
    check_records(folder.path(), 600);
}

TEST_CASE("a segment of market data alone leaves an empty compacted segment in the chain") {
    TemporaryFolder folder;
    write_journal(small_settings(folder.path()), 300, 10);
    for (int i = 0; i < 3; ++i) {
        const CompactionReport report = compact(folder.path());
        CHECK(report.is_done);
        CHECK(report.records_kept == 0);
        check_sound(folder.path());
    }
    CHECK(verified(folder.path()).compacted.bytes == 3 * sizeof(Slot));
}

// Fails operation number `at` from 0.
struct FailingAt {
    std::uint64_t at;
    std::uint64_t count = 0;
    static std::size_t allow(void* context, const FileAccess& access) {
        auto& self = *static_cast<FailingAt*>(context);
        const std::size_t wanted = std::max<std::size_t>(access.bytes.size(), 1);
        return self.count++ == self.at ? 0 : wanted;
    }
};

TEST_CASE("a death after each step leaves the old or the new state, and the next call ends it") {
    const Compacted whole(3);
    std::uint64_t steps = 0;
    std::set<std::uint64_t> states;
    for (bool is_over = false; !is_over; ++steps) {
        TemporaryFolder folder;
        write_mixed(folder.path(), 400);
        REQUIRE(compact(folder.path()).is_done);
        FailingAt hook{steps};
        CompactionReport report;
        const Failure failure =
            compact_oldest({folder.path(), {&hook, &FailingAt::allow}, {}}, report);
        is_over = failure.is_ok();
        CHECK(report.is_done == is_over);
        states.insert(first_of(folder.path()));
        check_sound(folder.path());
        check_records(folder.path(), 400);
        while (first_of(folder.path()) < whole.firsts[3]) {
            REQUIRE(compact(folder.path()).is_done);
        }
        check_sound(folder.path());
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(read_bytes(compacted_path(folder.path(), whole.firsts[i])) ==
                  read_bytes(compacted_path(whole.folder.path(), whole.firsts[i])));
        }
    }
    CHECK(steps > 6);
    CHECK(states == std::set<std::uint64_t>{whole.firsts[1], whole.firsts[2]});
}

TEST_CASE("a loss of power at each step does, too") {
    const Compacted whole(2);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        for (std::uint64_t step = 0; step < 12; ++step) {
            CAPTURE(seed);
            CAPTURE(step);
            TemporaryFolder folder;
            PowerLossDisk disk(seed);
            disk.fail_at(~std::uint64_t{0});
            write_mixed(folder.path(), 400, disk.hook());
            REQUIRE(compact(folder.path(), disk.hook()).is_done);
            disk.fail_at(step);
            CompactionReport report;
            const Failure failure = compact_oldest({folder.path(), disk.hook(), {}}, report);
            const bool was_over = failure.is_ok();
            (void)disk.restart(folder.path());
            check_sound(folder.path());
            check_records(folder.path(), 400);
            if (was_over) CHECK(first_of(folder.path()) == whole.firsts[2]);
            if (first_of(folder.path()) < whole.firsts[2]) REQUIRE(compact(folder.path()).is_done);
            check_sound(folder.path());
            CHECK(read_bytes(compacted_path(folder.path(), whole.firsts[1])) ==
                  read_bytes(compacted_path(whole.folder.path(), whole.firsts[1])));
        }
    }
}

TEST_CASE("whoever stops it finds the segment where it was") {
    TemporaryFolder folder;
    write_mixed(folder.path(), 200);
    int asked = 0;
    CompactionReport report;
    require_ok(compact_oldest({folder.path(), {}, [&] { return ++asked < 3; }}, report));
    CHECK(asked == 3);
    CHECK_FALSE(report.is_done);
    CHECK(first_of(folder.path()) == 1);
    check_sound(folder.path());
    CHECK(compact(folder.path()).is_done);
}

TEST_CASE("a damaged segment is not compacted") {
    TemporaryFolder folder;
    write_mixed(folder.path(), 200);
    const std::string path = segment_path(folder.path(), 1);
    std::vector<std::uint8_t> bytes = read_bytes(path);
    bytes[20 * sizeof(Slot) + 50] ^= 1;
    write_bytes(path, bytes);
    CompactionReport report;
    const Failure failure = compact_oldest({folder.path(), {}, {}}, report);
    CHECK(failure.status == Status::kJournalCorrupt);
    CHECK(failure.text.find("block 2") != std::string::npos);
    CHECK(read_bytes(path) == bytes);
    CHECK_FALSE(exists(compacted_path(folder.path(), 1)));
}

TEST_CASE("an edited record is found, with and without its checksum put right") {
    const Compacted run(3);
    run.edit(run.firsts[1], 3, [](Slot& slot) { slot.payload[5] ^= 1; });
    JournalReport report = verified(run.folder.path());
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kRecord);
    CHECK(report.faults[0].segment == compacted_name(run.firsts[1]));
    CHECK(report.faults[0].record == 3);
    CHECK(report.faults[0].offset == 3 * sizeof(Slot));
    run.edit(run.firsts[1], 3, [](Slot& slot) { slot.trailer.crc32c = slot_crc(slot); });
    report = verified(run.folder.path());
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kChain);
    CHECK(report.faults[0].segment == compacted_name(run.firsts[1]));
    CHECK(report.faults[0].block == 1);
    JournalReader reader;
    require_ok(reader.open_all(journal_folder(run.folder.path())));
    Slot slot;
    while (reader.next(slot)) CHECK(slot.trailer.journal_sequence < run.firsts[1]);
    CHECK(reader.failure().status == Status::kJournalCorrupt);
}

TEST_CASE("an edited header is found, with and without its checksum put right") {
    for (const bool is_put_right : {false, true}) {
        const Compacted run(3);
        run.edit(run.firsts[1], 0, [&](Slot& slot) {
            CompactedHeader header{};
            std::memcpy(&header, &slot, sizeof header);
            header.last_digest[7] ^= 1;
            if (is_put_right) header.crc32c = crc_of(header);
            std::memcpy(static_cast<void*>(&slot), &header, sizeof header);
        });
        const JournalReport report = verified(run.folder.path());
        REQUIRE(report.fault_count == 1);
        CHECK(report.faults[0].segment == compacted_name(run.firsts[1]));
        CHECK(report.faults[0].kind ==
              (is_put_right ? FaultKind::kChain : FaultKind::kSegmentHeader));
    }
}

TEST_CASE("a compacted segment that is gone, or cut, is found") {
    for (const std::size_t gone : {0U, 1U, 2U}) {
        const Compacted run(3);
        std::filesystem::remove(compacted_path(run.folder.path(), run.firsts[gone]));
        const JournalReport report = verified(run.folder.path());
        REQUIRE(report.fault_count >= 1);
        if (gone < 2) {
            CHECK(report.faults[0].kind == FaultKind::kSegmentMissing);
            CHECK(report.faults[0].segment == compacted_name(run.firsts[gone + 1]));
        } else {  // by the segment behind it
            const JournalFault& fault = report.faults.back();
            CHECK(fault.kind == FaultKind::kSegmentMissing);
            CHECK(fault.segment == segment_name(run.firsts[3]));
        }
    }
    const Compacted run(3);  // a file that lost its last record and chain record
    const std::string path = compacted_path(run.folder.path(), run.firsts[2]);
    std::vector<std::uint8_t> bytes = read_bytes(path);
    bytes.resize(sizeof(Slot));  // a header alone is well-formed
    write_bytes(path, bytes);
    const JournalReport report = verified(run.folder.path());
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kAnchor);
    const Compacted longer(3);
    const std::string last = compacted_path(longer.folder.path(), longer.firsts[2]);
    for (const std::size_t more : {std::size_t{5}, sizeof(Slot)}) {
        const std::vector<std::uint8_t> whole = read_bytes(last);
        std::vector<std::uint8_t> grown = whole;
        grown.resize(whole.size() + more);
        write_bytes(last, grown);
        CHECK(verified(longer.folder.path()).faults.at(0).segment ==
              compacted_name(longer.firsts[2]));
        write_bytes(last, whole);
    }
}

TEST_CASE("an edit whose file was sealed anew is found by the file behind it") {
    const Compacted run(3);
    const std::string path = compacted_path(run.folder.path(), run.firsts[1]);
    std::vector<std::uint8_t> bytes = read_bytes(path);
    std::vector<Slot> slots(bytes.size() / sizeof(Slot));
    std::memcpy(static_cast<void*>(slots.data()), bytes.data(), bytes.size());
    edit_behind_checksum(slots[3], 5);
    CompactedHeader header{};
    std::memcpy(&header, &slots[0], sizeof header);
    const Sha256Digest start = chain_start(header);
    Sha256 hash;
    hash.update(start.data(), start.size());
    hash.update(&slots[1], (slots.size() - 2) * sizeof(Slot));  // one block
    auto chain = slots.back().as<BlockDigest>();
    std::memcpy(chain.sha256, hash.finish().data(), sizeof chain.sha256);
    slots.back() = make_chain_record(chain);
    std::memcpy(bytes.data(), slots.data(), bytes.size());
    write_bytes(path, bytes);
    const JournalReport report = verified(run.folder.path());
    REQUIRE(report.fault_count == 1);
    CHECK(report.faults[0].kind == FaultKind::kChain);
    CHECK(report.faults[0].segment == compacted_name(run.firsts[2]));
}

TEST_CASE("a chain of compacted segments made anew is not the one that the anchor knows") {
    const Compacted run(2);
    // The journal of the same numbers with other fills, compacted in the same way.
    TemporaryFolder other;
    write_journal(small_settings(other.path()), 400, 10);
    for (int i = 0; i < 2; ++i) REQUIRE(compact(other.path()).is_done);
    for (const std::size_t i : {0U, 1U}) {
        write_bytes(compacted_path(run.folder.path(), run.firsts[i]),
                    read_bytes(compacted_path(other.path(), run.firsts[i])));
    }
    const JournalReport report = verified(run.folder.path());
    std::set<FaultKind> kinds;
    for (const JournalFault& fault : report.faults) kinds.insert(fault.kind);
    CHECK(kinds.contains(FaultKind::kAnchor));
    CHECK(kinds.contains(FaultKind::kChain));  // of the first segment that is there
}

TEST_CASE("without its anchor nothing more is compacted") {
    const Compacted run(2);
    std::filesystem::remove(compacted_anchor_path(run.folder.path()));
    CompactionReport report;
    CHECK(compact_oldest({run.folder.path(), {}, {}}, report).status == Status::kJournalCorrupt);
    CHECK(first_of(run.folder.path()) == run.firsts[2]);
    CHECK(verified(run.folder.path()).faults[0].kind == FaultKind::kAnchor);
}

}  // namespace
