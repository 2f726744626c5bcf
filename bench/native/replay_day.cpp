// Replay of a day of ticks (E4): the native half of bench_replay.py.
//
//   replay_day SETTINGS FOLDER TRADES ROUNDS
//
// SETTINGS is a settings.bin of one instrument. A day of TRADES trades is played once into a
// journal in FOLDER, and replayed ROUNDS times by what recovery and `gm replay` run: one thread
// reads and checks each record's CRC32C and each block's SHA-256, the other steps the engine,
// builds bars and compares every byte that it makes with what was written. No decision is among
// them: a day is too short for the features. Printed as JSON: of each round seconds, records and
// how much memory the process grew from its first tenth to its end.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/session/session.hpp"
#include "settings_file.hpp"
#include "synthetic_trades.hpp"

namespace {

constexpr std::int64_t kDayNs = 86'400'000'000'000;

// Resident memory now, in KiB.
long resident_kib() {
    long pages = 0;
    long resident = 0;
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr) return 0;
    const bool is_read = std::fscanf(file, "%ld %ld", &pages, &resident) == 2;
    std::fclose(file);
    return is_read ? resident * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

// Looks at the memory of a running replay.
class MemoryWatch {
 public:
    MemoryWatch()
        : thread_([this] {
              while (!must_stop_.load(std::memory_order_relaxed)) {
                  seen_kib_.push_back(resident_kib());
                  std::this_thread::sleep_for(std::chrono::milliseconds(5));
              }
          }) {}
    MemoryWatch(const MemoryWatch&) = delete;
    MemoryWatch& operator=(const MemoryWatch&) = delete;
    ~MemoryWatch() { stop(); }
    // Growth from the first tenth, when all is allocated, to the end.
    long growth_kib() {
        stop();
        return seen_kib_.empty() ? 0 : seen_kib_.back() - seen_kib_[seen_kib_.size() / 10];
    }

 private:
    void stop() {
        must_stop_.store(true, std::memory_order_relaxed);
        if (thread_.joinable()) thread_.join();
    }

    std::atomic<bool> must_stop_{false};
    std::vector<long> seen_kib_;
    std::thread thread_;
};

gm::Failure write_journal(const gm::Settings& settings, const std::string& folder,
                          std::size_t trades) {
    const std::vector<gm::TapeRow> tape =
        bench::synthetic_trades(trades, kDayNs / static_cast<std::int64_t>(trades + 1));
    gm::VenueSettings venue{};
    venue.orders_max = 1024;
    gm::SessionOptions options;
    options.run_directory = folder;
    options.keeps_records = false;
    gm::Session session;
    gm::Failure failure = session.open(settings, venue, tape, options);
    return failure.is_ok() ? session.run(UINT64_MAX) : failure;
}

gm::Failure replay(const gm::Settings& settings, const std::string& folder, std::size_t trades,
                   bool is_last) {
    const auto engine = std::make_unique<gm::Engine>();
    gm::Failure failure = engine->open(settings);
    if (!failure.is_ok()) return failure;
    gm::ReplayReport report;
    MemoryWatch memory;
    const std::int64_t from_ns = gm::monotonic_ns();
    failure = gm::replay_journal(gm::journal_folder(folder), settings, *engine, nullptr, report);
    const std::int64_t took_ns = gm::monotonic_ns() - from_ns;
    const long growth_kib = memory.growth_kib();
    if (!failure.is_ok()) return failure;
    if (report.inputs < trades || !report.has_ended || engine->totals().decisions != 0) {
        return gm::fail(gm::Status::kReplayDiverged,
                        "not the day that was written: " + std::to_string(report.inputs) +
                            " inputs, " + std::to_string(engine->totals().decisions) +
                            " decisions");
    }
    std::printf(
        "{\"seconds\": %.6f, \"trades\": %zu, \"records\": %llu, \"bars_5m\": %llu, "
        "\"bars_30m\": %llu, \"growth_kib\": %ld}%s",
        static_cast<double>(took_ns) / 1e9, trades, static_cast<unsigned long long>(report.records),
        static_cast<unsigned long long>(engine->desks()[0].closed_bars_5m),
        static_cast<unsigned long long>(engine->desks()[0].closed_bars_30m), growth_kib,
        is_last ? "" : ", ");
    return failure;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const std::string folder = argv[2];
    const std::size_t trades = std::strtoull(argv[3], nullptr, 10);
    const long rounds = std::strtol(argv[4], nullptr, 10);
    gm::Settings settings;
    gm::Failure failure = bench::load_settings_file(argv[1], settings);
    if (failure.is_ok()) failure = write_journal(settings, folder, trades);
    std::printf("[");
    for (long round = 1; round <= rounds && failure.is_ok(); ++round) {
        failure = replay(settings, folder, trades, round == rounds);
    }
    std::printf("]\n");
    if (failure.is_ok()) return 0;
    std::fprintf(stderr, "%s\n", failure.text.c_str());
    return 1;
}
