// The kill switch of a running engine: from a raised word to a latch on the disk, and back by two
// signatures.
//
// A raise goes word -> engine and journal -> latch, synced -> confirmed; the send reads the word,
// so nothing waits for the rest. A fall goes engine and journal -> latch, synced -> word: whatever
// dies on the way, the higher level is found at the next start. The io thread tells the engine, the
// journal thread writes the latch; they meet in one small struct behind a mutex, taken only when a
// level changes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/runtime/kill_latch.hpp"
#include "gm/runtime/kill_words.hpp"

namespace gm {

// One step down, as two people have signed it. Checked by the supervisor; here only whether it is
// about the latch that stands.
struct ClearOrder {
    std::array<std::uint8_t, 16> latch_id{};
    std::uint64_t sequence = 0;            // of the latch record that they saw
    KillLevel level = KillLevel::kKilled;  // that it falls to
    std::array<std::uint8_t, 32> signatures_sha256{};
};

// As long as two signatures may lie apart: what they saw is not for ever.
inline constexpr std::int64_t kFallWithinNs = std::int64_t{300} * 1'000'000'000;

class KillSwitch {
 public:
    // Cold, under the run lock. The words of the last life and the latch, whichever is higher.
    Failure open(const std::string& run_dir, const std::string& words_path, std::size_t instruments,
                 std::uint32_t installation);
    // Cold, under the run lock, no thread runs: words raised after the last latch are latched and
    // confirmed. Also how a raise without an engine is made to last.
    Failure finish();
    void close() noexcept { words_.close(); }
    [[nodiscard]] bool is_open() const noexcept { return words_.is_open(); }
    [[nodiscard]] KillWords& words() noexcept { return words_; }
    [[nodiscard]] const std::string& doubt() const noexcept { return doubt_; }

    // ---- io thread; before it starts, the thread that opens
    // After replay: what the engine has of itself counts too, and what it has already is not told.
    void meet(const Engine& engine) noexcept;
    // A word that the engine has not been told of. Ask, submit, then told().
    [[nodiscard]] bool next_change(Kill& out) noexcept;
    void told(const Kill& kill) noexcept;
    // The engine has raised a level by itself.
    void take_engine_raise(const KillState& state) noexcept;
    // One word of a fall that is to be told; false: none is left.
    [[nodiscard]] bool next_fall(Kill& out) noexcept;
    // Everything told is in the journal up to `position`; 0: the journal takes nothing any more.
    void latch_behind(std::uint64_t position) noexcept;
    // Lowers the words of a fall once the latch has it.
    void advance_fall() noexcept;
    // Something was told that the latch was not asked to hold yet.
    [[nodiscard]] bool is_changed() const noexcept { return is_changed_; }

    // ---- journal thread, and at a start beside it the thread that opens, which has to know that
    // it is done: they wait for each other. Writes the latch if what it shall hold is on the disk.
    Failure attend(std::uint64_t synced);

    // ---- another thread, one at a time. Why a fall is refused; empty: it is under way.
    [[nodiscard]] std::string order_fall(const ClearOrder& order);
    [[nodiscard]] bool is_falling() const noexcept {
        return is_falling_.load(std::memory_order_acquire);
    }
    [[nodiscard]] KillRecord latched() const;

 private:
    // What the latch shall hold. io writes, the journal thread reads.
    struct Target {
        KillRecord record;  // but for number and checksum
        std::array<std::uint64_t, kKillWords> generations{};
        std::uint64_t version = 0;   // grows with each change
        std::uint64_t position = 0;  // of the journal, that must be on the disk first
        bool is_due = false;         // position is set for this version
    };

    Failure begin_latch(KillRecord& record) const;
    void note_raise(std::size_t word, const KillWord& raised) noexcept;

    KillWords words_;
    std::string run_dir_;
    std::string doubt_;
    std::size_t words_used_ = 0;
    std::uint32_t installation_ = 0;

    // io thread.
    std::array<KillWord, kKillWords> told_{};
    std::array<bool, kKillWords> falls_{};  // told of a fall, the word still stands
    std::array<KillWord, kKillWords> falls_from_{};
    bool is_changed_ = false;  // target_ has what is not in the journal for sure
    std::size_t next_fall_ = 0;
    std::uint64_t fall_version_ = 0;

    std::mutex latch_mutex_;  // who writes the latch; taken before mutex_
    mutable std::mutex mutex_;
    Target target_;
    KillRecord written_;
    ClearOrder fall_;
    std::int64_t fall_until_ns_ = 0;  // monotonic; one that has not begun by then is dropped
    std::uint64_t fall_of_version_ = 0;
    std::uint64_t written_version_ = 0;
    std::atomic<bool> is_falling_{false};
};

// Cold. With no engine running: raises the word, and latches it under the run lock. kJournalLocked:
// an engine runs after all.
Failure raise_without_engine(const std::string& run_dir, const std::string& words_path,
                             std::uint32_t instrument, KillLevel level, std::uint32_t installation);

}  // namespace gm
