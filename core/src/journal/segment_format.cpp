// Checks of one slot and one header, and the names of files.
#include "gm/journal/segment_format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "gm/base/crc32c.hpp"
#include "gm/journal/journal_file.hpp"

namespace gm {

namespace {

constexpr std::string_view kNameSuffix = ".gmj";
constexpr std::size_t kNameDigits = 20;

bool parse_segment_name(std::string_view name, std::string_view prefix,
                        std::uint64_t& first_sequence) {
    if (name.size() != prefix.size() + kNameDigits + kNameSuffix.size()) return false;
    if (!name.starts_with(prefix) || !name.ends_with(kNameSuffix)) return false;
    const std::string_view digits = name.substr(prefix.size(), kNameDigits);
    if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return false;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), first_sequence);
    return error == std::errc{};
}

}  // namespace

std::uint32_t slot_crc(const Slot& slot) noexcept {
    return crc32c(&slot, offsetof(Slot, trailer) + offsetof(SlotTrailer, crc32c));
}

bool is_whole(const Slot& slot) noexcept {
    return is_committed(slot) && slot.trailer.crc32c == slot_crc(slot);
}

bool is_empty(const Slot& slot) noexcept {
    std::array<std::uint64_t, sizeof(Slot) / sizeof(std::uint64_t)> words;
    std::memcpy(words.data(), &slot, sizeof slot);
    std::uint64_t any = 0;
    for (const std::uint64_t word : words) any |= word;
    return any == 0;
}

std::size_t count_in_order(std::span<const std::byte> slots, std::uint64_t next_sequence) noexcept {
    const std::size_t count = slots.size() / sizeof(Slot);
    for (std::size_t i = 0; i < count; ++i) {
        Slot slot;
        std::memcpy(static_cast<void*>(&slot), slots.data() + i * sizeof slot, sizeof slot);
        const bool is_chain = slot.type() == RecordType::kBlockDigest;
        const std::uint64_t expected = is_chain ? next_sequence - 1 : next_sequence;
        if (slot.trailer.journal_sequence != expected || !is_whole(slot)) return i;
        if (!is_chain) next_sequence += 1;
    }
    return count;
}

Slot make_chain_record(const BlockDigest& payload) noexcept {
    Slot slot = make_slot(RecordType::kBlockDigest, Source::kJournal, payload.block, 0, payload);
    slot.trailer.journal_sequence = payload.last_journal_sequence;  // it takes no number itself
    slot.trailer.crc32c = slot_crc(slot);
    slot.trailer.commit = commit_word(slot.trailer.journal_sequence);
    return slot;
}

SegmentHeader make_segment_header(std::uint64_t segment_bytes, std::uint64_t journal_id,
                                  std::uint64_t first_sequence, std::uint64_t first_block,
                                  const Sha256Digest& previous_digest,
                                  bool has_synced_marks) noexcept {
    SegmentHeader header{};
    header.magic = kSegmentMagic;
    header.schema = kSchema;
    header.slot_bytes = sizeof(Slot);
    header.segment_bytes = segment_bytes;
    header.journal_id = journal_id;
    header.first_sequence = first_sequence;
    header.first_block = first_block;
    std::memcpy(header.previous_digest, previous_digest.data(), previous_digest.size());
    header.has_synced_marks = has_synced_marks ? 1 : 0;
    header.crc32c = crc32c(&header, offsetof(SegmentHeader, crc32c));
    return header;
}

bool is_whole(const SegmentHeader& header) noexcept {
    return header.magic == kSegmentMagic && header.schema == kSchema &&
           header.slot_bytes == sizeof(Slot) &&
           header.crc32c == crc32c(&header, offsetof(SegmentHeader, crc32c)) &&
           header.segment_bytes >= kSegmentBytesMin && header.segment_bytes <= kSegmentBytesMax &&
           header.segment_bytes % kSegmentBytesStep == 0 && header.has_synced_marks <= 1 &&
           std::ranges::all_of(header.reserved, [](auto byte) { return byte == 0; }) &&
           header.journal_id != 0 && header.first_sequence != 0 && header.first_block != 0;
}

std::string segment_name(std::uint64_t first_sequence) {
    std::string digits = std::to_string(first_sequence);
    digits.insert(0, kNameDigits - digits.size(), '0');
    return std::string(kSegmentPrefix) + digits + std::string(kNameSuffix);
}

Failure list_segments(const std::string& folder, std::vector<SegmentFile>& segments,
                      std::string_view prefix) {
    segments.clear();
    std::error_code error;
    std::filesystem::directory_iterator entry(folder, error);
    if (error) return system_failure("list", folder, error.value());
    const std::filesystem::directory_iterator end;
    while (entry != end) {  // bounded by the entries of the folder
        std::uint64_t first_sequence = 0;
        const std::string name = entry->path().filename().string();
        if (parse_segment_name(name, prefix, first_sequence)) {
            segments.push_back({first_sequence, entry->path().string()});
        }
        entry.increment(error);
        if (error) return system_failure("list", folder, error.value());
    }
    std::ranges::sort(segments, {}, &SegmentFile::first_sequence);
    return ok();
}

std::string journal_folder(std::string_view run_directory) {
    return std::string(run_directory) + "/journal";
}

std::string anchor_path(std::string_view run_directory) {
    return std::string(run_directory) + "/journal.anchor";
}

std::string to_hex(const Sha256Digest& digest) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : digest) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

}  // namespace gm
