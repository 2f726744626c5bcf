// Kernels sum to what their definition gives, with the same bits by every instruction set.
#include "gm/indicators/gaussian_sum.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace {

using gm::GaussianPoints;
using gm::InstructionSet;

constexpr InstructionSet kSets[] = {InstructionSet::kScalar, InstructionSet::kAvx2,
                                    InstructionSet::kAvx512};
constexpr std::int32_t kStride = 720;

std::vector<double> random_points(double spread) {
    std::mt19937_64 random(23);
    std::normal_distribution<double> normal(0.0, spread);
    std::vector<double> points(4 * kStride);
    for (double& coordinate : points) coordinate = normal(random);
    return points;
}

}  // namespace

TEST_CASE("at distances 0, 1, 2 and 3 kernels are 1, 1/2, 1/4 and 1/8 exactly") {
    std::vector<double> points(4 * kStride, 5.0);
    const double point[4] = {5.0, 5.0, 5.0, 5.0};
    for (const InstructionSet set : kSets) {
        const gm::GaussianSumsFunction sums = gm::find_gaussian_sums(set);
        if (sums == nullptr) continue;
        CHECK(sums({points.data(), kStride, 0}, 0, point).head == 0.0);
        CHECK(sums({points.data(), kStride, 1}, 1, point).head == 1.0);
        CHECK(sums({points.data(), kStride, 599}, 599, point).head == 599.0);
        std::vector<double> apart = points;
        apart[1] = 6.0;                           // d = 1
        apart[2] = apart[2 + kStride] = 4.0;      // d = 2
        apart[3] = apart[3 + 2 * kStride] = 6.0;  // d = 3
        apart[3 + 3 * kStride] = 4.0;
        CHECK(sums({apart.data(), kStride, 4}, 4, point).head == 1.875);
    }
}

TEST_CASE("a kernel is right to 1e-15 from next to 0 far into the tail") {
    std::vector<double> points(4 * kStride, 0.0);
    const double point[4] = {};
    for (double d = 1e-9; d < 900.0; d = d * 1.01 + 1e-3) {
        points[0] = std::sqrt(d);
        const long double expected = std::exp2(-static_cast<long double>(points[0] * points[0]));
        const double found = gm::gaussian_sum({points.data(), kStride, 1}, point);
        REQUIRE(std::abs(found - expected) <= 1e-15L * expected);
    }
}

TEST_CASE("a point out of all reach adds nothing and harms nothing") {
    std::vector<double> points(4 * kStride, 0.0);
    const double point[4] = {};
    for (const double far : {1e3, 1e100, 1e200}) {  // squared: 1e6, 1e200, infinite
        points[0] = far;
        for (const InstructionSet set : kSets) {
            const gm::GaussianSumsFunction sums = gm::find_gaussian_sums(set);
            if (sums == nullptr) continue;
            CHECK(sums({points.data(), kStride, 1}, 1, point).head < 1e-300);
            CHECK(sums({points.data(), kStride, 2}, 2, point).head == 1.0);
        }
    }
}

TEST_CASE("every instruction set gives the same bits for every count, start and split") {
    const std::vector<double> points = random_points(1.2);
    const gm::GaussianSumsFunction scalar = gm::find_gaussian_sums(InstructionSet::kScalar);
    REQUIRE((scalar != nullptr));
    for (std::int32_t count = 0; count <= 640; ++count) {
        const GaussianPoints run{points.data() + count % 37, kStride, count};
        const double point[4] = {0.1 * (count % 7), -0.3, points[static_cast<std::size_t>(count)],
                                 1.5};
        for (const std::int32_t split : {count, 0, count / 2, count - count % 17}) {
            const gm::GaussianSums expected = scalar(run, split, point);
            const gm::GaussianSums widest = gm::gaussian_sums(run, split, point);
            REQUIRE(std::memcmp(&widest, &expected, sizeof widest) == 0);
            for (const InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
                const gm::GaussianSumsFunction sums = gm::find_gaussian_sums(set);
                if (sums == nullptr) continue;
                const gm::GaussianSums found = sums(run, split, point);
                REQUIRE(std::memcmp(&found, &expected, sizeof found) == 0);
            }
        }
    }
}

TEST_CASE("the two sums are those of either part alone") {
    const std::vector<double> points = random_points(0.8);
    const double point[4] = {0.2, -0.3, 0.0, 0.1};
    for (const std::int32_t count : {1, 15, 16, 17, 99, 599}) {
        for (std::int32_t split = 0; split <= count; ++split) {
            const gm::GaussianSums both =
                gm::gaussian_sums({points.data(), kStride, count}, split, point);
            const double head = gm::gaussian_sum({points.data(), kStride, split}, point);
            const double tail =
                gm::gaussian_sum({points.data() + split, kStride, count - split}, point);
            REQUIRE(both.head == head);
            REQUIRE(std::abs(both.tail - tail) <= 1e-13 * std::fmax(1.0, tail));
        }
    }
}

TEST_CASE("a machine has the instruction sets that its widest one holds") {
    CHECK(gm::has_instruction_set(InstructionSet::kScalar));
    CHECK_FALSE(gm::has_instruction_set(static_cast<InstructionSet>(99)));
    const auto widest = gm::widest_instruction_set();
    CHECK(gm::has_instruction_set(widest));
    for (const InstructionSet set : kSets) {
        CHECK((gm::find_gaussian_sums(set) != nullptr) == gm::has_instruction_set(set));
        CHECK(gm::has_instruction_set(set) == (set <= widest));
    }
}
