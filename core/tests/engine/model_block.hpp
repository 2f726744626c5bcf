// Model blocks as gm/config/block.py writes them, for tests.
#pragma once

#include <cstring>
#include <vector>

#include "gm/engine/models.hpp"
#include "rig.hpp"

namespace gm::test {

inline ModelHeader model_header() {
    ModelHeader header{};
    header.magic = kModelMagic;
    header.schema = kSchema;
    header.agent_count = 1;
    header.threshold = 0.55;
    header.guard_rows_max = 3;
    header.guard_columns = 1;
    header.guard_low[0] = -1.0F;
    header.guard_high[0] = 1.0F;
    const Sha256Digest schema = feature_schema_sha256();
    std::memcpy(header.feature_schema_sha256, schema.data(), schema.size());
    return header;
}

// One agent, with the network of the settings.
inline std::vector<std::uint8_t> model_block(const Settings& settings, const ModelHeader& header,
                                             AgentSettings agent) {
    agent.onnx_size = settings.onnx[0].size();
    std::vector<std::uint8_t> block(sizeof header + sizeof agent);
    std::memcpy(block.data(), &header, sizeof header);
    std::memcpy(block.data() + sizeof header, &agent, sizeof agent);
    block.insert(block.end(), settings.onnx[0].begin(), settings.onnx[0].end());
    block.resize((block.size() + 63) / 64 * 64);
    return block;
}

}  // namespace gm::test
