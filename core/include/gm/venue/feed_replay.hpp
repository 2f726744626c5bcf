// What was on the feed, once more, as bars: for an engine that comes when the tape has begun.
//
// Bars go out as they were published, refused ones among them: the engine judges them as it would
// have then. Trades go out as bars of five minutes, whole buckets only, of the trades that were let
// in. A page holds what fits into one frame, so that no replay fills a queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "gm/venue/venue.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

struct ReplayPage {
    std::size_t bars = 0;
    std::uint64_t cursor = 0;  // where the next page begins; 0: there is none
};

// Writes the page of `request` among the first `last_sequence` feed events, oldest bar first. A
// request that makes no sense gets no bar.
[[nodiscard]] ReplayPage read_replay(const Venue& venue, const FeedReplay& request,
                                     std::uint64_t last_sequence, std::span<BarClose> out) noexcept;

}  // namespace gm
