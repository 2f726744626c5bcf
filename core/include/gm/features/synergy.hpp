// Synergies: three signals of one direction in one of four orders, close together in time.
//
// 1 MLMI→NW-RQK→FVG, 2 MLMI→FVG→NW-RQK, 3 NW-RQK→FVG→MLMI, 4 NW-RQK→MLMI→FVG. A signal bears the
// end of its bar; at one moment the order is MLMI, NW-RQK, FVG, and add() is called in that order.
// First everything older than the window leaves. A signal that has, in the queue of its direction,
// the newest of the kind before it and the newest of the first kind before that one completes a
// sequence (of two, the lower number). Unless a synergy of either direction was less than the
// cooldown ago, it fires and the three are consumed; otherwise the signal waits in its queue.
// Nothing allocates; plain memory. SPEC §4; which of several signals takes part is ours.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/features/strategic.hpp"
#include "gm/features/tactical.hpp"
#include "gm/market/bar.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

struct SynergyRules {
    double mlmi_min;              // |value - 50| of an MLMI signal
    double slope_min;             // |slope| of a turn
    std::uint32_t window_bars;    // of 5 minutes, 1 to kSynergyWindowBarsMax
    std::uint32_t cooldown_bars;  // of 5 minutes
};
inline constexpr std::uint32_t kSynergyWindowBarsMax = 96;
inline constexpr std::uint32_t kSynergyCooldownBarsMax = 10'000;

// In the order that holds at one moment.
enum class SignalKind : std::uint32_t { kMlmi = 0, kNwRqk = 1, kFvg = 2 };

struct Signal {
    std::int64_t ts_ns;  // end of its bar
    double strength;     // [0, 1]
    SignalKind kind;
    std::int32_t direction;  // 1 or -1; 0: there is none
};
static_assert(sizeof(Signal) == 24);

// What the newest row says, direction 0 where it says nothing strong enough. `bar` made that row.
[[nodiscard]] Signal mlmi_signal(const ClosedBar& bar, const StrategicFeatures& features,
                                 const SynergyRules& rules) noexcept;
[[nodiscard]] Signal nwrqk_signal(const ClosedBar& bar, const StrategicFeatures& features,
                                  const SynergyRules& rules) noexcept;
[[nodiscard]] Signal fvg_signal(const ClosedBar& bar, const TacticalFeatures& features) noexcept;

// What the policy is told.
struct StandingSynergy {
    float confidence;        // 0: there is none
    std::int32_t direction;  // 1, -1 or 0
    std::uint64_t type;      // 1 to 4; 0: there is none
};

class SynergyDetector {
 public:
    // Cold. Forgets everything.
    void open(const SynergyRules& rules) noexcept;

    // Takes in one signal, in time order. True: it completed a synergy; type, direction,
    // confidence, strengths and ages are written to `out`, nothing else of it is touched.
    [[nodiscard]] bool add(const Signal& signal, Synergy& out) noexcept;

    // The last synergy, until the window has passed; an opposite one takes its place.
    [[nodiscard]] StandingSynergy standing(std::int64_t ts_ns) const noexcept;

    [[nodiscard]] const SynergyRules& rules() const noexcept { return rules_; }
    // Signals that grew too old in their queue.
    [[nodiscard]] std::uint64_t expired() const noexcept { return expired_; }
    [[nodiscard]] std::uint32_t waiting(std::int32_t direction) const noexcept {
        return queues_[direction > 0 ? 1 : 0].count;
    }

 private:
    // Within the widest window lie one FVG signal a 5-minute bar, an MLMI and a turn a 30-minute
    // one, both ends counted. Should more come all the same, the oldest leaves.
    static constexpr std::uint32_t kQueueMax = 160;
    static_assert(kQueueMax >= (kSynergyWindowBarsMax + 1) + 2 * (kSynergyWindowBarsMax / 6 + 1));
    static constexpr std::uint32_t kNotFound = UINT32_MAX;

    struct Queue {
        Signal signals[kQueueMax];  // oldest first
        std::uint32_t count;
        std::uint32_t reserved;
    };

    [[nodiscard]] bool complete(Queue& queue, const Signal& last, Synergy& out) noexcept;
    [[nodiscard]] bool is_cool(std::int64_t ts_ns) const noexcept;
    void expire(Queue& queue, std::int64_t ts_ns) noexcept;
    void drop_oldest(Queue& queue, std::uint32_t signals) noexcept;
    static void remove(Queue& queue, std::uint32_t at) noexcept;
    [[nodiscard]] static std::uint32_t newest(const Queue& queue, SignalKind kind,
                                              std::uint32_t before) noexcept;

    SynergyRules rules_{};
    Queue queues_[2] = {};  // short, long
    StandingSynergy last_{};
    std::int64_t last_ts_ns_ = 0;
    std::uint64_t expired_ = 0;
};
static_assert(std::is_trivially_copyable_v<SynergyDetector>);
template <>
inline constexpr bool kIsPlainMemory<SynergyDetector> = true;

// The close of the bar that completed it, and the strategic side as it stood then.
void add_market_context(const ClosedBar& bar, const StrategicFeatures& features,
                        Synergy& out) noexcept;

struct SynergyBatch {
    std::vector<Synergy> synergies;  // in time order, instrument 0
    std::uint64_t expired = 0;
};

// Cold. Both sides of one instrument from their first bars on, as an engine takes them: by end of
// bar, the 30-minute one first on a common boundary. Bars in time order.
SynergyBatch run_synergy_batch(std::span<const ClosedBar> five_minutes,
                               std::span<const ClosedBar> thirty_minutes,
                               const SynergyRules& rules);

}  // namespace gm
