// Calls user kernels for an engine: the one place where a user's code runs in this process.
//
// After each step the driver lets the host serve what the step left, on the same thread and before
// the next input. A call is timed by the time-stamp counter outside the step; what it returned is
// judged here and goes into the engine as an input record, so no clock reaches state. The heartbeat
// word says which kernel is being called and since when: another thread that finds it too old knows
// that the kernel hangs (SAFETY P8), and ends the process.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "gm/base/clock.hpp"
#include "gm/engine/engine.hpp"
#include "gm/wire/record.hpp"

namespace gm {

inline constexpr std::int64_t kNoKernelBudgetNs = INT64_MAX;  // and no clock is measured for it
// 0: `value` is what the kernel returned. Anything else: it raised an exception.
using KernelFunction = std::int32_t (*)(const double* const* windows, double* value);

// The input record that says what came of the call which the engine waits for.
[[nodiscard]] inline Slot make_answer(const Engine& engine, const KernelResult& result) noexcept {
    Slot answer = make_slot(RecordType::kKernelResult, Source::kKernel,
                            engine.last_kernel_sequence() + 1, engine.now_ns(), result);
    answer.header.epoch = engine.epoch();
    return answer;
}

class KernelHost {
 public:
    // Cold. One function a row of the settings; budget of one call.
    void open(std::span<const KernelSettings> kernels, std::span<const KernelFunction> functions,
              std::int64_t budget_ns);
    // Cold. It hung in a former life: it is not called, and its next answer says so.
    void mark_hung(std::size_t kernel) noexcept { is_hung_[kernel] = true; }

    // Driver's thread. Makes the calls that the last step left and hands each answer to `step`,
    // which gives it to the engine; returns when none is left or a step was not taken.
    template <typename Step>
    void serve(const Engine& engine, Step step) noexcept {
        KernelCall call{};
        while (count_ > 0 && engine.next_kernel_call(call)) {  // bounded: see Kernels::ask
            const std::uint64_t sequence = engine.last_kernel_sequence() + 1;
            step(make_answer(engine, make_call(call)));
            if (engine.last_kernel_sequence() != sequence) return;
        }
    }

    // Any thread. What is being called since when: two looks that find the same word find the same
    // call. 0: none.
    [[nodiscard]] std::uint64_t heartbeat() const noexcept {
        return heartbeat_.load(std::memory_order_relaxed);  // orders nothing but itself
    }
    [[nodiscard]] static std::size_t kernel_of(std::uint64_t word) noexcept {
        return (word & kKernelMask) - 1;
    }
    [[nodiscard]] static std::uint64_t age_ticks(std::uint64_t word) noexcept {
        return (ticks() << kKernelBits >> kKernelBits) - (word >> kKernelBits);
    }

 private:
    static constexpr unsigned kKernelBits = 3;
    static constexpr std::uint64_t kKernelMask = (std::uint64_t{1} << kKernelBits) - 1;
    static_assert(kKernelsMax < kKernelMask);

    [[nodiscard]] KernelResult make_call(const KernelCall& call) noexcept;

    std::array<KernelSettings, kKernelsMax> kernels_{};
    std::array<KernelFunction, kKernelsMax> functions_{};
    std::array<bool, kKernelsMax> is_hung_{};
    std::size_t count_ = 0;
    std::uint64_t budget_ticks_ = 0;
    // Written by the driver's thread around each call, read by whoever watches.
    alignas(kCacheLineSize) std::atomic<std::uint64_t> heartbeat_{0};
};

// Finds a kernel that hangs. One thread looks at it, every few milliseconds.
class KernelWatch {
 public:
    KernelWatch(const KernelHost& host, std::int64_t hang_ns);
    // The row of a kernel that has been called for longer than hang_ns. Told only when two looks
    // found the same call too old: a process that was stopped as a whole goes on in between.
    [[nodiscard]] std::optional<std::size_t> look() noexcept;
    // The same for Cython: -1 for none.
    [[nodiscard]] int look_row() noexcept {
        const auto found = look();
        return found ? static_cast<int>(*found) : -1;
    }

 private:
    const KernelHost& host_;
    std::uint64_t limit_ticks_;
    std::uint64_t suspect_ = 0;
};

}  // namespace gm
