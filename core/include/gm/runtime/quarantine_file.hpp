// kernels-quarantined.json: the kernels in which a process died, whatever configuration named them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gm {

// Cold. `file`, as it is or empty, with one kernel more. What it holds stays as it is: a kernel
// that this configuration does not name may come back with another. gm.kernels reads it, and
// refuses a damaged one before a core starts.
std::string with_quarantined(std::string_view file, std::span<const std::uint8_t> sha256,
                             std::string_view name);

}  // namespace gm
