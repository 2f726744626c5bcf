// What need not wait for the next bar, a part of some microseconds at a time; see engine.hpp.
#include <cstddef>

#include "gm/base/touch.hpp"
#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::int64_t kDueBeforeNs = 1'000'000'000;
constexpr std::int64_t kDueBehindNs = 60'000'000'000;  // no bar came: the session is over

TacticalRows rows_of(const Desk& desk) noexcept {
    return {desk.tactical.matrix(), desk.tactical.bars()};
}

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
    switch (desk.prepare_stage) {
        case PrepareStage::kFeatures:
            if (!desk.must_prepare || desk.features.is_prepared()) return false;
            desk.features.prepare_part();
            return true;
        case PrepareStage::kShadowEnsemble:
            return models_.shadow() != nullptr &&
                   prepare_ensemble(desk, at, models_.shadow_place());
        case PrepareStage::kShadowTeam:
            return models_.shadow() != nullptr && prepare_team(desk, models_.shadow_place());
        case PrepareStage::kEnsemble: return prepare_ensemble(desk, at, models_.live_place());
        case PrepareStage::kTeam: return prepare_team(desk, models_.live_place());
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
        live.team.warm(team_agents - 1 - turn, rows_of(desk), desk.team[place]);
    } else if (turn < team_agents + agents) {
        live.ensemble.warm(agents - 1 - (turn - team_agents), desk.policy[place]);
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

bool Engine::prepare_ensemble(Desk& desk, std::uint32_t at, std::size_t place) noexcept {
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    if (!desk.must_prepare || desk.prepare_piece >= model.ensemble.prepare_pieces()) return false;
    const float* added = kernels_.matrix(at);
    const MatrixRows known{desk.features.matrix() + kStrategicColumns,
                           added == nullptr ? nullptr : added + kKernelColumnsMax};
    model.ensemble.prepare_piece(desk.prepare_piece++, known, scratch_, desk.policy[place]);
    return true;
}

bool Engine::prepare_team(Desk& desk, std::size_t place) noexcept {
    const Model& model = place == models_.live_place() ? models_.live() : *models_.shadow();
    if (!desk.must_prepare_team || desk.prepare_piece >= model.team.prepare_pieces()) return false;
    model.team.prepare_piece(desk.prepare_piece++, rows_of(desk), scratch_, desk.team[place]);
    return true;
}

}  // namespace gm
