// The levels of the kill switch: who may raise and lower them, and what KILLED does to open orders.
//
// A level that comes as an input is known outside already. One that the engine raises itself goes
// out through the order ring, before any order that is made after it, and is latched like the rest.
#include <algorithm>

#include "gm/engine/engine.hpp"

namespace gm {

KillLevel Engine::kill_level(std::uint32_t at) const noexcept {
    return std::max(level_, desks_[at].level);
}

// A number or a level that nobody knows is doubt, and counts for all.
void Engine::on_kill(const Kill& kill, Outputs& out) noexcept {
    const bool is_known = kill.instrument < desks_.size();
    const bool is_fall = kill.cause == KillCause::kCleared;
    if (is_fall && !is_known && kill.instrument != kWholeAccount) return;
    KillLevel& level = is_known ? desks_[kill.instrument].level : level_;
    const KillLevel previous = level;
    const KillLevel asked = std::min(kill.level, KillLevel::kKilled);
    level = is_fall ? std::min(level, asked) : std::max(level, asked);
    out.write(stamp_, RecordType::kKillState,
              kill_state(is_known ? kill.instrument : kWholeAccount, previous, kill));
    if (is_fall) clear_trips(is_known ? kill.instrument : kWholeAccount, level);
    cancel_killed(false, out);
}

// The engine itself, about one instrument or kWholeAccount. Once: what is halted stays so. What has
// tripped goes out all the same: it is written into the latch, and who signed before did not see
// it.
void Engine::halt(std::uint32_t instrument, KillCause cause, Outputs& out, bool is_trip) noexcept {
    KillLevel& level = instrument == kWholeAccount ? level_ : desks_[instrument].level;
    if (level >= KillLevel::kHalted && !is_trip) return;
    const KillLevel previous = level;
    level = std::max(level, KillLevel::kHalted);
    Kill own{};
    own.cause = cause;
    out.send(stamp_, kill_state(instrument, previous, own));
}

KillState Engine::kill_state(std::uint32_t instrument, KillLevel previous,
                             const Kill& kill) noexcept {
    KillState state{};
    state.generation = kill.generation;
    state.instrument = instrument;
    state.level = instrument == kWholeAccount ? level_ : desks_[instrument].level;
    state.previous = previous;
    state.cause = kill.cause;
    orders_.for_each_open([&](const Order& order) {
        state.open_orders += kill_level(order.request.instrument) == KillLevel::kKilled ? 1 : 0;
    });
    return state;
}

// Io has not handed the order to anybody: it is nowhere, and will be nowhere.
void Engine::on_order_stopped(const OrderStopped& stopped, Outputs& out) noexcept {
    Order* order = orders_.find(stopped.id);
    if (order == nullptr || is_terminal(order->state)) return;  // its fate was asked for meanwhile
    const std::uint32_t at = order->request.instrument;
    const OrderState previous = order->state;
    const bool is_replace = !(stopped.replace_id == OrderId{});
    if (is_replace && !(stopped.replace_id == order->replace_id)) return;  // likewise
    const OrderEvent event = is_replace ? OrderEvent::kReplaceRefused : OrderEvent::kReportAbsent;
    if (orders_.apply(*order, event) != Status::kOk) return meet_impossible(at, out);
    write_order_update(*order, previous, out);
    note_refused_leg(*order);
    if (is_replace) {
        cancel_if_stopping(out);
        cancel_if_killed(*order, out);
        return tend_bracket(at, out);
    }
    forget_target(*order);
    settle_query(*order);
    become_ready_if_known(out);
    follow_wish(at, out);
    tend_bracket(at, out);
}

// Under KILLED nothing rests. What is on its way is cancelled once the venue has it, and what the
// venue does not answer about is asked for, until there is nothing left.
void Engine::cancel_killed(bool is_repeated, Outputs& out) noexcept {
    bool is_waiting = false;
#ifdef GM_MUTANT_P13C  // stops what is new, and leaves what rests
    return;
#endif
    orders_.for_each_open([&](Order& order) {
        if (kill_level(order.request.instrument) < KillLevel::kKilled) return;
        is_waiting = true;
        const bool is_resting =
            order.state == OrderState::kLive || order.state == OrderState::kPartial;
        if (!is_resting && is_repeated) query(order, out);
        if (is_repeated || !order.is_awaited()) cancel(order, out);
    });
    kill_check_ns_ =
        is_waiting ? stamp_.now_ns + settings_.header.order_timeout_ns : std::int64_t{INT64_MAX};
}

void Engine::cancel_if_killed(Order& order, Outputs& out) noexcept {
    if (is_terminal(order.state) || order.is_awaited()) return;
    if (kill_level(order.request.instrument) < KillLevel::kKilled) return;
    cancel(order, out);
    if (kill_check_ns_ == INT64_MAX) {
        kill_check_ns_ = stamp_.now_ns + settings_.header.order_timeout_ns;
    }
}

}  // namespace gm
