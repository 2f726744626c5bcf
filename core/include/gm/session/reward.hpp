// What a step of training earns: the change of net equity in units of risk, and two terms beside
// it.
//
//   reward = (change of equity) / unit - drawdown_weight * (growth of drawdown) / unit
//            + synergy_factor * confidence * direction * position / target
//
// Equity is realised plus unrealised profit of the episode at the last good price, less commission;
// slippage lies in the prices of the fills. The unit of risk is what one ATR14 at the episode's
// first decision is worth on the target position, fixed for the episode: so the sum of the first
// terms is the episode's profit, and more of one is more of the other. Drawdown is the distance
// from the episode's highest equity. Confidence and direction are those of the synergy that stood
// at the decision, position is what was held after it: standing with a synergy earns, standing
// against it costs; a trainer lowers the factor to 0. Ours; SPEC §5, "Learning".
#pragma once

#include <algorithm>
#include <cstdint>

#include "gm/policy/ensemble.hpp"

namespace gm {

struct RewardSettings {
    double drawdown_weight = 0.1;
    double synergy_factor = 0.0;
    double ruin = 0.0;  // an episode terminates when it has lost so many units of risk; 0: never
};

class RewardMeter {
 public:
    // Equity 0. unit_micros: of one unit of risk, positive.
    void begin(double unit_micros, std::int64_t target_lots) noexcept {
        *this = {};
        unit_micros_ = unit_micros;
        target_lots_ = static_cast<double>(target_lots);
    }

    // The reward of a decision that saw `context`, from what was found at the next one.
    double earn(double equity_micros, std::int64_t position_lots, const PolicyContext& context,
                const RewardSettings& settings) noexcept {
        const double drawdown_before = peak_micros_ - equity_micros_;
        const double change = equity_micros - equity_micros_;
        equity_micros_ = equity_micros;
        peak_micros_ = std::max(peak_micros_, equity_micros);
        const double deeper = std::max(peak_micros_ - equity_micros - drawdown_before, 0.0);
        const double synergy = static_cast<double>(context.synergy_confidence) *
                               static_cast<double>(context.synergy_direction);
        const double reward =
            (change - settings.drawdown_weight * deeper) / unit_micros_ +
            settings.synergy_factor * synergy * static_cast<double>(position_lots) / target_lots_;
        sum_ += reward;
        return reward;
    }

    [[nodiscard]] bool is_ruined(const RewardSettings& settings) const noexcept {
        return settings.ruin > 0.0 && equity_micros_ <= -settings.ruin * unit_micros_;
    }
    [[nodiscard]] double equity_micros() const noexcept { return equity_micros_; }
    [[nodiscard]] double unit_micros() const noexcept { return unit_micros_; }
    [[nodiscard]] double sum() const noexcept { return sum_; }

 private:
    double unit_micros_ = 1.0;
    double target_lots_ = 1.0;
    double equity_micros_ = 0.0;
    double peak_micros_ = 0.0;
    double sum_ = 0.0;
};

}  // namespace gm
