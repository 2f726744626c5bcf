// Promise: with columns left out the others have the bits that they always have, readiness comes no
// later, and a snapshot knows what was left out.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "features/strategic_fixture.hpp"
#include "gm/features/strategic.hpp"
#include "gm/wire/payload.hpp"

namespace {

using namespace gm::test;
using gm::ClosedBar;
using gm::StrategicFeatures;

constexpr std::uint32_t kProfileColumns =
    1U << gm::kLvnDistance | 1U << gm::kLvnStrength | 1U << gm::kVolumeProfileSkew;
constexpr std::uint32_t kMmdColumns = 1U << gm::kMmdScore;
constexpr std::uint32_t kOthers = gm::kAllStrategicColumns & ~kProfileColumns & ~kMmdColumns;

// What is computed when these columns are read: profile and MMD are left out as a whole.
std::uint32_t computed(std::uint32_t read) {
    return kOthers | ((read & kProfileColumns) != 0 ? kProfileColumns : 0) |
           ((read & kMmdColumns) != 0 ? kMmdColumns : 0);
}

// Bars of every kind: synthetic ones, some outside of the session, one without a positive price.
std::vector<ClosedBar> mixed_walk(std::size_t count, std::uint64_t seed) {
    auto bars = walk(count, seed);
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t close = bars[i].close_ticks;
        if (i % 40 == 25) {
            bars[i] = {bars[i].start_ts_ns, close, close, close, close, 0, 30, gm::kBarSynthetic};
        }
        if (i % 60 == 50) bars[i].flags |= gm::kBarOutOfSession;
    }
    bars[count / 2].low_ticks = -3;
    return bars;
}

bool same_where_computed(const StrategicFeatures& part, const StrategicFeatures& full,
                         std::uint32_t columns) {
    std::vector<float> matrix(full.matrix(), full.matrix() + gm::kStrategicValues);
    std::vector<double> row(full.row_f64(), full.row_f64() + gm::kStrategicColumns);
    for (std::size_t i = 0; i < matrix.size(); ++i) {
        if ((columns >> i % gm::kStrategicColumns & 1U) == 0) matrix[i] = 0.0F;
    }
    for (std::size_t i = 0; i < row.size(); ++i) {
        if ((columns >> i & 1U) == 0) row[i] = 0.0;
    }
    return std::memcmp(part.matrix(), matrix.data(), matrix.size() * sizeof(float)) == 0 &&
           std::memcmp(part.row_f64(), row.data(), row.size() * sizeof(double)) == 0;
}

}  // namespace

TEST_CASE("columns that nobody reads are 0, all others have the bits that they always have") {
    const auto bars = mixed_walk(1'000, 30);
    for (const std::uint32_t read :
         {0U, 1U << gm::kLvnDistance, 1U << gm::kLvnStrength, 1U << gm::kVolumeProfileSkew,
          kMmdColumns, kMmdColumns | 1U << gm::kLvnStrength, kOthers, gm::kAllStrategicColumns}) {
        CAPTURE(read);
        const auto full = opened();
        const auto part = std::make_unique<StrategicFeatures>();
        part->open(read);
        std::size_t ready = 0;
        for (std::size_t i = 0; i < bars.size(); ++i) {
            CAPTURE(i);
            if (i % 3 == 0) part->prepare();
            full->update(bars[i], kHourNs);
            part->update(bars[i], kHourNs);
            REQUIRE(same_where_computed(*part, *full, computed(read)));
            REQUIRE((part->is_ready() || !full->is_ready()));  // never later
            REQUIRE(part->bars_needed() <= full->bars_needed());
            const bool is_outside = (bars[i].flags & gm::kBarOutOfSession) != 0;
            REQUIRE((part->bars_needed() == 0 || !part->is_ready()));
            REQUIRE((part->bars_needed() > 0 || part->is_ready() || is_outside));
            REQUIRE(part->bars() == full->bars());
            REQUIRE(part->mlmi_value() == full->mlmi_value());
            REQUIRE(part->nwrqk_slope() == full->nwrqk_slope());
            REQUIRE(part->is_mmd_warm() == (full->is_mmd_warm() && (read & kMmdColumns) != 0));
            ready += full->is_ready() ? 1 : 0;
        }
        CHECK(ready > 500);
        CHECK(full->row_f64()[gm::kMmdScore] != 0.0);
        CHECK(full->row_f64()[gm::kVolumeProfileSkew] != 0.0);
    }
}

TEST_CASE("a snapshot holds which columns are computed, whoever takes it up") {
    const auto bars = mixed_walk(900, 31);
    const auto full = opened();
    const auto straight = std::make_unique<StrategicFeatures>();
    straight->open(kOthers | kMmdColumns);
    auto cut = std::make_unique<StrategicFeatures>();
    cut->open(kOthers | kMmdColumns);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        full->update(bars[i], 0);
        straight->update(bars[i], 0);
        cut->update(bars[i], 0);
        REQUIRE(same_where_computed(*cut, *full, kOthers | kMmdColumns));
        if (i % 7 != 0) continue;
        auto next = std::make_unique<StrategicFeatures>();
        next->open(i % 2 == 0 ? gm::kAllStrategicColumns : 0);
        REQUIRE(next->restore(snapshot_of(*cut)) == gm::Status::kOk);
        cut = std::move(next);
    }
    CHECK(snapshot_of(*straight) == snapshot_of(*cut));
}
