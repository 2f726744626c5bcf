// All that an engine is built from, as one block of bytes: `settings.bin` in the run directory.
//
// gm/config.py checks the YAML and writes this block; the engine, the replay and the native
// harness load it, so a journal can be re-derived from its run directory alone. Its SHA-256 is
// the hash of the effective configuration. Layout: SettingsHeader, then for each table in the
// order below its rows, each table padded to 64 bytes; agents are AgentSettings rows, then kernels,
// then what of tactical agents there is: one TacticalSettings row and their AgentSettings; then the
// ONNX files one after another, the tactical ones last, each padded to 64 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/features/schema.hpp"
#include "gm/market/instrument.hpp"
#include "gm/policy/bfloat16.hpp"
#include "gm/risk/limits.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

inline constexpr std::uint32_t kSettingsMagic = 0x54534d47;  // "GMST" in memory order

struct SettingsHeader {
    std::uint32_t magic;
    std::uint32_t schema;
    std::uint32_t instrument_count;   // Instrument, Limits and Sizing rows
    std::uint32_t session_count;      // SessionInterval rows
    std::uint32_t offset_count;       // OffsetChange rows
    std::uint32_t agent_count;        // AgentSettings rows, 0 to kAgentsMax
    std::uint32_t installation;       // OrderId::installation
    std::uint32_t profile;            // Profile
    double threshold;                 // a decision acts at this confidence or above
    std::int64_t order_timeout_ns;    // SENT without an answer becomes UNKNOWN
    std::int64_t order_valid_for_ns;  // NewOrder::valid_until_ns = engine time + this
    std::uint32_t max_hold_bars;      // closed 30-minute bars; 0 = no such exit
    std::uint32_t flat_at_session_end;
    std::uint32_t confirmed_clean_bars;  // after 5 refusals in a row (SPEC §1: 48)
    std::uint32_t loss_confirmations;    // R15: accepted prices that must say so, 2 to 16
    std::uint8_t feature_schema_sha256[32];
    std::uint8_t bundle_sha256[32];
    double synergy_mlmi_min;              // |value - 50| of an MLMI signal (SPEC §4: 10)
    double synergy_slope_min;             // |slope| of a turn (0.02)
    std::uint32_t synergy_window_bars;    // of 5 minutes (24)
    std::uint32_t synergy_cooldown_bars;  // (5)
    std::uint32_t kernel_count;           // KernelSettings rows
    std::uint32_t tactical_agent_count;   // 0 or 3
    std::int64_t recon_break_after_ns;    // R19; 0: gm/engine/recovery.hpp's own
    std::int64_t limits_expire_ts_ns;     // R03: of the signed limits, in engine time; 0: unsigned
    std::uint8_t limits_sha256_head[8];   // of the signed limits; zero: unsigned
};
static_assert(sizeof(SettingsHeader) == 192 && offsetof(SettingsHeader, threshold) == 32);

struct Sizing {
    std::int64_t target_lots;  // q: act-long +q, act-short -q
    double stop_atr;           // the bracket's stop so far from the price paid, in ATR 14 of
    double target_atr;         // 30-minute bars; its target likewise; 0: there is none
    std::uint32_t stop_trails;
    std::uint8_t reserved[36];
};
static_assert(sizeof(Sizing) == 64 && offsetof(Sizing, stop_trails) == 24);
inline constexpr double kBracketAtrMax = 1000.0;

struct AgentSettings {
    char name[16];
    double weight;  // ensemble weight before softmax
    double temperature;
    std::uint32_t column_mask;    // bit c: column c, in ascending order; from 13: features
    std::uint32_t context_count;  // 0 or 6 values after the rows
    std::uint64_t onnx_size;
    Tail tail;  // of the network's weights
    std::uint8_t reserved[12];
};
static_assert(sizeof(AgentSettings) == 64 && offsetof(AgentSettings, column_mask) == 32);

// How the votes of the tactical agents count. Their rows are AgentSettings of the tactical columns,
// without context and ensemble weight.
struct TacticalSettings {
    double threshold;                           // score from which on an entry is allowed
    double weights[kSynergyTypes][kAgentsMax];  // [0]: no synergy stands; a row adds up to 1
};
static_assert(sizeof(TacticalSettings) == 128 && offsetof(TacticalSettings, weights) == 8);

// A model that comes while the engine runs (gm/engine/models.hpp): this header, AgentSettings rows,
// TacticalSettings and rows as above, then the ONNX files, each padded to 64 bytes.
// `models/<bundle_sha256>.bin` in the run directory.
inline constexpr std::uint32_t kModelMagic = 0x444d4d47;  // "GMMD" in memory order
struct ModelHeader {
    std::uint32_t magic;
    std::uint32_t schema;
    std::uint32_t agent_count;
    std::uint32_t guard_rows_max;  // gm/policy/guard.hpp
    double threshold;
    float guard_low[kStrategicColumns];
    float guard_high[kStrategicColumns];
    std::uint32_t guard_columns;
    std::uint32_t guard_columns_max;
    std::uint8_t feature_schema_sha256[32];
    std::uint8_t bundle_sha256[32];
    std::uint32_t tactical_agent_count;  // 0 or 3
    std::uint8_t reserved[52];
};
static_assert(sizeof(ModelHeader) == 256 && offsetof(ModelHeader, guard_columns) == 128);

// What decides: the ensemble of agents on 30-minute bars, a user's rule, or the ensemble together
// with the tactical team on 5-minute bars.
enum class Profile : std::uint32_t { kStrategicOnly = 0, kRule = 1, kTwoLevel = 2 };

// A user kernel (gm/engine/kernels.hpp): the function gm_kernel_<name> of the library.
inline constexpr std::size_t kKernelsMax = kKernelColumnsMax + 1;  // features, one rule
inline constexpr std::size_t kKernelInputsMax = 5;
inline constexpr std::uint32_t kKernelWarmupMax = 1000;
enum class KernelKind : std::uint32_t { kFeature = 0, kRule = 1 };
enum class KernelField : std::uint8_t { kOpen = 0, kHigh = 1, kLow = 2, kClose = 3, kVolume = 4 };
struct KernelSettings {
    char name[32];
    std::uint8_t sha256[32];          // of its code and declaration: what a quarantine names
    std::uint8_t library_sha256[32];  // of the shared object's file
    double low;                       // what it may return, both ends included
    double high;
    KernelKind kind;
    std::uint32_t minutes;  // size of its bars: 5 or 30
    std::uint32_t warmup;   // bars in a window, 1 to kKernelWarmupMax
    KernelPolicy policy;    // what follows a quarantine
    std::uint32_t input_count;
    KernelField inputs[8];  // the first input_count, in the order of its parameters
    std::uint8_t reserved[20];
};
static_assert(sizeof(KernelSettings) == 160 && offsetof(KernelSettings, low) == 96);

// The tactical agents of a block; empty: it has none.
struct TacticalPart {
    TacticalSettings settings{};
    std::vector<AgentSettings> agents;
    std::vector<std::vector<std::uint8_t>> onnx;
};

struct Settings {
    SettingsHeader header{};
    AccountLimits account{};
    std::vector<Instrument> instruments;
    std::vector<Limits> limits;
    std::vector<Sizing> sizing;
    std::vector<SessionInterval> sessions;
    std::vector<OffsetChange> offsets;
    std::vector<AgentSettings> agents;
    std::vector<KernelSettings> kernels;
    std::vector<std::vector<std::uint8_t>> onnx;  // one file an agent
    TacticalPart tactical;
    std::uint8_t sha256[32]{};  // of the whole block
};

// Cold. Reads and checks a settings block.
Failure load_settings(std::span<const std::uint8_t> block, Settings& out);

}  // namespace gm
