#include "gm/venue/feed_replay.hpp"

#include <algorithm>

#include "gm/base/checked.hpp"
#include "gm/wire/record.hpp"

namespace gm {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint32_t kBucketMinutes = 5;
constexpr std::int64_t kBucketNs = kBucketMinutes * 60 * kNsPerSecond;

class Replay {
 public:
    Replay(const Venue& venue, const FeedReplay& request, std::uint64_t last_sequence,
           std::span<BarClose> out) noexcept
        : venue_(venue), request_(request), last_(last_sequence), out_(out) {}

    // Where the newest bars of so many minutes begin.
    [[nodiscard]] std::uint64_t find_first() const noexcept {
        std::int64_t minutes_left = request_.minutes_max;
        std::int64_t bucket_ns = INT64_MAX;
        std::uint64_t sequence = last_;
        Slot slot{};
        for (; sequence > 0 && venue_.feed(sequence, slot); --sequence) {
            if (slot.type() == RecordType::kBarClose) {
                const auto bar = slot.as<BarClose>();
                minutes_left -= std::max<std::int64_t>(1, bar.duration_s / 60);
            } else if (is_good_trade(slot)) {
                const std::int64_t of_ns = bucket_of(slot);
                if (of_ns != bucket_ns) minutes_left -= kBucketMinutes;
                bucket_ns = of_ns;
            }
            if (minutes_left < 0) break;
        }
        return sequence + 1;
    }

    [[nodiscard]] ReplayPage read(std::uint64_t first) noexcept {
        Slot slot{};
        for (std::uint64_t sequence = first; sequence <= last_; ++sequence) {
            if (!venue_.feed(sequence, slot)) break;
            bool has_room = true;
            if (slot.type() == RecordType::kBarClose) {
                has_room = put(slot.as<BarClose>());
            } else if (is_good_trade(slot)) {
                has_room = add(slot, sequence);
            }
            // The bucket that finds no room begins the next page.
            if (!has_room) return {bars_, bucket_sequence_ != 0 ? bucket_sequence_ : sequence};
        }
        // The newest bucket counts if it is over: nothing older can come behind a later event.
        if (bucket_sequence_ != 0 && !put(bucket_)) return {bars_, bucket_sequence_};
        return {bars_, 0};
    }

 private:
    [[nodiscard]] static std::int64_t bucket_of(const Slot& slot) noexcept {
        return floor_div(slot.header.source_ts_ns, kBucketNs) * kBucketNs;
    }

    [[nodiscard]] bool is_good_trade(const Slot& slot) const noexcept {
        return slot.type() == RecordType::kTrade &&
               !venue_.is_refused_trade(slot.header.first_sequence);
    }

    [[nodiscard]] bool is_wanted(const BarClose& bar) const noexcept {
        std::int64_t end_ts_ns = 0;
        return bar.instrument == request_.instrument && bar.start_ts_ns >= request_.after_ts_ns &&
               !add_overflows(bar.start_ts_ns, bar.duration_s * kNsPerSecond, end_ts_ns) &&
               end_ts_ns <= request_.before_ts_ns;
    }

    // False: the page is full.
    [[nodiscard]] bool put(const BarClose& bar) noexcept {
        if (!is_wanted(bar)) return true;
        if (bars_ == out_.size()) return false;
        out_[bars_++] = bar;
        return true;
    }

    [[nodiscard]] bool add(const Slot& slot, std::uint64_t sequence) noexcept {
        const auto trade = slot.as<Trade>();
        const std::int64_t start_ns = bucket_of(slot);
        const std::int64_t price = trade.price_ticks;
        if (bucket_sequence_ == 0 || start_ns > bucket_.start_ts_ns) {
            if (bucket_sequence_ != 0 && !put(bucket_)) return false;
            bucket_ = {start_ns,         price, price, price, price, 0, kBucketMinutes * 60,
                       trade.instrument, 0,     0};
            bucket_sequence_ = sequence;
        }
        bucket_.high_ticks = std::max(bucket_.high_ticks, price);
        bucket_.low_ticks = std::min(bucket_.low_ticks, price);
        bucket_.close_ticks = price;
        if (add_overflows(bucket_.volume_lots, trade.quantity_lots, bucket_.volume_lots)) {
            bucket_.volume_lots = INT64_MAX;
        }
        return true;
    }

    const Venue& venue_;
    const FeedReplay& request_;
    std::uint64_t last_;
    std::span<BarClose> out_;
    std::size_t bars_ = 0;
    BarClose bucket_{};
    std::uint64_t bucket_sequence_ = 0;  // of its first trade; 0: there is none
};

}  // namespace

ReplayPage read_replay(const Venue& venue, const FeedReplay& request, std::uint64_t last_sequence,
                       std::span<BarClose> out) noexcept {
    last_sequence = std::min(last_sequence, venue.last_feed_sequence());
    Replay replay(venue, request, last_sequence, out);
    return replay.read(request.cursor != 0 ? request.cursor : replay.find_first());
}

}  // namespace gm
