// The payloads about the gate: what io tells it of the outside, and what trips for good. Like those
// of payload.hpp, which brings them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

// R18: what may have too little room left.
enum class Room : std::uint8_t { kNone = 0, kOrderRing = 1, kJournalRing = 2, kDisk = 3 };

[[nodiscard]] constexpr std::uint8_t room_bit(Room room) noexcept {
    return static_cast<std::uint8_t>(1U << (static_cast<unsigned>(room) - 1U));
}

// Input: some room fell under its floor, or is back above it. Of the first that is under, or of
// what came back.
struct Headroom {
    std::int64_t free_ppm;   // of the whole
    std::int64_t floor_ppm;  // what it is held against
    std::uint8_t under;      // bit Room - 1: under its floor; 0: all is well
    std::uint8_t reserved[47];
};

// Input: the networks of the decisions made since `first_input` took too long, together.
struct PolicyLate {
    std::uint64_t first_input;
    std::int64_t took_ns;
    std::int64_t budget_ns;
    std::uint8_t reserved[40];
};

// Output: a code that only a person clears. It stands before the kKillState that follows from it.
struct RiskTrip {
    std::int64_t value;  // what was measured, in the unit of the code
    std::int64_t limit;
    std::uint32_t instrument;  // or kWholeAccount
    std::uint8_t code;         // GateCode
    std::uint8_t reserved[43];
};

static_assert(sizeof(Headroom) == 64 && offsetof(Headroom, under) == 16);
static_assert(sizeof(PolicyLate) == 64 && offsetof(PolicyLate, budget_ns) == 16);
static_assert(sizeof(RiskTrip) == 64 && offsetof(RiskTrip, code) == 20);

}  // namespace gm
