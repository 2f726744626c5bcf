#include "gm/simulation/kill_account.hpp"

#include <algorithm>

namespace gm {
namespace {

std::string name_of(std::size_t word) {
    return word == 0 ? "the account" : "the instrument";
}

}  // namespace

// The level that follows from the changes which count.
template <typename Counts>
KillLevel KillAccount::level_of(const Word& word, Counts counts) noexcept {
    KillLevel level = word.base;
    for (const Change& change : word.changes) {
        if (!counts(change)) continue;
        level = change.is_fall ? std::min(level, change.level) : std::max(level, change.level);
    }
    return level;
}

// Below this nothing may be found: a fall may have happened, a raise that was safe has.
KillLevel KillAccount::lowest_of(const Word& word) noexcept {
    return level_of(word, [&](const Change& change) {
        return change.is_fall || change.is_safe || !word.is_lost;
    });
}

// Above this nothing may be found: a raise may have happened, a fall that was seen has.
KillLevel KillAccount::highest_of(const Word& word) noexcept {
    return level_of(word, [](const Change& change) { return !change.is_fall || change.is_safe; });
}

KillLevel KillAccount::highest() const noexcept {
    return std::max(highest_of(words_[0]), highest_of(words_[1]));
}

void KillAccount::raise(std::size_t word, KillLevel level, std::uint64_t generation,
                        bool is_latched) {
    words_[word].changes.push_back({level, false, false, is_latched, generation, 0});
}

void KillAccount::sign(KillLevel level) {
    signed_ = level;
    for (Word& word : words_) word.signed_behind = word.changes.size();
}

std::string KillAccount::take(const Slot& record) {
    const std::uint64_t sequence = record.trailer.journal_sequence;
    if (record.type() == RecordType::kKill) return take_kill(record.as<Kill>(), sequence);
    if (record.type() != RecordType::kKillState) return "";
    const auto state = record.as<KillState>();
    const std::size_t at = kill_word_of(state.instrument);
    if (state.generation != 0 || state.cause == KillCause::kCleared || at >= kWords) return "";
    words_[at].changes.push_back({state.level, false, true, false, 0, sequence});
    return "";
}

// What the engine is told: by people's words, or by two who signed.
std::string KillAccount::take_kill(const Kill& kill, std::uint64_t sequence) {
    const std::size_t at = kill_word_of(kill.instrument);
    if (at >= kWords) return "P13: a level of an instrument that is none";
    Word& word = words_[at];
    if (kill.cause != KillCause::kCleared) {
        if (kill.level <= highest_of(word)) return "";
        return "P13: " + name_of(at) + " is told " + describe(kill.level) +
               ", which nobody has raised";
    }
    if (signed_ != kill.level) {
        return "P13: " + name_of(at) + " falls to " + describe(kill.level) +
               " without two signatures";
    }
    // As if at the moment of the signatures: what was raised behind them stands.
    const auto place = word.changes.begin() + static_cast<std::ptrdiff_t>(word.signed_behind);
    word.changes.insert(place, {kill.level, true, false, false, kill.generation, sequence});
    ++word.signed_behind;
    return "";
}

// Words rise at once by people's hands; the engine's own raise comes there when io has heard of it.
std::string KillAccount::compare(const KillWords& words) {
    for (std::size_t at = 0; at < kWords; ++at) {
        Word& word = words_[at];
        const KillLevel found = words.word(at).level;
        const std::uint64_t latched = words.confirmed(at);
        const KillLevel stands = level_of(word, [&](const Change& change) {
            return change.is_fall || !change.is_of_engine || change.is_safe;
        });
        if (found < stands) {
            return "P13: the word of " + name_of(at) + " is " + describe(found) + ", raised was " +
                   describe(stands);
        }
        if (found > highest_of(word)) {
            return "P13: the word of " + name_of(at) + " is " + describe(found) +
                   ", which nobody has raised";
        }
        for (Change& change : word.changes) {
            if (change.is_fall) {
                change.is_safe = change.is_safe || found <= change.level;
            } else if (!change.is_of_engine) {
                change.is_safe = change.is_safe || latched >= change.generation;
            }
        }
    }
    return "";
}

std::string KillAccount::check_send(std::uint32_t instrument, bool is_reducing,
                                    std::uint64_t sequence) const {
    KillLevel level = KillLevel::kActive;
    for (const std::size_t at : {std::size_t{0}, kill_word_of(instrument)}) {
        if (at >= kWords) return "P13: an order of an instrument that is none leaves";
        const KillLevel own = level_of(words_[at], [&](const Change& change) {
            return !change.is_of_engine || change.sequence < sequence;
        });
        level = std::max(level, own);
    }
    const bool may_go =
        level < KillLevel::kReducing || (level == KillLevel::kReducing && is_reducing);
    return may_go ? "" : std::string("P13: it is sent under level ") + describe(level);
}

void KillAccount::on_death(std::uint64_t survives, bool has_power) noexcept {
    signed_.reset();
    for (Word& word : words_) {
        word.is_lost = true;  // from now on only what is safe must be there
        for (Change& change : word.changes) {
            if (change.is_fall) continue;
            const bool is_kept = change.is_of_engine ? change.sequence <= survives : has_power;
            change.is_safe = change.is_safe || is_kept;
        }
    }
}

std::string KillAccount::on_start(const KillWords& words, const Engine& engine) {
    for (std::size_t at = 0; at < kWords; ++at) {
        Word& word = words_[at];
        const KillLevel found = words.word(at).level;
        const KillLevel lowest = lowest_of(word);
        const KillLevel highest = highest_of(word);
        if (found < lowest || found > highest) {
            return "P13: " + name_of(at) + " starts " + describe(found) + ", it was at least " +
                   describe(lowest) + " and at most " + describe(highest);
        }
        const KillLevel has = at == 0 ? engine.account_level() : engine.desks()[at - 1].level;
        if (has != found) {
            return "P13: the engine of " + name_of(at) + " starts " + describe(has) +
                   ", its word is " + describe(found);
        }
        word = Word{};
        word.base = found;
    }
    return "";
}

}  // namespace gm
