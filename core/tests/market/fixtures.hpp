// What the tests of the market share: an instrument, times that can be read, and sessions.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "gm/market/bar_builder.hpp"
#include "gm/market/instrument.hpp"
#include "gm/wire/payload.hpp"

namespace gm::test {

inline constexpr std::int64_t kHourNs = 60 * kMinuteNs;
inline constexpr std::int64_t kDayNs = 24 * kHourNs;
// Monday 2024-01-01 00:00 UTC.
inline constexpr std::int64_t kMonday = 1'704'067'200'000'000'000;

// Band 20 %, at least 100 ticks; a tick is worth a cent.
inline Instrument instrument() {
    Instrument row{};
    std::strcpy(row.symbol, "TEST");
    row.tick_size_e9 = 250'000'000;
    row.volume_lot_e9 = 1'000'000'000;
    row.order_lot_e9 = 1'000'000'000;
    row.order_tick_ticks = 1;
    row.tick_value_micros = 10'000;
    row.price_floor_ticks = 0;
    row.band_ppm = 200'000;
    row.band_ticks_min = 100;
    return row;
}

inline std::vector<SessionInterval> always() {
    return {{0, std::int64_t{1} << 62, 0}};
}
// Five days of 00:00 to 17:00 from kMonday on.
inline std::vector<SessionInterval> days_until_17() {
    std::vector<SessionInterval> table;
    for (std::int64_t day = 0; day < 5; ++day) {
        const std::int64_t open = kMonday + day * kDayNs;
        table.push_back({open, open + 17 * kHourNs, day});
    }
    return table;
}
inline std::vector<OffsetChange> utc() {
    return {{0, 0}};
}

inline BarClose bar(std::int64_t start, std::int64_t minutes, std::int64_t open, std::int64_t high,
                    std::int64_t low, std::int64_t close, std::int64_t volume = 10) {
    return {start, open, high, low, close, volume, static_cast<std::uint32_t>(minutes * 60),
            0,     0,    0};
}
// A bar that stands still.
inline BarClose flat(std::int64_t start, std::int64_t minutes, std::int64_t price = 10'000) {
    return bar(start, minutes, price, price, price, price);
}
inline BarOpen opening(std::int64_t start, std::int64_t minutes, std::int64_t price = 10'000) {
    BarOpen event{};
    event.start_ts_ns = start;
    event.duration_ns = minutes * kMinuteNs;
    event.open_ticks = price;
    return event;
}
inline Quote quote(std::int64_t bid, std::int64_t ask, std::int64_t lots = 1) {
    Quote event{};
    event.bid_ticks = bid;
    event.ask_ticks = ask;
    event.bid_lots = bid == 0 ? 0 : lots;
    event.ask_lots = ask == 0 ? 0 : lots;
    return event;
}
inline BookLevel book_level(Side side, std::int64_t price, std::int64_t lots, bool is_last = true) {
    BookLevel event{};
    event.price_ticks = price;
    event.quantity_lots = lots;
    event.side = side;
    event.is_last = is_last ? 1 : 0;
    return event;
}
inline BookReset book_reset(BookResetReason reason) {
    BookReset event{};
    event.reason = reason;
    return event;
}
inline Trade trade(std::int64_t price, std::int64_t quantity = 1) {
    Trade event{};
    event.price_ticks = price;
    event.quantity_lots = quantity;
    return event;
}

}  // namespace gm::test
