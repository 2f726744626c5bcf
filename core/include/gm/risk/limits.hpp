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
    std::int64_t margin_micros_per_lot;  // R11; 0 only where the account has no credit limit
    std::int64_t loss_micros_max;        // R15 of this instrument alone; 0: none
    std::int64_t repeat_window_ns;       // R14, w
    std::int64_t repeat_executions_max;  // R14, n: one more within w is a repeat; 0: none
    std::uint8_t reserved[8];
};
static_assert(sizeof(Limits) == 128 && offsetof(Limits, sides_allowed) == 80);
static_assert(offsetof(Limits, margin_micros_per_lot) == 88);

struct AccountLimits {  // all instruments together, in their one currency; 0 of the last four: none
    std::int64_t orders_per_second_max;  // R12
    std::int64_t orders_burst_max;
    std::int64_t cancels_per_second_max;  // cancels have a bucket of their own
    std::int64_t cancels_burst_max;
    std::int64_t gross_micros_max;     // R10, worst-case lots at their references
    std::int64_t credit_micros_max;    // R11, worst-case lots at their margins
    std::int64_t loss_micros_max;      // R15, realised + unrealised - commission
    std::int64_t drawdown_micros_max;  // R15, below the highest of it
};
static_assert(sizeof(AccountLimits) == 64 && offsetof(AccountLimits, gross_micros_max) == 32);

}  // namespace gm
