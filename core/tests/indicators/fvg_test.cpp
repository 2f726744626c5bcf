// Promise: gaps are born, aged, mitigated and dropped exactly as SPEC §2 says, rule by rule.
#include "gm/indicators/fvg.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <type_traits>
#include <vector>

namespace {

using gm::Fvg;
using gm::Gap;

static_assert(std::is_trivially_copyable_v<Fvg>);
static_assert(sizeof(Gap) == 32);  // no padding: a snapshot is a function of the bars alone

struct Candle {
    double open, high, low, close;
};

constexpr double kAtr = 10.0;  // asks for a gap of max(2 ticks, 1 tick)

void feed(Fvg& fvg, const Candle& candle, double atr = kAtr) {
    fvg.update(candle.open, candle.high, candle.low, candle.close, atr);
}

// Ten bars around 100 with bodies of 2; the last one's high is 103 and its low 97.
Fvg ten_bars() {
    Fvg fvg;
    for (int i = 0; i < 10; ++i) feed(fvg, {99, 103, 97, 101});
    return fvg;
}

// ... and the bullish gap [103, 109]: a middle body of 8, then a bar that stays above.
Fvg with_bullish_gap() {
    Fvg fvg = ten_bars();
    feed(fvg, {101, 110, 100, 109});
    feed(fvg, {110, 115, 109, 112});
    REQUIRE(fvg.has_live(1));
    return fvg;
}

// The mirror image: the bearish gap [91, 97].
Fvg with_bearish_gap() {
    Fvg fvg = ten_bars();
    feed(fvg, {99, 100, 90, 91});
    feed(fvg, {90, 91, 85, 88});
    REQUIRE(fvg.has_live(-1));
    return fvg;
}

const Candle kAbove{112, 114, 110, 112};  // touches nothing of [103, 109]

// The rules again, as slowly and plainly as they can be written: penetration is looked up anew in
// all bars since.
struct SlowGaps {
    struct Record {
        double lo, hi;
        int direction;
        std::size_t born;
    };
    std::vector<Candle> bars;
    std::vector<Record> live;
    double widest[2] = {};  // mitigated by the last bar: bearish, bullish

    [[nodiscard]] bool has(int direction) const {
        return std::any_of(live.begin(), live.end(),
                           [=](const Record& gap) { return gap.direction == direction; });
    }
    [[nodiscard]] double penetration(const Record& gap) const {
        double low = bars[gap.born + 1].low;
        double high = bars[gap.born + 1].high;
        for (std::size_t k = gap.born + 1; k < bars.size(); ++k) {
            low = std::min(low, bars[k].low);
            high = std::max(high, bars[k].high);
        }
        return (gap.direction > 0 ? gap.hi - low : high - gap.lo) / (gap.hi - gap.lo);
    }
    bool ends(const Record& gap) {
        if (bars.size() - 1 - gap.born > 50) return true;
        const double close = bars.back().close;
        const bool is_back = gap.direction > 0 ? close >= gap.hi : close <= gap.lo;
        if (penetration(gap) >= 0.5 && is_back) {
            double& side = widest[gap.direction > 0];
            side = std::max(side, gap.hi - gap.lo);
            return true;
        }
        return gap.direction > 0 ? close < gap.lo : close > gap.hi;
    }
    void update(const Candle& bar, double atr) {
        bars.push_back(bar);
        widest[0] = widest[1] = 0.0;
        std::erase_if(live, [this](const Record& gap) { return ends(gap); });
        const std::size_t t = bars.size() - 1;
        if (t < 11) return;
        double mean = 0;
        for (std::size_t k = t - 11; k < t - 1; ++k) mean += std::abs(bars[k].close - bars[k].open);
        mean /= 10;
        if (!(std::abs(bars[t - 1].close - bars[t - 1].open) > 1.5 * mean)) return;
        const double width = std::max(2.0, 0.1 * atr);
        const Candle& first = bars[t - 2];
        if (bar.low - first.high >= width) live.push_back({first.high, bar.low, 1, t});
        if (first.low - bar.high >= width) live.push_back({bar.high, first.low, -1, t});
    }
};

}  // namespace

TEST_CASE("a strong middle candle leaves a bullish gap from the high two back to the low") {
    const Fvg fvg = with_bullish_gap();
    CHECK(fvg.live_gaps() == 1);
    CHECK_FALSE(fvg.has_live(-1));
    const Gap* gap = fvg.nearest(112);
    REQUIRE(gap != nullptr);
    CHECK(gap->low_ticks == 103);
    CHECK(gap->high_ticks == 109);
    CHECK(gap->direction == 1);
    CHECK(gap->age == 0);
    CHECK(fvg.signal() == 0);
}

TEST_CASE("a strong middle candle downward leaves the mirror image") {
    const Fvg fvg = with_bearish_gap();
    CHECK(fvg.live_gaps() == 1);
    CHECK_FALSE(fvg.has_live(1));
    const Gap* gap = fvg.nearest(88);
    REQUIRE(gap != nullptr);
    CHECK(gap->low_ticks == 91);
    CHECK(gap->high_ticks == 97);
    CHECK(gap->direction == -1);
}

TEST_CASE("the middle body must be more than 1.5 times the mean of the ten before it") {
    for (const double body : {3.0, 3.5}) {  // the mean is 2
        Fvg fvg = ten_bars();
        feed(fvg, {106, 110, 100, 106 + body});
        feed(fvg, {110, 115, 109, 112});
        CHECK(fvg.has_live(1) == (body > 3.0));
    }
}

TEST_CASE("the ten bodies are those before the middle bar, and no other") {
    Fvg fvg;
    feed(fvg, {0, 203, 0, 200});  // a body of 200, eleven before the middle one: out of sight
    for (int i = 0; i < 10; ++i) feed(fvg, {99, 103, 97, 101});
    feed(fvg, {101, 110, 100, 109});
    feed(fvg, {110, 190, 109, 189});  // its own body does not count either
    CHECK(fvg.has_live(1));
}

TEST_CASE("before twelve bars there is no gap, and it is not warm") {
    Fvg fvg;
    for (int i = 0; i < 9; ++i) feed(fvg, {99, 103, 97, 101});
    feed(fvg, {101, 110, 100, 109});
    feed(fvg, {110, 115, 109, 112});
    CHECK_FALSE(fvg.is_warm());
    CHECK(fvg.live_gaps() == 0);
    feed(fvg, kAbove);
    CHECK(fvg.is_warm());
}

TEST_CASE("the low must be above the high two back, by two ticks at least") {
    for (const double low : {103.0, 104.0, 105.0}) {
        Fvg fvg = ten_bars();
        feed(fvg, {101, 110, 100, 109});
        feed(fvg, {110, 115, low, 112});
        CHECK(fvg.has_live(1) == (low == 105.0));
    }
    for (const double high : {97.0, 96.0, 95.0}) {
        Fvg fvg = ten_bars();
        feed(fvg, {99, 100, 90, 91});
        feed(fvg, {90, high, 85, 88});
        CHECK(fvg.has_live(-1) == (high == 95.0));
    }
}

TEST_CASE("the gap must be a tenth of ATR at least") {
    for (const double atr : {60.0, 61.0}) {
        Fvg fvg = ten_bars();
        feed(fvg, {101, 110, 100, 109}, atr);
        feed(fvg, {110, 115, 109, 112}, atr);  // 6 ticks wide
        CHECK(fvg.has_live(1) == (atr == 60.0));
    }
}

TEST_CASE("without an ATR no gap is made") {
    Fvg fvg = ten_bars();
    feed(fvg, {101, 110, 100, 109}, 0.0);
    feed(fvg, {110, 115, 109, 112}, 0.0);
    CHECK(fvg.live_gaps() == 0);
    CHECK(fvg.is_warm());
}

TEST_CASE("mitigation: half the gap reached and a close at its near edge, once") {
    Fvg fvg = with_bullish_gap();
    feed(fvg, {110, 111, 106, 109});  // down to the middle of [103, 109], closes on 109
    CHECK(fvg.signal() == 1);
    CHECK(fvg.mitigated_ticks() == 6);
    CHECK(fvg.live_gaps() == 0);
    feed(fvg, {110, 111, 106, 109});
    CHECK(fvg.signal() == 0);
    CHECK(fvg.mitigated_ticks() == 0);
}

TEST_CASE("less than half of it, or a close inside, mitigates nothing") {
    Fvg fvg = with_bullish_gap();
    feed(fvg, {110, 111, 107, 110});  // a third
    CHECK(fvg.signal() == 0);
    feed(fvg, {110, 111, 105, 108});  // deep enough, but closes inside
    CHECK(fvg.signal() == 0);
    CHECK(fvg.has_live(1));
}

TEST_CASE("penetration is of the deepest bar since, not of the one that closes outside") {
    Fvg fvg = with_bullish_gap();
    feed(fvg, {110, 111, 105, 108});
    feed(fvg, {108, 111, 108, 108});
    CHECK(fvg.signal() == 0);
    feed(fvg, {110, 112, 110, 111});
    CHECK(fvg.signal() == 1);
}

TEST_CASE("bearish mitigation: half the gap from below and a close at its lower edge") {
    Fvg fvg = with_bearish_gap();
    feed(fvg, {90, 93, 89, 90});  // a third of [91, 97]
    CHECK(fvg.signal() == 0);
    feed(fvg, {90, 94, 89, 92});
    CHECK(fvg.signal() == 0);
    feed(fvg, {92, 92, 89, 91});
    CHECK(fvg.signal() == -1);
    CHECK(fvg.mitigated_ticks() == 6);
    CHECK(fvg.live_gaps() == 0);
}

TEST_CASE("a close beyond the far edge ends a gap, a close on it does not") {
    for (const double close : {103.0, 102.0}) {
        Fvg fvg = with_bullish_gap();
        feed(fvg, {110, 111, 102, close});
        CHECK(fvg.signal() == 0);
        CHECK(fvg.has_live(1) == (close == 103.0));
    }
    for (const double close : {97.0, 98.0}) {
        Fvg fvg = with_bearish_gap();
        feed(fvg, {90, 98, 89, close});
        CHECK(fvg.signal() == 0);
        CHECK(fvg.has_live(-1) == (close == 97.0));
    }
}

TEST_CASE("a gap lives fifty bars and may still be mitigated on the last of them") {
    for (const int bars : {49, 50}) {
        Fvg fvg = with_bullish_gap();
        for (int i = 0; i < bars; ++i) feed(fvg, kAbove);
        REQUIRE(fvg.nearest(112) != nullptr);
        CHECK(fvg.nearest(112)->age == bars);
        feed(fvg, {110, 111, 106, 109});
        CHECK(fvg.signal() == (bars == 49 ? 1 : 0));
        CHECK(fvg.live_gaps() == 0);
    }
}

TEST_CASE("both directions on one bar cancel each other") {
    Fvg fvg = with_bullish_gap();  // [103, 109]
    for (int i = 0; i < 12; ++i) feed(fvg, {129, 131, 127, 130});
    feed(fvg, {129, 129, 118, 119});
    feed(fvg, {119, 120, 117, 118});  // bearish [120, 127]
    REQUIRE(fvg.has_live(1));
    REQUIRE(fvg.has_live(-1));
    feed(fvg, {118, 124, 106, 112});  // into both, closes between them
    CHECK(fvg.signal() == 0);
    CHECK(fvg.mitigated_ticks() == 0);
    CHECK(fvg.live_gaps() == 0);
}

TEST_CASE("of several mitigated on one bar the widest gives the size") {
    Fvg fvg = with_bullish_gap();  // [103, 109]
    for (int i = 0; i < 10; ++i) feed(fvg, {112, 114, 110, 113});
    feed(fvg, {113, 120, 112, 119});
    feed(fvg, {119, 125, 118, 122});  // bullish [114, 118]
    REQUIRE(fvg.live_gaps() == 2);
    feed(fvg, {120, 121, 106, 119});
    CHECK(fvg.signal() == 1);
    CHECK(fvg.mitigated_ticks() == 6);
    CHECK(fvg.live_gaps() == 0);
}

TEST_CASE("nearest is by the middle of the gap, and the newest of two as near") {
    Fvg fvg = with_bullish_gap();  // [103, 109], middle 106
    for (int i = 0; i < 10; ++i) feed(fvg, {112, 114, 110, 113});
    feed(fvg, {113, 120, 112, 119});
    feed(fvg, {119, 125, 118, 122});  // [114, 118], middle 116
    REQUIRE(fvg.live_gaps() == 2);
    CHECK(fvg.nearest(110)->low_ticks == 103);
    CHECK(fvg.nearest(112)->low_ticks == 114);
    CHECK(fvg.nearest(111)->low_ticks == 114);  // 5 from both
    CHECK(Fvg().nearest(111) == nullptr);
}

TEST_CASE("a skipped bar ages nothing, mitigates nothing and is no candle of three") {
    Fvg fvg = with_bullish_gap();
    feed(fvg, {110, 111, 106, 109});
    REQUIRE(fvg.signal() == 1);
    fvg.skip();
    CHECK(fvg.signal() == 0);
    CHECK(fvg.mitigated_ticks() == 0);

    fvg = ten_bars();
    fvg.skip();
    feed(fvg, {101, 110, 100, 109});
    fvg.skip();
    feed(fvg, {110, 115, 109, 112});
    fvg.skip();
    REQUIRE(fvg.has_live(1));
    CHECK(fvg.nearest(112)->age == 0);
}

TEST_CASE("a gap on every bar: fifty-one live, the oldest of them fifty bars old") {
    Fvg fvg = ten_bars();
    // A staircase whose steps grow by a tenth: each body is more than 1.5 times the mean before it,
    // and each bar stands free of the one two back.
    double price = 101;
    double step = 8;
    for (int bar = 0; bar < 80; ++bar) {
        feed(fvg, {price, price + step, price, price + step});
        price += 1.5 * step;
        step *= 1.1;
        REQUIRE(fvg.live_gaps() <= gm::kFvgAgeMax + 1);
    }
    CHECK(fvg.live_gaps() == gm::kFvgAgeMax + 1);
    CHECK(fvg.nearest(0)->age == gm::kFvgAgeMax);
}

TEST_CASE("random walks agree with a list of all gaps that ever were") {
    std::mt19937_64 random(7);
    std::uniform_int_distribution<int> move(-12, 12);
    std::uniform_int_distribution<int> wick(0, 4);
    SlowGaps slow;
    Fvg fvg;
    double price = 1000;
    std::size_t mitigations = 0;
    for (std::size_t t = 0; t < 20'000; ++t) {
        const double open = price + move(random) / 6;
        price = open + move(random) * (random() % 9 == 0 ? 3 : 1);
        const Candle bar{open, std::max(open, price) + wick(random),
                         std::min(open, price) - wick(random), price};
        const double atr = 5.0 + static_cast<double>(random() % 64);
        slow.update(bar, atr);
        feed(fvg, bar, atr);
        const bool up = slow.widest[1] > 0;
        const bool down = slow.widest[0] > 0;
        REQUIRE(fvg.signal() == (up == down ? 0 : up ? 1 : -1));
        REQUIRE(fvg.mitigated_ticks() == (up == down ? 0.0 : slow.widest[up]));
        REQUIRE(fvg.live_gaps() == static_cast<std::int32_t>(slow.live.size()));
        REQUIRE(fvg.has_live(1) == slow.has(1));
        REQUIRE(fvg.has_live(-1) == slow.has(-1));
        mitigations += up + down;
    }
    CHECK(mitigations > 50);
}
