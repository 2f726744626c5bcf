// A rank counts what is smaller and half of what is equal among the last 2,000 values.
#include "gm/indicators/rank_window.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <random>
#include <type_traits>

namespace {

double update(gm::RankWindow& window, double value) {
    window.prepare();
    return window.update(value);
}

}  // namespace

static_assert(std::is_trivially_copyable_v<gm::RankWindow>);

TEST_CASE("the largest of 200 ranks 1 less half of itself, and before there is no rank") {
    const auto window = std::make_unique<gm::RankWindow>();
    for (int i = 0; i < 199; ++i) {
        CHECK(update(*window, i) == 0.0);
        CHECK_FALSE(window->is_warm());
    }
    CHECK(update(*window, 1000.0) == 2.0 * (199.5 / 200.0) - 1.0);
    CHECK(window->is_warm());
    CHECK(update(*window, -1.0) == 2.0 * (0.5 / 201.0) - 1.0);
    CHECK(update(*window, 1000.0) == 2.0 * (201.0 / 202.0) - 1.0);  // two of them: 200 + 2/2
}

TEST_CASE("equal values rank in the middle, however many") {
    const auto window = std::make_unique<gm::RankWindow>();
    for (int i = 0; i < 4'100; ++i) REQUIRE(update(*window, 0.0) == 0.0);
}

TEST_CASE("values that differ by rounding alone are equal") {
    const auto window = std::make_unique<gm::RankWindow>();
    for (int i = 0; i < 300; ++i) REQUIRE(update(*window, 0.1 + (i % 5) * 1e-15) == 0.0);
    CHECK(update(*window, 0.1 + 1e-12) == 2.0 * (300.5 / 301.0) - 1.0);
}

TEST_CASE("every rank equals a count over a queue, ties and the 2,001st value included") {
    std::mt19937_64 random(5);
    std::uniform_int_distribution<int> coarse(0, 300);
    const auto window = std::make_unique<gm::RankWindow>();
    std::deque<double> queue;
    for (int i = 0; i < 4'500; ++i) {
        const double value = coarse(random) * (i < 2'500 ? 1.0 : 0.001);
        queue.push_back(value);
        if (queue.size() > 2'000) queue.pop_front();
        double below = 0.0;
        for (const double other : queue) below += other < value ? 1.0 : other == value ? 0.5 : 0.0;
        const double rank = below / static_cast<double>(queue.size());
        REQUIRE(update(*window, value) == (queue.size() < 200 ? 0.0 : 2.0 * rank - 1.0));
        if (i % 3 == 0) window->prepare();  // twice is once
    }
}
