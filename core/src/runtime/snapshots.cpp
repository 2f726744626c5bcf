#include "gm/runtime/snapshots.hpp"

#include <cstring>
#include <memory>

#include "gm/base/build_id.hpp"
#include "gm/base/clock.hpp"
#include "gm/journal/block_walker.hpp"

namespace gm {
namespace {

bool is_digest(const std::uint8_t* bytes, const Sha256Digest& digest) noexcept {
    return std::memcmp(bytes, digest.data(), digest.size()) == 0;
}

// Whether the journal still holds what the snapshot stands behind: walks the few blocks from where
// reading will begin to the one whose digest the snapshot knows.
Failure check_chain(const RecoveryPlace& place, const SnapshotHeader& header) {
    BlockWalker walker;
    WalkSettings settings{.folder = journal_folder(place.run_dir), .from = header.begin};
    Failure failure = walker.open(settings);
    if (!failure.is_ok()) return failure;
    walker.watch_block(header.sealed_block);
    while (walker.watched_digest() == nullptr) {  // bounded by the journal
        const BlockWalker::Step step = walker.next();
        if (step == BlockWalker::Step::kFailed) return walker.failure();
        if (step == BlockWalker::Step::kFault) {
            return fail(Status::kBadArgument, walker.fault().text);
        }
        if (step == BlockWalker::Step::kEnd) break;
    }
    const Sha256Digest* digest = walker.watched_digest();
    if (digest != nullptr && is_digest(header.sealed_digest, *digest)) return ok();
    return fail(Status::kBadArgument, "block " + std::to_string(header.sealed_block) +
                                          " of the journal is not the one that it stands behind");
}

Failure check_header(const RecoveryPlace& place, const Settings& settings,
                     const SnapshotHeader& header) {
    const auto refuse = [](const std::string& why) { return fail(Status::kBadArgument, why); };
    const Sha256Digest build = build_sha256();
    if (!is_digest(header.build_sha256, build) || build == Sha256Digest{}) {
        return refuse("is of another build");
    }
    if (std::memcmp(header.settings_sha256, settings.sha256, sizeof settings.sha256) != 0) {
        return refuse("was made under other settings");
    }
    if (header.journal_id != place.journal_id) {
        return refuse("is of journal " + std::to_string(header.journal_id) + ", not of " +
                      std::to_string(place.journal_id));
    }
    if (header.sequence > place.last_sequence) {
        return refuse("stands behind record " + std::to_string(header.sequence) +
                      ", the journal ends with record " + std::to_string(place.last_sequence));
    }
    return check_chain(place, header);
}

// A model that came while the engine ran lies in the run directory.
Failure load_kept_model(const std::string& run_dir, const Sha256Digest& sha256, ModelPointer& out) {
    const std::string path = model_path(run_dir, sha256);
    const auto model = std::make_shared<Model>();
    std::vector<std::uint8_t> block;
    Failure failure = read_file(path, block);
    if (failure.is_ok()) failure = load_model(block, *model);
    if (!failure.is_ok()) return fail(failure.status, path + ": " + failure.text);
    out = model;
    return ok();
}

// Leaves the engine as it was saved, or in no state to be used.
Failure restore_from(const std::string& path, const RecoveryPlace& place, const Settings& settings,
                     Engine& engine, SnapshotHeader& header) {
    std::vector<std::uint8_t> file;
    Failure failure = read_snapshot_file(path, header, file);
    if (!failure.is_ok()) return failure;
    failure = check_header(place, settings, header);
    if (failure.is_ok()) failure = engine.open(settings);
    if (failure.is_ok()) {
        failure =
            engine.restore(std::span(file).subspan(sizeof header),
                           [&](const Sha256Digest& sha256, const Sha256Digest&, ModelPointer& out) {
                               return load_kept_model(place.run_dir, sha256, out);
                           });
    }
    return failure.is_ok() ? failure : fail(failure.status, path + ": " + failure.text);
}

}  // namespace

void Snapshots::open(Engine& engine, const Settings& settings, const std::string& run_dir,
                     const SegmentWriter& segments, const SnapshotPace& pace) {
    const Sha256Digest build = build_sha256();
    pace_ = pace;
    is_on_ = build != Sha256Digest{} && (pace.every_ns != 0 || pace.every_records != 0);
    if (!is_on_) return;
    run_dir_ = run_dir;
    file_.resize(sizeof header_ + engine.snapshot_size());
    header_ = {};
    header_.journal_id = segments.journal_id();
    std::memcpy(header_.build_sha256, build.data(), build.size());
    std::memcpy(header_.settings_sha256, settings.sha256, sizeof header_.settings_sha256);
    place_ = segments.sealed_place();
    copied_ns_ = monotonic_ns();
}

bool Snapshots::is_due(std::uint64_t sequence) const noexcept {
    if (pace_.every_records != 0) return sequence >= copied_sequence_ + pace_.every_records;
    return monotonic_ns() - copied_ns_ >= pace_.every_ns;
}

void Snapshots::copy_if_due(Engine& engine, std::uint64_t sequence,
                            std::uint64_t io_sequence) noexcept {
    if (!is_on_ || sequence == copied_sequence_ || !is_due(sequence)) return;
    // Acquire: pairs with the release in write_if_synced().
    if (is_full_.load(std::memory_order_acquire)) return;
    // A life that ends has its last words before it.
    if (engine.state() == EngineState::kStopping || engine.state() == EngineState::kEnded) return;
    copied_ns_ = monotonic_ns();
    copied_sequence_ = sequence;
    size_ = engine.save(std::span(file_).subspan(sizeof header_));
    if (size_ == 0) return;  // never: the buffer was sized by the same list
    header_.sequence = sequence;
    header_.io_sequence = io_sequence;
    header_.epoch = engine.epoch();
    header_.has_ended = engine.has_ended() ? 1 : 0;
    is_full_.store(true, std::memory_order_release);  // pairs with write_if_synced()
}

Failure Snapshots::write_if_synced(const SegmentWriter& segments, std::uint64_t synced_sequence) {
    if (!is_on_) return ok();
    if (!is_full_.load(std::memory_order_acquire)) {
        // While it copies, the engine writes nothing: what is sealed by now is not behind it.
        place_ = segments.sealed_place();
        return ok();
    }
    if (synced_sequence < header_.sequence) return ok();
    const ChainPlace sealed = segments.sealed_place();
    if (sealed.last_sequence < header_.sequence) return ok();
    header_.begin = place_;
    header_.sealed_block = sealed.blocks;
    std::memcpy(header_.sealed_digest, sealed.digest, sizeof header_.sealed_digest);
    Failure failure =
        write_snapshot_file(run_dir_, header_, std::span(file_).first(sizeof header_ + size_));
    if (failure.is_ok()) written_sequence_.store(header_.sequence, std::memory_order_relaxed);
    place_ = sealed;
    is_full_.store(false, std::memory_order_release);  // pairs with copy_if_due()
    return failure;
}

Failure recover_engine(const RecoveryPlace& place, const Settings& settings, Engine& engine,
                       ReplayReport& replay, SnapshotReport& report) {
    report = {};
    const std::string folder = journal_folder(place.run_dir);
    for (const std::string& path : list_snapshots(place.run_dir)) {  // a few files
        const auto header = std::make_unique<SnapshotHeader>();
        Failure failure = restore_from(path, place, settings, engine, *header);
        if (!failure.is_ok()) {
            engine = Engine();  // half restored it would be no beginning for another try
            report.skipped.push_back(failure.text);
            continue;
        }
        report.sequence = header->sequence;
        failure = replay_behind(folder, settings, engine,
                                {header->begin, header->sequence, header->io_sequence,
                                 header->epoch, header->has_ended != 0},
                                replay);
        // Doubt halts. Whoever deletes the file has the whole journal replayed instead.
        if (failure.is_ok() || failure.status != Status::kReplayDiverged) return failure;
        return fail(failure.status, failure.text + "; it went on from " + path);
    }
    if (Failure failure = engine.open(settings); !failure.is_ok()) return failure;
    return replay_behind(folder, settings, engine, {}, replay);
}

}  // namespace gm
