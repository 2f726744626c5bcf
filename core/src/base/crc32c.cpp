// CRC-32C by instruction and by table.
#include "gm/base/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace gm {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected 0x1edc6f41

constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) {
            rest = (rest >> 1) ^ ((rest & 1) != 0 ? kPolynomial : 0);
        }
        table[byte] = rest;
    }
    return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

#if defined(__SSE4_2__)
std::uint32_t take_eight(std::uint32_t crc, std::uint64_t word) {
    return static_cast<std::uint32_t>(_mm_crc32_u64(crc, word));
}
std::uint32_t take_one(std::uint32_t crc, std::uint8_t byte) {
    return _mm_crc32_u8(crc, byte);
}
#elif defined(__ARM_FEATURE_CRC32)
std::uint32_t take_eight(std::uint32_t crc, std::uint64_t word) {
    return __crc32cd(crc, word);
}
std::uint32_t take_one(std::uint32_t crc, std::uint8_t byte) {
    return __crc32cb(crc, byte);
}
#endif

}  // namespace

std::uint32_t crc32c_by_table(const void* data, std::size_t size, std::uint32_t previous) noexcept {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    std::uint32_t crc = ~previous;
    for (std::size_t i = 0; i < size; ++i) {
        crc = (crc >> 8) ^ kTable[(crc ^ bytes[i]) & 0xff];
    }
    return ~crc;
}

std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t previous) noexcept {
#if defined(__SSE4_2__) || defined(__ARM_FEATURE_CRC32)
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    std::uint32_t crc = ~previous;
#pragma GCC unroll 5
    for (; size >= sizeof(std::uint64_t); size -= sizeof(std::uint64_t)) {  // 15 times for a slot
        std::uint64_t word;
        std::memcpy(&word, bytes, sizeof word);
        crc = take_eight(crc, word);
        bytes += sizeof word;
    }
    for (; size > 0; --size) crc = take_one(crc, *bytes++);
    return ~crc;
#else
    return crc32c_by_table(data, size, previous);
#endif
}

}  // namespace gm
