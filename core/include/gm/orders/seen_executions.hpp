// The execution ids that were booked last: a fill that the venue reports again is not booked again.
//
// Open addressing over a ring of kKept ids; the oldest gives way. A repeat older than that is of an
// order whose place was used again long ago, and is met as an order that we do not know.
#pragma once

#include <array>
#include <cstdint>

namespace gm {

class SeenExecutions {
 public:
    static constexpr std::size_t kKept = 4096;

    // False: it was seen before.
    [[nodiscard]] bool insert(std::uint64_t id) noexcept {
        std::size_t place = place_of(id);
        if (index_[place] != 0) return false;
        const std::size_t at = count_ % kKept;
        if (count_ >= kKept) {
            forget(ids_[at]);
            place = place_of(id);
        }
        ids_[at] = id;
        index_[place] = static_cast<std::uint16_t>(at + 1);
        ++count_;
        return true;
    }

 private:
    static constexpr std::size_t kPlaces = 2 * kKept;  // half of them are free
    static constexpr int kShift = 64 - 13;
    static_assert(kPlaces == std::size_t{1} << (64 - kShift));

    [[nodiscard]] static std::size_t home_of(std::uint64_t id) noexcept {
        return static_cast<std::size_t>((id * 0x9e3779b97f4a7c15) >> kShift);
    }
    [[nodiscard]] static std::size_t after(std::size_t place) noexcept {
        return (place + 1) % kPlaces;
    }
    // Where it is, or where it would go.
    [[nodiscard]] std::size_t place_of(std::uint64_t id) const noexcept {
        std::size_t place = home_of(id);
        while (index_[place] != 0 && ids_[index_[place] - 1U] != id) place = after(place);
        return place;
    }
    // What lies behind it in a row of taken places moves up, unless it would pass its home.
    void forget(std::uint64_t id) noexcept {
        std::size_t hole = place_of(id);
        for (std::size_t place = after(hole); index_[place] != 0; place = after(place)) {
            const std::size_t home = home_of(ids_[index_[place] - 1U]);
            const std::size_t from_home = (place - home) % kPlaces;
            const std::size_t from_hole = (place - hole) % kPlaces;
            if (from_home < from_hole) continue;
            index_[hole] = index_[place];
            hole = place;
        }
        index_[hole] = 0;
    }

    std::array<std::uint64_t, kKept> ids_{};
    std::array<std::uint16_t, kPlaces> index_{};  // place in ids_ + 1; 0: free
    std::uint64_t count_ = 0;
};

}  // namespace gm
