// CRC-32C (Castagnoli, iSCSI: RFC 3720 appendix B.4): the checksum of each journal record.
//
// Finds every error of up to 3 bits and every burst of up to 32 bits in a record. It is no
// protection against intent: that is the SHA-256 chain.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

// With the CPU's instruction where the build has it (x86-64-v2, ARMv8 crc), else by table.
// To continue over a second piece, hand in the result of the first as `previous`.
[[nodiscard]] std::uint32_t crc32c(const void* data, std::size_t size,
                                   std::uint32_t previous = 0) noexcept;

// The same value by table: the fallback, and the oracle of the test.
[[nodiscard]] std::uint32_t crc32c_by_table(const void* data, std::size_t size,
                                            std::uint32_t previous = 0) noexcept;

}  // namespace gm
