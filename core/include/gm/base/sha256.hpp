// SHA-256 (FIPS 180-4): block chain, order-stream hash, hashes of configuration and models.
//
// Uses the CPU's SHA instructions and AVX-512 where it has them; the choice is made once, when the
// object is made, and does not show in the result.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gm {

using Sha256Digest = std::array<std::uint8_t, 32>;

enum class Sha256Path : std::uint8_t { kFastest, kPortable };

class Sha256 {
 public:
    explicit Sha256(Sha256Path path = Sha256Path::kFastest) noexcept;

    void update(const void* data, std::size_t size) noexcept;
    // Hash i takes `size` bytes of data[i]. Their rounds go side by side, which is several times as
    // fast, while as many bytes of a 64-byte block are open in all: by kManyMost or by twos.
    static void update_many(std::span<Sha256> hashes, std::span<const void* const> data,
                            std::size_t size) noexcept;
    static constexpr std::size_t kManyMost = 16;
    // The same with a size of its own for each: by twos, and who is done makes room for the next.
    static void update_unequal(std::span<Sha256> hashes, std::span<const void* const> data,
                               std::span<const std::size_t> sizes) noexcept;

    // The digest of all that was given since the start, which is where it leaves the object.
    [[nodiscard]] Sha256Digest finish() noexcept;

    // The digest so far, without ending: more may follow.
    [[nodiscard]] Sha256Digest digest_so_far() const noexcept;
    // Forgets what was given.
    void restart() noexcept;

 private:
    static constexpr std::size_t kBlockSize = 64;

    void compress(const std::uint8_t* blocks, std::size_t block_count) noexcept;
    [[nodiscard]] std::size_t to_fill() const noexcept;
    template <std::size_t Count>
    static bool update_side_by_side(Sha256* hashes, const void* const* data,
                                    std::size_t size) noexcept;

    bool has_instructions_;
    bool has_lanes_;
    std::array<std::uint32_t, 8> state_;
    std::uint64_t size_ = 0;  // bytes taken
    std::array<std::uint8_t, kBlockSize> partial_;
};

[[nodiscard]] Sha256Digest sha256(const void* data, std::size_t size) noexcept;

}  // namespace gm
