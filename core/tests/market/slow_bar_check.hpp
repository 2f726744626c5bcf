// The rules of quarantine once more, without a thought for speed: what SPEC §1 says of bars, trades
// and books, each price held against the band on every event. BarCheck must answer like it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "gm/base/checked.hpp"
#include "gm/market/quarantine.hpp"

namespace gm::test {

class SlowBarCheck {
 public:
    SlowBarCheck(const Instrument& instrument, std::uint32_t clean_bars)
        : instrument_(instrument),
          price_max_(std::min(BarCheck::kUnitsMax, INT64_MAX / instrument.tick_value_micros)),
          clean_bars_(clean_bars) {}

    QuarantineReason judge_open(const BarOpen& bar, std::int64_t clock) {
        const std::int64_t price = bar.open_ticks;
        QuarantineReason fault = judge_values({bar.start_ts_ns, price, price, price, price, false},
                                              0, bar.start_ts_ns, clock);
        if (fault == kNone) fault = judge_order(bar.start_ts_ns, last_bar_);
        if (fault == kNone) fault = judge_order(bar.start_ts_ns, last_open_);
        const bool is_near = !reference_ || is_within(price, *reference_);
        const bool may_be_third = jumps_.size() == 2 && is_within(price, jumps_[0].close) &&
                                  is_within(price, jumps_[1].close);
        if (fault == kNone && !is_near && !may_be_third) fault = QuarantineReason::kJumpBand;
        if (fault == kNone) {
            last_open_ = bar.start_ts_ns;
        } else {
            count(fault);
        }
        return fault;
    }

    QuarantineReason judge_close(const BarClose& bar, std::int64_t clock) {
        const Row row{bar.start_ts_ns, bar.open_ticks,  bar.high_ticks,
                      bar.low_ticks,   bar.close_ticks, false};
        const std::int64_t length = std::int64_t{bar.duration_s} * 1'000'000'000;
        const std::int64_t end = row.ts_ns + (is_time(row.ts_ns) ? length : 0);
        QuarantineReason fault = judge_values(row, bar.volume_lots, end, clock);
        if (fault == kNone && last_open_ && row.ts_ns < *last_open_) {
            fault = QuarantineReason::kBackwardTime;
        }
        if (fault == kNone) fault = judge_order(row.ts_ns, last_bar_);
        fault = settle(row, fault);
        if (fault != kNone) return fault;
        last_bar_ = row.ts_ns;
        clean_bars_missing_ -= clean_bars_missing_ > 0 ? 1 : 0;
        return fault;
    }

    QuarantineReason judge_trade(const Trade& trade, std::int64_t ts, std::int64_t clock) {
        const std::int64_t price = trade.price_ticks;
        const Row row{ts, price, price, price, price, true};
        QuarantineReason fault = judge_values(row, trade.quantity_lots, ts, clock);
        if (fault == kNone && last_trade_ && ts < *last_trade_) {
            fault = QuarantineReason::kBackwardTime;
        }
        fault = settle(row, fault);
        if (fault == kNone) last_trade_ = ts;
        return fault;
    }

    QuarantineReason judge_top(const Quote& top) {
        QuarantineReason fault = judge_side(top.bid_ticks, top.bid_lots);
        if (fault == kNone) fault = judge_side(top.ask_ticks, top.ask_lots);
        const bool has_bid = top.bid_lots > 0;
        const bool has_ask = top.ask_lots > 0;
        if (fault == kNone && has_bid && has_ask && top.bid_ticks >= top.ask_ticks) {
            fault = top.bid_ticks == top.ask_ticks ? QuarantineReason::kLockedBook
                                                   : QuarantineReason::kCrossedBook;
        }
        if (fault == kNone && reference_) {
            const bool is_bid_far =
                has_bid && top.bid_ticks > *reference_ && !is_within(top.bid_ticks, *reference_);
            const bool is_ask_far =
                has_ask && top.ask_ticks < *reference_ && !is_within(top.ask_ticks, *reference_);
            if (is_bid_far || is_ask_far) fault = QuarantineReason::kJumpBand;
        }
        return count_fault(fault);
    }

    QuarantineReason judge_level(const BookLevel& level) {
        if (level.side != Side::kBuy && level.side != Side::kSell) {
            return count_fault(QuarantineReason::kMalformed);
        }
        const bool is_taken_away = level.quantity_lots == 0;
        return count_fault(judge_side(level.price_ticks, is_taken_away ? 1 : level.quantity_lots));
    }

    QuarantineReason judge_book_time(std::int64_t ts, std::int64_t after, std::int64_t clock) {
        if (!is_time(ts)) return count_fault(QuarantineReason::kOverflow);
        if (is_future(ts, clock)) return count_fault(QuarantineReason::kFuture);
        const bool is_late = after != kNoTime && ts < after;
        return count_fault(is_late ? QuarantineReason::kBackwardTime : kNone);
    }

    void count_refused_row(QuarantineReason reason) { refuse(reason); }

    bool is_clean() const { return clean_bars_missing_ == 0; }
    bool has_reference() const { return reference_.has_value(); }
    std::int64_t reference_ticks() const { return reference_.value_or(0); }
    const std::array<std::uint64_t, kQuarantineReasons>& counts() const { return counts_; }
    // Rows outside of the band that were believed as the third of three.
    std::uint64_t believed_jumps() const { return believed_jumps_; }

    // The band around a price is as wide to both sides; its edges are in it.
    bool is_within(std::int64_t price, std::int64_t of) const {
        const Int128 distance = price > of ? Int128{price} - of : Int128{of} - price;
        const Int128 share = Int128{of < 0 ? -of : of} * instrument_.band_ppm;
        return distance <= instrument_.band_ticks_min || distance * 1'000'000 <= share;
    }

 private:
    static constexpr QuarantineReason kNone = QuarantineReason::kNone;

    struct Row {
        std::int64_t ts_ns, open, high, low, close;
        bool is_trade;
    };

    static bool is_time(std::int64_t ts) { return ts > -kTimeMax && ts < kTimeMax; }
    static bool is_future(std::int64_t ts, std::int64_t clock) {
        return is_time(clock) && Int128{ts} - clock > BarCheck::kFutureNsMax;
    }
    static QuarantineReason judge_order(std::int64_t ts, std::optional<std::int64_t> before) {
        if (!before || ts > *before) return kNone;
        return ts == *before ? QuarantineReason::kDuplicateTime : QuarantineReason::kBackwardTime;
    }

    bool fits(std::int64_t price) const { return price >= -price_max_ && price <= price_max_; }
    bool is_within(const Row& row, std::int64_t of) const {
        return is_within(row.high, of) && is_within(row.low, of);
    }
    bool agree(const Row& earlier, const Row& later) const {
        const bool is_later =
            later.ts_ns > earlier.ts_ns || (later.is_trade && later.ts_ns == earlier.ts_ns);
        return is_later && is_within(earlier, later.close) && is_within(later, earlier.close);
    }

    QuarantineReason judge_values(const Row& row, std::int64_t lots, std::int64_t stamp,
                                  std::int64_t clock) const {
        if (!is_time(row.ts_ns)) return QuarantineReason::kOverflow;
        if (std::min({row.open, row.high, row.low, row.close}) <= instrument_.price_floor_ticks) {
            return QuarantineReason::kBelowFloor;
        }
        if (lots < 0) return QuarantineReason::kNegativeVolume;
        if (row.high < std::max(row.open, row.close) || row.low > std::min(row.open, row.close)) {
            return QuarantineReason::kContradiction;
        }
        if (!fits(row.high) || !fits(row.low) || lots > BarCheck::kUnitsMax) {
            return QuarantineReason::kOverflow;
        }
        return is_future(stamp, clock) ? QuarantineReason::kFuture : kNone;
    }

    QuarantineReason judge_side(std::int64_t price, std::int64_t lots) const {
        if (lots < 0) return QuarantineReason::kNegativeVolume;
        if (lots == 0) return price == 0 ? kNone : QuarantineReason::kContradiction;
        if (price <= instrument_.price_floor_ticks) return QuarantineReason::kBelowFloor;
        return fits(price) && lots <= BarCheck::kUnitsMax ? kNone : QuarantineReason::kOverflow;
    }

    QuarantineReason settle(const Row& row, QuarantineReason fault) {
        if (fault != kNone) return refuse(fault);
        if (reference_ && !is_within(row, *reference_)) {
            const bool is_third =
                jumps_.size() == 2 && agree(jumps_[0], row) && agree(jumps_[1], row);
            if (!is_third) return refuse_jump(row);
            ++believed_jumps_;
        }
        jumps_.clear();
        refusals_in_row_ = 0;
        reference_ = row.close;
        count(kNone);
        return kNone;
    }

    QuarantineReason refuse(QuarantineReason reason) {
        jumps_.clear();
        count(reason);
        if (++refusals_in_row_ >= 5) clean_bars_missing_ = clean_bars_;
        return reason;
    }
    QuarantineReason refuse_jump(const Row& row) {
        std::vector<Row> kept;
        if (!jumps_.empty() && agree(jumps_.back(), row)) kept = {jumps_.back()};
        kept.push_back(row);
        refuse(QuarantineReason::kJumpBand);
        jumps_ = kept;
        return QuarantineReason::kJumpBand;
    }

    void count(QuarantineReason reason) { ++counts_[static_cast<std::size_t>(reason)]; }
    QuarantineReason count_fault(QuarantineReason fault) {
        if (fault != kNone) count(fault);
        return fault;
    }

    Instrument instrument_;
    std::int64_t price_max_;
    std::uint32_t clean_bars_;
    std::optional<std::int64_t> reference_, last_bar_, last_open_, last_trade_;
    std::vector<Row> jumps_;  // the last two refused by the band, if they agree
    std::uint32_t refusals_in_row_ = 0;
    std::uint32_t clean_bars_missing_ = 0;
    std::uint64_t believed_jumps_ = 0;
    std::array<std::uint64_t, kQuarantineReasons> counts_{};
};

}  // namespace gm::test
