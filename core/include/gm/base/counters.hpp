// Counters and histograms that one thread writes while others read, without a lock.
//
// A word is written with a relaxed load and a relaxed store: one writer, so no increment is lost,
// and no locked instruction on the hot path. A reader sees each word whole, and each at its own
// moment: sums over several words are as consistent as a dashboard needs, no more.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace gm {

// A number that only grows. One writer thread, any reader.
class Counter {
 public:
    // Writer thread only.
    void add(std::uint64_t amount = 1) noexcept {
        // Relaxed: the value stands for itself, it publishes nothing.
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t value() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

 private:
    std::atomic<std::uint64_t> value_{0};
};

// The last value of something that goes up and down. One writer thread, any reader.
class Gauge {
 public:
    // Writer thread only.
    void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t value() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

 private:
    std::atomic<std::int64_t> value_{0};
};

struct HistogramSummary {
    std::uint64_t count = 0;
    std::uint64_t sum = 0;
    std::uint64_t p50 = 0;
    std::uint64_t p99 = 0;
    std::uint64_t p999 = 0;
    std::uint64_t max = 0;
};

// Distribution of unsigned values (nanoseconds, ticks) over the whole range of 64 bits.
//
// Log-linear: below 64 each value has its own bucket, above that each power of two is cut into 32,
// so a bucket's upper end is at most 1/32 above any value in it. 15 KiB, no allocation.
// Source: Tene, HdrHistogram (the bucket layout).
class Histogram {
 public:
    static constexpr unsigned kCutBits = 5;  // 32 buckets a power of two
    static constexpr std::size_t kCut = std::size_t{1} << kCutBits;
    static constexpr std::size_t kBucketCount = (64 - kCutBits - 1) * kCut + 2 * kCut;

    // Writer thread only.
    void record(std::uint64_t value) noexcept {
        increase(buckets_[bucket_of(value)], 1);
        increase(sum_, value);
        if (value > max_.load(std::memory_order_relaxed)) {
            max_.store(value, std::memory_order_relaxed);
        }
    }

    [[nodiscard]] static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
        const auto width = static_cast<unsigned>(std::bit_width(value));
        const unsigned shift = width > kCutBits + 1 ? width - kCutBits - 1 : 0;
        return shift * kCut + static_cast<std::size_t>(value >> shift);
    }

    // The largest value that falls into the bucket.
    [[nodiscard]] static constexpr std::uint64_t upper_end(std::size_t bucket) noexcept {
        const std::size_t shift = bucket < 2 * kCut ? 0 : bucket / kCut - 1;
        // The last bucket ends at 2^64 - 1: the shift wraps to 0 and the subtraction to the end.
        return ((std::uint64_t{bucket - shift * kCut} + 1) << shift) - 1;
    }

    [[nodiscard]] std::uint64_t count_in(std::size_t bucket) const noexcept {
        return buckets_[bucket].load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t count() const noexcept;
    // Wraps after 2^64; for means over less than that.
    [[nodiscard]] std::uint64_t sum() const noexcept {
        return sum_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t max() const noexcept {
        return max_.load(std::memory_order_relaxed);
    }

    // Values in buckets that end at or below `limit`: the cumulative count of an exposition
    // format. Exact for a limit that is an upper end.
    [[nodiscard]] std::uint64_t count_at_most(std::uint64_t limit) const noexcept;

    // The smallest recorded value v with at least `fraction` (0 to 1) of all values at or below
    // it, as the upper end of its bucket, but never above max(). 0 when empty.
    [[nodiscard]] std::uint64_t percentile(double fraction) const noexcept;

    [[nodiscard]] HistogramSummary summary() const noexcept;

 private:
    static void increase(std::atomic<std::uint64_t>& word, std::uint64_t amount) noexcept {
        word.store(word.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }

    std::array<std::atomic<std::uint64_t>, kBucketCount> buckets_{};
    std::atomic<std::uint64_t> sum_{0};
    std::atomic<std::uint64_t> max_{0};
};

}  // namespace gm
