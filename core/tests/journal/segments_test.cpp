// Promise: what was appended is read back, byte for byte, in whatever way the writing ended.
#include "gm/journal/segments.hpp"

#include <algorithm>

#include "gm/base/sha256.hpp"
#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

std::string hex_of(const std::vector<std::uint8_t>& bytes, std::size_t first, std::size_t count) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = first; i < first + count; ++i) {
        text += kDigits[bytes[i] >> 4];
        text += kDigits[bytes[i] & 15];
    }
    return text;
}

}  // namespace

TEST_CASE("an empty journal is one zeroed segment of full size and an anchor") {
    TemporaryFolder run;
    write_journal(small_settings(run.path()), 0, 1);
    const auto bytes = read_bytes(segment_path(run.path(), 1));
    CHECK(bytes.size() == 8192);
    CHECK(std::all_of(bytes.begin() + 128, bytes.end(), [](auto byte) { return byte == 0; }));
    CHECK(std::filesystem::exists(anchor_path(run.path())));
    CHECK(count_records(run.path()) == 0);
}

TEST_CASE("records come back over blocks and segments, and chain records do not") {
    // 64 slots a segment: the header, and 63 for records and chain records. 31 leaves one slot at
    // the end in which no block can begin.
    for (const std::uint64_t block : {1, 2, 7, 30, 31, 61, 62, 63, 500}) {
        CAPTURE(block);
        TemporaryFolder run;
        write_journal(small_settings(run.path()), 500, block);
        CHECK(count_records(run.path()) == 500);
    }
}

TEST_CASE("a block ends by itself after 512 records") {
    TemporaryFolder run;
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path(), 1U << 20)));
    require_ok(writer.append(make_records(1, 1200)));
    CHECK(writer.blocks() == 2);
    CHECK(writer.is_open_block());
    require_ok(writer.close());
    CHECK(writer.blocks() == 3);
    CHECK_FALSE(writer.is_open_block());
    const auto bytes = read_bytes(segment_path(run.path(), 1));
    Slot chain;
    std::memcpy(static_cast<void*>(&chain), &bytes[513 * sizeof(Slot)], sizeof chain);
    CHECK(chain.type() == RecordType::kBlockDigest);
    CHECK(chain.as<BlockDigest>().last_journal_sequence == 512);
    CHECK(chain.header.first_sequence == 1);
}

TEST_CASE("closing and opening at every length goes on where it stopped") {
    TemporaryFolder run;
    for (std::uint64_t count = 1; count <= 140; ++count) {
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run.path())));
        REQUIRE(writer.last_sequence() == count - 1);
        require_ok(writer.append(make_records(count, 1)));
        if (count % 3 == 0) require_ok(writer.close());  // else as killed: the block stays open
    }
    CHECK(count_records(run.path()) == 140);
}

TEST_CASE("segments made under another size keep theirs") {
    TemporaryFolder run;
    write_journal(small_settings(run.path(), 8192), 100, 10);
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path(), 16384)));
    require_ok(writer.append(make_records(101, 300)));
    require_ok(writer.close());
    CHECK(count_records(run.path()) == 400);
    CHECK(std::filesystem::file_size(segment_path(run.path(), 1)) == 8192);
}

TEST_CASE("a record out of place is refused and nothing is written after it") {
    TemporaryFolder run;
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path())));
    CHECK(writer.append(make_records(2, 1)).status == Status::kJournalCorrupt);
    CHECK(writer.append(make_records(1, 1)).status == Status::kJournalCorrupt);
    CHECK(writer.sync().status == Status::kJournalCorrupt);
    CHECK(count_records(run.path()) == 0);
}

TEST_CASE("a segment size that cannot be is refused with its value") {
    TemporaryFolder run;
    for (const std::uint64_t bytes : {0ULL, 4096ULL, 8193ULL, 8ULL << 30}) {
        SegmentWriter writer;
        const Failure failure = writer.open(small_settings(run.path(), bytes));
        CHECK(failure.status == Status::kBadArgument);
        CHECK(failure.text.find(std::to_string(bytes)) != std::string::npos);
    }
}

TEST_CASE("a torn tail is cut on opening and the journal goes on after it") {
    TemporaryFolder run;
    write_journal(small_settings(run.path()), 20, 5);
    const std::string path = segment_path(run.path(), 1);
    auto bytes = read_bytes(path);
    // 20 records and 4 chain records: slots 1 to 24. A record was half written after them.
    const Slot next = make_record(21);
    std::memcpy(&bytes[25 * sizeof(Slot)], &next, 100);
    bytes[26 * sizeof(Slot) + 3] = 0x55;
    write_bytes(path, bytes);
    CHECK(count_records(run.path()) == 20);
    {
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run.path())));
        CHECK(writer.torn_bytes() == 2 * sizeof(Slot));
        CHECK(writer.last_sequence() == 20);
        const auto cut = read_bytes(path);
        CHECK(std::all_of(cut.begin() + 25 * sizeof(Slot), cut.end(),
                          [](auto byte) { return byte == 0; }));
        require_ok(writer.append(make_records(21, 3)));
        require_ok(writer.close());
    }
    CHECK(count_records(run.path()) == 23);
}

TEST_CASE("a torn record that the anchor knows is a loss, not a torn tail") {
    TemporaryFolder run;
    write_journal(small_settings(run.path()), 20, 5);
    const std::string path = segment_path(run.path(), 1);
    auto bytes = read_bytes(path);
    bytes[24 * sizeof(Slot) + 50] ^= 1;  // the last chain record
    bytes[23 * sizeof(Slot) + 50] ^= 1;  // and the record before it
    write_bytes(path, bytes);
    SegmentWriter writer;
    const Failure failure = writer.open(small_settings(run.path()));
    CHECK(failure.status == Status::kJournalCorrupt);
    CHECK(failure.text.find("record 20") != std::string::npos);
    CHECK(read_bytes(path) == bytes);
}

TEST_CASE("an invalid record with a whole one after it refuses with segment, block and record") {
    TemporaryFolder run;
    write_journal(small_settings(run.path()), 20, 5);
    const std::string path = segment_path(run.path(), 1);
    auto bytes = read_bytes(path);
    bytes[9 * sizeof(Slot) + 50] ^= 1;  // slots 1-6, 7-12: the third record of block 2
    write_bytes(path, bytes);
    const std::string place = segment_name(1) + ", block 2, record 3";
    SegmentWriter writer;
    Failure failure = writer.open(small_settings(run.path()));
    CHECK(failure.status == Status::kJournalCorrupt);
    CHECK(failure.text.find(place) != std::string::npos);
    JournalReader reader;
    require_ok(reader.open(journal_folder(run.path())));
    Slot slot;
    std::uint64_t count = 0;
    while (reader.next(slot)) ++count;
    CHECK(count == 5);  // the block before it
    CHECK(reader.failure().status == Status::kJournalCorrupt);
    CHECK(reader.failure().text.find(place) != std::string::npos);
}

TEST_CASE("a journal without its anchor, or of another one, is refused") {
    TemporaryFolder run;
    TemporaryFolder other;
    write_journal(small_settings(run.path()), 20, 5);
    SegmentWriter writer;
    SUBCASE("missing") {
        std::filesystem::remove(anchor_path(run.path()));
        CHECK(writer.open(small_settings(run.path())).status == Status::kJournalCorrupt);
    }
    SUBCASE("both copies spoiled") {
        auto bytes = read_bytes(anchor_path(run.path()));
        bytes[20] ^= 1;
        bytes[kAnchorCopyStride + 20] ^= 1;
        write_bytes(anchor_path(run.path()), bytes);
        CHECK(writer.open(small_settings(run.path())).status == Status::kJournalCorrupt);
    }
    SUBCASE("of another journal") {
        SegmentSettings settings = small_settings(other.path());
        settings.journal_id = 8;
        write_journal(settings, 20, 5);
        std::filesystem::copy_file(anchor_path(other.path()), anchor_path(run.path()),
                                   std::filesystem::copy_options::overwrite_existing);
        CHECK(writer.open(small_settings(run.path())).status == Status::kJournalForeign);
    }
    SUBCASE("all segments removed") {
        std::filesystem::remove_all(journal_folder(run.path()));
        CHECK(writer.open(small_settings(run.path())).status == Status::kJournalCorrupt);
    }
}

TEST_CASE("one spoiled copy of the anchor is survived") {
    for (const std::size_t copy : {std::size_t{0}, kAnchorCopyStride}) {
        TemporaryFolder run;
        write_journal(small_settings(run.path()), 20, 5);
        auto bytes = read_bytes(anchor_path(run.path()));
        bytes[copy + 20] ^= 1;
        write_bytes(anchor_path(run.path()), bytes);
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run.path())));
        require_ok(writer.append(make_records(21, 1)));
        require_ok(writer.close());
        CHECK(count_records(run.path()) == 21);
    }
}

// Computed by an independent program (Python: struct, hashlib, a bitwise CRC-32C) from the layouts
// of wire/record.hpp and journal/segment_format.hpp. A change of these bytes is a new schema, or a
// new flag in the header and a golden segment of its own, as that of the marks of syncs.
TEST_CASE("a segment with a synced and a later block has the golden bytes of schema 1 with marks") {
    TemporaryFolder run;
    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path())));
    require_ok(writer.append(make_records(1, 3)));
    require_ok(writer.sync());
    require_ok(writer.append(make_records(4, 2)));
    require_ok(writer.close());
    const auto bytes = read_bytes(segment_path(run.path(), 1));
    CHECK(hex_of(bytes, 0, 128) ==
          "474d305301008000002000000000000007000000000000000100000000000000"
          "0100000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000010000000000000000000000000000000000000000000000"
          "00000000000000000000000000000000000000000000000000000000eac488ec");
    CHECK(hex_of(bytes, 7 * sizeof(Slot), 128) ==
          "474d303101006400010006000000000002000000000000000000000000000000"
          "000000000000000002d7488cacbb73b4bbcdad7616f289fb79a88a416447474a"
          "369ca3a7447485f9040000000000000005000000000000000200000000000000"
          "030000000000000000000000000000000500000000000000f6a9f69a05000000");
    CHECK(to_hex(sha256(bytes.data(), bytes.size())) ==
          "03f20ddc0b75c0b9fa2fbaf545eb1e8fd09ec32c865c455103b75eede81bce38");
}

TEST_CASE("a segment with three records has the golden bytes of schema 1, and is gone on with") {
    TemporaryFolder run;
    SegmentWriter before;
    before.copy_marks({false, 0});
    require_ok(before.open(small_settings(run.path())));
    require_ok(before.append(make_records(1, 3)));
    require_ok(before.close());
    const std::string path = segment_path(run.path(), 1);
    auto bytes = read_bytes(path);
    CHECK(hex_of(bytes, 0, 128) ==
          "474d305301008000002000000000000007000000000000000100000000000000"
          "0100000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000000000000000000000000000000000000000000000000000"
          "000000000000000000000000000000000000000000000000000000004030e648");
    CHECK(hex_of(bytes, 128, 128) ==
          "474d3031010003000100010000000000010000000000000001ca9a3b00000000"
          "01ca9a3b00000000e90300000000000002000000000000000300000000000000"
          "0000000000000000000000000000000000000000000000000000000000000000"
          "000000000000000001000000000000000100000000000000bc22ae5401000000");
    CHECK(hex_of(bytes, 512, 128) ==
          "474d303101006400010006000000000001000000000000000000000000000000"
          "00000000000000001873719c72c5357e9c708a9627a118be299667e4dae34f05"
          "edd24c0e8677d138010000000000000003000000000000000100000000000000"
          "00000000000000000000000000000000030000000000000043e7217503000000");
    CHECK(to_hex(sha256(bytes.data(), bytes.size())) ==
          "6dcbd4f86992166e550f27a702f30ccde674446ef058e6132b84a1dfa3b27850");

    SegmentWriter writer;
    require_ok(writer.open(small_settings(run.path())));
    require_ok(writer.append(make_records(4, 100)));  // into the next segment, which has marks
    require_ok(writer.close());
    CHECK(count_records(run.path()) == 103);
    SegmentHeader header{};
    const auto next = read_bytes(segment_path(run.path(), 62));
    std::memcpy(static_cast<void*>(&header), next.data(), sizeof header);
    CHECK(header.has_synced_marks == 1);
}

// Of an old segment nobody knows how far it was synced: what is missing in it was damaged.
TEST_CASE("what was not synced may be missing before what is there, unless the segment is old") {
    for (const bool has_marks : {true, false}) {
        CAPTURE(has_marks);
        TemporaryFolder run;
        {
            SegmentWriter writer;
            if (!has_marks) writer.copy_marks({false, 0});
            require_ok(writer.open(small_settings(run.path())));
            require_ok(writer.append(make_records(1, 10)));
            require_ok(writer.sync());
            require_ok(writer.append(make_records(11, 10)));
            require_ok(writer.seal_block());  // and never synced
        }
        const std::string path = segment_path(run.path(), 1);
        auto bytes = read_bytes(path);
        // The header, 10 records, their chain record, and of the next ten the third to the fifth.
        std::fill_n(bytes.begin() + 14 * sizeof(Slot), 3 * sizeof(Slot), std::uint8_t{0});
        write_bytes(path, bytes);
        SegmentWriter writer;
        const Failure failure = writer.open(small_settings(run.path()));
        if (!has_marks) {
            CHECK(failure.status == Status::kJournalCorrupt);
            CHECK(failure.text.find("block 2, record 3 and 2 after it") != std::string::npos);
            continue;
        }
        require_ok(failure);
        CHECK(writer.last_sequence() == 12);
        CHECK(writer.torn_bytes() == 9 * sizeof(Slot));
        require_ok(writer.append(make_records(13, 1)));
        require_ok(writer.close());
        CHECK(count_records(run.path()) == 13);
    }
}

TEST_CASE("a chain record that is missing behind its synced records was damaged") {
    TemporaryFolder run;
    {
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run.path())));
        require_ok(writer.append(make_records(1, 10)));
        require_ok(writer.sync());
        require_ok(writer.append(make_records(11, 2)));
    }
    const std::string path = segment_path(run.path(), 1);
    auto bytes = read_bytes(path);
    std::size_t slot = 11;  // the chain record
    SUBCASE("the chain record") {}
    SUBCASE("the record behind it") {
        slot = 12;
    }
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(slot * sizeof(Slot)), sizeof(Slot),
                std::uint8_t{0});
    write_bytes(path, bytes);
    SegmentWriter writer;
    const Failure failure = writer.open(small_settings(run.path()));
    CHECK(failure.is_ok() == (slot == 12));
}
