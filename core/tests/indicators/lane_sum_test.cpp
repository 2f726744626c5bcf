// Sums in lanes are the sums, in an order that the count alone decides.
#include "gm/indicators/lane_sum.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

namespace {

std::vector<double> random_values(std::size_t count) {
    std::mt19937_64 random(7);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    std::vector<double> values(count);
    for (double& value : values) value = uniform(random);
    return values;
}

// The order as the header states it, one double at a time.
double sum_as_stated(const std::vector<double>& terms) {
    double lanes[16] = {};
    for (std::size_t i = 0; i < terms.size(); ++i) lanes[i % 16] += terms[i];
    for (std::size_t width = 8; width > 0; width /= 2) {
        for (std::size_t k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
}

}  // namespace

TEST_CASE("small integers are summed exactly, tail included") {
    std::vector<double> values;
    for (int count = 0; count <= 40; ++count) {
        CHECK(gm::lane_sum(values.data(), count) == count * (count + 1) / 2);
        values.push_back(count + 1);
    }
}

TEST_CASE("every count from 0 to 600 keeps the stated order to the last bit") {
    const std::vector<double> values = random_values(600);
    const std::vector<double> weights = random_values(601);
    for (std::int32_t count = 0; count <= 600; ++count) {
        std::vector<double> plain, about, squares, dot;
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
            const double difference = values[i] - 0.25;
            plain.push_back(values[i]);
            about.push_back(difference);
            squares.push_back(difference * difference);
            dot.push_back(weights[i + 1] * difference);
        }
        REQUIRE(gm::lane_sum(values.data(), count) == sum_as_stated(plain));
        REQUIRE(gm::lane_sum_about(values.data(), count, 0.25) == sum_as_stated(about));
        REQUIRE(gm::lane_squares_about(values.data(), count, 0.25) == sum_as_stated(squares));
        REQUIRE(gm::lane_dot_about(weights.data() + 1, values.data(), count, 0.25) ==
                sum_as_stated(dot));
    }
}
