// The choice of a gaussian_sum, and the one that every machine can do.
#include "gm/indicators/gaussian_sum.hpp"

#include <bit>
#include <cmath>
#include <cstdint>

#include "gm/indicators/gaussian_sum_body.hpp"

namespace gm {

namespace {

struct Register {
    static constexpr int kWidth = 1;
    double value;

    static Register load(const double* from) { return {*from}; }
    void store(double* to) const { *to = value; }
    static Register broadcast(double x) { return {x}; }
    static Register add(Register a, Register b) { return {a.value + b.value}; }
    static Register subtract(Register a, Register b) { return {a.value - b.value}; }
    static Register multiply(Register a, Register b) { return {a.value * b.value}; }
    static Register fma(Register a, Register b, Register c) {
        return {std::fma(a.value, b.value, c.value)};
    }
    static Register min(Register a, Register b) { return {a.value < b.value ? a.value : b.value}; }
    [[nodiscard]] Register first(std::int32_t n) const { return {n > 0 ? value : 0.0}; }
    static Register power(Register x, Register n) {
        const std::uint64_t exponent = std::bit_cast<std::uint64_t>(n.value) << 52U;
        return {std::bit_cast<double>(std::bit_cast<std::uint64_t>(x.value) - exponent)};
    }
};

double sum(const GaussianPoints& points, const double* point) {
    return gaussian_sum_body::sum<Register>(points, point);
}

const GaussianSum kWidest = find_gaussian_sum(widest_instruction_set());

}  // namespace

double gaussian_sum(const GaussianPoints& points, const double* point) noexcept {
    return kWidest(points, point);
}

GaussianSum find_gaussian_sum(InstructionSet set) noexcept {
    if (!has_instruction_set(set)) return nullptr;
    switch (set) {
        case InstructionSet::kAvx512: return avx512_gaussian_sum();
        case InstructionSet::kAvx2: return avx2_gaussian_sum();
        case InstructionSet::kScalar: break;
    }
    return sum;
}

}  // namespace gm
