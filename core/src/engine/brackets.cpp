// Stop and target of an open position. After everything that may have changed one of the three, the
// legs are made what they should be: sent, resized, moved or taken back.
//
// Both count in full against the limits, for both may trade: the venue does not know that they
// belong together. What both traded too much is given back at market.
#include <cmath>
#include <utility>

#include "gm/base/checked.hpp"
#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::size_t kStopLeg = 0;
constexpr std::size_t kTargetLeg = 1;
constexpr double kDistanceTicksMax = 1e15;

// `atr` times `ticks`, rounded up. False: not a distance.
bool distance_of(double atr, double ticks, std::int64_t& out) noexcept {
    const double wide = std::ceil(atr * ticks);
    if (!(wide >= 1.0 && wide <= kDistanceTicksMax)) return false;
    out = static_cast<std::int64_t>(wide);
    return true;
}

// So far above a price, or below it, on the grid of orders and never nearer. False on overflow.
bool price_at(std::int64_t from_ticks, std::int64_t away_ticks, std::int64_t grid,
              std::int64_t& out) noexcept {
    std::int64_t price = 0;
    if (add_overflows(from_ticks, away_ticks, price)) return false;
    out = floor_div(price, grid) * grid;
    return out == price || away_ticks < 0 || !add_overflows(out, grid, out);
}

}  // namespace

// No order of the instrument is open but legs.
bool Engine::only_bracket_open(std::uint32_t at) noexcept {
    bool is_only = has_bracket(at);
    orders_.for_each_open([&](Order& order) {
        is_only = is_only && (order.request.instrument != at || order.is_bracket_leg());
    });
    return is_only;
}

// An order against the position is under way that is not a leg.
bool Engine::is_leaving(std::uint32_t at) noexcept {
    const Side against = desks_[at].position.lots > 0 ? Side::kSell : Side::kBuy;
    bool leaves = false;
    orders_.for_each_open([&](Order& order) {
        leaves = leaves || (order.request.instrument == at && !order.is_bracket_leg() &&
                            order.request.side == against);
    });
    return leaves;
}

// Of a position that was opened or turned at this price.
void Engine::price_bracket(std::uint32_t at, std::int64_t paid_ticks) noexcept {
    if (!has_bracket(at)) return;
    Desk& desk = desks_[at];
    const Sizing& sizing = settings_.sizing[at];
    const std::int64_t grid = settings_.instruments[at].order_tick_ticks;
    const std::int64_t sign = desk.position.lots > 0 ? 1 : -1;
    const double atr_ticks = desk.features.atr_ticks();
    Bracket& bracket = desk.bracket;
    std::int64_t away = 0;
    bracket.has_stop = distance_of(sizing.stop_atr, atr_ticks, away) &&
                       price_at(paid_ticks, -sign * away, grid, bracket.stop_ticks);
    bracket.has_target = distance_of(sizing.target_atr, atr_ticks, away) &&
                         price_at(paid_ticks, sign * away, grid, bracket.target_ticks);
    for (Bracket::Leg& leg : bracket.legs) leg = {leg.id, false, 0};
}

// Behind the last price, with the range of now. It never loosens.
void Engine::trail_stop(std::uint32_t at) noexcept {
    Desk& desk = desks_[at];
    Bracket& bracket = desk.bracket;
    if (settings_.sizing[at].stop_trails == 0 || !bracket.has_stop) return;
    const std::int64_t sign = desk.position.lots > 0 ? 1 : -1;
    std::int64_t away = 0;
    std::int64_t behind = 0;
    if (!distance_of(settings_.sizing[at].stop_atr, desk.features.atr_ticks(), away)) return;
    if (!price_at(desk.market.last_good_price_ticks(), -sign * away,
                  settings_.instruments[at].order_tick_ticks, behind)) {
        return;
    }
    const bool is_tighter = sign > 0 ? behind > bracket.stop_ticks : behind < bracket.stop_ticks;
    if (is_tighter) bracket.stop_ticks = behind;
}

// With a close: what the gate refused is asked again.
void Engine::renew_bracket(std::uint32_t at, bool is_strategic, Outputs& out) noexcept {
    if (!has_bracket(at)) return;
    for (Bracket::Leg& leg : desks_[at].bracket.legs) leg = {leg.id, false, 0};
    if (is_strategic && desks_[at].position.lots != 0) trail_stop(at);
    tend_bracket(at, out);
}

// Of so many positions that one step has room for it (kStepRecordsMax): two legs, two records each.
// The others have theirs looked at with their next close.
void Engine::tend_brackets(Outputs& out) noexcept {
    std::size_t left = kOpenOrdersMax / 2;
    for (std::uint32_t at = 0; at < desks_.size() && left > 0; ++at) {
        const bool is_idle = desks_[at].position.lots == 0 && orders_.open_orders(at) == 0;
        if (!has_bracket(at) || (is_idle && !desks_[at].has_wish)) continue;
        --left;
        follow_wish(at, out);
        tend_bracket(at, out);
    }
}

void Engine::tend_bracket(std::uint32_t at, Outputs& out) noexcept {
    if (!has_bracket(at) || state_ != EngineState::kReady) return;
    const Desk& desk = desks_[at];
    if (kill_level(at) >= KillLevel::kHalted) return cancel_oversized_legs(at, out);
    const bool gives_way = desk.has_wish || desk.is_closing || is_leaving(at);
    const std::int64_t lots = gives_way ? 0 : desk.position.lots;
    tend_leg(at, kStopLeg, desk.bracket.has_stop ? lots : 0, out);
    tend_leg(at, kTargetLeg, desk.bracket.has_target ? lots : 0, out);
}

// HALTED lets nothing through but cancels: a leg that could open or turn a position goes.
void Engine::cancel_oversized_legs(std::uint32_t at, Outputs& out) noexcept {
    const std::int64_t lots = desks_[at].position.lots;
    orders_.for_each_open([&](Order& order) {
        const bool is_leg = order.request.instrument == at && order.is_bracket_leg();
        const std::int64_t held = order.request.side == Side::kSell ? lots : -lots;
        if (is_leg && !order.is_awaited() && order.leaves_lots() > held) cancel(order, out);
    });
}

// The send or the venue would refuse it again.
void Engine::note_refused_leg(const Order& order) noexcept {
    for (Bracket::Leg& leg : desks_[order.request.instrument].bracket.legs) {
        if (leg.id == order.request.id) leg.is_refused = true;
    }
}

// `lots`: the position that it shall end, with its sign.
void Engine::tend_leg(std::uint32_t at, std::size_t leg, std::int64_t lots, Outputs& out) noexcept {
    Bracket& bracket = desks_[at].bracket;
    Order* order = orders_.find(bracket.legs[leg].id);
    if (order == nullptr || is_terminal(order->state)) {
        if (lots != 0 && !bracket.legs[leg].is_refused) send_leg(at, leg, lots, out);
        return;
    }
    const bool rests = order->state == OrderState::kLive || order->state == OrderState::kPartial;
    if (!rests || order->is_awaited()) return;  // its answer or its fill comes first
    const Side side = lots > 0 ? Side::kSell : Side::kBuy;
    if (lots == 0 || order->request.side != side) return cancel(*order, out);
    const std::int64_t price = leg == kStopLeg ? bracket.stop_ticks : bracket.target_ticks;
    const std::int64_t size = lots > 0 ? lots : -lots;
    if (order->leaves_lots() == size && order->request.price_ticks == price) return;
    // What was refused is asked again with the next close; fewer lots at once, but not without end.
    const bool is_refused = bracket.legs[leg].is_refused;
    if (is_refused) {
        const bool is_tired = bracket.legs[leg].sends == Bracket::kSendsMax;
        if (order->leaves_lots() <= size || is_tired) return;
        ++bracket.legs[leg].sends;
    }
    replace(*order, order->filled_lots + size, is_refused ? order->request.price_ticks : price,
            bracket.legs[leg], out);
}

void Engine::send_leg(std::uint32_t at, std::size_t leg, std::int64_t lots, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    if (desk.bracket.legs[leg].sends == Bracket::kSendsMax) return;
    ++desk.bracket.legs[leg].sends;
    const bool is_stop = leg == kStopLeg;
    NewOrder order{};
    order.decision_bar_start_ts_ns = desk.last_bar_start_ts_ns;
    order.price_ticks = is_stop ? desk.bracket.stop_ticks : desk.bracket.target_ticks;
    order.quantity_lots = lots > 0 ? lots : -lots;
    order.instrument = at;
    order.side = lots > 0 ? Side::kSell : Side::kBuy;
    order.type = is_stop ? OrderType::kStop : OrderType::kLimit;
    order.reason = is_stop ? OrderReason::kStop : OrderReason::kTarget;
    desk.bracket.legs[leg].is_refused = !send_order(order, out);
    desk.bracket.legs[leg].id = order.id;
}

void Engine::replace(Order& order, std::int64_t lots, std::int64_t price_ticks, Bracket::Leg& leg,
                     Outputs& out) noexcept {
    ReplaceOrder message{};
    message.id = order.request.id;
    message.replace_id = take_id(out);
    message.price_ticks = price_ticks;
    message.quantity_lots = lots;
    message.valid_until_ns = stamp_.now_ns + settings_.header.order_valid_for_ns;
    message.instrument = static_cast<std::uint16_t>(order.request.instrument);
    // The send holds it to what the gate does: without what it has reserved itself.
    Exposure without = orders_.exposure(order.request.instrument);
    (void)reserve(without, order.request.side, -order.leaves_lots());
    const bool only_less =
        lots <= order.request.quantity_lots && price_ticks == order.request.price_ticks;
    message.is_reducing =
        only_less || is_reducing(without, order.request.side, lots - order.filled_lots) ? 1 : 0;
    message.connection = connection_;
    value_changes();
    Verdict verdict;
    std::optional<ReplaceToken> token = gate_.check_replace(
        message, order.request, order.filled_lots, gate_context(order.request, &order), verdict);
    const OrderState previous = order.state;
    const bool has_id = recovery_.has_id(message.replace_id.counter);
    if (!token || !has_id || orders_.send_replace(order, message) != Status::kOk) {
        NewOrder refused = order.request;
        refused.id = message.replace_id;
        refused.price_ticks = price_ticks;
        refused.quantity_lots = lots;
        if (verdict.code == GateCode::kNone) {
            verdict.code = has_id ? GateCode::kMalformed : GateCode::kNotReady;
        }
        write_refused(refused, verdict, out);
        leg.is_refused = true;
        return;
    }
    write_order_update(order, previous, out);
    await(order);
    out.send(stamp_, std::move(*token));
}

// What a leg ended is not wanted back. A position that it opened or turned, because the other one
// had traded too, is none that anybody decided on; during a recovery that waits for READY.
void Engine::after_leg_fill(std::uint32_t at, std::int64_t before_lots, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    const bool is_turned =
        desk.position.lots != 0 && (magnitude(desk.position.lots) >= magnitude(before_lots) ||
                                    (before_lots > 0) != (desk.position.lots > 0));
    if (desk.has_wish) return;  // another order is under way, and counts from the position
    desk.target_lots = is_turned ? 0 : desk.position.lots;
    if (!is_turned) return;
    desk.has_wish = true;
    desk.wish = {OrderReason::kGiveBack, OrderType::kMarket, desk.last_bar_start_ts_ns};
    desk.wish_lots = 0;
    orders_.begin_parent(at, 0);
    follow_wish(at, out);
}

}  // namespace gm
