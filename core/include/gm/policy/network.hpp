// A dense or convolutional network read from ONNX and run natively, exact float32.
//
// The newest row comes last: prepare() computes what the rows that are already known decide, of
// convolutions all columns but the last few; run_new_row() adds the newest row and the context and
// goes on. Both parts walk one chain of fused multiply-adds a neuron (bias, rows oldest to newest,
// context), so the logits are the same bits as run_full()'s, on every instruction set. Weights lie
// in one region, on huge pages where the machine gives them. Loading is cold; the rest is const,
// allocates nothing and may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/memory_region.hpp"
#include "gm/base/status.hpp"
#include "gm/policy/network_plan.hpp"
#include "gm/policy/onnx_reader.hpp"

namespace gm {

// How the input is laid out: `rows` rows of `row_width`, oldest first, then `context` values.
// rows = 0: nothing is said and nothing can be known before (prepare() then does nothing).
struct NetworkShape {
    std::uint32_t rows = 0;
    std::uint32_t row_width = 0;
    std::uint32_t context = 0;
};

class Network {
 public:
    Network() noexcept = default;

    // Cold. Refuses what read_onnx refuses, an input that the shape does not explain, convolutions
    // of which the newest row changes too much, and an instruction set that the machine has not.
    // A bfloat16 tail rounds the weights of large matrices but the first layer's, and is refused if
    // one of them becomes infinite.
    Failure load(std::span<const std::uint8_t> onnx, const NetworkShape& shape, InstructionSet set,
                 Tail tail = Tail::kFloat32);
    Failure load(std::span<const std::uint8_t> onnx, const NetworkShape& shape) {
        return load(onnx, shape, widest_instruction_set());
    }

    // known: known_inputs() floats, the rows before the newest.
    void prepare(const float* known, PreparedRows& out) const noexcept {
        kernel_->prepare(plan_, known, out);
    }
    // The same in pieces() pieces of some microseconds each, called in order with 0, 1, ...; until
    // the last of them the scratch is this network's and the known rows stay what they are.
    [[nodiscard]] std::size_t pieces() const noexcept { return count_pieces(plan_); }
    void prepare_piece(std::size_t piece, const float* known, PrepareScratch& scratch,
                       PreparedRows& out) const noexcept {
        kernel_->prepare_piece(plan_, piece, known, scratch, out);
    }
    // newest: new_inputs() floats, the newest row and the context. logits: outputs() floats.
    void run_new_row(const PreparedRows& prepared, const float* newest,
                     float* logits) const noexcept {
        kernel_->run_new_row(plan_, prepared, newest, logits);
    }
    // input: inputs() floats. logits: outputs() floats.
    void run_full(const float* input, float* logits) const noexcept {
        kernel_->run_full(plan_, input, logits);
    }
    // samples x inputs() floats in, samples x outputs() floats out; each the bits of run_full(),
    // but for the sign of a zero. Takes half a MiB of stack.
    void run_batch(const float* input, std::size_t samples, float* logits) const noexcept {
        kernel_->run_batch(plan_, {input, inputs_, samples}, logits);
    }

    [[nodiscard]] bool is_loaded() const noexcept { return kernel_ != nullptr; }
    [[nodiscard]] std::uint32_t inputs() const noexcept { return inputs_; }
    [[nodiscard]] std::uint32_t outputs() const noexcept { return plan_.outputs; }
    [[nodiscard]] std::uint32_t known_inputs() const noexcept { return plan_.known_inputs; }
    [[nodiscard]] std::uint32_t new_inputs() const noexcept { return inputs_ - plan_.known_inputs; }
    // The file ends with a Softmax: outputs are probabilities, not logits.
    [[nodiscard]] bool gives_probabilities() const noexcept { return gives_probabilities_; }
    [[nodiscard]] std::span<const std::uint32_t> input_shape() const noexcept {
        return input_shape_;
    }
    [[nodiscard]] ObtainedMemory obtained() const { return memory_.obtained(); }  // cold

 private:
    Failure place(const NetworkGraph& graph, std::uint32_t known_inputs, Tail tail);
    void set_columns(const NetworkGraph& graph);

    MemoryRegion memory_;
    std::vector<PlanStep> steps_;
    std::vector<ConvStep> convs_;
    std::vector<std::uint32_t> input_shape_;
    NetworkPlan plan_{};
    const NetworkKernel* kernel_ = nullptr;
    std::uint32_t inputs_ = 0;
    bool gives_probabilities_ = false;
};

}  // namespace gm
