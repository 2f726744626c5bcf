// The engine's state as bytes, and back.
#include <cstring>
#include <string>

#include "gm/engine/engine.hpp"

namespace gm {

void Models::archive(Archive& archive) noexcept {
    if (!archive.restores()) {
        for (Place& place : places_) {
            place.is_taken = place.model != nullptr;
            place.sha256 = place.is_taken ? place.model->sha256 : Sha256Digest{};
            place.block_sha256 = place.is_taken ? place.model->block_sha256 : Sha256Digest{};
        }
    }
    archive(places_);
    archive.index(live_, kModelPlaces - 1);
    archive.index(before_, kNoPlace);
    archive.index(shadow_, kNoPlace);
    archive(last_number_);
}

Failure Models::restore_models(const ModelSource& source) {
    const ModelPointer first = places_[0].model;  // of the settings: open() has put it there
    for (Place& place : places_) {
        place.model = nullptr;
        if (!place.is_taken) continue;
        Failure failure = ok();
        if (place.number == 0) {
            place.model = first;
        } else {
            failure = source(place.sha256, place.block_sha256, place.model);
        }
        if (!failure.is_ok()) return failure;
        if (place.model == nullptr || place.model->sha256 != place.sha256 ||
            place.model->block_sha256 != place.block_sha256) {
            return fail(Status::kBadArgument, "model " + std::to_string(place.number) +
                                                  " is not the one of the snapshot");
        }
    }
    for (const std::size_t place : {live_, before_, shadow_}) {
        if (place == kNoPlace || places_[place].is_taken) continue;
        return fail(Status::kBadArgument, "the snapshot names a model that it does not have");
    }
    return ok();
}

std::size_t Engine::snapshot_size() noexcept {
    Archive size = Archive::measuring();
    archive(size);
    return size.size();
}

std::size_t Engine::save(std::span<std::uint8_t> out) noexcept {
    Archive saved = Archive::saving(out);
    archive(saved);
    return saved.is_ok() ? saved.size() : 0;
}

Failure Engine::restore(std::span<const std::uint8_t> bytes, const ModelSource& models) {
    Archive read = Archive::restoring(bytes);
    archive(read);
    if (!read.is_at_end()) {
        return fail(Status::kBadArgument, "a snapshot of " + std::to_string(bytes.size()) +
                                              " bytes is not one of this build and these settings");
    }
#ifdef GM_MUTANT_P5  // forgets one member
    kill_check_ns_ = INT64_MAX;
#endif
    if (Failure failure = models_.restore_models(models); !failure.is_ok()) return failure;
    for (Desk& desk : desks_) prepare_from_start(desk, true, has_two_levels_);
    was_disturbed_ = true;
    return ok();
}

}  // namespace gm
