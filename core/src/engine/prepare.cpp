// What need not wait for the next bar, a part of some microseconds at a time; see engine.hpp.
#include <cstddef>

#include "gm/base/touch.hpp"
#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::int64_t kDueBeforeNs = 1'000'000'000;
constexpr std::int64_t kDueBehindNs = 60'000'000'000;  // no bar came: the session is over

}  // namespace

void Engine::prepare_from_start(Desk& desk, bool is_strategic, bool is_tactical) noexcept {
    desk.must_prepare = is_strategic;
    desk.must_prepare_team = is_tactical;
    desk.prepare_stage = PrepareStage::kFeatures;
    desk.prepare_piece = 0;
}

bool Engine::prepare_part() noexcept {
    return prepare_desks() || (must_warm_again() && prepare_desks());
}

// Where a close is due, each message is followed by another pass over what the close will read:
// some of that leaves the caches of a shared machine within a fraction of a millisecond.
bool Engine::must_warm_again() noexcept {
    if (!was_disturbed_) return false;
    was_disturbed_ = false;
    bool is_due = false;
    for (Desk& desk : desks_) {
        if (!is_close_due(desk)) continue;
        desk.must_warm = is_due = true;
        desk.prepare_stage = PrepareStage::kWarm;
        desk.prepare_piece = 0;
    }
    return is_due;
}

bool Engine::is_close_due(const Desk& desk) const noexcept {
    const std::int64_t bar_ns =
        has_two_levels_ ? std::int64_t{5} * kMinuteNs : kernels_.decision_minutes() * kMinuteNs;
    const std::int64_t start_ts_ns =
        has_two_levels_ ? desk.tactical_bar_start_ts_ns : desk.last_bar_start_ts_ns;
    const std::int64_t since_ns = stamp_.now_ns - (start_ts_ns + 2 * bar_ns);
    return since_ns >= -kDueBeforeNs && since_ns < kDueBehindNs;
}

// Pieces of a network share the scratch, so a desk is left when it is done.
bool Engine::prepare_desks() noexcept {
    for (std::size_t turn = 0; turn < desks_.size(); ++turn) {
        Desk& desk = desks_[preparing_];
        while ((desk.must_prepare || desk.must_prepare_team || desk.must_warm) &&
               desk.prepare_stage != PrepareStage::kDone) {  // at most as many as there are stages
            if (prepare_stage_part(desk, static_cast<std::uint32_t>(preparing_))) return true;
            desk.prepare_stage =
                static_cast<PrepareStage>(static_cast<std::uint8_t>(desk.prepare_stage) + 1);
            desk.prepare_piece = 0;
        }
        desk.must_prepare = desk.must_prepare_team = desk.must_warm = false;
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
        case PrepareStage::kWarm: return warm_part(desk, at);
        case PrepareStage::kDone: break;
    }
    return false;
}

// A decision for nobody by each network, then the rest of what a close reads. What is asked first
// comes last: of what does not fit the caches the end is missed then, and not all of it.
bool Engine::warm_part(Desk& desk, std::uint32_t at) noexcept {
    const Model& live = models_.live();
    const std::size_t place = models_.live_place();
    const std::size_t team_agents = has_two_levels_ ? kTacticalAgents : 0;
    const std::size_t agents = live.ensemble.agent_count();
    const std::size_t turn = desk.prepare_piece++;
    if (turn < team_agents) {
        prepare_team_piece(desk, place, live.team.prepare_pieces() - 1 - turn);
    } else if (turn < team_agents + agents) {
        prepare_ensemble_piece(desk, at, place,
                               live.ensemble.prepare_pieces() - 1 - (turn - team_agents));
    } else if (turn == team_agents + agents) {
        touch(desk, at);
    } else {
        return false;
    }
    return true;
}

void Engine::touch(const Desk& desk, std::uint32_t at) const noexcept {
    gm::touch(&desk.market, sizeof desk.market);
    desk.features.touch();
    gm::touch(&desk.tactical, sizeof desk.tactical);
    gm::touch(&desk.synergies, sizeof desk.synergies);
    gm::touch(&desk.position, sizeof desk - offsetof(Desk, position));
    gate_.touch(at);
    orders_.touch(at);
}

bool Engine::prepare_ensemble(Desk& desk, std::uint32_t at, std::size_t place,
                              std::size_t end) noexcept {
    if (desk.prepare_piece >= end) return false;
    prepare_ensemble_piece(desk, at, place, desk.prepare_piece++);
    return true;
}

void Engine::prepare_ensemble_piece(Desk& desk, std::uint32_t at, std::size_t place,
                                    std::size_t piece) noexcept {
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    const float* added = kernels_.matrix(at);
    const MatrixRows known{desk.features.matrix() + kStrategicColumns,
                           added == nullptr ? nullptr : added + kKernelColumnsMax};
    model.ensemble.prepare_piece(piece, known, scratch_, desk.policy[place]);
}

bool Engine::prepare_team(Desk& desk, std::size_t place, std::size_t end) noexcept {
    if (desk.prepare_piece >= end) return false;
    prepare_team_piece(desk, place, desk.prepare_piece++);
    return true;
}

void Engine::prepare_team_piece(Desk& desk, std::size_t place, std::size_t piece) noexcept {
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    model.team.prepare_piece(piece, {desk.tactical.matrix(), desk.tactical.bars()}, scratch_,
                             desk.team[place]);
}

}  // namespace gm
