// P11: between ring pop and ring push the engine allocates nothing, takes no lock and calls no
// system, over a million inputs that close more than a thousand 30-minute bars, orders among them.
//
// A program of its own, because it stands in for malloc and for the mutex. System calls are caught
// by the kernel itself (syscall user dispatch, Linux 5.11): while a step is watched, each one ends
// in a SIGSYS handler that counts it and lets it go on. CMake builds the same program on engines
// with a planted fault (GM_MUTANT_P11) and expects it to complain.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>

#include "engine/two_levels.hpp"
#include "gm/session/kernel_host.hpp"
#include "session/training_fixture.hpp"

#if defined(__x86_64__)
#include <ucontext.h>
#endif

namespace {

// Words that the handler and the stand-ins write; this program has one thread.
volatile bool is_watched = false;
volatile std::uint64_t allocations = 0;
volatile std::uint64_t locks = 0;
volatile std::uint64_t system_calls = 0;
volatile char selector = 0;  // read by the kernel at each system call: 0 let through, 1 catch

void count(volatile std::uint64_t& what) {
    if (is_watched) what = what + 1;
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);

// operator new ends here too.
void* malloc(std::size_t size) {
    count(allocations);
    return __libc_malloc(size);
}
void* calloc(std::size_t members, std::size_t size) {
    count(allocations);
    return __libc_calloc(members, size);
}
void* realloc(void* memory, std::size_t size) {
    count(allocations);
    return __libc_realloc(memory, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
    count(allocations);
    return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
    return memalign(alignment, size);
}
void free(void* memory) {
    count(allocations);
    __libc_free(memory);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
    count(locks);
    using Lock = int (*)(pthread_mutex_t*);
    static const auto kNext = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
    return kNext(mutex);
}
}

namespace gm::test {
namespace {

#if defined(__x86_64__)
constexpr int kSetSyscallUserDispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH
constexpr int kInstructionSize = 2;          // of `syscall`

// Goes back to the instruction, which now passes. One a step is enough: the next step is watched
// again.
void on_system_call(int, siginfo_t* what, void* context) {
    selector = 0;
    system_calls = system_calls + 1;
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RIP] -= kInstructionSize;
    registers[REG_RAX] = what->si_syscall;
}

bool catch_system_calls() {
    struct sigaction action{};
    action.sa_sigaction = on_system_call;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSYS, &action, nullptr) == 0 &&
           prctl(kSetSyscallUserDispatch, 1L, 0L, 0L, &selector) == 0;
}
#else
bool catch_system_calls() {
    return false;
}  // the kernel has no such thing here
#endif

// Watches what happens while it lives.
class Watch {
 public:
    Watch() {
        is_watched = true;
        selector = 1;
        asm volatile("" ::: "memory");
    }
    ~Watch() {
        asm volatile("" ::: "memory");
        selector = 0;
        is_watched = false;
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
};

void forget_counts() {
    allocations = 0;
    locks = 0;
    system_calls = 0;
}

constexpr std::uint64_t kInputs = 1'000'000;
constexpr std::int64_t kTradesPerBar = 800;
constexpr std::int64_t kWaveBars = 60;
constexpr std::int64_t kKernelBudgetNs = 1'000'000'000;  // a busy machine is no fault here

// Two user kernels: one on bars of 30 minutes that ends with no number after some hundred calls,
// one on bars of 5.
constexpr std::uint64_t kGoodCalls = 300;
std::int32_t change(const double* const* windows, double* value) {
    *value = windows[0][19] - windows[0][0];
    return 0;
}
std::int32_t change_for_a_while(const double* const* windows, double* value) {
    static std::uint64_t calls = 0;
    *value = ++calls > kGoodCalls ? std::nan("") : windows[0][19];
    return 0;
}

void add_kernels(Settings& settings) {
    KernelSettings row{};
    std::strcpy(row.name, "slow");
    row.low = -1e9;
    row.high = 1e9;
    row.minutes = 30;
    row.warmup = 20;
    row.policy = KernelPolicy::kSkip;
    row.input_count = 1;
    row.inputs[0] = KernelField::kClose;
    settings.kernels.push_back(row);
    std::strcpy(row.name, "fast");
    row.minutes = 5;
    settings.kernels.push_back(row);
}

// Rings, engine and a venue that answers each order in one of several ways.
class HotLoop {
 public:
    explicit HotLoop(const Settings& settings) {
        const KernelFunction functions[] = {change_for_a_while, change};
        if (!settings.kernels.empty()) {
            kernels_.open(settings.kernels, functions, kKernelBudgetNs);
        }
        REQUIRE(feed_.open(4096).is_ok());
        REQUIRE(orders_.open(4096).is_ok());
        REQUIRE(journal_.open_anonymous(1U << 16).is_ok());
        REQUIRE(drop_copy_.open(4096).is_ok());
        out_ = std::make_unique<Outputs>(journal_, orders_, &drop_copy_);
        const Failure failure = engine.open(settings);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        Epoch epoch{};
        epoch.epoch = 1;
        step(make_slot(RecordType::kEpoch, Source::kIo, 0, kStartNs, epoch));
        SessionEvent connected{};
        connected.connection = 1;
        step(make_slot(RecordType::kConnected, Source::kIo, 0, kStartNs, connected));
    }

    void run() {
        while (inputs < kInputs) {
            step(next_feed());
            while (!answers_.empty()) {
                step(answers_.front());
                answers_.pop_front();
            }
            if (inputs % 64 == 0) idle();
        }
    }

    Engine engine;
    std::uint64_t inputs = 0;
    std::uint64_t cancels = 0;

 private:
    void step(const Slot& input) {
        REQUIRE_UNARY(feed_.push(input) == Status::kOk);
        {
            const Watch watch;
            const Slot* popped = feed_.front();
            engine.step(*popped, *out_);
            feed_.pop();
            kernels_.serve(engine, [this](const Slot& answer) { engine.step(answer, *out_); });
        }
        ++inputs;
        journal_.pop(journal_.front().size());
        while (drop_copy_.front() != nullptr) drop_copy_.pop();
        for (const Slot* slot = orders_.front(); slot != nullptr; slot = orders_.front()) {
            if (slot->type() == RecordType::kNewOrder) answer(slot->as<NewOrder>());
            if (slot->type() == RecordType::kCancelOrder) {
                ++cancels;
                reply(RecordType::kCancelled, OrderEnded{slot->as<CancelOrder>().id, 0, 0, {}});
            }
            orders_.pop();
        }
    }

    // The preparation is no part of the promise between pop and push, but of the engine thread's.
    void idle() {
        const Watch watch;
        for (std::uint64_t part = 0; part < inputs % 50; ++part) (void)engine.prepare_part();
        if (inputs % 128 == 0) engine.prepare();
    }

    // Trades along a wave; now and then a price out of the band, a refused line, a heartbeat, a
    // timer.
    Slot next_feed() {
        const std::int64_t trade = trades_++;
        now_ns_ = kStartNs + trade * (kHalfHourNs / kTradesPerBar);
        if (trade % 1009 == 5) {
            Quarantine refused{};
            refused.reason = static_cast<std::uint32_t>(QuarantineReason::kOffGrid);
            return from_feed(RecordType::kQuarantine, refused);
        }
        if (trade % 503 == 3) return from_feed(RecordType::kHeartbeat, Heartbeat{});
        if (trade % 757 == 7) {
            Timer timer{};
            timer.deadline_ns = now_ns_;
            return make_slot(RecordType::kTimer, Source::kIo, 0, now_ns_, timer);
        }
        const std::int64_t period = kWaveBars * kTradesPerBar;
        const std::int64_t phase = trade % period;
        const std::int64_t height = std::min(phase, period - phase) * 3000 / period;
        Trade row{};
        row.price_ticks = trade % 1511 == 11
                              ? 90'000
                              : 40'000 + height + test::ripple(trade / kTradesPerBar) + trade % 7;
        row.quantity_lots = 1 + trade % 5;
        last_price_ = row.price_ticks;
        return from_feed(RecordType::kTrade, row);
    }

    template <typename P>
    Slot from_feed(RecordType type, const P& payload) {
        return make_slot(type, Source::kVenueFeed, ++feed_sequence_, now_ns_, payload);
    }
    template <typename P>
    void reply(RecordType type, const P& payload) {
        answers_.push_back(
            make_slot(type, Source::kVenueOrders, ++reply_sequence_, now_ns_, payload));
    }
    void fill(const NewOrder& order, std::int64_t lots, std::int64_t leaves) {
        reply(RecordType::kFill,
              Fill{order.id, ++executions_, last_price_, lots, leaves, 5, 0, order.side, {}});
    }

    void answer(const NewOrder& order) {
        const std::uint64_t kind = ++answered_ % 8;
        if (kind == 3)
            return reply(RecordType::kReject, Reject{order.id, 0, RejectReason::kRandom, {}});
        reply(RecordType::kAck, Ack{order.id, answered_, 0, {}});
        if (order.type == OrderType::kLimit && kind % 2 == 1)
            return;  // rests until it is cancelled
        const std::int64_t half = order.quantity_lots / 2;
        if (kind % 2 == 0) return fill(order, order.quantity_lots, 0);
        fill(order, half, order.quantity_lots - half);
        if (kind == 5) return reply(RecordType::kExpired, OrderEnded{order.id, half, 0, {}});
        fill(order, order.quantity_lots - half, 0);
    }

    KernelHost kernels_;
    SpscRing<Slot> feed_;
    SpscRing<Slot> orders_;
    SpscRing<Slot> drop_copy_;
    JournalRing journal_;
    std::unique_ptr<Outputs> out_;
    std::deque<Slot> answers_;
    std::int64_t trades_ = 0;
    std::int64_t now_ns_ = kStartNs;
    std::int64_t last_price_ = 0;
    std::uint64_t feed_sequence_ = 0;
    std::uint64_t reply_sequence_ = 0;
    std::uint64_t executions_ = 0;
    std::uint64_t answered_ = 0;
};

TEST_CASE("the watch sees an allocation, a lock and a system call") {
    REQUIRE_MESSAGE(catch_system_calls(), "syscall user dispatch: not on this kernel");
    forget_counts();
    std::mutex mutex;
    std::unique_ptr<std::uint64_t> planted;
    {
        const Watch watch;
        planted = std::make_unique<std::uint64_t>(7);
        mutex.lock();
    }
    mutex.unlock();
    CHECK(allocations == 1);
    CHECK(locks == 1);
    CHECK(system_calls == 0);
    long process = 0;
    {
        const Watch watch;
        process = syscall(SYS_getpid);
    }
    CHECK(system_calls == 1);
    CHECK(process == getpid());
    CHECK(*planted == 7);
}

TEST_CASE("a million inputs are stepped without allocation, lock or system call") {
    REQUIRE_MESSAGE(catch_system_calls(), "syscall user dispatch: not on this kernel");
    Settings settings = make_settings();
    add_kernels(settings);
    auto loop = std::make_unique<HotLoop>(settings);
    forget_counts();
    loop->run();
    const EngineTotals& totals = loop->engine.totals();
    const Desk& desk = loop->engine.desks()[0];
    // CMake reads this line from the programs with a planted fault.
    std::printf(
        "hot path: %llu inputs, %llu bars, %llu orders, %llu allocations, %llu locks, "
        "%llu system calls\n",
        static_cast<unsigned long long>(loop->inputs),
        static_cast<unsigned long long>(desk.closed_bars_30m),
        static_cast<unsigned long long>(totals.orders),
        static_cast<unsigned long long>(allocations), static_cast<unsigned long long>(locks),
        static_cast<unsigned long long>(system_calls));
    CHECK(allocations == 0);
    CHECK(locks == 0);
    CHECK(system_calls == 0);
    CHECK(desk.closed_bars_30m >= 1000);
    CHECK(totals.decisions >= 900);
    CHECK(totals.orders >= 30);
    CHECK(totals.fills >= 30);
    CHECK(totals.venue_rejects >= 3);
    CHECK(desk.quarantined >= 500);
    CHECK(totals.bad_transitions == 0);
    CHECK(totals.gaps == 0);
    const Kernels& kernels = loop->engine.kernels();
    CHECK(kernels.status(0) == KernelStatus::kNotFinite);
    CHECK(kernels.calls(0) == kGoodCalls + 1);
    CHECK(kernels.calls(1) > 5000);
}

TEST_CASE("two levels decide without allocation, lock or system call, cancels among the orders") {
    REQUIRE_MESSAGE(catch_system_calls(), "syscall user dispatch: not on this kernel");
    auto loop = std::make_unique<HotLoop>(two_level_settings(kSaysExecute, 2000.0F));
    forget_counts();
    loop->run();
    const EngineTotals& totals = loop->engine.totals();
    CHECK(allocations == 0);
    CHECK(locks == 0);
    CHECK(system_calls == 0);
    CHECK(totals.decisions >= 900);
    CHECK(totals.tactical_decisions >= 5'000);
    CHECK(totals.orders >= 30);
    CHECK(totals.fills >= 10);
    CHECK(loop->cancels >= 10);
    CHECK(totals.bad_transitions == 0);
}

TEST_CASE("a training batch steps and begins episodes anew without allocation or lock") {
    const auto tape = wave_tape(400);
    const std::span<const TapeRow> tapes[] = {tape};
    MarketBatch batch;
    must(batch.open(training_batch_settings(), training_venue(), tapes,
                    {.size = 3, .seed = 1, .episode_bars = 20}));
    BatchArrays arrays(3);
    must(batch.reset(std::nullopt, arrays.output()));
    bool has_traded = false;
    int ended = 0;
    for (int turn = 0; turn < 200; ++turn) {
        if (turn == 20) forget_counts();  // a venue's list of working orders grows with the first
        const std::vector<std::int64_t> actions(9, turn / 4 % 3);
        Status status = Status::kOk;
        {
            const Watch watch;
            status = batch.step(0, 3, actions.data(), arrays.output()).status;
        }
        REQUIRE(status == Status::kOk);
        has_traded = has_traded || arrays.position[1] != 0.0F;
        ended += arrays.has_ended(1);
    }
    CHECK(has_traded);
    CHECK(ended == 10);
    CHECK(allocations == 0);
    CHECK(locks == 0);
}

}  // namespace
}  // namespace gm::test
