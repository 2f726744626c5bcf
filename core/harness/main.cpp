// gm-core-harness: the engine without Python, for kill campaigns and restart timings.
//
// Runs on a run directory like `gm run`: recovers, connects to the venue of the same run
// directory, trades until END or a signal (SIGUSR1: KILLED), prints one line of JSON. `--replay
// DIR` replays the journal into DIR instead.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/runtime/core.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/zmq_table.hpp"

namespace {

using namespace gm;

constexpr const char* kUsage =
    "gm-core-harness --run-dir DIR --libzmq FILE [--settings FILE] [--driver inline|threaded]\n"
    "                [--segment-bytes N] [--idle-spin-us N] [--die-after-inputs N]\n"
    "                [--snapshot-every-us N] [--retention-bytes N]\n"
    "gm-core-harness --run-dir DIR --replay OUTPUT_DIR\n"
    "  --settings defaults to DIR/settings.bin. --die-after-inputs ends the process like kill -9\n"
    "  once so many inputs were stepped, before their orders leave.\n";
constexpr int kUsageExit = 2;
constexpr int kConfigurationExit = 3;
constexpr std::int64_t kLookEveryNs = 20'000'000;

struct Arguments {
    std::string run_dir;
    std::string libzmq;
    std::string settings;
    std::string replay_dir;
    CoreSettings core;
};

bool parse(int count, char** values, Arguments& out) {
    for (int i = 1; i < count; i += 2) {
        if (i + 1 >= count) return false;
        const std::string key = values[i];
        const char* value = values[i + 1];
        if (key == "--run-dir") {
            out.run_dir = value;
        } else if (key == "--libzmq") {
            out.libzmq = value;
        } else if (key == "--settings") {
            out.settings = value;
        } else if (key == "--replay") {
            out.replay_dir = value;
        } else if (key == "--driver") {
            if (std::strcmp(value, "inline") != 0 && std::strcmp(value, "threaded") != 0) {
                return false;
            }
            out.core.driver =
                std::strcmp(value, "threaded") == 0 ? Driver::kThreaded : Driver::kInline;
        } else if (key == "--segment-bytes") {
            out.core.journal_segment_bytes = std::strtoull(value, nullptr, 10);
        } else if (key == "--idle-spin-us") {
            out.core.idle_spin_ns = std::strtoll(value, nullptr, 10) * 1000;
        } else if (key == "--snapshot-every-us") {
            out.core.snapshot_every_ns = std::strtoll(value, nullptr, 10) * 1000;
        } else if (key == "--retention-bytes") {
            out.core.retention.bytes_max = std::strtoull(value, nullptr, 10);
        } else if (key == "--die-after-inputs") {
            out.core.die_after_inputs = std::strtoull(value, nullptr, 10);
        } else {
            return false;
        }
    }
    return !out.run_dir.empty() && out.libzmq.empty() != out.replay_dir.empty();
}

int report_failure(const Failure& failure) {
    std::fprintf(stderr, "gm-core-harness: %s (%s)\n", failure.text.c_str(),
                 describe(failure.status));
    const bool is_configuration =
        failure.status == Status::kJournalForeign || failure.status == Status::kBadSettings;
    return is_configuration ? kConfigurationExit : 1;
}

int replay(const Arguments& arguments) {
    auto report = std::make_unique<ReplayReport>();
    const std::int64_t begin_ns = monotonic_ns();
    const Failure failure = replay_run(arguments.run_dir, arguments.replay_dir, *report);
    if (!failure.is_ok()) return report_failure(failure);
    std::printf("{\"records\":%llu,\"inputs\":%llu,\"outputs\":%llu,\"epoch\":%u,\"ns\":%lld}\n",
                static_cast<unsigned long long>(report->records),
                static_cast<unsigned long long>(report->inputs),
                static_cast<unsigned long long>(report->outputs), report->epoch,
                static_cast<long long>(monotonic_ns() - begin_ns));
    return 0;
}

void print_summary(const Core& core, std::int64_t ready_ns) {
    const auto reading = std::make_unique<StatusReading>();
    (void)core.read_status(*reading);
    const StartReport& start = core.report();
    const EngineStatus& totals = reading->engine;
    std::printf(
        "{\"phase\":\"%s\",\"epoch\":%u,\"replayed\":%llu,\"missing\":%zu,"
        "\"snapshot\":%llu,\"snapshots_skipped\":%zu,\"replay_ns\":%lld,\"open_ns\":%lld,\"ready_"
        "ns\":%lld,\"feed\":%llu,\"replies\":%llu,"
        "\"decisions\":%llu,\"orders\":%llu,\"fills\":%llu,\"bad_transitions\":%llu,"
        "\"reconnects\":%llu}\n",
        describe(reading->io.phase), start.epoch,
        static_cast<unsigned long long>(start.replay.records), start.replay.missing.size(),
        static_cast<unsigned long long>(start.snapshot.sequence), start.snapshot.skipped.size(),
        static_cast<long long>(start.replay_ns), static_cast<long long>(start.open_ns),
        static_cast<long long>(ready_ns),
        static_cast<unsigned long long>(reading->engine.last_feed_sequence),
        static_cast<unsigned long long>(reading->engine.last_reply_sequence),
        static_cast<unsigned long long>(totals.decisions),
        static_cast<unsigned long long>(totals.orders),
        static_cast<unsigned long long>(totals.fills),
        static_cast<unsigned long long>(totals.bad_transitions),
        static_cast<unsigned long long>(reading->io.reconnects));
}

// Until END, a failure, or SIGTERM/SIGINT. How long READY took, from `begin_ns` on.
std::int64_t run(Core& core, const sigset_t& signals, std::int64_t begin_ns) {
    std::int64_t ready_ns = 0;
    for (;;) {  // bounded by the tape, or by whoever sends the signal
        if (ready_ns == 0 && (core.is_ready() || core.has_ended())) {
            ready_ns = monotonic_ns() - begin_ns;
        }
        const timespec none{0, 0};
        if (core.has_ended() || sigtimedwait(&signals, nullptr, &none) > 0) {
            core.request_stop();
        }
        const std::int64_t look_ns = ready_ns == 0 ? 1'000'000 : kLookEveryNs;
        if (core.wait(look_ns)) return ready_ns;
    }
}

}  // namespace

int main(int count, char** values) {
    const std::int64_t begin_ns = monotonic_ns();
    Arguments arguments;
    if (!parse(count, values, arguments)) {
        std::fputs(kUsage, stderr);
        return kUsageExit;
    }
    if (!arguments.replay_dir.empty()) return replay(arguments);

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    ZmqTable zmq;
    Failure failure = resolve_zmq(arguments.libzmq, ZmqLibrary::kLoad, zmq);
    std::vector<std::uint8_t> block;
    const std::string settings =
        arguments.settings.empty() ? arguments.run_dir + "/settings.bin" : arguments.settings;
    if (failure.is_ok()) failure = read_file(settings, block);
    if (!failure.is_ok()) return report_failure(failure);

    arguments.core.run_dir = arguments.run_dir;
    arguments.core.kills_on_signal = true;
    const char* runtime_directory = std::getenv("RUNTIME_DIRECTORY");  // one thread so far
    if (runtime_directory != nullptr) arguments.core.runtime_directory = runtime_directory;
    void* context = zmq.ctx_new();
    const auto core = std::make_unique<Core>();
    failure = core->open(block, arguments.core, zmq, context);
    if (failure.is_ok() && core->report().snapshot.sequence > 0) {
        std::fprintf(stderr, "gm-core-harness: goes on from the snapshot of record %llu\n",
                     static_cast<unsigned long long>(core->report().snapshot.sequence));
    }
    if (failure.is_ok()) failure = core->start();
    if (failure.is_ok()) {
        const std::int64_t ready_ns = run(*core, signals, begin_ns);
        core->close();
        failure = core->failure();
        print_summary(*core, ready_ns);
    }
    core->close();
    zmq.ctx_term(context);
    return failure.is_ok() ? 0 : report_failure(failure);
}
