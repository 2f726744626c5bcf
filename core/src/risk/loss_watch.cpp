#include "gm/risk/loss_watch.hpp"

#include <algorithm>

namespace gm {
namespace {

LossBreach breach_of(Int128 lost, std::int64_t limit) noexcept {
    if (limit == 0 || lost <= limit) return {};
    std::int64_t value = 0;
    if (narrow_overflows(lost, value)) value = INT64_MAX;
    return {value, limit, true};
}

}  // namespace

void LossWatch::sample(std::size_t instrument, std::int64_t equity_micros) noexcept {
    Row& row = rows_[instrument];
    row.samples[row.next] = equity_micros;
    row.next = row.next + 1 < confirmations_ ? row.next + 1 : 0;
    const auto end = row.samples.begin() + confirmations_;
#ifdef GM_MUTANT_R15  // one price is enough
    const std::int64_t best = equity_micros;
#else
    const std::int64_t best = *std::max_element(row.samples.begin(), end);
#endif
    const std::int64_t worst = *std::min_element(row.samples.begin(), end);
    account_best_ += Int128{best} - row.best;
    account_worst_ += Int128{worst} - row.worst;
    account_peak_ = std::max(account_peak_, account_worst_);
    row.best = best;
    row.worst = worst;
}

LossBreach LossWatch::instrument_breach(std::size_t instrument,
                                        const Limits& limits) const noexcept {
    const Row& row = rows_[instrument];
    return breach_of(Int128{row.base} - row.best, limits.loss_micros_max);
}

LossBreach LossWatch::account_breach(const AccountLimits& limits) const noexcept {
    const LossBreach loss = breach_of(account_base_ - account_best_, limits.loss_micros_max);
    if (loss.is_breach) return loss;
    return breach_of(account_peak_ - account_best_, limits.drawdown_micros_max);
}

}  // namespace gm
