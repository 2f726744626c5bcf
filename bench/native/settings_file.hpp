// A settings.bin of a run directory for the native benchmarks.
#pragma once

#include <string>
#include <vector>

#include "gm/engine/settings.hpp"
#include "gm/runtime/replay.hpp"

namespace bench {

inline gm::Failure load_settings_file(const std::string& path, gm::Settings& settings) {
    std::vector<std::uint8_t> block;
    gm::Failure failure = gm::read_file(path, block);
    return failure.is_ok() ? gm::load_settings(block, settings) : failure;
}

}  // namespace bench
