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
    static Register root(Register n) {
        using gaussian_sum_body::kExponentOfSixteenth;
        const auto sixteenths = std::bit_cast<std::uint64_t>(n.value);
        const std::uint64_t bits = gaussian_sum_body::kRootBits.bits[sixteenths % 16];
        return {std::bit_cast<double>(bits - (sixteenths << kExponentOfSixteenth))};
    }
};

GaussianSums sums(const GaussianPoints& points, std::int32_t split, const double* point) {
    return gaussian_sum_body::sums<Register>(points, split, point);
}

const GaussianSumsFunction kWidest = find_gaussian_sums(widest_instruction_set());

}  // namespace

GaussianSums gaussian_sums(const GaussianPoints& points, std::int32_t split,
                           const double* point) noexcept {
    return kWidest(points, split, point);
}

GaussianSumsFunction find_gaussian_sums(InstructionSet set) noexcept {
    if (!has_instruction_set(set)) return nullptr;
    switch (set) {
        case InstructionSet::kAvx512: return avx512_gaussian_sums();
        case InstructionSet::kAvx2: return avx2_gaussian_sums();
        case InstructionSet::kScalar: break;
    }
    return sums;
}

}  // namespace gm
