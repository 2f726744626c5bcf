// Of the order alone: may there be one, and is it of a sensible size and price? R01 to R08.
#include "gate_findings.hpp"
#include "gm/base/checked.hpp"

namespace gm {
namespace {

constexpr std::int64_t kMillion = 1'000'000;

// Half the width of the collar around a reference, in ticks. INT64_MAX when it cannot be counted.
std::int64_t collar_ticks(const Limits& limits, std::int64_t reference_ticks) noexcept {
    const Int128 scaled = Int128{magnitude(reference_ticks)} * limits.collar_ppm / kMillion;
    std::int64_t share = 0;
    if (narrow_overflows(scaled, share)) return INT64_MAX;
    return share > limits.collar_ticks_min ? share : limits.collar_ticks_min;
}

bool is_known(const NewOrder& order) noexcept {
    return (order.side == Side::kBuy || order.side == Side::kSell) &&
           order.type <= OrderType::kStop && order.time_in_force <= TimeInForce::kFillOrKill &&
           order.id.counter != 0;
}

}  // namespace

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
    // Past their end limits still permit what brings a position nearer to flat.
    const std::int64_t expires = settings_.limits_expire_ts_ns;
    findings.fail_if(expires != 0 && context.now_ns >= expires && !reducing,
                     GateCode::kNotPermitted, context.now_ns, expires);

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

}  // namespace gm
