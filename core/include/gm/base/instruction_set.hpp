// Which vector instructions a kernel may use on this machine.
#pragma once

#include <cstdint>

namespace gm {

enum class InstructionSet : std::uint32_t {
    kScalar = 0,  // whatever the build allows everywhere
    kAvx2 = 1,    // with FMA
    kAvx512 = 2,  // F and DQ
};

// kScalar is always there; a number of no meaning is not.
[[nodiscard]] bool has_instruction_set(InstructionSet set) noexcept;
[[nodiscard]] InstructionSet widest_instruction_set() noexcept;

}  // namespace gm
