// Which build this code is of: what it saves, only it reads.
#pragma once

#include "gm/base/sha256.hpp"

namespace gm {

// Cold. SHA-256 of the build id that the linker wrote into this program or library; the same for
// two builds only if all their code is. All zero: it has none.
[[nodiscard]] Sha256Digest build_sha256() noexcept;

}  // namespace gm
