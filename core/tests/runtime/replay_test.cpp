// A journal replays to the same bytes, from wherever a kill cut it, and a changed one is found.
#include "gm/runtime/replay.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/model_block.hpp"
#include "engine/rig.hpp"
#include "engine/two_levels.hpp"
#include "gm/base/sha256.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/recorded_rig.hpp"
#include "runtime/settings_block.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::write_journal;

// A life of an engine: some 400 bars with orders among them.
std::vector<Slot> trade_a_while(const Settings& settings) {
    test::Rig rig(settings);
    test::begin(rig, settings);
    for (int i = 0; i < 400; ++i) rig.wave_bar();
    REQUIRE(rig.engine->totals().fills > 2);
    return rig.written;
}

Failure replay(const std::string& run_dir, const Settings& settings, ReplayReport& report) {
    const auto engine = std::make_unique<Engine>();
    REQUIRE(engine->open(settings).is_ok());
    return replay_journal(journal_folder(run_dir), settings, *engine, nullptr, report);
}

// The same records, with commands about models that say of which file they are.
std::vector<Slot> naming_block(std::vector<Slot> records, const Sha256Digest& block,
                               std::uint8_t change) {
    for (Slot& slot : records) {
        if (slot.type() != RecordType::kModelCommand) continue;
        auto command = slot.as<ModelCommand>();
        std::memcpy(command.block_sha256_head, block.data(), sizeof command.block_sha256_head);
        command.block_sha256_head[15] ^= change;
        std::memcpy(slot.payload, &command, sizeof command);
    }
    return records;
}

bool is_same(const Slot& left, const Slot& right) {
    return std::memcmp(&left, &right, offsetof(Slot, trailer) + 16) == 0;
}

}  // namespace

TEST_CASE("a whole journal replays to the same bytes, also on disk") {
    const Settings settings = test::loaded_settings();
    const auto records = trade_a_while(settings);
    const TemporaryFolder folder;
    write_journal(folder / "run", records);
    ReplayReport report;
    const Failure failure = replay(folder / "run", settings, report);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    CHECK(report.records == records.size());
    CHECK(report.epoch == 1);
    CHECK(report.missing.empty());
    CHECK_FALSE(report.is_clean);

    const auto block = test::settings_block(test::make_settings());
    std::ofstream(folder / "run/settings.bin", std::ios::binary)
        .write(reinterpret_cast<const char*>(block.data()),
               static_cast<std::streamsize>(block.size()));
    const Failure copied = replay_run(folder / "run", folder / "copy", report);
    CHECK_MESSAGE(copied.is_ok(), copied.text);
    CHECK(report.records == records.size());
    CHECK(replay_run(folder / "run", folder / "copy", report).status == Status::kBadArgument);
}

// When a sync happened is no input, and stands in the chain records all the same.
TEST_CASE("a journal with marks of syncs, and one of before them, replay to the same bytes") {
    const Settings settings = test::loaded_settings();
    const auto records = trade_a_while(settings);
    for (const bool has_marks : {true, false}) {
        const TemporaryFolder folder;
        SegmentWriter writer;
        SegmentSettings segment_settings;
        segment_settings.run_directory = folder / "run";
        segment_settings.segment_bytes = 1U << 16;
        if (!has_marks) writer.copy_marks({false, 0});
        REQUIRE(writer.open(segment_settings).is_ok());
        for (std::size_t done = 0; done < records.size();) {
            const std::size_t count = std::min<std::size_t>(1 + done % 700, records.size() - done);
            REQUIRE(writer.append(std::span(records).subspan(done, count)).is_ok());
            if (done % 3 == 0) REQUIRE(writer.sync().is_ok());
            done += count;
        }
        REQUIRE(writer.close().is_ok());
        const auto block = test::settings_block(test::make_settings());
        std::ofstream(folder / "run/settings.bin", std::ios::binary)
            .write(reinterpret_cast<const char*>(block.data()),
                   static_cast<std::streamsize>(block.size()));
        ReplayReport report;
        const Failure copied = replay_run(folder / "run", folder / "copy", report);
        CHECK_MESSAGE(copied.is_ok(), copied.text);
        CHECK(report.records == records.size());
    }
}

TEST_CASE("a run of two levels replays to the same bytes, wherever a standing direction is cut") {
    const Settings settings = test::loaded_settings(test::two_level_settings(test::kSaysExecute));
    test::TwoLevelRig rig(settings);
    rig.half_hours(300);
    REQUIRE(rig.intents().size() > 3);
    std::size_t stands_at = 0;
    for (std::size_t i = 0; i < rig.written.size(); ++i) {
        const Slot& slot = rig.written[i];
        if (slot.type() != RecordType::kTacticalDecision) continue;
        if (slot.as<TacticalDecision>().standing != 0) stands_at = i;
    }
    for (const std::size_t size : {rig.written.size(), stands_at + 1, stands_at}) {
        const TemporaryFolder folder;
        write_journal(folder.path(), std::span(rig.written).first(size));
        ReplayReport report;
        const Failure failure = replay(folder.path(), settings, report);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        CHECK(report.records == size);
        for (std::size_t i = 0; i < report.missing.size(); ++i) {
            CHECK(is_same(report.missing[i], rig.written[size + i]));
        }
    }
    auto changed = rig.written;
    changed[stands_at].payload[13] ^= 3;  // the standing direction
    const TemporaryFolder folder;
    write_journal(folder.path(), changed);
    ReplayReport report;
    CHECK(replay(folder.path(), settings, report).status == Status::kReplayDiverged);
}

TEST_CASE("a journal cut anywhere inside a step gives back what the step still owed") {
    const Settings settings = test::loaded_settings();
    const auto records = trade_a_while(settings);
    // Steps with many outputs: those of the last bars before an order.
    const auto intent = std::ranges::find_if(
        records, [](const Slot& slot) { return slot.type() == RecordType::kIntent; });
    REQUIRE(intent != records.end());
    const auto at = static_cast<std::size_t>(intent - records.begin());
    for (std::size_t size = at - 3; size < at + 12; ++size) {
        const TemporaryFolder folder;
        write_journal(folder.path(), std::span(records).first(size));
        ReplayReport report;
        const Failure failure = replay(folder.path(), settings, report);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        CHECK(report.records == size);
        std::size_t owed = size;
        while (owed < records.size() &&
               records[owed].trailer.input_sequence == records[size - 1].trailer.input_sequence) {
            ++owed;
        }
        REQUIRE(report.missing.size() == owed - size);
        for (std::size_t i = 0; i < report.missing.size(); ++i) {
            CHECK(is_same(report.missing[i], records[size + i]));
        }
    }
}

TEST_CASE("a changed input or output is found and its journal sequence named") {
    const Settings settings = test::loaded_settings();
    const auto records = trade_a_while(settings);
    const auto refused = [&](std::size_t at, std::size_t byte) {
        auto changed = records;
        reinterpret_cast<std::uint8_t*>(&changed[at])[byte] ^= 1;
        const TemporaryFolder folder;
        write_journal(folder.path(), changed);
        ReplayReport report;
        const Failure failure = replay(folder.path(), settings, report);
        CHECK(failure.status == Status::kReplayDiverged);
        return failure.text;
    };
    const auto find = [&](RecordType type) {
        for (std::size_t i = records.size(); i-- > 0;) {
            if (records[i].type() == type) return i;
        }
        return std::size_t{0};
    };
    const std::size_t decision = find(RecordType::kDecision);
    CHECK(refused(decision, 60).find("record " + std::to_string(decision + 1) + " ") !=
          std::string::npos);
    const std::size_t position = find(RecordType::kPosition);
    CHECK(refused(position, 40).find("record " + std::to_string(position + 1) + " ") !=
          std::string::npos);
    // A price of the feed: the first thing that it changes is an output after it.
    const std::size_t close = find(RecordType::kBarClose);
    CHECK(refused(close, 40 + offsetof(BarClose, close_ticks)).find("journal record ") == 0);
    // An input that was consumed before.
    auto repeated = records;
    repeated[close].header.first_sequence = 1;
    const TemporaryFolder folder;
    write_journal(folder.path(), repeated);
    ReplayReport report;
    CHECK(replay(folder.path(), settings, report).status == Status::kReplayDiverged);
}

TEST_CASE("a journal of other settings is foreign") {
    const Settings settings = test::loaded_settings();
    const auto records = trade_a_while(settings);
    const TemporaryFolder folder;
    write_journal(folder.path(), records);
    Settings other = settings;
    other.sha256[0] ^= 1;
    ReplayReport report;
    const Failure failure = replay(folder.path(), other, report);
    CHECK(failure.status == Status::kJournalForeign);
    CHECK(failure.text.find("--run-dir") != std::string::npos);
}

TEST_CASE("a run directory without a journal is an empty one") {
    const Settings settings = test::loaded_settings();
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "journal");
    ReplayReport report;
    const Failure failure = replay(folder.path(), settings, report);
    CHECK_MESSAGE(failure.is_ok(), failure.text);
    CHECK(report.records == 0);
    CHECK(report.epoch == 0);
    CHECK(report.is_clean);
}

TEST_CASE("a run in which models were swapped replays from what its directory keeps of them") {
    const Settings settings = test::loaded_settings();
    const Settings contrary = test::make_settings(-50.0F);
    ModelHeader header = test::model_header();
    header.bundle_sha256[0] = 7;
    const auto block = test::model_block(contrary, header, contrary.agents[0]);

    test::Rig rig(settings);
    test::begin(rig, settings);
    for (int i = 0; i < 800; ++i) rig.wave_bar();
    ModelCommand command = test::make_shadow(rig, block);
    const Sha256Digest digest = test::digest_of(command);
    for (int i = 0; i < 20; ++i) rig.wave_bar();
    command.action = ModelAction::kPromote;
    rig.io(RecordType::kModelCommand, command);
    for (int i = 0; i < 20; ++i) rig.wave_bar();
    REQUIRE(rig.records<Decision>(RecordType::kDecision).back().model == 1);
    REQUIRE(rig.records<Decision>(RecordType::kShadowDecision).size() == 20);

    const TemporaryFolder folder;
    const std::string path = model_path(folder.path(), digest);
    const auto replay_with = [&](bool has_file) {
        std::filesystem::remove(path);
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        if (has_file) test::write_file(path, block);
        ReplayReport report;
        return replay(folder.path(), settings, report);
    };
    write_journal(folder.path(), rig.written);
    const Failure failure = replay_with(true);
    CHECK_MESSAGE(failure.is_ok(), failure.text);
    const Failure gone = replay_with(false);
    CHECK(gone.status == Status::kReplayDiverged);
    CHECK_MESSAGE(gone.text.find(path) != std::string::npos, gone.text);

    // The command says which file it was: another one is told at once, whatever it decides.
    const Sha256Digest of_block = sha256(block.data(), block.size());
    const auto say_block = [&](std::uint8_t change) {
        std::filesystem::remove_all(journal_folder(folder.path()));
        std::filesystem::remove(folder / "journal.anchor");
        write_journal(folder.path(), naming_block(rig.written, of_block, change));
        return replay_with(true);
    };
    CHECK(say_block(0).is_ok());
    const Failure changed = say_block(1);
    CHECK(changed.status == Status::kReplayDiverged);
    CHECK_MESSAGE(changed.text.find("not the file that was taken as model 1") != std::string::npos,
                  changed.text);
}
