// The rules of quarantine: see the header for what is promised.
#include "gm/market/quarantine.hpp"

#include <algorithm>

#include "gm/base/checked.hpp"

namespace gm {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kFileJumpNsMax = std::int64_t{10} * 86'400 * kSecondNs;
constexpr std::int64_t kPpm = 1'000'000;

constexpr std::array<const char*, kQuarantineReasons> kNames = {
    "none",          "not_finite",       "below_floor",    "off_grid",       "negative_volume",
    "contradiction", "overflow",         "duplicate_time", "backward_time",  "future",
    "jump_band",     "crossed_book",     "locked_book",    "unknown_symbol", "line_too_long",
    "malformed",     "nonexistent_time", "suspicious",
};

[[nodiscard]] bool is_time(std::int64_t ts_ns) noexcept {
    return ts_ns > -kTimeMax && ts_ns < kTimeMax;
}

// Without a clock nothing is. A bar at the end of time ends behind it: the distance may overflow.
[[nodiscard]] bool is_future(std::int64_t ts_ns, std::int64_t clock_ns) noexcept {
    if (clock_ns == kNoClock || !is_time(clock_ns)) return false;
    std::int64_t ahead_ns = 0;
    return sub_overflows(ts_ns, clock_ns, ahead_ns) || ahead_ns > BarCheck::kFutureNsMax;
}

// The row before must be older: a stamp seen twice is a copy, one that is smaller came too late.
[[nodiscard]] QuarantineReason judge_order(std::int64_t ts_ns, std::int64_t before_ns) noexcept {
    if (before_ns == kNoTime || ts_ns > before_ns) return QuarantineReason::kNone;
    return ts_ns == before_ns ? QuarantineReason::kDuplicateTime : QuarantineReason::kBackwardTime;
}

}  // namespace

const char* name_of(QuarantineReason reason) noexcept {
    const auto index = static_cast<std::size_t>(reason);
    return index < kNames.size() ? kNames[index] : "unknown";
}

void BarCheck::open(const Instrument& instrument, std::uint32_t clean_bars) noexcept {
    *this = BarCheck{};
    price_floor_ticks_ = instrument.price_floor_ticks;
    band_ppm_ = instrument.band_ppm;
    band_ticks_min_ = instrument.band_ticks_min;
    clean_bars_ = clean_bars;
    // One order lot at any price that is let in is worth an int64 of micro-units.
    if (instrument.tick_value_micros > 0) {
        price_ticks_max_ = std::min(kUnitsMax, INT64_MAX / instrument.tick_value_micros);
    }
}

bool BarCheck::fits(std::int64_t price_ticks) const noexcept {
    return price_ticks >= -price_ticks_max_ && price_ticks <= price_ticks_max_;
}

bool BarCheck::is_within_band(std::int64_t price_ticks, std::int64_t of_ticks) const noexcept {
    const std::uint64_t distance = magnitude(price_ticks - of_ticks);  // both are at most 2^53
    if (distance <= magnitude(band_ticks_min_)) return true;
    return Uint128{distance} * kPpm <= Uint128{magnitude(of_ticks)} * magnitude(band_ppm_);
}

// Open and close lie between low and high, or the row would have been refused before.
bool BarCheck::lies_within(const Prices& row, std::int64_t of_ticks) const noexcept {
    return is_within_band(row.high, of_ticks) &&
           (row.low == row.high || is_within_band(row.low, of_ticks));
}

bool BarCheck::agree(const Prices& a, const Prices& b) const noexcept {
    const bool is_later = b.ts_ns > a.ts_ns || (b.is_trade && b.ts_ns == a.ts_ns);
    return is_later && lies_within(a, b.close) && lies_within(b, a.close);
}

QuarantineReason BarCheck::judge_values(const Prices& row, std::int64_t volume_lots,
                                        std::int64_t stamp_ns,
                                        std::int64_t clock_ns) const noexcept {
    if (!is_time(row.ts_ns)) return QuarantineReason::kOverflow;
    // SPEC §1 has prices "above the floor" valid: with a floor of 0, nothing is worth 0.
    if (std::min({row.open, row.high, row.low, row.close}) <= price_floor_ticks_) {
        return QuarantineReason::kBelowFloor;
    }
    if (volume_lots < 0) return QuarantineReason::kNegativeVolume;
    if (row.high < std::max(row.open, row.close) || row.low > std::min(row.open, row.close)) {
        return QuarantineReason::kContradiction;  // and so is every H < L
    }
    if (!fits(row.high) || !fits(row.low) || volume_lots > kUnitsMax) {
        return QuarantineReason::kOverflow;
    }
    return is_future(stamp_ns, clock_ns) ? QuarantineReason::kFuture : QuarantineReason::kNone;
}

QuarantineReason BarCheck::find_fault(const BarOpen& bar, std::int64_t clock_ns) const noexcept {
    if (bar.duration_ns <= 0 || bar.duration_ns > kDurationNsMax) {
        return QuarantineReason::kMalformed;
    }
    const std::int64_t price = bar.open_ticks;
    const Prices row{bar.start_ts_ns, price, price, price, price, false};
    if (const auto fault = judge_values(row, 0, bar.start_ts_ns, clock_ns);
        fault != QuarantineReason::kNone) {
        return fault;
    }
    if (const auto fault = judge_order(bar.start_ts_ns, last_bar_ts_ns_);
        fault != QuarantineReason::kNone) {
        return fault;
    }
    return judge_order(bar.start_ts_ns, last_open_ts_ns_);
}

QuarantineReason BarCheck::find_fault(const BarClose& bar, std::int64_t clock_ns) const noexcept {
    const std::int64_t duration_ns = std::int64_t{bar.duration_s} * kSecondNs;
    if (duration_ns <= 0 || duration_ns > kDurationNsMax) return QuarantineReason::kMalformed;
    if (!is_time(bar.start_ts_ns)) return QuarantineReason::kOverflow;
    const Prices row{bar.start_ts_ns, bar.open_ticks,  bar.high_ticks,
                     bar.low_ticks,   bar.close_ticks, false};
    const std::int64_t stamp_ns = bar.start_ts_ns + duration_ns;
    if (const auto fault = judge_values(row, bar.volume_lots, stamp_ns, clock_ns);
        fault != QuarantineReason::kNone) {
        return fault;
    }
    // A CLOSE behind the OPEN of a later bar: its buckets may have been closed by that OPEN.
    if (last_open_ts_ns_ != kNoTime && bar.start_ts_ns < last_open_ts_ns_) {
        return QuarantineReason::kBackwardTime;
    }
    return judge_order(bar.start_ts_ns, last_bar_ts_ns_);
}

// Beyond the band a row is refused, but remembered: the third of three that agree is believed.
QuarantineReason BarCheck::judge_band(const Prices& row) noexcept {
    if (!has_reference_ || lies_within(row, reference_ticks_)) return QuarantineReason::kNone;
    if (jump_count_ == 2 && agree(jumps_[0], row) && agree(jumps_[1], row)) {
        return QuarantineReason::kNone;
    }
    const Prices& last = jumps_[jump_count_ == 2 ? 1 : 0];
    const bool continues = jump_count_ > 0 && agree(last, row);
    jumps_ = continues ? std::array<Prices, 2>{last, row} : std::array<Prices, 2>{row, Prices{}};
    jump_count_ = continues ? 2 : 1;
    return QuarantineReason::kJumpBand;
}

QuarantineReason BarCheck::settle(const Prices& row, QuarantineReason fault) noexcept {
    if (fault == QuarantineReason::kNone) {
        fault = judge_band(row);
    } else {
        jump_count_ = 0;  // the next two rows must be the next two
    }
    ++counts_[static_cast<std::size_t>(fault)];
    if (fault != QuarantineReason::kNone) {
        if (++refusals_in_row_ >= kRefusalsInRowMax) clean_bars_missing_ = clean_bars_;
        return fault;
    }
    jump_count_ = 0;
    refusals_in_row_ = 0;
    has_reference_ = true;
    reference_ticks_ = row.close;
    move_near();
    return fault;
}

// A quarter of the band to both sides of the reference: two prices in there are half a band apart
// at most, and the band around the lower one is not narrower than that as long as it is not wider
// than twice the price. The reference may move in there without another look.
void BarCheck::move_near() noexcept {
    constexpr std::int64_t kWidestPpm = 2 * kPpm;
    near_low_ticks_ = 1;
    near_high_ticks_ = 0;
    if (band_ppm_ < 0 || band_ppm_ > kWidestPpm || band_ticks_min_ < 0) return;
    const Uint128 share = Uint128{magnitude(reference_ticks_)} * magnitude(band_ppm_) / kPpm;
    const std::int64_t band = std::max(static_cast<std::int64_t>(share), band_ticks_min_);
    const std::int64_t reach = std::min(band / 4, kUnitsMax);
    near_low_ticks_ =
        std::max({reference_ticks_ - reach, price_floor_ticks_ + 1, -price_ticks_max_});
    near_high_ticks_ = std::min(reference_ticks_ + reach, price_ticks_max_);
}

QuarantineReason BarCheck::judge_open(const BarOpen& bar, std::int64_t clock_ns) noexcept {
    QuarantineReason fault = find_fault(bar, clock_ns);
    if (fault == QuarantineReason::kNone && has_reference_ &&
        !is_within_band(bar.open_ticks, reference_ticks_)) {
        const bool may_be_third = jump_count_ == 2 &&
                                  is_within_band(bar.open_ticks, jumps_[0].close) &&
                                  is_within_band(bar.open_ticks, jumps_[1].close);
        if (!may_be_third) fault = QuarantineReason::kJumpBand;
    }
    if (fault == QuarantineReason::kNone) {
        last_open_ts_ns_ = bar.start_ts_ns;
    } else {
        ++counts_[static_cast<std::size_t>(fault)];  // its CLOSE is the row that counts in a row
    }
    return fault;
}

QuarantineReason BarCheck::judge_close(const BarClose& bar, std::int64_t clock_ns) noexcept {
    const Prices row{bar.start_ts_ns, bar.open_ticks,  bar.high_ticks,
                     bar.low_ticks,   bar.close_ticks, false};
    const QuarantineReason fault = settle(row, find_fault(bar, clock_ns));
    if (fault != QuarantineReason::kNone) return fault;
    last_bar_ts_ns_ = bar.start_ts_ns;
    count_clean_bar();
    return fault;
}

QuarantineReason BarCheck::judge_any_trade(const Trade& trade, std::int64_t ts_ns,
                                           std::int64_t clock_ns) noexcept {
    const std::int64_t price = trade.price_ticks;
    const Prices row{ts_ns, price, price, price, price, true};
    QuarantineReason fault = judge_values(row, trade.quantity_lots, ts_ns, clock_ns);
    // Equal stamps are in order: an exchange fills several orders in one instant.
    if (fault == QuarantineReason::kNone && last_trade_ts_ns_ != kNoTime &&
        ts_ns < last_trade_ts_ns_) {
        fault = QuarantineReason::kBackwardTime;
    }
    fault = settle(row, fault);
    if (fault == QuarantineReason::kNone) last_trade_ts_ns_ = ts_ns;
    return fault;
}

// A side without an order has neither price nor quantity.
QuarantineReason BarCheck::judge_side(BookSide side) const noexcept {
    if (side.lots < 0) return QuarantineReason::kNegativeVolume;
    if (side.lots == 0) {
        return side.price_ticks == 0 ? QuarantineReason::kNone : QuarantineReason::kContradiction;
    }
    if (side.price_ticks <= price_floor_ticks_) return QuarantineReason::kBelowFloor;
    if (!fits(side.price_ticks) || side.lots > kUnitsMax) return QuarantineReason::kOverflow;
    return QuarantineReason::kNone;
}

QuarantineReason BarCheck::judge_spread(BookSide bid, BookSide ask) const noexcept {
    const bool has_bid = bid.lots > 0;
    const bool has_ask = ask.lots > 0;
    if (has_bid && has_ask && bid.price_ticks > ask.price_ticks) {
        return QuarantineReason::kCrossedBook;
    }
    if (has_bid && has_ask && bid.price_ticks == ask.price_ticks) {
        return QuarantineReason::kLockedBook;
    }
    if (!has_reference_) return QuarantineReason::kNone;
    const bool is_far = (has_bid && bid.price_ticks > reference_ticks_ &&
                         !is_within_band(bid.price_ticks, reference_ticks_)) ||
                        (has_ask && ask.price_ticks < reference_ticks_ &&
                         !is_within_band(ask.price_ticks, reference_ticks_));
    return is_far ? QuarantineReason::kJumpBand : QuarantineReason::kNone;
}

QuarantineReason BarCheck::judge_any_top(std::int64_t bid_ticks, std::int64_t ask_ticks,
                                         std::int64_t bid_lots, std::int64_t ask_lots) noexcept {
    const BookSide bid{bid_ticks, bid_lots};
    const BookSide ask{ask_ticks, ask_lots};
    QuarantineReason fault = judge_side(bid);
    if (fault == QuarantineReason::kNone) fault = judge_side(ask);
    if (fault == QuarantineReason::kNone) fault = judge_spread(bid, ask);
    return count_book_fault(fault);
}

QuarantineReason BarCheck::judge_any_level(const BookLevel& level) noexcept {
    if (level.side > Side::kSell) return count_book_fault(QuarantineReason::kMalformed);
    // A price that is taken away must be one that could have been there.
    const std::int64_t lots = level.quantity_lots == 0 ? 1 : level.quantity_lots;
    return count_book_fault(judge_side({level.price_ticks, lots}));
}

QuarantineReason BarCheck::judge_any_book_time(std::int64_t ts_ns, std::int64_t after_ns,
                                               std::int64_t clock_ns) noexcept {
    if (!is_time(ts_ns)) return count_book_fault(QuarantineReason::kOverflow);
    if (is_future(ts_ns, clock_ns)) return count_book_fault(QuarantineReason::kFuture);
    const bool is_late = after_ns != kNoTime && ts_ns < after_ns;
    return count_book_fault(is_late ? QuarantineReason::kBackwardTime : QuarantineReason::kNone);
}

QuarantineReason BarCheck::count_book_fault(QuarantineReason fault) noexcept {
    if (fault != QuarantineReason::kNone) ++counts_[static_cast<std::size_t>(fault)];
    return fault;
}

void BarCheck::count_refused_row(QuarantineReason reason) noexcept {
    // From the wire: it may be any number, and none is no reason.
    const bool is_known =
        reason != QuarantineReason::kNone && static_cast<std::size_t>(reason) < kQuarantineReasons;
    jump_count_ = 0;
    ++counts_[static_cast<std::size_t>(is_known ? reason : QuarantineReason::kMalformed)];
    if (++refusals_in_row_ >= kRefusalsInRowMax) clean_bars_missing_ = clean_bars_;
}

void BarCheck::count_clean_bar() noexcept {
    if (clean_bars_missing_ > 0) --clean_bars_missing_;
}

void check_file_stamps(std::span<const std::int64_t> ts_ns,
                       std::span<QuarantineReason> reasons) noexcept {
    const std::size_t count = std::min(ts_ns.size(), reasons.size());
    const auto next_stamped = [&](std::size_t i) {
        do ++i;
        while (i < count && ts_ns[i] == kNoTime);
        return i;
    };
    std::int64_t believed_ns = kNoTime;
    std::int64_t before_ns = kNoTime;
    bool follows_jump = false;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t ts = ts_ns[i];
        if (ts == kNoTime) continue;
        const std::size_t first = next_stamped(i);
        const std::size_t second = first < count ? next_stamped(first) : count;
        const bool goes_back_first = first < count && ts > ts_ns[first];
        const bool goes_back_second = second < count && ts > ts_ns[second];
        const bool is_beyond = believed_ns != kNoTime && ts - believed_ns > kFileJumpNsMax;
        const bool is_jump = is_beyond && ts - before_ns > kFileJumpNsMax;
        const bool is_unsure = is_beyond && follows_jump && (goes_back_first || goes_back_second);
        const bool is_refused = is_jump || is_unsure || (goes_back_first && goes_back_second);
        if (!is_refused) believed_ns = std::max(believed_ns, ts);
        if (is_refused && reasons[i] == QuarantineReason::kNone) {
            reasons[i] = QuarantineReason::kFuture;
        }
        follows_jump = is_refused && is_beyond;
        before_ns = ts;
    }
}

}  // namespace gm
