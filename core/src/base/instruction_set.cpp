// Implements gm/base/instruction_set.hpp.
#include "gm/base/instruction_set.hpp"

namespace gm {

#ifndef GM_INSTRUCTION_SET_MAX  // a build for tests of a narrower machine: tests/test_same_bytes.py
#define GM_INSTRUCTION_SET_MAX 2
#endif

bool has_instruction_set(InstructionSet set) noexcept {
    if (static_cast<std::uint32_t>(set) > GM_INSTRUCTION_SET_MAX) return false;
#if defined(__x86_64__)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (set == InstructionSet::kAvx2) return has_avx2;
    if (set == InstructionSet::kAvx512) {
        return has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
    }
#endif
    return set == InstructionSet::kScalar;
}

InstructionSet widest_instruction_set() noexcept {
    if (has_instruction_set(InstructionSet::kAvx512)) return InstructionSet::kAvx512;
    return has_instruction_set(InstructionSet::kAvx2) ? InstructionSet::kAvx2
                                                      : InstructionSet::kScalar;
}

}  // namespace gm
