// From closed bars to both matrices and to synergies.
#include "gm/engine/engine.hpp"

namespace gm {

// Bars that the last event closed, in time order, the 30-minute one first on a common boundary.
// One of the profile's size calls for a decision, which sees all of them.
void Engine::take_closed_bars(std::uint32_t at, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    ClosedBar bar{};
    while (desk.market.next_closed(bar)) {  // bounded: see Market::next_closed
        kernels_.on_bar(at, bar);
        if (bar.minutes == kernels_.decision_minutes()) {
            desk.last_bar_start_ts_ns = bar.start_ts_ns;
            desk.must_decide = true;
        }
        if (has_two_levels_ && bar.minutes == 5) {
            desk.tactical_bar_start_ts_ns = bar.start_ts_ns;
            desk.must_time = true;
        }
        end_stage(Stage::kMarket);
        if (bar.minutes == 5) {
            take_tactical_bar(at, bar, out);
        } else {
            take_strategic_bar(at, bar, out);
        }
        end_stage(Stage::kFeatures);
    }
}

void Engine::take_strategic_bar(std::uint32_t at, const ClosedBar& bar, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    desk.features.update(bar, desk.market.local_offset_ns(bar.start_ts_ns));
    desk.must_prepare = false;
    desk.held_bars += desk.position.lots != 0;
    ++desk.closed_bars_30m;
    take_signal(at, bar, mlmi_signal(bar, desk.features, desk.synergies.rules()), out);
    take_signal(at, bar, nwrqk_signal(bar, desk.features, desk.synergies.rules()), out);
}

void Engine::take_tactical_bar(std::uint32_t at, const ClosedBar& bar, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    desk.tactical.update(bar);
    desk.must_prepare_team = false;
    ++desk.closed_bars_5m;
    take_signal(at, bar, fvg_signal(bar, desk.tactical), out);
}

void Engine::take_signal(std::uint32_t at, const ClosedBar& bar, const Signal& signal,
                         Outputs& out) noexcept {
    Desk& desk = desks_[at];
    Synergy synergy{};
    const std::uint64_t expired_before = desk.synergies.expired();
    const bool is_complete = desk.synergies.add(signal, synergy);
    totals_.expired_signals += desk.synergies.expired() - expired_before;
    if (!is_complete || !desk.is_live) return;  // of before the live feed: it stands, untold
    add_market_context(bar, desk.features, synergy);
    synergy.instrument = at;
    out.write(stamp_, RecordType::kSynergy, synergy);
    ++totals_.synergies;
}

}  // namespace gm
