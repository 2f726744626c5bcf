#include "gm/runtime/snapshots.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "gm/base/build_id.hpp"
#include "gm/base/clock.hpp"
#include "gm/journal/anchor.hpp"
#include "gm/journal/block_walker.hpp"
#include "gm/journal/journal_file.hpp"

namespace gm {
namespace {

bool is_digest(const std::uint8_t* bytes, const Sha256Digest& digest) noexcept {
    return std::memcmp(bytes, digest.data(), digest.size()) == 0;
}

// Whether the journal still holds what the snapshot stands behind: walks the few blocks from where
// reading will begin to the one whose digest the snapshot knows.
Failure check_chain(const std::string& run_dir, const SnapshotHeader& header) {
    BlockWalker walker;
    WalkSettings settings{.folder = journal_folder(run_dir), .from = header.begin};
    settings.tail_slots_max = kTailSlotsMax;
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
    if (digest != nullptr && is_digest(header.sealed_digest, *digest)) {
        if (walker.end().last_sequence >= header.sequence) return ok();
        return fail(Status::kBadArgument, "stands behind record " +
                                              std::to_string(header.sequence) +
                                              ", its block ends with record " +
                                              std::to_string(walker.end().last_sequence));
    }
    return fail(Status::kBadArgument, "block " + std::to_string(header.sealed_block) +
                                          " of the journal is not the one that it stands behind");
}

Failure check_header(const std::string& run_dir, const Settings& settings,
                     const SnapshotHeader& header) {
    const auto refuse = [](const std::string& why) { return fail(Status::kBadArgument, why); };
    const Sha256Digest build = build_sha256();
    if (!is_digest(header.build_sha256, build) || build == Sha256Digest{}) {
        return refuse("is of another build");
    }
    if (std::memcmp(header.settings_sha256, settings.sha256, sizeof settings.sha256) != 0) {
        return refuse("was made under other settings");
    }
    AnchorRecord anchor{};
    (void)JournalAnchor::read(anchor_path(run_dir), anchor);  // without it there is no journal
    if (header.journal_id != anchor.journal_id) {
        return refuse("is of journal " + std::to_string(header.journal_id) + ", not of " +
                      std::to_string(anchor.journal_id));
    }
    return check_chain(run_dir, header);
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
Failure restore_from(const std::string& path, const std::string& run_dir, const Settings& settings,
                     Engine& engine, SnapshotHeader& header) {
    std::vector<std::uint8_t> file;
    Failure failure = read_snapshot_file(path, header, file);
    if (!failure.is_ok()) return failure;
    failure = check_header(run_dir, settings, header);
    if (failure.is_ok()) failure = engine.open(settings);
    if (failure.is_ok()) {
        failure =
            engine.restore(std::span(file).subspan(sizeof header),
                           [&](const Sha256Digest& sha256, const Sha256Digest&, ModelPointer& out) {
                               return load_kept_model(run_dir, sha256, out);
                           });
    }
    return failure.is_ok() ? failure : fail(failure.status, path + ": " + failure.text);
}

ReplayStart start_of(const SnapshotHeader& header) {
    return {header.begin, header.sequence, header.io_sequence, header.epoch, header.has_ended != 0};
}

// The journal has no record 1 any more, and no snapshot is of use.
Failure no_way_back(const SegmentFile& first, const std::vector<std::string>& skipped,
                    const std::string& advice) {
    std::string text = "market data before record " + std::to_string(first.first_sequence) +
                       " is gone (journal.retention_gb, journal.retention_days), and no snapshot "
                       "to go on from can be used";
    for (const std::string& why : skipped) text += "; " + why;
    return fail(Status::kJournalForeign, text + advice);
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
    Failure failure = write_snapshot_file(
        run_dir_, header_, std::span(file_).first(sizeof header_ + size_), keeps_one_a_segment_);
    if (failure.is_ok()) written_sequence_.store(header_.sequence, std::memory_order_relaxed);
    place_ = sealed;
    is_full_.store(false, std::memory_order_release);  // pairs with copy_if_due()
    return failure;
}

Failure restore_newest(const std::string& run_dir, const Settings& settings, Engine& engine,
                       ReplayStart& start, SnapshotReport& report) {
    start = {};
    report = {};
    for (const std::string& path : list_snapshots(run_dir)) {  // a few files
        const auto header = std::make_unique<SnapshotHeader>();
        Failure failure = restore_from(path, run_dir, settings, engine, *header);
        if (failure.is_ok()) {
            report.sequence = header->sequence;
            start = start_of(*header);
            return failure;
        }
        engine = Engine();  // half restored it would be no beginning for another try
        report.skipped.push_back(failure.text);
    }
    std::vector<SegmentFile> segments;
    const std::string folder = journal_folder(run_dir);
    if (exists(folder)) {
        Failure failure = list_segments(folder, segments);
        if (!failure.is_ok()) return failure;
    }
    if (!segments.empty() && segments[0].first_sequence != 1) {
        return no_way_back(segments[0], report.skipped,
                           "; start the build that wrote it, or name a fresh directory with "
                           "--run-dir");
    }
    return engine.open(settings);
}

std::uint64_t first_segment_needed(const std::string& run_dir, const Settings& settings) {
    std::size_t usable = 0;
    std::uint64_t needed = ~std::uint64_t{0};
    for (const std::string& path : list_snapshots(run_dir)) {  // some, and one a segment
        const auto header = std::make_unique<SnapshotHeader>();
        std::vector<std::uint8_t> file;
        if (!read_snapshot_file(path, *header, file).is_ok() ||
            !check_header(run_dir, settings, *header).is_ok()) {
            continue;
        }
        needed = std::min(needed, header->begin.segment_first_sequence);
        usable += 1;
        if (usable == kSnapshotsKept) break;
    }
    return usable < 2 ? 0 : needed;
}

Failure open_from_snapshot(const std::string& run_dir, const Settings& settings, Engine& engine,
                           ReplayStart& start, std::uint64_t before_sequence) {
    std::vector<SegmentFile> segments;
    Failure failure = list_segments(journal_folder(run_dir), segments);
    if (failure.is_ok() && segments.empty()) {
        failure = fail(Status::kBadArgument, "no journal in " + journal_folder(run_dir));
    }
    if (!failure.is_ok()) return failure;
    std::vector<std::string> paths = list_snapshots(run_dir);
    if (before_sequence == 0) std::ranges::reverse(paths);
    std::vector<std::string> skipped;
    for (const std::string& path : paths) {  // some, and one a segment
        const auto header = std::make_unique<SnapshotHeader>();
        engine = Engine();  // half restored it would be no beginning for another try
        failure = restore_from(path, run_dir, settings, engine, *header);
        if (!failure.is_ok()) {
            skipped.push_back(failure.text);
        } else if (before_sequence != 0 && header->sequence >= before_sequence) {
            skipped.push_back(path + ": stands behind the record");
        } else {
            start = start_of(*header);
            return ok();
        }
    }
    return no_way_back(segments[0], skipped, "");
}

}  // namespace gm
