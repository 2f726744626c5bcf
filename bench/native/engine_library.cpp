// The native half of bench_engine.py, bench_decision.py and bench_zmq.py, as a library: peer and
// engine run in one process, on one core, in turns.
//
// An engine behind its rings, driven as the inline driver drives it: prepare() while idle, then a
// CLOSE into the feed ring, pop, step, and the order out of the order ring. Journal on a named ring
// as in production; what its thread would take is dropped between records.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gm/engine/engine.hpp"
#include "gm/runtime/socket.hpp"
#include "gm/runtime/zmq_table.hpp"
#include "probe.hpp"

namespace {

using gm::RecordType;
using gm::Slot;
using gm::Source;
using gm::Status;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr double kBehindNs = 20'000.0;  // of a spin behind a close, which tells of pauses

// One CLOSE. Order and decision are zero where there was none. bench_engine.py repeats the layout.
struct Sample {
    double step_ns;     // CLOSE into the feed ring until what it caused is read from the order ring
    double prepare_ns;  // before it, while idle
    double probe_ns;    // an empty measurement just before
    double reserved;
    gm::NewOrder order;
    gm::Decision decision;
    gm::Refusal refusal;
};
static_assert(sizeof(Sample) == 4 * 8 + 3 * 64);

// One CLOSE among messages that come gap_ns after the one before is done, and the time from when it
// was due: a part of the preparation that is under way then counts. bench_decision.py repeats it.
struct PacedSample {
    double step_ns;     // until what it caused is read from the order ring
    double prepare_ns;  // preparation since the CLOSE before, all parts
    double longest_part_ns;
    double slowest_message_ns;  // of those between, from when it was due
    double probe_ns;
    double parts;
    double pause_ns;     // longest that the processor was away in the waits before and behind
    double interrupted;  // 1: from the beginning of the one to the end of the other
    gm::NewOrder order;
    gm::Decision decision;
    gm::TacticalDecision tactical;
    gm::Refusal refusal;
};
static_assert(sizeof(PacedSample) == 8 * 8 + 4 * 64);

class Bench {
 public:
    gm::Failure open(std::span<const std::uint8_t> block, const char* ring_path) {
        gm::Settings settings;
        gm::Failure failure = gm::load_settings(block, settings);
        if (failure.is_ok()) failure = feed_.open(4096);
        if (failure.is_ok()) failure = orders_.open(4096);
        if (failure.is_ok()) failure = drop_copy_.open(1U << 14);
        if (failure.is_ok()) failure = journal_.open(ring_path, 1U << 16);
        if (failure.is_ok()) failure = engine_.open(settings);
        if (!failure.is_ok()) return failure;
        out_ = std::make_unique<gm::Outputs>(journal_, orders_, &drop_copy_);
        engine_.watch(&times_);
        gm::Epoch epoch{};
        epoch.epoch = 1;
        step_io(RecordType::kEpoch, epoch);
        gm::SessionEvent connected{};
        connected.connection = 1;
        step_io(RecordType::kConnected, connected);
        (void)drain<Sample>(nullptr);
        return gm::ok();
    }

    // Each CLOSE after gap_ns of idleness; an order is filled at that close before the next one.
    void run(std::span<const gm::BarClose> bars, double gap_ns, Sample* samples) {
        for (const gm::BarClose& bar : bars) {
            Sample& sample = *samples++;
            sample = {};
            time_one(bar, gap_ns, sample);
            if (drain(&sample)) fill(sample.order, bar.close_ticks);
        }
    }

    // Each CLOSE behind `between` heartbeats, the engine preparing in parts while nothing is due;
    // gap_ns 0: no heartbeat, no wait, and all of the preparation before the CLOSE.
    void run_paced(std::span<const gm::BarClose> bars, double gap_ns, std::size_t between,
                   PacedSample* samples) {
        for (const gm::BarClose& bar : bars) {
            PacedSample& sample = *samples++;
            sample = {};
            has_more_ = true;
            for (std::size_t i = between; i > 0; --i) {
                const double waited = idle_until_due(gap_ns, sample);
                const std::uint64_t from = bench::ticks_in_order();
                const auto before_ns = static_cast<std::int64_t>(static_cast<double>(i) * gap_ns);
                step(gm::make_slot(RecordType::kHeartbeat, Source::kVenueFeed, ++feed_sequence_,
                                   end_ns(bar) - before_ns, gm::Heartbeat{}));
                const double took = waited + scale_.to_ns(bench::ticks_in_order() - from);
                sample.slowest_message_ns = std::max(sample.slowest_message_ns, took);
                has_more_ = true;  // the driver asks again after each message
            }
            time_paced(bar, gap_ns, sample);
            if (drain(&sample)) fill(sample.order, bar.close_ticks);
        }
    }

    [[nodiscard]] const gm::StageTimes& times() const { return times_; }
    [[nodiscard]] const gm::TickScale& scale() const { return scale_; }

 private:
    static std::int64_t end_ns(const gm::BarClose& bar) {
        return bar.start_ts_ns + std::int64_t{bar.duration_s} * kSecondNs;
    }

    void time_one(const gm::BarClose& bar, double gap_ns, Sample& sample) {
        const Slot close = gm::make_slot(RecordType::kBarClose, Source::kVenueFeed,
                                         ++feed_sequence_, end_ns(bar), bar);
        const std::uint64_t idle_from = bench::ticks_in_order();
        engine_.prepare();
        const std::uint64_t idle_to = bench::ticks_in_order();
        while (scale_.to_ns(gm::ticks() - idle_from) < gap_ns) {
        }
        const std::uint64_t probe_from = bench::ticks_in_order();
        const std::uint64_t from = bench::ticks_in_order();
        pass(close, sample.order);
        const std::uint64_t to = bench::ticks_in_order();
        sample.step_ns = scale_.to_ns(to - from);
        sample.prepare_ns = scale_.to_ns(idle_to - idle_from);
        sample.probe_ns = scale_.to_ns(from - probe_from);
    }

    // From the bytes of an input in the ring to those of the order that it causes.
    void pass(const Slot& close, gm::NewOrder& first) {
        if (feed_.push(close) != Status::kOk) std::abort();
        const Slot* input = feed_.front();
        engine_.step(*input, *out_);
        feed_.pop();
        const Slot* order = orders_.front();
        if (order != nullptr) std::memcpy(&first, order->payload, sizeof first);
    }

    // Prepares until the next message is due; ns for which that has waited then.
    double idle_until_due(double gap_ns, PacedSample& sample) {
        const std::uint64_t from = bench::ticks_in_order();
        double elapsed = 0.0;
        while (elapsed < gap_ns || (gap_ns == 0.0 && has_more_)) {
            const std::uint64_t begin = bench::ticks_in_order();
            if (has_more_) {
                has_more_ = engine_.prepare_part();
                const double took = scale_.to_ns(bench::ticks_in_order() - begin);
                sample.prepare_ns += took;
                sample.parts += has_more_ ? 1.0 : 0.0;
                sample.longest_part_ns = std::max(sample.longest_part_ns, took);
                elapsed = scale_.to_ns(bench::ticks_in_order() - from);
                continue;
            }
            const double before = elapsed;
            elapsed = scale_.to_ns(bench::ticks_in_order() - from);
            sample.pause_ns = std::max(sample.pause_ns, elapsed - before);
        }
        return gap_ns == 0.0 ? 0.0 : elapsed - gap_ns;
    }

    void time_paced(const gm::BarClose& bar, double gap_ns, PacedSample& sample) {
        const Slot close = gm::make_slot(RecordType::kBarClose, Source::kVenueFeed,
                                         ++feed_sequence_, end_ns(bar), bar);
        sample.pause_ns = 0.0;  // of the waits before
        trap_.arm();
        const double waited = idle_until_due(gap_ns, sample);
        const std::uint64_t probe_from = bench::ticks_in_order();
        const std::uint64_t from = bench::ticks_in_order();
        pass(close, sample.order);
        sample.step_ns = waited + scale_.to_ns(bench::ticks_in_order() - from);
        sample.probe_ns = scale_.to_ns(from - probe_from);
        const double behind_ns = bench::null_spin(scale_, std::min(gap_ns, kBehindNs)).longest_ns;
        sample.pause_ns = std::max(sample.pause_ns, behind_ns);
        sample.interrupted = trap_.is_sprung() ? 1.0 : 0.0;
    }

    static void note(const Slot& slot, Sample& sample) {
        if (slot.type() == RecordType::kDecision) sample.decision = slot.as<gm::Decision>();
        if (slot.type() == RecordType::kRefusal) sample.refusal = slot.as<gm::Refusal>();
    }
    static void note(const Slot& slot, PacedSample& sample) {
        if (slot.type() == RecordType::kDecision) sample.decision = slot.as<gm::Decision>();
        if (slot.type() == RecordType::kTacticalDecision) {
            sample.tactical = slot.as<gm::TacticalDecision>();
        }
        if (slot.type() == RecordType::kRefusal) sample.refusal = slot.as<gm::Refusal>();
    }

    // What io and the journal thread take. True: there was an order.
    template <typename Any>
    bool drain(Any* sample) {
        bool has_order = false;
        for (const Slot* slot = orders_.front(); slot != nullptr; slot = orders_.front()) {
            has_order = has_order || slot->type() == RecordType::kNewOrder;
            orders_.pop();
        }
        while (drop_copy_.front() != nullptr) drop_copy_.pop();
        for (auto written = journal_.front(); !written.empty(); written = journal_.front()) {
            for (const Slot& slot : written) {
                if (sample != nullptr) note(slot, *sample);
            }
            journal_.pop(written.size());
        }
        return has_order;
    }

    void fill(const gm::NewOrder& order, std::int64_t price_ticks) {
        gm::Fill fill{};
        fill.id = order.id;
        fill.execution_id = ++executions_;
        fill.price_ticks = price_ticks;
        fill.quantity_lots = order.quantity_lots;
        fill.instrument = order.instrument;
        fill.side = order.side;
        step(gm::make_slot(RecordType::kFill, Source::kVenueOrders, ++reply_sequence_,
                           engine_.now_ns(), fill));
        (void)drain<Sample>(nullptr);
    }

    template <typename P>
    void step_io(RecordType type, const P& payload) {
        step(gm::make_slot(type, Source::kIo, 0, 0, payload));
    }
    void step(const Slot& input) {
        if (feed_.push(input) != Status::kOk) std::abort();
        engine_.step(*feed_.front(), *out_);
        feed_.pop();
    }

    gm::SpscRing<Slot> feed_;
    gm::SpscRing<Slot> orders_;
    gm::SpscRing<Slot> drop_copy_;
    gm::JournalRing journal_;
    std::unique_ptr<gm::Outputs> out_;
    gm::Engine engine_;
    gm::StageTimes times_;
    gm::TickScale scale_ = gm::TickScale::calibrate();
    std::uint64_t feed_sequence_ = 0;
    std::uint64_t reply_sequence_ = 0;
    std::uint64_t executions_ = 0;
    bool has_more_ = false;
    bench::InterruptTrap trap_;
};

void copy_text(const gm::Failure& failure, char* text, std::size_t size) {
    const std::string_view from = failure.text;
    const std::size_t length = std::min(from.size(), size - 1);
    std::memcpy(text, from.data(), length);
    text[length] = '\0';
}

}  // namespace

extern "C" {

// Null on failure, with the reason in `error`.
void* bench_engine_open(const std::uint8_t* block, std::size_t size, const char* ring_path,
                        char* error, std::size_t error_size) {
    auto bench = std::make_unique<Bench>();
    const gm::Failure failure = bench->open({block, size}, ring_path);
    if (failure.is_ok()) return bench.release();
    copy_text(failure, error, error_size);
    return nullptr;
}

void bench_engine_run(void* bench, const void* bars, std::size_t count, double gap_ns,
                      void* samples) {
    static_cast<Bench*>(bench)->run({static_cast<const gm::BarClose*>(bars), count}, gap_ns,
                                    static_cast<Sample*>(samples));
}

void bench_engine_run_paced(void* bench, const void* bars, std::size_t count, double gap_ns,
                            std::size_t between, void* samples) {
    static_cast<Bench*>(bench)->run_paced({static_cast<const gm::BarClose*>(bars), count}, gap_ns,
                                          between, static_cast<PacedSample*>(samples));
}

// p50 of each stage in ns, over all that was run.
void bench_engine_stages(void* bench, double* out) {
    const Bench& from = *static_cast<Bench*>(bench);
    for (std::size_t i = 0; i < gm::kStages; ++i) {
        const auto stage = static_cast<gm::Stage>(i);
        out[i] = from.scale().to_ns(from.times().of(stage).percentile(0.5));
    }
}

void bench_engine_close(void* bench) {
    delete static_cast<Bench*>(bench);
}

// out: share of time stolen, longest pause in ns, pauses over 10 us a second, ping-pong in ns.
void bench_probe(int cpu, int other_cpu, double* out) {
    const gm::TickScale scale = gm::TickScale::calibrate();
    const bench::NullSpin spin = bench::null_spin(scale, 50e6);
    out[0] = spin.stolen_share;
    out[1] = spin.longest_ns;
    out[2] = spin.pauses_per_s_10_us;
    out[3] = bench::ping_pong_ns(scale, cpu, other_cpu);
}

// The raw echo: what comes on SUB goes out on DEALER as it is, until a message of one byte.
// 0, or 1 with the reason in `error`.
int bench_echo(const char* library, void* context, const char* feed, const char* orders,
               char* error, std::size_t error_size) {
    gm::ZmqTable zmq;
    gm::Failure failure = gm::resolve_zmq(library, gm::ZmqLibrary::kAlreadyLoaded, zmq);
    gm::Socket in;
    gm::Socket out;
    if (failure.is_ok()) {
        failure = in.open(zmq, context, gm::SocketKind::kSub, gm::feed_subscriber_options());
    }
    if (failure.is_ok()) failure = in.connect(feed);
    if (failure.is_ok()) {
        failure = out.open(zmq, context, gm::SocketKind::kDealer, gm::order_session_options());
    }
    if (failure.is_ok()) failure = out.connect(orders);
    if (!failure.is_ok()) {
        copy_text(failure, error, error_size);
        return 1;
    }
    std::array<std::uint8_t, 256> bytes;
    for (;;) {
        const int size = zmq.recv(in.poll_item().socket, bytes.data(), bytes.size(), 0);
        if (size <= 1) return 0;
        if (zmq.send(out.poll_item().socket, bytes.data(), static_cast<std::size_t>(size), 0) < 0)
            return 0;
    }
}

}  // extern "C"
