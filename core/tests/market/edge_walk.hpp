// Events of a market that tries the edges of quarantine: prices that are often exactly on the edge
// of a band, or of a part of one, of the last good price or of one before it; stamps and numbers of
// lots that are often on the edge of what is let in.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>

#include "gm/base/checked.hpp"
#include "gm/market/quarantine.hpp"
#include "market/fixtures.hpp"

namespace gm::test {

class EdgeWalk {
 public:
    EdgeWalk(const Instrument& row, std::int64_t home, std::uint64_t seed)
        : random_(seed), row_(row), home_(home) {
        price_max_ = std::min(BarCheck::kUnitsMax, INT64_MAX / row.tick_value_micros);
        seen_.fill(home);
    }

    std::int64_t below(std::int64_t count) {
        return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(count));
    }
    std::int64_t price(std::int64_t reference) {
        // Home again, by three that agree: a wide band leads far away.
        if (homing_ == 0 && below(40) == 0) homing_ = 3;
        if (homing_ > 0) {
            --homing_;
            return home_ + below(2);
        }
        if (below(30) == 0) return row_.price_floor_ticks + below(3);
        if (below(40) == 0) return (below(2) == 0 ? -1 : 1) * (price_max_ + below(3) - 1);
        const std::int64_t from = below(2) == 0 ? reference : seen_[index(seen_)];
        const Int128 share = Int128{from < 0 ? -from : from} * row_.band_ppm / 1'000'000;
        const auto band = std::max(static_cast<std::int64_t>(share), row_.band_ticks_min);
        constexpr std::array<std::int64_t, 5> kParts = {1, 2, 3, 4, 8};
        const std::int64_t step =
            below(3) == 0 ? below(band + 1) : band / kParts[index(kParts)] + below(3) - 1;
        return seen_[index(seen_)] = below(2) == 0 ? from + step : from - step;
    }
    std::int64_t lots() {
        if (below(30) > 0) return below(4);
        return below(2) == 0 ? -1 : BarCheck::kUnitsMax + below(2);
    }
    std::int64_t stamp() {
        constexpr std::array<std::int64_t, 5> kExtremes = {kTimeMax, INT64_MAX, -kTimeMax,
                                                           INT64_MIN, 1 - kTimeMax};
        if (below(100) == 0) return kExtremes[index(kExtremes)];
        now_ += below(4);
        return below(20) == 0 ? now_ - below(6) : now_;
    }
    // For a stamp of about now.
    std::int64_t clock() {
        constexpr std::array<std::int64_t, 5> kExtremes = {kTimeMax, INT64_MAX, -kTimeMax,
                                                           kTimeMax - 1, 1 - kTimeMax};
        if (below(2) == 0) return kNoClock;
        if (below(20) == 0) return kExtremes[index(kExtremes)];
        return below(10) == 0 ? now_ - BarCheck::kFutureNsMax + below(3) - 1 : now_;
    }
    BarClose close(std::int64_t reference) {
        BarClose row = bar(stamp(), 5, price(reference), 0, 0, price(reference), lots());
        row.high_ticks = std::max(row.open_ticks, row.close_ticks) + (below(40) == 0 ? -1 : 0);
        row.low_ticks = std::min(row.open_ticks, row.close_ticks);
        return row;
    }

 private:
    template <typename Array>
    std::size_t index(const Array& array) {
        return static_cast<std::size_t>(below(static_cast<std::int64_t>(array.size())));
    }

    std::mt19937_64 random_;
    Instrument row_;
    std::int64_t home_;
    std::int64_t price_max_ = 0;
    std::int64_t now_ = kMonday;
    std::array<std::int64_t, 4> seen_{};
    int homing_ = 0;
};

}  // namespace gm::test
