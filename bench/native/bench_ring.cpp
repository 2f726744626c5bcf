// Ring hop beside a ping-pong of the same moment, and drained throughput beside a naive queue
// (G10).
//
// Sketch: a ping-pong moves one cache line a hop. A ring hop moves the position line and then, in
// one go, the two lines of the slot: two dependent transfers, so about 2 x a ping-pong, less what
// the prefetch hides. A stream is bound by the two slot lines a record; what a naive queue adds is
// the position lines, which both sides fetch for every record.
// Conditions: two threads pinned to two cores, both spin without pause; 128-byte slots, ring of
// 4096, batches of 256. A round runs peer and ring twice in turns (ABAB); its score is the ratio of
// the medians (hop) or of the times (stream). Every slot that was timed is checked on arrival.
//
//   bench_ring [--json] [ROUNDS]        exit 0; 1 if something arrived wrong; 2 without two cores
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/ring/spsc_ring.hpp"
#include "gm/wire/record.hpp"

namespace {

using gm::Slot;
using gm::SpscRing;
using gm::Status;

constexpr std::size_t kRingCapacity = 4096;
constexpr std::uint64_t kHops = 20'000;       // round trips a block
constexpr std::uint64_t kStream = 1'048'576;  // records a block, a multiple of kBatch
constexpr std::size_t kBatch = 256;           // slots a push or drain takes at most
constexpr std::int64_t kBudgetNs = 20'000'000'000;

// The queue as one first writes it: each side reads both positions for every record, in the default
// order of std::atomic, and publishes or frees each record alone.
class NaiveRing {
 public:
    bool push(const Slot& slot) {
        if (tail_ - head_ == kRingCapacity) return false;
        slots_[tail_ % kRingCapacity] = slot;
        ++tail_;
        return true;
    }
    bool pop(Slot& out) {
        if (head_ == tail_) return false;
        out = slots_[head_ % kRingCapacity];
        ++head_;
        return true;
    }

 private:
    std::vector<Slot> slots_ = std::vector<Slot>(kRingCapacity);
    std::atomic<std::uint64_t> tail_{0};
    std::atomic<std::uint64_t> head_{0};
};

// The same with acquire and release and each position on a line of its own: a stricter peer,
// printed without a floor.
class TidyRing {
 public:
    bool push(const Slot& slot) {
        const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_.load(std::memory_order_acquire) == kRingCapacity) return false;
        slots_[tail % kRingCapacity] = slot;
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }
    bool pop(Slot& out) {
        const std::uint64_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_.load(std::memory_order_acquire)) return false;
        out = slots_[head % kRingCapacity];
        head_.store(head + 1, std::memory_order_release);
        return true;
    }

 private:
    std::vector<Slot> slots_ = std::vector<Slot>(kRingCapacity);
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    alignas(64) std::atomic<std::uint64_t> head_{0};
};

struct alignas(64) Line {
    std::atomic<std::uint64_t> word{0};
};

struct Bench {
    std::array<int, 2> cpus{};
    double ns_per_tick = 1.0;
    std::uint64_t wrong = 0;
};

void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// The first two cores that this process may use.
bool choose_cores(std::array<int, 2>& cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return false;
    std::size_t found = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; ++cpu) {
        if (CPU_ISSET(cpu, &set)) cpus[found++] = cpu;
    }
    return found == 2;
}

void stamp(Slot& slot, std::uint64_t number) {
    slot.header.first_sequence = number;
    slot.trailer.input_sequence = ~number;  // the other line of the slot
}
bool is_stamped(const Slot& slot, std::uint64_t number) {
    return slot.header.first_sequence == number && slot.trailer.input_sequence == ~number;
}

double median(std::vector<double>& values) {
    auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Half round trips in ns of one cache line each way.
void ping_pong(Bench& bench, std::vector<double>& hops_ns) {
    Line there;
    Line back;
    std::thread partner([&] {
        pin(bench.cpus[1]);
        for (std::uint64_t i = 1; i <= kHops; ++i) {
            while (there.word.load(std::memory_order_acquire) != i) {
            }
            back.word.store(i, std::memory_order_release);
        }
    });
    for (std::uint64_t i = 1; i <= kHops; ++i) {
        const std::uint64_t from = gm::ticks();
        there.word.store(i, std::memory_order_release);
        while (back.word.load(std::memory_order_acquire) != i) {
        }
        const std::uint64_t ticks = gm::ticks() - from;
        hops_ns.push_back(static_cast<double>(ticks) * bench.ns_per_tick / 2);
    }
    partner.join();
}

// Half round trips in ns of one slot each way: push, front, read, push, front, read.
void ring_hops(Bench& bench, std::vector<double>& hops_ns) {
    static_assert(sizeof(Slot) == 128);
    SpscRing<Slot> there;
    SpscRing<Slot> back;
    if (!there.open(kRingCapacity).is_ok() || !back.open(kRingCapacity).is_ok()) std::abort();
    std::thread partner([&] {
        pin(bench.cpus[1]);
        for (std::uint64_t i = 1; i <= kHops; ++i) {
            const Slot* slot = there.front();
            while (slot == nullptr) slot = there.front();
            static_cast<void>(back.push(*slot));
            there.pop();
        }
    });
    Slot slot{};
    for (std::uint64_t i = 1; i <= kHops; ++i) {
        stamp(slot, i);
        const std::uint64_t from = gm::ticks();
        static_cast<void>(there.push(slot));
        const Slot* answer = back.front();
        while (answer == nullptr) answer = back.front();
        if (!is_stamped(*answer, i)) ++bench.wrong;
        const std::uint64_t ticks = gm::ticks() - from;
        back.pop();
        hops_ns.push_back(static_cast<double>(ticks) * bench.ns_per_tick / 2);
    }
    partner.join();
}

// Time in ns until the consumer has checked kStream records. `produce` sends them all, `drain`
// takes what there is and counts it in `next`.
template <typename Produce, typename Drain>
double stream_ns(Bench& bench, Produce produce, Drain drain) {
    std::atomic<bool> is_ready{false};
    std::atomic<bool> is_started{false};
    std::thread producer([&] {
        pin(bench.cpus[1]);
        is_ready.store(true, std::memory_order_release);       // pairs with the acquire below
        while (!is_started.load(std::memory_order_acquire)) {  // pairs with the release below
        }
        produce();
    });
    while (!is_ready.load(std::memory_order_acquire)) {  // pairs with the release above
    }
    std::uint64_t next = 0;
    const std::int64_t from_ns = gm::monotonic_ns();
    is_started.store(true, std::memory_order_release);
    while (next < kStream) drain(next);
    const std::int64_t took_ns = gm::monotonic_ns() - from_ns;
    producer.join();
    return static_cast<double>(took_ns);
}

template <typename Ring>
double single_stream_ns(Bench& bench) {
    Ring ring;
    Slot out{};
    return stream_ns(
        bench,
        [&] {
            Slot slot{};
            for (std::uint64_t i = 0; i < kStream; ++i) {
                stamp(slot, i);
                while (!ring.push(slot)) {
                }
            }
        },
        [&](std::uint64_t& next) {
            if (ring.pop(out) && !is_stamped(out, next++)) ++bench.wrong;
        });
}

double drained_stream_ns(Bench& bench) {
    SpscRing<Slot> ring;
    if (!ring.open(kRingCapacity).is_ok()) std::abort();
    std::vector<Slot> out(kBatch);
    return stream_ns(
        bench,
        [&] {
            std::vector<Slot> in(kBatch);
            for (std::uint64_t i = 0; i < kStream; i += kBatch) {
                for (std::size_t j = 0; j < kBatch; ++j) stamp(in[j], i + j);
                std::span<const Slot> rest(in);
                while (!rest.empty()) rest = rest.subspan(ring.push_batch(rest));
            }
        },
        [&](std::uint64_t& next) {
            const std::size_t count = ring.pop_batch(out);
            for (std::size_t i = 0; i < count; ++i) {
                if (!is_stamped(out[i], next++)) ++bench.wrong;
            }
        });
}

struct Score {
    std::vector<double> ratios;
    std::vector<double> peers;
    std::vector<double> ours;

    void add(double ratio, double peer, double our) {
        ratios.push_back(ratio);
        peers.push_back(peer);
        ours.push_back(our);
    }
};

struct Scores {
    Score hop;
    Score naive;
    Score tidy;
};

void run_round(Bench& bench, Scores& scores) {
    std::vector<double> ping_ns;
    std::vector<double> ring_ns;
    for (int turn = 0; turn < 2; ++turn) {
        ping_pong(bench, ping_ns);
        ring_hops(bench, ring_ns);
    }
    const double ping_p50 = median(ping_ns);
    const double ring_p50 = median(ring_ns);
    scores.hop.add(ring_p50 / ping_p50, ping_p50, ring_p50);
    double naive_ns = 0.0;
    double tidy_ns = 0.0;
    double drained_ns = 0.0;
    for (int turn = 0; turn < 2; ++turn) {
        naive_ns += single_stream_ns<NaiveRing>(bench);
        drained_ns += drained_stream_ns(bench);
        tidy_ns += single_stream_ns<TidyRing>(bench);
    }
    const double per_us = 2e3 * static_cast<double>(kStream);
    scores.naive.add(naive_ns / drained_ns, per_us / naive_ns, per_us / drained_ns);
    scores.tidy.add(tidy_ns / drained_ns, per_us / tidy_ns, per_us / drained_ns);
}

void print(const char* name, const char* floor, const char* unit, Score& score) {
    const auto [least, most] = std::minmax_element(score.ratios.begin(), score.ratios.end());
    const double limits[] = {*least, *most};  // median() reorders
    std::printf("%-26s %5.2f (min %.2f, max %.2f)%s; peer %.1f, ring %.1f %s\n", name,
                median(score.ratios), limits[0], limits[1], floor, median(score.peers),
                median(score.ours), unit);
}

void print_json(const char* name, Score& score) {
    const auto [least, most] = std::minmax_element(score.ratios.begin(), score.ratios.end());
    const double limits[] = {*least, *most};
    std::printf(
        "\"%s\": {\"ratio\": %.3f, \"min\": %.3f, \"max\": %.3f, \"peer\": %.2f, "
        "\"ring\": %.2f}, ",
        name, median(score.ratios), limits[0], limits[1], median(score.peers), median(score.ours));
}

void report(Scores& scores, const Bench& bench, bool is_json) {
    const std::size_t rounds = scores.hop.ratios.size();
    const auto wrong = static_cast<unsigned long long>(bench.wrong);
    if (is_json) {
        std::printf("{");
        print_json("hop_ns", scores.hop);
        print_json("drained_over_naive_per_us", scores.naive);
        print_json("drained_over_tidy_per_us", scores.tidy);
        std::printf("\"rounds\": %zu, \"wrong\": %llu}\n", rounds, wrong);
        return;
    }
    print("hop / ping-pong, p50", ", floor <= 2.2", "ns", scores.hop);
    print("drained / naive pop", ", floor >= 5", "records/us", scores.naive);
    print("drained / tidy pop", "", "records/us", scores.tidy);
    std::printf("%zu rounds, %llu slots arrived wrong\n", rounds, wrong);
}

}  // namespace

int main(int argc, char** argv) {
    bool is_json = false;
    int rounds = 11;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--json") == 0) {
            is_json = true;
        } else {
            rounds = static_cast<int>(std::clamp(std::strtol(argv[i], nullptr, 10), 7L, 1000L));
        }
    }
    Bench bench;
    if (!choose_cores(bench.cpus)) {
        std::fprintf(stderr, "not measured: needs two cores\n");
        return 2;
    }
    pin(bench.cpus[0]);
    bench.ns_per_tick = gm::TickScale::calibrate().ns_per_tick();
    Scores scores;
    const std::int64_t from_ns = gm::monotonic_ns();
    for (int round = 0; round < rounds; ++round) {
        run_round(bench, scores);
        if (round >= 6 && gm::monotonic_ns() - from_ns > kBudgetNs) break;
    }
    report(scores, bench, is_json);
    return bench.wrong == 0 ? 0 : 1;
}
