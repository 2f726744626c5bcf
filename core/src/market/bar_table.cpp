// Whole tables of bars: see the header for what is promised.
#include "gm/market/bar_table.hpp"

#include <string>

#include "gm/market/bar_builder.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

namespace {

QuarantineReason judge(const BarRow& bar, std::uint32_t duration_s, BarCheck& check) {
    if (duration_s == 0) {
        Trade trade{};
        trade.price_ticks = bar.close_ticks;
        trade.quantity_lots = bar.volume_lots;
        return check.judge_trade(trade, bar.start_ts_ns);
    }
    return check.judge_close({bar.start_ts_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks,
                              bar.close_ticks, bar.volume_lots, duration_s, 0, bar.flags, 0});
}

}  // namespace

Failure check_bars(std::span<BarRow> bars, std::span<QuarantineReason> reasons,
                   const Instrument& instrument, const Calendar& calendar,
                   std::uint32_t duration_s) {
    if (bars.size() != reasons.size()) {
        return fail(Status::kBadArgument, std::to_string(bars.size()) + " bars but " +
                                              std::to_string(reasons.size()) + " reasons");
    }
    BarCheck check;
    check.open(instrument, 0);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        BarRow& bar = bars[i];
        if (reasons[i] != QuarantineReason::kNone) {
            check.count_refused_row(reasons[i]);
            continue;
        }
        reasons[i] = judge(bar, duration_s, check);
        const bool is_good = reasons[i] == QuarantineReason::kNone;
        if (is_good && calendar.session_at(bar.start_ts_ns) == nullptr) {
            bar.flags |= kBarOutOfSession;
        }
    }
    return ok();
}

namespace {

void take_closed(BucketSide& side, const Calendar& calendar, std::vector<BarRow>& out) {
    while (side.next_start_ns(calendar) != BucketSide::kNothingClosed) {
        const ClosedBar bar = side.take();
        out.push_back({bar.start_ts_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks,
                       bar.close_ticks, bar.volume_lots, bar.flags, 0});
    }
}

}  // namespace

Failure aggregate_bars(std::span<const BarRow> bars, const Calendar& calendar, std::int64_t bar_ns,
                       std::uint32_t minutes, std::vector<BarRow>& out) {
    BucketSide side;
    if (Failure failure = side.open(minutes); !failure.is_ok()) return failure;
    if (bar_ns < 0 || bar_ns > side.size_ns()) {
        return fail(Status::kBadArgument, "bars of " + std::to_string(bar_ns) +
                                              " ns do not fit into " + std::to_string(minutes) +
                                              " minutes");
    }
    std::int64_t session_close_ns = INT64_MAX;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        const BarRow& bar = bars[i];
        const bool is_time = bar.start_ts_ns > -kTimeMax && bar.start_ts_ns < kTimeMax;
        const bool is_later = i == 0 || bars[i - 1].start_ts_ns < bar.start_ts_ns ||
                              (bar_ns == 0 && bars[i - 1].start_ts_ns == bar.start_ts_ns);
        if (!is_time || !is_later) {
            return fail(Status::kBadArgument, "start_ts_ns must ascend: row " + std::to_string(i) +
                                                  " is " + std::to_string(bar.start_ts_ns));
        }
        if ((bar.flags & kBarSynthetic) != 0) continue;
        const SessionInterval* const session = calendar.session_at(bar.start_ts_ns);
        if (session == nullptr) {
            if (bar.start_ts_ns >= session_close_ns) side.end_session();
        } else {
            session_close_ns = calendar.close_of(*session);
            side.advance(bar.start_ts_ns);
            (void)side.add({bar.start_ts_ns, bar.start_ts_ns + bar_ns, bar.open_ticks,
                            bar.high_ticks, bar.low_ticks, bar.close_ticks, bar.volume_lots,
                            bar.flags});
        }
        take_closed(side, calendar, out);
    }
    return ok();
}

}  // namespace gm
