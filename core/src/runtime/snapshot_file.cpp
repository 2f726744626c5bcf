#include "gm/runtime/snapshot_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string_view>
#include <system_error>

#include "gm/base/crc32c.hpp"
#include "gm/base/sha256.hpp"
#include "gm/journal/journal_file.hpp"
#include "gm/runtime/durable_file.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/wire/record.hpp"

namespace gm {
namespace {

constexpr std::string_view kNamePrefix = "snapshot.";
constexpr std::size_t kNameDigits = 20;

bool is_snapshot_name(std::string_view name) {
    if (name.size() != kNamePrefix.size() + kNameDigits || !name.starts_with(kNamePrefix)) {
        return false;
    }
    return std::ranges::all_of(name.substr(kNamePrefix.size()),
                               [](char c) { return c >= '0' && c <= '9'; });
}

std::uint64_t sequence_of(const std::string& path) {
    return std::strtoull(path.c_str() + path.size() - kNameDigits, nullptr, 10);
}

std::uint32_t crc_of(const SnapshotHeader& header) noexcept {
    return crc32c(&header, offsetof(SnapshotHeader, crc32c));
}

Failure refuse(const std::string& path, const std::string& why) {
    return fail(Status::kBadArgument, path + ": " + why);
}

// A snapshot that whoever wrote `own` could start from.
bool is_like(const std::string& path, const SnapshotHeader& own) {
    SnapshotHeader found{};
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(&found), sizeof found);
    return file.gcount() == sizeof found && found.magic == own.magic &&
           found.schema == own.schema && found.journal_id == own.journal_id &&
           std::ranges::equal(found.build_sha256, own.build_sha256) &&
           std::ranges::equal(found.settings_sha256, own.settings_sha256);
}

// All but the newest of this build, settings and journal, and drafts that a death left behind. What
// others have left does not count among them, be its number higher, and goes once there are enough.
void remove_old(const std::string& run_dir, const SnapshotHeader& own, bool keeps_one_a_segment) {
    std::error_code error;
    std::vector<std::string> ours;
    std::vector<std::string> foreign;
    for (const std::string& path : list_snapshots(run_dir)) {  // newest first
        (is_like(path, own) ? ours : foreign).push_back(path);
    }
    std::vector<SegmentFile> segments;
    // Unlisted, they keep all: what goes does not come back.
    if (keeps_one_a_segment && !list_segments(journal_folder(run_dir), segments).is_ok()) return;
    std::size_t at = 0;       // segments that begin at or before the snapshot
    std::size_t kept_at = 0;  // of the last one that was kept
    for (std::size_t i = ours.size(); i > kSnapshotsKept; --i) {  // oldest first
        const std::uint64_t sequence = sequence_of(ours[i - 1]);
        while (at < segments.size() && segments[at].first_sequence <= sequence) at += 1;
        if (at == kept_at) std::filesystem::remove(ours[i - 1], error);
        kept_at = at;
    }
    if (ours.size() >= kSnapshotsKept) {
        for (const std::string& path : foreign) std::filesystem::remove(path, error);
    }
    std::filesystem::directory_iterator files(snapshot_folder(run_dir), error);
    for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
        std::error_code ignored;
        if (files->path().extension() == ".new") std::filesystem::remove(files->path(), ignored);
    }
}

}  // namespace

std::string snapshot_folder(const std::string& run_dir) {
    return run_dir + "/snapshots";
}

std::string snapshot_path(const std::string& run_dir, std::uint64_t sequence) {
    const std::string digits = std::to_string(sequence);
    return snapshot_folder(run_dir) + "/" + std::string(kNamePrefix) +
           std::string(kNameDigits - digits.size(), '0') + digits;
}

std::vector<std::string> list_snapshots(const std::string& run_dir) {
    std::vector<std::string> found;
    std::error_code error;
    std::filesystem::directory_iterator files(snapshot_folder(run_dir), error);
    for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
        if (is_snapshot_name(files->path().filename().string())) {
            found.push_back(files->path().string());
        }
    }
    std::ranges::sort(found, std::greater<>());
    return found;
}

Failure write_snapshot_file(const std::string& run_dir, SnapshotHeader header,
                            std::span<std::uint8_t> file, bool keeps_one_a_segment) {
    const std::span<const std::uint8_t> state = file.subspan(sizeof header);
    header.magic = kSnapshotMagic;
    header.schema = kSchema;
    header.state_bytes = state.size();
    const Sha256Digest digest = sha256(state.data(), state.size());
    std::memcpy(header.state_sha256, digest.data(), digest.size());
    header.crc32c = crc_of(header);
    std::memcpy(file.data(), &header, sizeof header);
    Failure failure = make_folder(snapshot_folder(run_dir));
    if (failure.is_ok()) failure = write_durably(snapshot_path(run_dir, header.sequence), file);
    if (failure.is_ok()) remove_old(run_dir, header, keeps_one_a_segment);
    return failure;
}

Failure read_snapshot_file(const std::string& path, SnapshotHeader& header,
                           std::vector<std::uint8_t>& file) {
    if (Failure failure = read_file(path, file); !failure.is_ok()) return failure;
    if (file.size() < sizeof header) {
        return refuse(path, "ends after " + std::to_string(file.size()) + " bytes");
    }
    std::memcpy(&header, file.data(), sizeof header);
    if (header.magic != kSnapshotMagic || header.crc32c != crc_of(header)) {
        return refuse(path, "its header fails its checksum");
    }
    if (header.schema != kSchema) {
        return refuse(path, "is of schema " + std::to_string(header.schema) + ", not " +
                                std::to_string(kSchema));
    }
    const std::span<const std::uint8_t> state = std::span(file).subspan(sizeof header);
    if (header.state_bytes != state.size()) {
        return refuse(path, "holds " + std::to_string(state.size()) + " bytes of state, not " +
                                std::to_string(header.state_bytes));
    }
#ifdef GM_MUTANT_P12S  // believes what the disk has made of it
    return ok();
#endif
    const Sha256Digest digest = sha256(state.data(), state.size());
    if (std::memcmp(digest.data(), header.state_sha256, digest.size()) != 0) {
        return refuse(path, "does not have the SHA-256 of its header");
    }
    return ok();
}

}  // namespace gm
