#include "gm/risk/gate.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "gate_findings.hpp"
#include "gm/base/touch.hpp"

namespace gm {

namespace {

Failure bad_limit(const Instrument& instrument, const char* key, std::int64_t value) {
    return fail(Status::kBadLimits, std::string("limits.") + instrument.symbol + "." + key +
                                        " must be positive: " + std::to_string(value));
}

}  // namespace

Failure Gate::open(std::span<const Instrument> instruments, std::span<const Limits> limits,
                   const AccountLimits& account, const GateSettings& settings) {
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
    account_ = account;
    if (Failure failure = open_account(instruments, limits, settings); !failure.is_ok()) {
        return failure;
    }
    account_bucket_.open(account.orders_per_second_max, account.orders_burst_max);
    cancel_bucket_.open(account.cancels_per_second_max, account.cancels_burst_max);
    return ok();
}

// What is 0 is no limit. A sum has one currency, and a margin for each instrument that counts.
Failure Gate::open_account(std::span<const Instrument> instruments, std::span<const Limits> limits,
                           const GateSettings& settings) {
    settings_ = settings;
    watches_loss_ = account_.loss_micros_max != 0 || account_.drawdown_micros_max != 0;
    bool adds_up =
        watches_loss_ || account_.gross_micros_max != 0 || account_.credit_micros_max != 0;
    const std::pair<const char*, std::int64_t> sums[] = {
        {"gross_micros_max", account_.gross_micros_max},
        {"credit_micros_max", account_.credit_micros_max},
        {"loss_micros_max", account_.loss_micros_max},
        {"drawdown_micros_max", account_.drawdown_micros_max}};
    for (const auto& [key, value] : sums) {
        if (value >= 0) continue;
        return fail(Status::kBadLimits, std::string("account.") + key +
                                            " must not be negative: " + std::to_string(value));
    }
    for (std::size_t i = 0; i < instruments.size(); ++i) {
        const Limits& row = limits[i];
        const std::string symbol = instruments[i].symbol;
        watches_loss_ = watches_loss_ || row.loss_micros_max != 0;
        if (row.loss_micros_max < 0 || row.margin_micros_per_lot < 0) {
            return fail(Status::kBadLimits,
                        "limits." + symbol +
                            ".loss_micros_max and margin_micros_per_lot must not "
                            "be negative: " +
                            std::to_string(row.loss_micros_max) + ", " +
                            std::to_string(row.margin_micros_per_lot));
        }
        if (account_.credit_micros_max != 0 && row.margin_micros_per_lot == 0) {
            return bad_limit(instruments[i], "margin_micros_per_lot", 0);
        }
        // The execution itself takes one of the places.
        const auto most = static_cast<std::int64_t>(kPastMax) - 1;
        if (row.repeat_executions_max < 0 || row.repeat_executions_max > most ||
            (row.repeat_executions_max > 0 && row.repeat_window_ns <= 0)) {
            return fail(Status::kBadLimits,
                        "limits." + symbol + ".repeat_executions_max must be 0 to " +
                            std::to_string(most) + " with a positive repeat_window_ns: " +
                            std::to_string(row.repeat_executions_max) + ", " +
                            std::to_string(row.repeat_window_ns));
        }
        if (adds_up && std::strncmp(instruments[0].currency, instruments[i].currency,
                                    sizeof instruments[i].currency) != 0) {
            return fail(Status::kBadLimits,
                        std::string("a limit of the account wants one currency: ") +
                            instruments[0].symbol + " has " + instruments[0].currency + ", " +
                            symbol + " has " + instruments[i].currency);
        }
    }
    const std::uint32_t confirmations = settings.loss_confirmations;
    if (watches_loss_ && (confirmations < kConfirmationsMin || confirmations > kConfirmationsMax)) {
        return fail(Status::kBadLimits,
                    "loss_confirmations must lie in [2, 16]: " + std::to_string(confirmations));
    }
    values_.open(instruments.size());
    losses_.open(instruments.size(), watches_loss_ ? confirmations : kConfirmationsMin);
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
    check_account(order, context, desk, findings);
#ifdef GM_MUTANT_P14R  // a refused order counts for nothing
    if (verdict.code == GateCode::kNone)
#endif
        check_rate(order, context, desk, findings);
    check_duplicate(order, context, desk, findings);
    check_latches(desk, findings);
    check_self_match(order, context, findings);
    check_parent(order, context, findings);
    check_surroundings(order, context, desk, findings);
#ifdef GM_MUTANT_P4  // a code that is left out
    if (verdict.code == GateCode::kPosition) return true;
#endif
#ifdef GM_MUTANT_CODE  // or any other, by its number
    if (verdict.code == GateCode{GM_MUTANT_CODE}) return true;
#endif
    return verdict.code == GateCode::kNone;
}

bool Gate::may_cancel(std::int64_t now_ns) noexcept {
    return cancel_bucket_.take(now_ns);
}

}  // namespace gm
