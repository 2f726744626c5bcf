// Of what could become of it: R09 to R11, and beside our other orders R16 and R17.
#include "gate_findings.hpp"
#include "gm/base/checked.hpp"

namespace gm {

namespace {

// An instrument's worst case with one more order. One that brings the position nearer to flat adds
// nothing that a limit is there for, nor does a leg beside the other one, of which no more than the
// position can trade: a limit that prices or people have moved below what is held is no reason to
// hold it without them.
struct WorstCase {
    std::int64_t lots = INT64_MAX;
    bool adds = true;
};

WorstCase worst_case_with(const NewOrder& order, const Exposure& exposure) noexcept {
    Exposure after = exposure;
    WorstCase found;
    std::int64_t before = 0;
    const bool counted = order.quantity_lots > 0 &&
                         reserve(after, order.side, order.quantity_lots) &&
                         worst_case_lots(after, found.lots);
    if (!counted) return {};
    const bool is_leg = order.reason == OrderReason::kStop || order.reason == OrderReason::kTarget;
    const bool is_beside = is_leg && worst_case_lots(exposure, before) && found.lots <= before;
    found.adds = !is_beside && !is_reducing(exposure, order.side, order.quantity_lots);
    return found;
}

}  // namespace

// R09.
void Gate::check_position(const NewOrder& order, const GateContext& context, const Desk& desk,
                          Findings& findings) noexcept {
    const WorstCase worst = worst_case_with(order, context.exposure);
    findings.fail_if(worst.lots > desk.limits.position_lots_max && worst.adds, GateCode::kPosition,
                     worst.lots, desk.limits.position_lots_max);
}

// R10, R11. What does not fit or has no reference is over the limit.
void Gate::check_account(const NewOrder& order, const GateContext& context, const Desk& desk,
                         Findings& findings) noexcept {
    if (account_.gross_micros_max == 0 && account_.credit_micros_max == 0) return;
    const WorstCase worst = worst_case_with(order, context.exposure);
    if (!worst.adds) return;
    const WorstValue own =
        AccountValue::value_of(desk.instrument, desk.limits, worst.lots,
                               Reference{context.reference_ticks, context.has_reference});
#ifdef GM_MUTANT_P14G  // what the other instruments hold is not counted
    const std::int64_t gross = own.gross_micros;
#else
    const std::int64_t gross = values_.gross_with(order.instrument, own);
#endif
    const std::int64_t margin = values_.margin_with(order.instrument, own);
    findings.fail_if(account_.gross_micros_max != 0 && gross > account_.gross_micros_max,
                     GateCode::kGross, gross, account_.gross_micros_max);
    findings.fail_if(account_.credit_micros_max != 0 && margin > account_.credit_micros_max,
                     GateCode::kCredit, margin, account_.credit_micros_max);
}

void Gate::value(std::size_t instrument, const Exposure& exposure,
                 const Reference& reference) noexcept {
    if (account_.gross_micros_max == 0 && account_.credit_micros_max == 0) return;
    std::int64_t worst = 0;
    if (!worst_case_lots(exposure, worst)) worst = INT64_MAX;
    const Desk& desk = desks_[instrument];
    values_.set(instrument, AccountValue::value_of(desk.instrument, desk.limits, worst, reference));
}

// R16. A limit against the limits of the other side; an order at market against those that stand
// at the reference or better. A stop is not in the book before its price is. An exit that would
// meet an own limit is not let through in spite of it: the engine cancels what rests first, and
// the exit follows when that has ended (Engine::follow_wish).
void Gate::check_self_match(const NewOrder& order, const GateContext& context,
                            Findings& findings) const noexcept {
    if (order.type == OrderType::kStop) return;
    const bool buys = order.side == Side::kBuy;
    const std::int64_t reach =
        order.type == OrderType::kMarket ? context.reference_ticks : order.price_ticks;
    const std::int64_t other = buys ? context.own.ask_ticks : context.own.bid_ticks;
    const bool is_there = other != (buys ? INT64_MAX : INT64_MIN);
    const bool crosses = is_there && (buys ? other <= reach : other >= reach);
    findings.fail_if(crosses, GateCode::kSelfMatch, reach, other);
}

// R17. Orders of one decision may trade what leads from the position to its target, and no more; a
// leg of a bracket no more than the position, beside what is open of the same kind.
void Gate::check_parent(const NewOrder& order, const GateContext& context,
                        Findings& findings) const noexcept {
    const bool buys = order.side == Side::kBuy;
    const bool is_stop = order.reason == OrderReason::kStop;
    const bool is_leg = is_stop || order.reason == OrderReason::kTarget;
    const std::int64_t held = context.exposure.position_lots;
    const bool wants_buy = is_leg ? held < 0 : context.parent.lots > 0;
    const std::uint64_t allowed = magnitude(is_leg ? held : context.parent.lots);
    Int128 children = order.quantity_lots;
    if (is_leg) {
        children += is_stop ? context.own.stop_lots : context.own.target_lots;
    } else {
        children += buys ? context.own.buy_lots : context.own.sell_lots;
        children += context.parent.filled_lots;
    }
    const bool is_over = allowed == 0 || wants_buy != buys || children > Int128{allowed};
    std::int64_t value = 0;
    std::int64_t limit = 0;
    if (narrow_overflows(children, value)) value = INT64_MAX;
    if (narrow_overflows(Int128{allowed}, limit)) limit = INT64_MAX;
    findings.fail_if(is_over, GateCode::kParentExcess, value, limit);
}

}  // namespace gm
