// Settings as the block of bytes that a core is opened with.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/rig.hpp"

namespace gm::test {

template <typename Row>
void append_table(std::vector<std::uint8_t>& block, const std::vector<Row>& rows) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(rows.data());
    block.insert(block.end(), bytes, bytes + rows.size() * sizeof(Row));
    block.resize((block.size() + 63) / 64 * 64);
}

inline std::vector<std::uint8_t> settings_block(Settings settings) {
    settings.header.schema = kSchema;
    settings.header.instrument_count = static_cast<std::uint32_t>(settings.instruments.size());
    settings.header.session_count = static_cast<std::uint32_t>(settings.sessions.size());
    settings.header.offset_count = static_cast<std::uint32_t>(settings.offsets.size());
    settings.header.agent_count = static_cast<std::uint32_t>(settings.agents.size());
    settings.header.kernel_count = static_cast<std::uint32_t>(settings.kernels.size());
    settings.header.tactical_agent_count =
        static_cast<std::uint32_t>(settings.tactical.agents.size());
    settings.agents[0].onnx_size = settings.onnx[0].size();
    for (std::size_t i = 0; i < settings.tactical.agents.size(); ++i) {
        settings.tactical.agents[i].onnx_size = settings.tactical.onnx[i].size();
    }
    std::vector<std::uint8_t> block;
    append_table(block, std::vector{settings.header});
    append_table(block, std::vector{settings.account});
    append_table(block, settings.instruments);
    append_table(block, settings.limits);
    append_table(block, settings.sizing);
    append_table(block, settings.sessions);
    append_table(block, settings.offsets);
    append_table(block, settings.agents);
    append_table(block, settings.kernels);
    if (!settings.tactical.agents.empty()) {
        append_table(block, std::vector{settings.tactical.settings});
        append_table(block, settings.tactical.agents);
    }
    append_table(block, settings.onnx[0]);
    for (const auto& file : settings.tactical.onnx) append_table(block, file);
    return block;
}

inline Settings loaded_settings(const Settings& made = make_settings()) {
    Settings settings;
    const Failure failure = load_settings(settings_block(made), settings);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    return settings;
}

}  // namespace gm::test
