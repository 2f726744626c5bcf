// What both matrices are: names, order, parameters and normalisation, and their hash.
//
// The hash is in every model, journal and database row; mixed versions refuse each other. A text
// that changes, changes the hash: a model must not be fed with values of another meaning. SPEC §3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "gm/base/sha256.hpp"

namespace gm {

inline constexpr std::size_t kStrategicRows = 48;
inline constexpr std::size_t kStrategicColumns = 13;
inline constexpr std::size_t kStrategicValues = kStrategicRows * kStrategicColumns;
// Columns that user kernels add behind them. Not part of this schema: each has a hash of its own.
inline constexpr std::size_t kKernelColumnsMax = 3;

enum StrategicColumn : std::uint32_t {
    kMlmiValue = 0,
    kMlmiSignal = 1,
    kNwRqkValue = 2,
    kNwRqkSlope = 3,
    kLvnDistance = 4,
    kLvnStrength = 5,
    kHourSin = 6,
    kHourCos = 7,
    kMomentum20 = 8,
    kMomentum50 = 9,
    kMmdScore = 10,
    kVolatility30 = 11,
    kVolumeProfileSkew = 12,
};

inline constexpr std::uint32_t kAllStrategicColumns = (1U << kStrategicColumns) - 1;

inline constexpr std::size_t kTacticalRows = 60;
inline constexpr std::size_t kTacticalColumns = 7;
inline constexpr std::size_t kTacticalValues = kTacticalRows * kTacticalColumns;

enum TacticalColumn : std::uint32_t {
    kFvgBullishActive = 0,
    kFvgBearishActive = 1,
    kFvgNearestLevel = 2,
    kFvgAge = 3,
    kFvgMitigationSignal = 4,
    kPriceMomentum5 = 5,
    kVolumeRatio = 6,
};

struct ColumnSchema {
    std::string_view name;
    std::string_view value;  // parameters and normalisation
};

inline constexpr std::array<ColumnSchema, kStrategicColumns> kStrategicSchema{{
    {"mlmi_value", "(value-50)/50; HA closes; WMA20 of RSI20 and RSI5; k 5; store 20 to 2000"},
    {"mlmi_signal", "-1 0 1; cross of WMA5 and WMA20 of HA closes, on the value's side of 50"},
    {"nwrqk_value", "clip((y-C)/ATR14,5)/5; HA closes; h 8; r 8; 200 weights; from index 25"},
    {"nwrqk_slope", "clip((y-y1)/ATR14,0.5)/0.5"},
    {"lvn_distance", "clip((LVN-C)/ATR14,5)/5; profile of 20 bars; 2048 bins; 30% of POC"},
    {"lvn_strength", "1-V_LVN/V_POC"},
    {"hour_sin", "sin of exchange-local time of day of the bar start; 24 h circle"},
    {"hour_cos", "cos of exchange-local time of day of the bar start; 24 h circle"},
    {"momentum_20", "tanh(ln(C/C20)/(s30*sqrt(20))); 0 when s30=0"},
    {"momentum_50", "tanh(ln(C/C50)/(s30*sqrt(50))); 0 when s30=0"},
    {"mmd_score", "2*rank-1 of 2000; 200 at least; reference 500; test 100; refit 46"},
    {"volatility_30", "tanh(z of ln(s30) among its last 500, itself included; 100 at least)"},
    {"volume_profile_skew", "clip((VAH+VAL-2*POC)/(VAH-VAL),1); value area 70%"},
}};

inline constexpr std::array<ColumnSchema, kTacticalColumns> kTacticalSchema{{
    {"fvg_bullish_active", "0 1; body 1.5 of 10; gap max(2 ticks,0.1*ATR14); 50 bars; 64 gaps"},
    {"fvg_bearish_active", "0 1; mirrored"},
    {"fvg_nearest_level", "clip(100*(level-C)/C,2)/2; middle of the nearest live gap"},
    {"fvg_age", "exp(-0.1*age) of that gap; 0 without one"},
    {"fvg_mitigation_signal", "-1 0 1; penetration 0.5 and a close beyond the near edge"},
    {"price_momentum_5", "tanh(100*(C/C5-1)/5)"},
    {"volume_ratio", "tanh(ln(max(V/EMA20(V),1e-6))); 0 when the EMA is 0"},
}};

// SHA-256 over version and, for each matrix in order, its sizes and every column's name and value
// text. Cold: hashes some two kilobytes.
[[nodiscard]] Sha256Digest feature_schema_sha256() noexcept;

}  // namespace gm
