// What io tells people: the status page's part and the answer to a status request.
#include <algorithm>
#include <bit>
#include <cstring>

#include "gm/runtime/io_loop.hpp"

namespace gm {
namespace {

constexpr std::int64_t kStatusEveryNs = 10'000'000;

StageStatus stage_of(const Histogram& in_ticks, double ns_per_tick) noexcept {
    const auto to_ns = [&](std::uint64_t count) {
        return static_cast<std::uint64_t>(static_cast<double>(count) * ns_per_tick);
    };
    const HistogramSummary summary = in_ticks.summary();
    StageStatus status{summary.count,      to_ns(summary.sum), to_ns(summary.p50),
                       to_ns(summary.p99), to_ns(summary.max), {}};
    for (std::size_t bucket = 0; bucket < Histogram::kBucketCount; ++bucket) {
        const std::uint64_t count = in_ticks.count_in(bucket);
        if (count == 0) continue;
        const auto octave =
            static_cast<std::size_t>(std::bit_width(to_ns(Histogram::upper_end(bucket))));
        status.octaves[std::min(octave, kOctaves - 1)] += count;
    }
    return status;
}

}  // namespace

void IoLoop::write_status(bool is_forced) {
    if (!is_forced && now_ns_ - status_ns_ < kStatusEveryNs) return;
    status_ns_ = now_ns_;
    const SessionCounters& counters = session_.counters();
    status_.heartbeat_wall_ns = wall_ns_;
    status_.is_lockstep = session_.is_lockstep() ? 1 : 0;
    status_.connection = session_.connection();
    status_.inputs_pushed = parts_.runner->submitted();
    status_.feed_frames = counters.feed_frames;
    status_.reply_frames = counters.reply_frames;
    status_.repeated_records = counters.repeated_records;
    status_.sequence_gaps = counters.sequence_gaps;
    status_.reconnects = counters.reconnects;
    status_.orders_sent = counters.orders_sent;
    status_.orders_dropped = counters.orders_dropped;
    std::memcpy(status_.frame_faults, counters.frame_faults, sizeof status_.frame_faults);
    std::memcpy(status_.tape_id, session_.tape_id().data(), sizeof status_.tape_id);
    parts_.page->write_io(status_);
}

// Percentiles walk the histograms: once a second, on the journal thread.
void IoLoop::write_stages() noexcept {
    StagesStatus status{};
    status.stages[0] = stage_of(decode_ticks_, ns_per_tick_);
    status.stages[1] = stage_of(parts_.runner->step_ticks(), ns_per_tick_);
    status.stages[2] = stage_of(encode_ticks_, ns_per_tick_);
    for (std::size_t i = 0; i < kStages; ++i) {
        const auto stage = static_cast<Stage>(i);
        status.stages[kIoStages + i] =
            stage_of(parts_.runner->stage_times().of(stage), ns_per_tick_);
    }
    parts_.page->write_stages(status);
}

std::string IoLoop::status_json() const {
    const EngineView view = parts_.runner->view();
    const auto member = [](const char* key, std::uint64_t value) {
        return std::string(",\"") + key + "\":" + std::to_string(value);
    };
    return std::string(R"({"ok":true,"phase":")") + describe(phase()) + "\"" +
           member("pid", status_.pid) + member("epoch", settings_.session.epoch) +
           member("connection", session_.connection()) +
           member("last_feed_sequence", session_.last_feed_sequence()) +
           member("last_reply_sequence", session_.last_reply_sequence()) +
           member("open_orders", view.open_orders) + "}";
}

}  // namespace gm
