// Promise: a settings block is taken whole and in range, or refused with the reason.
#include "gm/engine/settings.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "engine/two_levels.hpp"
#include "runtime/settings_block.hpp"

using namespace gm;

namespace {

using Block = std::vector<std::uint8_t>;

template <typename Row>
void append(Block& block, const std::vector<Row>& rows) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(rows.data());
    block.insert(block.end(), bytes, bytes + rows.size() * sizeof(Row));
    block.resize((block.size() + 63) / 64 * 64);
}

Block make_block(Settings settings) {
    settings.header.schema = kSchema;
    settings.header.instrument_count = static_cast<std::uint32_t>(settings.instruments.size());
    settings.header.session_count = static_cast<std::uint32_t>(settings.sessions.size());
    settings.header.offset_count = static_cast<std::uint32_t>(settings.offsets.size());
    settings.header.agent_count = static_cast<std::uint32_t>(settings.agents.size());
    settings.header.kernel_count = static_cast<std::uint32_t>(settings.kernels.size());
    settings.agents[0].onnx_size = settings.onnx[0].size();
    Block block;
    append(block, std::vector{settings.header});
    append(block, std::vector{settings.account});
    append(block, settings.instruments);
    append(block, settings.limits);
    append(block, settings.sizing);
    append(block, settings.sessions);
    append(block, settings.offsets);
    append(block, settings.agents);
    append(block, settings.kernels);
    append(block, settings.onnx[0]);
    return block;
}

}  // namespace

TEST_CASE("a block comes back as it was put together") {
    const Settings made = gm::test::make_settings();
    Settings read;
    const Failure failure = load_settings(make_block(made), read);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    CHECK(read.header.threshold == made.header.threshold);
    CHECK(std::strcmp(read.instruments[0].symbol, "BTC-PERP") == 0);
    CHECK(read.limits[0].position_lots_max == 1000);
    CHECK(read.sessions[0].close_ts_ns == made.sessions[0].close_ts_ns);
    CHECK(read.onnx[0] == made.onnx[0]);
}

TEST_CASE("a block cut at any byte is refused and leaves the target untouched") {
    const Block block = make_block(gm::test::make_settings());
    for (std::size_t size = 0; size < block.size(); ++size) {
        Settings read;
        read.header.max_hold_bars = 99;
        const Failure failure = load_settings(std::span(block).first(size), read);
        // The padding of the last file holds nothing.
        const bool whole = size >= block.size() - 63 && failure.is_ok();
        CHECK((whole || failure.status == Status::kBadSettings));
        if (!whole) CHECK(read.header.max_hold_bars == 99);
    }
}

TEST_CASE("counts, slices and numbers out of range are refused by name") {
    const auto refused = [](auto&& change) {
        Settings settings = gm::test::make_settings();
        change(settings);
        Settings read;
        return load_settings(make_block(settings), read).text;
    };
    CHECK(refused([](Settings& s) { s.header.threshold = 0.0; }).find("threshold") == 0);
    CHECK(refused([](Settings& s) { s.header.threshold = std::nan(""); }).find("threshold") == 0);
    CHECK(refused([](Settings& s) {
              s.instruments[0].session_count = 2;
          }).find("session table of BTC-PERP") == 0);
    CHECK(refused([](Settings& s) {
              s.instruments[0].offset_first = 0xffffffff;
          }).find("session table of BTC-PERP") == 0);
    CHECK(refused([](Settings& s) {
              s.sizing[0].target_lots = 0;
          }).find("target_lots of BTC-PERP must be positive: 0") == 0);
    CHECK(refused([](Settings& s) {
              std::memset(s.instruments[0].symbol, 'x', 16);
          }).find("symbol or currency of instrument 0") == 0);
    CHECK(refused([](Settings& s) { s.header.magic = 1; }).find("not a settings block") == 0);
}

TEST_CASE("tactical agents come back whole, and a block that has not all of them is refused") {
    const Settings made = gm::test::two_level_settings(gm::test::kSaysExecute);
    const Settings read = gm::test::loaded_settings(made);
    CHECK(read.header.profile == 2);
    REQUIRE(read.tactical.agents.size() == 3);
    CHECK(std::strcmp(read.tactical.agents[2].name, "entry") == 0);
    CHECK(read.tactical.settings.threshold == 0.65);
    CHECK(read.tactical.settings.weights[4][2] == 0.3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(read.tactical.onnx[i] == made.tactical.onnx[i]);

    Settings without = made;
    without.tactical = {};
    Settings target;
    CHECK(load_settings(gm::test::settings_block(without), target).text ==
          "profile 2 (two_level) with 0 tactical agents, must be 3");
    without.header.profile = 3;
    CHECK(load_settings(gm::test::settings_block(without), target).text.find("profile 3") == 0);
    Block block = gm::test::settings_block(made);
    SettingsHeader header{};
    std::memcpy(&header, block.data(), sizeof header);
    header.tactical_agent_count = 2;
    std::memcpy(block.data(), &header, sizeof header);
    CHECK(load_settings(block, target).text == "tactical_agent_count must be 0 or 3: 2");
    // A bundle's tactical agents do no harm where one level decides.
    Settings one = made;
    one.header.profile = 0;
    CHECK(load_settings(gm::test::settings_block(one), target).is_ok());
}
