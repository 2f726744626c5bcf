// What agents that each say one action decide together, as the ensemble would decide it.
//
// An action is a vote with probability 1. Votes are mixed with the ensemble's weights, its tie rule
// and its threshold (SPEC §5); of three equal agents two that agree act. There are few
// combinations, so all of them are decided when the weights are known.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "gm/base/status.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

class Votes {
 public:
    // Cold. One weight an agent, before softmax; 1 to kAgentsMax. kBadArgument.
    Failure open(std::span<const double> weights, double threshold);

    [[nodiscard]] std::size_t agents() const noexcept { return agents_; }
    // actions: of each agent, 0 long, 1 neutral, 2 short. 1: long acts, -1: short acts, 0: hold.
    [[nodiscard]] int direction(const std::int64_t* actions) const noexcept {
        std::size_t place = 0;
        for (std::size_t i = agents_; i-- > 0;) {  // at most kAgentsMax
            place = place * kActions + static_cast<std::size_t>(actions[i]);
        }
        return directions_[place];
    }

 private:
    static constexpr std::size_t kCombinationsMax = 27;
    static_assert(kAgentsMax == 3 && kActions == 3);

    std::size_t agents_ = 0;
    std::array<std::int8_t, kCombinationsMax> directions_{};
};

}  // namespace gm
