// Whether the newest row looks like those that a model was trained on: a range for each column.
//
// The ranges are quantiles of the training slice (gm/training/drift.py). A row is strange when more
// of its columns lie outside than may; a model is out of its depth after so many strange rows in a
// row. Plain comparisons: the same in live and replay.
#pragma once

#include <cstdint>

#include "gm/features/schema.hpp"

namespace gm {

struct Guard {
    float low[kStrategicColumns];
    float high[kStrategicColumns];
    std::uint32_t columns;      // bit c: column c has a range; 0: nothing is strange
    std::uint32_t columns_max;  // that may lie outside
    std::uint32_t rows_max;     // strange rows in a row that are borne; the next one is too many
};

// Columns of the row that lie outside their range, or are no number.
[[nodiscard]] inline std::uint32_t columns_outside(const Guard& guard, const float* row) noexcept {
    std::uint32_t outside = 0;
    for (std::uint32_t c = 0; c < kStrategicColumns; ++c) {
        const bool is_inside = row[c] >= guard.low[c] && row[c] <= guard.high[c];
        outside += (guard.columns >> c & 1U) != 0 && !is_inside ? 1U : 0U;
    }
    return outside;
}

}  // namespace gm
