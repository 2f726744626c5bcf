// What the engine tells the gate, and what follows when a code trips for good: R10, R11, R14, R15,
// R18 and R20.
//
// What trips raises HALTED, not REDUCING: it may be our idea of prices, fills or positions that is
// wrong, and then to flatten by it is the next mistake. Doubt halts, and two people who look may
// let the engine reduce. Legs of a bracket that are no larger than the position stay.
#include <algorithm>
#include <cmath>

#include "gm/base/checked.hpp"
#include "gm/engine/engine.hpp"

namespace gm {

GateContext Engine::gate_context(const NewOrder& request, const Order* except) const noexcept {
    const std::uint32_t at = request.instrument;
    const Desk& desk = desks_[at];
    GateContext context;
    context.exposure = orders_.exposure(at);
    context.own = orders_.own_orders(at, except);
    context.parent = orders_.parent(at);
    context.headroom = headroom_;
    context.now_ns = stamp_.now_ns;
    context.has_reference = desk.market.reference_ts_ns() != kNoTime;
    context.reference_ticks = desk.market.reference_ticks();
    context.reference_ts_ns = desk.market.reference_ts_ns();
    context.level = kill_level(at);
    if (orders_.has_unknown(at) && context.level < KillLevel::kReducing) {
        context.level = KillLevel::kReducing;
    }
    context.is_ready = state_ == EngineState::kReady;
#ifndef GM_MUTANT_P2R  // ids are used before the disk has their reservation
    context.is_ready = context.is_ready && recovery_.has_id(order_counter_);
#endif
    context.has_recon_break = recovery_.has_break;
    // An order decided on the last bar of a session waits for the next OPEN: the bar counts, not
    // the bell.
    context.is_in_session = (desk.market.last_flags() & kBarOutOfSession) == 0;
    context.is_gapped = is_gapped_ || desk.market.is_book_doubtful();
    const bool is_entry = request.reason == OrderReason::kEntry;
    context.is_policy_invalid =
        desk.health.is_invalid() || (is_entry && desk.team_health.is_invalid());
    return context;
}

// Before a check, and with the end of each step: of what has changed since, mostly one instrument.
void Engine::value_changes() noexcept {
    orders_.take_changes([&](std::uint32_t at) {
        const Market& market = desks_[at].market;
        gate_.value(at, orders_.exposure(at),
                    {market.reference_ticks(), market.reference_ts_ns() != kNoTime});
    });
}

// With each price that was accepted, ahead of what may be decided on it.
void Engine::watch_loss(std::uint32_t at, Outputs& out) noexcept {
    if (!gate_.watches_loss()) return;
    const Desk& desk = desks_[at];
    std::int64_t equity = 0;
    if (equity_micros(desk.position, desk.market.last_good_price_ticks(),
                      settings_.instruments[at].tick_value_micros, equity) != Status::kOk) {
        return halt(at, KillCause::kArithmetic, out);
    }
    meet_trip(at, gate_.on_equity(at, equity), out);
}

void Engine::meet_trip(std::uint32_t at, const Trip& trip, Outputs& out) noexcept {
    if (trip.code == GateCode::kNone) return;
    RiskTrip record{};
    record.value = trip.value;
    record.limit = trip.limit;
    record.instrument = trip.is_of_account ? kWholeAccount : at;
    record.code = static_cast<std::uint8_t>(trip.code);
    out.write(stamp_, RecordType::kRiskTrip, record);
    halt(record.instrument, static_cast<KillCause>(record.code), out, true);
}

// Below HALTED the people who cleared it have looked at what had tripped.
void Engine::clear_trips(std::uint32_t instrument, KillLevel level) noexcept {
    if (level >= KillLevel::kHalted) return;
    if (instrument == kWholeAccount) return gate_.clear_account();
    Desk& desk = desks_[instrument];
    if (gate_.has_policy_trip(instrument)) {  // agents that are out are asked again
        const std::size_t live = models_.live_place();
        std::ranges::fill(desk.policy[live].errors_in_row, std::uint8_t{0});
        if (has_two_levels_) std::ranges::fill(desk.team[live].errors_in_row, std::uint8_t{0});
    }
    gate_.clear_instrument(instrument);
    desk.health.forget();
    desk.team_health.forget();
}

void Engine::judge_output(std::uint32_t at, const DecisionValues& values, unsigned asked,
                          Outputs& out) noexcept {
    const bool is_action = values.action <= Action::kShort && std::isfinite(values.confidence);
    const bool is_too_many = desks_[at].health.on_output(
        values.agents, asked, models_.live().ensemble.agent_count(), is_action);
    if (is_too_many) fail_policy(at, out);
}

void Engine::judge_team_output(std::uint32_t at, const TacticalValues& values, unsigned asked,
                               Outputs& out) noexcept {
    if (desks_[at].team_health.on_output(values.agents, asked, kTacticalAgents, true)) {
        fail_policy(at, out);
    }
}

// A model that came while the engine ran gives way to the one before it: that is not the end.
void Engine::fail_policy(std::uint32_t at, Outputs& out) noexcept {
    if (models_.has_before()) return;
    meet_trip(at, gate_.on_policy_failures(at, kPolicyFailuresMax, kPolicyFailuresMax - 1), out);
}

void Engine::on_policy_late(const PolicyLate& late, Outputs& out) noexcept {
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        Desk& desk = desks_[at];
        const bool is_of_it = desk.decided_input >= late.first_input && desk.decided_input != 0;
        if (is_of_it && desk.health.on_late()) fail_policy(at, out);
        const bool is_of_team = desk.timed_input >= late.first_input && desk.timed_input != 0;
        if (is_of_team && desk.team_health.on_late()) fail_policy(at, out);
    }
}

}  // namespace gm
