// Bars and trades become 5- and 30-minute bars (SPEC §1, Bars).
//
// A bucket is floor(time, size) in UTC; what falls exactly on a boundary opens the next. It closes
// when a bar's end is the bucket's end, on the first event of a later bucket, or when its session
// is over. Buckets that stayed empty inside sessions become synthetic bars, made one at a time when
// they are asked for. Nothing allocates; the caller takes every closed bar before the next event.
#pragma once

#include <array>
#include <cstdint>

#include "gm/base/status.hpp"
#include "gm/market/bar.hpp"
#include "gm/market/calendar.hpp"

namespace gm {

inline constexpr std::int64_t kMinuteNs = 60'000'000'000;

// What enters a bucket: one bar of the feed, or a trade as a bar without length.
struct BarPart {
    std::int64_t start_ts_ns;
    std::int64_t end_ts_ns;
    std::int64_t open_ticks;
    std::int64_t high_ticks;
    std::int64_t low_ticks;
    std::int64_t close_ticks;
    std::int64_t volume_lots;
    std::uint32_t flags;
};

// Buckets of one size.
class BucketSide {
 public:
    // A hole longer than this is another recording, not a row of missing bars: it is not filled.
    // It bounds what one event can close.
    static constexpr std::int64_t kFilledNsMax = std::int64_t{366} * 1440 * kMinuteNs;

    // Cold. kBadArgument unless minutes divides a day.
    Failure open(std::uint32_t minutes);

    // An event of this time was seen inside a session: earlier buckets are over.
    void advance(std::int64_t ts_ns) noexcept;
    // Puts a part into its bucket, which advance() has reached. False, and nothing changes, if
    // that bucket was closed before, or if the part is longer than a bucket.
    bool add(const BarPart& part) noexcept;
    // The session of the open bucket is over.
    void end_session() noexcept;
    // Nothing before the bucket of ts_ns was ever seen: what closed is dropped, no hole is filled.
    void forget_before(std::int64_t ts_ns) noexcept;

    // Start of the next closed bar, which stays; kNothingClosed: there is none.
    static constexpr std::int64_t kNothingClosed = INT64_MAX;
    [[nodiscard]] std::int64_t next_start_ns(const Calendar& calendar) noexcept;
    // Takes the bar whose start next_start_ns() has just named.
    [[nodiscard]] ClosedBar take() noexcept;

    [[nodiscard]] bool is_open() const noexcept { return is_open_; }
    [[nodiscard]] std::int64_t size_ns() const noexcept { return size_ns_; }
    // Synthetic bars in a row, up to the last bar taken.
    [[nodiscard]] std::uint32_t synthetic_in_row() const noexcept { return synthetic_in_row_; }

 private:
    [[nodiscard]] std::int64_t floor_ns(std::int64_t ts_ns) const noexcept;
    [[nodiscard]] bool is_present(std::int64_t ts_ns) const noexcept;
    void close_bucket() noexcept;
    void skip_closed_market(const Calendar& calendar, std::int64_t limit_ns) noexcept;

    std::int64_t size_ns_ = 0;
    std::uint32_t minutes_ = 0;
    bool is_open_ = false;
    ClosedBar bucket_{};                   // being filled while is_open_
    std::array<ClosedBar, 2> finished_{};  // closed, not taken: a late one and its heir
    std::uint32_t finished_count_ = 0;
    std::int64_t closed_start_ns_ = INT64_MIN;  // of the last bucket that closed
    std::int64_t reached_ns_ = INT64_MIN;       // buckets before this one are over
    std::int64_t fill_ns_ = kNothingClosed;     // the next bucket that may be missing
    std::int64_t last_start_ns_ = 0;            // of the last bar taken
    std::int64_t last_close_ticks_ = 0;
    std::uint32_t synthetic_in_row_ = 0;
};

// Both sizes of the project, in one order of time.
class BarBuilder {
 public:
    // Cold.
    Failure open();

    void advance(std::int64_t ts_ns) noexcept;
    // False if no bucket took it.
    bool add(const BarPart& part) noexcept;
    void end_session() noexcept;
    void forget_before(std::int64_t ts_ns) noexcept;

    // The next closed bar by time of its end, the 30-minute one first on a common boundary. False:
    // no more. One event closes at most BucketSide::kFilledNsMax of buckets.
    [[nodiscard]] bool next_closed(const Calendar& calendar, ClosedBar& out) noexcept;

    [[nodiscard]] bool has_open_bucket() const noexcept {
        return five_.is_open() || thirty_.is_open();
    }
    // More than 3 synthetic 30-minute or 6 synthetic 5-minute bars in a row.
    [[nodiscard]] bool is_stale() const noexcept {
        return thirty_.synthetic_in_row() > 3 || five_.synthetic_in_row() > 6;
    }

 private:
    BucketSide five_;
    BucketSide thirty_;
};

}  // namespace gm
