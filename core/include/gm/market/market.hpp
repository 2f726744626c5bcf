// The market of one instrument: what the feed says, checked, in sessions, as closed bars.
//
// The engine hands in each record of the feed and then takes closed bars until there are none. A
// refused record changes nothing but counters. Hot: no call allocates, locks or calls the system.
// One thread. Engine time is optional: without it, engine time is the time of the event.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "gm/base/archive.hpp"
#include "gm/base/checked.hpp"
#include "gm/base/status.hpp"
#include "gm/market/bar_builder.hpp"
#include "gm/market/book.hpp"
#include "gm/market/calendar.hpp"
#include "gm/market/event_clock.hpp"
#include "gm/market/instrument.hpp"
#include "gm/market/quarantine.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

class Market {
 public:
    // Rows of the last bar may come this long after the bell: only then does the clock close it.
    static constexpr std::int64_t kSessionEndGraceNs = 2'000'000'000;

    // Cold. Copies the tables. clean_bars: how many must pass after too many refusals in a row.
    // kBadInstrument, kBadCalendar.
    Failure open(const Instrument& instrument, std::span<const SessionInterval> sessions,
                 std::span<const OffsetChange> offsets, std::uint32_t clean_bars);

    // A bar begins: price reference and time, never part of a bar. Closes late buckets.
    [[nodiscard]] QuarantineReason on_open(const BarOpen& bar,
                                           std::int64_t engine_ts_ns = kNoClock) noexcept;
    [[nodiscard]] QuarantineReason on_close(const BarClose& bar,
                                            std::int64_t engine_ts_ns = kNoClock) noexcept;
    // ts_ns: when the exchange says that it happened.
    [[nodiscard, gnu::always_inline]] QuarantineReason on_trade(
        const Trade& trade, std::int64_t ts_ns, std::int64_t engine_ts_ns = kNoClock) noexcept {
        const QuarantineReason fault = check_.judge_trade(trade, ts_ns, engine_ts_ns);
        if (fault != QuarantineReason::kNone) return fault;
        is_tick_feed_ = true;
        note(trade.price_ticks, ts_ns, engine_ts_ns);
        if (reach(ts_ns) && !builder_.add_trade(ts_ns, trade.price_ticks, trade.quantity_lots)) {
            ++unplaced_events_;
        }
        return fault;
    }
    // The best prices, as the exchange says them. A book event closes no bar: quotes and trades of
    // one exchange come in no common order, and a bar that a quote closed would lose trades.
    [[nodiscard]] QuarantineReason on_quote(const Quote& quote, std::int64_t ts_ns,
                                            std::int64_t engine_ts_ns = kNoClock) noexcept;
    // One change of the book, which is looked at when its event is complete. A level that is
    // refused leaves a hole: gapped.
    [[nodiscard, gnu::always_inline]] QuarantineReason on_book_level(
        const BookLevel& level, std::int64_t ts_ns, std::int64_t engine_ts_ns = kNoClock) noexcept {
        // Levels are in the order of the exchange, whatever their stamps say.
        QuarantineReason fault = check_.judge_book_time(ts_ns, kNoTime, engine_ts_ns);
        if (fault == QuarantineReason::kNone) fault = check_.judge_level(level);
        if (fault != QuarantineReason::kNone) {
            book_.reset(BookResetReason::kGap);
            return fault;
        }
        if (!book_.apply(level) || book_.state() != BookState::kWhole) return fault;
        const Quote top = book_.top();
        level_fault_ = check_.judge_top(top);
        if (level_fault_ == QuarantineReason::kNone) believe(top, ts_ns, engine_ts_ns);
        return level_fault_;
    }
    void on_book_reset(const BookReset& reset) noexcept;
    // A bar from before the live feed. It enters its buckets like any other, and is neither price,
    // nor time, nor flag of the last event. Refused as of the future unless it ended by
    // before_ts_ns.
    [[nodiscard]] QuarantineReason on_backfill(const BarClose& bar,
                                               std::int64_t before_ts_ns) noexcept;
    // Bars before ts_ns were never seen, and the hole behind them is none.
    void forget_bars_before(std::int64_t ts_ns) noexcept { builder_.forget_before(ts_ns); }
    // The reader refused a row before it became a record.
    void on_reader_refusal(QuarantineReason reason) noexcept;
    // The clock alone moved: the bars of a session that is over close.
    void on_time(std::int64_t engine_ts_ns) noexcept;

    // The next closed bar: by time, the 30-minute bar first on a common boundary. Call until false
    // after each of the above. Bound: BucketSide::kFilledNsMax of missing buckets for one event.
    [[nodiscard]] bool next_closed(ClosedBar& out) noexcept;
    // False: next_closed() would be.
    [[nodiscard]] bool may_have_closed() const noexcept { return builder_.may_have_closed(); }

    // Engine time at which on_time() would close something; INT64_MAX: never. It lies after the
    // bell, so that a CLOSE stamped with the bell itself comes first.
    [[nodiscard]] std::int64_t next_deadline_ns() const noexcept {
        std::int64_t deadline = 0;
        const bool is_none =
            !builder_.has_open_bucket() ||
            add_overflows(session_close_ns_ + kSessionEndGraceNs, lag_ns_, deadline);
        return is_none ? INT64_MAX : deadline;
    }

    // Price of the last good event, OPEN included, and when it was so in engine time (EventClock);
    // kNoTime before it.
    [[nodiscard]] std::int64_t last_good_price_ticks() const noexcept { return price_ticks_; }
    [[nodiscard]] std::int64_t last_good_ts_ns() const noexcept { return price_ts_ns_; }
    // What a collar is laid around: the last good price, pulled into the spread if a good book is
    // newer; before the first price, the middle of the spread. And the engine time since which it
    // is known; kNoTime: there is none.
    [[nodiscard]] std::int64_t reference_ticks() const noexcept;
    [[nodiscard]] std::int64_t reference_ts_ns() const noexcept;
    // Gapped, coming in, crossed, locked or contradicting the last good price: nothing may trade on
    // it (R08). A feed that has no book is not doubtful.
    [[nodiscard]] bool is_book_doubtful() const noexcept {
        return quote_fault_ != QuarantineReason::kNone || level_fault_ != QuarantineReason::kNone ||
               book_.state() == BookState::kGapped || book_.state() == BookState::kFilling;
    }
    // Why the newest best prices, of quotes or of levels, are not believed.
    [[nodiscard]] QuarantineReason quote_fault() const noexcept { return quote_fault_; }
    [[nodiscard]] QuarantineReason level_fault() const noexcept { return level_fault_; }
    [[nodiscard]] const Book& book() const noexcept { return book_; }
    // Best prices of the newest good book or quote; no lots where there is none.
    [[nodiscard]] const Quote& top() const noexcept { return top_; }
    // Flags of the last good event: out of session, no volume.
    [[nodiscard]] std::uint32_t last_flags() const noexcept { return last_flags_; }

    [[nodiscard]] bool in_session(std::int64_t ts_ns) const noexcept;
    [[nodiscard]] bool is_open_longer_than(std::int64_t bound_ns, std::int64_t from_ts_ns,
                                           std::int64_t to_ts_ns) const noexcept {
        return calendar_.is_open_longer_than(bound_ns, from_ts_ns, to_ts_ns);
    }
    [[nodiscard]] std::int64_t local_offset_ns(std::int64_t ts_ns) const noexcept;
    // True for the bar after whose end exactly one more bar of its size begins in the session.
    [[nodiscard]] bool is_last_but_one_bar_of_session(std::int64_t start_ts_ns,
                                                      std::int64_t duration_ns) const noexcept;

    // Too many synthetic bars in a row (SPEC §1, Gaps).
    [[nodiscard]] bool is_stale() const noexcept { return builder_.is_stale(); }
    // Five refusals in a row, and not yet enough clean bars since.
    [[nodiscard]] bool is_quarantined() const noexcept { return !check_.is_clean(); }
    // Not stale, not quarantined, and the last good event lay inside a session. An order that is
    // decided on the last bar of a session waits for the next OPEN, so the bell itself is no bar.
    [[nodiscard]] bool entries_allowed() const noexcept {
        return is_in_session_ && !is_stale() && !is_quarantined();
    }
    // Judged events by QuarantineReason; kNone counts rows that were let in.
    [[nodiscard]] const std::array<std::uint64_t, kQuarantineReasons>& counts() const noexcept {
        return check_.counts();
    }
    // Good events that entered no bucket: it had closed, or the bar is longer than a bucket.
    [[nodiscard]] std::uint64_t unplaced_events() const noexcept { return unplaced_events_; }

    // Of the feed's clock nothing is known any more.
    void restart_event_clock() noexcept { event_clock_.restart(); }

    // Not archived: calendar_ (settings; where it looked last changes no answer).
    void archive(Archive& archive) noexcept {
        archive(check_, builder_, book_, event_clock_, top_, top_ts_ns_, quote_ts_ns_, quote_fault_,
                level_fault_, price_ticks_, price_ts_ns_, lag_ns_, session_open_ns_,
                session_close_ns_, unplaced_events_, last_flags_, is_in_session_, is_tick_feed_);
    }

 private:
    void note(std::int64_t price_ticks, std::int64_t ts_ns, std::int64_t engine_ts_ns) noexcept {
        price_ticks_ = price_ticks;
        price_ts_ns_ = happened(ts_ns, engine_ts_ns);
        const std::int64_t arrived_ns = engine_ts_ns == kNoClock ? ts_ns : engine_ts_ns;
        if (sub_overflows(arrived_ns, ts_ns, lag_ns_)) lag_ns_ = 0;
    }
    // Time reached ts_ns. True inside a session; outside, the bars of the session before it close.
    [[nodiscard]] bool reach(std::int64_t ts_ns) noexcept {
        is_in_session_ =
            (ts_ns >= session_open_ns_ && ts_ns < session_close_ns_) || find_session(ts_ns);
        last_flags_ = is_in_session_ ? 0 : kBarOutOfSession;
        if (is_in_session_) builder_.advance(ts_ns);
        return is_in_session_;
    }
    [[nodiscard]] bool find_session(std::int64_t ts_ns) noexcept;
    void enter(const BarPart& part) noexcept;
    void believe(const Quote& top, std::int64_t ts_ns, std::int64_t engine_ts_ns) noexcept {
        // One by one: a copy of the whole would wait for the stores that have just made it.
        top_.bid_ticks = top.bid_ticks;
        top_.ask_ticks = top.ask_ticks;
        top_.bid_lots = top.bid_lots;
        top_.ask_lots = top.ask_lots;
        top_ts_ns_ = happened(ts_ns, engine_ts_ns);
    }
    [[nodiscard]] std::int64_t happened(std::int64_t ts_ns, std::int64_t engine_ts_ns) noexcept {
        return engine_ts_ns == kNoClock ? ts_ns : event_clock_.happened(ts_ns, engine_ts_ns);
    }

    Calendar calendar_;
    BarCheck check_;
    BarBuilder builder_;
    Book book_;
    EventClock event_clock_;
    Quote top_{};
    std::int64_t top_ts_ns_ = kNoTime;    // when it was so, in engine time
    std::int64_t quote_ts_ns_ = kNoTime;  // exchange time of the last quote that was not too old
    QuarantineReason quote_fault_ = QuarantineReason::kNone;
    QuarantineReason level_fault_ = QuarantineReason::kNone;
    std::int64_t price_ticks_ = 0;
    std::int64_t price_ts_ns_ = kNoTime;
    std::int64_t lag_ns_ = 0;           // engine time less exchange time, of the last good event
    std::int64_t session_open_ns_ = 0;  // of the session last seen; close: until the next pause
    std::int64_t session_close_ns_ = 0;
    std::uint64_t unplaced_events_ = 0;
    std::uint32_t last_flags_ = 0;
    bool is_in_session_ = false;
    bool is_tick_feed_ = false;  // the last good row was a trade: clean bars are counted in buckets
};

}  // namespace gm
