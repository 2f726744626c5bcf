// Integer arithmetic that says when it does not fit, instead of wrapping.
//
// Money and exposure are computed with these only. `out` is written in every case; after an
// overflow it holds the wrapped value and must not be used.
#pragma once

#include <cstdint>
#include <limits>

namespace gm {

// 128 bits hold any product of two int64. __extension__: not in ISO C++, but in every compiler
// that this project accepts.
__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

[[nodiscard]] constexpr bool add_overflows(std::int64_t a, std::int64_t b,
                                           std::int64_t& out) noexcept {
    return __builtin_add_overflow(a, b, &out);
}
[[nodiscard]] constexpr bool sub_overflows(std::int64_t a, std::int64_t b,
                                           std::int64_t& out) noexcept {
    return __builtin_sub_overflow(a, b, &out);
}
[[nodiscard]] constexpr bool mul_overflows(std::int64_t a, std::int64_t b,
                                           std::int64_t& out) noexcept {
    return __builtin_mul_overflow(a, b, &out);
}
[[nodiscard]] constexpr bool add_overflows(Int128 a, Int128 b, Int128& out) noexcept {
    return __builtin_add_overflow(a, b, &out);
}
[[nodiscard]] constexpr bool sub_overflows(Int128 a, Int128 b, Int128& out) noexcept {
    return __builtin_sub_overflow(a, b, &out);
}
[[nodiscard]] constexpr bool mul_overflows(Int128 a, Int128 b, Int128& out) noexcept {
    return __builtin_mul_overflow(a, b, &out);
}

// From 128 bits back to 64, or "does not fit".
[[nodiscard]] constexpr bool narrow_overflows(Int128 value, std::int64_t& out) noexcept {
    out = static_cast<std::int64_t>(value);
    return value != out;
}

// Quotient rounded toward plus infinity. The divisor is positive.
template <typename Integer>
[[nodiscard]] constexpr Integer ceil_div(Integer value, Integer divisor) noexcept {
    const Integer quotient = value / divisor;  // C++ rounds toward zero
    return value % divisor > 0 ? quotient + 1 : quotient;
}

// Quotient rounded toward minus infinity. The divisor is positive.
template <typename Integer>
[[nodiscard]] constexpr Integer floor_div(Integer value, Integer divisor) noexcept {
    const Integer quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

// |value| without the trap at the most negative number.
[[nodiscard]] constexpr std::uint64_t magnitude(std::int64_t value) noexcept {
    const auto bits = static_cast<std::uint64_t>(value);
    return value < 0 ? 0 - bits : bits;
}

}  // namespace gm
