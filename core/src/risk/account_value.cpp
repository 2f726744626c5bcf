#include "gm/risk/account_value.hpp"

namespace gm {
namespace {

std::int64_t saturated(Int128 micros) noexcept {
    std::int64_t narrow = 0;
    return narrow_overflows(micros, narrow) ? INT64_MAX : narrow;
}

}  // namespace

std::int64_t notional_micros(const Instrument& instrument, std::int64_t price_ticks,
                             std::int64_t quantity_lots) noexcept {
    const Int128 ticks = Int128{magnitude(price_ticks)} * magnitude(quantity_lots);
    Int128 wide = 0;
    std::int64_t micros = 0;
    const bool fits = !mul_overflows(ticks, Int128{instrument.tick_value_micros}, wide) &&
                      !narrow_overflows(wide, micros);
    return fits ? micros : INT64_MAX;
}

WorstValue AccountValue::value_of(const Instrument& instrument, const Limits& limits,
                                  std::int64_t worst_lots, const Reference& reference) noexcept {
    WorstValue value;
    if (worst_lots == 0) return value;
    value.is_unknown = !reference.is_known;
    value.gross_micros = notional_micros(instrument, reference.ticks, worst_lots);
    value.margin_micros = saturated(Int128{worst_lots} * limits.margin_micros_per_lot);
    return value;
}

std::int64_t AccountValue::gross_with(std::size_t instrument,
                                      const WorstValue& value) const noexcept {
    const WorstValue& own = values_[instrument];
    const std::uint32_t others_unknown = unknown_ - (own.is_unknown ? 1U : 0U);
    if (others_unknown > 0 || value.is_unknown) return INT64_MAX;
    if (value.gross_micros == INT64_MAX) return INT64_MAX;
    return saturated(gross_micros_ - own.gross_micros + value.gross_micros);
}

std::int64_t AccountValue::margin_with(std::size_t instrument,
                                       const WorstValue& value) const noexcept {
    if (value.margin_micros == INT64_MAX) return INT64_MAX;
    return saturated(margin_micros_ - values_[instrument].margin_micros + value.margin_micros);
}

}  // namespace gm
