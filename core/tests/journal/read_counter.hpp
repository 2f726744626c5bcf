// How much this process has read: what a test counts where a time would depend on the machine.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace gm::testing {

// Bytes that system calls have read, from whatever file; its own 200 or so among them.
inline std::uint64_t bytes_read_by_process() {
    std::ifstream file("/proc/self/io");
    std::string name;
    std::uint64_t bytes = 0;
    while (file >> name >> bytes) {
        if (name == "rchar:") return bytes;
    }
    FAIL("/proc/self/io has no rchar");
    return 0;
}

}  // namespace gm::testing
