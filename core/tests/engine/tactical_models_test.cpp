// Promise: where two levels decide, a model is both of them. They come, go and fail together, a
// direction stands for the model that gave it, and a swap in the middle of anything changes no bit.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "engine/two_levels.hpp"
#include "policy/conv_bytes.hpp"
#include "sanitized.hpp"

using namespace gm;
using namespace gm::test;

namespace {

constexpr std::int64_t kWarmHalfHours = 260;

}  // namespace

namespace {

std::shared_ptr<Model> model_of(std::uint8_t name, const Settings& settings) {
    auto model = std::make_shared<Model>();
    const Failure failure = load_model(settings, *model);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    model->sha256 = {};
    model->sha256[0] = name;
    return model;
}

struct SwapRig : TwoLevelRig {
    explicit SwapRig(const Settings& settings) : TwoLevelRig(settings) {
        half_hours(kWarmHalfHours);
        REQUIRE(timed().size() > 200);
    }
    void order(ModelAction action, std::uint8_t name, std::uint32_t number) {
        ModelCommand command{};
        command.sha256[0] = name;
        command.model = number;
        command.action = action;
        io(RecordType::kModelCommand, command);
    }
    void shadow(std::uint8_t name, std::uint32_t number, const Settings& settings) {
        (void)engine->models().collect();
        auto model = model_of(name, settings);
        REQUIRE(engine->models().offer(model));
        order(ModelAction::kShadow, name, number);
    }
    ModelUpdate last_update() const {
        return records<ModelUpdate>(RecordType::kModelUpdate).back();
    }
};

Settings contrary_settings() {
    Settings settings = two_level_settings(kSaysAggressive, -200.0F);
    settings.onnx = {momentum_network(-50.0F)};
    return settings;
}

}  // namespace

TEST_CASE("a shadow's team decides beside the live one, in the shadow's own direction") {
    SwapRig rig(two_level_settings(kSaysAggressive));
    const std::size_t live_before = rig.timed().size();
    rig.shadow(1, 1, contrary_settings());
    rig.half_hours(60);
    const auto live = rig.timed();
    const auto shadow = rig.records<TacticalDecision>(RecordType::kShadowTacticalDecision);
    REQUIRE(shadow.size() == live.size() - live_before);
    int opposite = 0;
    for (std::size_t i = 6; i < shadow.size(); ++i) {  // from its own first strategic decision on
        const TacticalDecision& beside = live[live_before + i];
        CHECK(shadow[i].model == 1);
        CHECK(beside.model == 0);
        CHECK(shadow[i].bar_start_ts_ns == beside.bar_start_ts_ns);
        CHECK(shadow[i].standing == -beside.standing);
        opposite += shadow[i].enters != 0 && shadow[i].direction == -beside.direction;
    }
    CHECK(opposite > 10);
    // Promoted between two half hours: it goes on with the direction that it gave itself.
    std::int64_t bars = 0;
    const auto last_shadow = [&] {
        return rig.records<TacticalDecision>(RecordType::kShadowTacticalDecision).back();
    };
    while ((rig.count % 6 == 5 || rig.count % 6 == 0 || last_shadow().standing == 0) &&
           bars++ < 600) {
        rig.five();
    }
    const int given = last_shadow().standing;
    REQUIRE(given != 0);
    rig.order(ModelAction::kPromote, 1, 1);
    rig.five();
    CHECK(rig.timed().back().model == 1);
    CHECK(rig.timed().back().standing == given);
}

TEST_CASE("a place that is used again stands for nothing that the model before it said") {
    SwapRig rig(two_level_settings(kSaysAggressive));
    rig.shadow(1, 1, contrary_settings());
    rig.half_hours(10);
    std::int64_t bars = 0;
    const auto last_shadow = [&] {
        return rig.records<TacticalDecision>(RecordType::kShadowTacticalDecision).back();
    };
    while ((rig.count % 6 == 5 || rig.count % 6 == 0 || last_shadow().standing == 0) &&
           bars++ < 600) {
        rig.five();
    }
    REQUIRE(last_shadow().standing != 0);
    (void)rig.engine->prepare_part();  // under way for the one that leaves
    rig.shadow(2, 2, contrary_settings());
    rig.five();
    CHECK(last_shadow().model == 2);
    CHECK(last_shadow().standing == 0);
}

TEST_CASE("a model that comes back stands for nothing that it said more than half an hour ago") {
    SwapRig rig(two_level_settings(kSaysAggressive));
    rig.shadow(1, 1, contrary_settings());
    std::int64_t waited = 0;
    while ((rig.count % 6 != 2 || rig.timed().back().standing == 0) && waited++ < 600) rig.five();
    REQUIRE(rig.timed().back().standing != 0);
    rig.order(ModelAction::kPromote, 1, 1);
    for (int i = 0; i < 6; ++i) rig.five();
    rig.order(ModelAction::kRollBack, 0, 1);
    rig.five();
    CHECK(rig.timed().back().model == 0);
    CHECK(rig.timed().back().standing == 0);
}

TEST_CASE("a swap in the middle of a preparation changes no bit") {
    // Networks of many pieces, so that the swap comes within one.
    const auto settings_of = [](std::uint32_t seed) {
        Settings settings = two_level_settings(kSaysAggressive);
        for (std::uint32_t a = 0; a < 3; ++a) {
            settings.tactical.onnx[a] = conv_model({.seed = seed + a});
        }
        return settings;
    };
    std::vector<TacticalDecision> expected;
    for (int parts = 0; parts < 90; parts += parts == 0 ? 1 : 4 * kLess) {
        TwoLevelRig rig(settings_of(20));
        for (int i = 0; i < 80; ++i) rig.five();
        const auto shadow = [&](std::uint8_t name, std::uint32_t seed) {
            (void)rig.engine->models().collect();
            REQUIRE(rig.engine->models().offer(model_of(name, settings_of(seed))));
            ModelCommand command{};
            command.sha256[0] = name;
            command.model = name;
            command.action = ModelAction::kShadow;
            rig.io(RecordType::kModelCommand, command);
        };
        shadow(1, 30);
        rig.five();
        for (int part = 0; part < parts; ++part) (void)rig.engine->prepare_part();
        shadow(2, 40);
        if (parts > 0) rig.engine->prepare();
        rig.five();
        auto found = rig.timed();
        const auto of_shadow = rig.records<TacticalDecision>(RecordType::kShadowTacticalDecision);
        found.insert(found.end(), of_shadow.begin(), of_shadow.end());
        if (expected.empty()) expected = found;
        REQUIRE(found.size() == expected.size());
        CHECK(std::memcmp(found.data(), expected.data(), found.size() * sizeof(TacticalDecision)) ==
              0);
    }
}

TEST_CASE("a model without a team is refused where two levels decide") {
    SwapRig rig(two_level_settings(kSaysAggressive));
    Settings alone = make_settings();
    rig.shadow(1, 1, alone);
    CHECK(rig.last_update().stage == ModelStage::kRefused);
    CHECK(rig.last_update().cause == ModelCause::kNotLoaded);
    Rig strategic;  // and taken where only one does
    strategic.connect();
    auto model = model_of(1, two_level_settings(kSaysAggressive));
    REQUIRE(strategic.engine->models().offer(model));
    ModelCommand command{};
    command.sha256[0] = 1;
    command.model = 1;
    command.action = ModelAction::kShadow;
    strategic.io(RecordType::kModelCommand, command);
    CHECK(strategic.records<ModelUpdate>(RecordType::kModelUpdate).back().stage ==
          ModelStage::kShadow);
}

TEST_CASE("a team whose logits are no numbers: the whole model before it decides in that step") {
    SwapRig rig(two_level_settings(kSaysAggressive));
    Settings broken = two_level_settings(kSaysAggressive);
    // 3e38 x a momentum, twice: not finite for all but the smallest.
    std::vector<float> weights(kTacticalValues * 3, 3e38F);
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "h"), node("Gemm", {"h", "v", "c"}, "y")};
    graph.tensors = {
        tensor("w", {kTacticalValues, 3}, weights), tensor("b", {3}, {0.0F, 0.0F, 0.0F}),
        tensor("v", {3, 3}, std::vector<float>(9, 3e38F)), tensor("c", {3}, {0.0F, 0.0F, 0.0F})};
    graph.inputs = {value("x", {0, kTacticalValues})};
    graph.outputs = {value("y", {0, 3})};
    broken.tactical.onnx[kMomentumAgent] = model(graph);
    rig.shadow(1, 1, broken);
    rig.order(ModelAction::kPromote, 1, 1);
    const std::size_t before = rig.timed().size();
    rig.five();
    REQUIRE(rig.timed().size() == before + 1);
    CHECK(rig.timed().back().model == 0);
    CHECK(rig.timed().back().agents == 7);
    const auto updates = rig.records<ModelUpdate>(RecordType::kModelUpdate);
    const ModelUpdate retired = updates[updates.size() - 2];
    CHECK(retired.model == 1);
    CHECK(retired.cause == ModelCause::kNotFinite);
    CHECK(retired.value == 0b101 << 8);
    CHECK(updates.back().live == 0);
    CHECK(rig.engine->totals().roll_backs == 1);
    rig.half_hours(2);
    CHECK(rig.records<Decision>(RecordType::kDecision).back().model == 0);
}
