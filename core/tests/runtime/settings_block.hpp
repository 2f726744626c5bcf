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
    settings.agents[0].onnx_size = settings.onnx[0].size();
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
    append_table(block, settings.onnx[0]);
    return block;
}

inline Settings loaded_settings() {
    Settings settings;
    const Failure failure = load_settings(settings_block(make_settings()), settings);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    return settings;
}

}  // namespace gm::test
