// SHA-256: padding, and the portable way through a block.
#include "gm/base/sha256.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "sha256_compress.hpp"

namespace gm {
namespace {

// Square roots of the first eight primes: FIPS 180-4, 5.3.3.
constexpr std::array<std::uint32_t, 8> kInitialState = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

std::uint32_t load_big_endian(const std::uint8_t* bytes) {
    return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) |
           (std::uint32_t{bytes[2]} << 8) | std::uint32_t{bytes[3]};
}

void store_big_endian(std::uint8_t* bytes, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::uint8_t>(value >> (8 * (size - 1 - i)));
    }
}

void expand(const std::uint8_t* block, std::uint32_t (&w)[64]) {
    for (std::size_t i = 0; i < 16; ++i) w[i] = load_big_endian(block + 4 * i);
    for (int i = 16; i < 64; ++i) {
        const std::uint32_t s0 =
            std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
        const std::uint32_t s1 =
            std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}

}  // namespace

namespace detail {

void sha256_compress_portable(std::uint32_t* state, const std::uint8_t* blocks,
                              std::size_t block_count) noexcept {
    for (std::size_t n = 0; n < block_count; ++n, blocks += 64) {
        std::uint32_t w[64];
        expand(blocks, w);
        std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        std::uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; ++i) {
            const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
            const std::uint32_t chosen = (e & f) ^ (~e & g);
            const std::uint32_t t1 = h + s1 + chosen + kSha256Rounds[i] + w[i];
            const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
            const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
            h = g;
            g = f;
            f = e;
            e = d + t1;
            d = c;
            c = b;
            b = a;
            a = t1 + s0 + majority;
        }
        const std::uint32_t mixed[8] = {a, b, c, d, e, f, g, h};
        for (int i = 0; i < 8; ++i) state[i] += mixed[i];
    }
}

void sha256_compress_two_portable(std::uint32_t* const (&states)[2],
                                  const std::uint8_t* const (&blocks)[2],
                                  std::size_t block_count) noexcept {
    for (int i = 0; i < 2; ++i) sha256_compress_portable(states[i], blocks[i], block_count);
}

}  // namespace detail

Sha256::Sha256(Sha256Path path) noexcept
    : has_instructions_(path == Sha256Path::kFastest && detail::sha256_has_instructions()) {
    restart();
}

void Sha256::compress(const std::uint8_t* blocks, std::size_t block_count) noexcept {
    (has_instructions_ ? detail::sha256_compress_instructions : detail::sha256_compress_portable)(
        state_.data(), blocks, block_count);
}

void Sha256::update_two(Sha256& first, const void* first_data, Sha256& second,
                        const void* second_data, std::size_t size) noexcept {
    const auto* a = static_cast<const std::uint8_t*>(first_data);
    const auto* b = static_cast<const std::uint8_t*>(second_data);
    const std::size_t filled = first.size_ % kBlockSize;
    const std::size_t head = std::min(size, filled == 0 ? 0 : kBlockSize - filled);
    const bool are_alike =
        second.size_ % kBlockSize == filled && second.has_instructions_ == first.has_instructions_;
    const std::size_t blocks = are_alike ? (size - head) / kBlockSize : 0;
    first.update(a, head);
    second.update(b, head);
    if (blocks > 0) {
        (first.has_instructions_ ? detail::sha256_compress_two_instructions
                                 : detail::sha256_compress_two_portable)(
            {first.state_.data(), second.state_.data()}, {a + head, b + head}, blocks);
        first.size_ += blocks * kBlockSize;
        second.size_ += blocks * kBlockSize;
    }
    const std::size_t done = head + blocks * kBlockSize;
    first.update(a + done, size - done);
    second.update(b + done, size - done);
}

void Sha256::restart() noexcept {
    state_ = kInitialState;
    size_ = 0;
    partial_ = {};
}

void Sha256::update(const void* data, std::size_t size) noexcept {
    if (size == 0) return;
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    const std::size_t filled = size_ % kBlockSize;
    size_ += size;
    if (filled > 0) {
        const std::size_t taken = std::min(size, kBlockSize - filled);
        std::memcpy(partial_.data() + filled, bytes, taken);
        bytes += taken;
        size -= taken;
        if (filled + taken < kBlockSize) return;
        compress(partial_.data(), 1);
    }
    const std::size_t whole_blocks = size / kBlockSize;
    if (whole_blocks > 0) compress(bytes, whole_blocks);
    const std::size_t rest = size % kBlockSize;
    if (rest > 0) std::memcpy(partial_.data(), bytes + whole_blocks * kBlockSize, rest);
}

Sha256Digest Sha256::finish() noexcept {
    // One bit, zeros, and the length in bits as the last eight bytes of a block.
    std::uint8_t padding[2 * kBlockSize] = {0x80};
    const std::size_t filled = size_ % kBlockSize;
    const std::size_t padding_size = (filled < 56 ? kBlockSize : 2 * kBlockSize) - filled;
    store_big_endian(padding + padding_size - 8, size_ * 8, 8);
    update(padding, padding_size);
    Sha256Digest digest;
    for (std::size_t i = 0; i < 8; ++i) store_big_endian(digest.data() + 4 * i, state_[i], 4);
    restart();
    return digest;
}

Sha256Digest Sha256::digest_so_far() const noexcept {
    Sha256 copy = *this;
    return copy.finish();
}

Sha256Digest sha256(const void* data, std::size_t size) noexcept {
    Sha256 hash;
    hash.update(data, size);
    return hash.finish();
}

}  // namespace gm
