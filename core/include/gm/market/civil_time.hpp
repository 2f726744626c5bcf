// Time stamps in bar files: text becomes civil time, exactly or not at all.
//
// ISO (2024-01-31 23:01:00.5+02:00, T or a space between, seconds, fraction, offset and even the
// time of day may be absent) and two forms with the year last (29/06/2020 01:00:00, 1/7/2020 1:00),
// which name two days until somebody knows whether the day or the month comes first.
#pragma once

#include <cstdint>
#include <string_view>

#include "gm/market/quarantine.hpp"

namespace gm {

// Civil time as ns since 1970 of the clock on the wall there: UTC once an offset is taken off.
struct CivilTime {
    std::int64_t day_first_ns = kNoTime;    // kNoTime: no such day when read so
    std::int64_t month_first_ns = kNoTime;  // equal to the other in ISO form
    std::int64_t offset_ns = kNoTime;       // kNoTime: the stamp does not say
};

// False: it is a time in neither reading. Years 1824 to 2115.
[[nodiscard]] bool parse_civil_time(std::string_view text, CivilTime& out) noexcept;

}  // namespace gm
