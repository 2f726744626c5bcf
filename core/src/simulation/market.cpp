#include "gm/simulation/market.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace gm {
namespace {

constexpr std::int64_t kMinute = 60'000'000'000;
constexpr std::int64_t kPriceTicks = 40'000;
constexpr std::int64_t kTradeEveryNs = 4 * kMinute;  // at most

struct Walk {
    std::int64_t price_ticks = kPriceTicks;
    std::int64_t ts_ns = kTapeStartNs;
    std::int64_t count = 0;
};

// What a check must refuse.
void spoil(Random& random, BarClose& bar) {
    switch (random.below(5)) {
        case 0: std::swap(bar.high_ticks, bar.low_ticks); break;
        case 1: bar.high_ticks = bar.close_ticks = bar.open_ticks * 3; break;
        case 2: bar.start_ts_ns -= 10 * kMinute * 60; break;
        case 3: bar.low_ticks = -5; break;
        default: bar.volume_lots = -1; break;
    }
}

TapeRow next_bar(Random& random, Walk& walk, std::int64_t minutes, std::int64_t bad_ppm) {
    if (random.hits(2'000)) walk.ts_ns += random.between(1, 30) * minutes * kMinute;  // a hole
    BarClose bar{};
    bar.start_ts_ns = walk.ts_ns;
    bar.duration_s = static_cast<std::uint32_t>(minutes * 60);
    bar.open_ticks = walk.price_ticks;
    walk.price_ticks = std::clamp<std::int64_t>(walk.price_ticks + random.between(-300, 300),
                                                kPriceTicks / 2, kPriceTicks * 2);
    bar.close_ticks = walk.price_ticks;
    bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + random.below(200);
    bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - random.below(200);
    bar.volume_lots = 2 * random.between(1, 50) + walk.count++ % 2;  // "alternating" reads it
    walk.ts_ns += minutes * kMinute;
    if (random.hits(bad_ppm)) spoil(random, bar);
    return make_row(RecordType::kBarClose, 0, bar);
}

TapeRow next_trade(Random& random, Walk& walk, std::int64_t bad_ppm) {
    walk.ts_ns += random.between(1, kTradeEveryNs);
    walk.price_ticks += random.between(-20, 20);
    Trade trade{};
    trade.price_ticks = std::max<std::int64_t>(walk.price_ticks, 1000);
    trade.quantity_lots = random.between(1, 20);
    if (random.hits(bad_ppm)) trade.price_ticks *= random.hits(500'000) ? 3 : -1;
    return make_row(RecordType::kTrade, walk.ts_ns, trade);
}

// A number that depends on the newest close alone, so that a replay of a bar answers alike.
std::uint64_t draw(const double* const* windows) noexcept {
    return Random(std::bit_cast<std::uint64_t>(windows[0][0])).bits();
}

std::int32_t random_rule(const double* const* windows, double* value) {
    *value = static_cast<double>(draw(windows) % 3) - 1.0;
    return 0;
}

std::int32_t maximum_rule(const double* const*, double* value) {
    *value = 1.0;
    return 0;
}

std::int32_t alternating_rule(const double* const* windows, double* value) {
    *value = static_cast<std::int64_t>(windows[1][0] * 1e4) % 2 == 0 ? 1.0 : -1.0;
    return 0;
}

std::int32_t invalid_rule(const double* const* windows, double* value) {
    const std::uint64_t drawn = draw(windows);
    if (drawn % 100 != 0) return random_rule(windows, value);
    constexpr double kWorse[] = {std::numeric_limits<double>::quiet_NaN(),
                                 std::numeric_limits<double>::infinity(), 2.0, 0.5};
    *value = kWorse[drawn / 100 % 4];
    return drawn / 400 % 4 == 0 ? 1 : 0;
}

std::int32_t flood_rule(const double* const* windows, double* value) {
    *value = draw(windows) % 2 == 0 ? 1.0 : -1.0;
    return 0;
}

}  // namespace

std::vector<TapeRow> make_tape(Random& random, TapeKind kind, std::size_t rows) {
    std::vector<TapeRow> tape;
    tape.reserve(rows);
    const std::int64_t bad_ppm = random.hits(500'000) ? random.below(5'000) : 0;
    Walk walk;
    while (tape.size() < rows) {
        switch (kind) {
            case TapeKind::kBars30: tape.push_back(next_bar(random, walk, 30, bad_ppm)); break;
            case TapeKind::kBars5: tape.push_back(next_bar(random, walk, 5, bad_ppm)); break;
            default: tape.push_back(next_trade(random, walk, bad_ppm)); break;
        }
    }
    return tape;
}

KernelFunction find_rule(std::string_view name) noexcept {
    constexpr struct {
        std::string_view name;
        KernelFunction function;
    } kRules[] = {
        {"random", random_rule},   {"maximum", maximum_rule}, {"alternating", alternating_rule},
        {"invalid", invalid_rule}, {"flood", flood_rule},
    };
    for (const auto& rule : kRules) {
        if (rule.name == name) return rule.function;
    }
    return nullptr;
}

}  // namespace gm
