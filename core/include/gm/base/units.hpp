// Decimal text becomes a whole number of ticks or lots by integer arithmetic alone.
//
// A price off the grid is refused, never rounded (SPEC §1); a volume may be rounded half to even.
// Units are given in 1e-9 (`tick_size_e9`), as in the instrument table. No locale, no float, no
// allocation; a text of any length is read in one pass.
#pragma once

#include <cstdint>
#include <string_view>

#include "gm/base/checked.hpp"
#include "gm/base/status.hpp"

namespace gm {

// coefficient * 10^exponent, without trailing zeros. Digits past the 28th significant one leave
// only a mark: a nonzero one sets is_truncated, which means "and a little more in magnitude".
struct Decimal {
    Uint128 coefficient = 0;
    std::int32_t exponent = 0;
    bool is_negative = false;
    bool is_truncated = false;
};

// Reads [sign] digits [. digits] [e [sign] digits], with at least one digit before the exponent.
// kNotANumber: nothing at all (an empty cell), or one of the words nan, inf, infinity in any case
// with any sign. kBadArgument: anything else that is not a number, white space included.
[[nodiscard]] Status parse_decimal(std::string_view text, Decimal& out) noexcept;

// The value in units of unit_e9 * 1e-9. kOffGrid when it is further than 1e-9 of a unit from a
// whole number; kOverflow beyond int64; kBadArgument for a unit that is not positive. `out` is
// written on kOk only.
[[nodiscard]] Status to_units(const Decimal& value, std::int64_t unit_e9,
                              std::int64_t& out) noexcept;

// The same, rounded to the nearest whole unit, ties to even. Never kOffGrid.
[[nodiscard]] Status to_units_rounded(const Decimal& value, std::int64_t unit_e9,
                                      std::int64_t& out) noexcept;

}  // namespace gm
