// What models say at a decision, and what commands and faults do to them.
#include "gm/engine/engine.hpp"

namespace gm {

// The live model; where it fails and there is one before it, that one in the same step.
void Engine::ask_model(std::uint32_t at, DecisionValues& values, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    const MatrixRows rows{desk.features.matrix(), kernels_.matrix(at)};
    const PolicyContext context = context_of(desk);
    const float* newest = desk.features.matrix() + (kStrategicRows - 1) * kStrategicColumns;
    const Guard& guard = models_.live().guard;
    const std::uint32_t outside = columns_outside(guard, newest);
    desk.strange_rows = outside > guard.columns_max ? desk.strange_rows + 1 : 0;
    if (desk.strange_rows > guard.rows_max) {
        roll_back(ModelCause::kOutOfDistribution, outside, out);
    }
    desk.decided_input = stamp_.input_sequence;
    const auto ask = [&] {
        const Ensemble& ensemble = models_.live().ensemble;
        EnsembleState& state = desk.policy[models_.live_place()];
        const unsigned asked = asked_agents(state.errors_in_row, ensemble.agent_count());
        ensemble.decide(rows, context, state, values);
        return asked;
    };
    unsigned asked = ask();
    const std::size_t agents = models_.live().ensemble.agent_count();
    const bool is_whole = values.agents == (1U << agents) - 1;
    if (!is_whole && roll_back(ModelCause::kNotFinite, values.agents, out)) asked = ask();
    judge_output(at, values, asked, out);
}

// Behind the order: a shadow delays nothing.
void Engine::ask_shadow(std::uint32_t at, Outputs& out) noexcept {
    const Model* shadow = models_.shadow();
    if (shadow == nullptr || kernels_.has_rule()) return;
    Desk& desk = desks_[at];
    DecisionValues values{};
    shadow->ensemble.decide({desk.features.matrix(), kernels_.matrix(at)}, context_of(desk),
                            desk.policy[models_.shadow_place()], values);
    write_decision(at, RecordType::kShadowDecision, models_.shadow_number(), values, out);
    ++totals_.shadow_decisions;
    if (!has_two_levels_) return;
    const int direction = values.action == Action::kLong ? 1 : -1;
    stand(desk, models_.shadow_place(), values.acts ? direction : 0);
}

void Engine::write_decision(std::uint32_t at, RecordType type, std::uint16_t model,
                            const DecisionValues& values, Outputs& out) noexcept {
    Decision decision{};
    decision.bar_start_ts_ns = desks_[at].last_bar_start_ts_ns;
    decision.instrument = static_cast<std::uint16_t>(at);
    decision.model = model;
    decision.action = values.action;
    decision.acts = values.acts;
    decision.profile = static_cast<std::uint8_t>(settings_.header.profile);
    decision.agents = values.agents;
    for (std::size_t i = 0; i < kAgentsMax; ++i) {
        for (std::size_t j = 0; j < kActions; ++j) {
            decision.agent_probability[i][j] = values.agent_probability[i][j];
        }
    }
    for (std::size_t j = 0; j < kActions; ++j) decision.probability[j] = values.probability[j];
    out.write(stamp_, type, decision);
}

void Engine::on_model_command(const ModelCommand& command, Outputs& out) noexcept {
    Models::Changes changes;
    models_.take(command, changes);
    if (changes.taken_place != Models::kNoPlace) {
        for (Desk& desk : desks_) {  // what is prepared there is another model's
            EnsembleState& state = desk.policy[changes.taken_place];
            state.prepared_agents = 0;
            for (std::uint8_t& errors : state.errors_in_row) errors = 0;
            desk.standing[changes.taken_place] = {};
            desk.must_prepare = true;
            if (!has_two_levels_) continue;
            TacticalState& team = desk.team[changes.taken_place];
            team.prepared_agents = 0;
            for (std::uint8_t& errors : team.errors_in_row) errors = 0;
            desk.must_prepare_team = true;
        }
    }
    // Places have changed their parts: a preparation under way begins again.
    for (Desk& desk : desks_) {
        prepare_from_start(desk, desk.must_prepare, desk.must_prepare_team);
    }
    const bool is_late = command.action == ModelAction::kLate && changes.count == 2;
    if (is_late) ++totals_.roll_backs;
    write_changes(changes, out);
}

bool Engine::roll_back(ModelCause cause, std::int64_t value, Outputs& out) noexcept {
    Models::Changes changes;
    if (!models_.roll_back(cause, value, changes)) return false;
    ++totals_.roll_backs;
    write_changes(changes, out);
    for (Desk& desk : desks_) {
        prepare_from_start(desk, desk.must_prepare, desk.must_prepare_team);
    }
    return true;
}

void Engine::write_changes(const Models::Changes& changes, Outputs& out) noexcept {
    bool is_other = false;
    for (std::size_t i = 0; i < changes.count; ++i) {
        out.write(stamp_, RecordType::kModelUpdate, changes.updates[i]);
        is_other = is_other || changes.updates[i].stage == ModelStage::kLive;
    }
    if (!is_other) return;
    for (Desk& desk : desks_) {
        desk.strange_rows = 0;
        desk.health.forget();
        desk.team_health.forget();
    }
    drop_entries(out);
}

}  // namespace gm
