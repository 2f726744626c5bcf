// R18: how much room is left, and when the engine is told that it is too little.
//
// Told once when some room falls under its floor and once when all are well above again; between
// the two a quarter of the floor lies, so that a ring that hovers there does not fill the journal.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "gm/wire/gate_payload.hpp"

namespace gm {

inline constexpr std::int64_t kWholePpm = 1'000'000;
// A step may fill an eighth of the order ring (Core::kOrderSlots) and a sixty-fourth of the journal
// ring: at a quarter free, what has begun still finds room, and so do cancels. ARCHITECTURE §3.
inline constexpr std::int64_t kRingFloorPpm = 250'000;
// SAFETY, journal: R18 below 10 % of disk. What was decided is still written down then.
inline constexpr std::int64_t kDiskFloorPpm = 100'000;

// Free share of the file system that a folder lies on, for who is not root. 0 where it does not
// say: doubt is no room.
[[nodiscard]] std::int64_t disk_free_ppm(const std::string& folder) noexcept;

// Free share of a ring of `capacity` slots, of which so many were pushed and popped since ever.
[[nodiscard]] std::int64_t ring_free_ppm(std::uint64_t capacity, std::uint64_t pushed,
                                         std::uint64_t popped) noexcept;

// Free share of each Room, kWholePpm where it does not count.
struct Rooms {
    std::int64_t order_ring_ppm = kWholePpm;
    std::int64_t journal_ring_ppm = kWholePpm;
    std::int64_t disk_ppm = kWholePpm;
};

class HeadroomWatch {
 public:
    explicit HeadroomWatch(std::int64_t disk_floor_ppm = kDiskFloorPpm) noexcept
        : floors_{kRingFloorPpm, kRingFloorPpm, disk_floor_ppm} {}

    // True: something has changed, and `out` says what. An engine that was just born has room.
    [[nodiscard]] bool judge(const Rooms& rooms, Headroom& out) const noexcept;
    // The engine has been told.
    void told(const Headroom& headroom) noexcept { under_ = headroom.under; }

 private:
    std::array<std::int64_t, 3> floors_;
    std::uint8_t under_ = 0;
};

}  // namespace gm
