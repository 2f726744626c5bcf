// Whether one order trades in one market event, and at what price. Pure.
//
// An event is what the tape says of the market: an OPEN or a trade is one price, a CLOSE is the
// range of its bar. An order that waits meets the event's first price before its range, so a limit
// that the gap went through takes the better first price, and a stop that it went through takes
// the worse one; the range then holds the order's own price or it does not. Slippage is paid by
// market and stop orders, never by limits. A market order needs a price that comes after it: it
// never trades in a range.
#pragma once

#include <cstdint>

#include "gm/base/checked.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

enum class MarketEventKind : std::uint8_t { kNone = 0, kOpen = 1, kClose = 2, kTrade = 3 };

struct MarketEvent {
    MarketEventKind kind;
    std::int64_t first_ticks;  // the open, or the trade
    std::int64_t high_ticks;
    std::int64_t low_ticks;
};

enum class Match : std::uint8_t { kNone = 0, kTrades = 1, kOverflow = 2 };

[[nodiscard]] inline Match slip(Side side, std::int64_t from_ticks, std::int64_t slippage_ticks,
                                std::int64_t& price_ticks) noexcept {
    const bool overflows = side == Side::kBuy
                               ? add_overflows(from_ticks, slippage_ticks, price_ticks)
                               : sub_overflows(from_ticks, slippage_ticks, price_ticks);
    return overflows ? Match::kOverflow : Match::kTrades;
}

// `type` is kMarket for a stop that was triggered earlier and has lots left.
[[nodiscard]] inline Match match(OrderType type, Side side, std::int64_t order_ticks,
                                 const MarketEvent& event, std::int64_t slippage_ticks,
                                 std::int64_t& price_ticks) noexcept {
    const bool is_buy = side == Side::kBuy;
    const std::int64_t first = event.first_ticks;
    switch (type) {
        case OrderType::kMarket:
            if (event.kind == MarketEventKind::kClose) return Match::kNone;
            return slip(side, first, slippage_ticks, price_ticks);
        case OrderType::kLimit:
            if (is_buy ? event.low_ticks > order_ticks : event.high_ticks < order_ticks) {
                return Match::kNone;
            }
            price_ticks =
                (is_buy ? first < order_ticks : first > order_ticks) ? first : order_ticks;
            return Match::kTrades;
        case OrderType::kStop: {
            if (is_buy ? event.high_ticks < order_ticks : event.low_ticks > order_ticks) {
                return Match::kNone;
            }
            const bool is_gapped = is_buy ? first > order_ticks : first < order_ticks;
            return slip(side, is_gapped ? first : order_ticks, slippage_ticks, price_ticks);
        }
    }
    return Match::kNone;
}

}  // namespace gm
