// Position and money of one instrument, exact to the micro-unit.
//
// Average cost is kept as total cost in ticks x lots (128 bits, signed like the position); closing
// q of |Q| lots removes cost * q / |Q|, truncated toward zero, and what remains carries the
// remainder, so realised + unrealised never loses a micro-unit. Source: SPEC §1, "Money".
#pragma once

#include <cstdint>

#include "gm/base/checked.hpp"
#include "gm/base/status.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

struct Position {
    Int128 cost = 0;             // ticks x lots; negative for a short
    Int128 adjusted_micros = 0;  // money that no fill explains: accepted from the venue's books
    std::int64_t lots = 0;
    std::int64_t realised_micros = 0;
    std::int64_t commission_micros = 0;
    std::int64_t round_trips = 0;  // ends when the position reaches or crosses zero
};

// Books one execution. kOverflow leaves the position as it was: the caller halts.
[[nodiscard]] Status apply_fill(Position& position, Side side, std::int64_t price_ticks,
                                std::int64_t quantity_lots, std::int64_t commission_micros,
                                std::int64_t tick_value_micros) noexcept;

// Mark-to-market at price_ticks. kOverflow leaves `out` as it was.
[[nodiscard]] Status unrealised_micros(const Position& position, std::int64_t price_ticks,
                                       std::int64_t tick_value_micros, std::int64_t& out) noexcept;

// What a venue says of one instrument.
struct Books {
    std::int64_t position_lots = 0;
    Int128 cash_micros = 0;  // sales less purchases, before commission
    std::int64_t commission_micros = 0;

    friend bool operator==(const Books&, const Books&) = default;
};

// The same of our own: what was realised and adjusted less what is held at cost.
[[nodiscard]] Status books_of(const Position& position, std::int64_t tick_value_micros,
                              Books& out) noexcept;

// Makes the position what these books say. Lots that are gone leave at their average cost, lots
// that are new come in at price_ticks, and what the cash then still differs by is adjusted.
// kOverflow leaves the position as it was.
[[nodiscard]] Status adopt_books(Position& position, const Books& books, std::int64_t price_ticks,
                                 std::int64_t tick_value_micros) noexcept;

// Realised, adjusted and unrealised less commission. kOverflow leaves `out` as it was.
[[nodiscard]] Status equity_micros(const Position& position, std::int64_t price_ticks,
                                   std::int64_t tick_value_micros, std::int64_t& out) noexcept;

}  // namespace gm
