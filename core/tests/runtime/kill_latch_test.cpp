// A latch that cannot be read for sure is KILLED, and one that can says what was latched last.
#include "gm/runtime/kill_latch.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "journal/journal_fixture.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;

KillRecord record_of(std::uint64_t sequence, KillLevel level) {
    KillRecord record;
    record.sequence = sequence;
    record.latch_id = {1, 2, 3};
    record.installation = 7;
    record.cause = KillCause::kOrdered;
    record.set_level(0, level);
    return record;
}

LatchCopy copy_of(const KillRecord& record) {
    return {true, true, encode_latch(record)};
}

constexpr LatchCopy kAbsent{};
LatchCopy damaged() {
    LatchCopy copy = copy_of(record_of(1, KillLevel::kActive));
    copy.bytes[40] ^= 1U;
    return copy;
}

KillLevel judged(const LatchCopy& a, const LatchCopy& b) {
    const LatchReading reading = judge_latch(a, b);
    CHECK(reading.doubt.empty() == (reading.record.cause != KillCause::kLatchDoubt));
    return reading.record.level();
}

}  // namespace

TEST_CASE("without a copy nothing was ever latched") {
    const LatchReading reading = judge_latch(kAbsent, kAbsent);
    CHECK_FALSE(reading.is_there);
    CHECK(reading.doubt.empty());
    CHECK(reading.record.level() == KillLevel::kActive);
}

TEST_CASE("every combination of copies is judged, and what leaves doubt is KILLED") {
    using enum KillLevel;
    const auto at = [](std::uint64_t sequence, KillLevel level) {
        return copy_of(record_of(sequence, level));
    };
    CHECK(judged(at(5, kReducing), at(5, kReducing)) == kReducing);
    CHECK(judge_latch(at(5, kReducing), at(5, kReducing)).is_in_step);
    // Died between the two writes, of a raise and of a fall: the higher one.
    CHECK(judged(at(6, kHalted), at(5, kReducing)) == kHalted);
    CHECK(judged(at(6, kReducing), at(5, kHalted)) == kHalted);
    CHECK_FALSE(judge_latch(at(6, kHalted), at(5, kReducing)).is_in_step);
    // b is never ahead of a and never two behind.
    CHECK(judged(at(5, kActive), at(6, kActive)) == kKilled);
    CHECK(judged(at(7, kActive), at(5, kActive)) == kKilled);
    CHECK(judged(at(5, kActive), at(5, kReducing)) == kKilled);
    // The first write of all dies behind its first copy.
    CHECK(judged(at(1, kReducing), kAbsent) == kReducing);
    CHECK(judged(at(2, kReducing), kAbsent) == kKilled);
    CHECK(judged(kAbsent, at(1, kActive)) == kKilled);
    // b damaged: it was not ahead. a damaged: it may have been.
    CHECK(judged(at(2, kReducing), damaged()) == kReducing);
    CHECK(judged(damaged(), at(2, kActive)) == kKilled);
    CHECK(judged(damaged(), damaged()) == kKilled);
    CHECK(judged(damaged(), kAbsent) == kKilled);
    CHECK(judged(kAbsent, damaged()) == kKilled);
    LatchCopy cut = at(2, kActive);
    cut.is_whole = false;
    CHECK(judged(cut, at(2, kActive)) == kKilled);
    CHECK(judged(at(2, kActive), cut) == kActive);
}

TEST_CASE("a byte that is flipped anywhere is seen, in one copy or in both") {
    const LatchCopy good = copy_of(record_of(3, KillLevel::kReducing));
    for (std::size_t i = 0; i < kLatchSize; ++i) {
        for (const std::uint8_t bits : {1, 128, 255}) {
            LatchCopy bad = good;
            bad.bytes[i] = static_cast<std::uint8_t>(bad.bytes[i] ^ bits);
            CHECK_FALSE(decode_latch(bad.bytes));
            CHECK(judged(bad, good) == KillLevel::kKilled);
            CHECK(judged(good, bad) == KillLevel::kReducing);
            CHECK(judged(bad, bad) == KillLevel::kKilled);
        }
    }
}

TEST_CASE("a fall to ACTIVE that was written once alone has not ended the latch") {
    KillRecord fallen = record_of(4, KillLevel::kActive);
    fallen.latch_id = {};
    const LatchReading reading =
        judge_latch(copy_of(fallen), copy_of(record_of(3, KillLevel::kReducing)));
    CHECK(reading.record.level() == KillLevel::kReducing);
    CHECK(reading.record.latch_id == record_of(3, KillLevel::kReducing).latch_id);
}

TEST_CASE("each of a thousand words has a level of its own") {
    KillRecord record;
    for (std::size_t i = 0; i < kKillWords; ++i) {
        record.set_level(i, static_cast<KillLevel>(i * 7 % 4));
    }
    for (std::size_t i = 0; i < kKillWords; ++i) {
        CHECK(record.level_of(i) == static_cast<KillLevel>(i * 7 % 4));
    }
}

TEST_CASE("what was written is read back, and both files are whole") {
    const TemporaryFolder folder;
    LatchReading reading;
    REQUIRE(read_latch(folder.path(), reading).is_ok());
    CHECK_FALSE(reading.is_there);
    KillRecord record = record_of(0, KillLevel::kHalted);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        REQUIRE(write_latch(folder.path(), record).is_ok());
        REQUIRE(read_latch(folder.path(), reading).is_ok());
        CHECK(reading.is_in_step);
        CHECK(reading.record.sequence == i);
        CHECK(reading.record.level() == KillLevel::kHalted);
    }
    std::filesystem::resize_file(folder / "latch.a", 511);
    REQUIRE(read_latch(folder.path(), reading).is_ok());
    CHECK(reading.doubt == "latch.a is unreadable");
    std::filesystem::resize_file(folder / "latch.b", 513);
    REQUIRE(read_latch(folder.path(), reading).is_ok());
    CHECK(reading.record.level() == KillLevel::kKilled);
    REQUIRE(write_latch(folder.path(), record).is_ok());  // mends both
    REQUIRE(read_latch(folder.path(), reading).is_ok());
    CHECK(reading.is_in_step);
}

TEST_CASE("a latch that cannot be written says which file and why") {
    KillRecord record = record_of(0, KillLevel::kHalted);
    const Failure failure = write_latch("/nowhere/at/all", record);
    CHECK(failure.status == Status::kSystemCallFailed);
    CHECK(failure.text.find("/nowhere/at/all/latch.a") != std::string::npos);
}
