// Promise: one engine a run directory, whatever way the one before it ended.
#include "gm/journal/run_lock.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "journal/journal_fixture.hpp"

using namespace gm;
using namespace gm::testing;

TEST_CASE("the second taker is turned away and told who holds the lock") {
    TemporaryFolder folder;
    RunLock first;
    require_ok(first.acquire(folder.path()));
    RunLock second;
    const Failure failure = second.acquire(folder.path());
    CHECK(failure.status == Status::kJournalLocked);
    CHECK(failure.text.find("process " + std::to_string(::getpid())) != std::string::npos);
    CHECK_FALSE(second.is_held());
    first.release();
    require_ok(second.acquire(folder.path()));
}

TEST_CASE("the lock of a killed process is free") {
    TemporaryFolder folder;
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        RunLock lock;
        const char answer = lock.acquire(folder.path()).is_ok() ? 1 : 0;
        (void)!::write(ready[1], &answer, 1);
        for (;;) ::pause();
    }
    char answer = 0;
    REQUIRE(::read(ready[0], &answer, 1) == 1);
    CHECK(answer == 1);
    RunLock lock;
    CHECK(lock.acquire(folder.path()).status == Status::kJournalLocked);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    require_ok(lock.acquire(folder.path()));
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("a run directory that is not there is made, readable by its owner only") {
    TemporaryFolder folder;
    RunLock lock;
    require_ok(lock.acquire(folder / "run"));
    CHECK(std::filesystem::status(folder / "run").permissions() ==
          std::filesystem::perms::owner_all);
}
