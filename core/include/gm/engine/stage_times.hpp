// How long the stages of a decision take, in time-stamp-counter ticks. For people and dashboards
// only: nothing read here ever reaches state, a record or a decision (STYLE 7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gm/base/clock.hpp"
#include "gm/base/counters.hpp"

namespace gm {

// What a stage covers begins where the one before it ended.
enum class Stage : std::uint8_t {
    kMarket = 0,    // check, bucket, session
    kFeatures = 1,  // the new row
    kPolicy = 2,    // networks and ensemble
    kOrder = 3,     // target, size, gate, journal, order ring
};
inline constexpr std::size_t kStages = 4;

// Written by the engine thread, read by any.
class StageTimes {
 public:
    void begin() noexcept { since_ = ticks(); }
    void end(Stage stage) noexcept {
        const std::uint64_t now = ticks();
        histograms_[static_cast<std::size_t>(stage)].record(now - since_);
        if (stage == Stage::kPolicy) policy_ticks_ += now - since_;
        since_ = now;
    }
    // How long the networks took since the last call, by the engine's thread; 0: nobody asked them.
    [[nodiscard]] std::uint64_t take_policy_ticks() noexcept {
        return std::exchange(policy_ticks_, 0);
    }
    [[nodiscard]] const Histogram& of(Stage stage) const noexcept {
        return histograms_[static_cast<std::size_t>(stage)];
    }

 private:
    std::array<Histogram, kStages> histograms_{};
    std::uint64_t since_ = 0;
    std::uint64_t policy_ticks_ = 0;
};

}  // namespace gm
