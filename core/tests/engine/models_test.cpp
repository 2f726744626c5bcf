// Promise: models come, go and are swapped between two decisions. None is lost, none is mixed, a
// shadow never trades, and a model that fails is replaced by the one before it in the same step.
#include "gm/engine/models.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "model_block.hpp"
#include "rig.hpp"

using namespace gm;
using namespace gm::test;

namespace {

constexpr int kWarmBars = 800;

Sha256Digest name_of_model(std::uint32_t number) {
    return sha256(&number, sizeof number);
}

Guard no_guard() {
    return {};
}

// `gain` of the momentum network; NaN logits where it is infinite on purpose.
std::shared_ptr<Model> make_model(std::uint32_t number, float gain, const Guard& guard) {
    const Settings settings = make_settings(gain);
    auto model = std::make_shared<Model>();
    REQUIRE(load_model(settings, *model).is_ok());
    model->sha256 = name_of_model(number);
    model->guard = guard;
    return model;
}

ModelCommand command(ModelAction action, std::uint32_t number, std::int64_t value = 0) {
    ModelCommand made{};
    const Sha256Digest digest = name_of_model(number);
    std::memcpy(made.sha256, digest.data(), digest.size());
    made.model = number;
    made.action = action;
    made.value = value;
    return made;
}

struct ModelRig : Rig {
    explicit ModelRig(const Settings& settings = make_settings()) : Rig(settings) {
        connect();
        for (int i = 0; i < kWarmBars; ++i) wave_bar();
        REQUIRE(decisions(RecordType::kDecision).size() > 10);
    }

    std::vector<Decision> decisions(RecordType type) const { return records<Decision>(type); }
    std::vector<ModelUpdate> updates() const {
        return records<ModelUpdate>(RecordType::kModelUpdate);
    }
    void order(ModelAction action, std::uint32_t number, std::int64_t value = 0) {
        io(RecordType::kModelCommand, command(action, number, value));
    }
    void shadow(std::uint32_t number, float gain, const Guard& guard = no_guard()) {
        (void)engine->models().collect();
        std::shared_ptr<Model> model = make_model(number, gain, guard);
        REQUIRE(engine->models().offer(model));
        order(ModelAction::kShadow, number);
    }
    void promote(std::uint32_t number, float gain, const Guard& guard = no_guard()) {
        shadow(number, gain, guard);
        order(ModelAction::kPromote, number);
    }
    ModelUpdate last_update() const { return updates().back(); }
};

}  // namespace

TEST_CASE("a shadow decides beside the live model, is journalled, and never trades") {
    ModelRig rig;
    ModelRig alone;
    rig.shadow(1, -50.0F);  // wants the opposite
    CHECK(rig.last_update().stage == ModelStage::kShadow);
    CHECK(rig.last_update().live == 0);
    const std::size_t before = rig.decisions(RecordType::kDecision).size();
    for (int i = 0; i < 200; ++i) {
        rig.wave_bar();
        alone.wave_bar();
    }
    const auto live = rig.decisions(RecordType::kDecision);
    const auto shadow = rig.decisions(RecordType::kShadowDecision);
    REQUIRE(shadow.size() == live.size() - before);
    for (std::size_t i = 0; i < shadow.size(); ++i) {
        const Decision& of_live = live[before + i];
        CHECK(shadow[i].model == 1);
        CHECK(of_live.model == 0);
        CHECK(shadow[i].bar_start_ts_ns == of_live.bar_start_ts_ns);
        CHECK(shadow[i].probability[0] == of_live.probability[2]);
    }
    // What it trades is what it trades without one.
    const auto fields = [](const std::vector<NewOrder>& orders) {
        std::vector<std::array<std::int64_t, 4>> found;
        for (const NewOrder& order : orders) {
            found.push_back({order.decision_bar_start_ts_ns, order.quantity_lots,
                             static_cast<std::int64_t>(order.side),
                             static_cast<std::int64_t>(order.reason)});
        }
        return found;
    };
    CHECK(fields(rig.records<NewOrder>(RecordType::kIntent)) ==
          fields(alone.records<NewOrder>(RecordType::kIntent)));
    rig.order(ModelAction::kRetire, 1);
    CHECK(rig.last_update().stage == ModelStage::kRetired);
    const std::size_t count = rig.decisions(RecordType::kShadowDecision).size();
    for (int i = 0; i < 10; ++i) rig.wave_bar();
    CHECK(rig.decisions(RecordType::kShadowDecision).size() == count);
}

TEST_CASE("hundred swaps: every bar has one decision, by the model that was live then") {
    ModelRig rig;
    std::mt19937_64 random(3);
    std::uint32_t live = 0;
    std::vector<std::uint32_t> expected;
    const std::size_t before = rig.decisions(RecordType::kDecision).size();
    for (std::uint32_t number = 1; number <= 100; ++number) {
        rig.shadow(number, number % 2 == 0 ? 50.0F : -50.0F);
        const std::uint64_t waits = random() % 4;
        for (std::uint64_t i = 0; i < waits; ++i) {
            rig.wave_bar();
            expected.push_back(live);
        }
        if (random() % 2 == 0) rig.engine->prepare();
        rig.order(ModelAction::kPromote, number);
        live = number;
        CHECK(rig.last_update().live == live);
        rig.wave_bar();
        expected.push_back(live);
    }
    const auto decisions = rig.decisions(RecordType::kDecision);
    REQUIRE(decisions.size() == before + expected.size());
    ModelRig up;
    ModelRig down(make_settings(-50.0F));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        up.wave_bar();
        down.wave_bar();
        const Decision& found = decisions[before + i];
        REQUIRE(found.model == expected[i]);
        // The very bits of an engine that never had another model.
        const bool is_up = expected[i] % 2 == 0;
        const auto twin = (is_up ? up : down).decisions(RecordType::kDecision).back();
        REQUIRE(twin.bar_start_ts_ns == found.bar_start_ts_ns);
        REQUIRE(std::memcmp(twin.probability, found.probability, sizeof found.probability) == 0);
    }
}

TEST_CASE("logits that are no numbers: the model before decides in the same step") {
    ModelRig rig;
    rig.promote(1, 50.0F);
    rig.wave_bar();
    Settings broken = make_settings();
    broken.onnx = {overflowing_network()};
    auto model = std::make_shared<Model>();
    REQUIRE(load_model(broken, *model).is_ok());
    model->sha256 = name_of_model(2);
    (void)rig.engine->models().collect();
    REQUIRE(rig.engine->models().offer(model));
    rig.order(ModelAction::kShadow, 2);
    rig.order(ModelAction::kPromote, 2);
    const std::size_t before = rig.decisions(RecordType::kDecision).size();
    rig.wave_bar();
    const auto decisions = rig.decisions(RecordType::kDecision);
    REQUIRE(decisions.size() == before + 1);
    CHECK(decisions.back().model == 1);
    CHECK(decisions.back().agents == 1);
    const auto updates = rig.updates();
    const ModelUpdate retired = updates[updates.size() - 2];
    CHECK(retired.model == 2);
    CHECK(retired.stage == ModelStage::kRetired);
    CHECK(retired.cause == ModelCause::kNotFinite);
    CHECK(updates.back().model == 1);
    CHECK(updates.back().stage == ModelStage::kLive);
    CHECK(rig.engine->totals().roll_backs == 1);
}

TEST_CASE("rows that the model was not trained on: back to the one before") {
    ModelRig rig;
    Guard guard{};
    guard.columns = 1U << kMomentum20;
    guard.low[kMomentum20] = 2.0F;  // tanh never gets there: every row is strange
    guard.high[kMomentum20] = 3.0F;
    guard.rows_max = 2;
    rig.promote(1, -50.0F, guard);
    std::vector<std::uint16_t> models;
    for (int i = 0; i < 4; ++i) {
        rig.wave_bar();
        models.push_back(rig.decisions(RecordType::kDecision).back().model);
    }
    CHECK(models == std::vector<std::uint16_t>{1, 1, 0, 0});
    const auto updates = rig.updates();
    CHECK(updates[updates.size() - 2].cause == ModelCause::kOutOfDistribution);
    CHECK(updates[updates.size() - 2].value == 1);
    CHECK(updates.back().live == 0);
    // The first model has no one behind it: it is kept.
    for (int i = 0; i < 10; ++i) rig.wave_bar();
    CHECK(rig.updates().size() == updates.size());
}

TEST_CASE("a late model goes, an order to roll back is obeyed once") {
    ModelRig rig;
    rig.promote(1, -50.0F);
    rig.order(ModelAction::kLate, 0, 9'000'000);  // of a model that is not live
    CHECK(rig.last_update().stage == ModelStage::kRefused);
    CHECK(rig.last_update().cause == ModelCause::kNoSuchModel);
    rig.order(ModelAction::kLate, 1, 9'000'000);
    CHECK(rig.last_update().live == 0);
    CHECK(rig.last_update().cause == ModelCause::kLate);
    CHECK(rig.last_update().value == 9'000'000);
    CHECK(rig.engine->totals().roll_backs == 1);
    rig.promote(2, -50.0F);
    rig.order(ModelAction::kRollBack, 2);
    CHECK(rig.last_update().live == 0);
    CHECK(rig.last_update().cause == ModelCause::kOrdered);
    rig.order(ModelAction::kRollBack, 0);
    CHECK(rig.last_update().stage == ModelStage::kRefused);
    CHECK(rig.engine->totals().roll_backs == 1);  // of itself
}

TEST_CASE("what was not offered, or is another model, is refused and changes nothing") {
    ModelRig rig;
    const auto refused = [&](ModelCause cause) {
        const ModelUpdate update = rig.last_update();
        CHECK(update.stage == ModelStage::kRefused);
        CHECK(update.cause == cause);
        CHECK(update.live == 0);
    };
    rig.order(ModelAction::kShadow, 1);
    refused(ModelCause::kNotLoaded);
    std::shared_ptr<Model> model = make_model(5, 1.0F, no_guard());
    REQUIRE(rig.engine->models().offer(model));
    std::shared_ptr<Model> second = make_model(6, 1.0F, no_guard());
    CHECK_FALSE(rig.engine->models().offer(second));  // one at a time
    rig.order(ModelAction::kShadow, 1);               // offered as another
    refused(ModelCause::kNotLoaded);
    CHECK_FALSE(rig.engine->models().offer(second));  // collect first
    CHECK(rig.engine->models().collect());
    CHECK_FALSE(rig.engine->models().collect());
    REQUIRE(rig.engine->models().offer(second));
    rig.order(ModelAction::kShadow, 6);  // numbers count up
    refused(ModelCause::kNoSuchModel);
    CHECK(rig.engine->models().collect());  // and the way is free again
    rig.order(ModelAction::kPromote, 1);
    refused(ModelCause::kNoSuchModel);
    rig.order(static_cast<ModelAction>(99), 0);
    refused(ModelCause::kNoSuchModel);
    // A model that reads a column which this engine does not compute.
    model = make_model(1, 1.0F, no_guard());
    model->column_mask |= 1U << kMmdScore;
    REQUIRE(rig.engine->models().offer(model));
    rig.order(ModelAction::kShadow, 1);
    refused(ModelCause::kNotLoaded);
    CHECK(rig.engine->models().last_number() == 0);
}

TEST_CASE("a place that is used again knows nothing of the model before") {
    ModelRig rig;
    rig.shadow(1, 50.0F);
    rig.engine->prepare();
    rig.shadow(2, -50.0F);  // the same place, rows prepared for another network
    rig.order(ModelAction::kPromote, 2);
    rig.wave_bar();
    ModelRig twin(make_settings(-50.0F));
    twin.wave_bar();
    const Decision found = rig.decisions(RecordType::kDecision).back();
    const Decision wanted = twin.decisions(RecordType::kDecision).back();
    CHECK(std::memcmp(found.probability, wanted.probability, sizeof found.probability) == 0);
}

TEST_CASE("a model block is read whole or refused") {
    const Settings settings = make_settings();
    const ModelHeader header = model_header();
    const AgentSettings agent = settings.agents[0];
    const auto block_of = [&](const ModelHeader& first, const AgentSettings& row) {
        return model_block(settings, first, row);
    };
    Model model;
    const std::vector<std::uint8_t> good = block_of(header, agent);
    REQUIRE(load_model(good, model).is_ok());
    CHECK(model.guard.rows_max == 3);
    // What is guarded must be computed, too.
    CHECK(model.column_mask == (settings.agents[0].column_mask | header.guard_columns));
    for (std::size_t size = 0; size < good.size(); size += 37) {
        CHECK_FALSE(load_model(std::span(good).first(size), model).is_ok());
    }
    std::vector<std::uint8_t> longer = good;
    longer.resize(good.size() + 64);
    CHECK(load_model(longer, model).status == Status::kBadSettings);
    ModelHeader bad = header;
    bad.agent_count = 4;
    CHECK(load_model(block_of(bad, agent), model).status == Status::kBadSettings);
    bad = header;
    bad.feature_schema_sha256[0] ^= 1;
    CHECK(load_model(block_of(bad, agent), model).text ==
          "the model was made for another feature schema");
    bad = header;
    bad.guard_low[0] = 2.0F;
    CHECK(load_model(block_of(bad, agent), model).status == Status::kBadSettings);
    bad.guard_low[0] = std::numeric_limits<float>::quiet_NaN();
    CHECK(load_model(block_of(bad, agent), model).status == Status::kBadSettings);
    bad = header;
    bad.threshold = 1.5;
    CHECK_FALSE(load_model(block_of(bad, agent), model).is_ok());
}
