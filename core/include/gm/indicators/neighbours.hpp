// The last 2,000 labelled points of a plane, and what the nearest of them say about another point.
//
// Points lie sorted by x, so a question looks only at the strip that can hold a neighbour; how wide
// it is comes from the points nearest to a guess that prepare() made. A bad guess costs time, never
// the answer. The next point is in its place, and the deviations with it are known, before its
// label is: a bar that brings a label moves nothing.
#pragma once

#include <cstdint>

#include "gm/base/checked.hpp"

namespace gm {

inline constexpr std::int32_t kNeighbourPoints = 2'000;
inline constexpr std::int32_t kNeighbourPointsMin = 20;
inline constexpr std::int32_t kNeighbours = 5;
inline constexpr double kSpreadMin = 1e-12;  // least deviation of the points

struct PlanePoint {
    double x;
    double y;
};

class Neighbours {
 public:
    // Puts an offered point in its place, then looks around the guess of the next question.
    void prepare(const PlanePoint& guess) noexcept;
    // The point that gets the next label. Until then it is nobody's neighbour.
    void offer(const PlanePoint& point) noexcept {
        offered_ = point;
        has_offered_ = 1;
    }
    // Labels the point offered before, -1, 0 or 1: from now on it counts, and the oldest of 2,001
    // does not. prepare() came between.
    void label(std::int32_t label) noexcept;
    // Mean label of the k nearest, -1 to 1: Euclidean distance, each axis in units of the points'
    // population deviation, ties to the most recent, k = min(5, ⌊√count⌋). At least 20 points.
    [[nodiscard]] double vote(const PlanePoint& point) noexcept;

    // Brings near where vote() will look.
    void touch() const noexcept;

    // Points that count.
    [[nodiscard]] std::int32_t count() const noexcept {
        return static_cast<std::int32_t>(next_order_ - first_order_);
    }
    [[nodiscard]] bool awaits_label() const noexcept {
        return awaits_label_ != 0 || has_offered_ != 0;
    }

 private:
    static constexpr std::int32_t kBlock = 8;  // places looked at together
    // One awaits its label; whole blocks.
    static constexpr std::int32_t kPlaces = (kNeighbourPoints / kBlock + 1) * kBlock;

    // A point found, as one number, smaller is better: the bits of its squared distance, then how
    // far its order is from the end of all orders, then its place.
    using Found = Uint128;

    void place_offered() noexcept;
    void remove_too_old() noexcept;
    void measure_spread() noexcept;
    [[nodiscard]] bool counts(std::int32_t place) const noexcept {
        return order_[place] - first_order_ < next_order_ - first_order_;
    }
    [[nodiscard]] double distance(const PlanePoint& point, std::int32_t place) const noexcept;
    [[nodiscard]] double reach(const PlanePoint& point) const noexcept;
    void find_nearest(const PlanePoint& point) noexcept;
    void scan(const PlanePoint& point, std::int32_t block, std::int32_t step) noexcept;
    [[nodiscard]] bool is_beyond(const PlanePoint& point, std::int32_t place,
                                 std::int32_t step) const noexcept;
    [[nodiscard]] std::uint64_t look_at_block(const PlanePoint& point, std::int32_t first,
                                              double* found) const noexcept;
    void consider(std::uint64_t near, const double* found, std::int32_t first,
                  std::int32_t step) noexcept;

    // By place, sorted by x. Points that count have orders in [first_order_, next_order_); the one
    // that awaits its label has next_order_, one that is too old stays until the next prepare().
    double x_[kPlaces] = {};
    double y_[kPlaces] = {};
    std::uint32_t order_[kPlaces] = {};
    std::int32_t label_[kPlaces] = {};
    std::int32_t places_ = 0;        // in use
    std::int32_t unlabelled_ = 0;    // place of the point that awaits its label
    std::uint32_t first_order_ = 0;  // order: how many points were placed before
    std::uint32_t next_order_ = 0;
    std::uint32_t awaits_label_ = 0;  // 1: an offered point lies in its place
    std::uint32_t has_offered_ = 0;   // 1: it does not yet

    PlanePoint offered_{};
    PlanePoint scale_{};            // 1/deviation of the points that count
    PlanePoint scale_with_next_{};  // and of those that will once the label is there

    Found nearest_[kNeighbours] = {};  // of the last question, best first
    std::int32_t nearest_wanted_ = 0;  // k
    std::int32_t has_nearest_ = 0;     // 1: they lie where they are said to
    double limit_ = 0.0;               // no neighbour is farther away, squared
};

}  // namespace gm
