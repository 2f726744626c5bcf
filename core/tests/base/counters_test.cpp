// Promise: percentiles are right to one part in 32, and a reader beside the writer sees no
// nonsense.
#include "gm/base/counters.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using gm::Histogram;

TEST_CASE("small values have buckets of their own") {
    Histogram histogram;
    for (std::uint64_t value = 1; value <= 10; ++value) histogram.record(value);
    CHECK(histogram.count() == 10);
    CHECK(histogram.sum() == 55);
    CHECK(histogram.max() == 10);
    CHECK(histogram.percentile(0.5) == 5);
    CHECK(histogram.percentile(0.9) == 9);
    CHECK(histogram.percentile(0.91) == 10);
    CHECK(histogram.percentile(1.0) == 10);
    CHECK(histogram.percentile(0.0) == 1);
    CHECK(histogram.count_at_most(4) == 4);
}

TEST_CASE("an empty histogram answers zero") {
    const Histogram histogram;
    CHECK(histogram.percentile(0.99) == 0);
    CHECK(histogram.summary().count == 0);
    CHECK(histogram.summary().max == 0);
}

TEST_CASE("buckets cover every value once, in order, at most 1/32 wide") {
    CHECK(Histogram::bucket_of(0) == 0);
    CHECK(Histogram::bucket_of(UINT64_MAX) == Histogram::kBucketCount - 1);
    CHECK(Histogram::upper_end(Histogram::kBucketCount - 1) == UINT64_MAX);
    for (std::size_t i = 0; i + 1 < Histogram::kBucketCount; ++i) {
        const std::uint64_t last = Histogram::upper_end(i);
        REQUIRE(Histogram::bucket_of(last) == i);
        REQUIRE(Histogram::bucket_of(last + 1) == i + 1);
        const std::uint64_t width = Histogram::upper_end(i + 1) - last;
        REQUIRE(width - 1 <= (last + 1) / 32);
    }
}

TEST_CASE("percentiles agree with the sorted values") {
    std::mt19937_64 random(4);
    for (int round = 0; round < 20; ++round) {
        const auto histogram = std::make_unique<Histogram>();
        std::vector<std::uint64_t> values(1 + random() % 5000);
        for (auto& value : values) {
            value = random() >> (random() % 64);
            histogram->record(value);
        }
        std::sort(values.begin(), values.end());
        for (const double fraction : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
            const double wanted = fraction * static_cast<double>(values.size());
            auto rank = static_cast<std::size_t>(wanted);
            if (static_cast<double>(rank) < wanted) ++rank;
            const std::uint64_t exact = values[rank == 0 ? 0 : rank - 1];
            const std::uint64_t answer = histogram->percentile(fraction);
            REQUIRE(answer >= exact);
            REQUIRE(answer - exact <= exact / 32);
        }
        REQUIRE(histogram->max() == values.back());
        REQUIRE(histogram->count() == values.size());
        REQUIRE(histogram->count_at_most(UINT64_MAX) == values.size());
    }
}

TEST_CASE("a reader beside the writer sees counts that only grow") {
    const auto histogram = std::make_unique<Histogram>();
    gm::Counter counter;
    gm::Gauge gauge;
    std::atomic<bool> is_done{false};
    std::thread writer([&] {
        std::mt19937_64 random(8);
        for (int i = 0; i < 200'000; ++i) {
            histogram->record(100 + random() % 900);
            counter.add();
            gauge.set(i);
        }
        is_done.store(true, std::memory_order_release);  // pairs with the acquire below
    });
    std::uint64_t last_count = 0;
    std::uint64_t wrong = 0;
    while (!is_done.load(std::memory_order_acquire)) {  // pairs with the release above
        const gm::HistogramSummary summary = histogram->summary();
        if (summary.count < last_count) ++wrong;
        if (summary.count > 0 && (summary.p50 < 100 || summary.p99 > 1023)) ++wrong;
        last_count = summary.count;
    }
    writer.join();
    CHECK(wrong == 0);
    CHECK(histogram->count() == 200'000);
    CHECK(counter.value() == 200'000);
    CHECK(gauge.value() == 199'999);
}
