// The head of the block chain, kept outside the journal folder, so that a tail cut off is evident.
//
// Two copies, each with a checksum, written in turn: a torn write spoils at most one of them. An
// anchor is written only after the records it speaks of were synced, so neither a kill nor a power
// loss leaves it ahead of the journal; a journal that ends before its anchor was cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/journal/journal_file.hpp"

namespace gm {

struct AnchorRecord {
    std::uint32_t magic;
    std::uint16_t schema;
    std::uint16_t reserved_first;
    std::uint64_t generation;  // the larger one is valid
    std::uint64_t journal_id;
    std::uint64_t last_sequence;  // of the last sealed block
    std::uint64_t blocks;         // sealed since the journal began
    std::uint8_t head_digest[32];
    std::uint8_t reserved[52];
    std::uint32_t crc32c;  // over the 124 bytes before it
};
static_assert(sizeof(AnchorRecord) == 128);
static_assert(offsetof(AnchorRecord, head_digest) == 40);

inline constexpr std::size_t kAnchorCopyStride = 4096;  // the copies share no sector and no page

class JournalAnchor {
 public:
    // A new anchor of an empty journal; durable on return.
    Failure create(const std::string& path, std::uint64_t journal_id, FileHook hook);
    // The newest whole copy. kJournalCorrupt when the file is there and no copy is whole.
    Failure open(const std::string& path, FileHook hook);
    // For verification: reads without opening for writing.
    static Failure read(const std::string& path, AnchorRecord& newest);

    Failure move_to(std::uint64_t last_sequence, std::uint64_t blocks, const Sha256Digest& head);
    Failure sync() { return file_.sync(); }

    [[nodiscard]] const AnchorRecord& record() const noexcept { return newest_; }

 private:
    Failure write_copy();

    JournalFile file_;
    AnchorRecord newest_{};
};

}  // namespace gm
