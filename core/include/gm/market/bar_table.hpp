// Whole tables of bars: what gm.read_bars and gm.aggregate_bars do with a file.
//
// The same BarCheck and the same buckets as the engine's market, so that a file read offline and
// the same file sent over the feed have the same bars. Cold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/market/calendar.hpp"
#include "gm/market/instrument.hpp"
#include "gm/market/quarantine.hpp"

namespace gm {

// One row of gm.read_bars. Crosses the Python boundary: gm.layout.BAR repeats it.
struct BarRow {
    std::int64_t start_ts_ns;
    std::int64_t open_ticks;
    std::int64_t high_ticks;
    std::int64_t low_ticks;
    std::int64_t close_ticks;
    std::int64_t volume_lots;
    std::uint32_t flags;  // those of gm/wire/payload.hpp
    std::uint32_t reserved;
};
static_assert(sizeof(BarRow) == 56 && offsetof(BarRow, flags) == 48);

// Judges each row as the engine would, in order. `reasons`, of the same length, comes with what
// the reader refused and goes with every reason; good rows outside sessions get their flag.
// duration_s 0: each row is a trade of volume_lots at close_ticks.
Failure check_bars(std::span<BarRow> bars, std::span<QuarantineReason> reasons,
                   const Instrument& instrument, const Calendar& calendar,
                   std::uint32_t duration_s);

// Larger bars from smaller ones, holes inside sessions filled, rows outside sessions and synthetic
// rows left out; the bucket that the end of the table leaves open does not count. bar_ns 0: the
// rows are trades, several of which may have one stamp. kBadArgument: starts that do not ascend, or
// bars longer than a bucket.
Failure aggregate_bars(std::span<const BarRow> bars, const Calendar& calendar, std::int64_t bar_ns,
                       std::uint32_t minutes, std::vector<BarRow>& out);

}  // namespace gm
