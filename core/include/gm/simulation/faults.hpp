// What can go wrong in a simulated world, and how often in the world of one seed.
//
// A seed has some kinds of fault and not the others, each at a rate of its own, so that what one
// fault hides from another is found in the world that lacks it.
// Source: Groce, Zhang, Eide, Chen, Regehr 2012, "Swarm testing" (ISSTA).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gm/simulation/random.hpp"

namespace gm {

// The order is that of the table which `gm simulate` prints.
enum class WorldFault : std::uint8_t {
    kNone = 0,
    // network: below the numbers of the protocol
    kLostFeed,
    kRepeatedFeed,
    kReorderedFeed,
    kLostReply,
    kRepeatedReply,
    kReorderedReply,
    kLostOrder,
    kRepeatedOrder,
    kReorderedOrder,
    kSlowMessage,
    kDisconnect,
    kPartition,
    // venue: above them, with good numbers
    kLateAck,
    kLostAck,
    kLateFill,
    kLostFill,
    kRepeatedFill,
    kFillAfterCancel,
    kUnaskedCancel,
    kUnknownOrder,
    kVenueReject,
    kVenueClock,
    kVenueRestart,
    // disk
    kShortWrite,
    kNoSpace,
    kSyncError,
    kTornSnapshot,
    kLostSnapshot,
    kLowDisk,
    // engine's process and machine
    kProcessDeath,
    kDeathInTurn,
    kPowerLoss,
    kCleanRestart,
    kClockStep,
    kSlowThread,
    kKillSwitch,
    kKillCleared,
    kCount,
};
inline constexpr std::size_t kWorldFaults = static_cast<std::size_t>(WorldFault::kCount);
[[nodiscard]] const char* describe(WorldFault kind) noexcept;

class Faults {
 public:
    // Which kinds this world has, and how often. Without `has_any`: a world without faults.
    void draw(Random& random, bool has_any) noexcept;
    // One kind alone, in every opportunity: unit tests.
    void set(WorldFault kind, std::int64_t ppm) noexcept { rate(kind) = ppm; }

    // An opportunity for this fault: does it happen? It is counted.
    [[nodiscard]] bool strikes(WorldFault kind, Random& random) noexcept {
        const std::int64_t ppm = rate(kind);
        if (is_over_ || ppm == 0 || !random.hits(ppm)) return false;
        ++counts_[static_cast<std::size_t>(kind)];
        return true;
    }
    void count(WorldFault kind, std::uint64_t more = 1) noexcept {
        counts_[static_cast<std::size_t>(kind)] += more;
    }
    [[nodiscard]] bool has(WorldFault kind) const noexcept {
        return !is_over_ && rates_[static_cast<std::size_t>(kind)] > 0;
    }
    // From now on nothing goes wrong.
    void end() noexcept { is_over_ = true; }
    [[nodiscard]] bool are_over() const noexcept { return is_over_; }
    [[nodiscard]] const std::array<std::uint64_t, kWorldFaults>& counts() const noexcept {
        return counts_;
    }

 private:
    [[nodiscard]] std::int64_t& rate(WorldFault kind) noexcept {
        return rates_[static_cast<std::size_t>(kind)];
    }

    std::array<std::int64_t, kWorldFaults> rates_{};  // per million opportunities
    std::array<std::uint64_t, kWorldFaults> counts_{};
    bool is_over_ = false;
};

}  // namespace gm
