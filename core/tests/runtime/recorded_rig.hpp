// An engine whose records become a run directory.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/rig.hpp"
#include "gm/engine/models.hpp"
#include "gm/journal/segments.hpp"

namespace gm::test {

inline void write_file(const std::string& path, const std::vector<std::uint8_t>& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
}

inline void write_journal(const std::string& run_dir, std::span<const Slot> records) {
    SegmentWriter writer;
    SegmentSettings settings;
    settings.run_directory = run_dir;
    settings.segment_bytes = 1U << 20;
    REQUIRE(writer.open(settings).is_ok());
    REQUIRE(writer.append(records).is_ok());
    REQUIRE(writer.close().is_ok());
}

// The first records of a run: a journal says which settings wrote it.
inline void begin(Rig& rig, const Settings& settings) {
    Epoch epoch{};
    epoch.epoch = 1;
    std::memcpy(epoch.settings_sha256, settings.sha256, sizeof epoch.settings_sha256);
    rig.io(RecordType::kEpoch, epoch);
    SessionEvent event{};
    event.connection = 1;
    rig.io(RecordType::kConnected, event);
}

// Hands in a model of the number 1 and makes it a shadow; the command, for what comes behind.
inline ModelCommand make_shadow(Rig& rig, const std::vector<std::uint8_t>& block) {
    auto model = std::make_shared<Model>();
    REQUIRE(load_model(block, *model).is_ok());
    ModelCommand command{};
    command.model = 1;
    std::memcpy(command.sha256, model->sha256.data(), sizeof command.sha256);
    command.action = ModelAction::kShadow;
    REQUIRE(rig.engine->models().offer(model));
    rig.io(RecordType::kModelCommand, command);
    return command;
}

inline Sha256Digest digest_of(const ModelCommand& command) {
    Sha256Digest digest;
    std::memcpy(digest.data(), command.sha256, digest.size());
    return digest;
}

}  // namespace gm::test
