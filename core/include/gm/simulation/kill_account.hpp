// Who raised which level of the kill switch, who cleared it, and what must stand after a death: the
// judge's own account, against which the words and levels of the product are held (P13).
//
// A raise by people stands from the moment it is made, one by the engine from its record in the
// journal. A fall needs two people who signed, and takes back no raise that they did not see. A
// death takes nothing; a loss of power at most what neither the latch nor the synced journal had.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gm/engine/engine.hpp"
#include "gm/runtime/kill_words.hpp"
#include "gm/wire/record.hpp"

namespace gm {

class KillAccount {
 public:
    static constexpr std::size_t kWords = 2;  // the account and the one instrument

    // Another process has raised a word; `generation` is what its caller waits for. Without an
    // engine the latch has it before the call returns.
    void raise(std::size_t word, KillLevel level, std::uint64_t generation, bool is_latched);
    // Two people have signed for one step down.
    void sign(KillLevel level);

    // Each of these answers what is wrong; empty: nothing.
    // A record of the journal, in its order.
    [[nodiscard]] std::string take(const Slot& record);
    // Between two turns of a living engine.
    [[nodiscard]] std::string compare(const KillWords& words);
    // An order that was written down as record `sequence` leaves the process.
    [[nodiscard]] std::string check_send(std::uint32_t instrument, bool is_reducing,
                                         std::uint64_t sequence) const;
    [[nodiscard]] std::string on_start(const KillWords& words, const Engine& engine);

    // Of the journal stays what lies up to `survives`; the words go with the power.
    void on_death(std::uint64_t survives, bool has_power) noexcept;
    [[nodiscard]] KillLevel highest() const noexcept;

 private:
    struct Change {
        KillLevel level = KillLevel::kActive;
        bool is_fall = false;
        bool is_of_engine = false;
        bool is_safe = false;  // of a raise: latched; of a fall: the word was seen to be lower
        std::uint64_t generation = 0;
        std::uint64_t sequence = 0;  // of its record; 0: none
    };
    struct Word {
        KillLevel base = KillLevel::kActive;  // at the start of this life
        std::vector<Change> changes;
        std::size_t signed_behind = 0;  // changes that the two people saw
        bool is_lost = false;           // the last death took changes that were not safe
    };

    template <typename Counts>
    [[nodiscard]] static KillLevel level_of(const Word& word, Counts counts) noexcept;
    [[nodiscard]] static KillLevel lowest_of(const Word& word) noexcept;
    [[nodiscard]] static KillLevel highest_of(const Word& word) noexcept;
    [[nodiscard]] std::string take_kill(const Kill& kill, std::uint64_t sequence);

    std::array<Word, kWords> words_;
    std::optional<KillLevel> signed_;
};

}  // namespace gm
