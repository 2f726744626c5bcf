// SHA-256 by the SHA instructions of x86-64. In a file of its own: only these functions may use
// them, and only after the CPU was asked.
#include "sha256_compress.hpp"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define GM_TARGET_SHA __attribute__((target("sha,ssse3,sse4.1")))

namespace gm::detail {
namespace {

// Four rounds: sixteen such groups make a block.
GM_TARGET_SHA inline void four_rounds(__m128i& abef, __m128i& cdgh, __m128i words, int group) {
    const auto* constants = reinterpret_cast<const __m128i*>(kSha256Rounds) + group;
    const __m128i sum = _mm_add_epi32(words, _mm_load_si128(constants));
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

// The next four words of the schedule from the sixteen before them.
GM_TARGET_SHA inline __m128i next_words(const __m128i (&w)[4], int group) {
    const __m128i w16 = w[group & 3];
    const __m128i w12 = w[(group + 1) & 3];
    const __m128i w8 = w[(group + 2) & 3];
    const __m128i w4 = w[(group + 3) & 3];
    const __m128i partial =
        _mm_add_epi32(_mm_sha256msg1_epu32(w16, w12), _mm_alignr_epi8(w4, w8, 4));
    return _mm_sha256msg2_epu32(partial, w4);
}

}  // namespace

bool sha256_has_instructions() noexcept {
    static const bool has_them = [] {  // asked once: a virtual machine answers slowly
        unsigned eax = 0;
        unsigned ebx = 0;
        unsigned ecx = 0;
        unsigned edx = 0;
        if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
        return (ebx & (1U << 29)) != 0;  // SHA; ssse3 and sse4.1 are in the x86-64-v2 baseline
    }();
    return has_them;
}

namespace {

// One message on its way. The instructions want the state as ABEF and CDGH.
struct Stream {
    __m128i abef;
    __m128i cdgh;
    __m128i w[4];

    GM_TARGET_SHA void load(const std::uint32_t* state) noexcept {
        const auto* halves = reinterpret_cast<const __m128i*>(state);
        const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(halves), 0xb1);
        const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(halves + 1), 0x1b);
        abef = _mm_alignr_epi8(cdab, efgh, 8);
        cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    }
    GM_TARGET_SHA void store(std::uint32_t* state) const noexcept {
        auto* halves = reinterpret_cast<__m128i*>(state);
        const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
        const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
        _mm_storeu_si128(halves, _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128(halves + 1, _mm_alignr_epi8(dchg, feba, 8));
    }
};

// As many messages side by side as there are states: the rounds of one wait for each other, those
// of two do not, and fill the unit twice as well.
template <std::size_t Count>
GM_TARGET_SHA inline void compress(std::uint32_t* const (&states)[Count],
                                   const std::uint8_t* const (&blocks)[Count],
                                   std::size_t block_count) noexcept {
    const __m128i to_big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    Stream streams[Count];
#pragma GCC unroll 2
    for (std::size_t i = 0; i < Count; ++i) streams[i].load(states[i]);
    for (std::size_t n = 0; n < block_count; ++n) {
        __m128i before[Count][2];
#pragma GCC unroll 2
        for (std::size_t i = 0; i < Count; ++i) {
            before[i][0] = streams[i].abef;
            before[i][1] = streams[i].cdgh;
        }
#pragma GCC unroll 16
        for (int group = 0; group < 16; ++group) {  // unrolled: w lies in registers
#pragma GCC unroll 2
            for (std::size_t i = 0; i < Count; ++i) {
                Stream& at = streams[i];
                const auto* source = reinterpret_cast<const __m128i*>(blocks[i] + 64 * n) + group;
                at.w[group & 3] = group < 4
                                      ? _mm_shuffle_epi8(_mm_loadu_si128(source), to_big_endian)
                                      : next_words(at.w, group);
                four_rounds(at.abef, at.cdgh, at.w[group & 3], group);
            }
        }
#pragma GCC unroll 2
        for (std::size_t i = 0; i < Count; ++i) {
            streams[i].abef = _mm_add_epi32(streams[i].abef, before[i][0]);
            streams[i].cdgh = _mm_add_epi32(streams[i].cdgh, before[i][1]);
        }
    }
#pragma GCC unroll 2
    for (std::size_t i = 0; i < Count; ++i) streams[i].store(states[i]);
}

}  // namespace

GM_TARGET_SHA void sha256_compress_instructions(std::uint32_t* state, const std::uint8_t* blocks,
                                                std::size_t block_count) noexcept {
    compress<1>({state}, {blocks}, block_count);
}

GM_TARGET_SHA void sha256_compress_two_instructions(std::uint32_t* const (&states)[2],
                                                    const std::uint8_t* const (&blocks)[2],
                                                    std::size_t block_count) noexcept {
    compress<2>(states, blocks, block_count);
}

}  // namespace gm::detail

#else

namespace gm::detail {

bool sha256_has_instructions() noexcept {
    return false;
}

void sha256_compress_instructions(std::uint32_t* state, const std::uint8_t* blocks,
                                  std::size_t block_count) noexcept {
    sha256_compress_portable(state, blocks, block_count);
}

void sha256_compress_two_instructions(std::uint32_t* const (&states)[2],
                                      const std::uint8_t* const (&blocks)[2],
                                      std::size_t block_count) noexcept {
    for (int i = 0; i < 2; ++i) sha256_compress_portable(states[i], blocks[i], block_count);
}

}  // namespace gm::detail

#endif
