// The journal beside the plain ring (G16), and its way to the disk and back.
//
// Sketch: an append writes the same two lines as a ring push, plus a commit word on the second of
// them, so about one push. Draining is a copy, a CRC-32C (120 bytes in 15 dependent steps of 3
// cycles) and a SHA-256 of 128 bytes a record: 64 bytes take the SHA instructions some 30 ns, so
// about 60 ns; reading back costs the same. Without the chain it is the CRC and the copy alone.
// Conditions: one thread; append and push go in bursts of 64 into rings of the same size, in turns
// (ABAB), drained outside the timed part; the journal ring is a file in /dev/shm, as live, the
// segments lie in the folder given (default /dev/shm: no disk in the figure). Every record is
// counted on its way back, and the journal verified.
//
//   bench_journal [--json] [FOLDER]      exit 0; 1 if something came back wrong
#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/journal/drain.hpp"
#include "gm/journal/journal_reader.hpp"
#include "gm/journal/journal_ring.hpp"
#include "gm/journal/segments.hpp"
#include "gm/journal/verify.hpp"
#include "gm/ring/spsc_ring.hpp"
#include "gm/wire/payload.hpp"

namespace {

constexpr std::size_t kBurst = 64;
constexpr std::size_t kBursts = 4096;
constexpr int kRounds = 9;
constexpr std::uint64_t kRecords = 2'000'000;

struct Result {
    double append_ns = 0;
    double push_ns = 0;
    double ratio = 0;
    double ratio_worst = 0;
    double drain_per_s = 0;
    double verify_per_s = 0;
    double read_per_s = 0;
    double start_ms = 0;
    double resume_ms = 0;
};

gm::Slot make_record(std::uint64_t sequence) {
    gm::Trade trade{};
    trade.price_ticks = static_cast<std::int64_t>(sequence % 1000);
    return gm::make_slot(gm::RecordType::kTrade, gm::Source::kVenueFeed, sequence, 1, trade);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// Nanoseconds a record over all bursts of a round.
double time_appends(gm::JournalRing& ring, gm::Slot& slot) {
    std::int64_t total_ns = 0;
    for (std::size_t burst = 0; burst < kBursts; ++burst) {
        const std::int64_t begin_ns = gm::monotonic_ns();
        for (std::size_t i = 0; i < kBurst; ++i) ring.append(slot);
        total_ns += gm::monotonic_ns() - begin_ns;
        for (auto waiting = ring.front(); !waiting.empty(); waiting = ring.front()) {
            ring.pop(waiting.size());
        }
    }
    return static_cast<double>(total_ns) / static_cast<double>(kBursts * kBurst);
}

double time_pushes(gm::SpscRing<gm::Slot>& ring, gm::Slot& slot, bool& is_right) {
    std::array<gm::Slot, kBurst> out;
    std::int64_t total_ns = 0;
    for (std::size_t burst = 0; burst < kBursts; ++burst) {
        const std::int64_t begin_ns = gm::monotonic_ns();
        for (std::size_t i = 0; i < kBurst; ++i) {
            is_right = ring.push(slot) == gm::Status::kOk && is_right;
        }
        total_ns += gm::monotonic_ns() - begin_ns;
        is_right = ring.pop_batch(out) == kBurst && is_right;
    }
    return static_cast<double>(total_ns) / static_cast<double>(kBursts * kBurst);
}

bool measure_append(const std::string& folder, Result& result) {
    gm::JournalRing journal;
    gm::SpscRing<gm::Slot> ring;
    if (!journal.open(folder + "/ring").is_ok()) return false;
    if (!ring.open(gm::kJournalRingSlots).is_ok()) return false;
    gm::Slot slot = make_record(1);
    std::vector<double> appends;
    std::vector<double> pushes;
    std::vector<double> ratios;
    bool is_right = true;
    for (int round = 0; round < kRounds; ++round) {
        appends.push_back(time_appends(journal, slot));
        pushes.push_back(time_pushes(ring, slot, is_right));
        ratios.push_back(appends.back() / pushes.back());
    }
    result.append_ns = median(appends);
    result.push_ns = median(pushes);
    result.ratio = median(ratios);
    result.ratio_worst = *std::max_element(ratios.begin(), ratios.end());
    return is_right && journal.next_sequence() == kRounds * kBursts * kBurst + 1;
}

double per_second(std::int64_t begin_ns) {
    return static_cast<double>(kRecords) * 1e9 / static_cast<double>(gm::monotonic_ns() - begin_ns);
}

bool measure_drain(const std::string& run_directory, Result& result) {
    gm::JournalRing ring;
    gm::SegmentWriter segments;
    gm::DrainReport report;
    gm::SegmentSettings settings;
    settings.run_directory = run_directory;
    if (!ring.open_anonymous().is_ok()) return false;
    const std::int64_t start_ns = gm::monotonic_ns();
    if (!segments.open(settings).is_ok()) return false;
    result.start_ms = static_cast<double>(gm::monotonic_ns() - start_ns) / 1e6;
    if (!gm::drain_ring_into_segments(ring, segments, report).is_ok()) return false;
    gm::JournalDrain drain(ring, segments);
    gm::Slot slot = make_record(1);
    const std::int64_t begin_ns = gm::monotonic_ns();
    for (std::uint64_t done = 0; done < kRecords && !drain.has_failed();) {
        const std::uint64_t count = std::min<std::uint64_t>(2048, kRecords - done);
        for (std::uint64_t i = 0; i < count; ++i) ring.append(slot);
        drain.turn(gm::monotonic_ns());
        done += count;
    }
    drain.finish();
    result.drain_per_s = per_second(begin_ns);
    return !drain.has_failed() && segments.last_sequence() == kRecords;
}

bool measure_read(const std::string& run_directory, Result& result) {
    std::vector<double> verified;
    std::vector<double> read;
    for (int round = 0; round < 5; ++round) {
        gm::JournalReport report;
        std::int64_t begin_ns = gm::monotonic_ns();
        if (!gm::verify_journal(run_directory, report).is_ok()) return false;
        verified.push_back(per_second(begin_ns));
        if (report.fault_count != 0 || report.end.records != kRecords) return false;

        gm::JournalReader reader;
        begin_ns = gm::monotonic_ns();
        if (!reader.open(gm::journal_folder(run_directory), false).is_ok()) return false;
        std::uint64_t records = 0;
        for (auto block = reader.next_block(); !block.empty(); block = reader.next_block()) {
            records += block.size();
        }
        read.push_back(per_second(begin_ns));
        if (records != kRecords) return false;
    }
    result.verify_per_s = median(verified);
    result.read_per_s = median(read);
    gm::SegmentWriter segments;
    gm::SegmentSettings settings;
    settings.run_directory = run_directory;
    const std::int64_t begin_ns = gm::monotonic_ns();
    if (!segments.open(settings).is_ok()) return false;
    result.resume_ms = static_cast<double>(gm::monotonic_ns() - begin_ns) / 1e6;
    return true;
}

void print(const Result& result, bool as_json) {
    if (as_json) {
        std::printf(
            "{\"append_ns\": %.2f, \"push_ns\": %.2f, \"append_to_push\": %.3f, "
            "\"append_to_push_max\": %.3f, \"drain_per_s\": %.0f, \"verify_per_s\": %.0f, "
            "\"read_per_s\": %.0f, \"first_start_ms\": %.1f, \"resume_ms\": %.1f}\n",
            result.append_ns, result.push_ns, result.ratio, result.ratio_worst, result.drain_per_s,
            result.verify_per_s, result.read_per_s, result.start_ms, result.resume_ms);
        return;
    }
    std::printf("journal append                 %8.2f ns a record\n", result.append_ns);
    std::printf("ring push                      %8.2f ns a record\n", result.push_ns);
    std::printf("append / push, median, max     %8.2f, %.2f   (G16: at most 2)\n", result.ratio,
                result.ratio_worst);
    std::printf("append and drain, one thread   %8.2f M records/s\n", result.drain_per_s / 1e6);
    std::printf("verify: CRC and chain          %8.2f M records/s\n", result.verify_per_s / 1e6);
    std::printf("read: CRC alone                %8.2f M records/s\n", result.read_per_s / 1e6);
    std::printf("resume on 2 M records          %8.1f ms\n", result.resume_ms);
    std::printf("first segment, 256 MiB zeroed  %8.1f ms\n", result.start_ms);
}

}  // namespace

int main(int argument_count, char** arguments) {
    bool as_json = false;
    std::string base = "/dev/shm";
    for (int i = 1; i < argument_count; ++i) {
        if (std::strcmp(arguments[i], "--json") == 0) {
            as_json = true;
        } else {
            base = arguments[i];
        }
    }
    std::string folder = base + "/gm-bench-journal-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) {
        std::fprintf(stderr, "cannot make a folder in %s\n", base.c_str());
        return 1;
    }
    Result result;
    const bool is_right = measure_append(folder, result) &&
                          measure_drain(folder + "/run", result) &&
                          measure_read(folder + "/run", result);
    std::filesystem::remove_all(folder);
    if (!is_right) {
        std::fprintf(stderr, "bench_journal: something came back wrong\n");
        return 1;
    }
    print(result, as_json);
    return 0;
}
