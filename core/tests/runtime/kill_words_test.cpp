// A kill word only rises, whoever raises it, and no raise is lost to a fall.
#include "gm/runtime/kill_words.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "journal/journal_fixture.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using enum KillLevel;

}  // namespace

TEST_CASE("fresh words are active, and what is raised stays for whoever opens them next") {
    const TemporaryFolder folder;
    const std::string path = folder / "kill";
    {
        KillWords words;
        REQUIRE(words.open(path).is_ok());
        CHECK(words.word(0) == KillWord{});
        CHECK(words.raise(3, kReducing, KillCause::kOrdered) == 1);
        CHECK(words.raise(3, kKilled, KillCause::kSignal) == 2);
        CHECK(words.raise(3, kReducing, KillCause::kOrdered) == 3);  // lowers nothing
    }
    KillWords again;
    REQUIRE(again.open(path).is_ok());
    CHECK(again.word(3) == KillWord{3, kKilled, KillCause::kSignal});
    CHECK(again.level_for(2) == kKilled);  // instrument 2 has word 3
    CHECK(again.level_for(1) == kActive);
    again.raise(0, kHalted, KillCause::kOrdered);
    CHECK(again.level_for(1) == kHalted);
    CHECK(again.level_for(2) == kKilled);
    CHECK(again.level_for(kWholeAccount) == kHalted);
}

TEST_CASE("a fall is for the word that was seen, and fails where somebody raised since") {
    const TemporaryFolder folder;
    KillWords words;
    REQUIRE(words.open(folder / "kill").is_ok());
    words.raise(0, kKilled, KillCause::kOrdered);
    const KillWord seen = words.word(0);
    CHECK_FALSE(words.lower(0, seen, kKilled));
    words.raise(0, kKilled, KillCause::kOrdered);  // the same level, said once more
    CHECK_FALSE(words.lower(0, seen, kHalted));
    CHECK(words.word(0).level == kKilled);
    CHECK(words.lower(0, words.word(0), kHalted));
    CHECK(words.word(0) == KillWord{3, kHalted, KillCause::kCleared});
}

TEST_CASE("many threads that raise lose none of their raises") {
    const TemporaryFolder folder;
    KillWords words;
    REQUIRE(words.open(folder / "kill").is_ok());
    constexpr std::uint64_t kEach = 2000;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (std::uint64_t n = 0; n < kEach; ++n) {
                words.raise(1, static_cast<KillLevel>(i), KillCause::kOrdered);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(words.word(1).generation == 4 * kEach);
    CHECK(words.word(1).level == kKilled);
}

TEST_CASE("a raise of another process is seen, and wakes who waits for it") {
    const TemporaryFolder folder;
    KillWords words;
    REQUIRE(words.open(folder / "kill").is_ok());
    const pid_t child = fork();
    if (child == 0) {
        KillWords theirs;
        if (!theirs.open(folder / "kill").is_ok()) _exit(1);
        theirs.raise(0, kHalted, KillCause::kOrdered);
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(words.word(0).level == kHalted);
    char byte = 0;
    CHECK(::read(words.wake_descriptor(), &byte, 1) == 1);
    CHECK(::read(words.wake_descriptor(), &byte, 1) == -1);
    words.raise(0, kHalted, KillCause::kOrdered);
    words.drain_wakes();
    CHECK(::read(words.wake_descriptor(), &byte, 1) == -1);
}

TEST_CASE("SIGUSR1 kills the account, and does nothing once nobody listens") {
    const TemporaryFolder folder;
    KillWords words;
    REQUIRE(words.open(folder / "kill").is_ok());
    REQUIRE(raise_on_signal(&words).is_ok());
    ::raise(SIGUSR1);
    CHECK(words.word(0) == KillWord{1, kKilled, KillCause::kSignal});
    REQUIRE(raise_on_signal(nullptr).is_ok());
    ::raise(SIGUSR1);
    CHECK(words.word(0).generation == 1);
}

TEST_CASE("the text is that of the last raise, also after a writer that died while it wrote") {
    const TemporaryFolder folder;
    KillWords words;
    REQUIRE(words.open(folder / "kill").is_ok());
    REQUIRE(words.write_text("ada", "a fire").is_ok());
    REQUIRE(words.write_text("grace", std::string(500, 'x')).is_ok());
    KillText text{};
    REQUIRE(words.read_text(text));
    CHECK(std::string(text.author) == "grace");
    CHECK(std::string(text.reason) == std::string(sizeof text.reason - 1, 'x'));
}

TEST_CASE("a file that holds no kill words is refused") {
    const TemporaryFolder folder;
    std::ofstream(folder / "short") << "GM0K";
    KillWords words;
    CHECK(words.open(folder / "short").status == Status::kSchemaMismatch);
    CHECK_FALSE(words.is_open());
    REQUIRE(words.open(folder / "kill").is_ok());
    words.close();
    std::fstream(folder / "kill", std::ios::in | std::ios::out | std::ios::binary) << "what";
    CHECK(words.open(folder / "kill").status == Status::kSchemaMismatch);
    CHECK(words.open("/nowhere/at/all/kill").status == Status::kSystemCallFailed);
}
