// The models of an engine: the one that decides, the one before it, and a shadow beside it.
//
// A model is loaded by a cold thread, offered, and named by a kModelCommand that is an input like
// any other: the journal says from which decision on which model decides, and a replay that is
// offered the same models says it again. A swap is a change of two indices between two steps, so
// no decision is lost and none is mixed. What is replaced is handed back; the engine frees nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>  // tidy: allow cold
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/sha256.hpp"
#include "gm/base/status.hpp"
#include "gm/engine/settings.hpp"
#include "gm/policy/ensemble.hpp"
#include "gm/policy/guard.hpp"
#include "gm/policy/tactical_team.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

inline constexpr std::size_t kModelPlaces = 3;  // live, before, shadow

struct Model {
    Ensemble ensemble;
    TacticalTeam team;  // not loaded: the bundle has none
    Guard guard{};
    Sha256Digest sha256{};        // of the bundle's manifest
    Sha256Digest block_sha256{};  // of the model block; zero: it came without one
    std::uint32_t column_mask = 0;
};

// A model block taken apart.
struct ModelBlock {
    ModelHeader header{};
    std::vector<AgentSettings> agents;
    std::vector<std::vector<std::uint8_t>> onnx;  // one file an agent
    TacticalPart tactical;
};
// Cold. Reads and checks a model block; its networks are not looked at.
Failure read_model(std::span<const std::uint8_t> block, ModelBlock& out);

// Cold. The model that the settings name.
Failure load_model(const Settings& settings, Model& out);
// Cold. From a model block: see ModelHeader. kBadSettings, or what a network is refused for.
Failure load_model(std::span<const std::uint8_t> block, Model& out);

// Where a run keeps a model that came while it ran, so that its journal can be derived again.
[[nodiscard]] std::string model_path(const std::string& run_directory, const Sha256Digest& sha256);

// Counted by cold threads; the engine swaps pointers, and its step makes and drops none.
using ModelPointer = std::shared_ptr<const Model>;  // tidy: allow cold threads count

// Gives the model of a manifest that was loaded from a block with that SHA-256.
// clang-format off
using ModelSource = std::function<  // tidy: allow cold
    Failure(const Sha256Digest& sha256, const Sha256Digest& block_sha256, ModelPointer& out)>;
// clang-format on

class Models {
 public:
    Models() noexcept = default;
    ~Models();
    // Cold. A copy shares the models, and has nothing offered.
    Models(const Models& other);
    Models& operator=(const Models& other);

    // Cold. Number 0 is live. `columns` are those that the engine computes. needs_team: a model
    // without tactical agents is refused.
    void open(ModelPointer first, std::uint32_t columns, bool needs_team);

    // A cold thread, one at a time. False: what was offered before has not been asked for, or what
    // came back was not collected.
    [[nodiscard]] bool offer(ModelPointer model);
    // The same thread. Lets go of a model that the engine needs no more; false: there is none.
    bool collect() noexcept;

    // Engine's thread. What became of the models: at most two updates.
    struct Changes {
        std::array<ModelUpdate, 2> updates{};
        std::size_t count = 0;
        std::size_t taken_place = kNoPlace;  // a new model lies there: no state is prepared for it
    };
    void take(const ModelCommand& command, Changes& out) noexcept;
    // Back to the model before. False: there is none, and nothing changed.
    bool roll_back(ModelCause cause, std::int64_t value, Changes& out) noexcept;

    [[nodiscard]] const Model& live() const noexcept { return *places_[live_].model; }
    [[nodiscard]] std::size_t live_place() const noexcept { return live_; }
    [[nodiscard]] std::uint16_t live_number() const noexcept { return number_of(live_); }
    [[nodiscard]] bool has_before() const noexcept { return before_ != kNoPlace; }
    // Where a roll-back leads; null: nowhere.
    [[nodiscard]] const Model* before() const noexcept {
        return before_ == kNoPlace ? nullptr : places_[before_].model.get();
    }
    [[nodiscard]] std::uint16_t before_number() const noexcept { return number_of(before_); }
    [[nodiscard]] const Model* shadow() const noexcept {
        return shadow_ == kNoPlace ? nullptr : places_[shadow_].model.get();
    }
    [[nodiscard]] std::size_t shadow_place() const noexcept { return shadow_; }
    [[nodiscard]] std::uint16_t shadow_number() const noexcept { return number_of(shadow_); }
    [[nodiscard]] std::uint32_t last_number() const noexcept { return last_number_; }

    // Which model lies where, but not the models: restore_models() gets them back. Not archived:
    // columns_, needs_team_ (settings), offered_, returned_ (no step has seen them).
    void archive(Archive& archive) noexcept;
    // Cold, behind a restored archive.
    Failure restore_models(const ModelSource& source);

    static constexpr std::size_t kNoPlace = kModelPlaces;

 private:
    struct Place {
        ModelPointer model;
        std::uint16_t number = 0;
        // Of the model, while it is not there yet: it was archived.
        bool is_taken = false;
        Sha256Digest sha256{};
        Sha256Digest block_sha256{};

        // Not archived: model (named by its hashes).
        void archive(Archive& archive) noexcept { archive(number, is_taken, sha256, block_sha256); }
    };

    [[nodiscard]] std::uint16_t number_of(std::size_t place) const noexcept {
        return place == kNoPlace ? 0 : places_[place].number;
    }
    [[nodiscard]] std::size_t free_place() const noexcept;
    void take_shadow(const ModelCommand& command, Changes& out) noexcept;
    void promote() noexcept;
    void add(Changes& out, std::size_t place, ModelStage stage, ModelCause cause,
             std::int64_t value) const noexcept;
    void refuse(Changes& out, const ModelCommand& command, ModelCause cause) const noexcept;

    std::array<Place, kModelPlaces> places_;
    std::size_t live_ = 0;
    std::size_t before_ = kNoPlace;
    std::size_t shadow_ = kNoPlace;
    std::uint32_t last_number_ = 0;
    std::uint32_t columns_ = 0;
    bool needs_team_ = false;
    // Goes in with the new model and comes back with the old one: the engine frees nothing.
    struct Carrier {
        ModelPointer model;
    };
    std::atomic<Carrier*> offered_{nullptr};
    std::atomic<Carrier*> returned_{nullptr};
};

}  // namespace gm
