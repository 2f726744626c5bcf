// gaussian_sum for AVX-512 (F, DQ): eight doubles a register.
#include <cstddef>
#include <cstdint>

#include "gm/indicators/gaussian_sum.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

// From here on only templates over the register type below are compiled: all private to this file.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq")
#endif

#include "gm/indicators/gaussian_sum_body.hpp"

namespace gm {

namespace {

struct Register {
    static constexpr int kWidth = 8;
    __m512d value;

    static Register load(const double* from) { return {_mm512_loadu_pd(from)}; }
    void store(double* to) const { _mm512_storeu_pd(to, value); }
    static Register broadcast(double x) { return {_mm512_set1_pd(x)}; }
    static Register add(const Register& a, const Register& b) {
        return {_mm512_add_pd(a.value, b.value)};
    }
    static Register subtract(const Register& a, const Register& b) {
        return {_mm512_sub_pd(a.value, b.value)};
    }
    static Register multiply(const Register& a, const Register& b) {
        return {_mm512_mul_pd(a.value, b.value)};
    }
    static Register fma(const Register& a, const Register& b, const Register& c) {
        return {_mm512_fmadd_pd(a.value, b.value, c.value)};
    }
    // The forms with a full mask do not warn of uninitialised memory in g++ 12.
    static Register min(const Register& a, const Register& b) {
        return {_mm512_maskz_min_pd(0xff, a.value, b.value)};
    }
    [[nodiscard]] Register first(std::int32_t n) const {
        const std::int32_t kept = n < 0 ? 0 : n < kWidth ? n : kWidth;
        return {_mm512_maskz_mov_pd(static_cast<__mmask8>((1U << kept) - 1U), value)};
    }
    static Register root(const Register& n) {
        using gaussian_sum_body::kRootBits;
        const __m512i sixteenths = _mm512_castpd_si512(n.value);
        const __m512i bits =
            _mm512_permutex2var_epi64(_mm512_load_si512(kRootBits.bits), sixteenths,
                                      _mm512_load_si512(kRootBits.bits + kWidth));
        const __m512i exponent =
            _mm512_maskz_slli_epi64(0xff, sixteenths, gaussian_sum_body::kExponentOfSixteenth);
        return {_mm512_castsi512_pd(_mm512_sub_epi64(bits, exponent))};
    }
};

GaussianSums sums(const GaussianPoints& points, std::int32_t split, const double* point) {
    return gaussian_sum_body::sums<Register>(points, split, point);
}

}  // namespace

GaussianSumsFunction avx512_gaussian_sums() noexcept {
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

GaussianSumsFunction avx512_gaussian_sums() noexcept {
    return nullptr;
}

}  // namespace gm

#endif
