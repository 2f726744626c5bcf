// A start from a snapshot is the start from record 1, byte for byte; a snapshot that is damaged,
// foreign or ahead of the journal is left alone, and the one before it is taken.
#include "gm/runtime/snapshots.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/model_block.hpp"
#include "gm/base/crc32c.hpp"
#include "gm/journal/verify.hpp"
#include "gm/runtime/start_replay.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/recorded_life.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::check_same;
using test::life_settings;
using test::one_life;
using test::RandomLife;
using test::read;
using test::Recording;
using test::recover;
using test::recover_from_first;
using test::Recovered;

// The header changed, and sealed again.
void edit_header(const std::string& path, const std::function<void(SnapshotHeader&)>& edit) {
    std::vector<std::uint8_t> file = read(path);
    SnapshotHeader header{};
    std::memcpy(&header, file.data(), sizeof header);
    edit(header);
    header.crc32c = crc32c(&header, offsetof(SnapshotHeader, crc32c));
    std::memcpy(file.data(), &header, sizeof header);
    test::write_file(path, file);
}

}  // namespace

TEST_CASE("a start from a snapshot ends where the start from record 1 ends, wherever it was cut") {
    const RandomLife& life = one_life();
    std::mt19937_64 random(1);
    for (int i = 0; i < 12; ++i) {
        const std::size_t records = 3'000 + random() % (life.written.size() - 3'000);
        const TemporaryFolder folder;
        Recording made(folder / "run", life, records);
        REQUIRE(made.written > 3);
        CHECK(list_snapshots(folder / "run").size() == kSnapshotsKept);
        const Recovered found = recover(folder / "run");
        CHECK(found.snapshot.sequence == made.snapshots.written_sequence());
        CHECK(found.snapshot.skipped.empty());
        check_same(found, recover_from_first(folder / "run"));
    }
}

TEST_CASE("each damage of a snapshot is refused, and the one before it is taken") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    const Recording made(run, one_life(), 6'000);
    const std::vector<std::string> all = list_snapshots(run);
    REQUIRE(all.size() == 3);
    const std::vector<std::uint8_t> whole = read(all[0]);
    const Recovered wanted = recover_from_first(run);
    const auto check_second = [&](const std::string& why) {
        const Recovered found = recover(run);
        REQUIRE(found.snapshot.skipped.size() == 1);
        CHECK_MESSAGE(found.snapshot.skipped[0].find(why) != std::string::npos,
                      found.snapshot.skipped[0]);
        CHECK(snapshot_path(run, found.snapshot.sequence) == all[1]);
        check_same(found, wanted);
        test::write_file(all[0], whole);
    };
    for (std::size_t at = 0; at < sizeof(SnapshotHeader); at += 5) {
        auto bytes = whole;
        bytes[at] ^= 1;
        test::write_file(all[0], bytes);
        check_second("checksum");
    }
    for (std::size_t at = sizeof(SnapshotHeader); at < whole.size(); at += whole.size() / 7) {
        auto bytes = whole;
        bytes[at] ^= 0x80;
        test::write_file(all[0], bytes);
        check_second("SHA-256");
    }
    for (const std::size_t size : {std::size_t{0}, std::size_t{255}, whole.size() / 2}) {
        test::write_file(all[0],
                         {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
        check_second(size < 256 ? "ends after" : "bytes of state");
    }
    edit_header(all[0], [](SnapshotHeader& header) { header.build_sha256[3] ^= 1; });
    check_second("another build");
    edit_header(all[0], [](SnapshotHeader& header) { header.settings_sha256[31] ^= 1; });
    check_second("other settings");
    edit_header(all[0], [](SnapshotHeader& header) { header.schema += 1; });
    check_second("schema");
    edit_header(all[0], [](SnapshotHeader& header) { header.journal_id += 1; });
    check_second("is of journal");
    edit_header(all[0], [](SnapshotHeader& header) { header.sequence += 1'000'000; });
    check_second("its block ends with record");
    edit_header(all[0], [](SnapshotHeader& header) { header.sealed_digest[0] ^= 1; });
    check_second("is not the one that it stands behind");
    edit_header(all[0], [](SnapshotHeader& header) { header.begin.digest[0] ^= 1; });
    check_second("does not follow block");
    edit_header(all[0], [](SnapshotHeader& header) { header.begin.slot += 1; });
    check_second("does not follow block");
    edit_header(all[0], [](SnapshotHeader& header) { header.begin.segment_first_sequence += 1; });
    check_second("has no segment");
    // All of them: from record 1.
    for (const std::string& path : all) test::write_file(path, {});
    const Recovered found = recover(run);
    CHECK(found.snapshot.skipped.size() == 3);
    CHECK(found.snapshot.sequence == 0);
    check_same(found, wanted);
}

TEST_CASE("snapshots of a journal that lost its tail, or went another way, are left alone") {
    const TemporaryFolder folder;
    const Recording longer(folder / "long", one_life(), 6'000, 77);
    for (const std::size_t records : {std::size_t{400}, std::size_t{3'000}}) {
        const std::string run = folder / ("short" + std::to_string(records));
        const Recording shorter(run, one_life(), records, 77);
        std::filesystem::remove_all(snapshot_folder(run));
        std::filesystem::copy(snapshot_folder(folder / "long"), snapshot_folder(run));
        const Recovered found = recover(run);
        CHECK(found.snapshot.sequence == 0);
        CHECK(found.snapshot.skipped.size() == 3);
        check_same(found, recover_from_first(run));
    }
    RandomLife other(life_settings(), 12, 30);
    other.live(1'100);
    const Recording elsewhere(folder / "other", other, other.written.size(), 77);
    std::filesystem::remove_all(snapshot_folder(folder / "other"));
    std::filesystem::copy(snapshot_folder(folder / "long"), snapshot_folder(folder / "other"));
    const Recovered found = recover(folder / "other");
    CHECK(found.snapshot.skipped.size() == 3);
    check_same(found, recover_from_first(folder / "other"));
}

TEST_CASE("what another journal or build has left takes no place from ours, and goes in the end") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    std::filesystem::create_directories(run);
    const auto write = [&](std::uint64_t journal, std::uint64_t sequence, std::uint8_t build) {
        SnapshotHeader header{};
        header.journal_id = journal;
        header.sequence = sequence;
        header.build_sha256[0] = build;
        std::vector<std::uint8_t> file(sizeof header + 16);
        REQUIRE(write_snapshot_file(run, header, file).is_ok());
    };
    for (const std::uint64_t sequence : {900, 901, 902}) write(1, sequence, 1);
    write(2, 10, 1);
    write(2, 11, 2);
    CHECK(list_snapshots(run).size() == 5);  // those before have higher numbers
    write(2, 12, 1);
    CHECK(list_snapshots(run).size() == 6);
    write(2, 13, 1);
    CHECK(list_snapshots(run) == std::vector<std::string>{snapshot_path(run, 13),
                                                          snapshot_path(run, 12),
                                                          snapshot_path(run, 10)});
    write(2, 14, 1);
    CHECK(list_snapshots(run).back() == snapshot_path(run, 12));
}

TEST_CASE("a start reads nothing before its snapshot, and everything behind it") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    const Recording made(run, one_life(), 6'000);
    std::vector<SegmentFile> segments;
    REQUIRE(list_segments(journal_folder(run), segments).is_ok());
    REQUIRE(segments.size() > 4);
    const Recovered wanted = recover_from_first(run);
    const std::vector<std::uint8_t> first = read(segments[0].path);
    auto damaged = first;
    damaged[5'000] ^= 1;
    test::write_file(segments[0].path, damaged);
    check_same(recover(run), wanted);
    JournalReport report;
    REQUIRE(verify_journal(run, report).is_ok());
    CHECK(report.fault_count > 0);  // gm verify reads all of it
    // Not even there: who keeps only what the oldest snapshot needs can still start.
    std::filesystem::remove(segments[0].path);
    check_same(recover(run), wanted);
    test::write_file(segments[0].path, first);
    // Behind it a fault stops the start, whatever snapshot it begins with.
    const std::vector<std::uint8_t> last = read(segments.back().path);
    damaged = last;
    damaged[2 * sizeof(Slot)] ^= 1;
    test::write_file(segments.back().path, damaged);
    const Recovered found = recover(run);
    CHECK(found.failure.status == Status::kJournalCorrupt);
}

TEST_CASE("a state that is not that of its record is found by the first record that differs") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    const Recording made(run, one_life(), 6'000);
    const std::vector<std::string> all = list_snapshots(run);
    std::vector<std::uint8_t> older = read(all[1]);
    SnapshotHeader header{};
    SnapshotHeader newest{};
    std::memcpy(&header, older.data(), sizeof header);
    std::memcpy(&newest, read(all[0]).data(), sizeof newest);
    header.sequence = newest.sequence;
    header.sealed_block = newest.sealed_block;
    std::memcpy(header.sealed_digest, newest.sealed_digest, sizeof header.sealed_digest);
    REQUIRE(write_snapshot_file(run, header, older).is_ok());
    const Recovered found = recover(run);
    CHECK(found.failure.status == Status::kReplayDiverged);
    CHECK_MESSAGE(found.failure.text.find(all[0]) != std::string::npos, found.failure.text);
}

TEST_CASE("a model that came while the engine ran is loaded again, from the same block alone") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    auto header = test::model_header();
    header.bundle_sha256[0] = 1;
    const auto block =
        test::model_block(test::make_settings(), header, test::make_settings().agents[0]);
    RandomLife life(life_settings(), 13, 30);
    life.live(250);
    auto model = std::make_shared<Model>();
    REQUIRE(load_model(block, *model).is_ok());
    life.models.push_back(model);
    const ModelCommand shadow = test::make_shadow(life, block);
    life.live(200);
    std::filesystem::create_directories(run + "/models");
    test::write_file(model_path(run, test::digest_of(shadow)), block);
    Recording made(run, life, life.written.size());
    const Recovered wanted = recover_from_first(run);
    const Recovered found = recover(run);
    CHECK(found.snapshot.sequence > 0);
    check_same(found, wanted);
    auto other = block;
    reinterpret_cast<ModelHeader*>(other.data())->threshold = 0.6;
    test::write_file(model_path(run, test::digest_of(shadow)), other);
    CHECK(recover(run).snapshot.skipped.size() == 3);
    std::filesystem::remove(model_path(run, test::digest_of(shadow)));
    CHECK(recover(run).snapshot.skipped.size() == 3);
}

TEST_CASE("a core makes snapshots while it runs, and its next life goes on from one") {
    for (const Driver driver : {Driver::kInline, Driver::kThreaded}) {
        const TemporaryFolder folder;
        test::MemoryNetwork network;
        test::RunningVenue venue(network, folder.path(), test::wave_tape());
        std::uint64_t went_on_from = 0;
        for (const std::uint64_t feed : {300U, 700U, 0U}) {
            test::RunningCore running;
            running.snapshot_every_ns = 1;
            running.start(network, folder.path(), driver);
            CHECK(running.core->report().snapshot.skipped.empty());
            CHECK(running.core->report().snapshot.sequence >= went_on_from);
            went_on_from = running.core->report().snapshot.sequence;
            if (feed == 0) {
                running.wait_for_end();
            } else {
                REQUIRE(running.wait_until([&] {
                    return running.status().engine.last_feed_sequence >= feed &&
                           !list_snapshots(folder.path()).empty();
                }));
            }
            running.stop();
        }
        CHECK(went_on_from > 0);
        ReplayReport report;
        const Failure replayed = replay_run(folder.path(), folder / "copy", report);
        CHECK_MESSAGE(replayed.is_ok(), replayed.text);
        CHECK(report.epoch == 3);
        CHECK(report.has_ended);
    }
}
