// P5, a restart until READY: the native half of bench_restart.py.
//
//   restart SETTINGS FOLDER LIBZMQ RECORDS ROUNDS [snapshot]
//
// SETTINGS is a settings.bin of one instrument. An engine trades RECORDS trades of a local venue in
// lockstep, over sockets; then it is stopped and started ROUNDS times while the venue lives on. A
// start is core->open() to the READY that the venue has answered. With "snapshot" the first
// thousand records lie before a snapshot, without it none is there and a start begins with record
// 1. Printed as JSON: of each round the ns to READY, of
// CPU time meanwhile, of open() in it, and of the replay in that.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/runtime/core.hpp"
#include "gm/runtime/venue_server.hpp"
#include "settings_file.hpp"
#include "synthetic_trades.hpp"

namespace {

constexpr std::size_t kSpareTrades = 400'000;  // for what the engine takes between two stops
constexpr std::int64_t kSpacingNs = 20'000'000;
constexpr std::int64_t kWaitNs = 600'000'000'000;
constexpr std::uint64_t kBeforeSnapshot = 1'000;

struct Bench {
    gm::ZmqTable zmq;
    void* context = nullptr;
    std::string folder;
    std::vector<std::uint8_t> block;
};

template <typename Condition>
bool wait_until(Condition condition) {
    const std::int64_t until_ns = gm::monotonic_ns() + kWaitNs;
    while (!condition()) {
        if (gm::monotonic_ns() > until_ns) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

// Of all threads: what a start costs, whoever else uses the machine.
std::int64_t cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

struct Start {
    std::int64_t ready_ns = 0;
    std::int64_t cpu_ns = 0;
    gm::StartReport report;
};

std::uint64_t fed(const gm::Core& core) {
    gm::StatusReading reading;
    return core.read_status(reading) ? reading.engine.last_feed_sequence : 0;
}

// One life until `wanted` feed records, or until READY where there is nothing to wait for.
gm::Failure live(const Bench& bench, std::uint64_t wanted, std::int64_t snapshot_every_ns,
                 Start& start) {
    gm::CoreSettings settings;
    settings.run_dir = bench.folder;
    settings.runtime_directory = bench.folder + "/r";
    settings.snapshot_every_ns = snapshot_every_ns;
    const auto core = std::make_unique<gm::Core>();
    const std::int64_t begin_cpu_ns = cpu_ns();
    const std::int64_t begin_ns = gm::monotonic_ns();
    gm::Failure failure = core->open(bench.block, settings, bench.zmq, bench.context);
    if (failure.is_ok()) failure = core->start();
    if (!failure.is_ok()) return failure;
    const bool is_ready = wait_until([&] { return core->is_ready() || !core->failure().is_ok(); });
    start.ready_ns = gm::monotonic_ns() - begin_ns;
    start.cpu_ns = cpu_ns() - begin_cpu_ns;
    start.report = core->report();
    const auto has_snapshot = [&] {
        return snapshot_every_ns == 0 || !gm::list_snapshots(bench.folder).empty();
    };
    const bool is_done =
        is_ready && wait_until([&] { return fed(*core) >= wanted && has_snapshot(); });
    core->request_stop();
    (void)core->wait(kWaitNs);
    core->close();
    if (!is_done) return gm::fail(gm::Status::kTimedOut, core->failure().text);
    return gm::ok();
}

gm::Failure run(const Bench& bench, std::uint64_t records, int rounds, bool has_snapshot) {
    Start start;
    gm::Failure failure = gm::ok();
    if (has_snapshot) failure = live(bench, kBeforeSnapshot, 1, start);
    if (failure.is_ok()) failure = live(bench, records, 0, start);
    std::printf("[");
    for (int i = 0; i < rounds && failure.is_ok(); ++i) {
        failure = live(bench, 0, 0, start);
        const gm::StartReport& report = start.report;
        std::printf(
            "%s{\"ready_ns\":%lld,\"cpu_ns\":%lld,\"open_ns\":%lld,\"replay_ns\":%lld,\"records\":%"
            "llu,"
            "\"snapshot\":%llu}",
            i == 0 ? "" : ",\n", static_cast<long long>(start.ready_ns),
            static_cast<long long>(start.cpu_ns), static_cast<long long>(report.open_ns),
            static_cast<long long>(report.replay_ns),
            static_cast<unsigned long long>(report.replay.records),
            static_cast<unsigned long long>(report.snapshot.sequence));
    }
    std::printf("]\n");
    return failure;
}

}  // namespace

int main(int count, char** values) {
    if (count < 6) {
        std::fputs("restart SETTINGS FOLDER LIBZMQ RECORDS ROUNDS [snapshot]\n", stderr);
        return 2;
    }
    Bench bench;
    bench.folder = values[2];
    const std::uint64_t records = std::strtoull(values[4], nullptr, 10);
    gm::Settings settings;
    gm::Failure failure = bench::load_settings_file(values[1], settings);
    if (failure.is_ok()) failure = gm::read_file(values[1], bench.block);
    if (failure.is_ok()) failure = resolve_zmq(values[3], gm::ZmqLibrary::kLoad, bench.zmq);
    gm::Endpoints endpoints;
    if (failure.is_ok()) failure = find_endpoints(bench.folder, bench.folder + "/r", endpoints);
    if (failure.is_ok()) failure = make_directories(endpoints);
    const std::vector<gm::TapeRow> tape =
        bench::synthetic_trades(records + kSpareTrades, kSpacingNs);
    gm::VenueSettings venue_settings{};
    venue_settings.orders_max = 1024;
    gm::Venue venue;
    if (failure.is_ok()) failure = venue.open(venue_settings, settings.instruments[0], tape);
    gm::VenueServerSettings server_settings;
    server_settings.feed_endpoint = endpoints.feed;
    server_settings.orders_endpoint = endpoints.orders;
    server_settings.tape_id[0] = 1;
    gm::VenueServer server;
    if (failure.is_ok()) {
        bench.context = bench.zmq.ctx_new();
        failure = server.open(bench.zmq, bench.context, server_settings, venue);
    }
    if (failure.is_ok()) {
        gm::Failure served;
        std::thread thread([&] { served = server.run(); });
        failure = run(bench, records, std::atoi(values[5]), count > 6);
        server.stop();
        thread.join();
        if (failure.is_ok()) failure = served;
    }
    if (!failure.is_ok()) std::fprintf(stderr, "restart: %s\n", failure.text.c_str());
    return failure.is_ok() ? 0 : 1;
}
