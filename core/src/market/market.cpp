// The market of one instrument: see the header for what is promised.
#include "gm/market/market.hpp"

#include <algorithm>
#include <string>

#include "gm/base/checked.hpp"

namespace gm {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

Failure check_instrument(const Instrument& instrument) {
    const auto refuse = [&](const char* key, std::int64_t value) {
        const std::string symbol(instrument.symbol,
                                 std::find(instrument.symbol, instrument.symbol + 16, '\0'));
        return fail(Status::kBadInstrument,
                    symbol + ": " + key + " must be positive: " + std::to_string(value));
    };
    if (instrument.tick_size_e9 <= 0) return refuse("tick_size_e9", instrument.tick_size_e9);
    if (instrument.tick_value_micros <= 0) {
        return refuse("tick_value_micros", instrument.tick_value_micros);
    }
    if (instrument.band_ppm <= 0) return refuse("band_ppm", instrument.band_ppm);
    if (instrument.band_ticks_min <= 0) return refuse("band_ticks_min", instrument.band_ticks_min);
    return ok();
}

}  // namespace

Failure Market::open(const Instrument& instrument, std::span<const SessionInterval> sessions,
                     std::span<const OffsetChange> offsets, std::uint32_t clean_bars) {
    *this = Market{};
    if (Failure failure = check_instrument(instrument); !failure.is_ok()) return failure;
    if (Failure failure = calendar_.open(sessions, offsets); !failure.is_ok()) return failure;
    if (Failure failure = builder_.open(); !failure.is_ok()) return failure;
    check_.open(instrument, clean_bars);
    book_.open();
    return ok();
}

// Not the session that was seen last: another, or none.
bool Market::find_session(std::int64_t ts_ns) noexcept {
    if (const SessionInterval* const session = calendar_.session_at(ts_ns)) {
        session_open_ns_ = session->open_ts_ns;
        session_close_ns_ = calendar_.close_of(*session);
        return true;
    }
    if (ts_ns >= session_close_ns_) builder_.end_session();
    return false;
}

void Market::enter(const BarPart& part) noexcept {
    const bool is_inside = reach(part.start_ts_ns);
    last_flags_ |= part.flags & kBarNoVolume;
    if (is_inside && !builder_.add(part)) ++unplaced_events_;
}

QuarantineReason Market::on_open(const BarOpen& bar, std::int64_t engine_ts_ns) noexcept {
    const QuarantineReason fault = check_.judge_open(bar, engine_ts_ns);
    if (fault != QuarantineReason::kNone) return fault;
    note(bar.open_ticks, bar.start_ts_ns, engine_ts_ns);
    (void)reach(bar.start_ts_ns);
    return fault;
}

QuarantineReason Market::on_close(const BarClose& bar, std::int64_t engine_ts_ns) noexcept {
#ifdef GM_MUTANT_P7  // whatever it is, it is a bar
    const auto fault = QuarantineReason::kNone;
#else
    const QuarantineReason fault = check_.judge_close(bar, engine_ts_ns);
    if (fault != QuarantineReason::kNone) return fault;
#endif
    const std::int64_t end_ts_ns = bar.start_ts_ns + std::int64_t{bar.duration_s} * kSecondNs;
    is_tick_feed_ = false;
    note(bar.close_ticks, end_ts_ns, engine_ts_ns);
    enter({bar.start_ts_ns, end_ts_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks,
           bar.close_ticks, bar.volume_lots, bar.flags});
    return fault;
}

QuarantineReason Market::on_quote(const Quote& quote, std::int64_t ts_ns,
                                  std::int64_t engine_ts_ns) noexcept {
    QuarantineReason fault = check_.judge_book_time(ts_ns, quote_ts_ns_, engine_ts_ns);
    // One that is older than what is known takes nothing away from it.
    if (fault == QuarantineReason::kBackwardTime) return fault;
    if (fault == QuarantineReason::kNone) {
        quote_ts_ns_ = ts_ns;
        fault = check_.judge_top(quote);
    }
    quote_fault_ = fault;
    if (fault == QuarantineReason::kNone) believe(quote, ts_ns, engine_ts_ns);
    return fault;
}

void Market::on_book_reset(const BookReset& reset) noexcept {
    const bool is_snapshot = reset.reason == BookResetReason::kSnapshot;
    book_.reset(is_snapshot ? BookResetReason::kSnapshot : BookResetReason::kGap);
    level_fault_ = QuarantineReason::kNone;  // what stood there is gone
}

std::int64_t Market::reference_ticks() const noexcept {
    if (price_ts_ns_ == kNoTime) return floor_div(top_.bid_ticks + top_.ask_ticks, std::int64_t{2});
    if (top_ts_ns_ < price_ts_ns_) return price_ticks_;
    if (top_.bid_lots > 0 && price_ticks_ < top_.bid_ticks) return top_.bid_ticks;
    if (top_.ask_lots > 0 && price_ticks_ > top_.ask_ticks) return top_.ask_ticks;
    return price_ticks_;
}

// One side alone pulls, but does not say that the price is still there.
std::int64_t Market::reference_ts_ns() const noexcept {
    const bool is_two_sided = top_.bid_lots > 0 && top_.ask_lots > 0;
    return is_two_sided ? std::max(price_ts_ns_, top_ts_ns_) : price_ts_ns_;
}

void Market::on_reader_refusal(QuarantineReason reason) noexcept {
    check_.count_refused_row(reason);
}

void Market::on_time(std::int64_t engine_ts_ns) noexcept {
    if (engine_ts_ns >= next_deadline_ns()) builder_.end_session();
}

bool Market::next_closed(ClosedBar& out) noexcept {
    if (!builder_.next_closed(calendar_, out)) return false;
    const bool is_real = (out.flags & kBarSynthetic) == 0;
    if (is_tick_feed_ && out.minutes == 5 && is_real) check_.count_clean_bar();
    return true;
}

bool Market::in_session(std::int64_t ts_ns) const noexcept {
    return calendar_.session_at(ts_ns) != nullptr;
}

std::int64_t Market::local_offset_ns(std::int64_t ts_ns) const noexcept {
    return calendar_.local_offset_ns(ts_ns);
}

bool Market::is_last_but_one_bar_of_session(std::int64_t start_ts_ns,
                                            std::int64_t duration_ns) const noexcept {
    const SessionInterval* const session = calendar_.session_at(start_ts_ns);
    if (session == nullptr) return false;
    const std::int64_t left_ns = calendar_.close_of(*session) - start_ts_ns - duration_ns;
    return left_ns > 0 && left_ns <= duration_ns;
}

}  // namespace gm
