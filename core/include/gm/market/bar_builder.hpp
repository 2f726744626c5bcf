// Bars and trades become 5- and 30-minute bars (SPEC §1, Bars).
//
// A bucket is floor(time, size) in UTC; what falls exactly on a boundary opens the next. It closes
// when a bar's end is the bucket's end, on the first event of a later bucket, or when its session
// is over. Buckets that stayed empty inside sessions become synthetic bars, made one at a time when
// they are asked for. Nothing allocates; the caller takes every closed bar before the next event.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "gm/base/archive.hpp"
#include "gm/base/checked.hpp"
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
    void advance(std::int64_t ts_ns) noexcept {
        if (!is_present(ts_ns) && ts_ns >= reached_ns_) begin_bucket(ts_ns);
    }
    // Puts a part into its bucket, which advance() has reached. False, and nothing changes, if
    // that bucket was closed before, or if the part is longer than a bucket.
    bool add(const BarPart& part) noexcept;
    // The same for a trade; nearly all lie in the open bucket.
    bool add_trade(std::int64_t ts_ns, std::int64_t price_ticks, std::int64_t lots) noexcept {
        std::int64_t volume_lots = 0;
        if (!is_open_ || !is_present(ts_ns) ||
            add_overflows(bucket_.volume_lots, lots, volume_lots)) {
            return add({ts_ns, ts_ns, price_ticks, price_ticks, price_ticks, price_ticks, lots, 0});
        }
        bucket_.high_ticks = std::max(bucket_.high_ticks, price_ticks);
        bucket_.low_ticks = std::min(bucket_.low_ticks, price_ticks);
        bucket_.close_ticks = price_ticks;
        bucket_.volume_lots = volume_lots;
        return true;
    }
    // The session of the open bucket is over.
    void end_session() noexcept;
    // Nothing before the bucket of ts_ns was ever seen: what closed is dropped, no hole is filled.
    void forget_before(std::int64_t ts_ns) noexcept;

    // False: surely no closed bar waits.
    [[nodiscard]] bool may_have_closed() const noexcept {
        return finished_count_ > 0 || fill_ns_ < reached_ns_;
    }
    // Start of the next closed bar, which stays; kNothingClosed: there is none.
    static constexpr std::int64_t kNothingClosed = INT64_MAX;
    [[nodiscard]] std::int64_t next_start_ns(const Calendar& calendar) noexcept;
    // Takes the bar whose start next_start_ns() has just named.
    [[nodiscard]] ClosedBar take() noexcept;

    [[nodiscard]] bool is_open() const noexcept { return is_open_; }
    [[nodiscard]] std::int64_t size_ns() const noexcept { return size_ns_; }
    // Synthetic bars in a row, up to the last bar taken.
    [[nodiscard]] std::uint32_t synthetic_in_row() const noexcept { return synthetic_in_row_; }

    // Not archived: size_ns_, minutes_ (settings).
    void archive(Archive& archive) noexcept {
        archive(is_open_, bucket_, finished_);
        archive.index(finished_count_, finished_.size());
        archive(closed_start_ns_, reached_ns_, fill_ns_, last_start_ns_, last_close_ticks_,
                synthetic_in_row_);
    }

 private:
    [[nodiscard]] std::int64_t floor_ns(std::int64_t ts_ns) const noexcept;
    // In the bucket that time has reached: what nearly every event is, found without a division.
    [[nodiscard]] bool is_present(std::int64_t ts_ns) const noexcept {
        const std::uint64_t since = static_cast<std::uint64_t>(ts_ns) -
                                    static_cast<std::uint64_t>(reached_ns_);  // wraps before it
        return since < static_cast<std::uint64_t>(size_ns_);
    }
    void begin_bucket(std::int64_t ts_ns) noexcept;
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

    void advance(std::int64_t ts_ns) noexcept {
        five_.advance(ts_ns);
        thirty_.advance(ts_ns);
    }
    // False if no bucket took it.
    bool add(const BarPart& part) noexcept;
    bool add_trade(std::int64_t ts_ns, std::int64_t price_ticks, std::int64_t lots) noexcept {
        const bool is_in_five = five_.add_trade(ts_ns, price_ticks, lots);
        const bool is_in_thirty = thirty_.add_trade(ts_ns, price_ticks, lots);
        return is_in_five || is_in_thirty;
    }
    void end_session() noexcept;
    void forget_before(std::int64_t ts_ns) noexcept;

    // The next closed bar by time of its end, the 30-minute one first on a common boundary. False:
    // no more. One event closes at most BucketSide::kFilledNsMax of buckets.
    [[nodiscard]] bool next_closed(const Calendar& calendar, ClosedBar& out) noexcept;
    [[nodiscard]] bool may_have_closed() const noexcept {
        return five_.may_have_closed() || thirty_.may_have_closed();
    }

    [[nodiscard]] bool has_open_bucket() const noexcept {
        return five_.is_open() || thirty_.is_open();
    }
    // More than 3 synthetic 30-minute or 6 synthetic 5-minute bars in a row.
    [[nodiscard]] bool is_stale() const noexcept {
        return thirty_.synthetic_in_row() > 3 || five_.synthetic_in_row() > 6;
    }

    void archive(Archive& archive) noexcept { archive(five_, thirty_); }

 private:
    BucketSide five_;
    BucketSide thirty_;
};

}  // namespace gm
