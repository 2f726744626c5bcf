// Two copies in turn, each with its own checksum.
#include "gm/journal/anchor.hpp"

#include <cstring>
#include <span>

#include "gm/base/crc32c.hpp"
#include "gm/journal/segment_format.hpp"

namespace gm {

namespace {

std::uint32_t anchor_crc(const AnchorRecord& record) noexcept {
    return crc32c(&record, offsetof(AnchorRecord, crc32c));
}

bool is_whole_anchor(const AnchorRecord& record) noexcept {
    return record.magic == kAnchorMagic && record.schema == kSchema &&
           record.crc32c == anchor_crc(record) && record.journal_id != 0;
}

Failure read_newest(const JournalFile& file, AnchorRecord& newest) {
    newest = {};
    for (std::size_t copy = 0; copy < 2; ++copy) {
        AnchorRecord record{};
        std::size_t got = 0;
        Failure failure = file.read_at(copy * kAnchorCopyStride,
                                       std::as_writable_bytes(std::span(&record, 1)), got);
        if (!failure.is_ok()) return failure;
        const bool whole = got == sizeof record && is_whole_anchor(record);
        if (whole && record.generation >= newest.generation) newest = record;
    }
    if (newest.magic != kAnchorMagic) {
        return fail(Status::kJournalCorrupt, "no whole copy in the journal anchor " + file.path());
    }
    return ok();
}

}  // namespace

Failure JournalAnchor::write_copy() {
    newest_.crc32c = anchor_crc(newest_);
    return file_.write_at((newest_.generation & 1) * kAnchorCopyStride,
                          std::as_bytes(std::span(&newest_, 1)));
}

Failure JournalAnchor::create(const std::string& path, std::uint64_t journal_id, FileHook hook) {
    newest_ = {};
    newest_.magic = kAnchorMagic;
    newest_.schema = kSchema;
    newest_.journal_id = journal_id;
    Failure failure = file_.create(path + ".new", hook);
    for (int copy = 0; copy < 2 && failure.is_ok(); ++copy) {
        newest_.generation += 1;
        failure = write_copy();
    }
    if (failure.is_ok()) failure = file_.sync();
    if (failure.is_ok()) failure = file_.rename_to(path);
    return failure;
}

Failure JournalAnchor::open(const std::string& path, FileHook hook) {
    Failure failure = file_.open_to_write(path, hook);
    return failure.is_ok() ? read_newest(file_, newest_) : failure;
}

Failure JournalAnchor::read(const std::string& path, AnchorRecord& newest) {
    JournalFile file;
    Failure failure = file.open_to_read(path);
    return failure.is_ok() ? read_newest(file, newest) : failure;
}

Failure JournalAnchor::move_to(std::uint64_t last_sequence, std::uint64_t blocks,
                               const Sha256Digest& head) {
    newest_.generation += 1;
    newest_.last_sequence = last_sequence;
    newest_.blocks = blocks;
    std::memcpy(newest_.head_digest, head.data(), head.size());
    return write_copy();
}

}  // namespace gm
