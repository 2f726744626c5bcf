// When an event of a feed happened, in engine time: what R08 takes for a price's age.
//
// A price that a link held back, or that was drained after an outage, is as old as it says and not
// as its arrival. The feed's clock is not ours, and its way takes time, so what is subtracted is
// the smallest lag between arrival and stamp that was seen, which may grow by 100 ppm of engine
// time: no faster do two disciplined clocks part. A stamp from our future counts as one of a second
// ahead at most: a single wrong one must not make all right ones old. A feed whose clock was set
// back is old until it has drifted there; each start begins anew, so a restart ends that. Ours;
// SPEC has no estimate of the offset.
#pragma once

#include <algorithm>
#include <cstdint>

#include "gm/base/archive.hpp"
#include "gm/base/checked.hpp"

namespace gm {

class EventClock {
 public:
    // Never behind the arrival. A stamp whose distance cannot be counted is none: the arrival.
    [[nodiscard]] std::int64_t happened(std::int64_t stamp_ns, std::int64_t arrived_ns) noexcept {
        std::int64_t lag_ns = 0;
        if (sub_overflows(arrived_ns, stamp_ns, lag_ns)) return arrived_ns;
        lag_ns = std::max(lag_ns, -kAheadMaxNs);
        if (has_lag_) {
            lag_ns_ = std::min(lag_ns, saturated_sum(lag_ns_, drifted_ns(arrived_ns)));
        } else {
            lag_ns_ = lag_ns;
        }
        has_lag_ = true;
        seen_ns_ = arrived_ns;
        std::int64_t at_ns = 0;
        return add_overflows(stamp_ns, lag_ns_, at_ns) ? arrived_ns : std::min(at_ns, arrived_ns);
    }
    // At a start: what is drained before READY decides nothing.
    void restart() noexcept { *this = {}; }

    void archive(Archive& archive) noexcept { archive(lag_ns_, seen_ns_, has_lag_); }

 private:
    static constexpr std::int64_t kDriftDivisor = 10'000;
    static constexpr std::int64_t kAheadMaxNs = 1'000'000'000;

    // Time that goes back drifts nothing.
    [[nodiscard]] std::int64_t drifted_ns(std::int64_t arrived_ns) const noexcept {
        std::int64_t since_ns = 0;
        if (arrived_ns <= seen_ns_) return 0;
        if (sub_overflows(arrived_ns, seen_ns_, since_ns)) since_ns = INT64_MAX;
        return since_ns / kDriftDivisor;
    }
    [[nodiscard]] static std::int64_t saturated_sum(std::int64_t a, std::int64_t b) noexcept {
        std::int64_t sum = 0;
        return add_overflows(a, b, sum) ? INT64_MAX : sum;
    }

    std::int64_t lag_ns_ = 0;   // arrival less stamp of the fastest event, as it has drifted
    std::int64_t seen_ns_ = 0;  // arrival of the last event
    bool has_lag_ = false;
};

}  // namespace gm
