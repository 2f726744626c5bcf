// Look-ups in the session and offset tables: see the header for what is promised.
#include "gm/market/calendar.hpp"

#include <algorithm>
#include <string>

#include "gm/market/quarantine.hpp"

namespace gm {
namespace {

constexpr std::int64_t kDayNs = 86'400'000'000'000;

// Rows of an ascending table whose key is at most ts_ns, asked near `hint` first.
template <typename Row, typename Key>
std::size_t count_until(const std::vector<Row>& rows, std::int64_t ts_ns, Key key,
                        std::size_t hint) noexcept {
    const auto is_answer = [&](std::size_t count) {
        return (count == 0 || key(rows[count - 1]) <= ts_ns) &&
               (count == rows.size() || ts_ns < key(rows[count]));
    };
    if (is_answer(hint)) return hint;
    if (hint < rows.size() && is_answer(hint + 1)) return hint + 1;
    const auto found =
        std::upper_bound(rows.begin(), rows.end(), ts_ns,
                         [&](std::int64_t value, const Row& row) { return value < key(row); });
    return static_cast<std::size_t>(found - rows.begin());
}

Failure check_sessions(std::span<const SessionInterval> sessions) {
    if (sessions.empty()) return fail(Status::kBadCalendar, "the session table is empty");
    for (std::size_t i = 0; i < sessions.size(); ++i) {
        // Within what a stamp may be: a deadline behind the last bell must not wrap.
        if (sessions[i].open_ts_ns < -kTimeMax || sessions[i].close_ts_ns > kTimeMax) {
            return fail(Status::kBadCalendar, "session " + std::to_string(i) +
                                                  " lies outside the years 1823 to 2116: " +
                                                  std::to_string(sessions[i].open_ts_ns) + " to " +
                                                  std::to_string(sessions[i].close_ts_ns) + " ns");
        }
        const bool is_ordered = sessions[i].open_ts_ns < sessions[i].close_ts_ns &&
                                (i == 0 || sessions[i - 1].close_ts_ns <= sessions[i].open_ts_ns);
        if (!is_ordered) {
            return fail(Status::kBadCalendar,
                        "session " + std::to_string(i) +
                            " ends before it opens or before the last: opens " +
                            std::to_string(sessions[i].open_ts_ns) + " ns");
        }
    }
    return ok();
}

Failure check_offsets(std::span<const OffsetChange> offsets) {
    if (offsets.empty()) return fail(Status::kBadCalendar, "the offset table is empty");
    for (std::size_t i = 0; i < offsets.size(); ++i) {
        if (i > 0 && offsets[i - 1].ts_ns >= offsets[i].ts_ns) {
            return fail(Status::kBadCalendar,
                        "offset change " + std::to_string(i) + " is not after the one before it");
        }
        if (offsets[i].offset_ns <= -kDayNs || offsets[i].offset_ns >= kDayNs) {
            return fail(Status::kBadCalendar, "offset_ns must be less than a day: " +
                                                  std::to_string(offsets[i].offset_ns));
        }
    }
    return ok();
}

}  // namespace

Failure Calendar::open(std::span<const SessionInterval> sessions,
                       std::span<const OffsetChange> offsets) {
    if (Failure failure = check_sessions(sessions); !failure.is_ok()) return failure;
    if (Failure failure = check_offsets(offsets); !failure.is_ok()) return failure;
    sessions_.assign(sessions.begin(), sessions.end());
    offsets_.assign(offsets.begin(), offsets.end());
    session_cursor_ = 0;
    offset_cursor_ = 0;
    return ok();
}

std::size_t Calendar::opened(std::int64_t ts_ns) const noexcept {
    session_cursor_ = count_until(
        sessions_, ts_ns, [](const SessionInterval& row) { return row.open_ts_ns; },
        session_cursor_);
    return session_cursor_;
}

std::size_t Calendar::changed(std::int64_t ts_ns) const noexcept {
    offset_cursor_ = count_until(
        offsets_, ts_ns, [](const OffsetChange& row) { return row.ts_ns; }, offset_cursor_);
    return offset_cursor_;
}

const SessionInterval* Calendar::session_at(std::int64_t ts_ns) const noexcept {
    const std::size_t count = opened(ts_ns);
    if (count == 0 || ts_ns >= sessions_[count - 1].close_ts_ns) return nullptr;
    return &sessions_[count - 1];
}

const SessionInterval* Calendar::session_after(std::int64_t ts_ns) const noexcept {
    const std::size_t count = opened(ts_ns);
    return count == sessions_.size() ? nullptr : &sessions_[count];
}

std::int64_t Calendar::close_of(const SessionInterval& session) const noexcept {
    const SessionInterval* const end = sessions_.data() + sessions_.size();
    const SessionInterval* last = &session;
    while (last + 1 < end && last[1].open_ts_ns == last->close_ts_ns) ++last;  // up to the table
    return last->close_ts_ns;
}

bool Calendar::is_open_longer_than(std::int64_t bound_ns, std::int64_t from_ts_ns,
                                   std::int64_t to_ts_ns) const noexcept {
    const SessionInterval* session = session_at(from_ts_ns);
    if (session == nullptr) session = session_after(from_ts_ns);
    std::int64_t open_ns = 0;
    while (session != nullptr && session->open_ts_ns < to_ts_ns) {  // bounded by the table
        open_ns +=
            std::min(to_ts_ns, session->close_ts_ns) - std::max(from_ts_ns, session->open_ts_ns);
        if (open_ns > bound_ns) return true;
        session = session_after(session->open_ts_ns);
    }
    return false;
}

std::int64_t Calendar::local_offset_ns(std::int64_t ts_ns) const noexcept {
    if (offsets_.empty()) return 0;
    const std::size_t count = changed(ts_ns);
    return offsets_[count == 0 ? 0 : count - 1].offset_ns;
}

}  // namespace gm
