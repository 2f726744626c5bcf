// Promise: a reward is the change of equity in units of risk, less what the drawdown grew by, plus
// what standing with a synergy is worth.
#include "gm/session/reward.hpp"

#include <doctest/doctest.h>

using namespace gm;

TEST_CASE("profits add up and only a drawdown that grows costs more") {
    RewardMeter meter;
    meter.begin(10.0, 4);
    const RewardSettings settings{.drawdown_weight = 0.5, .synergy_factor = 0.0, .ruin = 2.0};
    CHECK(meter.earn(20.0, 4, {}, settings) == 2.0);
    CHECK(meter.earn(10.0, 4, {}, settings) == -1.0 - 0.5);
    CHECK(meter.earn(15.0, 4, {}, settings) == 0.5);        // still below the peak: no credit
    CHECK(meter.earn(5.0, 4, {}, settings) == -1.0 - 0.5);  // deeper than a step ago by 10
    CHECK(meter.earn(25.0, 4, {}, settings) == 2.0);
    CHECK(meter.sum() == 2.0 - 1.5 + 0.5 - 1.5 + 2.0);
    CHECK_FALSE(meter.is_ruined(settings));
    (void)meter.earn(-19.0, 4, {}, settings);
    CHECK_FALSE(meter.is_ruined(settings));
    (void)meter.earn(-20.0, 4, {}, settings);
    CHECK(meter.is_ruined(settings));
    CHECK_FALSE(meter.is_ruined({}));  // 0: never
}

TEST_CASE("a position earns with a synergy and pays against it") {
    const RewardSettings settings{.drawdown_weight = 0.0, .synergy_factor = 0.2, .ruin = 0.0};
    PolicyContext context;
    context.synergy_confidence = 0.5F;
    context.synergy_direction = -1.0F;
    RewardMeter meter;
    meter.begin(10.0, 4);
    CHECK(meter.earn(0.0, -4, context, settings) == 0.2 * 0.5);
    CHECK(meter.earn(0.0, 2, context, settings) == -0.2 * 0.5 * 0.5);
    CHECK(meter.earn(0.0, 0, context, settings) == 0.0);
    CHECK(meter.earn(0.0, -4, {}, settings) == 0.0);
}
