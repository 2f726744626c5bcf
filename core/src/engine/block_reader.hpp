// Reads the blocks of bytes that an engine is built from: settings and models. Private to them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/engine/settings.hpp"

namespace gm {

// Walks the block table by table; every read is checked against what is left.
class BlockReader {
 public:
    BlockReader(std::span<const std::uint8_t> block, const char* name)
        : block_(block), name_(name) {}

    template <typename Row>
    Failure read(const char* table, std::size_t count, std::vector<Row>& out) {
        const std::size_t size = count * sizeof(Row);
        if (size > block_.size() - at_) return cut(table, size);
        out.resize(count);
        if (size > 0) std::memcpy(out.data(), block_.data() + at_, size);
        at_ = std::min((at_ + size + kPadding - 1) / kPadding * kPadding, block_.size());
        return ok();
    }
    template <typename Row>
    Failure read_one(const char* table, Row& out) {
        std::vector<Row> rows;
        Failure failure = read(table, 1, rows);
        if (failure.is_ok()) out = rows[0];
        return failure;
    }
    [[nodiscard]] Failure expect_end() const {
        if (at_ == block_.size()) return ok();
        return fail(Status::kBadSettings, "bytes after the end of the " + name_ + ": " +
                                              std::to_string(block_.size() - at_));
    }

 private:
    static constexpr std::size_t kPadding = 64;

    [[nodiscard]] Failure cut(const char* table, std::size_t size) const {
        return fail(Status::kBadSettings, name_ + " end inside " + table + ": " +
                                              std::to_string(size) + " bytes needed, " +
                                              std::to_string(block_.size() - at_) + " left");
    }

    std::span<const std::uint8_t> block_;
    std::string name_;
    std::size_t at_ = 0;
};

// Of tactical agents a block has three or none; their ONNX files come behind those of the others.
inline Failure read_tactical(BlockReader& reader, std::uint32_t count, TacticalPart& out) {
    if (count != 0 && count != kAgentsMax) {
        return fail(Status::kBadSettings,
                    "tactical_agent_count must be 0 or 3: " + std::to_string(count));
    }
    if (count == 0) return ok();
    Failure failure = reader.read_one("tactical", out.settings);
    if (failure.is_ok()) failure = reader.read("tactical agents", count, out.agents);
    return failure;
}

// The ONNX files of the agents, one after another.
inline Failure read_onnx_files(BlockReader& reader, const std::vector<AgentSettings>& agents,
                               std::vector<std::vector<std::uint8_t>>& out) {
    constexpr std::size_t kSizeMax = 16U << 20;
    for (const AgentSettings& agent : agents) {
        if (agent.onnx_size > kSizeMax) {
            return fail(Status::kBadSettings,
                        "onnx_size of an agent is over 16 MiB: " + std::to_string(agent.onnx_size));
        }
        Failure failure = reader.read("onnx", agent.onnx_size, out.emplace_back());
        if (!failure.is_ok()) return failure;
    }
    return ok();
}

}  // namespace gm
