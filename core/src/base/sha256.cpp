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

}  // namespace detail

Sha256::Sha256(Sha256Path path) noexcept
    : has_instructions_(path == Sha256Path::kFastest && detail::sha256_has_instructions()),
      has_lanes_(path == Sha256Path::kFastest && detail::sha256_has_lanes()) {
    restart();
}

void Sha256::compress(const std::uint8_t* blocks, std::size_t block_count) noexcept {
    (has_instructions_ ? detail::sha256_compress_instructions : detail::sha256_compress_portable)(
        state_.data(), blocks, block_count);
}

// False, and nothing done: these cannot go side by side.
template <std::size_t Count>
bool Sha256::update_side_by_side(Sha256* hashes, const void* const* data,
                                 std::size_t size) noexcept {
    const std::size_t filled = hashes[0].size_ % kBlockSize;
    const std::size_t head = hashes[0].to_fill();
    if (size < head + kBlockSize) return false;
    const std::size_t block_count = (size - head) / kBlockSize;
    const std::size_t done = head + block_count * kBlockSize;
    std::uint32_t* states[Count];
    const std::uint8_t* blocks[Count];
    for (std::size_t i = 0; i < Count; ++i) {
        Sha256& hash = hashes[i];
        const bool is_fast = Count == kManyMost ? hash.has_lanes_ : hash.has_instructions_;
        if (!is_fast || hash.size_ % kBlockSize != filled) return false;
        states[i] = hash.state_.data();
        blocks[i] = static_cast<const std::uint8_t*>(data[i]) + head;
    }
    for (std::size_t i = 0; i < Count; ++i) hashes[i].update(data[i], head);
    if constexpr (Count == kManyMost) {
        detail::sha256_compress_lanes(states, blocks, block_count);
    } else {
        detail::sha256_compress_two_instructions(states, blocks, block_count);
    }
    for (std::size_t i = 0; i < Count; ++i) {
        hashes[i].size_ += block_count * kBlockSize;
        hashes[i].update(static_cast<const std::uint8_t*>(data[i]) + done, size - done);
    }
    return true;
}

void Sha256::update_many(std::span<Sha256> hashes, std::span<const void* const> data,
                         std::size_t size) noexcept {
    std::size_t i = 0;
    while (i < hashes.size()) {
        const std::size_t left = hashes.size() - i;
        if (left >= kManyMost && update_side_by_side<kManyMost>(&hashes[i], &data[i], size)) {
            i += kManyMost;
        } else if (left >= 2 && update_side_by_side<2>(&hashes[i], &data[i], size)) {
            i += 2;
        } else {
            hashes[i].update(data[i], size);
            i += 1;
        }
    }
}

// Bytes until the block that was begun is full; 0: none was.
std::size_t Sha256::to_fill() const noexcept {
    const std::size_t filled = size_ % kBlockSize;
    return filled == 0 ? 0 : kBlockSize - filled;
}

void Sha256::update_unequal(std::span<Sha256> hashes, std::span<const void* const> data,
                            std::span<const std::size_t> sizes) noexcept {
    struct Lane {
        Sha256* hash;
        const std::uint8_t* bytes;
        std::size_t size;
    };
    std::size_t next = 0;
    // Brings the message to the edge of a block. False: there is no more that has a whole block.
    const auto take_next = [&](Lane& lane) {
        while (next < hashes.size()) {
            const std::size_t i = next++;
            lane = {&hashes[i], static_cast<const std::uint8_t*>(data[i]), sizes[i]};
            const std::size_t head = std::min(lane.hash->to_fill(), lane.size);
            lane.hash->update(lane.bytes, head);
            lane.bytes += head;
            lane.size -= head;
            if (lane.size >= kBlockSize && lane.hash->has_instructions_) return true;
            lane.hash->update(lane.bytes, lane.size);
        }
        return false;
    };
    Lane a{};
    Lane b{};
    bool has_a = take_next(a);
    bool has_b = take_next(b);
    while (has_a && has_b) {  // bounded: each pass ends a message
        const std::size_t count = std::min(a.size, b.size) / kBlockSize;
        std::uint32_t* const states[2] = {a.hash->state_.data(), b.hash->state_.data()};
        const std::uint8_t* const blocks[2] = {a.bytes, b.bytes};
        detail::sha256_compress_two_instructions(states, blocks, count);
        for (Lane* lane : {&a, &b}) {
            lane->hash->size_ += count * kBlockSize;
            lane->bytes += count * kBlockSize;
            lane->size -= count * kBlockSize;
            if (lane->size >= kBlockSize) continue;
            lane->hash->update(lane->bytes, lane->size);
            (lane == &a ? has_a : has_b) = take_next(*lane);
        }
    }
    if (has_a) a.hash->update(a.bytes, a.size);
    if (has_b) b.hash->update(b.bytes, b.size);
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
