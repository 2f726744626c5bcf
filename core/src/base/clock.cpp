// Clock reads: vDSO calls, no system call on the machines that we run on.
#include "gm/base/clock.hpp"

#include <ctime>

namespace gm {
namespace {

std::int64_t read_ns(clockid_t clock) {
    std::timespec now{};
    // Cannot fail for these two clocks with a valid pointer.
    static_cast<void>(clock_gettime(clock, &now));
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() noexcept {
    return read_ns(CLOCK_MONOTONIC);
}

std::int64_t wall_ns() noexcept {
    return read_ns(CLOCK_REALTIME);
}

TickScale TickScale::calibrate(std::int64_t duration_ns) noexcept {
    const std::int64_t start_ns = monotonic_ns();
    const std::uint64_t start_ticks = ticks();
    std::int64_t now_ns = start_ns;
    while (now_ns - start_ns < duration_ns) now_ns = monotonic_ns();  // bounded by the clock
    const std::uint64_t elapsed_ticks = ticks() - start_ticks;
    TickScale scale;
    if (elapsed_ticks > 0) {
        scale.ns_per_tick_ =
            static_cast<double>(now_ns - start_ns) / static_cast<double>(elapsed_ticks);
    }
    return scale;
}

}  // namespace gm
