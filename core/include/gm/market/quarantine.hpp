// What may not reach an indicator, a policy or a collar reference, and why (SPEC §1, Quarantine).
//
// One list of reasons and one place for the rules. BarCheck judges rows one after another, in
// ticks: the engine on each record, the venue and gm.read_bars on each row of a file.
// check_file_stamps holds what needs the rows after a row, and so can be known of a file only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "gm/base/archive.hpp"
#include "gm/market/instrument.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

// Numbers are never reused: they are in journals (Quarantine::reason, BarQuarantined::reason).
enum class QuarantineReason : std::uint32_t {
    kNone = 0,
    kNotFinite = 1,   // a word or nothing where a number belongs
    kBelowFloor = 2,  // or at it
    kOffGrid = 3,
    kNegativeVolume = 4,
    kContradiction = 5,  // H < max(O, C), L > min(O, C) or H < L
    kOverflow = 6,
    kDuplicateTime = 7,
    kBackwardTime = 8,
    kFuture = 9,
    kJumpBand = 10,
    kCrossedBook = 11,
    kLockedBook = 12,
    kUnknownSymbol = 13,
    kLineTooLong = 14,
    kMalformed = 15,
    kNonexistentTime = 16,  // local time that daylight saving leaves out
    kSuspicious = 17,       // its own source doubts it
};
inline constexpr std::size_t kQuarantineReasons = 18;

// The name that people, metrics and gm.read_bars see, e.g. "off_grid". Unknown: "unknown".
[[nodiscard]] const char* name_of(QuarantineReason reason) noexcept;

// Engine time is not told: nothing can be in the future.
inline constexpr std::int64_t kNoClock = INT64_MIN;
// Nothing was seen yet. Stamps must lie within ±kTimeMax, the years 1823 to 2116.
inline constexpr std::int64_t kNoTime = INT64_MIN;
inline constexpr std::int64_t kTimeMax = 4'611'686'018'427'387'904;  // 2^62

class BarCheck {
 public:
    static constexpr std::uint32_t kRefusalsInRowMax = 5;
    static constexpr std::int64_t kFutureNsMax = 300'000'000'000;
    static constexpr std::int64_t kDurationNsMax = std::int64_t{7} * 86'400'000'000'000;
    // A double holds it exactly, and a day of such volumes does not overflow.
    static constexpr std::int64_t kUnitsMax = 9'007'199'254'740'992;  // 2^53

    // clean_bars: how many must pass before entries are allowed after too many refusals.
    void open(const Instrument& instrument, std::uint32_t clean_bars) noexcept;

    // Each judges one event, takes it into account and counts it. clock_ns: engine time, against
    // which a stamp more than kFutureNsMax ahead is refused.
    //
    // An OPEN is held against the same reference as its CLOSE and does not become one: so a row
    // is judged alike by the venue, which sees rows, and by the engine, which sees both events.
    [[nodiscard]] QuarantineReason judge_open(const BarOpen& bar,
                                              std::int64_t clock_ns = kNoClock) noexcept;
    [[nodiscard]] QuarantineReason judge_close(const BarClose& bar,
                                               std::int64_t clock_ns = kNoClock) noexcept;
    [[nodiscard]] QuarantineReason judge_trade(const Trade& trade, std::int64_t ts_ns,
                                               std::int64_t clock_ns = kNoClock) noexcept {
        const bool is_plain = is_near(trade.price_ticks) && is_quantity(trade.quantity_lots) &&
                              ts_ns >= last_trade_ts_ns_ && last_trade_ts_ns_ != kNoTime &&
                              is_timely(ts_ns, clock_ns);
        if (!is_plain) return judge_any_trade(trade, ts_ns, clock_ns);
        ++counts_[0];
        jump_count_ = 0;
        refusals_in_row_ = 0;
        reference_ticks_ = trade.price_ticks;
        last_trade_ts_ns_ = ts_ns;
        return QuarantineReason::kNone;
    }
    // Best prices: values, crossed or locked, and the jump band, which only a side that the last
    // good row lies outside of can break: an ask far above it is one that nobody pays. Counted by
    // reason, but neither a row nor one of five refusals: a book says itself when it is good again.
    [[nodiscard]] QuarantineReason judge_top(const Quote& top) noexcept {
        const bool is_plain = top.bid_ticks < top.ask_ticks && is_near(top.bid_ticks) &&
                              is_near(top.ask_ticks) && top.bid_lots > 0 && top.ask_lots > 0 &&
                              is_quantity(top.bid_lots) && is_quantity(top.ask_lots);
        return is_plain ? QuarantineReason::kNone
                        : judge_any_top(top.bid_ticks, top.ask_ticks, top.bid_lots, top.ask_lots);
    }
    // One price of the book; counted likewise.
    [[nodiscard]] QuarantineReason judge_level(const BookLevel& level) noexcept {
        const bool is_plain = level.side <= Side::kSell && is_near(level.price_ticks) &&
                              is_quantity(level.quantity_lots);
        return is_plain ? QuarantineReason::kNone : judge_any_level(level);
    }
    // The stamp of either, which must not be older than after_ns (kNoTime: nothing was before).
    [[nodiscard]] QuarantineReason judge_book_time(std::int64_t ts_ns, std::int64_t after_ns,
                                                   std::int64_t clock_ns) noexcept {
        const bool is_plain = ts_ns >= after_ns && ts_ns > -kTimeMax && is_timely(ts_ns, clock_ns);
        return is_plain ? QuarantineReason::kNone : judge_any_book_time(ts_ns, after_ns, clock_ns);
    }
    // A row that never came: the reader refused it.
    void count_refused_row(QuarantineReason reason) noexcept;
    // For feeds of ticks, where a row is not a bar: a bucket closed without a fault.
    void count_clean_bar() noexcept;

    // False from the fifth refused row on, until enough clean bars have passed.
    [[nodiscard]] bool is_clean() const noexcept { return clean_bars_missing_ == 0; }
    [[nodiscard]] bool has_reference() const noexcept { return has_reference_; }
    // Close of the last good bar, or price of the last good trade.
    [[nodiscard]] std::int64_t reference_ticks() const noexcept { return reference_ticks_; }
    [[nodiscard]] const std::array<std::uint64_t, kQuarantineReasons>& counts() const noexcept {
        return counts_;
    }

    // Not archived: price_floor_ticks_, price_ticks_max_, band_ppm_, band_ticks_min_, clean_bars_
    // (settings).
    void archive(Archive& archive) noexcept {
        archive(reference_ticks_, near_low_ticks_, near_high_ticks_, last_bar_ts_ns_,
                last_open_ts_ns_, last_trade_ts_ns_, jumps_);
        archive.index(jump_count_, jumps_.size());
        archive(refusals_in_row_, clean_bars_missing_, has_reference_, counts_);
    }

 private:
    struct Prices {
        std::int64_t ts_ns;
        std::int64_t open, high, low, close;  // ticks
        bool is_trade;

        void archive(Archive& archive) noexcept {
            archive(ts_ns, open, high, low, close, is_trade);
        }
    };

    struct BookSide {
        std::int64_t price_ticks;
        std::int64_t lots;
    };

    // Nearly every event is good, and is found to be so by a few comparisons. What any of them
    // does not hold for is judged by the rules themselves.
    [[nodiscard]] bool is_near(std::int64_t price_ticks) const noexcept {
        return price_ticks >= near_low_ticks_ && price_ticks <= near_high_ticks_;
    }
    [[nodiscard]] static bool is_quantity(std::int64_t lots) noexcept {
        return lots >= 0 && lots <= kUnitsMax;
    }
    // Not of the future, and a time at all; the caller knows that it is not too old.
    [[nodiscard]] static bool is_timely(std::int64_t ts_ns, std::int64_t clock_ns) noexcept {
        if (clock_ns == kNoClock) return ts_ns < kTimeMax;
        return ts_ns < kTimeMax && clock_ns > -kTimeMax && clock_ns < kTimeMax &&
               ts_ns <= clock_ns + kFutureNsMax;
    }
    void move_near() noexcept;
    [[nodiscard]] QuarantineReason judge_any_trade(const Trade& trade, std::int64_t ts_ns,
                                                   std::int64_t clock_ns) noexcept;
    // One by one: what nearly always stays in registers is not written down to be handed over.
    [[nodiscard]] QuarantineReason judge_any_top(std::int64_t bid_ticks, std::int64_t ask_ticks,
                                                 std::int64_t bid_lots,
                                                 std::int64_t ask_lots) noexcept;
    [[nodiscard]] QuarantineReason judge_any_level(const BookLevel& level) noexcept;
    [[nodiscard]] QuarantineReason judge_any_book_time(std::int64_t ts_ns, std::int64_t after_ns,
                                                       std::int64_t clock_ns) noexcept;
    [[nodiscard]] bool fits(std::int64_t price_ticks) const noexcept;
    [[nodiscard]] bool is_within_band(std::int64_t price_ticks,
                                      std::int64_t of_ticks) const noexcept;
    [[nodiscard]] bool lies_within(const Prices& row, std::int64_t of_ticks) const noexcept;
    [[nodiscard]] bool agree(const Prices& a, const Prices& b) const noexcept;
    [[nodiscard]] QuarantineReason judge_side(BookSide side) const noexcept;
    [[nodiscard]] QuarantineReason judge_spread(BookSide bid, BookSide ask) const noexcept;
    QuarantineReason count_book_fault(QuarantineReason fault) noexcept;
    [[nodiscard]] QuarantineReason judge_values(const Prices& row, std::int64_t volume_lots,
                                                std::int64_t stamp_ns,
                                                std::int64_t clock_ns) const noexcept;
    [[nodiscard]] QuarantineReason find_fault(const BarOpen& bar,
                                              std::int64_t clock_ns) const noexcept;
    [[nodiscard]] QuarantineReason find_fault(const BarClose& bar,
                                              std::int64_t clock_ns) const noexcept;
    [[nodiscard]] QuarantineReason judge_band(const Prices& row) noexcept;
    [[nodiscard]] QuarantineReason settle(const Prices& row, QuarantineReason fault) noexcept;

    std::int64_t price_floor_ticks_ = 0;
    std::int64_t price_ticks_max_ = kUnitsMax;
    std::int64_t band_ppm_ = 0;
    std::int64_t band_ticks_min_ = 0;
    std::uint32_t clean_bars_ = 0;

    std::int64_t reference_ticks_ = 0;
    // Prices that are possible and of which each lies in the band around each: see move_near().
    std::int64_t near_low_ticks_ = 1;
    std::int64_t near_high_ticks_ = 0;        // below the low: none
    std::int64_t last_bar_ts_ns_ = kNoTime;   // start of the last good bar
    std::int64_t last_open_ts_ns_ = kNoTime;  // start of the last good OPEN
    std::int64_t last_trade_ts_ns_ = kNoTime;
    std::array<Prices, 2> jumps_{};  // the last rows beyond the band that agree
    std::uint32_t jump_count_ = 0;
    std::uint32_t refusals_in_row_ = 0;
    std::uint32_t clean_bars_missing_ = 0;
    bool has_reference_ = false;
    std::array<std::uint64_t, kQuarantineReasons> counts_{};
};

// Marks rows of a file whose stamp cannot be believed. ts_ns in file order, kNoTime where a row
// has none; `reasons` of the same length: kFuture is written where nothing was.
//
// Refused: a stamp later than both of the next two; a jump of more than ten days past the last
// believed stamp. A file may truly begin again after such a hole: the row behind a refused jump is
// believed if it does not jump again and the next two rows do not go back.
void check_file_stamps(std::span<const std::int64_t> ts_ns,
                       std::span<QuarantineReason> reasons) noexcept;

}  // namespace gm
