// Bars from before the live feed: see market.hpp for what is promised.
#include "gm/base/checked.hpp"
#include "gm/market/market.hpp"

namespace gm {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

}  // namespace

QuarantineReason Market::on_backfill(const BarClose& bar, std::int64_t before_ts_ns) noexcept {
    std::int64_t end_ts_ns = 0;
    if (add_overflows(bar.start_ts_ns, bar.duration_s * kSecondNs, end_ts_ns) ||
        end_ts_ns > before_ts_ns) {
        check_.count_refused_row(QuarantineReason::kFuture);
        return QuarantineReason::kFuture;
    }
    // Engine time is that of the live feed, which has not begun. The reference of the jump band
    // does move: what comes live is held against it.
    const QuarantineReason fault = check_.judge_close(bar);
    if (fault != QuarantineReason::kNone) return fault;
    const std::uint32_t flags = last_flags_;
    const bool is_in_session = is_in_session_;
    enter({bar.start_ts_ns, end_ts_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks,
           bar.close_ticks, bar.volume_lots, bar.flags});
    last_flags_ = flags;
    is_in_session_ = is_in_session;
    return fault;
}

}  // namespace gm
