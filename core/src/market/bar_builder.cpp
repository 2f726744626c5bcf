// Buckets of 5 and 30 minutes: see the header for what is promised.
#include "gm/market/bar_builder.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "gm/base/checked.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

Failure BucketSide::open(std::uint32_t minutes) {
    if (minutes == 0 || 1440 % minutes != 0) {
        return fail(Status::kBadArgument,
                    "minutes of a bar must divide a day of 1440: " + std::to_string(minutes));
    }
    *this = BucketSide{};
    minutes_ = minutes;
    size_ns_ = minutes * kMinuteNs;
    return ok();
}

std::int64_t BucketSide::floor_ns(std::int64_t ts_ns) const noexcept {
    return floor_div(ts_ns, size_ns_) * size_ns_;
}

void BucketSide::close_bucket() noexcept {
    // A caller that leaves closed bars untaken would lose one here: a broken program, not data.
    if (finished_count_ == finished_.size()) std::abort();
    finished_[finished_count_++] = bucket_;
    closed_start_ns_ = bucket_.start_ts_ns;
    is_open_ = false;
}

void BucketSide::begin_bucket(std::int64_t ts_ns) noexcept {
    if (is_open_) close_bucket();
    reached_ns_ = floor_ns(ts_ns);
}

bool BucketSide::add(const BarPart& part) noexcept {
    if (part.end_ts_ns - part.start_ts_ns > size_ns_) return false;
    if (!is_present(part.start_ts_ns) || reached_ns_ == closed_start_ns_) return false;
    const std::int64_t start = reached_ns_;
    if (!is_open_) {
        bucket_ = {start,          part.open_ticks,          part.high_ticks,
                   part.low_ticks, part.close_ticks,         part.volume_lots,
                   minutes_,       part.flags & kBarNoVolume};
        is_open_ = true;
    } else {
        bucket_.high_ticks = std::max(bucket_.high_ticks, part.high_ticks);
        bucket_.low_ticks = std::min(bucket_.low_ticks, part.low_ticks);
        bucket_.close_ticks = part.close_ticks;
        bucket_.flags |= part.flags & kBarNoVolume;
        if (add_overflows(bucket_.volume_lots, part.volume_lots, bucket_.volume_lots)) {
            bucket_.volume_lots = INT64_MAX;
        }
    }
    if (part.end_ts_ns == start + size_ns_) close_bucket();
    return true;
}

void BucketSide::end_session() noexcept {
    if (is_open_) close_bucket();
}

void BucketSide::forget_before(std::int64_t ts_ns) noexcept {
    std::int64_t start = 0;  // before all time there is no bar to forget
    if (mul_overflows(floor_div(ts_ns, size_ns_), size_ns_, start)) return;
    if (is_open_ && bucket_.start_ts_ns < start) is_open_ = false;
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < finished_count_; ++i) {  // at most two
        if (finished_[i].start_ts_ns >= start) finished_[kept++] = finished_[i];
    }
    finished_count_ = kept;
    fill_ns_ = kNothingClosed;
    synthetic_in_row_ = 0;
}

// Moves fill_ns_ to the first bucket that starts inside a session, if it is before limit_ns.
void BucketSide::skip_closed_market(const Calendar& calendar, std::int64_t limit_ns) noexcept {
    while (fill_ns_ < limit_ns) {  // at most the sessions shorter than a bucket, and one more
        if (calendar.session_at(fill_ns_) != nullptr) return;
        const SessionInterval* const next = calendar.session_after(fill_ns_);
        fill_ns_ = next == nullptr ? limit_ns : ceil_div(next->open_ts_ns, size_ns_) * size_ns_;
    }
}

std::int64_t BucketSide::next_start_ns(const Calendar& calendar) noexcept {
    const std::int64_t limit_ns = finished_count_ > 0 ? finished_[0].start_ts_ns : reached_ns_;
    if (fill_ns_ < limit_ns) {
        if (limit_ns - last_start_ns_ > kFilledNsMax) fill_ns_ = limit_ns;
        skip_closed_market(calendar, limit_ns);
        if (fill_ns_ < limit_ns) return fill_ns_;
    }
    return finished_count_ > 0 ? limit_ns : kNothingClosed;
}

ClosedBar BucketSide::take() noexcept {
    ClosedBar bar{};
    if (finished_count_ > 0 && fill_ns_ >= finished_[0].start_ts_ns) {
        bar = finished_[0];
        finished_[0] = finished_[1];
        --finished_count_;
        synthetic_in_row_ = 0;
    } else {
        const std::int64_t price = last_close_ticks_;
        bar = {fill_ns_, price, price, price, price, 0, minutes_, kBarSynthetic};
        ++synthetic_in_row_;
    }
    last_start_ns_ = bar.start_ts_ns;
    last_close_ticks_ = bar.close_ticks;
    fill_ns_ = bar.start_ts_ns + size_ns_;
    return bar;
}

Failure BarBuilder::open() {
    if (Failure failure = five_.open(5); !failure.is_ok()) return failure;
    return thirty_.open(30);
}

bool BarBuilder::add(const BarPart& part) noexcept {
    const bool is_in_five = five_.add(part);
    const bool is_in_thirty = thirty_.add(part);
    return is_in_five || is_in_thirty;
}

void BarBuilder::end_session() noexcept {
    five_.end_session();
    thirty_.end_session();
}

void BarBuilder::forget_before(std::int64_t ts_ns) noexcept {
    five_.forget_before(ts_ns);
    thirty_.forget_before(ts_ns);
}

bool BarBuilder::next_closed(const Calendar& calendar, ClosedBar& out) noexcept {
    constexpr std::int64_t kNothing = BucketSide::kNothingClosed;
    const std::int64_t five = five_.next_start_ns(calendar);
    const std::int64_t thirty = thirty_.next_start_ns(calendar);
    if (five == kNothing && thirty == kNothing) return false;
    const bool is_thirty = thirty != kNothing && (five == kNothing || thirty + thirty_.size_ns() <=
                                                                          five + five_.size_ns());
    out = is_thirty ? thirty_.take() : five_.take();
    return true;
}

}  // namespace gm
