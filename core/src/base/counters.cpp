// The reading side of the histogram.
#include "gm/base/counters.hpp"

#include <cmath>

namespace gm {

std::uint64_t Histogram::count() const noexcept {
    std::uint64_t total = 0;
    for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
    return total;
}

std::uint64_t Histogram::count_at_most(std::uint64_t limit) const noexcept {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < kBucketCount && upper_end(i) <= limit; ++i) total += count_in(i);
    return total;
}

std::uint64_t Histogram::percentile(double fraction) const noexcept {
    const std::uint64_t total = count();
    if (total == 0) return 0;
    const double wanted = std::ceil(fraction * static_cast<double>(total));
    const std::uint64_t rank = wanted < 1.0 ? 1 : static_cast<std::uint64_t>(wanted);
    std::uint64_t seen = 0;
    // Counts only grow, so this pass reaches the rank that the first one allowed.
    for (std::size_t i = 0; i < kBucketCount; ++i) {
        seen += count_in(i);
        if (seen >= rank) return std::min(upper_end(i), max());
    }
    return max();
}

HistogramSummary Histogram::summary() const noexcept {
    return {count(), sum(), percentile(0.5), percentile(0.99), percentile(0.999), max()};
}

}  // namespace gm
