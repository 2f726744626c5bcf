// Every number that the gate holds an order against. No defaults: gm/config.py demands each one.
// Plain data that crosses the Python boundary: gm/layout.py repeats it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

struct Limits {                              // one instrument
    std::int64_t order_quantity_lots_max;    // R05
    std::int64_t order_notional_micros_max;  // R06, market orders at the worst collar
    std::int64_t collar_ppm;                 // R07
    std::int64_t collar_ticks_min;
    std::int64_t reference_age_ns_max;   // R08
    std::int64_t position_lots_max;      // R09, worst case
    std::int64_t orders_per_second_max;  // R12, refill of the bucket
    std::int64_t orders_burst_max;       // R12, depth of the bucket
    std::int64_t duplicates_max;         // R13, k
    std::int64_t duplicate_window_ns;    // R13, w
    std::uint32_t sides_allowed;         // R03: bit 0 buy, bit 1 sell
    std::uint32_t types_allowed;         // R03: bit OrderType
    std::uint8_t reserved[40];
};
static_assert(sizeof(Limits) == 128 && offsetof(Limits, sides_allowed) == 80);

struct AccountLimits {  // all instruments together: R12
    std::int64_t orders_per_second_max;
    std::int64_t orders_burst_max;
    std::int64_t cancels_per_second_max;  // cancels have a bucket of their own
    std::int64_t cancels_burst_max;
    std::uint8_t reserved[32];
};
static_assert(sizeof(AccountLimits) == 64);

}  // namespace gm
