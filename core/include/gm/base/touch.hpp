// Asks for memory to be brought near before it is needed. Changes nothing.
#pragma once

#include <cstddef>

namespace gm {

// The lines of one or more bytes from `object` on, without waiting for them.
inline void touch(const void* object, std::size_t bytes) noexcept {
    constexpr std::size_t kLine = 64;
    const char* const from = static_cast<const char*>(object);
    for (std::size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(from + i);
    __builtin_prefetch(from + bytes - 1);
}

}  // namespace gm
