// How noisy the machine is at this moment: what every round of a benchmark prints beside its score.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "gm/base/clock.hpp"

namespace bench {

// Reads the counter only when everything before it is done: else the work would look shorter.
inline std::uint64_t ticks_in_order() noexcept {
#if defined(__x86_64__)
    asm volatile("lfence" ::: "memory");
#endif
    return gm::ticks();
}

// Tells whether this thread was interrupted in between: a return from an interrupt clears a segment
// register that holds a null selector with a privilege level, whatever runs in between. ES has no
// other use in 64-bit code. An exit to the host alone leaves no trace here. Source: Zhang, Zhang,
// Lou, "SegScope: Probing Fine-grained Interrupts via Architectural Footprints", HPCA 2024.
class InterruptTrap {
 public:
    void arm() noexcept {
#if defined(__x86_64__)
        asm volatile("mov %0, %%es" : : "r"(kArmed) : "memory");
#endif
    }
    [[nodiscard]] bool is_sprung() const noexcept {
#if defined(__x86_64__)
        std::uint16_t found;
        asm volatile("mov %%es, %0" : "=r"(found) : : "memory");
        return found != kArmed;
#else
        return true;  // nothing is known to have been quiet
#endif
    }

 private:
    static constexpr std::uint16_t kArmed = 1;
};

inline void pin_thread(int cpu) noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// What a spin that does nothing saw: how often and for how long the processor was taken away.
struct NullSpin {
    double stolen_share;        // of the time, in pauses over 1 us
    double longest_ns;          // pause
    double pauses_per_s_10_us;  // pauses over 10 us
};

inline NullSpin null_spin(const gm::TickScale& scale, double duration_ns) noexcept {
    NullSpin seen{};
    const std::uint64_t begin = gm::ticks();
    std::uint64_t before = begin;
    double stolen_ns = 0.0;
    double long_pauses = 0.0;
    while (scale.to_ns(before - begin) < duration_ns) {
        const std::uint64_t now = gm::ticks();
        const double pause_ns = scale.to_ns(now - before);
        before = now;
        if (pause_ns < 1000.0) continue;
        stolen_ns += pause_ns;
        long_pauses += pause_ns > 10'000.0 ? 1.0 : 0.0;
        seen.longest_ns = std::max(seen.longest_ns, pause_ns);
    }
    const double spun_ns = scale.to_ns(before - begin);
    seen.stolen_share = stolen_ns / spun_ns;
    seen.pauses_per_s_10_us = long_pauses / spun_ns * 1e9;
    return seen;
}

// Median ns of one way of a cache line between two cores; 0 when the other core did not answer.
inline double ping_pong_ns(const gm::TickScale& scale, int cpu, int other_cpu) {
    constexpr std::uint64_t kHops = 5'000;
    constexpr double kPatienceNs = 2e9;
    struct alignas(64) Line {
        std::atomic<std::uint64_t> word{0};
    };
    Line there;
    Line back;
    std::atomic<bool> must_stop{false};
    std::thread partner([&] {
        pin_thread(other_cpu);
        for (std::uint64_t i = 1; i <= kHops; ++i) {
            while (there.word.load(std::memory_order_acquire) != i) {
                if (must_stop.load(std::memory_order_relaxed)) return;
            }
            back.word.store(i, std::memory_order_release);
        }
    });
    cpu_set_t former;
    pthread_getaffinity_np(pthread_self(), sizeof former, &former);
    pin_thread(cpu);
    std::vector<double> ns;
    ns.reserve(kHops);
    const std::uint64_t begin = gm::ticks();
    for (std::uint64_t i = 1; i <= kHops && !must_stop.load(std::memory_order_relaxed); ++i) {
        const std::uint64_t from = gm::ticks();
        there.word.store(i, std::memory_order_release);
        while (back.word.load(std::memory_order_acquire) != i) {
            if (scale.to_ns(gm::ticks() - begin) > kPatienceNs) {
                must_stop.store(true, std::memory_order_relaxed);
                break;
            }
        }
        ns.push_back(scale.to_ns(gm::ticks() - from) / 2.0);
    }
    partner.join();
    pthread_setaffinity_np(pthread_self(), sizeof former, &former);
    if (must_stop.load(std::memory_order_relaxed)) return 0.0;
    auto middle = ns.begin() + static_cast<std::ptrdiff_t>(ns.size() / 2);
    std::nth_element(ns.begin(), middle, ns.end());
    return *middle;
}

}  // namespace bench
