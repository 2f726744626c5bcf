// The nearest points are those that a look at every point finds, ties to the most recent.
#include "gm/indicators/neighbours.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

namespace {

using gm::Neighbours;
using gm::PlanePoint;

struct Sample {
    PlanePoint point;
    int label;
};

void add(Neighbours& neighbours, const Sample& sample) {
    neighbours.offer(sample.point);
    neighbours.prepare(sample.point);
    neighbours.label(sample.label);
}

double deviation(const std::deque<Sample>& samples, double PlanePoint::* axis) {
    double mean = 0.0;
    for (const Sample& sample : samples) mean += sample.point.*axis;
    mean /= static_cast<double>(samples.size());
    double squares = 0.0;
    for (const Sample& sample : samples) {
        squares += (sample.point.*axis - mean) * (sample.point.*axis - mean);
    }
    return std::max(std::sqrt(squares / static_cast<double>(samples.size())), 1e-12);
}

// The definition, over every point.
double slow_vote(const std::deque<Sample>& samples, const PlanePoint& point) {
    const double x_deviation = deviation(samples, &PlanePoint::x);
    const double y_deviation = deviation(samples, &PlanePoint::y);
    struct Found {
        double distance;
        std::size_t age;
        int label;
    };
    std::vector<Found> found;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const double x = (samples[i].point.x - point.x) / x_deviation;
        const double y = (samples[i].point.y - point.y) / y_deviation;
        found.push_back({x * x + y * y, samples.size() - i, samples[i].label});
    }
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
        // Closer than rounding is a tie.
        if (std::abs(a.distance - b.distance) > 1e-12 * b.distance) return a.distance < b.distance;
        return a.age < b.age;
    });
    const auto wanted =
        std::min<std::size_t>(5, static_cast<std::size_t>(std::sqrt(samples.size())));
    int sum = 0;
    for (std::size_t i = 0; i < wanted; ++i) sum += found[i].label;
    return static_cast<double>(sum) / static_cast<double>(wanted);
}

}  // namespace

static_assert(std::is_trivially_copyable_v<Neighbours>);

TEST_CASE("of twenty points on a line the four nearest vote") {
    const auto line = std::make_unique<Neighbours>();
    for (int i = 0; i < 20; ++i) {
        CHECK(line->count() == i);
        add(*line, {{static_cast<double>(i), 3.0}, i >= 10 ? 1 : -1});
    }
    CHECK(line->vote({12.2, 3.0}) == 1.0);   // 12, 13, 11, 14
    CHECK(line->vote({9.6, 3.0}) == 0.0);    // 10, 9, 11, 8
    CHECK(line->vote({0.0, 3.0}) == -1.0);   // 0, 1, 2, 3
    CHECK(line->vote({9.0, 3.0}) == 0.0);    // 9, 10, 8, and of 7 and 11 the later: 11
    CHECK(line->vote({10.0, 3.0}) == 0.5);   // 10, 11, 9, and of 8 and 12 the later: 12
    CHECK(line->vote({500.0, 3.0}) == 1.0);  // 19, 18, 17, 16
}

TEST_CASE("an offered point is nobody's neighbour before it has its label") {
    const auto neighbours = std::make_unique<Neighbours>();
    for (int i = 0; i < 20; ++i) add(*neighbours, {{static_cast<double>(i), 0.0}, -1});
    CHECK_FALSE(neighbours->awaits_label());
    neighbours->offer({7.25, 0.0});
    CHECK(neighbours->awaits_label());
    neighbours->prepare({7.0, 0.0});
    CHECK(neighbours->vote({7.25, 0.0}) == -1.0);
    neighbours->label(1);
    CHECK_FALSE(neighbours->awaits_label());
    CHECK(neighbours->vote({7.25, 0.0}) == -0.5);  // (1 - 1 - 1 - 1)/4
}

TEST_CASE("each axis is measured by its own deviation") {
    const auto neighbours = std::make_unique<Neighbours>();
    // x spreads a thousand times as wide as y: by plain distance the last four would be nearest.
    for (int i = 0; i < 16; ++i) add(*neighbours, {{i * 1000.0, (i % 4) * 1.0}, 1});
    for (int i = 0; i < 4; ++i) add(*neighbours, {{6500.0 + i, 300.0}, -1});
    CHECK(neighbours->vote({6500.0, 1.5}) == 1.0);
}

TEST_CASE("the vote is that of a look at every point, through 2,000 and beyond, in any order") {
    std::mt19937_64 random(17);
    std::normal_distribution<double> normal(0.0, 1.0);
    const auto neighbours = std::make_unique<Neighbours>();
    std::deque<Sample> samples;
    PlanePoint wandering{50.0, 50.0};
    for (int i = 0; i < 2'600; ++i) {
        wandering.x += normal(random);
        wandering.y += 4.0 * normal(random);
        Sample sample{wandering, static_cast<int>(random() % 3) - 1};
        if (i % 2 == 0) sample.point = {std::round(wandering.x), std::round(wandering.y)};  // ties
        add(*neighbours, sample);
        samples.push_back(sample);
        if (samples.size() > 2'000) samples.pop_front();
        REQUIRE(neighbours->count() == static_cast<std::int32_t>(samples.size()));
        if (i < 20 || (i > 300 && i < 1'950 && i % 50 != 0)) continue;
        const PlanePoint asked{std::round(wandering.x + normal(random)), wandering.y};
        REQUIRE(neighbours->vote(asked) == slow_vote(samples, asked));
        // The same after a look around a point far off, near by, and without any.
        neighbours->prepare({-1e6, 1e6});
        REQUIRE(neighbours->vote(asked) == slow_vote(samples, asked));
        neighbours->prepare({asked.x + 0.3, asked.y});
        REQUIRE(neighbours->vote(asked) == slow_vote(samples, asked));
    }
}

TEST_CASE("two thousand points in one place are all as near: the most recent five vote") {
    const auto neighbours = std::make_unique<Neighbours>();
    for (int i = 0; i < 2'100; ++i) add(*neighbours, {{50.0, 50.0}, i % 7 == 0 ? 1 : -1});
    // 2,099 … 2,095: of them 2,093 + 7 is none, so all are -1.
    CHECK(neighbours->vote({50.0, 50.0}) == -1.0);
    add(*neighbours, {{50.0, 50.0}, 1});
    CHECK(neighbours->vote({51.0, 49.0}) == doctest::Approx(-0.6));
}
