// Folders, records and files for the journal's tests.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "gm/journal/journal_reader.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/journal/segments.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm::testing {

class TemporaryFolder {
 public:
    // In memory: thousands of syncs must not wait for a disk.
    explicit TemporaryFolder(const char* base = "/dev/shm") {
        path_ = std::string(base) + "/gm-journal-XXXXXX";
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
    }
    ~TemporaryFolder() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const {
        return path_ + "/" + name;
    }

 private:
    std::string path_;
};

// A trade whose every field follows from its sequence, as the engine would hand it over.
inline Slot make_record(std::uint64_t sequence) {
    Trade trade{};
    trade.price_ticks = static_cast<std::int64_t>(1000 + sequence % 97);
    trade.quantity_lots = static_cast<std::int64_t>(1 + sequence % 5);
    trade.instrument = 3;
    Slot slot = make_slot(RecordType::kTrade, Source::kVenueFeed, sequence,
                          1'000'000'000 + static_cast<std::int64_t>(sequence), trade);
    slot.trailer.input_sequence = sequence;
    slot.trailer.journal_sequence = sequence;
    slot.trailer.commit = commit_word(sequence);
    return slot;
}

inline std::vector<Slot> make_records(std::uint64_t first, std::uint64_t count) {
    std::vector<Slot> records;
    for (std::uint64_t i = 0; i < count; ++i) records.push_back(make_record(first + i));
    return records;
}

inline void require_ok(const Failure& failure) {
    INFO(failure.text);
    REQUIRE(failure.is_ok());
}

inline SegmentSettings small_settings(const std::string& run_directory,
                                      std::uint64_t segment_bytes = 8192) {
    return {run_directory, segment_bytes, 7, {}};
}

// Blocks of `block_records` records, synced and closed.
inline void write_journal(const SegmentSettings& settings, std::uint64_t records,
                          std::uint64_t block_records) {
    SegmentWriter writer;
    require_ok(writer.open(settings));
    for (std::uint64_t done = 0; done < records;) {
        const std::uint64_t count = std::min(block_records, records - done);
        require_ok(writer.append(make_records(writer.last_sequence() + 1, count)));
        require_ok(writer.seal_block());
        done += count;
    }
    require_ok(writer.close());
}

// Reads all; each record must be the one that make_record makes. Returns how many.
inline std::uint64_t count_records(const std::string& run_directory) {
    JournalReader reader;
    require_ok(reader.open(journal_folder(run_directory)));
    Slot slot;
    std::uint64_t count = 0;
    while (reader.next(slot)) {
        count += 1;
        Slot expected = make_record(count);
        expected.trailer.crc32c = slot_crc(expected);
        REQUIRE(std::memcmp(&slot, &expected, sizeof slot) == 0);
    }
    require_ok(reader.failure());
    CHECK(reader.end().last_sequence == count);
    return count;
}

inline std::vector<std::uint8_t> read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& path, const std::vector<std::uint8_t>& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    REQUIRE(file.good());
}

inline std::string segment_path(const std::string& run_directory, std::uint64_t first_sequence) {
    return journal_folder(run_directory) + "/" + segment_name(first_sequence);
}

}  // namespace gm::testing
