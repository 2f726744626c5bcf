// Implements gm/features/synergy.hpp. SPEC §4.
#include "gm/features/synergy.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

namespace gm {

namespace {

constexpr std::int64_t kMinuteNs = 60'000'000'000;
constexpr std::int64_t kFiveMinutesNs = 5 * kMinuteNs;
constexpr std::int64_t kSecondNs = 1'000'000'000;

// What counts as a signal of full strength.
constexpr double kMlmiFull = 50.0;
constexpr double kSlopeFull = 0.1;
constexpr double kGapFull = 0.01;

constexpr SignalKind kSequences[4][3] = {
    {SignalKind::kMlmi, SignalKind::kNwRqk, SignalKind::kFvg},
    {SignalKind::kMlmi, SignalKind::kFvg, SignalKind::kNwRqk},
    {SignalKind::kNwRqk, SignalKind::kFvg, SignalKind::kMlmi},
    {SignalKind::kNwRqk, SignalKind::kMlmi, SignalKind::kFvg},
};

std::int64_t end_ts_ns(const ClosedBar& bar) noexcept {
    return bar.start_ts_ns + bar.minutes * kMinuteNs;
}

double strength_of(double value, double full) noexcept {
    return std::min(1.0, std::abs(value) / full);
}

}  // namespace

Signal mlmi_signal(const ClosedBar& bar, const StrategicFeatures& features,
                   const SynergyRules& rules) noexcept {
    const double distance = features.mlmi_value() - 50.0;
    const bool is_strong = std::abs(distance) >= rules.mlmi_min;
    return {end_ts_ns(bar), strength_of(distance, kMlmiFull), SignalKind::kMlmi,
            is_strong ? features.mlmi_signal() : 0};
}

Signal nwrqk_signal(const ClosedBar& bar, const StrategicFeatures& features,
                    const SynergyRules& rules) noexcept {
    const double slope = features.nwrqk_slope();
    const bool is_strong = std::abs(slope) >= rules.slope_min;
    return {end_ts_ns(bar), strength_of(slope, kSlopeFull), SignalKind::kNwRqk,
            is_strong ? features.nwrqk_turn() : 0};
}

Signal fvg_signal(const ClosedBar& bar, const TacticalFeatures& features) noexcept {
    return {end_ts_ns(bar), strength_of(features.fvg_signal_size(), kGapFull), SignalKind::kFvg,
            features.fvg_signal()};
}

// Bytes, not members: equal signals give equal bytes, padding included.
void SynergyDetector::open(const SynergyRules& rules) noexcept {
    std::memset(static_cast<void*>(this), 0, sizeof *this);
    rules_ = rules;
}

bool SynergyDetector::add(const Signal& signal, Synergy& out) noexcept {
    if (signal.direction == 0) return false;
    for (Queue& queue : queues_) expire(queue, signal.ts_ns);
    Queue& queue = queues_[signal.direction > 0 ? 1 : 0];
    if (is_cool(signal.ts_ns) && complete(queue, signal, out)) return true;
    if (queue.count == kQueueMax) drop_oldest(queue, 1);
    queue.signals[queue.count++] = signal;
    return false;
}

bool SynergyDetector::complete(Queue& queue, const Signal& last, Synergy& out) noexcept {
    for (std::uint8_t sequence = 0; sequence < 4; ++sequence) {
        const auto& kinds = kSequences[sequence];
        if (kinds[2] != last.kind) continue;
        const std::uint32_t second = newest(queue, kinds[1], queue.count);
        const std::uint32_t first = newest(queue, kinds[0], second);
        if (first == kNotFound) continue;
        const Signal used[3] = {queue.signals[first], queue.signals[second], last};
        out.ts_ns = last.ts_ns;
        out.type = sequence + 1;
        out.direction = static_cast<std::int8_t>(last.direction);
        double sum = 0.0;
        for (const Signal& signal : used) {
            const auto kind = static_cast<std::size_t>(signal.kind);
            out.strength[kind] = static_cast<float>(signal.strength);
            out.age_s[kind] = static_cast<std::uint32_t>((last.ts_ns - signal.ts_ns) / kSecondNs);
            sum += signal.strength;
        }
        out.confidence = static_cast<float>(sum / 3.0);
        last_ = {out.confidence, last.direction, out.type};
        last_ts_ns_ = last.ts_ns;
        remove(queue, second);
        remove(queue, first);
        return true;
    }
    return false;
}

StandingSynergy SynergyDetector::standing(std::int64_t ts_ns) const noexcept {
    return ts_ns - last_ts_ns_ <= rules_.window_bars * kFiveMinutesNs ? last_ : StandingSynergy{};
}

bool SynergyDetector::is_cool(std::int64_t ts_ns) const noexcept {
    return last_.direction == 0 || ts_ns - last_ts_ns_ >= rules_.cooldown_bars * kFiveMinutesNs;
}

void SynergyDetector::expire(Queue& queue, std::int64_t ts_ns) noexcept {
    const std::int64_t window_ns = rules_.window_bars * kFiveMinutesNs;
    std::uint32_t old = 0;
    while (old < queue.count && ts_ns - queue.signals[old].ts_ns > window_ns) ++old;
    drop_oldest(queue, old);
}

void SynergyDetector::drop_oldest(Queue& queue, std::uint32_t signals) noexcept {
    if (signals == 0) return;
    expired_ += signals;
    queue.count -= signals;
    std::memmove(queue.signals, queue.signals + signals, queue.count * sizeof(Signal));
}

void SynergyDetector::remove(Queue& queue, std::uint32_t at) noexcept {
    --queue.count;
    Signal* const hole = queue.signals + at;
    std::memmove(hole, hole + 1, (queue.count - at) * sizeof(Signal));
}

// kNotFound also if there is nothing to look through.
std::uint32_t SynergyDetector::newest(const Queue& queue, SignalKind kind,
                                      std::uint32_t before) noexcept {
    if (before == kNotFound) return kNotFound;
    for (std::uint32_t at = before; at > 0; --at) {  // at most kQueueMax
        if (queue.signals[at - 1].kind == kind) return at - 1;
    }
    return kNotFound;
}

void add_market_context(const ClosedBar& bar, const StrategicFeatures& features,
                        Synergy& out) noexcept {
    out.close_ticks = bar.close_ticks;
    out.volatility_30 = static_cast<float>(features.row_f64()[kVolatility30]);
    out.atr_ticks = static_cast<float>(features.atr_ticks());
}

SynergyBatch run_synergy_batch(std::span<const ClosedBar> five_minutes,
                               std::span<const ClosedBar> thirty_minutes,
                               const SynergyRules& rules) {
    const auto strategic = std::make_unique<StrategicFeatures>();
    const auto tactical = std::make_unique<TacticalFeatures>();
    const auto detector = std::make_unique<SynergyDetector>();
    strategic->open();
    tactical->open();
    detector->open(rules);
    SynergyBatch batch;
    const auto take = [&](const ClosedBar& bar, const Signal& signal) {
        Synergy found{};
        if (!detector->add(signal, found)) return;
        add_market_context(bar, *strategic, found);
        batch.synergies.push_back(found);
    };
    std::size_t five = 0;
    for (std::size_t thirty = 0; thirty <= thirty_minutes.size(); ++thirty) {
        const bool has_more = thirty < thirty_minutes.size();
        const std::int64_t end_ns = has_more ? end_ts_ns(thirty_minutes[thirty]) : INT64_MAX;
        for (; five < five_minutes.size() && end_ts_ns(five_minutes[five]) < end_ns; ++five) {
            tactical->update(five_minutes[five]);
            take(five_minutes[five], fvg_signal(five_minutes[five], *tactical));
        }
        if (!has_more) break;
        const ClosedBar& bar = thirty_minutes[thirty];
        if ((bar.flags & kBarOutOfSession) != 0) continue;  // enters nothing
        strategic->update(bar, 0);                          // no signal depends on the time of day
        take(bar, mlmi_signal(bar, *strategic, rules));
        take(bar, nwrqk_signal(bar, *strategic, rules));
    }
    batch.expired = detector->expired();
    return batch;
}

}  // namespace gm
