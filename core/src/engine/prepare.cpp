// What need not wait for the next bar, a part of some microseconds at a time; see engine.hpp.
#include "gm/engine/engine.hpp"

namespace gm {

void Engine::prepare_from_start(Desk& desk, bool is_strategic, bool is_tactical) noexcept {
    desk.must_prepare = is_strategic;
    desk.must_prepare_team = is_tactical;
    desk.prepare_stage = PrepareStage::kFeatures;
    desk.prepare_piece = 0;
}

// Pieces of a network share the scratch, so a desk is left when it is done.
bool Engine::prepare_part() noexcept {
    for (std::size_t turn = 0; turn < desks_.size(); ++turn) {
        Desk& desk = desks_[preparing_];
        while ((desk.must_prepare || desk.must_prepare_team) &&
               desk.prepare_stage != PrepareStage::kDone) {  // at most as many as there are stages
            if (prepare_stage_part(desk, static_cast<std::uint32_t>(preparing_))) return true;
            desk.prepare_stage =
                static_cast<PrepareStage>(static_cast<std::uint8_t>(desk.prepare_stage) + 1);
            desk.prepare_piece = 0;
        }
        desk.must_prepare = desk.must_prepare_team = false;
        preparing_ = preparing_ + 1 == desks_.size() ? 0 : preparing_ + 1;
    }
    return false;
}

// False: nothing is left of this stage.
bool Engine::prepare_stage_part(Desk& desk, std::uint32_t at) noexcept {
    const Model& live = models_.live();
    const std::size_t live_place = models_.live_place();
    const Model* const shadow = models_.shadow();
    const std::size_t pieces = live.ensemble.prepare_pieces();
    const std::size_t team_pieces = live.team.prepare_pieces();
    switch (desk.prepare_stage) {
        case PrepareStage::kFeatures:
            if (!desk.must_prepare || desk.features.is_prepared()) return false;
            desk.features.prepare_part();
            return true;
        case PrepareStage::kShadowEnsemble:
            return shadow != nullptr && desk.must_prepare &&
                   prepare_ensemble(desk, at, models_.shadow_place(),
                                    shadow->ensemble.prepare_pieces());
        case PrepareStage::kShadowTeam:
            return shadow != nullptr && desk.must_prepare_team &&
                   prepare_team(desk, models_.shadow_place(), shadow->team.prepare_pieces());
        case PrepareStage::kEnsemble:
            return desk.must_prepare &&
                   prepare_ensemble(desk, at, live_place, pieces - live.ensemble.agent_count());
        case PrepareStage::kTeam:
            return desk.must_prepare_team &&
                   prepare_team(desk, live_place, team_pieces - kTacticalAgents);
        case PrepareStage::kWarmEnsemble:
            if (desk.prepare_piece == 0) desk.prepare_piece = pieces - live.ensemble.agent_count();
            return prepare_ensemble(desk, at, live_place, pieces);
        case PrepareStage::kWarmTeam:
            if (!has_two_levels_) return false;
            if (desk.prepare_piece == 0) desk.prepare_piece = team_pieces - kTacticalAgents;
            return prepare_team(desk, live_place, team_pieces);
        case PrepareStage::kDone: break;
    }
    return false;
}

bool Engine::prepare_ensemble(Desk& desk, std::uint32_t at, std::size_t place,
                              std::size_t end) noexcept {
    if (desk.prepare_piece >= end) return false;
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    const float* added = kernels_.matrix(at);
    const MatrixRows known{desk.features.matrix() + kStrategicColumns,
                           added == nullptr ? nullptr : added + kKernelColumnsMax};
    model.ensemble.prepare_piece(desk.prepare_piece++, known, scratch_, desk.policy[place]);
    return true;
}

bool Engine::prepare_team(Desk& desk, std::size_t place, std::size_t end) noexcept {
    if (desk.prepare_piece >= end) return false;
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    model.team.prepare_piece(desk.prepare_piece++, {desk.tactical.matrix(), desk.tactical.bars()},
                             scratch_, desk.team[place]);
    return true;
}

}  // namespace gm
