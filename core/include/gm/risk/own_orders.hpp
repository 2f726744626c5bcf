// What the gate must know of our own orders in an instrument, and of what they belong to.
//
// Kept by orders/, read by the gate: R16 and R17.
#pragma once

#include <cstdint>

namespace gm {

// Open orders of one instrument, those in flight, unanswered and pending included.
struct OwnOrders {
    std::int64_t bid_ticks = INT64_MIN;  // highest limit to buy; INT64_MIN: none
    std::int64_t ask_ticks = INT64_MAX;  // lowest limit to sell; INT64_MAX: none
    // What may still trade: of stops, of targets, and of all others by side.
    std::int64_t stop_lots = 0;
    std::int64_t target_lots = 0;
    std::int64_t buy_lots = 0;
    std::int64_t sell_lots = 0;
};

// The decision that orders follow from: so many lots, to buy where positive, and no more.
struct Parent {
    std::int64_t lots = 0;         // target less the position at its first order; 0: none
    std::int64_t filled_lots = 0;  // by its orders, dead ones included
};

}  // namespace gm
