// Tapes, settings and a batch with its arrays, for the tests of training.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/rig.hpp"
#include "gm/session/market_batch.hpp"
#include "wave.hpp"

namespace gm::test {

// Bars of waves, from bar `from` on.
inline std::vector<TapeRow> wave_tape(std::int64_t bars, std::int64_t from = 0) {
    std::vector<TapeRow> tape;
    for (std::int64_t i = from; i < from + bars; ++i) {
        BarClose bar{};
        bar.start_ts_ns = kStartNs + i * kHalfHourNs;
        bar.duration_s = 1800;
        bar.open_ticks = wave(std::max<std::int64_t>(i - 1, 0)) + 1;
        bar.close_ticks = wave(i);
        bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + 3;
        bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - 3;
        bar.volume_lots = 10 + i % 7;
        tape.push_back(make_row(RecordType::kBarClose, 0, bar));
    }
    return tape;
}

// A venue that fills in parts, refuses at random, takes its time and its fee.
inline VenueSettings training_venue() {
    VenueSettings settings{};
    settings.seed = 7;
    settings.orders_max = 4096;
    settings.slippage_ticks = 2;
    settings.commission_micros_per_lot = 3;
    settings.partial_fill_ppm = 300'000;
    settings.reject_ppm = 50'000;
    settings.latency_ns = 250'000'000;
    return settings;
}

// Three equal agents; two that agree act.
inline Settings training_batch_settings() {
    Settings settings = make_settings();
    settings.header.threshold = 0.65;
    settings.agents.resize(3, settings.agents[0]);
    settings.onnx.resize(3, settings.onnx[0]);
    return settings;
}

struct BatchArrays {
    explicit BatchArrays(std::size_t size)
        : matrix(2 * size * kStrategicValues),
          context(2 * size * kPolicyContext),
          position(2 * size),
          reward(size),
          ended(2 * size),
          money(2 * size),
          size(size) {}

    [[nodiscard]] BatchOutput output() {
        return {.matrix = matrix.data(),
                .context = context.data(),
                .position = position.data(),
                .last_matrix = matrix.data() + size * kStrategicValues,
                .last_context = context.data() + size * kPolicyContext,
                .last_position = position.data() + size,
                .reward = reward.data(),
                .terminated = ended.data(),
                .truncated = ended.data() + size,
                .equity = money.data(),
                .episode_return = money.data() + size};
    }
    [[nodiscard]] bool has_ended(std::size_t i) const {
        return ended[i] != 0 || ended[size + i] != 0;
    }

    std::vector<float> matrix, context, position, reward;
    std::vector<std::uint8_t> ended;
    std::vector<double> money;
    std::size_t size;
};

inline void must(const Failure& failure) {
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
}

}  // namespace gm::test
