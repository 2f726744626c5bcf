// A graph of operators packed into one region of padded matrices, and the choice of a kernel.
#include "gm/policy/network.hpp"

#include <cmath>
#include <cstring>
#include <string>

namespace gm {

namespace {

std::uint32_t blocks_of(std::uint32_t width) {
    return (width + kLanes - 1) / kLanes;
}

// Arrays of whole blocks, one after another; pointers are known once all of it has its place.
class Packer {
 public:
    std::size_t add_matrix(const NetworkOperator& dense) {
        const std::size_t width = std::size_t{blocks_of(dense.outputs)} * kLanes;
        const std::size_t start = grow(dense.inputs * width);
        for (std::size_t i = 0; i < dense.inputs; ++i) {
            for (std::size_t o = 0; o < dense.outputs; ++o) {
                floats_[start + i * width + o] = dense.weights[i * dense.outputs + o];
            }
        }
        return start;
    }
    std::size_t add_row(const std::vector<float>& row) {
        const std::size_t start = grow(row.size());
        for (std::size_t i = 0; i < row.size(); ++i) {
            floats_[start + i] = row[i];
        }
        return start;
    }
    [[nodiscard]] const std::vector<float>& floats() const { return floats_; }

 private:
    std::size_t grow(std::size_t count) {
        const std::size_t start = floats_.size();
        floats_.resize(start + (count + kLanes - 1) / kLanes * kLanes, 0.0F);
        return start;
    }

    std::vector<float> floats_;
};

// A step with places instead of pointers, until the region is open.
struct PackedStep {
    PlanStep step{};
    std::size_t weights = 0;
    std::size_t bias = 0;
    std::size_t column_sums = 0;
    std::size_t input_mask = 0;
};

PackedStep start_step(StepKind kind, const NetworkOperator& from, std::uint32_t inputs) {
    PackedStep packed;
    packed.step.kind = kind;
    packed.step.inputs = inputs;
    packed.step.outputs = from.outputs;
    packed.step.blocks = blocks_of(from.outputs);
    packed.step.epsilon = from.epsilon;
    packed.step.inverse_width = 1.0F / static_cast<float>(inputs);
    return packed;
}

PackedStep pack_dense(StepKind kind, const NetworkOperator& dense, Packer& packer) {
    PackedStep packed = start_step(kind, dense, dense.inputs);
    packed.weights = packer.add_matrix(dense);
    packed.bias = packer.add_row(dense.bias);
    return packed;
}

PackedStep pack_plain(const NetworkOperator& from, Packer& packer) {
    if (from.kind == OperatorKind::kDense) {
        return pack_dense(StepKind::kDense, from, packer);
    }
    if (from.kind != OperatorKind::kLayerNorm) {
        const bool is_relu = from.kind == OperatorKind::kRelu;
        return start_step(is_relu ? StepKind::kRelu : StepKind::kTanh, from, from.inputs);
    }
    PackedStep packed = start_step(StepKind::kLayerNorm, from, from.inputs);
    packed.weights = packer.add_row(from.weights);
    packed.bias = packer.add_row(from.bias);
    packed.input_mask = packer.add_row(std::vector<float>(from.inputs, 1.0F));
    return packed;
}

// y = ((h - mean) inverse gamma + beta) W + b = inverse (h V - mean S) + c with V = gamma W,
// S = column sums of V, c = beta W + b. The matrix is then multiplied with h itself, whose zeros
// can be skipped.
PackedStep pack_folded(const NetworkOperator& norm, NetworkOperator dense, Packer& packer) {
    std::vector<float> column_sums(dense.outputs);
    for (std::size_t o = 0; o < dense.outputs; ++o) {
        double sum = 0.0;
        double constant = static_cast<double>(dense.bias[o]);
        for (std::size_t i = 0; i < dense.inputs; ++i) {
            float& weight = dense.weights[i * dense.outputs + o];
            constant += static_cast<double>(norm.bias[i]) * static_cast<double>(weight);
            weight *= norm.weights[i];
            sum += static_cast<double>(weight);
        }
        column_sums[o] = static_cast<float>(sum);
        dense.bias[o] = static_cast<float>(constant);
    }
    PackedStep packed = pack_dense(StepKind::kReluNormDense, dense, packer);
    packed.step.epsilon = norm.epsilon;
    packed.column_sums = packer.add_row(column_sums);
    packed.input_mask = packer.add_row(std::vector<float>(dense.inputs, 1.0F));
    return packed;
}

bool is_kind(const NetworkGraph& graph, std::size_t index, OperatorKind kind) {
    return index < graph.operators.size() && graph.operators[index].kind == kind;
}

std::vector<PackedStep> pack_steps(const NetworkGraph& graph, Packer& packer) {
    std::vector<PackedStep> steps;
    for (std::size_t i = 1; i < graph.operators.size();) {  // each turn takes one to three
        const bool is_relu = is_kind(graph, i, OperatorKind::kRelu);
        if (is_relu && is_kind(graph, i + 1, OperatorKind::kDense)) {
            steps.push_back(pack_dense(StepKind::kReluDense, graph.operators[i + 1], packer));
            i += 2;
        } else if (is_relu && is_kind(graph, i + 1, OperatorKind::kLayerNorm) &&
                   is_kind(graph, i + 2, OperatorKind::kDense)) {
            steps.push_back(pack_folded(graph.operators[i + 1], graph.operators[i + 2], packer));
            i += 3;
        } else {
            steps.push_back(pack_plain(graph.operators[i], packer));
            i += 1;
        }
    }
    return steps;
}

}  // namespace

const NetworkKernel* find_kernel(InstructionSet set) noexcept {
    if (!has_instruction_set(set)) {
        return nullptr;
    }
    switch (set) {
        case InstructionSet::kAvx512: return avx512_kernel();
        case InstructionSet::kAvx2: return avx2_kernel();
        case InstructionSet::kScalar: break;
    }
    return scalar_kernel();
}

Failure Network::load(std::span<const std::uint8_t> onnx, const NetworkShape& shape,
                      InstructionSet set) {
    kernel_ = nullptr;
    const NetworkKernel* kernel = find_kernel(set);
    if (kernel == nullptr) {
        return fail(Status::kBadArgument, "instruction set " +
                                              std::to_string(static_cast<std::uint32_t>(set)) +
                                              " is not on this machine");
    }
    NetworkGraph graph;
    Failure failure = read_onnx(onnx, graph);
    if (!failure.is_ok()) {
        return failure;
    }
    const std::uint64_t row_inputs = std::uint64_t{shape.rows} * shape.row_width;
    if (shape.rows != 0 && row_inputs + shape.context != graph.inputs) {
        return fail(Status::kBadNetwork, "network of " + std::to_string(graph.inputs) +
                                             " inputs, must be " + std::to_string(shape.rows) +
                                             " x " + std::to_string(shape.row_width) + " + " +
                                             std::to_string(shape.context));
    }
    inputs_ = graph.inputs;
    known_inputs_ = shape.rows != 0 ? (shape.rows - 1) * shape.row_width : 0;
    input_shape_ = graph.input_shape;
    failure = place(graph);
    if (failure.is_ok()) {
        kernel_ = kernel;
    }
    return failure;
}

Failure Network::place(const NetworkGraph& graph) {
    Packer packer;
    const std::size_t first_weights = packer.add_matrix(graph.operators[0]);
    const std::size_t first_bias = packer.add_row(graph.operators[0].bias);
    const std::vector<PackedStep> packed = pack_steps(graph, packer);
    const std::vector<float>& floats = packer.floats();
    for (const float value : floats) {
        if (!std::isfinite(value)) {  // a product of folding
            return fail(Status::kBadNetwork, "LayerNormalization scale x weight is not finite");
        }
    }
    Failure failure = memory_.open(floats.size() * sizeof(float));
    if (!failure.is_ok()) {
        return failure;
    }
    std::memcpy(memory_.bytes().data(), floats.data(), floats.size() * sizeof(float));
    const auto* base = reinterpret_cast<const float*>(memory_.bytes().data());
    steps_.clear();
    for (const PackedStep& from : packed) {
        PlanStep step = from.step;
        step.weights = base + from.weights;
        step.bias = base + from.bias;
        step.column_sums = base + from.column_sums;
        step.input_mask = base + from.input_mask;
        steps_.push_back(step);
    }
    first_bias_ = base + first_bias;
    plan_ = {base + first_weights, blocks_of(graph.operators[0].outputs),
             static_cast<std::uint32_t>(steps_.size()), graph.outputs, steps_.data()};
    return ok();
}

}  // namespace gm
