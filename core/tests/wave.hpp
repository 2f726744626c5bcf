// A market that makes every column of the matrix warm and momentum plain, for tests that trade.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gm::test {

// Five bars up and down, which MLMI crosses on often enough to have its 20 samples at bar 130 and
// which momentum over 20 and over 50 bars does not see; a few ticks more, so that no bar is flat.
inline std::int64_t ripple(std::int64_t bar) {
    constexpr std::int64_t kRipple[] = {500, 500, 500, -750, -750};
    return kRipple[bar % 5] + bar * 7919 % 13;
}

// Ticks at the close of a 30-minute bar: triangles of a hundred bars, so that momentum is strong in
// both directions. The matrix is ready with the 177th bar, whichever is the first.
inline std::int64_t wave(std::int64_t bar) {
    const std::int64_t at = bar % 200;
    return 40'000 + std::min(at, 200 - at) * 20 + ripple(bar);
}

}  // namespace gm::test
