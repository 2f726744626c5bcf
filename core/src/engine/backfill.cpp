// Bars from before the live feed: what they move, and what they never move.
//
// A backfilled bar enters buckets and features like one of the feed, so that an engine which joins
// late has the features of one that was there from the start. Book, last good price, position,
// target, held bars and decisions belong to the live feed alone.
#include <algorithm>

#include "gm/engine/engine.hpp"

namespace gm {
namespace {

// A hole of so much open market before the first live bar would fill every row of the matrix with
// synthetic bars: such a backfill is of another time.
constexpr std::int64_t kHoleNsMax = std::int64_t{kStrategicRows} * 30 * kMinuteNs;

}  // namespace

std::int64_t Engine::bars_needed(std::uint32_t at) const noexcept {
    const Desk& desk = desks_[at];
    const std::int64_t for_features = kernels_.has_rule() ? 0 : desk.features.bars_needed();
    const std::int64_t for_team = has_two_levels_ ? (desk.tactical.bars_needed() + 5) / 6 : 0;
    return std::max({for_features, for_team, kernels_.bars_needed(at)});
}

bool Engine::needs_backfill() const noexcept {
    bool is_of_use = is_backfilling_;
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        if (desks_[at].is_live) return false;
        is_of_use = is_of_use || bars_needed(at) > 0;
    }
    return is_of_use;
}

void Engine::on_backfill(const BarClose& bar, std::int64_t before_ts_ns, Outputs& out) noexcept {
    if (bar.instrument >= desks_.size()) return;
    Desk& desk = desks_[bar.instrument];
    const QuarantineReason reason =
        desk.is_live ? QuarantineReason::kBackwardTime : desk.market.on_backfill(bar, before_ts_ns);
    if (is_refused(bar.instrument, reason, bar.start_ts_ns, out)) return;
    ++desk.backfilled_bars;
    desk.backfilled_until_ts_ns = bar.start_ts_ns + std::int64_t{bar.duration_s} * 1'000'000'000;
    take_closed_bars(bar.instrument, out);
    desk.must_decide = desk.must_time = false;  // it is over
}

void Engine::on_backfill_end(Outputs& out) noexcept {
    is_backfilling_ = false;
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        Desk& desk = desks_[at];
        desk.was_ready = not_ready_reason(at) == NotReadyReason::kNone;
        prepare_from_start(desk, true, has_two_levels_);
        write_state(at, state_, static_cast<std::uint8_t>(not_ready_reason(at)), out);
    }
    become_ready_if_known(out);
}

void Engine::begin_live_at(std::uint32_t at, std::int64_t ts_ns) noexcept {
    Desk& desk = desks_[at];
    desk.is_live = true;
    const std::int64_t until_ns = desk.backfilled_until_ts_ns;
    if (until_ns == kNoTime || !desk.market.is_open_longer_than(kHoleNsMax, until_ns, ts_ns)) {
        return;
    }
    desk.market.forget_bars_before(ts_ns);
    desk.features.open(columns_read_);
    desk.tactical.open();
    desk.synergies.open(desk.synergies.rules());
    kernels_.forget_bars(at);
    for (TacticalState& state : desk.team) state.prepared_agents = 0;  // rows count anew
    for (StandingDirection& one : desk.standing) one = {};
    prepare_again(at);
    prepare_from_start(desk, true, has_two_levels_);
}

}  // namespace gm
