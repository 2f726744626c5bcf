// One bar of a batch: what both batch functions hand to the streaming state.
//
// It is the only place where a matrix could see a bar that has not closed yet. The build with
// GM_MUTANT_LEAK does see it, in the volume alone, for `gm features --check-lookahead` to find.
#pragma once

#include <cstddef>
#include <span>

#include "gm/market/bar.hpp"

namespace gm {

[[nodiscard]] inline ClosedBar batch_bar(std::span<const ClosedBar> bars, std::size_t i) noexcept {
    ClosedBar bar = bars[i];
#ifdef GM_MUTANT_LEAK
    if (i + 1 < bars.size()) bar.volume_lots = bars[i + 1].volume_lots;
#endif
    return bar;
}

}  // namespace gm
