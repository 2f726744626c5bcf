// Profile two_level: from a standing direction and a tactical vote to an order; see engine.hpp.
#include "gm/base/checked.hpp"
#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::int64_t kTacticalNs = 5 * kMinuteNs;
constexpr std::int64_t kStrategicNs = 30 * kMinuteNs;
constexpr std::uint8_t kWholeTeam = (1U << kTacticalAgents) - 1;
constexpr int kTacticalBits = 8;  // ModelUpdate::value of a rollback: agents of the team from here

[[nodiscard]] bool is_against(std::int64_t lots, std::int64_t direction) noexcept {
    return lots != 0 && direction != 0 && (lots > 0) != (direction > 0);
}

}  // namespace

// Of a decision on the 30-minute bar that closed last: until the next such bar is due.
void Engine::stand(Desk& desk, std::size_t place, std::int32_t direction) const noexcept {
    desk.standing[place] = {desk.last_bar_start_ts_ns + 2 * kStrategicNs, direction};
}

std::int32_t Engine::standing(const Desk& desk, std::size_t place) const noexcept {
    const StandingDirection& given = desk.standing[place];
    const std::int64_t end_ts_ns = desk.tactical_bar_start_ts_ns + kTacticalNs;
    return end_ts_ns < given.until_ts_ns ? given.direction : 0;
}

void Engine::leave(Desk& desk, OrderReason reason) const noexcept {
    desk.must_leave = true;
    desk.exit = {reason, OrderType::kMarket, desk.last_bar_start_ts_ns};
}

// What a strategic decision does by itself. One for the same side takes back that it shall be left.
void Engine::decide_exit(Desk& desk, bool opposes, bool must_exit, bool acts) const noexcept {
    if (opposes) return leave(desk, OrderReason::kDecision);
    if (must_exit) return leave(desk, OrderReason::kMaxHold);
    if (acts) desk.must_leave = false;
}

void Engine::conclude_two_levels(std::uint32_t at, bool is_strategic, bool is_tactical,
                                 Outputs& out) noexcept {
    Desk& desk = desks_[at];
    if (!desk.is_closing) desk.has_wish = false;  // the exit at the end of a session is kept
    take_back(at, out);
    if (is_strategic) decide(at, out);
    // A fill may come behind the close that took its order back, or gave another direction.
    const std::int64_t stands_lots = standing(desk, models_.live_place());
    if (is_against(desk.position.lots, stands_lots)) leave(desk, OrderReason::kDecision);
    TacticalValues values{};
    bool enters = false;
    if (is_tactical && desk.tactical.is_ready()) {
        ask_team(at, values, out);
        end_stage(Stage::kPolicy);
        write_tactical(at, RecordType::kTacticalDecision, models_.live_place(), values, out);
        ++totals_.tactical_decisions;
        const bool stands = values.direction == standing(desk, models_.live_place());
        enters = values.allows && stands && wants_entry(desk, values);
    }
    if (desk.is_closing) return;  // no entries any more; on_bar_close() makes flat
    if (desk.position.lots == 0) desk.must_leave = false;
    if (enters) {  // what shall be left is, once the turn has traded: see on_fill()
        const bool is_market = values.entry == EntryVote::kAggressive;
        const OrderCause cause{OrderReason::kEntry,
                               is_market ? OrderType::kMarket : OrderType::kLimit,
                               desk.tactical_bar_start_ts_ns};
        pursue(at, values.direction * settings_.sizing[at].target_lots, cause, out);
        if (orders_.open_orders(at) > 0) return;  // sent, or a wish behind another one
    }
    // Also where the gate refuses to turn: to leave is allowed more often.
    if (desk.must_leave) pursue(at, 0, desk.exit, out);
}

// Market and position permitting: a position that shall be left is not added to, and one of the
// other side is turned at market or not at all.
bool Engine::wants_entry(const Desk& desk, const TacticalValues& values) const noexcept {
    if (!desk.market.entries_allowed()) return false;
    const std::int64_t lots = desk.position.lots;
    if (lots == 0) return true;
    const bool is_same_side = (lots > 0) == (values.direction > 0);
    return is_same_side ? !desk.must_leave : values.entry == EntryVote::kAggressive;
}

// One order at a time: behind one that is open the target waits until that has ended.
void Engine::pursue(std::uint32_t at, std::int64_t target_lots, const OrderCause& cause,
                    Outputs& out) noexcept {
    Desk& desk = desks_[at];
    if (orders_.open_orders(at) > 0) {
        const bool is_only_bracket = only_bracket_open(at);
        if (is_only_bracket && target_lots == desk.position.lots) return;
        desk.has_wish = true;
        desk.wish = cause;
        desk.wish_lots = target_lots;
        orders_.begin_parent(at, target_lots);
        if (is_only_bracket) tend_bracket(at, out);  // it gives way
        return;
    }
    desk.target_lots = target_lots;
    orders_.begin_parent(at, target_lots);
    order_toward_target(at, cause, out);
}

// Once: an order that the venue refuses is not sent again before the next close.
void Engine::follow_wish(std::uint32_t at, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    if (!desk.has_wish || orders_.open_orders(at) > 0 || state_ != EngineState::kReady) return;
    desk.has_wish = false;
    const bool turns = is_against(desk.position.lots, desk.wish_lots);
    if (turns && desk.wish.type == OrderType::kLimit) {  // filled meanwhile: left first
        desk.wish_lots = 0;
        desk.wish.type = OrderType::kMarket;
        orders_.begin_parent(at, 0);
    }
    desk.target_lots = desk.wish_lots;
    order_toward_target(at, desk.wish, out);
    if (!is_against(desk.position.lots, desk.wish_lots) || orders_.open_orders(at) > 0) return;
    desk.target_lots = 0;  // the gate refused to turn: to leave is allowed more often
    OrderCause cause = desk.must_leave ? desk.exit : desk.wish;
    cause.type = OrderType::kMarket;
    orders_.begin_parent(at, 0);
    order_toward_target(at, cause, out);
}

// What came too late for take_back(): not yet acknowledged then, or filled in part in between.
void Engine::take_back_late(Order& order, Outputs& out) noexcept {
    const NewOrder& request = order.request;
    const bool is_old =
        request.decision_bar_start_ts_ns < desks_[request.instrument].tactical_bar_start_ts_ns;
    const bool is_entry = request.reason == OrderReason::kEntry;
    if (has_two_levels_ && is_entry && request.type == OrderType::kLimit && is_old) {
        cancel(order, out);
    }
}

// Another model is live: what the one before it still wants is not sent, nor left to trade. That a
// position shall be left stays, whoever said so.
void Engine::drop_entries(Outputs& out) noexcept {
    if (!has_two_levels_) return;
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        Desk& desk = desks_[at];
        if (desk.has_wish && desk.wish.reason == OrderReason::kEntry) desk.has_wish = false;
        take_back(at, out);
    }
}

// An entry that waits for its price waits until the next close and no longer.
void Engine::take_back(std::uint32_t at, Outputs& out) noexcept {
    if (orders_.open_orders(at) == 0) return;
    orders_.for_each_open([&](Order& order) {
        const NewOrder& request = order.request;
        if (request.instrument == at && request.reason == OrderReason::kEntry &&
            request.type == OrderType::kLimit) {
            cancel(order, out);
        }
    });
}

// The reference price, on the grid of orders, rounded away from a trade.
std::int64_t Engine::limit_ticks(std::uint32_t at, Side side) const noexcept {
    const std::int64_t grid = settings_.instruments[at].order_tick_ticks;
    const std::int64_t reference = desks_[at].market.reference_ticks();
    const std::int64_t below = floor_div(reference, grid) * grid;
    return side == Side::kBuy || below == reference ? below : below + grid;
}

// ---- the team

void Engine::ask_team_at(Desk& desk, std::size_t place, TacticalValues& values) const noexcept {
    const StandingSynergy synergy =
        desk.synergies.standing(desk.tactical_bar_start_ts_ns + kTacticalNs);
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    model.team.decide({desk.tactical.matrix(), desk.tactical.bars()},
                      static_cast<std::uint8_t>(synergy.type), desk.team[place], values);
}

// The live model's; where it fails and there is a model before it, that one's in the same step.
void Engine::ask_team(std::uint32_t at, TacticalValues& values, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    desk.timed_input = stamp_.input_sequence;
    const auto ask = [&] {
        const TacticalState& state = desk.team[models_.live_place()];
        const unsigned asked = asked_agents(state.errors_in_row, kTacticalAgents);
        ask_team_at(desk, models_.live_place(), values);
        return asked;
    };
    unsigned asked = ask();
    const std::int64_t spoke = std::int64_t{values.agents} << kTacticalBits;
    if (values.agents != kWholeTeam && roll_back(ModelCause::kNotFinite, spoke, out)) asked = ask();
    judge_team_output(at, values, asked, out);
}

void Engine::ask_shadow_team(std::uint32_t at, Outputs& out) noexcept {
    if (!has_two_levels_ || models_.shadow() == nullptr) return;
    TacticalValues values{};
    ask_team_at(desks_[at], models_.shadow_place(), values);
    write_tactical(at, RecordType::kShadowTacticalDecision, models_.shadow_place(), values, out);
    ++totals_.shadow_decisions;
}

void Engine::write_tactical(std::uint32_t at, RecordType type, std::size_t place,
                            const TacticalValues& values, Outputs& out) noexcept {
    const Desk& desk = desks_[at];
    const bool is_live = place == models_.live_place();
    const std::int32_t stands = standing(desk, place);
    const StandingSynergy synergy =
        desk.synergies.standing(desk.tactical_bar_start_ts_ns + kTacticalNs);
    TacticalDecision decision{};
    decision.bar_start_ts_ns = desk.tactical_bar_start_ts_ns;
    decision.instrument = static_cast<std::uint16_t>(at);
    decision.model = is_live ? models_.live_number() : models_.shadow_number();
    decision.direction = static_cast<std::int8_t>(values.direction);
    decision.standing = static_cast<std::int8_t>(stands);
    decision.fvg = values.votes[kFvgAgent];
    decision.momentum = values.votes[kMomentumAgent];
    decision.entry = values.entry;
    decision.agents = values.agents;
    decision.synergy_type = static_cast<std::uint8_t>(synergy.type);
    decision.enters = values.allows && values.direction == stands ? 1 : 0;
    decision.score = static_cast<float>(values.score);
    for (std::size_t i = 0; i < kTacticalAgents; ++i) {
        for (std::size_t j = 0; j < kActions; ++j) {
            decision.agent_probability[i][j] = static_cast<float>(values.agent_probability[i][j]);
        }
    }
    out.write(stamp_, type, decision);
}

}  // namespace gm
