// A closed bar: what the bar builder hands to features, and what indicators are computed from.
//
// Prices in ticks, volume in lots, time in ns UTC of the bar's start. Flags are those of
// gm/wire/payload.hpp (synthetic, no volume, out of session).
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace gm {

struct ClosedBar {
    std::int64_t start_ts_ns;
    std::int64_t open_ticks;
    std::int64_t high_ticks;
    std::int64_t low_ticks;
    std::int64_t close_ticks;
    std::int64_t volume_lots;
    std::uint32_t minutes;  // 5 or 30
    std::uint32_t flags;
};
static_assert(sizeof(ClosedBar) == 56 && offsetof(ClosedBar, minutes) == 48);
static_assert(std::is_trivially_copyable_v<ClosedBar>);

}  // namespace gm
