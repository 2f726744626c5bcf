#include "gm/runtime/kill_latch.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "gm/base/crc32c.hpp"
#include "gm/journal/journal_file.hpp"

namespace gm {
namespace {

constexpr const char* kNames[] = {"latch.a", "latch.b"};

std::string path_of(const std::string& run_dir, std::size_t copy) {
    return run_dir + "/" + kNames[copy];
}

Failure write_copy(const std::string& run_dir, std::size_t copy, const LatchBytes& bytes) {
    const std::string path = path_of(run_dir, copy);
    const bool is_new = ::access(path.c_str(), F_OK) != 0;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return system_failure("open", path, errno);
    const bool is_written =
        ::pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
        ftruncate(file, static_cast<off_t>(bytes.size())) == 0 && fdatasync(file) == 0;
    const int error = errno;
    ::close(file);
    if (!is_written) return system_failure("write", path, error);
    return is_new ? sync_folder_of(path) : ok();
}

Failure read_copy(const std::string& path, LatchCopy& out) {
    out = {};
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 && errno == ENOENT) return ok();
    out.is_there = true;  // also one that cannot be opened: damaged, not absent
    if (file < 0) return ok();
    std::array<std::uint8_t, kLatchSize + 1> bytes{};
    std::size_t got = 0;
    while (got < bytes.size()) {  // bounded: each read brings something or ends
        const ssize_t count = ::read(file, bytes.data() + got, bytes.size() - got);
        if (count <= 0) break;
        got += static_cast<std::size_t>(count);
    }
    ::close(file);
    out.is_whole = got == kLatchSize;
    std::copy_n(bytes.begin(), kLatchSize, out.bytes.begin());
    return ok();
}

LatchReading doubtful(KillRecord record, std::string doubt) {
    record.set_level(0, KillLevel::kKilled);
    record.cause = KillCause::kLatchDoubt;
    LatchReading reading;
    reading.record = record;
    reading.doubt = std::move(doubt);
    reading.is_there = true;
    return reading;
}

std::optional<KillRecord> decode_copy(const LatchCopy& copy) noexcept {
    return copy.is_whole ? decode_latch(copy.bytes) : std::nullopt;
}

}  // namespace

KillLevel KillRecord::level() const noexcept {
    auto highest = KillLevel::kActive;
    for (std::size_t i = 0; i < kKillWords; ++i) highest = std::max(highest, level_of(i));
    return highest;
}

LatchBytes encode_latch(KillRecord record) noexcept {
    record.crc32c = crc32c(&record, offsetof(KillRecord, crc32c));
    LatchBytes bytes;
    std::memcpy(bytes.data(), &record, sizeof record);
    return bytes;
}

std::optional<KillRecord> decode_latch(std::span<const std::uint8_t> bytes) noexcept {
    if (bytes.size() != kLatchSize) return std::nullopt;
    KillRecord record;
    std::memcpy(&record, bytes.data(), sizeof record);
    const bool is_sound = record.magic == kLatchMagic && record.schema == kLatchSchema &&
                          record.crc32c == crc32c(&record, offsetof(KillRecord, crc32c)) &&
                          record.sequence > 0;
    if (!is_sound) return std::nullopt;
    return record;
}

LatchReading judge_latch(const LatchCopy& a, const LatchCopy& b) {
    if (!a.is_there && !b.is_there) return {};
    const std::optional<KillRecord> first = decode_copy(a);
    const std::optional<KillRecord> second = decode_copy(b);
    if (!first) {
        const char* what =
            a.is_there ? "latch.a is unreadable" : "latch.b is there without latch.a";
        return doubtful(second.value_or(KillRecord{}), what);
    }
    LatchReading reading;
    reading.record = *first;
    reading.is_there = true;
    if (!b.is_there && first->sequence > 1) {
        return doubtful(*first,
                        "latch.b is gone: latch.a is record " + std::to_string(first->sequence));
    }
    if (!second) return reading;  // damaged, or not written yet: it was never ahead of a
    const bool is_same = a.bytes == b.bytes;
    if (first->sequence != second->sequence + (is_same ? 0 : 1)) {
        return doubtful(*first, "latch.a is record " + std::to_string(first->sequence) +
                                    ", latch.b another of number " +
                                    std::to_string(second->sequence));
    }
    reading.is_in_step = is_same;
    for (std::size_t i = 0; i < kKillWords; ++i) {
        reading.record.set_level(i, std::max(first->level_of(i), second->level_of(i)));
    }
    // A fall to ACTIVE that stands in one copy alone: the latch that it ended is not ended.
    if (reading.record.level() > first->level()) reading.record.latch_id = second->latch_id;
    return reading;
}

Failure read_latch(const std::string& run_dir, LatchReading& out) {
    LatchCopy a;
    LatchCopy b;
    Failure failure = read_copy(path_of(run_dir, 0), a);
    if (failure.is_ok()) failure = read_copy(path_of(run_dir, 1), b);
    if (failure.is_ok()) out = judge_latch(a, b);
    return failure;
}

Failure write_latch(const std::string& run_dir, KillRecord& record) {
    ++record.sequence;
    const LatchBytes bytes = encode_latch(record);
    std::memcpy(&record, bytes.data(), sizeof record);
    for (std::size_t copy = 0; copy < std::size(kNames); ++copy) {
        if (Failure failure = write_copy(run_dir, copy, bytes); !failure.is_ok()) return failure;
    }
    return ok();
}

Failure draw_latch_id(std::array<std::uint8_t, 16>& out) {
    if (getrandom(out.data(), out.size(), 0) == static_cast<ssize_t>(out.size())) return ok();
    return system_failure("draw", "a latch id", errno);
}

}  // namespace gm
