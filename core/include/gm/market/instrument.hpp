// One row of configs/instruments.yaml as the core sees it, and the session table it points into.
//
// Decimal sizes are integers in units of 1e-9, so that text becomes ticks by integer arithmetic.
// Plain data that crosses the Python boundary: gm/layout.py repeats it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gm/base/sha256.hpp"

namespace gm {

struct Instrument {
    char symbol[16];  // zero-terminated
    char currency[8];
    std::int64_t tick_size_e9;
    std::int64_t volume_lot_e9;
    std::int64_t order_lot_e9;
    std::int64_t order_tick_ticks;   // order prices are multiples of this many ticks (IBM: 100)
    std::int64_t tick_value_micros;  // one order lot moved by one tick
    std::int64_t price_floor_ticks;  // a price at or below it is refused
    std::int64_t band_ppm;           // jump band against the last good price
    std::int64_t band_ticks_min;     // and at least this many ticks
    std::uint32_t session_first;     // its slice of the SessionInterval table
    std::uint32_t session_count;
    std::uint32_t offset_first;  // its slice of the OffsetChange table
    std::uint32_t offset_count;
    std::uint8_t reserved[24];
};
static_assert(sizeof(Instrument) == 128 && offsetof(Instrument, session_first) == 88);

// A name for the wire: two sides that give the same number mean the same instrument.
[[nodiscard]] inline std::uint64_t symbol_hash(const Instrument& instrument) noexcept {
    const Sha256Digest digest = sha256(instrument.symbol, ::strnlen(instrument.symbol, 16));
    std::uint64_t first = 0;
    std::memcpy(&first, digest.data(), sizeof first);
    return first;
}

// The market is open in [open_ts_ns, close_ts_ns). Ascending, not overlapping. `day` counts the
// exchange's trading days, so that intervals of one day can be told from the next.
struct SessionInterval {
    std::int64_t open_ts_ns;
    std::int64_t close_ts_ns;
    std::int64_t day;
};
static_assert(sizeof(SessionInterval) == 24);

// From ts_ns on, exchange-local time is UTC + offset_ns. Ascending; the first covers all before.
struct OffsetChange {
    std::int64_t ts_ns;
    std::int64_t offset_ns;
};
static_assert(sizeof(OffsetChange) == 16);

}  // namespace gm
