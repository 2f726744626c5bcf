// When one instrument trades, and what time it is at its exchange.
//
// Sessions and daylight saving are data: a table made at start (gm/calendars.py) and searched here.
// A look-up remembers where it was, so that time which moves forward costs a comparison or two; any
// other time costs one binary search. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/market/instrument.hpp"

namespace gm {

class Calendar {
 public:
    // Cold. Copies both tables. kBadCalendar: a table is empty, unordered, overlapping, a session
    // reaches beyond kTimeMax, or an offset is a day or more.
    Failure open(std::span<const SessionInterval> sessions, std::span<const OffsetChange> offsets);

    // The session that holds ts_ns, else nullptr.
    [[nodiscard]] const SessionInterval* session_at(std::int64_t ts_ns) const noexcept;
    // The first session that opens after ts_ns, else nullptr.
    [[nodiscard]] const SessionInterval* session_after(std::int64_t ts_ns) const noexcept;
    // When trading stops: the end of the session, or of the last of those that follow it without
    // a pause. The sessions that follow are few, or the table would hold one.
    [[nodiscard]] std::int64_t close_of(const SessionInterval& session) const noexcept;
    // Whether the market is open for more than bound_ns between the two. Looks at no more sessions
    // than it takes to know.
    [[nodiscard]] bool is_open_longer_than(std::int64_t bound_ns, std::int64_t from_ts_ns,
                                           std::int64_t to_ts_ns) const noexcept;
    // Exchange-local time is UTC + this.
    [[nodiscard]] std::int64_t local_offset_ns(std::int64_t ts_ns) const noexcept;

 private:
    // Number of sessions that opened at or before ts_ns; of offset changes likewise.
    [[nodiscard]] std::size_t opened(std::int64_t ts_ns) const noexcept;
    [[nodiscard]] std::size_t changed(std::int64_t ts_ns) const noexcept;

    std::vector<SessionInterval> sessions_;
    std::vector<OffsetChange> offsets_;
    mutable std::size_t session_cursor_ = 0;  // a hint: it changes the cost, never the answer
    mutable std::size_t offset_cursor_ = 0;
};

}  // namespace gm
