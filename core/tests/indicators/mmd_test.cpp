// MMD measures by its definition, spread over bars or not, and ranks what it measures.
#include "gm/indicators/mmd.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

namespace {

using gm::Mmd;
using Row = std::array<double, 4>;

std::unique_ptr<Mmd> opened() {
    auto mmd = std::make_unique<Mmd>();
    std::memset(static_cast<void*>(mmd.get()), 0, sizeof *mmd);
    return mmd;
}

struct Bar {
    double high;
    double low;
    double close;
    double volume;
};

std::vector<Bar> walk(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(0.0, 1.0);
    std::vector<Bar> bars;
    double price = 5000.0;
    for (std::size_t i = 0; i < count; ++i) {
        const double loud = 1.0 + std::sin(static_cast<double>(i) / 150.0) / 2.0;
        price *= std::exp(0.002 * loud * normal(random));
        const double wick = 4.0 * loud * std::abs(normal(random));
        bars.push_back({price + wick, price - wick, price, std::floor(500.0 * loud * loud)});
    }
    return bars;
}

// Rows of SPEC §2, from the second bar on.
std::vector<Row> rows_of(const std::vector<Bar>& bars) {
    std::vector<Row> rows;
    double mean_volume = bars[0].volume;
    for (std::size_t i = 1; i < bars.size(); ++i) {
        mean_volume += 2.0 / 21.0 * (bars[i].volume - mean_volume);
        const double r = std::log(bars[i].close / bars[i - 1].close);
        rows.push_back({r, std::abs(r), (bars[i].high - bars[i].low) / bars[i - 1].close,
                        std::log((bars[i].volume + 1.0) / (mean_volume + 1.0))});
    }
    return rows;
}

double squared_distance(const Row& a, const Row& b) {
    double sum = 0.0;
    for (std::size_t c = 0; c < 4; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
    return sum;
}

// m at `rows[newest]`, fitted for the last refit at or before it: every kernel anew.
double slow_discrepancy(const std::vector<Row>& rows, std::size_t newest) {
    const std::size_t fitted = 599 + (newest - 599) / 46 * 46;
    Row mean{};
    Row deviation{};
    for (std::size_t c = 0; c < 4; ++c) {
        for (std::size_t i = fitted - 599; i <= fitted - 100; ++i) mean[c] += rows[i][c] / 500.0;
        for (std::size_t i = fitted - 599; i <= fitted - 100; ++i) {
            deviation[c] += (rows[i][c] - mean[c]) * (rows[i][c] - mean[c]) / 500.0;
        }
        deviation[c] = std::max(std::sqrt(deviation[c]), 1e-12);
    }
    const auto standard = [&](std::size_t i) {
        Row row{};
        for (std::size_t c = 0; c < 4; ++c) row[c] = (rows[i][c] - mean[c]) / deviation[c];
        return row;
    };
    std::vector<double> distances;
    for (std::size_t i = fitted - 599; i <= fitted - 100; i += 5) {
        for (std::size_t j = fitted - 599; j < i; j += 5) {
            distances.push_back(std::sqrt(squared_distance(standard(i), standard(j))));
        }
    }
    std::sort(distances.begin(), distances.end());
    const double width = std::max((distances[2474] + distances[2475]) / 2.0, 1e-12);
    std::vector<Row> window;
    for (std::size_t i = newest - 599; i <= newest; ++i) window.push_back(standard(i));
    double sums[3] = {};  // reference with itself, across, test with itself
    for (std::size_t i = 0; i < 600; ++i) {
        for (std::size_t j = 0; j < 600; ++j) {
            if ((i < 500) != (j < 500) && i > j) continue;
            const std::size_t which = i < 500 && j < 500 ? 0 : i >= 500 && j >= 500 ? 2 : 1;
            sums[which] +=
                std::exp(-squared_distance(window[i], window[j]) / (2.0 * width * width));
        }
    }
    const double squared = sums[0] / 250'000.0 + sums[2] / 10'000.0 - 2.0 * sums[1] / 50'000.0;
    return std::sqrt(std::max(squared, 0.0));
}

void update(Mmd& mmd, const Bar& bar) {
    mmd.prepare();
    mmd.update(bar.high, bar.low, bar.close, bar.volume);
}

}  // namespace

static_assert(std::is_trivially_copyable_v<Mmd>);

TEST_CASE("1, 3, 4 and 9 have 3 and 4 in the middle, an odd count one number twice") {
    double four[] = {9.0, 1.0, 4.0, 3.0};
    const gm::MiddleTwo middle = gm::middle_of(four);
    CHECK(middle.lower == 3.0);
    CHECK(middle.upper == 4.0);
    double five[] = {9.0, 1.0, 4.0, 3.0, 5.0};
    CHECK(gm::middle_of(five).lower == 4.0);
    double five_again[] = {9.0, 1.0, 4.0, 3.0, 5.0};
    CHECK(gm::middle_of(five_again).upper == 4.0);
}

TEST_CASE("the middle of any values is that of sorted ones, outliers and equal ones included") {
    std::mt19937_64 random(11);
    for (std::size_t count = 1; count < 400; count += 7) {
        for (const double spread : {0.0, 1.0, 30.0}) {
            std::normal_distribution<double> normal(0.0, spread + 1e-300);
            std::vector<double> values(count);
            for (double& value : values) value = std::exp(normal(random));
            if (count > 3) values[1] = values[2] = values[0];
            std::vector<double> sorted = values;
            std::sort(sorted.begin(), sorted.end());
            const gm::MiddleTwo middle = gm::middle_of(values);
            REQUIRE(middle.lower == sorted[(count - 1) / 2]);
            REQUIRE(middle.upper == sorted[count / 2]);
        }
    }
}

TEST_CASE("bars that are all alike are as unlike as nothing") {
    const auto mmd = opened();
    for (int bar = 0; bar < 900; ++bar) {
        update(*mmd, {110.0, 90.0, 100.0, 5.0});
        REQUIRE(mmd->discrepancy() == 0.0);
        REQUIRE(mmd->score() == 0.0);  // all equal: the middle rank
        REQUIRE(mmd->is_warm() == (bar >= 600 + 199));
    }
}

TEST_CASE("from bar 601 on m is that of every kernel summed anew, across refits") {
    const auto bars = walk(760, 3);
    const std::vector<Row> rows = rows_of(bars);
    const auto mmd = opened();
    for (std::size_t bar = 0; bar < bars.size(); ++bar) {
        update(*mmd, bars[bar]);
        if (bar < 600) {
            REQUIRE(mmd->discrepancy() == 0.0);
            continue;
        }
        // At each refit (rows 600, 646, 692, 738), the bars beside it, and some between.
        const std::size_t since = (bar - 600) % 46;
        if (since > 1 && since < 45 && since % 16 != 0) continue;
        REQUIRE(std::abs(mmd->discrepancy() - slow_discrepancy(rows, bar - 1)) < 1e-12);
    }
}

TEST_CASE("the score is the rank of m among those there are, from the 200th on") {
    const auto mmd = opened();
    std::vector<double> seen;
    for (const Bar& bar : walk(1'100, 4)) {
        update(*mmd, bar);
        if (mmd->discrepancy() == 0.0) continue;
        seen.push_back(mmd->discrepancy());
        const auto smaller =
            std::count_if(seen.begin(), seen.end(), [&](double m) { return m < seen.back(); });
        const double rank = (static_cast<double>(smaller) + 0.5) / static_cast<double>(seen.size());
        REQUIRE(mmd->score() == (seen.size() < 200 ? 0.0 : 2.0 * rank - 1.0));
    }
    CHECK(seen.size() == 500);
}

TEST_CASE("a jump after calm, without any spread in the reference, stays a number") {
    const auto mmd = opened();
    double most = 0.0;
    for (int bar = 0; bar < 1'500; ++bar) {
        const bool is_calm = bar < 1'200;
        const double price = is_calm ? 100.0 : 100.0 + bar % 7;
        update(*mmd, {price, price, price, is_calm ? 0.0 : 1e9});
        most = std::max(most, mmd->discrepancy());
        REQUIRE(mmd->discrepancy() >= 0.0);
        REQUIRE(mmd->discrepancy() <= 1.5);  // m² is at most 1 + 1
        REQUIRE(std::abs(mmd->score()) <= 1.0);
    }
    CHECK(most > 1.0);  // a hundred bars after the jump: next to 1 + 1/7
}

TEST_CASE("preparing twice, or a copy that goes on, gives the same bits at every bar of a fit") {
    const auto mmd = opened();
    for (const Bar& bar : walk(700, 5)) {
        const auto copy = std::make_unique<Mmd>();
        std::memcpy(static_cast<void*>(copy.get()), mmd.get(), sizeof *mmd);
        mmd->prepare();
        update(*mmd, bar);
        update(*copy, bar);
        REQUIRE(std::memcmp(copy.get(), mmd.get(), sizeof *mmd) == 0);
    }
}
