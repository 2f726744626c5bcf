// gaussian_sum for AVX2 with FMA: four doubles a register.
#include <cstddef>
#include <cstdint>

#include "gm/indicators/gaussian_sum.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

// From here on only templates over the register type below are compiled: all private to this file.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "gm/indicators/gaussian_sum_body.hpp"

namespace gm {

namespace {

struct Register {
    static constexpr int kWidth = 4;
    __m256d value;

    static Register load(const double* from) { return {_mm256_loadu_pd(from)}; }
    void store(double* to) const { _mm256_storeu_pd(to, value); }
    static Register broadcast(double x) { return {_mm256_set1_pd(x)}; }
    static Register add(const Register& a, const Register& b) {
        return {_mm256_add_pd(a.value, b.value)};
    }
    static Register subtract(const Register& a, const Register& b) {
        return {_mm256_sub_pd(a.value, b.value)};
    }
    static Register multiply(const Register& a, const Register& b) {
        return {_mm256_mul_pd(a.value, b.value)};
    }
    static Register fma(const Register& a, const Register& b, const Register& c) {
        return {_mm256_fmadd_pd(a.value, b.value, c.value)};
    }
    static Register min(const Register& a, const Register& b) {
        return {_mm256_min_pd(a.value, b.value)};
    }
    [[nodiscard]] Register first(std::int32_t n) const {
        const __m256d index = _mm256_set_pd(3.0, 2.0, 1.0, 0.0);
        const __m256d is_kept = _mm256_cmp_pd(index, _mm256_set1_pd(n), _CMP_LT_OQ);
        return {_mm256_and_pd(value, is_kept)};
    }
    static Register root(const Register& n) {
        const __m256i sixteenths = _mm256_castpd_si256(n.value);
        const __m256i places = _mm256_and_si256(sixteenths, _mm256_set1_epi64x(15));
        const __m256i bits = _mm256_i64gather_epi64(
            reinterpret_cast<const long long*>(gaussian_sum_body::kRootBits.bits), places, 8);
        const __m256i exponent =
            _mm256_slli_epi64(sixteenths, gaussian_sum_body::kExponentOfSixteenth);
        return {_mm256_castsi256_pd(_mm256_sub_epi64(bits, exponent))};
    }
};

GaussianSums sums(const GaussianPoints& points, std::int32_t split, const double* point) {
    return gaussian_sum_body::sums<Register>(points, split, point);
}

}  // namespace

GaussianSumsFunction avx2_gaussian_sums() noexcept {
    return sums;
}

}  // namespace gm

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

namespace gm {

GaussianSumsFunction avx2_gaussian_sums() noexcept {
    return nullptr;
}

}  // namespace gm

#endif
