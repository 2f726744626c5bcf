// The newest row on prepared rows beside onnxruntime's C API: the native half of bench_policy.py.
//
// network_new_row LIBRARY ONNX ROWS ROW_WIDTH CONTEXT ROUNDS BLOCK WEIGHT_BYTES: one process, one
// thread, blocks in turns (ABAB). Before every timed new row the window moves on: the known rows
// are prepared and one run for nobody follows, as the engine does while it waits. onnxruntime runs
// on the same inputs. Answers with one line of JSON a round: ns at p50 and p99 of each side, of the
// full recompute, of an empty measurement and of a plain read of as many bytes as there are
// weights, ns a sample of batches of 1024 on both sides, the largest difference of logits to
// onnxruntime's, and whether new row, full recompute and batch gave the same bits.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/base/memory_region.hpp"
#include "gm/policy/network.hpp"
#include "onnxruntime_table.hpp"

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

constexpr std::size_t kBatch = 1024;

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

template <typename Work>
double time_one(const gm::TickScale& scale, const Work& work) {
    const std::uint64_t from = ticks_in_order();
    work();
    return scale.to_ns(ticks_in_order() - from);
}

class Bench {
 public:
    Bench(char** arguments, const std::vector<std::uint8_t>& onnx)
        : row_width_(static_cast<std::size_t>(std::atol(arguments[4]))), peer_(arguments[1]) {
        const auto number = [&](int i) {
            return static_cast<std::uint32_t>(std::strtoul(arguments[i], nullptr, 10));
        };
        const gm::Failure failure = network_.load(onnx, {number(3), number(4), number(5)});
        if (!failure.is_ok()) {
            std::fprintf(stderr, "%s\n", failure.text.c_str());
            std::exit(1);
        }
        for (std::vector<float>* floats : {&input_, &peer_input_}) {
            floats->resize(network_.inputs());
        }
        for (std::vector<float>* floats : {&logits_, &full_, &peer_logits_}) {
            floats->resize(network_.outputs());
        }
        for (float& value : input_) value = numbers_.next();
        session_ = peer_.open(onnx, network_.input_shape(), 1, peer_input_, peer_logits_);
        read_count_ = number(8) / sizeof(float);
        const gm::Failure opened = memory_.open(number(8));  // pages as the network's own
        if (!opened.is_ok()) {
            std::fprintf(stderr, "%s\n", opened.text.c_str());
            std::exit(1);
        }
        weights_ = reinterpret_cast<float*>(memory_.bytes().data());
        std::fill_n(weights_, read_count_, 1.0F);
        for (std::vector<float>* floats : {&batch_, &peer_batch_}) {
            floats->resize(kBatch * network_.inputs());
        }
        for (std::vector<float>* floats : {&batch_logits_, &peer_batch_logits_}) {
            floats->resize(kBatch * network_.outputs());
        }
        for (float& value : batch_) value = numbers_.next();
        peer_batch_ = batch_;
        batch_session_ =
            peer_.open(onnx, network_.input_shape(), kBatch, peer_batch_, peer_batch_logits_);
    }

    void round(int block) {
        Times native, full, peer, probe, read, batch, peer_batch;
        verify();
        for (int half = 0; half < 2; ++half) {  // ABAB: nobody's weights push out the other's
            for (int i = 0; i < block / 2; ++i) {
                move_on();
                probe.ns.push_back(time_one(scale_, [] {}));
                native.ns.push_back(time_one(
                    scale_, [&] { network_.run_new_row(prepared_, newest(), logits_.data()); }));
            }
            for (int i = 0; i < block / 2; ++i) {
                for (float& value : peer_input_) value = numbers_.next();
                peer.ns.push_back(time_one(scale_, [&] { peer_.run(session_); }));
            }
            for (int i = 0; i < block / 2; ++i) {
                for (float& value : input_) value = numbers_.next();
                full.ns.push_back(
                    time_one(scale_, [&] { network_.run_full(input_.data(), full_.data()); }));
            }
            for (int i = 0; i < block / 2; ++i) {
                read.ns.push_back(
                    time_one(scale_, [&] { sum_ += read_all(weights_, read_count_); }));
            }
            for (int i = 0; i < 2; ++i) {
                batch.ns.push_back(time_one(scale_, [&] { run_batch(); }));
                peer_batch.ns.push_back(time_one(scale_, [&] { peer_.run(batch_session_); }));
            }
        }
        std::printf(
            "{\"native\": [%.1f, %.1f], \"full\": [%.1f, %.1f], \"peer\": [%.1f, %.1f], "
            "\"probe\": [%.1f, %.1f], \"read\": [%.1f, %.1f], \"batch\": [%.1f, %.1f], "
            "\"peer_batch\": [%.1f, %.1f], \"worst_difference\": %.3g, \"is_same\": %s}\n",
            native.at(0.5), native.at(0.99), full.at(0.5), full.at(0.99), peer.at(0.5),
            peer.at(0.99), probe.at(0.5), probe.at(0.99), read.at(0.5), read.at(0.99),
            batch.at(0.5) / kBatch, batch.at(0.99) / kBatch, peer_batch.at(0.5) / kBatch,
            peer_batch.at(0.99) / kBatch, worst_, is_same_ && sum_ > 0.0F ? "true" : "false");
    }

 private:
    [[nodiscard]] const float* newest() const { return input_.data() + network_.known_inputs(); }

    // The window of the next bar, its known rows prepared, weights and code warm.
    void move_on() {
        const auto width = static_cast<std::ptrdiff_t>(row_width_);
        const auto known = static_cast<std::ptrdiff_t>(network_.known_inputs());
        std::move(input_.begin() + width, input_.begin() + known + width, input_.begin());
        network_.prepare(input_.data(), prepared_);
        network_.run_new_row(prepared_, newest(), logits_.data());
        for (auto i = static_cast<std::size_t>(known); i < input_.size(); ++i) {
            input_[i] = numbers_.next();
        }
    }

    void run_batch() { network_.run_batch(batch_.data(), kBatch, batch_logits_.data()); }

    void compare(const float* found, const float* expected, std::size_t count) {
        for (std::size_t k = 0; k < count; ++k) {
            const auto wanted = static_cast<double>(expected[k]);
            worst_ = std::max(worst_, std::abs(static_cast<double>(found[k]) - wanted) /
                                          std::max(1.0, std::abs(wanted)));
        }
    }

    // All three on the same hundred windows, and one batch.
    void verify() {
        run_batch();
        peer_.run(batch_session_);
        compare(batch_logits_.data(), peer_batch_logits_.data(), batch_logits_.size());
        for (std::size_t i = 0; i < kBatch; ++i) {
            network_.run_full(batch_.data() + i * network_.inputs(), full_.data());
            is_same_ = is_same_ && std::memcmp(batch_logits_.data() + i * full_.size(),
                                               full_.data(), full_.size() * sizeof(float)) == 0;
        }
        for (int i = 0; i < 100; ++i) {
            move_on();
            network_.run_new_row(prepared_, newest(), logits_.data());
            network_.run_full(input_.data(), full_.data());
            is_same_ = is_same_ &&
                       std::memcmp(logits_.data(), full_.data(), full_.size() * sizeof(float)) == 0;
            std::copy(input_.begin(), input_.end(), peer_input_.begin());
            peer_.run(session_);
            compare(full_.data(), peer_logits_.data(), full_.size());
        }
    }

    std::size_t row_width_;
    bench::OnnxRuntime peer_;
    bench::OnnxRuntime::Session session_{};
    bench::OnnxRuntime::Session batch_session_{};
    gm::Network network_;
    gm::PreparedRows prepared_{};
    gm::TickScale scale_ = gm::TickScale::calibrate();
    Numbers numbers_;
    std::vector<float> input_, peer_input_, logits_, full_, peer_logits_;
    std::vector<float> batch_, peer_batch_, batch_logits_, peer_batch_logits_;
    gm::MemoryRegion memory_;
    float* weights_ = nullptr;  // to be read, in memory_
    std::size_t read_count_ = 0;
    float sum_ = 0.0F;
    double worst_ = 0.0;
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
