// A small file that is there whole, or as it was before, also after a loss of power.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "gm/base/status.hpp"

namespace gm {

// Cold. Written beside, synced, renamed over `path`.
Failure write_durably(const std::string& path, std::span<const std::uint8_t> bytes);

}  // namespace gm
