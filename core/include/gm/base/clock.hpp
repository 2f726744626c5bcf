// The only place where a clock is read.
//
// Durations come from the monotonic clock, stamps for people from the wall clock, stage times
// from the cycle counter. None of them reaches engine state or records: the engine is told the
// time. Users: runtime, journal, supervisor, benchmarks.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace gm {

// Since an arbitrary start; never goes back.
[[nodiscard]] std::int64_t monotonic_ns() noexcept;

// Since 1970-01-01 UTC; may jump when somebody sets the clock.
[[nodiscard]] std::int64_t wall_ns() noexcept;

// Cycle counter at constant rate, not ordered with the instructions around it: some 10 ns of
// blur, and no system call. Compare only on machines with constant_tsc (all that we run on).
[[nodiscard]] inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    std::uint64_t value;
    asm volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return static_cast<std::uint64_t>(monotonic_ns());
#endif
}

// What one tick of the cycle counter is worth. An object, not a global: whoever reports times
// holds one.
class TickScale {
 public:
    // Cold: spins for `duration_ns` against the monotonic clock. 20 ms give about 1e-5.
    static TickScale calibrate(std::int64_t duration_ns = 20'000'000) noexcept;

    [[nodiscard]] double ns_per_tick() const noexcept { return ns_per_tick_; }
    [[nodiscard]] double to_ns(std::uint64_t tick_count) const noexcept {
        return static_cast<double>(tick_count) * ns_per_tick_;
    }

 private:
    double ns_per_tick_ = 1.0;
};

}  // namespace gm
