// Snapshots of the engine in a run directory: snapshots/snapshot.<journal sequence, 20 digits>.
//
// A header of 256 bytes, then what Engine::save() wrote. A file is written whole or not at all, and
// only once the journal is on the disk up to its sequence, so it is never ahead of the journal. It
// is of one build, one settings block and one journal; another's goes once there are three of ours.
// What it says is believed as the journal is: neither has a key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/journal/segment_format.hpp"

namespace gm {

inline constexpr std::uint32_t kSnapshotMagic = 0x4e534d47;  // "GMSN" in memory order
inline constexpr std::size_t kSnapshotsKept = 3;

struct SnapshotHeader {
    std::uint32_t magic;
    std::uint32_t schema;
    std::uint64_t journal_id;
    std::uint64_t sequence;     // the journal's record that it stands behind
    std::uint64_t io_sequence;  // of the last record that io had made
    std::uint32_t epoch;
    std::uint32_t has_ended;
    std::uint64_t state_bytes;
    ChainPlace begin;            // where reading begins: at or before the record
    std::uint64_t sealed_block;  // the block that holds the record, or a later one, and its digest:
    std::uint8_t sealed_digest[32];  // the journal is still the one that it stands behind
    std::uint8_t build_sha256[32];
    std::uint8_t settings_sha256[32];
    std::uint8_t state_sha256[32];
    std::uint8_t reserved[4];
    std::uint32_t crc32c;  // over the 252 bytes before it
};
static_assert(sizeof(SnapshotHeader) == 256 && offsetof(SnapshotHeader, sealed_block) == 112);

[[nodiscard]] std::string snapshot_folder(const std::string& run_dir);
[[nodiscard]] std::string snapshot_path(const std::string& run_dir, std::uint64_t sequence);
// Newest first. A folder that is not there holds none.
[[nodiscard]] std::vector<std::string> list_snapshots(const std::string& run_dir);

// Cold. `file`: room for the header, then the state; the header's magic, schema, sizes and checks
// are filled in here. Durable on return, and of its kind all but the newest kSnapshotsKept are
// gone; if asked for, the first in each segment of the journal stays too.
Failure write_snapshot_file(const std::string& run_dir, SnapshotHeader header,
                            std::span<std::uint8_t> file, bool keeps_one_a_segment = false);

// Cold. The file whole and undamaged: the state lies behind the header. kBadArgument says what is
// wrong with it.
Failure read_snapshot_file(const std::string& path, SnapshotHeader& header,
                           std::vector<std::uint8_t>& file);

}  // namespace gm
