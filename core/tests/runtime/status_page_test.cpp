// A reader of the status page sees a value that was written, never a mixture of two.
#include "gm/runtime/status_page.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

namespace {

using namespace gm;

struct Sixteen {
    std::array<std::uint64_t, 16> words;
};

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/gm-status-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("a seqlock over zeroed memory is readable and gives zeros") {
    const auto lock = std::make_unique<Seqlock<Sixteen>>();
    Sixteen got{};
    got.words[3] = 7;
    REQUIRE(lock->read(got));
    CHECK(got.words[3] == 0);
}

TEST_CASE("two readers never see half of a write") {
    const auto lock = std::make_unique<Seqlock<Sixteen>>();
    constexpr std::uint64_t kWrites = 100'000;
    std::atomic<bool> is_over{false};
    std::atomic<std::uint64_t> torn{0};
    std::atomic<std::uint64_t> seen{0};
    const auto reader = [&] {
        std::uint64_t last = 0;
        while (!is_over.load(std::memory_order_relaxed)) {
            Sixteen got{};
            if (!lock->read(got)) continue;
            for (const std::uint64_t word : got.words) torn += word != got.words[0];
            torn += got.words[0] < last;  // values only grow
            last = got.words[0];
            ++seen;
        }
    };
    std::thread first(reader);
    std::thread second(reader);
    for (std::uint64_t i = 1; i <= kWrites; ++i) {
        Sixteen value{};
        value.words.fill(i);
        lock->write(value);
    }
    while (seen.load() == 0) std::this_thread::yield();
    is_over.store(true);
    first.join();
    second.join();
    CHECK(torn.load() == 0);
    CHECK(lock->version() == kWrites);
}

TEST_CASE("what one process writes, another reads from the file") {
    const Folder folder;
    const std::string path = folder.path + "/status";
    StatusPage page;
    REQUIRE(page.create(path, 2).is_ok());
    IoStatus io{};
    io.phase = Phase::kReady;
    io.pid = 42;
    page.write_io(io);
    InstrumentStatus instrument{};
    std::snprintf(instrument.symbol, sizeof instrument.symbol, "NQ");
    instrument.position_lots = -2;
    page.write_instrument(1, instrument);
    page.write_instrument(2, instrument);  // is not there: nothing happens
    page.write_memory("8.0 MiB");
    page.write_failure(std::string(5000, 'x'));

    StatusPage other;
    REQUIRE(other.open(path).is_ok());
    StatusReading reading;
    REQUIRE(other.read(reading));
    CHECK(reading.io.phase == Phase::kReady);
    CHECK(reading.io.pid == 42);
    REQUIRE(reading.instruments.size() == 2);
    CHECK(std::string(reading.instruments[1].symbol) == "NQ");
    CHECK(reading.instruments[1].position_lots == -2);
    CHECK(reading.memory == "8.0 MiB");
    CHECK(reading.failure == std::string(1023, 'x'));

    // What the journal thread says stands beside what io says, and goes when it works again.
    page.write_failure("io");
    page.write_journal_failure("no snapshot");
    REQUIRE(other.read(reading));
    CHECK(reading.failure == "io; no snapshot");
    page.write_failure("");
    REQUIRE(other.read(reading));
    CHECK(reading.failure == "no snapshot");
    page.write_journal_failure("");
    REQUIRE(other.read(reading));
    CHECK(reading.failure.empty());

    // A new engine makes a new page; the old reader keeps the old one.
    StatusPage next;
    REQUIRE(next.create(path, 1).is_ok());
    REQUIRE(other.read(reading));
    CHECK(reading.io.pid == 42);
}

TEST_CASE("a file that is not a status page is refused") {
    const Folder folder;
    StatusPage page;
    CHECK(page.open(folder.path + "/none").status == Status::kSystemCallFailed);
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{100'000}}) {
        const std::string path = folder.path + "/bad";
        std::ofstream(path) << std::string(size, 'a');
        CHECK(page.open(path).status == Status::kSchemaMismatch);
        CHECK_FALSE(page.is_open());
    }
}
