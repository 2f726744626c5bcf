// What an instrument could become at worst: the numbers that the gate reserves against.
//
// Kept by orders/, read by the gate. Every order that might still trade (INTENT, SENT, LIVE,
// PARTIAL, UNKNOWN) counts with its full leaves on its side: SAFETY, "Reserve on send".
#pragma once

#include <cstdint>

#include "gm/base/checked.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

struct Exposure {
    std::int64_t position_lots = 0;
    std::int64_t open_buy_lots = 0;
    std::int64_t open_sell_lots = 0;
};

// max(|position + all open buys|, |position - all open sells|). False when it cannot be counted in
// 64 bits, which the gate treats as over every limit.
[[nodiscard]] inline bool worst_case_lots(const Exposure& exposure, std::int64_t& out) noexcept {
    std::int64_t long_lots = 0;
    std::int64_t short_lots = 0;
    if (add_overflows(exposure.position_lots, exposure.open_buy_lots, long_lots)) return false;
    if (sub_overflows(exposure.position_lots, exposure.open_sell_lots, short_lots)) return false;
    const std::uint64_t long_size = magnitude(long_lots);
    const std::uint64_t short_size = magnitude(short_lots);
    const std::uint64_t worst = long_size > short_size ? long_size : short_size;
    out = static_cast<std::int64_t>(worst);
    return worst <= INT64_MAX;
}

// Does an order of this side bring its own side nearer to flat, without crossing it? (The worst
// case itself never falls when an order is added: it might not trade.)
[[nodiscard]] inline bool is_reducing(const Exposure& exposure, Side side,
                                      std::int64_t quantity_lots) noexcept {
    const bool buys = side == Side::kBuy;
    std::int64_t now = 0;
    std::int64_t then = 0;
    if (quantity_lots <= 0) return false;
    const std::int64_t open = buys ? exposure.open_buy_lots : -exposure.open_sell_lots;
    if (add_overflows(exposure.position_lots, open, now)) return false;
    if (add_overflows(now, buys ? quantity_lots : -quantity_lots, then)) return false;
    return buys ? now < 0 && then <= 0 : now > 0 && then >= 0;
}

// The exposure as it would be with one more order of quantity_lots open. False on overflow.
[[nodiscard]] inline bool reserve(Exposure& exposure, Side side,
                                  std::int64_t quantity_lots) noexcept {
    std::int64_t& open = side == Side::kBuy ? exposure.open_buy_lots : exposure.open_sell_lots;
    return !add_overflows(open, quantity_lots, open);
}

}  // namespace gm
