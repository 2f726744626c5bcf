// The kernel for AVX-512 (F, DQ): 16 lanes are one register.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "gm/policy/network_plan.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "gm/base/elementary.hpp"

// From here on only templates over the lane type below are compiled: all private to this file.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,popcnt,avx512f,avx512dq"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,popcnt,avx512f,avx512dq")
#endif

#include "gm/policy/network_kernel.hpp"

namespace gm {

namespace {

struct Lanes {
    static constexpr int kBlocks = 16;
    static constexpr int kTileSums = 24;
    __m512 lane;

    static Lanes load(const float* from) { return {_mm512_load_ps(from)}; }
    void store(float* to) const { _mm512_store_ps(to, lane); }
    static Lanes load_low(const Bfloat16Pair* from) {
        return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, _mm512_load_si512(from), 16))};
    }
    static Lanes load_high(const Bfloat16Pair* from) {
        return {_mm512_castsi512_ps(_mm512_and_si512(
            _mm512_load_si512(from), _mm512_set1_epi32(static_cast<int>(0xffff0000U))))};
    }
    static Lanes broadcast(float value) { return {_mm512_set1_ps(value)}; }
    static Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
        return {_mm512_fmadd_ps(a.lane, b.lane, c.lane)};
    }
    static Lanes add(const Lanes& a, const Lanes& b) { return {_mm512_add_ps(a.lane, b.lane)}; }
    static Lanes subtract(const Lanes& a, const Lanes& b) {
        return {_mm512_sub_ps(a.lane, b.lane)};
    }
    static Lanes multiply(const Lanes& a, const Lanes& b) {
        return {_mm512_mul_ps(a.lane, b.lane)};
    }
    [[nodiscard]] __mmask16 is_active() const {
        return _mm512_cmp_ps_mask(lane, _mm512_setzero_ps(), _CMP_NLE_UQ);
    }
    [[nodiscard]] Lanes relu() const { return {_mm512_maskz_mov_ps(is_active(), lane)}; }
    [[nodiscard]] float sum() const {
        // The forms without a mask warn of uninitialised memory in g++ 12.
        const __m256 eight = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, lane, 0),
                                           _mm512_maskz_extractf32x8_ps(0xff, lane, 1));
        const __m128 four =
            _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    // Compresses in registers and stores whole blocks: a compressing store is microcoded on Zen.
    static std::size_t collect(const float* x, std::uint32_t count, float* values,
                               std::uint32_t* rows) {
        std::size_t found = 0;
        __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        for (std::uint32_t i = 0; i < count; i += kLanes) {
            const Lanes block = load(x + i);
            const std::uint32_t left = count - i;
            const std::uint32_t valid = left >= kLanes ? 0xffffU : (1U << left) - 1U;
            const auto active = static_cast<__mmask16>(block.is_active() & valid);
            _mm512_storeu_ps(values + found, _mm512_maskz_compress_ps(active, block.lane));
            _mm512_storeu_si512(rows + found, _mm512_maskz_compress_epi32(active, index));
            found += static_cast<std::size_t>(__builtin_popcount(active));
            index = _mm512_add_epi32(index, _mm512_set1_epi32(kLanes));
        }
        return found;
    }
};

constexpr NetworkKernel kKernel = network_kernel::kernel_of<Lanes>();

}  // namespace

const NetworkKernel* avx512_kernel() noexcept {
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

const NetworkKernel* avx512_kernel() noexcept {
    return nullptr;
}

}  // namespace gm

#endif
