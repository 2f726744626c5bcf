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

}  // namespace gm
