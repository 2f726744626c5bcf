// SHA-256 (FIPS 180-4): block chain, order-stream hash, hashes of configuration and models.
//
// Uses the CPU's SHA instructions where it has them; the choice is made once, when the object is
// made, and does not show in the result.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gm {

using Sha256Digest = std::array<std::uint8_t, 32>;

enum class Sha256Path : std::uint8_t { kFastest, kPortable };

class Sha256 {
 public:
    explicit Sha256(Sha256Path path = Sha256Path::kFastest) noexcept;

    void update(const void* data, std::size_t size) noexcept;
    // Both take `size` bytes, in little more time than one: their rounds go side by side when as
    // many bytes of a 64-byte block are open in both.
    static void update_two(Sha256& first, const void* first_data, Sha256& second,
                           const void* second_data, std::size_t size) noexcept;

    // The digest of all that was given since the start, which is where it leaves the object.
    [[nodiscard]] Sha256Digest finish() noexcept;

    // The digest so far, without ending: more may follow.
    [[nodiscard]] Sha256Digest digest_so_far() const noexcept;
    // Forgets what was given. Cheaper than a new object, which asks the CPU what it has.
    void restart() noexcept;

 private:
    static constexpr std::size_t kBlockSize = 64;

    void compress(const std::uint8_t* blocks, std::size_t block_count) noexcept;

    bool has_instructions_;
    std::array<std::uint32_t, 8> state_;
    std::uint64_t size_ = 0;  // bytes taken
    std::array<std::uint8_t, kBlockSize> partial_;
};

[[nodiscard]] Sha256Digest sha256(const void* data, std::size_t size) noexcept;

}  // namespace gm
