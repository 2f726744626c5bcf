// What the strategic matrix is: names, order, parameters and normalisation, and their hash.
//
// The hash is in every model, journal and database row; mixed versions refuse each other. A text
// that changes, changes the hash: also when a column gets built, because a model that was trained
// on zeros must not be fed with values. SPEC §3.
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

struct ColumnSchema {
    std::string_view name;
    std::string_view value;  // parameters and normalisation
    bool is_built;           // not built: 0, and counts as warm
};

inline constexpr std::array<ColumnSchema, kStrategicColumns> kStrategicSchema{{
    {"mlmi_value", "(value-50)/50; HA closes; RSI20 RSI5 WMA20; k 5; store 2000", false},
    {"mlmi_signal", "-1 0 1; cross of WMA5 and WMA20", false},
    {"nwrqk_value", "clip((y-C)/ATR14,5)/5; HA closes; h 8; r 8; 200 weights; from index 25", true},
    {"nwrqk_slope", "clip((y-y1)/ATR14,0.5)/0.5", true},
    {"lvn_distance", "clip((LVN-C)/ATR14,5)/5; profile of 20 bars; 2048 bins; 30% of POC", false},
    {"lvn_strength", "1-V_LVN/V_POC", false},
    {"hour_sin", "sin of exchange-local time of day of the bar start; 24 h circle", true},
    {"hour_cos", "cos of exchange-local time of day of the bar start; 24 h circle", true},
    {"momentum_20", "tanh(ln(C/C20)/(s30*sqrt(20))); 0 when s30=0", true},
    {"momentum_50", "tanh(ln(C/C50)/(s30*sqrt(50))); 0 when s30=0", true},
    {"mmd_score", "2*rank-1 of 2000; reference 500; test 100; refit 46", false},
    {"volatility_30", "tanh(z of ln(s30) among its last 500, itself included; 100 at least)", true},
    {"volume_profile_skew", "clip((VAH+VAL-2*POC)/(VAH-VAL),1); value area 70%", false},
}};

// Bit c: column c is built.
[[nodiscard]] constexpr std::uint32_t strategic_built_mask() noexcept {
    std::uint32_t mask = 0;
    for (std::size_t column = 0; column < kStrategicColumns; ++column) {
        if (kStrategicSchema[column].is_built) mask |= 1U << column;
    }
    return mask;
}
inline constexpr std::uint32_t kStrategicBuiltMask = strategic_built_mask();
static_assert(kStrategicBuiltMask == 0b0'1011'1100'1100U);

// SHA-256 over version, sizes and, in order, every column's name, value text and built mark.
// Cold: hashes about a kilobyte.
[[nodiscard]] Sha256Digest feature_schema_sha256() noexcept;

}  // namespace gm
