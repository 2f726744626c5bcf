#include "gm/runtime/replay.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "gm/base/sha256.hpp"
#include "gm/runtime/endpoints.hpp"
#include "gm/runtime/read_ahead.hpp"
#include "gm/runtime/snapshots.hpp"

namespace gm {
namespace {

// Header, payload, input and journal sequence: all that the engine decides. The checksum and the
// guard word after them follow from these.
constexpr std::size_t kComparedSize = offsetof(Slot, trailer) + offsetof(SlotTrailer, crc32c);
constexpr std::uint64_t kScratchSlots = 4 * Engine::kStepRecordsMax;
constexpr std::size_t kFileSizeMax = 256U << 20;

bool is_input(const Slot& slot) noexcept {
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

    Failure open(std::uint64_t position = 0) {
        Failure failure = ring_.open_anonymous(kScratchSlots, position);
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

// Files of two journals, the copy's name for name. Behind the last record both hold zeros.
Failure compare_journals(const std::string& folder, const std::string& copy) {
    std::vector<SegmentFile> segments;
    if (Failure failure = list_segments(folder, segments); !failure.is_ok()) return failure;
    for (const SegmentFile& segment : segments) {
        std::vector<std::uint8_t> original;
        std::vector<std::uint8_t> made;
        const std::string twin = copy + "/" + segment_name(segment.first_sequence);
        Failure failure = read_file(segment.path, original);
        if (failure.is_ok()) failure = read_file(twin, made);
        if (!failure.is_ok()) return failure;
        const auto [left, right] =
            std::mismatch(original.begin(), original.end(), made.begin(), made.end());
        if (left == original.end() && right == made.end()) continue;
        return fail(Status::kReplayDiverged, segment.path + " and " + twin + " differ at byte " +
                                                 std::to_string(left - original.begin()));
    }
    return ok();
}

}  // namespace

Failure read_file(const std::string& path, std::vector<std::uint8_t>& out) {
    const auto close = [](std::FILE* file) { (void)std::fclose(file); };
    const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rbe"), close);
    if (file == nullptr) {
        return fail(Status::kSystemCallFailed,
                    "open " + path + ": " + std::generic_category().message(errno));
    }
    out.clear();
    std::vector<std::uint8_t> piece(1U << 20);
    for (;;) {  // bounded by kFileSizeMax
        const std::size_t got = std::fread(piece.data(), 1, piece.size(), file.get());
        out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
        if (out.size() > kFileSizeMax + kFileSizeMax) {
            return fail(Status::kBadArgument,
                        path + " is over " + std::to_string(2 * kFileSizeMax) + " bytes");
        }
        if (got < piece.size()) break;
    }
    if (std::ferror(file.get()) != 0) return fail(Status::kSystemCallFailed, "read " + path);
    return ok();
}

Failure replay_journal(const std::string& folder, const Settings& settings, Engine& engine,
                       SegmentWriter* copy, ReplayReport& report) {
    report = {};
    auto replayer = std::make_unique<Replayer>(
        settings, engine, std::filesystem::path(folder).parent_path().string(), report);
    ReadAhead reader;
    Failure failure = replayer->open();
    if (failure.is_ok()) failure = reader.open(folder);
    std::vector<Slot> made;
    std::uint64_t blocks = 0;
    while (failure.is_ok()) {  // bounded by the journal
        const std::span<const Slot> block = reader.next_block();
        if (block.empty()) break;
        made.clear();
        for (const Slot& record : block) {
            failure = replayer->take(record);
            if (!failure.is_ok()) return failure;
            if (copy != nullptr) made.push_back(replayer->last_made());
        }
        if (copy == nullptr) continue;
        copy->copy_marks(reader.marks());
        failure = copy->append(made);
        // The last block of a process that was killed is still open.
        if (failure.is_ok() && reader.blocks() != blocks) failure = copy->seal_block();
        blocks = reader.blocks();
    }
    if (failure.is_ok()) failure = reader.failure();
    replayer->finish();
    return failure;
}

Failure replay_behind(const std::string& folder, const Settings& settings, Engine& engine,
                      const ReplayStart& start, ReplayReport& report) {
    report = {};
    report.records = start.sequence;
    report.io_sequence = start.io_sequence;
    report.epoch = start.epoch;
    report.has_ended = start.has_ended;
    report.is_clean = start.sequence == 0;  // a snapshot is of one that was alive
    auto replayer = std::make_unique<Replayer>(
        settings, engine, std::filesystem::path(folder).parent_path().string(), report);
    ReadAhead reader;
    Failure failure = replayer->open(start.sequence);
    WalkSettings walk{.folder = folder, .from = start.place};
    walk.tail_slots_max = kTailSlotsMax;
    if (failure.is_ok()) failure = reader.open(walk);
    while (failure.is_ok()) {  // bounded by the journal
        const std::span<const Slot> block = reader.next_block();
        if (block.empty()) break;
        for (const Slot& record : block) {
            if (record.trailer.journal_sequence <= start.sequence) continue;
            failure = replayer->take(record);
            if (!failure.is_ok()) return failure;
        }
    }
    if (failure.is_ok()) failure = reader.failure();
    replayer->finish();
    return failure;
}

Failure replay_until(const std::string& folder, const Settings& settings, Engine& engine,
                     ReplayTarget& target, const ReplayStart& start) {
    ReplayReport report;
    report.records = start.sequence;
    auto replayer = std::make_unique<Replayer>(
        settings, engine, std::filesystem::path(folder).parent_path().string(), report);
    ReadAhead reader;
    Failure failure = replayer->open(start.sequence);
    if (failure.is_ok()) failure = reader.open({.folder = folder, .from = start.place});
    if (!failure.is_ok()) return failure;
    bool is_found = false;
    for (auto block = reader.next_block(); !block.empty(); block = reader.next_block()) {
        for (const Slot& record : block) {  // bounded by the journal
            if (record.trailer.journal_sequence <= start.sequence) continue;
            if (is_found && is_input(record)) return ok();
            failure = replayer->take(record);
            if (record.trailer.journal_sequence == target.sequence) {
                is_found = true;
                target.journalled = record;
                target.made = failure.is_ok() ? replayer->last_made() : replayer->next_made();
                const bool is_same_type = target.made.header.type == record.header.type;
                if (!failure.is_ok() && is_same_type) return ok();
            }
            if (!failure.is_ok()) return failure;
        }
    }
    if (is_found) return ok();
    if (!reader.failure().is_ok()) return reader.failure();
    return fail(Status::kBadArgument, "the journal ends at record " +
                                          std::to_string(report.records) + ", before record " +
                                          std::to_string(target.sequence));
}

Failure replay_run(const std::string& run_dir, const std::string& output_dir,
                   ReplayReport& report) {
    std::vector<std::uint8_t> block;
    Failure failure = read_file(run_dir + "/settings.bin", block);
    Settings settings;
    if (failure.is_ok()) failure = load_settings(block, settings);
    const auto engine = std::make_unique<Engine>();
    std::vector<SegmentFile> segments;
    const std::string folder = journal_folder(run_dir);
    if (failure.is_ok()) failure = list_segments(folder, segments);
    if (!failure.is_ok()) return failure;
    if (segments.empty()) return fail(Status::kBadArgument, "no journal in " + folder);
    if (segments[0].first_sequence != 1) {
        ReplayStart start;
        failure = open_from_snapshot(run_dir, settings, *engine, start);
        if (failure.is_ok()) failure = replay_behind(folder, settings, *engine, start, report);
        report.after = start.sequence;
        return failure;
    }
    failure = engine->open(settings);
    if (!failure.is_ok()) return failure;

    // The copy has the journal's id and segment size, so that its files can be the same.
    JournalFile first;
    SegmentSettings copy_settings;
    SegmentHeader header{};
    std::size_t got = 0;
    failure = first.open_to_read(segments[0].path);
    if (failure.is_ok()) {
        failure = first.read_at(0, std::as_writable_bytes(std::span(&header, 1)), got);
    }
    if (!failure.is_ok()) return failure;
    copy_settings.run_directory = output_dir;
    copy_settings.segment_bytes = header.segment_bytes;
    copy_settings.journal_id = header.journal_id;
    SegmentWriter copy;
    copy.copy_marks({header.has_synced_marks != 0, 0});
    failure = copy.open(copy_settings);
    if (failure.is_ok() && copy.last_sequence() != 0) {
        failure = fail(Status::kBadArgument, "output directory holds a journal: " + output_dir);
    }
    if (failure.is_ok()) failure = replay_journal(folder, settings, *engine, &copy, report);
    if (failure.is_ok()) failure = compare_journals(folder, journal_folder(output_dir));
    return failure;
}

}  // namespace gm
