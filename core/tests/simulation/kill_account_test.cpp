// Promise: the judge's account of the kill switch is its own, and sees what the product's words
// hide: a level that fell by itself, one that nobody raised, one that a death took.
#include "gm/simulation/kill_account.hpp"

#include <doctest/doctest.h>

#include "engine/rig.hpp"
#include "journal/journal_fixture.hpp"

using namespace gm;
using enum KillLevel;

namespace {

struct Switch {
    gm::testing::TemporaryFolder folder;
    KillWords words;
    KillAccount account;
    Engine engine;
    std::uint64_t sequence = 0;

    Switch() {
        REQUIRE(words.open(folder / "kill").is_ok());
        REQUIRE(engine.open(test::make_settings()).is_ok());
        REQUIRE(account.on_start(words, engine).empty());
    }
    void raise(KillLevel level, bool is_latched = false) {
        const std::uint64_t generation = words.raise(0, level, KillCause::kOrdered);
        account.raise(0, level, generation, is_latched);
    }
    std::string take(const Kill& kill) {
        Slot slot = make_slot(RecordType::kKill, Source::kIo, 0, 0, kill);
        slot.trailer.journal_sequence = ++sequence;
        return account.take(slot);
    }
    std::string fall(KillLevel level) {
        Kill kill{};
        kill.instrument = kWholeAccount;
        kill.level = level;
        kill.cause = KillCause::kCleared;
        return take(kill);
    }
    void engine_raises(KillLevel level) {
        KillState state{};
        state.instrument = kWholeAccount;
        state.level = level;
        state.cause = KillCause::kLoss;
        Slot slot = make_slot(RecordType::kKillState, Source::kEngine, 0, 0, state);
        slot.trailer.journal_sequence = ++sequence;
        REQUIRE(account.take(slot).empty());
    }
};

bool names(const std::string& wrong, const char* what) {
    return wrong.starts_with("P13:") && wrong.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("a raise stands at once, whatever the words say by then") {
    Switch one;
    one.raise(kHalted);
    CHECK(one.account.compare(one.words).empty());
    CHECK(names(one.account.check_send(0, true, 1), "halted"));
    REQUIRE(one.words.lower(0, one.words.word(0), kActive));
    CHECK(names(one.account.compare(one.words), "raised was halted"));
    CHECK(names(one.account.check_send(0, true, 1), "halted"));
}

TEST_CASE(
    "under REDUCING only what reduces is sent; the engine's own raise stops what is behind it") {
    Switch one;
    one.raise(kReducing);
    CHECK(one.account.check_send(0, true, 1).empty());
    CHECK(names(one.account.check_send(0, false, 1), "reducing"));
    one.sequence = 9;
    one.engine_raises(kHalted);  // record 10
    CHECK(one.account.check_send(0, true, 9).empty());
    CHECK(names(one.account.check_send(0, true, 11), "halted"));
}

TEST_CASE("a level that nobody has raised is seen in a word and in what the engine is told") {
    Switch one;
    one.words.raise(1, kHalted, KillCause::kOrdered);
    CHECK(names(one.account.compare(one.words), "nobody has raised"));
    Kill kill{};
    kill.instrument = 0;
    kill.level = kReducing;
    kill.cause = KillCause::kOrdered;
    CHECK(names(one.take(kill), "nobody has raised"));
}

TEST_CASE("a fall needs two signatures, and takes back nothing that was raised behind them") {
    Switch one;
    one.raise(kHalted);
    CHECK(names(one.fall(kReducing), "without two signatures"));
    one.account.sign(kReducing);
    CHECK(names(one.fall(kActive), "without two signatures"));
    one.raise(kHalted);
    REQUIRE(one.fall(kReducing).empty());
    CHECK(names(one.account.check_send(0, false, 1), "halted"));
    REQUIRE(one.words.lower(0, one.words.word(0), kReducing));
    CHECK(names(one.account.compare(one.words), "raised was halted"));
}

TEST_CASE("a death takes nothing; a loss of power what neither latch nor journal had") {
    for (const bool has_power : {true, false}) {
        for (const bool is_latched : {true, false}) {
            Switch one;
            one.raise(kHalted, is_latched);
            one.account.on_death(0, has_power);
            REQUIRE(one.words.lower(0, one.words.word(0), kActive));
            const std::string wrong = one.account.on_start(one.words, one.engine);
            CHECK(wrong.empty() == (!has_power && !is_latched));
        }
    }
    Switch other;
    other.engine_raises(kHalted);
    other.account.on_death(1, false);  // its record is on the disk
    CHECK(names(other.account.on_start(other.words, other.engine), "at least halted"));
}

TEST_CASE("a fall that came no further than the journal may have happened or not") {
    for (const KillLevel found : {kActive, kReducing, kHalted}) {
        Switch one;
        one.raise(kReducing);
        one.account.sign(kActive);
        REQUIRE(one.fall(kActive).empty());
        one.account.on_death(one.sequence, true);
        if (found == kActive) REQUIRE(one.words.lower(0, one.words.word(0), kActive));
        if (found == kHalted) one.words.raise(0, kHalted, KillCause::kOrdered);
        const std::string wrong = one.account.on_start(one.words, one.engine);
        // The engine of this test has no level of its own.
        CHECK(names(wrong, found == kHalted ? "at most reducing" : "the engine") ==
              (found != kActive));
        CHECK(wrong.empty() == (found == kActive));
    }
}
