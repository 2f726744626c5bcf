#include "gm/orders/portfolio.hpp"

#include "gm/base/checked.hpp"

namespace gm {
namespace {

// 128-bit ticks x lots into 64-bit micro-units.
[[nodiscard]] bool to_micros(Int128 ticks_lots, std::int64_t tick_value_micros,
                             std::int64_t& out) noexcept {
    Int128 micros = 0;
    return !mul_overflows(ticks_lots, static_cast<Int128>(tick_value_micros), micros) &&
           !narrow_overflows(micros, out);
}

}  // namespace

Status apply_fill(Position& position, Side side, std::int64_t price_ticks,
                  std::int64_t quantity_lots, std::int64_t commission_micros,
                  std::int64_t tick_value_micros) noexcept {
    if (quantity_lots <= 0) return Status::kBadArgument;
    Position next = position;
    const std::int64_t sign = side == Side::kBuy ? 1 : -1;
    std::int64_t left = quantity_lots;

    if (position.lots != 0 && (position.lots > 0) != (sign > 0)) {  // closes first
        const Int128 held = magnitude(position.lots);
        const std::int64_t closed = held < left ? static_cast<std::int64_t>(held) : left;
        const Int128 removed = position.cost * closed / held;
        const Int128 cash = Int128{-sign} * closed * price_ticks;
        std::int64_t gain_micros = 0;
        if (!to_micros(cash - removed, tick_value_micros, gain_micros) ||
            add_overflows(next.realised_micros, gain_micros, next.realised_micros)) {
            return Status::kOverflow;
        }
        next.cost -= removed;
        next.lots += sign * closed;
        left -= closed;
        next.round_trips += next.lots == 0;
    }
    if (left > 0) {  // opens or adds
        if (add_overflows(next.lots, sign * left, next.lots)) return Status::kOverflow;
        next.cost += Int128{sign} * left * price_ticks;
    }
    if (add_overflows(next.commission_micros, commission_micros, next.commission_micros)) {
        return Status::kOverflow;
    }
    position = next;
    return Status::kOk;
}

Status unrealised_micros(const Position& position, std::int64_t price_ticks,
                         std::int64_t tick_value_micros, std::int64_t& out) noexcept {
    const Int128 value = Int128{position.lots} * price_ticks - position.cost;
    return to_micros(value, tick_value_micros, out) ? Status::kOk : Status::kOverflow;
}

Status books_of(const Position& position, std::int64_t tick_value_micros, Books& out) noexcept {
    Int128 held = 0;
    Int128 cash = 0;
    if (mul_overflows(position.cost, Int128{tick_value_micros}, held) ||
        sub_overflows(Int128{position.realised_micros}, held, cash) ||
        add_overflows(cash, position.adjusted_micros, cash)) {
        return Status::kOverflow;
    }
    out = {position.lots, cash, position.commission_micros};
    return Status::kOk;
}

Status adopt_books(Position& position, const Books& books, std::int64_t price_ticks,
                   std::int64_t tick_value_micros) noexcept {
    Position next = position;
    const bool stays = position.lots != 0 && (position.lots > 0) == (books.position_lots > 0);
    if (stays && magnitude(books.position_lots) <= magnitude(position.lots)) {
        const Int128 held = magnitude(position.lots);
        next.cost -= position.cost * (held - magnitude(books.position_lots)) / held;
    } else {
        const Int128 kept_lots = stays ? position.lots : 0;
        next.cost = (stays ? position.cost : 0) + (books.position_lots - kept_lots) * price_ticks;
    }
    next.lots = books.position_lots;
    next.commission_micros = books.commission_micros;
    next.adjusted_micros = 0;
    Books explained;
    if (books_of(next, tick_value_micros, explained) != Status::kOk ||
        sub_overflows(books.cash_micros, explained.cash_micros, next.adjusted_micros)) {
        return Status::kOverflow;
    }
    position = next;
    return Status::kOk;
}

Status equity_micros(const Position& position, std::int64_t price_ticks,
                     std::int64_t tick_value_micros, std::int64_t& out) noexcept {
    std::int64_t open = 0;
    Int128 wide = Int128{position.realised_micros} - position.commission_micros;
    const bool fits =
        unrealised_micros(position, price_ticks, tick_value_micros, open) == Status::kOk &&
        !add_overflows(wide, Int128{open}, wide) &&
        !add_overflows(wide, position.adjusted_micros, wide) && !narrow_overflows(wide, open);
    if (!fits) return Status::kOverflow;
    out = open;
    return Status::kOk;
}

}  // namespace gm
