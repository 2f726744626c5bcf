// Brings inputs to the engine, on the thread of io (inline) or on one of its own (threaded), with
// the same bytes in the journal either way.
//
// io submits, the runner steps. Before a step it sees to it that the journal has room; in lockstep
// it lets a deadline that an input's stamp passes fire first. It publishes what io must know as
// atomic words. An idle engine thread spins, then sleeps on a futex that io wakes only when the
// sleep was announced: the one system call of that thread, and never between pop and push.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "gm/base/clock.hpp"
#include "gm/base/counters.hpp"
#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/engine/outputs.hpp"
#include "gm/runtime/snapshots.hpp"
#include "gm/runtime/status_page.hpp"
#include "gm/runtime/thread.hpp"
#include "gm/session/kernel_host.hpp"

namespace gm {

// A live model that is over its budget so often in a row goes, if there is one before it.
inline constexpr std::uint32_t kLateDecisionsMax = 3;

enum class Driver : std::uint8_t { kInline = 0, kThreaded = 1 };

struct RunnerSettings {
    Driver driver = Driver::kInline;
    std::size_t feed_ring_slots = 4096;
    std::int64_t idle_spin_ns = 50'000;
    int engine_cpu = -1;
    std::uint64_t io_sequence = 0;            // of the last io record in the journal
    std::span<const Instrument> instruments;  // for the status page
    KernelHost* kernels = nullptr;            // null: there are none
    std::int64_t policy_budget_ns = 0;        // of one decision's networks; 0: none
    // No thread and no measured time: threaded, the engine's turn is turn(); idle() prepares
    // everything, however long it takes.
    bool is_stepped = false;
    Snapshots* snapshots = nullptr;  // null: none are made
    double ns_per_tick = 0.0;        // 0: measured by open(), which takes 20 ms
};

// What io reads between steps. One writer: whoever steps.
struct EngineView {
    std::int64_t next_deadline_ns = INT64_MAX;
    std::uint64_t open_orders = 0;
    std::uint64_t awaiting_queries = 0;
    EngineState state = EngineState::kRecovering;
    Awaited awaited = Awaited::kNothing;
    bool is_gapped = false;

    // Every order's fate is known, nothing is asked about any, and the venue's books are ours.
    [[nodiscard]] bool is_reconciled() const noexcept {
        const bool knows = state == EngineState::kReady || state == EngineState::kEnded ||
                           state == EngineState::kRecovering;
        const bool is_compared = awaited == Awaited::kNothing || awaited == Awaited::kIds;
        return knows && is_compared && awaiting_queries == 0 && !is_gapped;
    }
};

class EngineRunner {
 public:
    EngineRunner() = default;
    ~EngineRunner() { stop(); }
    EngineRunner(const EngineRunner&) = delete;
    EngineRunner& operator=(const EngineRunner&) = delete;

    // Cold. Everything handed in must outlive the runner.
    Failure open(Engine& engine, JournalRing& journal, SpscRing<Slot>& orders,
                 SpscRing<Slot>& drop_copy, StatusPage& page, const RunnerSettings& settings);
    Failure start();  // threaded: the engine thread; inline: nothing
    void stop() noexcept;
    // Stepped and threaded: consumes up to `most` of what waits. How many it took.
    std::size_t turn(std::size_t most) noexcept;

    // io thread. How many inputs are sure to be taken now.
    [[nodiscard]] std::size_t room() noexcept;
    // io thread. Steps now (inline) or hands over (threaded); io has asked for room() before.
    void submit(const Slot& input) noexcept;
    // io thread. Everything submitted was stepped, and its orders are in the order ring.
    [[nodiscard]] bool is_caught_up() noexcept;
    // io thread, after orders and DONE have left: work that need not wait for the next bar, for a
    // few microseconds. True: there is more of it, so look for messages and call again.
    [[nodiscard]] bool idle() noexcept;
    // io thread. As of the last step that is_caught_up() or room() has seen.
    [[nodiscard]] EngineView view() const noexcept;
    // io thread. Whether deadlines fire by the stamps of records (lockstep) or by io's TIMERs.
    void set_lockstep(bool is_lockstep) noexcept {
        is_lockstep_.store(is_lockstep, std::memory_order_relaxed);  // the next submit publishes it
    }
    // Any thread. The journal takes nothing any more, or an order found no room on its way out:
    // no step is begun from now on.
    void halt() noexcept { is_halted_.store(true, std::memory_order_release); }
    [[nodiscard]] bool is_halted() const noexcept {
        return is_halted_.load(std::memory_order_acquire);
    }

    [[nodiscard]] std::uint64_t submitted() const noexcept { return submitted_; }
    [[nodiscard]] std::uint64_t consumed() const noexcept {
        return consumed_.load(std::memory_order_acquire);  // pairs with publish()
    }
    [[nodiscard]] const Histogram& step_ticks() const noexcept { return step_ticks_; }
    [[nodiscard]] const StageTimes& stage_times() const noexcept { return stage_times_; }
    [[nodiscard]] ObtainedMemory feed_memory() const { return feed_.obtained(); }  // cold
    // Stepping thread, or any once it has stopped.
    void write_status(bool is_forced) noexcept;

 private:
    void consume(const Slot& input) noexcept;
    void step(const Slot& input) noexcept;
    void step_and_serve(const Slot& input) noexcept;
    void judge_lateness(std::uint64_t first_input) noexcept;
    void copy_state_if_due() noexcept;
    [[nodiscard]] bool wait_for_journal() noexcept;
    void publish() noexcept;
    void run() noexcept;
    void sleep() noexcept;

    Engine* engine_ = nullptr;
    JournalRing* journal_ = nullptr;
    StatusPage* page_ = nullptr;
    RunnerSettings settings_;
    std::uint64_t policy_budget_ticks_ = 0;
    std::uint32_t late_decisions_ = 0;  // in a row, of judged_model_
    std::uint32_t judged_model_ = 0;
    std::uint64_t late_in_all_ = 0;
    std::optional<Outputs> outputs_;
    SpscRing<Slot> feed_;
    Thread thread_;
    double ns_per_tick_ = 1.0;

    // io thread.
    std::uint64_t submitted_ = 0;

    // Stepping thread.
    alignas(kCacheLineSize) std::uint64_t io_sequence_ = 0;
    std::uint64_t stepped_ = 0;
    std::uint64_t status_ticks_ = 0;
    bool is_status_old_ = true;
    Histogram step_ticks_;
    StageTimes stage_times_;

    // Written by the stepping thread, read by io: `consumed_` last.
    alignas(kCacheLineSize) std::atomic<std::int64_t> next_deadline_ns_{INT64_MAX};
    std::atomic<std::uint64_t> open_orders_{0};
    std::atomic<std::uint64_t> awaiting_queries_{0};
    std::atomic<EngineState> state_{EngineState::kRecovering};
    std::atomic<Awaited> awaited_{Awaited::kNothing};
    std::atomic<bool> is_gapped_{false};
    std::atomic<std::uint64_t> consumed_{0};

    // Written by io or the journal thread, read by the stepping thread.
    alignas(kCacheLineSize) std::atomic<bool> is_lockstep_{true};
    std::atomic<bool> is_halted_{false};
    std::atomic<bool> must_stop_{false};

    // 1: the engine thread has announced its sleep.
    alignas(kCacheLineSize) std::atomic<std::uint32_t> sleeps_{0};
};

}  // namespace gm
