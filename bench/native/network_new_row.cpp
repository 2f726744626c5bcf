// The newest row on prepared rows beside onnxruntime's C API: the native half of bench_policy.py.
//
// network_new_row LIBRARY ONNX ROWS ROW_WIDTH CONTEXT ROUNDS BLOCK WEIGHT_BYTES: one process, one
// thread, blocks in turns (ABAB). Before every timed new row the window moves on: the known rows
// are prepared and one run for nobody follows, as the engine does while it waits. onnxruntime runs
// on the same inputs. Answers with one line of JSON a round: ns at p50 and p99 of each side, of the
// full recompute, of both with a bfloat16 tail, of an empty measurement and of a plain read of as
// many bytes as there are weights; ns a sample of batches of 1024 and of 64 on both sides;
// multiply- adds that the registers alone allow, a ns; the largest difference of float32 logits to
// onnxruntime's and of a bfloat16 tail's to the float32 ones; and whether new row, full recompute
// and batch gave the same bits, with either tail.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/base/memory_region.hpp"
#include "gm/policy/network.hpp"
#include "onnxruntime_table.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

struct Times {
    std::vector<double> ns;

    double at(double share) {
        std::sort(ns.begin(), ns.end());
        return ns[static_cast<std::size_t>(share * static_cast<double>(ns.size() - 1))];
    }
};

class Numbers {
 public:
    float next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return static_cast<float>(state_ >> 8) * 0x1p-23F - 1.0F;
    }

 private:
    std::uint32_t state_ = 12345;
};

// Reads the counter only when everything before it is done: else the work would look shorter.
std::uint64_t ticks_in_order() {
#if defined(__x86_64__)
    asm volatile("lfence" ::: "memory");
#endif
    return gm::ticks();
}

// As fast as this core reads: sixteen sums, so that no addition waits for another.
#if defined(__x86_64__)
__attribute__((target_clones("default", "avx2", "avx512f")))
#endif
float read_all(const float* from, std::size_t count) {
    typedef float Row __attribute__((vector_size(64)));
    Row sums[16] = {};
    for (std::size_t i = 0; i + 256 <= count; i += 256) {
#pragma GCC unroll 16
        for (std::size_t s = 0; s < 16; ++s) {
            Row row;
            std::memcpy(&row, from + i + s * 16, sizeof(row));
            sums[s] += row;
        }
    }
    for (std::size_t s = 1; s < 16; ++s) sums[0] += sums[s];
    return sums[0][0] + sums[0][7];
}

// As fast as this core multiplies: twelve chains of registers, so that none waits for another.
constexpr std::size_t kFmaRounds = 2000;
constexpr std::size_t kFmaChains = 12;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_512() {
    __m512 sums[kFmaChains] = {};
    for (__m512& sum : sums) asm volatile("" : "+v"(sum));  // twelve, not one
    __m512 factor = _mm512_set1_ps(0.5F);
    for (std::size_t i = 0; i < kFmaRounds; ++i) {
        asm volatile("" : "+v"(factor));  // or all of it is computed beforehand
#pragma GCC unroll 12
        for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, factor, factor);
    }
    for (const __m512& sum : sums) factor = _mm512_add_ps(factor, sum);
    return factor[0];
}

__attribute__((target("avx2,fma"))) float multiply_256() {
    __m256 sums[kFmaChains] = {};
    for (__m256& sum : sums) asm volatile("" : "+v"(sum));
    __m256 factor = _mm256_set1_ps(0.5F);
    for (std::size_t i = 0; i < kFmaRounds; ++i) {
        asm volatile("" : "+v"(factor));
#pragma GCC unroll 12
        for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, factor, factor);
    }
    for (const __m256& sum : sums) factor = _mm256_add_ps(factor, sum);
    return factor[0];
}
#endif

// Multiply-adds of one call of multiply_all(); 0: not known for this machine.
std::size_t fma_count() {
    const gm::InstructionSet set = gm::widest_instruction_set();
    if (set == gm::InstructionSet::kScalar) return 0;
    return kFmaRounds * kFmaChains * (set == gm::InstructionSet::kAvx512 ? 16 : 8);
}

float multiply_all() {
#if defined(__x86_64__)
    const gm::InstructionSet set = gm::widest_instruction_set();
    if (set == gm::InstructionSet::kAvx512) return multiply_512();
    if (set == gm::InstructionSet::kAvx2) return multiply_256();
#endif
    return 1.0F;
}

template <typename Work>
double time_one(const gm::TickScale& scale, const Work& work) {
    const std::uint64_t from = ticks_in_order();
    work();
    return scale.to_ns(ticks_in_order() - from);
}

constexpr std::size_t kBatches[] = {1024, 64};
constexpr std::size_t kBatchCount = std::size(kBatches);
constexpr const char* kTails[] = {"", "_bf16"};

// The network with one tail.
struct Subject {
    gm::Network network;
    gm::PreparedRows prepared{};
    std::vector<float> logits, full, batch_logits;
    Times new_row_ns, full_ns, batch_ns[kBatchCount];

    void open(const std::vector<std::uint8_t>& onnx, const gm::NetworkShape& shape, gm::Tail tail) {
        const gm::Failure failure = network.load(onnx, shape, gm::widest_instruction_set(), tail);
        if (!failure.is_ok()) {
            std::fprintf(stderr, "%s\n", failure.text.c_str());
            std::exit(1);
        }
        logits.resize(network.outputs());
        full.resize(network.outputs());
        batch_logits.resize(kBatches[0] * network.outputs());
    }
    void forget() {
        new_row_ns = full_ns = {};
        for (Times& times : batch_ns) times = {};
    }
};

struct PeerBatch {
    bench::OnnxRuntime::Session session{};
    std::vector<float> input, logits;
    Times ns;
};

class Bench {
 public:
    Bench(char** arguments, const std::vector<std::uint8_t>& onnx)
        : row_width_(static_cast<std::size_t>(std::atol(arguments[4]))), peer_(arguments[1]) {
        const auto number = [&](int i) {
            return static_cast<std::uint32_t>(std::strtoul(arguments[i], nullptr, 10));
        };
        subjects_[0].open(onnx, {number(3), number(4), number(5)}, gm::Tail::kFloat32);
        subjects_[1].open(onnx, {number(3), number(4), number(5)}, gm::Tail::kBfloat16);
        for (std::vector<float>* floats : {&input_, &peer_input_}) floats->resize(inputs());
        peer_logits_.resize(outputs());
        for (float& value : input_) value = numbers_.next();
        session_ = peer_.open(onnx, exact().input_shape(), 1, peer_input_, peer_logits_);
        read_count_ = number(8) / sizeof(float);
        const gm::Failure opened = memory_.open(number(8));  // pages as the network's own
        if (!opened.is_ok()) {
            std::fprintf(stderr, "%s\n", opened.text.c_str());
            std::exit(1);
        }
        weights_ = reinterpret_cast<float*>(memory_.bytes().data());
        std::fill_n(weights_, read_count_, 1.0F);
        batch_.resize(kBatches[0] * inputs());
        for (float& value : batch_) value = numbers_.next();
        for (std::size_t b = 0; b < kBatchCount; ++b) {
            PeerBatch& peer = peer_batches_[b];
            peer.input.assign(batch_.begin(), batch_.begin() + offset(kBatches[b] * inputs()));
            peer.logits.resize(kBatches[b] * outputs());
            peer.session =
                peer_.open(onnx, exact().input_shape(), kBatches[b], peer.input, peer.logits);
        }
    }

    void round(int block) {
        Times peer, probe, read, fma;
        for (Subject& subject : subjects_) subject.forget();
        for (PeerBatch& batch : peer_batches_) batch.ns = {};
        verify();
        for (int half = 0; half < 2; ++half) {  // ABAB: nobody's weights push out the other's
            for (Subject& subject : subjects_) time_new_rows(subject, block / 2, probe);
            for (int i = 0; i < block / 2; ++i) {
                for (float& value : peer_input_) value = numbers_.next();
                peer.ns.push_back(time_one(scale_, [&] { peer_.run(session_); }));
            }
            for (Subject& subject : subjects_) {
                for (int i = 0; i < block / 2; ++i) {
                    for (float& value : input_) value = numbers_.next();
                    subject.full_ns.ns.push_back(time_one(scale_, [&] {
                        subject.network.run_full(input_.data(), subject.full.data());
                    }));
                }
            }
            for (int i = 0; i < block / 2; ++i) {
                read.ns.push_back(
                    time_one(scale_, [&] { sum_ += read_all(weights_, read_count_); }));
            }
            for (int i = 0; i < 50; ++i) {
                fma.ns.push_back(time_one(scale_, [&] { sum_ += multiply_all(); }));
            }
            time_batches();
        }
        std::printf("{");
        for (int t = 0; t < 2; ++t) {
            Subject& subject = subjects_[t];
            print("native", kTails[t], subject.new_row_ns, 1);
            print("full", kTails[t], subject.full_ns, 1);
            for (std::size_t b = 0; b < kBatchCount; ++b) {
                const std::string name = "batch_" + std::to_string(kBatches[b]);
                print(name.c_str(), kTails[t], subject.batch_ns[b], kBatches[b]);
                if (t == 0) print(("peer_" + name).c_str(), "", peer_batches_[b].ns, kBatches[b]);
            }
        }
        print("peer", "", peer, 1);
        print("probe", "", probe, 1);
        print("read", "", read, 1);
        std::printf(
            "\"fma_per_ns\": %.2f, \"worst_difference\": %.3g, \"worst_difference_bf16\": %.3g, "
            "\"is_same\": %s}\n",
            static_cast<double>(fma_count()) / fma.at(0.5), worst_, worst_narrow_,
            is_same_ && sum_ > 0.0F ? "true" : "false");
    }

 private:
    [[nodiscard]] const gm::Network& exact() const { return subjects_[0].network; }
    [[nodiscard]] std::size_t inputs() const { return exact().inputs(); }
    [[nodiscard]] std::size_t outputs() const { return exact().outputs(); }
    [[nodiscard]] const float* newest() const { return input_.data() + exact().known_inputs(); }
    static std::ptrdiff_t offset(std::size_t count) { return static_cast<std::ptrdiff_t>(count); }

    static void print(const char* name, const char* tail, Times& times, std::size_t samples) {
        const auto each = static_cast<double>(samples);
        std::printf("\"%s%s\": [%.1f, %.1f], ", name, tail, times.at(0.5) / each,
                    times.at(0.99) / each);
    }

    // The window of the next bar, its known rows prepared, weights and code warm.
    void move_on(Subject& subject) {
        const std::ptrdiff_t width = offset(row_width_);
        const std::ptrdiff_t known = offset(exact().known_inputs());
        std::move(input_.begin() + width, input_.begin() + known + width, input_.begin());
        subject.network.prepare(input_.data(), subject.prepared);
        subject.network.run_new_row(subject.prepared, newest(), subject.logits.data());
        for (auto i = static_cast<std::size_t>(known); i < input_.size(); ++i) {
            input_[i] = numbers_.next();
        }
    }

    void time_new_rows(Subject& subject, int count, Times& probe) {
        for (int i = 0; i < count; ++i) {
            move_on(subject);
            probe.ns.push_back(time_one(scale_, [] {}));
            subject.new_row_ns.ns.push_back(time_one(scale_, [&] {
                subject.network.run_new_row(subject.prepared, newest(), subject.logits.data());
            }));
        }
    }

    void time_batches() {
        for (std::size_t b = 0; b < kBatchCount; ++b) {
            const std::size_t times = 4 * kBatches[0] / kBatches[b];
            for (std::size_t i = 0; i < times; ++i) {
                for (Subject& subject : subjects_) {
                    subject.batch_ns[b].ns.push_back(
                        time_one(scale_, [&] { run_batch(subject, kBatches[b]); }));
                }
                PeerBatch& peer = peer_batches_[b];
                peer.ns.ns.push_back(time_one(scale_, [&] { peer_.run(peer.session); }));
            }
        }
    }

    void run_batch(Subject& subject, std::size_t samples) {
        subject.network.run_batch(batch_.data(), samples, subject.batch_logits.data());
    }

    static void compare(const std::vector<float>& found, const std::vector<float>& expected,
                        double& worst) {
        for (std::size_t k = 0; k < expected.size(); ++k) {
            const auto wanted = static_cast<double>(expected[k]);
            worst = std::max(worst, std::abs(static_cast<double>(found[k]) - wanted) /
                                        std::max(1.0, std::abs(wanted)));
        }
    }

    void expect_same(const float* left, const std::vector<float>& right) {
        is_same_ = is_same_ && std::memcmp(left, right.data(), right.size() * sizeof(float)) == 0;
    }

    // All on the same hundred windows, and one batch.
    void verify() {
        for (Subject& subject : subjects_) {
            run_batch(subject, kBatches[0]);
            for (std::size_t i = 0; i < kBatches[0]; ++i) {
                subject.network.run_full(batch_.data() + i * inputs(), subject.full.data());
                expect_same(subject.batch_logits.data() + i * outputs(), subject.full);
            }
            for (int i = 0; i < 100; ++i) {
                move_on(subject);
                subject.network.run_new_row(subject.prepared, newest(), subject.logits.data());
                subject.network.run_full(input_.data(), subject.full.data());
                expect_same(subject.logits.data(), subject.full);
                if (&subject != subjects_) continue;
                std::copy(input_.begin(), input_.end(), peer_input_.begin());
                peer_.run(session_);
                compare(subject.full, peer_logits_, worst_);
            }
        }
        for (PeerBatch& peer : peer_batches_) {
            peer_.run(peer.session);
            compare(subjects_[0].batch_logits, peer.logits, worst_);
        }
        compare(subjects_[1].batch_logits, subjects_[0].batch_logits, worst_narrow_);
    }

    std::size_t row_width_;
    bench::OnnxRuntime peer_;
    bench::OnnxRuntime::Session session_{};
    Subject subjects_[2];
    PeerBatch peer_batches_[kBatchCount];
    gm::TickScale scale_ = gm::TickScale::calibrate();
    Numbers numbers_;
    std::vector<float> input_, peer_input_, peer_logits_, batch_;
    gm::MemoryRegion memory_;
    float* weights_ = nullptr;  // to be read, in memory_
    std::size_t read_count_ = 0;
    float sum_ = 0.0F;
    double worst_ = 0.0;
    double worst_narrow_ = 0.0;
    bool is_same_ = true;
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 9) {
        std::fprintf(stderr, "see the first lines of %s\n", __FILE__);
        return 2;
    }
    std::ifstream file(arguments[2], std::ios::binary);
    const std::vector<char> raw{std::istreambuf_iterator<char>(file), {}};
    Bench bench(arguments, {raw.begin(), raw.end()});
    bench.round(2000);  // warm: not printed below, the driver drops the first line
    for (int i = 0; i < std::atoi(arguments[6]); ++i) bench.round(std::atoi(arguments[7]));
    return 0;
}
