// The synthetic market of a simulated world, and the rules that trade on it at their worst.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "gm/market/instrument.hpp"
#include "gm/session/kernel_host.hpp"
#include "gm/simulation/random.hpp"
#include "gm/venue/tape.hpp"

namespace gm {

enum class TapeKind : std::uint8_t { kBars30 = 0, kBars5 = 1, kTrades = 2 };

inline constexpr std::int64_t kTapeStartNs = 1'641'168'000'000'000'000;  // Monday, 2022-01-03

// A random walk with holes and rows that a check must refuse: crossed, off the band, of the past,
// without volume.
[[nodiscard]] std::vector<TapeRow> make_tape(Random& random, TapeKind kind, std::size_t rows);

// The rule of this name for a kernel row with the inputs close and volume; null: there is none.
// "random" takes each side as it comes, "maximum" is always long, "alternating" turns with each
// bar, "invalid" answers what is no answer, "flood" turns on each bar of 5 minutes.
[[nodiscard]] KernelFunction find_rule(std::string_view name) noexcept;

}  // namespace gm
