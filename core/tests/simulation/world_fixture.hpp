// A settings block whose rule trades at its worst, for worlds of the tests.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/kernel_fixture.hpp"
#include "gm/simulation/world.hpp"
#include "runtime/settings_block.hpp"

namespace gm::test {

inline std::vector<std::uint8_t> rule_block(const char* rule, bool has_bracket = false) {
    Settings settings = make_settings();
    const bool is_fast = std::string(rule) == "flood";
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    settings.kernels = {kernel_row(rule, KernelKind::kRule, 1, is_fast ? 5 : 30)};
    settings.kernels[0].input_count = 2;
    settings.kernels[0].inputs[1] = KernelField::kVolume;
    settings.kernels[0].policy = KernelPolicy::kSkip;
    if (has_bracket) {
        settings.sizing[0].stop_atr = 1.5;
        settings.sizing[0].target_atr = 1.0;
        settings.limits[0].types_allowed = 7;
    }
    return settings_block(settings);
}

inline SimulationSettings world_settings(std::uint64_t seed, std::uint64_t events = 2000) {
    constexpr const char* kRules[] = {"random", "maximum", "alternating", "invalid", "flood"};
    SimulationSettings settings;
    settings.seed = seed;
    settings.events = events;
    settings.directory = "/dev/shm/gm-simulation-test-" + std::to_string(getpid());
    settings.settings_block = rule_block(kRules[seed % 5], seed / 5 % 2 == 1);
    return settings;
}

}  // namespace gm::test
