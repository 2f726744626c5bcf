#include "gm/runtime/rebuild.hpp"

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "gm/engine/engine.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/runtime/replay.hpp"
#include "gm/runtime/snapshots.hpp"

namespace gm {
namespace {

bool is_decision(const Slot& slot) noexcept {
    return slot.type() == RecordType::kDecision || slot.type() == RecordType::kShadowDecision;
}

// The agents of the model of that number as its block has them.
Failure read_agents(const std::string& run_dir, const Settings& settings, const Model& model,
                    RebuiltDecision& out) {
    if (out.journalled.as<Decision>().model == 0) {
        out.agents = settings.agents;
        out.onnx = settings.onnx;
        return ok();
    }
    const std::string path = model_path(run_dir, model.sha256);
    std::vector<std::uint8_t> block;
    ModelBlock parts;
    Failure failure = read_file(path, block);
    if (failure.is_ok()) failure = read_model(block, parts);
    if (!failure.is_ok()) return fail(failure.status, path + ": " + failure.text);
    out.agents = std::move(parts.agents);
    out.onnx = std::move(parts.onnx);
    return ok();
}

void ask_again(const Engine& engine, std::uint32_t at, bool is_shadow, RebuiltDecision& out) {
    const Desk& desk = engine.desks()[at];
    const Models& models = engine.models();
    const Model& model = is_shadow ? *models.shadow() : models.live();
    const float* added = engine.kernels().matrix(at);
    std::memcpy(out.matrix, desk.features.matrix(), sizeof out.matrix);
    if (added != nullptr) std::memcpy(out.kernels, added, sizeof out.kernels);
    out.context = engine.context(at);
    // A copy: asking counts errors.
    const auto state = std::make_unique<EnsembleState>(
        desk.policy[is_shadow ? models.shadow_place() : models.live_place()]);
    model.ensemble.explain({out.matrix, added}, out.context, *state, out.values, out.votes);
    out.threshold = model.ensemble.threshold();
    out.model_sha256 = model.sha256;
}

// The engine stands behind the step: is what decided there still in its place?
bool has_model(const Models& models, const Slot& decision) noexcept {
    const std::uint16_t number = decision.as<Decision>().model;
    return decision.type() == RecordType::kDecision
               ? models.live_number() == number
               : models.shadow() != nullptr && models.shadow_number() == number;
}

}  // namespace

Failure rebuild_decision(const std::string& run_dir, std::uint64_t sequence, RebuiltDecision& out) {
    std::vector<std::uint8_t> block;
    Settings settings;
    ReplayTarget target;
    target.sequence = sequence;
    const auto engine = std::make_unique<Engine>();
    Failure failure = read_file(run_dir + "/settings.bin", block);
    if (failure.is_ok()) failure = load_settings(block, settings);
    const std::string folder = journal_folder(run_dir);
    std::vector<SegmentFile> segments;
    ReplayStart start;
    if (failure.is_ok()) failure = list_segments(folder, segments);
    if (failure.is_ok() && !segments.empty() && segments[0].first_sequence != 1) {
        failure = open_from_snapshot(run_dir, settings, *engine, start, sequence);
    } else if (failure.is_ok()) {
        failure = engine->open(settings);
    }
    if (failure.is_ok()) failure = replay_until(folder, settings, *engine, target, start);
    if (!failure.is_ok()) return failure;
    if (!is_decision(target.journalled)) {
        return fail(Status::kBadArgument, "record " + std::to_string(sequence) + " is of type " +
                                              std::to_string(target.journalled.header.type) +
                                              ", not a decision");
    }
    out.journalled = target.journalled;
    out.made = target.made;
    out.is_equal = std::memcmp(&out.journalled, &out.made, offsetof(Slot, trailer)) == 0;
    if (!out.is_equal) return ok();
    const std::uint32_t at = out.made.as<Decision>().instrument;
    out.size_lots = settings.sizing[at].target_lots;
    if (engine->kernels().has_rule()) return ok();
    if (!has_model(engine->models(), out.made)) {
        return fail(Status::kBadArgument,
                    "model " + std::to_string(out.made.as<Decision>().model) +
                        " decided and was taken back in the same step: its agents cannot be asked "
                        "again, model " +
                        std::to_string(engine->models().live_number()) + " is in its place");
    }
    const bool is_shadow = out.made.type() == RecordType::kShadowDecision;
    ask_again(*engine, at, is_shadow, out);
    const Model& model = is_shadow ? *engine->models().shadow() : engine->models().live();
    return read_agents(run_dir, settings, model, out);
}

}  // namespace gm
