// Of how often, and of what stops everything: R12 to R15, R18 and R20.
#include "gate_findings.hpp"
#include "gm/base/checked.hpp"

namespace gm {

// R12. Both buckets are drawn from, whatever the other says: a refused order still counts.
void Gate::check_rate(const NewOrder&, const GateContext& context, Desk& desk,
                      Findings& findings) noexcept {
    const bool instrument_has = desk.bucket.take(context.now_ns);
    const bool account_has = account_bucket_.take(context.now_ns);
    const TokenBucket& empty = instrument_has ? account_bucket_ : desk.bucket;
    findings.fail_if(!instrument_has || !account_has, GateCode::kRate, empty.tokens(),
                     empty.burst());
}

// R13: the same order more than duplicates_max times in the window, or a client id used again.
void Gate::check_duplicate(const NewOrder& order, const GateContext& context, Desk& desk,
                           Findings& findings) noexcept {
    const Past now{context.now_ns, order.price_ticks, order.quantity_lots,
                   static_cast<std::uint8_t>(order.side), order.strategy};
    const std::uint64_t remembered = desk.past_count < kPastMax ? desk.past_count : kPastMax;
    std::int64_t same = 0;
    for (std::uint64_t i = 0; i < remembered; ++i) {
        const Past& past = desk.past[i];
        const bool recent = now.ts_ns - past.ts_ns < desk.limits.duplicate_window_ns;
        same += recent && past.price_ticks == now.price_ticks &&
                past.quantity_lots == now.quantity_lots && past.side == now.side &&
                past.strategy == now.strategy;
    }
    desk.past[desk.past_count++ % kPastMax] = now;
    findings.fail_if(same >= desk.limits.duplicates_max, GateCode::kDuplicate, same + 1,
                     desk.limits.duplicates_max);

    const bool newer = order.id.epoch > last_epoch_ ||
                       (order.id.epoch == last_epoch_ && order.id.counter > last_counter_);
    findings.fail_if(!newer, GateCode::kDuplicate, static_cast<std::int64_t>(order.id.counter),
                     static_cast<std::int64_t>(last_counter_));
    if (newer) {
        last_epoch_ = order.id.epoch;
        last_counter_ = order.id.counter;
    }
}

// R14, R15.
void Gate::check_latches(const Desk& desk, Findings& findings) const noexcept {
    findings.fail_if(desk.repeat.is_set, GateCode::kRepeatExecution, desk.repeat.value,
                     desk.repeat.limit);
    const Latch& loss = account_loss_.is_set ? account_loss_ : desk.loss;
    findings.fail_if(loss.is_set, GateCode::kLoss, loss.value, loss.limit);
}

// R18 to R20. A bracket, and an exit that nobody's output asked for, do not follow from the policy.
void Gate::check_surroundings(const NewOrder& order, const GateContext& context, const Desk& desk,
                              Findings& findings) const noexcept {
    const Headroom& room = context.headroom;
    findings.fail_if(room.under != 0, GateCode::kBackpressure, room.free_ppm, room.floor_ppm);
    findings.fail_if(context.has_recon_break, GateCode::kReconBreak, 1, 0);
    const bool follows =
        order.reason == OrderReason::kDecision || order.reason == OrderReason::kEntry;
    const bool is_invalid = context.is_policy_invalid && follows;
    findings.fail_if(is_invalid || desk.policy.is_set, GateCode::kPolicyInvalid,
                     desk.policy.is_set ? desk.policy.value : 1, desk.policy.limit);
}

// By when they traded, in whatever order that is told: what an outage held back is not a burst.
Trip Gate::on_execution(std::size_t instrument, std::uint8_t strategy,
                        std::int64_t traded_ns) noexcept {
    Desk& desk = desks_[instrument];
    const std::int64_t most = desk.limits.repeat_executions_max;
    if (most == 0) return {};
    desk.executions[desk.execution_count++ % kPastMax] = {traded_ns, strategy};
    const std::uint64_t remembered =
        desk.execution_count < kPastMax ? desk.execution_count : kPastMax;
    std::int64_t same = 0;
    for (std::uint64_t i = 0; i < remembered; ++i) {
        const Execution& past = desk.executions[i];
        std::int64_t apart_ns = 0;
        const bool is_near =
            !sub_overflows(traded_ns, past.ts_ns, apart_ns) &&
            magnitude(apart_ns) < static_cast<std::uint64_t>(desk.limits.repeat_window_ns);
        same += past.strategy == strategy && is_near;
    }
#ifdef GM_MUTANT_R14  // one too many
    if (same == most + 1) return {};
#endif
    if (same <= most || desk.repeat.is_set) return {};
    desk.repeat = {true, same, most};
    return {GateCode::kRepeatExecution, same, most, false};
}

Trip Gate::on_equity(std::size_t instrument, std::int64_t equity_micros) noexcept {
    losses_.sample(instrument, equity_micros);
    const LossBreach account = losses_.account_breach(account_);
    if (account.is_breach && !account_loss_.is_set) {
        account_loss_ = {true, account.value, account.limit};
        return {GateCode::kLoss, account.value, account.limit, true};
    }
    Desk& desk = desks_[instrument];
    const LossBreach own = losses_.instrument_breach(instrument, desk.limits);
    if (!own.is_breach || desk.loss.is_set) return {};
    desk.loss = {true, own.value, own.limit};
    return {GateCode::kLoss, own.value, own.limit, false};
}

Trip Gate::on_policy_failures(std::size_t instrument, std::int64_t count,
                              std::int64_t limit) noexcept {
    Desk& desk = desks_[instrument];
    if (desk.policy.is_set) return {};
    desk.policy = {true, count, limit};
    return {GateCode::kPolicyInvalid, count, limit, false};
}

// Only what has tripped: whoever cleared something else has not looked at it.
void Gate::clear_instrument(std::size_t instrument) noexcept {
    Desk& desk = desks_[instrument];
    if (desk.repeat.is_set) desk.execution_count = 0;
    if (desk.loss.is_set) losses_.forgive_instrument(instrument);
    desk.repeat = desk.loss = desk.policy = Latch{};
}

void Gate::clear_account() noexcept {
    if (account_loss_.is_set) losses_.forgive_account();
    account_loss_ = Latch{};
}

}  // namespace gm
