// The limits of a world: those of the configuration, some of them tightened until a rule at its
// worst meets them.
#pragma once

#include <cstdint>
#include <vector>

#include "gm/engine/settings.hpp"
#include "gm/simulation/random.hpp"

namespace gm {

// Changes the tables of a settings block that loads as `settings`. No limit becomes wider.
void tighten_limits(Random& random, const Settings& settings, std::vector<std::uint8_t>& block);

}  // namespace gm
