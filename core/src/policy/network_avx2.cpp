// The kernel for AVX2 with FMA: 16 lanes as two registers.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "gm/policy/network_plan.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "gm/base/elementary.hpp"

// From here on only templates over the lane type below are compiled: all private to this file.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "gm/policy/network_kernel.hpp"

namespace gm {

namespace {

struct Lanes {
    static constexpr int kBlocks = 4;
    static constexpr int kTileSums = 6;
    __m256 low;
    __m256 high;

    static Lanes load(const float* from) {
        return {_mm256_load_ps(from), _mm256_load_ps(from + 8)};
    }
    void store(float* to) const {
        _mm256_store_ps(to, low);
        _mm256_store_ps(to + 8, high);
    }
    static __m256i load_words(const Bfloat16Pair* from) {
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
    }
    static __m256 low_halves(__m256i words) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
    }
    static __m256 high_halves(__m256i words) {
        const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000U));
        return _mm256_castsi256_ps(_mm256_and_si256(words, mask));
    }
    static Lanes load_low(const Bfloat16Pair* from) {
        return {low_halves(load_words(from)), low_halves(load_words(from + 8))};
    }
    static Lanes load_high(const Bfloat16Pair* from) {
        return {high_halves(load_words(from)), high_halves(load_words(from + 8))};
    }
    static Lanes broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
    static Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
#ifdef GM_MUTANT_P12  // rounds twice, as a compiler may that is not told
        return add(multiply(a, b), c);
#else
        return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
#endif
    }
    static Lanes add(const Lanes& a, const Lanes& b) {
        return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
    }
    static Lanes subtract(const Lanes& a, const Lanes& b) {
        return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
    }
    static Lanes multiply(const Lanes& a, const Lanes& b) {
        return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
    }
    [[nodiscard]] Lanes relu() const {
        const __m256 zero = _mm256_setzero_ps();
        return {_mm256_and_ps(low, _mm256_cmp_ps(low, zero, _CMP_NLE_UQ)),
                _mm256_and_ps(high, _mm256_cmp_ps(high, zero, _CMP_NLE_UQ))};
    }
    [[nodiscard]] float sum() const {
        const __m256 eight = _mm256_add_ps(low, high);
        const __m128 four =
            _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    static std::size_t collect(const float* x, std::uint32_t count, float* values,
                               std::uint32_t* rows) {
        std::size_t found = 0;
        for (std::uint32_t i = 0; i < count; ++i) {  // no branch: activity is a coin toss
            values[found] = x[i];
            rows[found] = i;
            found += x[i] <= 0.0F ? 0 : 1;
        }
        return found;
    }
};

constexpr NetworkKernel kKernel = network_kernel::kernel_of<Lanes>();

}  // namespace

const NetworkKernel* avx2_kernel() noexcept {
    return &kKernel;
}

}  // namespace gm

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

namespace gm {

const NetworkKernel* avx2_kernel() noexcept {
    return nullptr;
}

}  // namespace gm

#endif
