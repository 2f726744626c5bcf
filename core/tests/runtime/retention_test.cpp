// Old market data goes when a limit says so and no start needs it; every start, before and after
// each step of it, is the start that there was.
#include "gm/runtime/retention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/journal/verify.hpp"
#include "gm/runtime/rebuild.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/recorded_life.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::check_same;
using test::life_settings;
using test::one_life;
using test::Recording;
using test::recover;
using test::recover_from_first;
using test::Recovered;

constexpr std::uint64_t kSegment = 1U << 16;
constexpr std::size_t kRecords = 6'000;

// A life on the disk, and what holds it within limits.
struct Kept {
    explicit Kept(const RetentionSettings& settings, FileHook hook = {})
        : run(folder / "run"),
          recording(run, one_life(), kRecords, 0, kSegment, true),
          wanted(recover_from_first(run)) {
        REQUIRE(page.create(folder / "page", 1).is_ok());
        open(settings, hook);
    }
    void open(const RetentionSettings& settings, FileHook hook = {}) {
        retention.open({run, hook}, settings, life_settings(), page);
    }
    int turns() {
        int gone = 0;
        while (retention.turn(wall_ns())) ++gone;  // bounded by the segments
        return gone;
    }
    [[nodiscard]] std::vector<SegmentFile> segments() const {
        std::vector<SegmentFile> found;
        REQUIRE(list_segments(journal_folder(run), found).is_ok());
        return found;
    }
    void check_start() const {
        JournalReport report;
        REQUIRE(verify_journal(run, report).is_ok());
        CHECK_MESSAGE(report.fault_count == 0, report.faults[0].text);
        check_same(recover(run), wanted);
    }

    TemporaryFolder folder;
    std::string run;
    Recording recording;
    Recovered wanted;
    StatusPage page;
    Retention retention;
};

RetentionSettings of_bytes(std::uint64_t bytes) {
    return {bytes, 0, false};
}

}  // namespace

TEST_CASE("segments over the limit of bytes go, the oldest first, and a start stays what it was") {
    Kept kept(of_bytes(8 * kSegment));
    const std::size_t before = kept.segments().size();
    REQUIRE(before > 12);
    const int gone = kept.turns();
    CHECK(kept.segments().size() == before - static_cast<std::size_t>(gone));
    const RetentionStatus& status = kept.retention.status();
    CHECK(status.held_by == RetentionHold::kNothing);
    CHECK(status.bytes <= 8 * kSegment);
    CHECK(status.bytes > 6 * kSegment);
    CHECK(status.segments == kept.segments().size());
    CHECK(status.first_sequence == kept.segments()[0].first_sequence);
    CHECK(status.compacted_segments == static_cast<std::uint64_t>(gone));
    CHECK(status.compacted_bytes > 0);
    StatusReading shown;
    REQUIRE(kept.page.read(shown));
    CHECK(shown.retention.segments == status.segments);
    kept.check_start();
    // What is no market data is all there.
    JournalReader reader;
    REQUIRE(reader.open_all(journal_folder(kept.run)).is_ok());
    std::size_t at = 0;
    Slot slot;
    while (reader.next(slot)) {
        const auto& written = one_life().written;
        while (at + 1 < slot.trailer.journal_sequence) {
            CHECK(is_market_data(written[at].type()));
            ++at;
        }
        CHECK(std::memcmp(&slot, &written[at], offsetof(Slot, trailer)) == 0);
        ++at;
    }
    CHECK(reader.failure().is_ok());
    CHECK(at == kept.wanted.replay.records);
}

TEST_CASE("nothing goes that the older of the usable snapshots reads") {
    Kept kept(of_bytes(1));
    CHECK(kept.turns() > 0);
    CHECK(kept.retention.status().held_by == RetentionHold::kSnapshots);
    kept.check_start();
    // The newest is lost, and the next: a start goes on from the third.
    const std::vector<std::string> all = list_snapshots(kept.run);
    for (const std::size_t lost : {0U, 1U}) {
        test::write_file(all[lost], {});
        check_same(recover(kept.run), kept.wanted);
    }
}

TEST_CASE("without two usable snapshots nothing goes") {
    Kept kept(of_bytes(1));
    const std::size_t before = kept.segments().size();
    const std::vector<std::string> all = list_snapshots(kept.run);
    for (std::size_t i = 1; i < all.size(); ++i) std::filesystem::remove(all[i]);
    CHECK(kept.turns() == 0);
    CHECK(kept.retention.status().held_by == RetentionHold::kSnapshots);
    CHECK(kept.segments().size() == before);
}

TEST_CASE("nothing goes that the recorder has not read") {
    Kept kept({1, 0, true});
    CHECK(kept.turns() == 0);
    CHECK(kept.retention.status().held_by == RetentionHold::kRecorder);
    const std::vector<SegmentFile> segments = kept.segments();
    kept.retention.set_read(segments[1].first_sequence - 2);
    CHECK(kept.turns() == 0);
    kept.retention.set_read(segments[1].first_sequence - 1);
    CHECK(kept.turns() == 1);
    kept.retention.set_read(segments[3].first_sequence);
    CHECK(kept.turns() == 2);
    CHECK(kept.segments()[0].first_sequence == segments[3].first_sequence);
    kept.check_start();
}

TEST_CASE("segments that were written too long ago go") {
    Kept kept({0, 3'600 * test::kSecond, false});
    CHECK(kept.turns() == 0);
    CHECK(kept.retention.status().held_by == RetentionHold::kNothing);
    const std::vector<SegmentFile> segments = kept.segments();
    for (const std::size_t old : {0U, 1U, 3U}) {
        std::filesystem::last_write_time(
            segments[old].path,
            std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
    }
    CHECK(kept.turns() == 2);  // in order: the third is young
    kept.check_start();
}

TEST_CASE("the history that is kept can be derived again, from its beginning to its end") {
    Kept kept(of_bytes(8 * kSegment));
    REQUIRE(kept.turns() > 0);
    const std::uint64_t first = kept.segments()[0].first_sequence;
    ReplayReport report;
    test::write_file(kept.run + "/settings.bin", test::settings_block(life_settings()));
    const Failure failure = replay_run(kept.run, kept.folder / "copy", report);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    CHECK(report.records == kept.wanted.replay.records);
    CHECK(report.after >= first);
    CHECK(report.after < first + 2 * kSegment / sizeof(Slot));
    CHECK(report.inputs < kept.wanted.replay.inputs);
    // A record that the replay does not make is found.
    const std::vector<SegmentFile> segments = kept.segments();
    std::filesystem::remove(segments[5].path);
    CHECK_FALSE(replay_run(kept.run, kept.folder / "copy", report).is_ok());
}

TEST_CASE("a decision whose market data is kept can be asked again, an older one says it is gone") {
    Kept kept(of_bytes(8 * kSegment));
    REQUIRE(kept.turns() > 0);
    test::write_file(kept.run + "/settings.bin", test::settings_block(life_settings()));
    const auto& written = one_life().written;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    for (std::uint64_t at = 1; at <= kept.wanted.replay.records; ++at) {
        if (written[at - 1].type() != RecordType::kDecision) continue;
        if (first == 0) first = at;
        last = at;
    }
    RebuiltDecision made;
    Failure failure = rebuild_decision(kept.run, last, made);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    CHECK(made.is_equal);
    CHECK(made.journalled.trailer.journal_sequence == last);
    failure = rebuild_decision(kept.run, first, made);
    CHECK(failure.status == Status::kJournalForeign);
    const std::string gone = std::to_string(kept.segments()[0].first_sequence);
    CHECK(failure.text.find("before record " + gone + " is gone") != std::string::npos);
    CHECK(failure.text.find("stands behind the record") != std::string::npos);
}

TEST_CASE("a start that has no snapshot and no record 1 says what is gone, and why") {
    Kept kept(of_bytes(8 * kSegment));
    REQUIRE(kept.turns() > 0);
    for (const std::string& path : list_snapshots(kept.run)) test::write_file(path, {});
    const Recovered found = recover(kept.run);
    CHECK(found.failure.status == Status::kJournalForeign);
    const std::string first = std::to_string(kept.segments()[0].first_sequence);
    CHECK(found.failure.text.find("before record " + first + " is gone") != std::string::npos);
    CHECK(found.failure.text.find("--run-dir") != std::string::npos);
    CHECK(found.failure.text.find("ends after") != std::string::npos);
}

namespace {

struct FailingAt {
    std::uint64_t at;
    std::uint64_t count = 0;
    static std::size_t allow(void* context, const FileAccess& access) {
        auto& self = *static_cast<FailingAt*>(context);
        return self.count++ == self.at ? 0 : std::max<std::size_t>(access.bytes.size(), 1);
    }
};

}  // namespace

TEST_CASE("a failure at each step costs nothing, is said, and is over with the next look") {
    std::set<std::size_t> left;
    for (std::uint64_t step = 0; step < 9; ++step) {
        CAPTURE(step);
        FailingAt hook{step};
        Kept kept(of_bytes(1), {&hook, &FailingAt::allow});
        const std::size_t before = kept.segments().size();
        CHECK_FALSE(kept.retention.turn(wall_ns()));
        CHECK(kept.retention.status().held_by == RetentionHold::kFailure);
        StatusReading shown;
        REQUIRE(kept.page.read(shown));
        CHECK(std::string(shown.retention.failure).find("cannot") == 0);
        left.insert(before - kept.segments().size());
        kept.check_start();
        CHECK(kept.retention.turn(wall_ns()));
        CHECK(kept.retention.failure().empty());
        kept.check_start();
    }
    CHECK(left == std::set<std::size_t>{0});  // the last step is the one that removes it
}

TEST_CASE("a core lets its journal go while it runs, and its next life goes on") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    // So long that snapshots, one with each sync, stand behind many segments.
    test::RunningVenue venue(network, folder.path(), test::wave_tape(5'000));
    for (const std::uint64_t feed : {400U, 0U}) {
        test::RunningCore running;
        running.snapshot_every_ns = 1;
        running.segment_bytes = 8192;
        running.retention.bytes_max = 4 * 8192;
        running.start(network, folder.path());
        CHECK(running.core->report().snapshot.skipped.size() <= 3);
        if (feed == 0) {
            running.wait_for_end();
        } else {
            REQUIRE(running.wait_until([&] {
                return running.status().engine.last_feed_sequence >= feed &&
                       running.status().retention.compacted_segments > 3;
            }));
        }
        running.stop();
    }
    JournalReport report;
    REQUIRE(verify_journal(folder.path(), report).is_ok());
    CHECK(report.fault_count == 0);
    CHECK(report.compacted.segments > 3);
    ReplayReport replayed;
    const Failure failure = replay_run(folder.path(), folder / "copy", replayed);
    CHECK_MESSAGE(failure.is_ok(), failure.text);
    CHECK(replayed.after > 0);
    CHECK(replayed.has_ended);
}
