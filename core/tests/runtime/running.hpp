// Engine and venue as they run, each on its threads, over a network in memory.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/runtime/core.hpp"
#include "gm/runtime/venue_server.hpp"
#include "runtime/memory_network.hpp"
#include "runtime/settings_block.hpp"
#include "wave.hpp"

namespace gm::test {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::size_t kBars = 700;
inline constexpr std::uint8_t kTapeId = 5;

inline std::vector<TapeRow> wave_tape(std::size_t bars = kBars) {
    std::vector<TapeRow> rows;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(bars); ++i) {
        BarClose bar{};
        bar.start_ts_ns = kStartNs + i * kHalfHourNs;
        bar.duration_s = 1800;
        bar.open_ticks = wave(i == 0 ? 0 : i - 1);
        bar.close_ticks = wave(i);
        bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + 3;
        bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - 3;
        bar.volume_lots = 10;
        rows.push_back(make_row(RecordType::kBarClose, 0, bar));
    }
    return rows;
}

inline VenueSettings venue_settings() {
    VenueSettings settings{};
    settings.seed = 7;
    settings.orders_max = 1024;
    settings.partial_fill_ppm = 300'000;
    settings.reject_ppm = 50'000;
    settings.commission_micros_per_lot = 2;
    return settings;
}

// A venue on a thread of its own, on the sockets of a run directory.
class RunningVenue {
 public:
    RunningVenue(MemoryNetwork& network, const std::string& run_dir, std::vector<TapeRow> tape,
                 std::uint8_t tape_id = kTapeId, VenueServerSettings server_settings = {})
        : tape_(std::move(tape)) {
        REQUIRE(venue.open(venue_settings(), make_settings().instruments[0], tape_).is_ok());
        Endpoints endpoints;
        REQUIRE(find_endpoints(run_dir, run_dir + "/r", endpoints).is_ok());
        server_settings.feed_endpoint = endpoints.feed;
        server_settings.orders_endpoint = endpoints.orders;
        server_settings.tape_id[0] = tape_id;
        server_settings.linger_ns = 50'000'000;
        REQUIRE(server.open(zmq_, &network, server_settings, venue).is_ok());
        thread_ = std::thread([this] { failure_ = server.run(); });
    }
    ~RunningVenue() {
        server.stop();
        join();
    }
    void join() {
        if (thread_.joinable()) thread_.join();
        CHECK_MESSAGE(failure_.is_ok(), failure_.text);
    }

    Venue venue;
    VenueServer server;

 private:
    ZmqTable zmq_ = MemoryNetwork::table();
    std::vector<TapeRow> tape_;
    Failure failure_;
    std::thread thread_;
};

struct RunningCore {
    ZmqTable zmq = MemoryNetwork::table();
    std::unique_ptr<Core> core = std::make_unique<Core>();
    std::int64_t policy_budget_ns = 0;
    std::int64_t snapshot_every_ns = kSnapshotEveryNs;
    std::int64_t disk_floor_ppm = kDiskFloorPpm;
    std::uint64_t segment_bytes = 1U << 20;
    RetentionSettings retention;

    Failure open(MemoryNetwork& network, const std::string& run_dir,
                 Driver driver = Driver::kInline, const Settings& with = make_settings()) {
        CoreSettings settings;
        settings.run_dir = run_dir;
        settings.runtime_directory = run_dir + "/r";
        settings.driver = driver;
        settings.journal_segment_bytes = segment_bytes;
        settings.retention = retention;
        settings.policy_budget_ns = policy_budget_ns;
        settings.snapshot_every_ns = snapshot_every_ns;
        settings.disk_floor_ppm = disk_floor_ppm;
        return core->open(settings_block(with), settings, zmq, &network);
    }
    void start(MemoryNetwork& network, const std::string& run_dir,
               Driver driver = Driver::kInline) {
        const Failure failure = open(network, run_dir, driver);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        REQUIRE(core->start().is_ok());
    }
    template <typename Condition>
    bool wait_until(Condition&& condition) {
        const std::int64_t until_ns = monotonic_ns() + 30 * kSecond;
        while (monotonic_ns() < until_ns) {
            if (condition()) return true;
            if (core->wait(kSecond / 1000)) return condition();
        }
        return false;
    }
    void wait_for_end() {
        const bool has_ended = wait_until([&] { return core->has_ended(); });
        REQUIRE_MESSAGE(has_ended, describe(core->phase()) << core->failure().text);
    }
    void stop() {
        core->request_stop();
        REQUIRE(core->wait(10 * kSecond));
        CHECK(core->phase() == Phase::kStopped);
        core->close();
    }
    StatusReading status() const {
        StatusReading reading;
        REQUIRE(core->read_status(reading));
        return reading;
    }
};

inline std::vector<Slot> read_journal(const std::string& run_dir) {
    JournalReader reader;
    REQUIRE(reader.open(journal_folder(run_dir)).is_ok());
    std::vector<Slot> records;
    Slot slot{};
    while (reader.next(slot)) records.push_back(slot);
    REQUIRE_MESSAGE(reader.failure().is_ok(), reader.failure().text);
    return records;
}

}  // namespace gm::test
