// $RUN/kill: the words that the send reads, and that any process with the run directory can raise.
//
// A mapped file of one word for the account and one for each instrument. A word only rises, by one
// compare-and-swap, from any process, thread or signal handler; lowering is for the engine's own
// process, and fails if somebody has raised in between. A pipe beside the file wakes an io thread
// that sleeps. The words outlive the process, not a reboot: that is what the latch is for.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "gm/base/status.hpp"
#include "gm/runtime/seqlock.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

inline constexpr std::uint32_t kKillMagic = 0x4b304d47;  // "GM0K" in memory order
inline constexpr std::uint32_t kKillSchema = 1;
inline constexpr std::size_t kKillWords = 1024;  // [0] the account, [1 + i] instrument i
inline constexpr std::size_t kKillInstrumentsMax = kKillWords - 1;

struct KillWord {
    std::uint64_t generation = 0;  // grows with every raise and every fall
    KillLevel level = KillLevel::kActive;
    KillCause cause = KillCause::kNone;

    friend bool operator==(const KillWord&, const KillWord&) = default;
};

// Who raised last, and what for. Text for people: the word itself never waits for it.
struct KillText {
    char author[40];
    char reason[96];
};

// Where the word of an instrument number lies; kWholeAccount: the first.
[[nodiscard]] constexpr std::size_t kill_word_of(std::uint32_t instrument) noexcept {
    return instrument < kKillInstrumentsMax ? std::size_t{instrument} + 1 : 0;
}
[[nodiscard]] constexpr std::uint32_t kill_instrument_of(std::size_t word) noexcept {
    return word == 0 ? kWholeAccount : static_cast<std::uint32_t>(word - 1);
}

class KillWords {
 public:
    KillWords() = default;
    ~KillWords() { close(); }
    KillWords(const KillWords&) = delete;
    KillWords& operator=(const KillWords&) = delete;

    // Cold. Makes the file if it is not there; what another process has raised stays.
    Failure open(const std::string& path);
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept { return page_ != nullptr; }

    // Any process, any thread, a signal handler. The generation to wait for in confirmed().
    std::uint64_t raise(std::size_t word, KillLevel level, KillCause cause) noexcept;
    // The engine's process. False: the word is not what was expected any more.
    [[nodiscard]] bool lower(std::size_t word, const KillWord& expected, KillLevel level) noexcept;
    [[nodiscard]] KillWord word(std::size_t at) const noexcept {
        // Acquire: pairs with the exchange in raise() and lower().
        return unpack(page_->words[at].value.load(std::memory_order_acquire));
    }
    // Of the account or the instrument, whichever is higher.
    [[nodiscard]] KillLevel level_for(std::uint32_t instrument) const noexcept {
        const KillLevel all = word(0).level;
        const KillLevel own = word(kill_word_of(instrument)).level;
        return all > own ? all : own;
    }

    // The engine has consumed the word of this generation, the journal and the latch have it.
    void confirm(std::size_t word, std::uint64_t generation) noexcept {
        page_->words[word].confirmed.store(generation, std::memory_order_release);
    }
    [[nodiscard]] std::uint64_t confirmed(std::size_t word) const noexcept {
        return page_->words[word].confirmed.load(std::memory_order_acquire);
    }

    // Cold. Before the raise that it explains. Longer text is cut.
    Failure write_text(const std::string& author, const std::string& reason);
    // False: somebody died while writing it.
    [[nodiscard]] bool read_text(KillText& out) const noexcept { return page_->text.read(out); }

    // Readable when somebody has raised. io reads it empty before it looks at the words.
    [[nodiscard]] int wake_descriptor() const noexcept { return wake_; }
    void drain_wakes() const noexcept;

 private:
    struct Word {
        std::atomic<std::uint64_t> value;  // level, cause << 8, generation << 16
        std::atomic<std::uint64_t> confirmed;
    };
    struct Page {
        std::uint32_t magic;
        std::uint32_t schema;
        Seqlock<KillText> text;
        alignas(kCacheLineSize) Word words[kKillWords];
    };
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

    static constexpr std::uint64_t pack(const KillWord& word) noexcept {
        return static_cast<std::uint64_t>(word.level) |
               static_cast<std::uint64_t>(word.cause) << 8U | word.generation << 16U;
    }
    // A level that nobody knows is the highest.
    static constexpr KillWord unpack(std::uint64_t value) noexcept {
        const auto level = static_cast<std::uint8_t>(value & 255U);
        const auto highest = static_cast<std::uint8_t>(KillLevel::kKilled);
        return {value >> 16U, static_cast<KillLevel>(level < highest ? level : highest),
                static_cast<KillCause>(value >> 8U & 255U)};
    }
    Failure map(const std::string& path);
    Failure open_pipe(const std::string& path);

    Page* page_ = nullptr;
    int file_ = -1;
    int wake_ = -1;
};

// SIGUSR1 raises the account's word of these to KILLED from now on; null: it does nothing more.
// The words outlive the signal.
Failure raise_on_signal(KillWords* words);

[[nodiscard]] const char* describe(KillLevel level) noexcept;
[[nodiscard]] const char* describe(KillCause cause) noexcept;

}  // namespace gm
