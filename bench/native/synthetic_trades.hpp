// A seeded market of trades for the native benchmarks.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "gm/venue/tape.hpp"

namespace bench {

inline constexpr std::int64_t kFirstTradeNs = 1'640'995'200'000'000'000;  // 2022-01-01
inline constexpr std::int64_t kFirstTradeTicks = 40'000;

// Waves of three days under noise, so that momentum has something to follow, within any band.
inline std::vector<gm::TapeRow> synthetic_trades(std::size_t trades, std::int64_t spacing_ns) {
    constexpr std::int64_t kWaveNs = 259'200'000'000'000;
    constexpr std::int64_t kWaveTicks = 2'000;
    std::mt19937_64 random(20220101);
    std::vector<gm::TapeRow> tape;
    tape.reserve(trades);
    std::int64_t noise = 0;
    for (std::size_t i = 0; i < trades; ++i) {
        const std::int64_t since_ns = static_cast<std::int64_t>(i) * spacing_ns;
        const std::int64_t phase = since_ns % kWaveNs;
        const std::int64_t up = phase < kWaveNs / 2 ? phase : kWaveNs - phase;
        noise = (noise * 255) / 256 + static_cast<std::int64_t>(random() % 9) - 4;
        gm::Trade trade{};
        trade.price_ticks = kFirstTradeTicks + up / (kWaveNs / 2 / kWaveTicks) + noise;
        trade.quantity_lots = static_cast<std::int64_t>(random() % 100) + 1;
        tape.push_back(gm::make_row(gm::RecordType::kTrade, kFirstTradeNs + since_ns, trade));
    }
    return tape;
}

}  // namespace bench
