// exp, log, tanh, sin and cos with the same bits on every CPU, scalar and vector alike.
//
// libm picks its variant by CPU at run time and differs between machines; these do not: additions,
// multiplications and divisions of IEEE doubles in one fixed order, no fused multiply-add, no
// table, no branch on the CPU. Error at most 1 ulp over the whole domain (measured: below 0.82).
// Each span function gives, element for element, the bits of its scalar twin.
#pragma once

#include <span>

namespace gm::elementary {

// Largest |x| for sin and cos. Beyond it the answer is NaN: no feature has such an angle, and a
// wrong cosine is worse than a loud one.
inline constexpr double kAngleMax = 1e6;

// NaN gives NaN everywhere. Overflow is infinity, underflow is subnormal and then zero.
[[nodiscard]] double exp(double x) noexcept;
// log(0) = -infinity, log of a negative number = NaN.
[[nodiscard]] double log(double x) noexcept;
[[nodiscard]] double tanh(double x) noexcept;
[[nodiscard]] double sin(double x) noexcept;
[[nodiscard]] double cos(double x) noexcept;

// out[i] = f(x[i]). Both spans have the same size; they may be the same memory.
void exp(std::span<const double> x, std::span<double> out) noexcept;
void log(std::span<const double> x, std::span<double> out) noexcept;
void tanh(std::span<const double> x, std::span<double> out) noexcept;
void sin(std::span<const double> x, std::span<double> out) noexcept;
void cos(std::span<const double> x, std::span<double> out) noexcept;

}  // namespace gm::elementary
