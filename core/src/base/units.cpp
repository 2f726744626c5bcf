// Decimal text to ticks: see the header for what is promised.
//
// The quotient value/unit is kept as numerator/denominator in 128 bits. Where one of them does
// not fit, the answer is known without it, so no case is left to chance.
#include "gm/base/units.hpp"

#include <limits>

namespace gm {
namespace {

constexpr int kDigitsMax = 28;
constexpr std::int64_t kExponentMax = 1'000'000;  // far past both ends: overflow or zero
constexpr int kUnitExponent = -9;
constexpr Int128 kTolerance = 1'000'000'000;  // one unit is this many tolerances

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool equals_word(std::string_view text, std::string_view lower_case_word) {
    if (text.size() != lower_case_word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if ((text[i] | 0x20) != lower_case_word[i]) return false;
    }
    return true;
}

bool is_word(std::string_view text) {
    return text.empty() || equals_word(text, "nan") || equals_word(text, "inf") ||
           equals_word(text, "infinity");
}

// Takes a sign off the front; true for minus.
bool take_sign(std::string_view& text) {
    if (text.empty() || (text.front() != '-' && text.front() != '+')) return false;
    const bool is_negative = text.front() == '-';
    text.remove_prefix(1);
    return is_negative;
}

// Digits and point, gathered so that the coefficient never exceeds kDigitsMax digits.
struct Mantissa {
    Uint128 coefficient = 0;
    std::int64_t exponent = 0;
    int digit_count = 0;             // significant ones taken into the coefficient
    std::int64_t pending_zeros = 0;  // zeros after the last nonzero digit, not yet taken
    bool is_truncated = false;

    void take(int digit) {
        if (digit == 0) {
            if (digit_count > 0) ++pending_zeros;
            return;
        }
        if (digit_count + pending_zeros >= kDigitsMax) {
            is_truncated = true;
            ++pending_zeros;  // keeps the place value of what came before
            return;
        }
        for (; pending_zeros > 0; --pending_zeros, ++digit_count) coefficient *= 10;
        coefficient = coefficient * 10 + static_cast<Uint128>(digit);
        ++digit_count;
    }
};

// Takes digits [. digits] off the front; false when there is not one digit.
bool take_mantissa(std::string_view& text, Mantissa& mantissa) {
    bool has_digit = false;
    bool has_point = false;
    std::size_t i = 0;
    for (; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '.' && !has_point) {
            has_point = true;
        } else if (is_digit(c)) {
            has_digit = true;
            mantissa.take(c - '0');
            if (has_point) --mantissa.exponent;
        } else {
            break;
        }
    }
    text.remove_prefix(i);
    return has_digit;
}

// Takes e [sign] digits, to the end of the text.
bool take_exponent(std::string_view text, std::int64_t& exponent) {
    if (text.empty()) return true;
    if ((text.front() | 0x20) != 'e') return false;
    text.remove_prefix(1);
    const bool is_negative = take_sign(text);
    if (text.empty()) return false;
    std::int64_t value = 0;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        if (value <= 2 * kExponentMax) value = value * 10 + (c - '0');  // saturates
    }
    exponent += is_negative ? -value : value;
    return true;
}

// value / unit as a whole part and an exact rest: quotient + remainder/denominator, where a
// truncated value lies less than 1/denominator above it.
struct Quotient {
    Int128 whole = 0;
    Int128 remainder = 0;
    Int128 denominator = 1;
};

// Multiplies by 10^power; false when that leaves 127 bits.
bool scale(Int128& value, std::int64_t power) {
    for (; power > 0; --power) {  // ends after 38 rounds: the value is never zero
        if (mul_overflows(value, Int128{10}, value)) return false;
    }
    return true;
}

Status divide(const Decimal& value, std::int64_t unit_e9, Quotient& out) {
    if (unit_e9 <= 0) return Status::kBadArgument;
    out = {};
    if (value.coefficient == 0) return Status::kOk;
    const std::int64_t power = std::int64_t{value.exponent} - kUnitExponent;
    auto numerator = static_cast<Int128>(value.coefficient);
    Int128 denominator = unit_e9;
    // A numerator past 127 bits is more than 2^63 of the largest unit.
    if (!scale(numerator, power)) return Status::kOverflow;
    // A denominator past 127 bits is more than 10^38 against at most 10^28: zero for both uses.
    if (!scale(denominator, -power)) return Status::kOk;
    out = {numerator / denominator, numerator % denominator, denominator};
    return Status::kOk;
}

Status finish(Int128 whole, bool is_negative, std::int64_t& out) {
    if (whole > std::numeric_limits<std::int64_t>::max()) return Status::kOverflow;
    const auto value = static_cast<std::int64_t>(whole);
    out = is_negative ? -value : value;
    return Status::kOk;
}

}  // namespace

Status parse_decimal(std::string_view text, Decimal& out) noexcept {
    const bool is_negative = take_sign(text);
    if (is_word(text)) return Status::kNotANumber;
    Mantissa mantissa;
    if (!take_mantissa(text, mantissa)) return Status::kBadArgument;
    if (!take_exponent(text, mantissa.exponent)) return Status::kBadArgument;
    out = {};
    if (mantissa.coefficient == 0) return Status::kOk;
    std::int64_t exponent = mantissa.exponent + mantissa.pending_zeros;
    if (exponent > kExponentMax) exponent = kExponentMax;
    if (exponent < -kExponentMax) exponent = -kExponentMax;
    out = {mantissa.coefficient, static_cast<std::int32_t>(exponent), is_negative,
           mantissa.is_truncated};
    return Status::kOk;
}

Status to_units(const Decimal& value, std::int64_t unit_e9, std::int64_t& out) noexcept {
    Quotient quotient;
    const Status status = divide(value, unit_e9, quotient);
    if (status != Status::kOk) return status;
    const Int128 below = quotient.remainder;
    const Int128 above = quotient.denominator - quotient.remainder;
    const Int128 tolerance = quotient.denominator / kTolerance;
    // The cut-off part makes `below` larger and `above` smaller, each by less than one.
    if (below < tolerance || (below == tolerance && !value.is_truncated)) {
        return finish(quotient.whole, value.is_negative, out);
    }
    if (above <= tolerance) return finish(quotient.whole + 1, value.is_negative, out);
    return Status::kOffGrid;
}

Status to_units_rounded(const Decimal& value, std::int64_t unit_e9, std::int64_t& out) noexcept {
    Quotient quotient;
    const Status status = divide(value, unit_e9, quotient);
    if (status != Status::kOk) return status;
    const Int128 above = quotient.denominator - quotient.remainder;
    const bool is_tie = quotient.remainder == above && !value.is_truncated;
    const bool is_odd = (quotient.whole & 1) != 0;
    const bool goes_up = is_tie ? is_odd : quotient.remainder >= above;
    return finish(quotient.whole + (goes_up ? 1 : 0), value.is_negative, out);
}

}  // namespace gm
