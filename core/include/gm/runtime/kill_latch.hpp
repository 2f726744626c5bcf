// <run directory>/latch.a and latch.b: the levels of the kill switch, which survive power, restart
// and upgrade.
//
// Two copies of one record of 512 bytes, written in place, a before b, each synced before the next.
// So b is never ahead of a, and a may be ahead of b by one: a that can be read is the newest. What
// leaves doubt - a unreadable, b without a, two records of one number that differ, numbers further
// apart - is judged as KILLED. Where both can be read and differ, the higher level of each word
// counts: a fall that was not written twice has not happened.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/runtime/kill_words.hpp"

namespace gm {

inline constexpr std::uint32_t kLatchMagic = 0x4c304d47;  // "GM0L" in memory order
inline constexpr std::uint32_t kLatchSchema = 1;
inline constexpr std::size_t kLatchSize = 512;

struct KillRecord {
    std::uint32_t magic = kLatchMagic;
    std::uint32_t schema = kLatchSchema;
    std::uint64_t sequence = 0;               // of this record; each write has the next
    std::array<std::uint8_t, 16> latch_id{};  // random, of the raise from ACTIVE; zero: none
    std::int64_t raised_wall_ns = 0;          // of the last raise
    std::int64_t written_wall_ns = 0;
    std::uint32_t installation = 0;
    KillCause cause = KillCause::kNone;  // of the last change
    std::uint8_t reserved_byte = 0;
    std::uint16_t reserved_word = 0;
    KillText text{};                                    // of the last raise
    std::array<std::uint8_t, 32> signatures_sha256{};   // of the last fall
    std::array<std::uint8_t, kKillWords / 4> levels{};  // two bits a word, lowest first
    std::array<std::uint8_t, 28> reserved{};
    std::uint32_t crc32c = 0;  // over all before it

    [[nodiscard]] KillLevel level_of(std::size_t word) const noexcept {
        return static_cast<KillLevel>(levels[word / 4] >> (word % 4 * 2) & 3U);
    }
    void set_level(std::size_t word, KillLevel level) noexcept {
        const auto shift = static_cast<unsigned>(word % 4 * 2);
        const unsigned others = levels[word / 4] & ~(3U << shift);
        levels[word / 4] =
            static_cast<std::uint8_t>(others | static_cast<unsigned>(level) << shift);
    }
    // The highest of its words.
    [[nodiscard]] KillLevel level() const noexcept;
};
static_assert(sizeof(KillRecord) == kLatchSize && offsetof(KillRecord, levels) == 224);
static_assert(std::is_trivially_copyable_v<KillRecord>);

using LatchBytes = std::array<std::uint8_t, kLatchSize>;
// What lies in the place of a copy: nothing, or bytes; those of another size count as damaged.
struct LatchCopy {
    bool is_there = false;
    bool is_whole = false;  // exactly kLatchSize bytes
    LatchBytes bytes{};
};
struct LatchReading {
    KillRecord record;        // as judged
    std::string doubt;        // why it was judged as KILLED; empty: no doubt
    bool is_there = false;    // at least one copy
    bool is_in_step = false;  // both copies hold this record
};

[[nodiscard]] LatchBytes encode_latch(KillRecord record) noexcept;
[[nodiscard]] std::optional<KillRecord> decode_latch(std::span<const std::uint8_t> bytes) noexcept;
[[nodiscard]] LatchReading judge_latch(const LatchCopy& a, const LatchCopy& b);

// Cold. What the run directory holds. Takes no lock: a running engine may write meanwhile, and then
// the answer is one of the two records or a doubt.
Failure read_latch(const std::string& run_dir, LatchReading& out);
// Cold, under the run lock. Both copies, each synced; the folder too where a copy is new. The
// record's number and checksum are set here.
Failure write_latch(const std::string& run_dir, KillRecord& record);

// 128 random bits of the kernel.
Failure draw_latch_id(std::array<std::uint8_t, 16>& out);

}  // namespace gm
