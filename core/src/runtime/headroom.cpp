#include "gm/runtime/headroom.hpp"

#include <sys/statvfs.h>

#include "gm/base/checked.hpp"

namespace gm {

std::int64_t disk_free_ppm(const std::string& folder) noexcept {
    struct statvfs found{};
    if (statvfs(folder.c_str(), &found) != 0 || found.f_blocks == 0) return 0;
    return static_cast<std::int64_t>(Uint128{found.f_bavail} * kWholePpm / found.f_blocks);
}

std::int64_t ring_free_ppm(std::uint64_t capacity, std::uint64_t pushed,
                           std::uint64_t popped) noexcept {
    const std::uint64_t used = pushed - popped;
    if (capacity == 0 || used >= capacity) return 0;
    return static_cast<std::int64_t>(Uint128{capacity - used} * kWholePpm / capacity);
}

bool HeadroomWatch::judge(const Rooms& rooms, Headroom& out) const noexcept {
    const std::array<std::int64_t, 3> free{rooms.order_ring_ppm, rooms.journal_ring_ppm,
                                           rooms.disk_ppm};
    unsigned under = 0;
    for (std::size_t i = 0; i < free.size(); ++i) {
        const unsigned bit = 1U << i;
        const bool was_under = (under_ & bit) != 0;
        const std::int64_t wanted = was_under ? floors_[i] + floors_[i] / 4 : floors_[i];
        if (free[i] < wanted) under |= bit;
    }
    if (under == under_) return false;
    const unsigned shown = under != 0 ? under : under_;
    std::size_t first = 0;
    while ((shown >> first & 1U) == 0) ++first;  // one of three is set
    out = {};
    out.free_ppm = free[first];
    out.floor_ppm = floors_[first];
    out.under = static_cast<std::uint8_t>(under);
    return true;
}

}  // namespace gm
