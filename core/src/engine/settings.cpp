#include "gm/engine/settings.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "block_reader.hpp"
#include "gm/base/sha256.hpp"
#include "gm/features/schema.hpp"
#include "gm/features/synergy.hpp"
#include "gm/wire/payload.hpp"

namespace gm {
namespace {

constexpr std::size_t kInstrumentsMax = 4096;
constexpr std::size_t kRowsMax = 1U << 20;  // sessions, offset changes

Failure check_header(const SettingsHeader& header) {
    if (header.magic != kSettingsMagic || header.schema != kSchema) {
        return fail(Status::kBadSettings, "not a settings block of schema " +
                                              std::to_string(kSchema) + ": schema " +
                                              std::to_string(header.schema));
    }
    if (header.instrument_count == 0 || header.instrument_count > kInstrumentsMax ||
        header.session_count > kRowsMax || header.offset_count > kRowsMax ||
        header.agent_count == 0 || header.agent_count > kAgentsMax ||
        header.kernel_count > kKernelsMax) {
        return fail(Status::kBadSettings,
                    "settings count out of range: " + std::to_string(header.instrument_count) +
                        " instruments, " + std::to_string(header.agent_count) + " agents, " +
                        std::to_string(header.kernel_count) + " kernels");
    }
    if (!(header.threshold > 0.0 && header.threshold <= 1.0)) {
        return fail(Status::kBadSettings,
                    "threshold must lie in (0, 1]: " + std::to_string(header.threshold));
    }
    if (!(header.synergy_mlmi_min >= 0.0 && header.synergy_slope_min >= 0.0) ||
        header.synergy_window_bars > kSynergyWindowBarsMax ||
        header.synergy_cooldown_bars > kSynergyCooldownBarsMax) {
        return fail(Status::kBadSettings, "synergy out of range: window_bars " +
                                              std::to_string(header.synergy_window_bars) +
                                              ", cooldown_bars " +
                                              std::to_string(header.synergy_cooldown_bars));
    }
    if (header.order_timeout_ns <= 0 || header.order_valid_for_ns <= 0) {
        return fail(Status::kBadSettings,
                    "order_timeout_ns and order_valid_for_ns must be positive");
    }
    if (header.recon_break_after_ns < 0) {
        return fail(Status::kBadSettings, "recon_break_after_ns must be 0 or more: " +
                                              std::to_string(header.recon_break_after_ns));
    }
    return ok();
}

// Slices of an instrument must lie inside their tables.
Failure check_rows(const Settings& settings) {
    for (std::size_t i = 0; i < settings.instruments.size(); ++i) {
        const Instrument& row = settings.instruments[i];
        const std::uint64_t sessions_end = std::uint64_t{row.session_first} + row.session_count;
        const std::uint64_t offsets_end = std::uint64_t{row.offset_first} + row.offset_count;
        if (row.symbol[sizeof row.symbol - 1] != 0 || row.currency[sizeof row.currency - 1] != 0) {
            return fail(Status::kBadSettings, "symbol or currency of instrument " +
                                                  std::to_string(i) + " is not terminated");
        }
        if (sessions_end > settings.sessions.size() || offsets_end > settings.offsets.size()) {
            return fail(Status::kBadSettings,
                        std::string("session table of ") + row.symbol + " is out of range");
        }
        if (settings.sizing[i].target_lots <= 0) {
            return fail(Status::kBadSettings,
                        std::string("target_lots of ") + row.symbol +
                            " must be positive: " + std::to_string(settings.sizing[i].target_lots));
        }
    }
    return ok();
}

// Either leg, if there is one, is of a type that the limits allow.
Failure check_brackets(const Settings& settings) {
    for (std::size_t i = 0; i < settings.sizing.size(); ++i) {
        const Sizing& row = settings.sizing[i];
        const std::uint32_t types = settings.limits[i].types_allowed;
        const struct {
            const char* key;
            double atr;
            OrderType type;
        } legs[] = {{"stop_atr", row.stop_atr, OrderType::kStop},
                    {"target_atr", row.target_atr, OrderType::kLimit}};
        for (const auto& leg : legs) {
            const std::string key = std::string(leg.key) + " of " + settings.instruments[i].symbol;
            if (!(leg.atr >= 0.0 && leg.atr <= kBracketAtrMax)) {
                return fail(Status::kBadSettings,
                            key + " must be 0 to 1000: " + std::to_string(leg.atr));
            }
            if (leg.atr > 0.0 && (types >> static_cast<unsigned>(leg.type) & 1U) == 0) {
                return fail(Status::kBadSettings, key + " needs an order type that is not allowed");
            }
        }
    }
    return ok();
}

Failure check_kernel(const KernelSettings& row) {
    if (row.name[sizeof row.name - 1] != 0) {
        return fail(Status::kBadSettings, "name of a kernel is not terminated");
    }
    const auto refuse = [&](const std::string& what) {
        return fail(Status::kBadSettings, std::string("kernel ") + row.name + ": " + what);
    };
    if (row.kind > KernelKind::kRule || row.policy > KernelPolicy::kSkip) {
        return refuse("unknown kind or policy");
    }
    if (row.minutes != 5 && row.minutes != 30) {
        return refuse("minutes must be 5 or 30: " + std::to_string(row.minutes));
    }
    if (row.warmup == 0 || row.warmup > kKernelWarmupMax) {
        return refuse("warmup must lie in [1, " + std::to_string(kKernelWarmupMax) +
                      "]: " + std::to_string(row.warmup));
    }
    if (!(row.low < row.high)) return refuse("low must be less than high");
    if (row.input_count == 0 || row.input_count > kKernelInputsMax) {
        return refuse("input_count must lie in [1, 5]: " + std::to_string(row.input_count));
    }
    for (std::uint32_t i = 0; i < row.input_count; ++i) {
        if (row.inputs[i] > KernelField::kVolume) return refuse("unknown input");
    }
    return ok();
}

// Up to three features, the columns that agents name; one rule exactly where the profile says so.
Failure check_kernels(const Settings& settings) {
    std::uint32_t features = 0;
    std::uint32_t rules = 0;
    for (const KernelSettings& row : settings.kernels) {
        if (Failure failure = check_kernel(row); !failure.is_ok()) return failure;
        ++(row.kind == KernelKind::kFeature ? features : rules);
    }
    const auto profile = static_cast<Profile>(settings.header.profile);
    if (profile == Profile::kTwoLevel && settings.header.tactical_agent_count == 0) {
        return fail(Status::kBadSettings,
                    "profile 2 (two_level) with 0 tactical agents, must be 3");
    }
    if (profile > Profile::kTwoLevel || rules != (profile == Profile::kRule ? 1U : 0U) ||
        features > kKernelColumnsMax) {
        return fail(Status::kBadSettings, "profile " + std::to_string(settings.header.profile) +
                                              " with " + std::to_string(features) +
                                              " features and " + std::to_string(rules) + " rules");
    }
    for (const AgentSettings& agent : settings.agents) {
        if (agent.column_mask >> (kStrategicColumns + features) == 0) continue;
        return fail(Status::kBadSettings,
                    std::string("column_mask of agent ") +
                        std::string(agent.name, ::strnlen(agent.name, sizeof agent.name)) +
                        " names a column that no kernel fills");
    }
    return ok();
}

}  // namespace

Failure load_settings(std::span<const std::uint8_t> block, Settings& out) {
    Settings settings;
    BlockReader reader(block, "settings");
    Failure failure = reader.read_one("header", settings.header);
    if (failure.is_ok()) failure = check_header(settings.header);
    const SettingsHeader& header = settings.header;
    const std::size_t count = header.instrument_count;
    if (failure.is_ok()) failure = reader.read_one("account limits", settings.account);
    if (failure.is_ok()) failure = reader.read("instruments", count, settings.instruments);
    if (failure.is_ok()) failure = reader.read("limits", count, settings.limits);
    if (failure.is_ok()) failure = reader.read("sizing", count, settings.sizing);
    if (failure.is_ok()) failure = reader.read("sessions", header.session_count, settings.sessions);
    if (failure.is_ok()) failure = reader.read("offsets", header.offset_count, settings.offsets);
    if (failure.is_ok()) failure = reader.read("agents", header.agent_count, settings.agents);
    if (failure.is_ok()) failure = reader.read("kernels", header.kernel_count, settings.kernels);
    if (failure.is_ok()) {
        failure = read_tactical(reader, header.tactical_agent_count, settings.tactical);
    }
    if (failure.is_ok()) failure = check_kernels(settings);
    if (failure.is_ok()) failure = check_rows(settings);
    if (failure.is_ok()) failure = check_brackets(settings);
    if (failure.is_ok()) failure = read_onnx_files(reader, settings.agents, settings.onnx);
    if (failure.is_ok()) {
        failure = read_onnx_files(reader, settings.tactical.agents, settings.tactical.onnx);
    }
    if (failure.is_ok()) failure = reader.expect_end();
    if (!failure.is_ok()) return failure;
    const Sha256Digest digest = sha256(block.data(), block.size());
    std::copy(digest.begin(), digest.end(), settings.sha256);
    out = std::move(settings);
    return ok();
}

}  // namespace gm
