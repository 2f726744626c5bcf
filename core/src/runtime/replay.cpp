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
#include "replayer.hpp"

namespace gm {
namespace {

constexpr std::size_t kFileSizeMax = 256U << 20;

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
                       SegmentWriter* copy, ReplayReport& report, const ReplayStart& start) {
    report = {};
    auto replayer = std::make_unique<Replayer>(
        settings, engine, std::filesystem::path(folder).parent_path().string(), report);
    ReadAhead reader;
    Failure failure = replayer->open(start);
    if (failure.is_ok()) failure = reader.open({.folder = folder, .from = start.place});
    std::vector<Slot> made;
    std::uint64_t blocks = 0;
    while (failure.is_ok()) {  // bounded by the journal
        const std::span<const Slot> block = reader.next_block();
        if (block.empty()) break;
        made.clear();
        for (const Slot& record : block) {
            if (record.trailer.journal_sequence <= start.sequence) continue;
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

Failure replay_until(const std::string& folder, const Settings& settings, Engine& engine,
                     ReplayTarget& target, const ReplayStart& start) {
    ReplayReport report;
    auto replayer = std::make_unique<Replayer>(
        settings, engine, std::filesystem::path(folder).parent_path().string(), report);
    ReadAhead reader;
    Failure failure = replayer->open(start);
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
        if (failure.is_ok()) {
            failure = replay_journal(folder, settings, *engine, nullptr, report, start);
        }
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
