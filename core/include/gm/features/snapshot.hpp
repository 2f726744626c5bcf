// A snapshot: schema hash, digest of the state, state. Cold.
//
// The state is plain memory without a pointer, opened by zeroing its bytes, so that padding is the
// same each time and equal bars give equal bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/features/schema.hpp"

namespace gm {

inline constexpr std::size_t kSnapshotHead = 2 * sizeof(Sha256Digest);

template <typename State>
inline constexpr std::size_t kSnapshotSize = kSnapshotHead + sizeof(State);

// kBadArgument: wrong size.
template <typename State>
[[nodiscard]] Status write_snapshot(const State& state, std::span<std::uint8_t> out) noexcept {
    static_assert(std::is_trivially_copyable_v<State>);
    if (out.size() != kSnapshotSize<State>) return Status::kBadArgument;
    const Sha256Digest schema = feature_schema_sha256();
    const Sha256Digest digest = sha256(&state, sizeof state);
    std::memcpy(out.data(), schema.data(), sizeof schema);
    std::memcpy(out.data() + sizeof schema, digest.data(), sizeof digest);
    std::memcpy(out.data() + kSnapshotHead, &state, sizeof state);
    return Status::kOk;
}

// kSchemaMismatch: made by another feature schema. kBadArgument: wrong size or damaged. The state
// is untouched in both cases.
template <typename State>
[[nodiscard]] Status read_snapshot(std::span<const std::uint8_t> bytes, State& state) noexcept {
    static_assert(std::is_trivially_copyable_v<State>);
    if (bytes.size() != kSnapshotSize<State>) return Status::kBadArgument;
    const Sha256Digest schema = feature_schema_sha256();
    if (std::memcmp(bytes.data(), schema.data(), sizeof schema) != 0) {
        return Status::kSchemaMismatch;
    }
    const Sha256Digest digest = sha256(bytes.data() + kSnapshotHead, sizeof state);
    if (std::memcmp(bytes.data() + sizeof schema, digest.data(), sizeof digest) != 0) {
        return Status::kBadArgument;
    }
    std::memcpy(static_cast<void*>(&state), bytes.data() + kSnapshotHead, sizeof state);
    return Status::kOk;
}

}  // namespace gm
