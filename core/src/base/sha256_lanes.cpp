// SHA-256 of sixteen messages at once in AVX-512: word i of all of them is one register. In a file
// of its own: only these functions may use it, and only after the CPU was asked.
#include "sha256_compress.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#define GM_TARGET_LANES __attribute__((target("avx512f,avx512bw")))

namespace gm::detail {
namespace {

// a ^ b ^ c, the choice of b or c by a, and the majority: truth tables of three bits.
constexpr int kXor = 0x96;
constexpr int kChoice = 0xca;
constexpr int kMajority = 0xe8;

// The forms with a mask: those without warn of uninitialised memory in g++ 12.
template <int Bits>
GM_TARGET_LANES inline __m512i rotated(__m512i x) {
    return _mm512_maskz_ror_epi32(0xffff, x, Bits);
}
template <int Bits>
GM_TARGET_LANES inline __m512i shifted(__m512i x) {
    return _mm512_maskz_srli_epi32(0xffff, x, Bits);
}
template <int First, int Second, int Third>
GM_TARGET_LANES inline __m512i rotations(__m512i x) {
    return _mm512_ternarylogic_epi32(rotated<First>(x), rotated<Second>(x), rotated<Third>(x),
                                     kXor);
}
GM_TARGET_LANES inline __m512i sum(__m512i a, __m512i b) {
    return _mm512_add_epi32(a, b);
}

// Rows of four 32-bit words in four registers to columns, within each quarter of a register.
GM_TARGET_LANES inline void transpose_quarters(__m512i (&x)[4]) {
    const __m512i low_01 = _mm512_maskz_unpacklo_epi32(0xffff, x[0], x[1]);
    const __m512i high_01 = _mm512_maskz_unpackhi_epi32(0xffff, x[0], x[1]);
    const __m512i low_23 = _mm512_maskz_unpacklo_epi32(0xffff, x[2], x[3]);
    const __m512i high_23 = _mm512_maskz_unpackhi_epi32(0xffff, x[2], x[3]);
    x[0] = _mm512_maskz_unpacklo_epi64(0xff, low_01, low_23);
    x[1] = _mm512_maskz_unpackhi_epi64(0xff, low_01, low_23);
    x[2] = _mm512_maskz_unpacklo_epi64(0xff, high_01, high_23);
    x[3] = _mm512_maskz_unpackhi_epi64(0xff, high_01, high_23);
}

// w[i]: word i of the block of each message, message m in lane m.
GM_TARGET_LANES inline void load_words(const std::uint8_t* const (&blocks)[kSha256Lanes],
                                       std::size_t offset, __m512i (&w)[16]) {
    const __m512i to_big_endian = _mm512_maskz_broadcast_i32x4(
        0xffff, _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    __m512i columns[4][4];  // [m / 4][word % 4], quarter q: words 4q to 4q + 3
#pragma GCC unroll 4
    for (std::size_t group = 0; group < 4; ++group) {
#pragma GCC unroll 4
        for (std::size_t m = 0; m < 4; ++m) {
            columns[group][m] = _mm512_maskz_shuffle_epi8(
                ~__mmask64{0}, _mm512_loadu_si512(blocks[4 * group + m] + offset), to_big_endian);
        }
        transpose_quarters(columns[group]);
    }
#pragma GCC unroll 4
    for (std::size_t word = 0; word < 4; ++word) {  // quarters of four registers, transposed
        const __m512i low =
            _mm512_maskz_shuffle_i32x4(0xffff, columns[0][word], columns[1][word], 0x44);
        const __m512i high =
            _mm512_maskz_shuffle_i32x4(0xffff, columns[0][word], columns[1][word], 0xee);
        const __m512i low_2 =
            _mm512_maskz_shuffle_i32x4(0xffff, columns[2][word], columns[3][word], 0x44);
        const __m512i high_2 =
            _mm512_maskz_shuffle_i32x4(0xffff, columns[2][word], columns[3][word], 0xee);
        w[word] = _mm512_maskz_shuffle_i32x4(0xffff, low, low_2, 0x88);
        w[word + 4] = _mm512_maskz_shuffle_i32x4(0xffff, low, low_2, 0xdd);
        w[word + 8] = _mm512_maskz_shuffle_i32x4(0xffff, high, high_2, 0x88);
        w[word + 12] = _mm512_maskz_shuffle_i32x4(0xffff, high, high_2, 0xdd);
    }
}

}  // namespace

bool sha256_has_lanes() noexcept {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

GM_TARGET_LANES void sha256_compress_lanes(std::uint32_t* const (&states)[kSha256Lanes],
                                           const std::uint8_t* const (&blocks)[kSha256Lanes],
                                           std::size_t block_count) noexcept {
    alignas(64) std::uint32_t words[8][kSha256Lanes];
    for (std::size_t m = 0; m < kSha256Lanes; ++m) {
        for (std::size_t i = 0; i < 8; ++i) words[i][m] = states[m][i];
    }
    __m512i state[8];
    for (std::size_t i = 0; i < 8; ++i) state[i] = _mm512_load_si512(words[i]);
    for (std::size_t n = 0; n < block_count; ++n) {
        __m512i w[16];
        load_words(blocks, 64 * n, w);
        __m512i s[8];  // a to h of round 0; round i finds a at (8 - i) % 8
#pragma GCC unroll 8
        for (std::size_t i = 0; i < 8; ++i) s[i] = state[i];
#pragma GCC unroll 64
        for (unsigned i = 0; i < 64; ++i) {  // unrolled: s and w lie in registers
            __m512i& word = w[i % 16];
            if (i >= 16) {
                const __m512i before_15 = w[(i + 1) % 16];
                const __m512i before_2 = w[(i + 14) % 16];
                const __m512i s0 = _mm512_ternarylogic_epi32(
                    rotated<7>(before_15), rotated<18>(before_15), shifted<3>(before_15), kXor);
                const __m512i s1 = _mm512_ternarylogic_epi32(
                    rotated<17>(before_2), rotated<19>(before_2), shifted<10>(before_2), kXor);
                word = sum(sum(word, s0), sum(w[(i + 9) % 16], s1));
            }
            const __m512i a = s[(0 - i) % 8];
            const __m512i b = s[(1 - i) % 8];
            const __m512i c = s[(2 - i) % 8];
            __m512i& d = s[(3 - i) % 8];
            const __m512i e = s[(4 - i) % 8];
            const __m512i f = s[(5 - i) % 8];
            const __m512i g = s[(6 - i) % 8];
            __m512i& h = s[(7 - i) % 8];
            const __m512i constant = _mm512_set1_epi32(static_cast<int>(kSha256Rounds[i]));
            const __m512i t1 = sum(sum(sum(h, word), sum(constant, rotations<6, 11, 25>(e))),
                                   _mm512_ternarylogic_epi32(e, f, g, kChoice));
            d = sum(d, t1);
            h = sum(sum(t1, rotations<2, 13, 22>(a)),
                    _mm512_ternarylogic_epi32(a, b, c, kMajority));
        }
#pragma GCC unroll 8
        for (std::size_t i = 0; i < 8; ++i) state[i] = sum(state[i], s[i]);
    }
    for (std::size_t i = 0; i < 8; ++i) _mm512_store_si512(words[i], state[i]);
    for (std::size_t m = 0; m < kSha256Lanes; ++m) {
        for (std::size_t i = 0; i < 8; ++i) states[m][i] = words[i][m];
    }
}

}  // namespace gm::detail

#else

namespace gm::detail {

bool sha256_has_lanes() noexcept {
    return false;
}

void sha256_compress_lanes(std::uint32_t* const (&states)[kSha256Lanes],
                           const std::uint8_t* const (&blocks)[kSha256Lanes],
                           std::size_t block_count) noexcept {
    for (std::size_t m = 0; m < kSha256Lanes; ++m) {
        sha256_compress_portable(states[m], blocks[m], block_count);
    }
}

}  // namespace gm::detail

#endif
