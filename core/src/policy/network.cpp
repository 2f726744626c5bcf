// A graph of operators packed into one region of padded matrices, and the choice of a kernel.
#include "gm/policy/network.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

namespace gm {

namespace {

// Narrow blocks come in pairs.
std::size_t padded(std::size_t width, Tail kind = Tail::kFloat32) {
    const std::size_t unit = kind == Tail::kBfloat16 ? 2 * kLanes : kLanes;
    return (width + unit - 1) / unit * unit;
}

std::uint32_t blocks_of(std::uint32_t width, Tail kind = Tail::kFloat32) {
    return static_cast<std::uint32_t>(padded(width, kind) / kLanes);
}

// Arrays of whole blocks, one after another; pointers are known once all of it has its place.
class Packer {
 public:
    // Narrow: words of two rounded weights.
    std::size_t add_matrix(const std::vector<float>& weights, std::size_t outputs,
                           Tail kind = Tail::kFloat32) {
        const std::size_t width = padded(outputs, kind);
        const std::size_t inputs = weights.size() / outputs;
        const bool is_narrow = kind == Tail::kBfloat16;
        const std::size_t step = is_narrow ? width / 2 : width;  // words a row
        const std::size_t start = grow(inputs * step);
        std::vector<float> row(width, 0.0F);
        for (std::size_t i = 0; i < inputs; ++i) {
            std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>(i * outputs), outputs,
                        row.begin());
            for (std::size_t w = 0; w < step; ++w) {
                words_[start + i * step + w] = is_narrow ? narrow_word(row, w) : word_of(row[w]);
            }
        }
        return start;
    }
    std::size_t add_row(const std::vector<float>& row, Tail kind = Tail::kFloat32) {
        const std::size_t start = grow(padded(row.size(), kind));
        for (std::size_t i = 0; i < row.size(); ++i) {
            words_[start + i] = word_of(row[i]);
        }
        return start;
    }
    [[nodiscard]] const std::vector<std::uint32_t>& words() const { return words_; }
    [[nodiscard]] bool is_finite() const { return is_finite_; }

 private:
    std::size_t grow(std::size_t count) {
        const std::size_t start = words_.size();
        words_.resize(start + padded(count), 0);
        return start;
    }
    std::uint32_t word_of(float value) {
        is_finite_ = is_finite_ && std::isfinite(value);
        return std::bit_cast<std::uint32_t>(value);
    }
    // Word w of a row: lanes of neighbouring blocks.
    std::uint32_t narrow_word(const std::vector<float>& row, std::size_t w) {
        const std::size_t at = w / kLanes * 2 * kLanes + w % kLanes;
        const float low = round_to_bfloat16(row[at]);
        const float high = round_to_bfloat16(row[at + kLanes]);
        is_finite_ = is_finite_ && std::isfinite(low) && std::isfinite(high);
        return pair_of(low, high).bits;
    }

    std::vector<std::uint32_t> words_;
    bool is_finite_ = true;
};

// A step with places instead of pointers, until the region is open.
struct PackedStep {
    PlanStep step{};
    Tail kind = Tail::kFloat32;
    std::size_t weights = 0;  // matrix or scale
    std::size_t bias = 0;
    std::size_t column_sums = 0;
    std::size_t input_mask = 0;

    [[nodiscard]] PlanStep at(const float* base) const {
        PlanStep out = step;
        if (kind == Tail::kBfloat16) {
            out.matrix.narrow = reinterpret_cast<const Bfloat16Pair*>(base + weights);
        } else {
            out.matrix.wide = base + weights;
        }
        out.scale = base + weights;
        out.bias = base + bias;
        out.column_sums = base + column_sums;
        out.input_mask = base + input_mask;
        return out;
    }
};

PackedStep start_step(StepKind kind, const NetworkOperator& from, std::uint32_t inputs) {
    PackedStep packed;
    packed.step.kind = kind;
    packed.step.inputs = inputs;
    packed.step.outputs = from.outputs;
    packed.step.epsilon = from.epsilon;
    packed.step.inverse_width = 1.0F / static_cast<float>(inputs);
    return packed;
}

// What a matrix is stored as.
Tail kind_of(const NetworkOperator& dense, Tail tail) {
    return dense.weights.size() < kNarrowWeightsMin ? Tail::kFloat32 : tail;
}

PackedStep pack_dense(StepKind kind, const NetworkOperator& dense, Tail tail, Packer& packer) {
    PackedStep packed = start_step(kind, dense, dense.inputs);
    packed.kind = kind_of(dense, tail);
    packed.step.matrix.blocks = blocks_of(dense.outputs, packed.kind);
    packed.weights = packer.add_matrix(dense.weights, dense.outputs, packed.kind);
    packed.bias = packer.add_row(dense.bias, packed.kind);
    return packed;
}

PackedStep pack_plain(const NetworkOperator& from, Tail tail, Packer& packer) {
    if (from.kind == OperatorKind::kDense) {
        return pack_dense(StepKind::kDense, from, tail, packer);
    }
    if (from.kind != OperatorKind::kLayerNorm) {
        const StepKind kind = from.kind == OperatorKind::kRelu   ? StepKind::kRelu
                              : from.kind == OperatorKind::kTanh ? StepKind::kTanh
                                                                 : StepKind::kSoftmax;
        return start_step(kind, from, from.inputs);
    }
    PackedStep packed = start_step(StepKind::kLayerNorm, from, from.inputs);
    packed.weights = packer.add_row(from.weights);
    packed.bias = packer.add_row(from.bias);
    packed.input_mask = packer.add_row(std::vector<float>(from.inputs, 1.0F));
    return packed;
}

// y = ((h - mean) inverse gamma + beta) W + b = inverse (h V - mean S) + c with V = gamma W,
// S = column sums of V, c = beta W + b. The matrix is then multiplied with h itself, whose zeros
// can be skipped. In a narrow tail V is rounded before S is summed, so that the mean still cancels.
PackedStep pack_folded(const NetworkOperator& norm, NetworkOperator dense, Tail tail,
                       Packer& packer) {
    const Tail kind = kind_of(dense, tail);
    std::vector<float> column_sums(dense.outputs);
    for (std::size_t o = 0; o < dense.outputs; ++o) {
        double sum = 0.0;
        double constant = static_cast<double>(dense.bias[o]);
        for (std::size_t i = 0; i < dense.inputs; ++i) {
            float& weight = dense.weights[i * dense.outputs + o];
            constant += static_cast<double>(norm.bias[i]) * static_cast<double>(weight);
            weight *= norm.weights[i];
            weight = kind == Tail::kBfloat16 ? round_to_bfloat16(weight) : weight;
            sum += static_cast<double>(weight);
        }
        column_sums[o] = static_cast<float>(sum);
        dense.bias[o] = static_cast<float>(constant);
    }
    PackedStep packed = pack_dense(StepKind::kReluNormDense, dense, tail, packer);
    packed.step.epsilon = norm.epsilon;
    packed.column_sums = packer.add_row(column_sums, kind);
    packed.input_mask = packer.add_row(std::vector<float>(dense.inputs, 1.0F));
    return packed;
}

bool is_kind(const NetworkGraph& graph, std::size_t index, OperatorKind kind) {
    return index < graph.operators.size() && graph.operators[index].kind == kind;
}

std::vector<PackedStep> pack_steps(const NetworkGraph& graph, Tail tail, Packer& packer) {
    std::vector<PackedStep> steps;
    for (std::size_t i = 1; i < graph.operators.size();) {  // each turn takes one to three
        const bool is_relu = is_kind(graph, i, OperatorKind::kRelu);
        if (is_relu && is_kind(graph, i + 1, OperatorKind::kDense)) {
            steps.push_back(pack_dense(StepKind::kReluDense, graph.operators[i + 1], tail, packer));
            i += 2;
        } else if (is_relu && is_kind(graph, i + 1, OperatorKind::kLayerNorm) &&
                   is_kind(graph, i + 2, OperatorKind::kDense)) {
            steps.push_back(
                pack_folded(graph.operators[i + 1], graph.operators[i + 2], tail, packer));
            i += 3;
        } else {
            steps.push_back(pack_plain(graph.operators[i], tail, packer));
            i += 1;
        }
    }
    return steps;
}

struct PackedConv {
    ConvStep step{};
    std::size_t weights = 0;
    std::size_t bias = 0;
};

// `changing`: floats that the newest row changes, all convolutions and one bin.
std::vector<PackedConv> pack_convs(const NetworkGraph& graph, Packer& packer,
                                   std::size_t& changing) {
    std::vector<PackedConv> convs;
    std::uint32_t input_stride = graph.convs.empty() ? 0 : graph.convs[0].inputs;
    std::uint32_t columns_changing = 1;
    bool is_sparse = false;
    for (const ConvLayer& conv : graph.convs) {  // at most kConvLayersMax
        PackedConv packed;
        columns_changing = std::min(graph.columns, columns_changing + conv.taps / 2);
        packed.step.inputs = conv.inputs;
        packed.step.input_stride = input_stride;
        packed.step.blocks = blocks_of(conv.outputs);
        packed.step.taps = conv.taps;
        packed.step.changing = columns_changing;
        packed.step.has_relu = conv.has_relu;
        packed.step.is_sparse = is_sparse;
        packed.weights = packer.add_matrix(conv.weights, conv.outputs);
        packed.bias = packer.add_row(conv.bias);
        input_stride = packed.step.blocks * kLanes;
        is_sparse = conv.has_relu;
        changing += std::size_t{columns_changing} * input_stride;
        convs.push_back(packed);
    }
    changing += input_stride;
    return convs;
}

// The first matrix as it meets columns of padded channels: rows of zeros for the padding.
NetworkOperator pad_inputs(const NetworkOperator& dense, std::uint32_t channels) {
    NetworkOperator out = dense;
    const std::size_t width = padded(channels);
    const std::size_t bins = dense.inputs / channels;
    out.inputs = static_cast<std::uint32_t>(bins * width);
    out.weights.assign(bins * width * dense.outputs, 0.0F);
    for (std::size_t i = 0; i < dense.inputs; ++i) {
        const std::size_t row = i / channels * width + i % channels;
        for (std::size_t o = 0; o < dense.outputs; ++o) {
            out.weights[row * dense.outputs + o] = dense.weights[i * dense.outputs + o];
        }
    }
    return out;
}

// Empty where the shape explains the input.
std::string mismatch_of(const NetworkGraph& graph, const NetworkShape& shape) {
    const std::uint64_t row_inputs = std::uint64_t{shape.rows} * shape.row_width;
    if (shape.rows == 0) {
        return {};
    }
    const std::string wanted = "must be " + std::to_string(shape.rows) + " x " +
                               std::to_string(shape.row_width) + " + " +
                               std::to_string(shape.context);
    if (row_inputs + shape.context != graph.inputs) {
        return "network of " + std::to_string(graph.inputs) + " inputs, " + wanted;
    }
    if (!graph.convs.empty() && (shape.context != 0 || shape.rows != graph.columns)) {
        return "network over " + std::to_string(graph.columns) + " columns of " +
               std::to_string(graph.convs[0].inputs) + " channels, " + wanted;
    }
    return {};
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

namespace {

// How many inputs or columns of `products` each make a piece.
std::size_t span_of(std::size_t products) noexcept {
    return std::max<std::size_t>(1, kPieceProducts / std::max<std::size_t>(1, products));
}

struct PieceSize {
    std::size_t all;   // columns, or inputs of the first matrix
    std::size_t span;  // of one piece

    [[nodiscard]] std::size_t pieces() const noexcept {
        return std::max<std::size_t>(1, (all + span - 1) / span);
    }
};

PieceSize piece_size(const NetworkPlan& plan, std::uint32_t conv) noexcept {
    if (conv == plan.conv_count) {
        return {plan.first_known, span_of(std::size_t{plan.first.blocks} * kLanes)};
    }
    const ConvStep& step = plan.convs[conv];
    const std::uint32_t unknown = conv == 0 ? 1 : plan.convs[conv - 1].changing;
    return {plan.columns - unknown,
            span_of(std::size_t{step.taps} * step.inputs * step.blocks * kLanes)};
}

}  // namespace

std::size_t count_pieces(const NetworkPlan& plan) noexcept {
    if (plan.known_inputs == 0) return 0;
    std::size_t count = 0;
    for (std::uint32_t c = 0; c <= plan.conv_count; ++c) count += piece_size(plan, c).pieces();
    return count;
}

NetworkPiece piece_at(const NetworkPlan& plan, std::size_t index) noexcept {
    std::uint32_t conv = 0;
    PieceSize size = piece_size(plan, conv);
    while (conv < plan.conv_count && index >= size.pieces()) {  // at most kConvLayersMax
        index -= size.pieces();
        size = piece_size(plan, ++conv);
    }
    const std::size_t first = index * size.span;
    const std::size_t last = std::min(size.all, first + size.span);
    return {conv, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last), index == 0,
            index + 1 == size.pieces()};
}

Failure Network::load(std::span<const std::uint8_t> onnx, const NetworkShape& shape,
                      InstructionSet set, Tail tail) {
    kernel_ = nullptr;
    const NetworkKernel* kernel = find_kernel(set);
    if (kernel == nullptr) {
        return fail(Status::kBadArgument, "instruction set " +
                                              std::to_string(static_cast<std::uint32_t>(set)) +
                                              " is not on this machine");
    }
    if (tail != Tail::kFloat32 && tail != Tail::kBfloat16) {
        return fail(Status::kBadArgument, "tail must be 0 (float32) or 1 (bfloat16): " +
                                              std::to_string(static_cast<std::uint32_t>(tail)));
    }
    NetworkGraph graph;
    Failure failure = read_onnx(onnx, graph);
    if (!failure.is_ok()) {
        return failure;
    }
    std::string mismatch = mismatch_of(graph, shape);
    if (!mismatch.empty()) {
        return fail(Status::kBadNetwork, std::move(mismatch));
    }
    inputs_ = graph.inputs;
    input_shape_ = graph.input_shape;
    gives_probabilities_ = graph.operators.back().kind == OperatorKind::kSoftmax;
    failure = place(graph, shape.rows != 0 ? (shape.rows - 1) * shape.row_width : 0, tail);
    if (failure.is_ok()) {
        kernel_ = kernel;
    }
    return failure;
}

Failure Network::place(const NetworkGraph& graph, std::uint32_t known_inputs, Tail tail) {
    Packer packer;
    std::size_t changing = 0;
    const std::vector<PackedConv> convs = pack_convs(graph, packer, changing);
    if (!convs.empty() && changing > kChangingMax) {
        return fail(Status::kUnsupportedNetwork,
                    "the newest row changes " + std::to_string(changing) +
                        " values of convolutions, at most " + std::to_string(kChangingMax));
    }
    const PackedStep first =
        convs.empty()
            ? pack_dense(StepKind::kDense, graph.operators[0], Tail::kFloat32, packer)
            : pack_dense(StepKind::kDense,
                         pad_inputs(graph.operators[0], graph.convs.back().outputs), tail, packer);
    const std::vector<PackedStep> packed = pack_steps(graph, tail, packer);
    if (!packer.is_finite()) {
        return fail(Status::kBadNetwork,
                    tail == Tail::kBfloat16
                        ? "LayerNormalization scale x weight is not finite, or no bfloat16"
                        : "LayerNormalization scale x weight is not finite");
    }
    const std::vector<std::uint32_t>& words = packer.words();
    Failure failure = memory_.open(words.size() * sizeof(std::uint32_t));
    if (!failure.is_ok()) {
        return failure;
    }
    std::memcpy(memory_.bytes().data(), words.data(), words.size() * sizeof(std::uint32_t));
    const auto* base = reinterpret_cast<const float*>(memory_.bytes().data());
    steps_.clear();
    for (const PackedStep& from : packed) {
        steps_.push_back(from.at(base));
    }
    convs_.clear();
    for (const PackedConv& from : convs) {
        ConvStep step = from.step;
        step.weights = base + from.weights;
        step.bias = base + from.bias;
        convs_.push_back(step);
    }
    const PlanStep start = first.at(base);
    plan_ = {};
    plan_.first = start.matrix;
    plan_.first_bias = start.bias;
    plan_.first_inputs = start.inputs;
    plan_.first_known = known_inputs;
    plan_.known_inputs = known_inputs;
    plan_.step_count = static_cast<std::uint32_t>(steps_.size());
    plan_.outputs = graph.outputs;
    plan_.steps = steps_.data();
    if (!convs_.empty()) {
        set_columns(graph);
    }
    return ok();
}

void Network::set_columns(const NetworkGraph& graph) {
    const ConvStep& last = convs_.back();
    plan_.first_known = (graph.columns - last.changing) / graph.pool * last.blocks * kLanes;
    plan_.convs = convs_.data();
    plan_.conv_count = static_cast<std::uint32_t>(convs_.size());
    plan_.columns = graph.columns;
    plan_.pool = graph.pool;
    plan_.inverse_pool = 1.0F / static_cast<float>(graph.pool);
}

}  // namespace gm
