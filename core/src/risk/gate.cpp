#include "gm/risk/gate.hpp"

#include <string>
#include <utility>

#include "gm/base/checked.hpp"
#include "gm/base/touch.hpp"

namespace gm {

// Collects failures in the order in which they are found; the first one decides.
class Gate::Findings {
 public:
    explicit Findings(Verdict& verdict) noexcept : verdict_(verdict) {}

    void fail(GateCode code, std::int64_t value, std::int64_t limit) noexcept {
        verdict_.mask |= 1U << (static_cast<unsigned>(code) - 1U);
        if (verdict_.code != GateCode::kNone) return;
        verdict_.code = code;
        verdict_.value = value;
        verdict_.limit = limit;
    }
    void fail_if(bool failed, GateCode code, std::int64_t value, std::int64_t limit) noexcept {
        if (failed) fail(code, value, limit);
    }

 private:
    Verdict& verdict_;
};

namespace {

constexpr std::int64_t kMillion = 1'000'000;

Failure bad_limit(const Instrument& instrument, const char* key, std::int64_t value) {
    return fail(Status::kBadLimits, std::string("limits.") + instrument.symbol + "." + key +
                                        " must be positive: " + std::to_string(value));
}

// Half the width of the collar around a reference, in ticks. INT64_MAX when it cannot be counted.
std::int64_t collar_ticks(const Limits& limits, std::int64_t reference_ticks) noexcept {
    const Int128 scaled = Int128{magnitude(reference_ticks)} * limits.collar_ppm / kMillion;
    std::int64_t share = 0;
    if (narrow_overflows(scaled, share)) return INT64_MAX;
    return share > limits.collar_ticks_min ? share : limits.collar_ticks_min;
}

// |price| x quantity x value of a tick, saturated: what does not fit is over every limit.
std::int64_t notional_micros(const Instrument& instrument, std::int64_t price_ticks,
                             std::int64_t quantity_lots) noexcept {
    const Int128 ticks = Int128{magnitude(price_ticks)} * magnitude(quantity_lots);
    Int128 wide = 0;
    std::int64_t micros = 0;
    const bool fits = !mul_overflows(ticks, Int128{instrument.tick_value_micros}, wide) &&
                      !narrow_overflows(wide, micros);
    return fits ? micros : INT64_MAX;
}

bool is_known(const NewOrder& order) noexcept {
    return (order.side == Side::kBuy || order.side == Side::kSell) &&
           order.type <= OrderType::kStop && order.time_in_force <= TimeInForce::kFillOrKill &&
           order.id.counter != 0;
}

}  // namespace

Failure Gate::open(std::span<const Instrument> instruments, std::span<const Limits> limits,
                   const AccountLimits& account) {
    if (instruments.size() != limits.size()) {
        return fail(Status::kBadLimits, "limits are missing: " + std::to_string(limits.size()) +
                                            " for " + std::to_string(instruments.size()) +
                                            " instruments");
    }
    desks_.assign(instruments.size(), Desk{});
    for (std::size_t i = 0; i < instruments.size(); ++i) {
        const Limits& l = limits[i];
        const std::pair<const char*, std::int64_t> positive[] = {
            {"order_quantity_lots_max", l.order_quantity_lots_max},
            {"order_notional_micros_max", l.order_notional_micros_max},
            {"collar_ppm", l.collar_ppm},
            {"reference_age_ns_max", l.reference_age_ns_max},
            {"position_lots_max", l.position_lots_max},
            {"orders_per_second_max", l.orders_per_second_max},
            {"orders_burst_max", l.orders_burst_max},
            {"duplicates_max", l.duplicates_max},
            {"duplicate_window_ns", l.duplicate_window_ns}};
        for (const auto& [key, value] : positive) {
            if (value <= 0) return bad_limit(instruments[i], key, value);
        }
        if (l.duplicates_max > static_cast<std::int64_t>(kPastMax)) {
            return fail(Status::kBadLimits, std::string("limits.") + instruments[i].symbol +
                                                ".duplicates_max must be at most " +
                                                std::to_string(kPastMax) + ": " +
                                                std::to_string(l.duplicates_max));
        }
        desks_[i].instrument = instruments[i];
        desks_[i].limits = l;
        desks_[i].bucket.open(l.orders_per_second_max, l.orders_burst_max);
    }
    if (account.orders_per_second_max <= 0 || account.orders_burst_max <= 0 ||
        account.cancels_per_second_max <= 0 || account.cancels_burst_max <= 0) {
        return fail(Status::kBadLimits, "account rates must be positive");
    }
    account_bucket_.open(account.orders_per_second_max, account.orders_burst_max);
    cancel_bucket_.open(account.cancels_per_second_max, account.cancels_burst_max);
    return ok();
}

void Gate::touch(std::size_t instrument) const noexcept {
    gm::touch(this, sizeof *this);
    gm::touch(&desks_[instrument], sizeof desks_[instrument]);
}

std::optional<RiskToken> Gate::check(const NewOrder& order, const GateContext& context,
                                     Verdict& verdict) noexcept {
    if (!passes(order, context, verdict)) return std::nullopt;
    return RiskToken(order);
}

std::optional<ReplaceToken> Gate::check_replace(const ReplaceOrder& replace, const NewOrder& order,
                                                std::int64_t filled_lots,
                                                const GateContext& context,
                                                Verdict& verdict) noexcept {
    verdict = {};
    const bool only_less = replace.quantity_lots <= order.quantity_lots &&
                           replace.quantity_lots > filled_lots &&
                           replace.price_ticks == order.price_ticks;
    if (only_less) {
        if (may_cancel(context.now_ns)) return ReplaceToken(replace);
        Findings(verdict).fail(GateCode::kRate, cancel_bucket_.tokens(), cancel_bucket_.burst());
        return std::nullopt;
    }
    NewOrder as_new = order;
    as_new.id = replace.replace_id;
    as_new.price_ticks = replace.price_ticks;
    as_new.quantity_lots = replace.quantity_lots - filled_lots;
    GateContext without = context;
    (void)reserve(without.exposure, order.side, filled_lots - order.quantity_lots);
    if (!passes(as_new, without, verdict)) return std::nullopt;
    return ReplaceToken(replace);
}

bool Gate::passes(const NewOrder& order, const GateContext& context, Verdict& verdict) noexcept {
    verdict = {};
    Findings findings(verdict);
    if (order.instrument >= desks_.size()) {
        findings.fail(GateCode::kNotPermitted, order.instrument,
                      static_cast<std::int64_t>(desks_.size()));
        return false;
    }
    Desk& desk = desks_[order.instrument];
    check_permission(order, context, desk, findings);
    check_value(order, context, desk, findings);
    check_position(order, context, desk, findings);
    check_rate(order, context, desk, findings);
    check_duplicate(order, context, desk, findings);
    findings.fail_if(context.has_recon_break, GateCode::kReconBreak, 1, 0);
#ifdef GM_MUTANT_P4  // a code that is left out
    if (verdict.code == GateCode::kPosition) return true;
#endif
    return verdict.code == GateCode::kNone;
}

bool Gate::may_cancel(std::int64_t now_ns) noexcept {
    return cancel_bucket_.take(now_ns);
}

// R01 to R04.
void Gate::check_permission(const NewOrder& order, const GateContext& context, const Desk& desk,
                            Findings& findings) noexcept {
    const bool reducing = is_reducing(context.exposure, order.side, order.quantity_lots);
    const bool killed =
        context.level >= KillLevel::kHalted || (context.level == KillLevel::kReducing && !reducing);
    findings.fail_if(killed, GateCode::kKilled, static_cast<std::int64_t>(context.level), 0);
    findings.fail_if(!context.is_ready, GateCode::kNotReady, 0, 1);

    const auto side_bit = 1U << (static_cast<unsigned>(order.side) & 31U);
    const auto type_bit = 1U << (static_cast<unsigned>(order.type) & 31U);
    const bool permitted = (desk.limits.sides_allowed & side_bit) != 0 &&
                           (desk.limits.types_allowed & type_bit) != 0 && context.is_in_session;
    findings.fail_if(!permitted, GateCode::kNotPermitted, static_cast<std::int64_t>(order.type),
                     desk.limits.types_allowed);

    const std::int64_t grid = desk.instrument.order_tick_ticks;
    const bool priced = order.type != OrderType::kMarket;
    const bool malformed = order.quantity_lots <= 0 || !is_known(order) ||
                           (priced && order.price_ticks % grid != 0) ||
                           (!priced && order.price_ticks != 0);
    findings.fail_if(malformed, GateCode::kMalformed, order.quantity_lots, 1);
}

// R05 to R08.
void Gate::check_value(const NewOrder& order, const GateContext& context, const Desk& desk,
                       Findings& findings) noexcept {
    const Limits& limits = desk.limits;
    findings.fail_if(order.quantity_lots > limits.order_quantity_lots_max, GateCode::kMaxQuantity,
                     order.quantity_lots, limits.order_quantity_lots_max);

    const std::int64_t width = collar_ticks(limits, context.reference_ticks);
    std::int64_t worst = order.price_ticks;
    if (order.type == OrderType::kMarket &&
        narrow_overflows(Int128{magnitude(context.reference_ticks)} + width, worst)) {
        worst = INT64_MAX;
    }
    const std::int64_t notional = notional_micros(desk.instrument, worst, order.quantity_lots);
    findings.fail_if(notional > limits.order_notional_micros_max, GateCode::kMaxNotional, notional,
                     limits.order_notional_micros_max);

    if (order.type != OrderType::kMarket) {
        std::int64_t away = 0;
        const bool outside = sub_overflows(order.price_ticks, context.reference_ticks, away) ||
                             magnitude(away) > static_cast<std::uint64_t>(width);
        findings.fail_if(outside, GateCode::kCollar, away, width);
    }

    std::int64_t age_ns = INT64_MAX;
    if (!context.has_reference || sub_overflows(context.now_ns, context.reference_ts_ns, age_ns)) {
        age_ns = INT64_MAX;
    }
    findings.fail_if(age_ns > limits.reference_age_ns_max || context.is_gapped,
                     GateCode::kStaleReference, age_ns, limits.reference_age_ns_max);
}

// R09.
void Gate::check_position(const NewOrder& order, const GateContext& context, const Desk& desk,
                          Findings& findings) noexcept {
    Exposure after = context.exposure;
    std::int64_t worst = INT64_MAX;
    const bool counted =
        reserve(after, order.side, order.quantity_lots) && worst_case_lots(after, worst);
    if (!counted) worst = INT64_MAX;
    const bool reducing = counted && is_reducing(context.exposure, order.side, order.quantity_lots);
    findings.fail_if(worst > desk.limits.position_lots_max && !reducing, GateCode::kPosition, worst,
                     desk.limits.position_lots_max);
}

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

}  // namespace gm
