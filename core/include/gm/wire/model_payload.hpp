// The payloads about models; like those of payload.hpp, which brings them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

// What shall become of a model. Numbers count up from 1 in the order of their kShadow.
enum class ModelAction : std::uint32_t {
    kNone = 0,
    kShadow = 1,    // a loaded model decides beside the live one from now on, and never trades
    kPromote = 2,   // the shadow decides from the next decision on
    kRetire = 3,    // the shadow is not wanted any more
    kRollBack = 4,  // the model before decides again
    kLate = 5,      // the live model took longer than it may: value is the time in ns
};
struct ModelCommand {
    std::uint8_t sha256[32];  // kShadow: of the bundle's manifest
    std::uint32_t model;
    ModelAction action;
    std::int64_t value;
    std::uint8_t block_sha256_head[16];  // kShadow: of the file under models/; zero: not said
};

enum class ModelStage : std::uint32_t {
    kNone = 0,
    kShadow = 1,
    kLive = 2,
    kRetired = 3,
    kRefused = 4,
};
enum class ModelCause : std::uint32_t {
    kOrdered = 0,
    kNotFinite = 1,          // an agent's logits; value: which agents spoke, one bit each
    kLate = 2,               // value: ns
    kOutOfDistribution = 3,  // value: columns of the newest row that lie outside
    kNotLoaded = 4,          // nothing was handed in under this hash
    kNoSuchModel = 5,        // no shadow, no model before, or another number
};
// A model changed its stage, or a command about it was refused.
struct ModelUpdate {
    std::uint8_t sha256[32];
    std::uint32_t model;
    ModelStage stage;
    ModelCause cause;
    std::uint32_t live;  // the model that decides from now on
    std::int64_t value;
    std::uint8_t reserved[8];
};

static_assert(sizeof(ModelCommand) == 64 && offsetof(ModelCommand, value) == 40);
static_assert(sizeof(ModelUpdate) == 64 && offsetof(ModelUpdate, live) == 44);

}  // namespace gm
