// Steps the inputs of a journal again and compares every output, private to what replays.
#pragma once

#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/runtime/endpoints.hpp"
#include "gm/runtime/replay.hpp"

namespace gm {

// Header, payload, input and journal sequence: all that the engine decides. The checksum and the
// guard word after them follow from these.
inline constexpr std::size_t kComparedSize =
    offsetof(Slot, trailer) + offsetof(SlotTrailer, crc32c);
inline constexpr std::uint64_t kScratchSlots = 4 * Engine::kStepRecordsMax;

inline bool is_input(const Slot& slot) noexcept {
    return slot.header.source != static_cast<std::uint16_t>(Source::kEngine);
}

class Replayer {
 public:
    Replayer(const Settings& settings, Engine& engine, std::string run_directory,
             ReplayReport& report)
        : settings_(settings),
          engine_(engine),
          run_directory_(std::move(run_directory)),
          report_(report) {}

    Failure open(const ReplayStart& start = {}) {
        report_.records = start.sequence;
        report_.io_sequence = start.io_sequence;
        report_.epoch = start.epoch;
        report_.has_ended = start.has_ended;
        report_.is_clean = start.sequence == 0;  // a snapshot is of one that was alive
        Failure failure = ring_.open_anonymous(kScratchSlots, start.sequence);
        if (failure.is_ok()) failure = orders_.open(kScratchSlots);
        outputs_.emplace(ring_, orders_, nullptr);
        return failure;
    }

    // One record of the journal: the next that the engine makes, or the next input for it.
    Failure take(const Slot& record) {
        if (ring_.front().empty()) {
            if (!is_input(record)) return diverged(record, "the replay makes no such output");
            Failure failure = note(record);
            if (!failure.is_ok()) return failure;
            engine_.step(record, *outputs_);
            while (orders_.front() != nullptr) orders_.pop();  // bounded by one step
        }
        const std::span<const Slot> made = ring_.front();
        if (made.empty()) return diverged(record, "the replay does not take this input");
        if (std::memcmp(&made[0], &record, kComparedSize) != 0) {
            if (record.type() == RecordType::kModelUpdate && !missing_model_.empty()) {
                return diverged(record, "the model that was taken here is gone: " + missing_model_);
            }
            return diverged(
                record, "the replay made a record of type " + std::to_string(made[0].header.type));
        }
        last_made_ = made[0];
        ring_.pop(1);
        ++report_.records;
        report_.outputs += is_input(record) ? 0 : 1;
        return ok();
    }

    void finish() {
        for (auto left = ring_.front(); !left.empty(); left = ring_.front()) {  // of one step
            report_.missing.insert(report_.missing.end(), left.begin(), left.end());
            ring_.pop(left.size());
        }
        report_.last_ts_ns = engine_.now_ns();
    }

    [[nodiscard]] const Slot& last_made() const noexcept { return last_made_; }
    // What take() found instead of the record that it refused; all zero: nothing.
    [[nodiscard]] Slot next_made() noexcept {
        const std::span<const Slot> made = ring_.front();
        return made.empty() ? Slot{} : made[0];
    }

 private:
    Failure note(const Slot& input) {
        ++report_.inputs;
        if (static_cast<Source>(input.header.source) == Source::kIo) {
            report_.io_sequence = input.header.first_sequence;
        }
        switch (input.type()) {
            case RecordType::kEpoch: return note_epoch(input.as<Epoch>());
            case RecordType::kEnd: report_.has_ended = true; break;
            case RecordType::kStop: break;
            case RecordType::kModelCommand: return offer_model(input.as<ModelCommand>());
            default: return ok();
        }
        report_.is_clean = true;
        return ok();
    }

    Failure note_epoch(const Epoch& epoch) {
        report_.epoch = epoch.epoch;
        report_.is_clean = false;
        if (std::memcmp(epoch.settings_sha256, settings_.sha256, sizeof settings_.sha256) == 0) {
            return ok();
        }
        return fail(Status::kJournalForeign,
                    "the journal's epoch " + std::to_string(epoch.epoch) +
                        " was written under other settings; restore them, or name a fresh "
                        "directory with --run-dir");
    }

    // The engine must find what it found then. A refused model was perhaps never there.
    Failure offer_model(const ModelCommand& command) {
        if (command.action != ModelAction::kShadow) return ok();
        Sha256Digest digest;
        std::memcpy(digest.data(), command.sha256, digest.size());
        const auto model = std::make_shared<Model>();
        const std::string path = model_path(run_directory_, digest);
        std::vector<std::uint8_t> block;
        missing_model_ = std::filesystem::exists(path) ? "" : path;
        if (!missing_model_.empty()) return ok();
        Failure failure = read_file(path, block);
        if (failure.is_ok()) failure = check_block(command, block);
        if (failure.is_ok()) failure = load_model(block, *model);
        if (!failure.is_ok()) return fail(failure.status, path + ": " + failure.text);
        (void)engine_.models().collect();
        (void)engine_.models().offer(model);  // nothing is offered: one command takes one model
        return ok();
    }

    // Is the file still the one that was taken? Commands that do not say are believed.
    [[nodiscard]] static Failure check_block(const ModelCommand& command,
                                             std::span<const std::uint8_t> block) {
        constexpr std::uint8_t kNotSaid[sizeof command.block_sha256_head] = {};
        const Sha256Digest found = sha256(block.data(), block.size());
        if (std::memcmp(command.block_sha256_head, kNotSaid, sizeof kNotSaid) == 0 ||
            std::memcmp(command.block_sha256_head, found.data(), sizeof kNotSaid) == 0) {
            return ok();
        }
        return fail(Status::kReplayDiverged, "not the file that was taken as model " +
                                                 std::to_string(command.model) +
                                                 ": its SHA-256 is another than the journal's");
    }

    [[nodiscard]] static Failure diverged(const Slot& record, const std::string& what) {
        return fail(Status::kReplayDiverged,
                    "journal record " + std::to_string(record.trailer.journal_sequence) +
                        " of type " + std::to_string(record.header.type) + ": " + what);
    }

    const Settings& settings_;
    Engine& engine_;
    std::string run_directory_;
    std::string missing_model_;  // that the last command named
    ReplayReport& report_;
    JournalRing ring_;
    SpscRing<Slot> orders_;
    std::optional<Outputs> outputs_;
    Slot last_made_{};
};

}  // namespace gm
