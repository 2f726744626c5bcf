// A long life of an engine on the disk of a run directory, with snapshots, and starts from it.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/bracket_rig.hpp"
#include "engine/listener.hpp"
#include "engine/model_block.hpp"
#include "engine/random_life.hpp"
#include "gm/journal/segments.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/snapshots.hpp"
#include "gm/runtime/start_replay.hpp"
#include "runtime/recorded_rig.hpp"
#include "runtime/settings_block.hpp"

namespace gm::test {

inline const Settings& life_settings() {
    static const Settings settings = test::loaded_settings(test::bracketed(2.0, 3.0, true));
    return settings;
}

inline const RandomLife& one_life() {
    static const auto life = [] {
        auto made = std::make_unique<RandomLife>(life_settings(), 11, 30);
        made->live(1'100);
        return made;
    }();
    REQUIRE(life->written.size() > 6'500);
    return *life;
}

// The life told again, into a run directory, with a snapshot of every few hundred records.
struct Recording {
    explicit Recording(const std::string& run_dir, const RandomLife& life, std::size_t records,
                       std::uint64_t journal_id = 0, std::uint64_t segment_bytes = 1U << 16,
                       bool keeps_one_a_segment = false)
        : listener(life_settings(), life.models) {
        SegmentSettings segments;
        segments.run_directory = run_dir;
        segments.segment_bytes = segment_bytes;
        segments.journal_id = journal_id;
        REQUIRE(writer.open(segments).is_ok());
        snapshots.open(*listener.engine, life_settings(), run_dir, writer, {1, 0});
        if (keeps_one_a_segment) snapshots.keep_one_a_segment();
        listener.on_made = [&](std::span<const Slot> made) {
            REQUIRE(writer.append(made).is_ok());
        };
        std::mt19937_64 random(3);
        for (std::size_t at = 0; at < records;) {
            REQUIRE(listener.step(life.written, at));
            if (random() % 10 == 0) REQUIRE(writer.sync().is_ok());
            if (random() % 100 == 0) {
                snapshots.copy_if_due(*listener.engine, at, 0);
                copied = at;
            }
            const std::uint64_t before = snapshots.written_sequence();
            REQUIRE(snapshots.write_if_synced(writer, writer.synced_sequence()).is_ok());
            if (snapshots.written_sequence() != before) {
                // The journal is on the disk first.
                CHECK(snapshots.written_sequence() <= writer.synced_sequence());
                ++written;
            }
        }
        REQUIRE(writer.close().is_ok());
        REQUIRE(snapshots.write_if_synced(writer, writer.synced_sequence()).is_ok());
    }

    Listener listener;
    SegmentWriter writer;
    Snapshots snapshots;
    std::size_t copied = 0;
    int written = 0;
};

struct Recovered {
    ReplayReport replay;
    SnapshotReport snapshot;
    Failure failure;
    std::vector<std::uint8_t> state;
};

inline std::vector<std::uint8_t> state_of(Engine& engine) {
    std::vector<std::uint8_t> bytes(engine.snapshot_size());
    bytes.resize(engine.save(bytes));
    return bytes;
}

inline Recovered recover(const std::string& run_dir) {
    Recovered made;
    const auto engine = std::make_unique<Engine>();
    SegmentWriter writer;
    SegmentSettings settings;
    settings.run_directory = run_dir;
    settings.segment_bytes = 1U << 16;
    StartReplay start;
    const Failure replayed =
        start.run(run_dir, life_settings(), *engine, made.replay, made.snapshot);
    made.failure = writer.open(settings, start.walk());
    if (made.failure.is_ok()) made.failure = replayed.is_ok() ? start.finish(writer) : replayed;
    if (made.failure.is_ok()) made.state = state_of(*engine);
    return made;
}

// What a start without snapshots comes to.
inline Recovered recover_from_first(const std::string& run_dir) {
    Recovered made;
    const auto engine = std::make_unique<Engine>();
    REQUIRE(engine->open(life_settings()).is_ok());
    made.failure =
        replay_journal(journal_folder(run_dir), life_settings(), *engine, nullptr, made.replay);
    REQUIRE_MESSAGE(made.failure.is_ok(), made.failure.text);
    made.state = state_of(*engine);
    return made;
}

inline void check_same(const Recovered& left, const Recovered& right) {
    REQUIRE_MESSAGE(left.failure.is_ok(), left.failure.text);
    CHECK(left.state == right.state);
    CHECK(left.replay.records == right.replay.records);
    CHECK(left.replay.io_sequence == right.replay.io_sequence);
    CHECK(left.replay.last_ts_ns == right.replay.last_ts_ns);
    CHECK(left.replay.epoch == right.replay.epoch);
    CHECK(left.replay.has_ended == right.replay.has_ended);
    CHECK(left.replay.is_clean == right.replay.is_clean);
    REQUIRE(left.replay.missing.size() == right.replay.missing.size());
    for (std::size_t i = 0; i < left.replay.missing.size(); ++i) {
        CHECK(std::memcmp(&left.replay.missing[i], &right.replay.missing[i],
                          offsetof(Slot, trailer) + 16) == 0);
    }
}

inline std::vector<std::uint8_t> read(const std::string& path) {
    std::vector<std::uint8_t> bytes;
    REQUIRE(read_file(path, bytes).is_ok());
    return bytes;
}

}  // namespace gm::test
