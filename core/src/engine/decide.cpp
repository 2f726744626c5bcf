// From a closed 30-minute bar to an order: policy, target, size, gate.
#include <utility>

#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::int64_t kDayNs = 86'400'000'000'000;

// Monday 0 to Sunday 6 of exchange-local time. 1970-01-01 was a Thursday.
std::int64_t weekday(std::int64_t local_ts_ns) noexcept {
    std::int64_t days = local_ts_ns / kDayNs;
    if (local_ts_ns % kDayNs < 0) --days;
    const std::int64_t day = (days + 3) % 7;
    return day < 0 ? day + 7 : day;
}

std::int64_t direction(Action action) noexcept {
    return 1 - static_cast<std::int64_t>(action);
}

}  // namespace

// SPEC §5: confidence and direction of the synergy that stands when the bar closes, volatility_30,
// hour_sin, hour_cos of the newest row, weekday/6 of the bar's exchange-local start.
PolicyContext Engine::context_of(const Desk& desk) const noexcept {
    const float* row = desk.features.matrix() + (kStrategicRows - 1) * kStrategicColumns;
    const std::int64_t start = desk.last_bar_start_ts_ns;
    const std::int64_t day = weekday(start + desk.market.local_offset_ns(start));
    const StandingSynergy synergy =
        desk.synergies.standing(start + kernels_.decision_minutes() * kMinuteNs);
    PolicyContext context;
    context.synergy_confidence = synergy.confidence;
    context.synergy_direction = static_cast<float>(synergy.direction);
    context.volatility_30 = row[kVolatility30];
    context.hour_sin = row[kHourSin];
    context.hour_cos = row[kHourCos];
    context.weekday_sixth = static_cast<float>(day) / 6.0F;
    return context;
}

void Engine::decide(std::uint32_t at, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    const bool must_exit = desk.position.lots != 0 && settings_.header.max_hold_bars > 0 &&
                           desk.held_bars >= settings_.header.max_hold_bars;
    bool acts = false;
    bool entries = false;
    std::int64_t wanted = 0;
    if (has_two_levels_) {
        stand(desk, models_.live_place(), 0);
    } else if (!desk.is_closing) {
        desk.has_wish = false;  // of a close that is past by now
    }
    if (strategic_reason(at) == NotReadyReason::kNone) {
        DecisionValues values{};
        if (kernels_.has_rule()) {
            ask_rule(at, values);
        } else {
            ask_model(at, values, out);
        }
        end_stage(Stage::kPolicy);
        write_decision(at, RecordType::kDecision, models_.live_number(), values, out);
        ++totals_.decisions;
        acts = values.acts;
        entries = desk.market.entries_allowed();
        wanted = direction(values.action) * settings_.sizing[at].target_lots;
        if (has_two_levels_ && acts) {
            stand(desk, models_.live_place(), static_cast<std::int32_t>(direction(values.action)));
        }
    }
    if (desk.is_closing) return;  // no entries any more; on_bar_close() makes flat
    const bool opposes =
        acts && desk.position.lots != 0 && (wanted > 0) != (desk.position.lots > 0);
    if (has_two_levels_) return decide_exit(desk, opposes, must_exit, acts);
    auto reason = OrderReason::kDecision;
    if (acts && entries && (opposes || !must_exit)) {
        desk.target_lots = wanted;
    } else if (opposes) {
        desk.target_lots = 0;  // an exit needs no permission to enter
    } else if (must_exit) {
        desk.target_lots = 0;
        reason = OrderReason::kMaxHold;
    }
    orders_.begin_parent(at, desk.target_lots);
    order_toward_target(at, {reason, OrderType::kMarket, desk.last_bar_start_ts_ns}, out);
}

// One order for the whole difference, reversing in one; none while another is unresolved. A bracket
// gives way: the order follows when both its legs have ended.
void Engine::order_toward_target(std::uint32_t at, const OrderCause& cause, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    const std::int64_t difference = desk.target_lots - desk.position.lots;
    if (difference == 0) return;
    if (orders_.open_orders(at) > 0) {
        if (!only_bracket_open(at)) return;
        desk.has_wish = true;
        desk.wish = cause;
        desk.wish_lots = desk.target_lots;
        return tend_bracket(at, out);
    }

    NewOrder order{};
    order.decision_bar_start_ts_ns = cause.bar_start_ts_ns;
    order.quantity_lots = difference > 0 ? difference : -difference;
    order.instrument = at;
    order.side = difference > 0 ? Side::kBuy : Side::kSell;
    order.type = cause.type;
    order.reason = cause.reason;
    if (cause.type == OrderType::kLimit) order.price_ticks = limit_ticks(at, order.side);
    if (!send_order(order, out)) {
        desk.target_lots = desk.position.lots;  // a refused wish is not kept for later
    }
}

// Numbers it, asks the gate, writes it down and hands it over, or writes down why not.
bool Engine::send_order(NewOrder& order, Outputs& out) noexcept {
    order.id = take_id(out);
    order.valid_until_ns = stamp_.now_ns + settings_.header.order_valid_for_ns;
    order.connection = connection_;
    order.is_reducing =
        is_reducing(orders_.exposure(order.instrument), order.side, order.quantity_lots) ? 1 : 0;
    value_changes();
    Verdict verdict;
    std::optional<RiskToken> token = gate_.check(order, gate_context(order, nullptr), verdict);
    Order* placed = token ? orders_.insert(order) : nullptr;
    if (placed == nullptr) {
        if (verdict.code == GateCode::kNone) verdict.code = GateCode::kNotReady;  // table is full
        write_refused(order, verdict, out);
        return false;
    }
    ++totals_.orders;
    out.send(stamp_, std::move(*token));
    if (orders_.apply(*placed, OrderEvent::kSend) != Status::kOk)
        meet_impossible(order.instrument, out);
    await(*placed);
    return true;
}

void Engine::write_refused(const NewOrder& order, const Verdict& verdict, Outputs& out) noexcept {
    ++totals_.refusals[static_cast<std::size_t>(verdict.code)];
    Refusal refusal{};
    refusal.id = order.id;
    refusal.decision_bar_start_ts_ns = order.decision_bar_start_ts_ns;
    refusal.quantity_lots = order.quantity_lots;
    refusal.price_ticks = order.price_ticks;
    refusal.value = verdict.value;
    refusal.limit = verdict.limit;
    refusal.mask = verdict.mask;
    refusal.instrument = static_cast<std::uint16_t>(order.instrument);
    refusal.side = order.side;
    refusal.code = static_cast<std::uint8_t>(verdict.code);
    out.write(stamp_, RecordType::kRefusal, refusal);
}

}  // namespace gm
