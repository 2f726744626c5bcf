// Implements gm/indicators/neighbours.hpp.
#include "gm/indicators/neighbours.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "gm/base/touch.hpp"
#include "gm/indicators/lane_sum.hpp"

namespace gm {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int32_t kPlacesAtOnce = 64;
constexpr std::int32_t kFivePoints = 25;  // k = ⌊√count⌋: 4 from 20 points, 5 from 25

constexpr int kPlaceBits = 11;
static_assert(kNeighbourPoints < 1 << kPlaceBits);

Uint128 found_at(double distance, std::uint32_t order, std::int32_t place) noexcept {
    const std::uint64_t age = std::uint64_t{~order} << kPlaceBits;
    return Uint128{std::bit_cast<std::uint64_t>(distance)} << 64U |
           (age | static_cast<std::uint32_t>(place));
}

double distance_of(Uint128 found) noexcept {
    return std::bit_cast<double>(static_cast<std::uint64_t>(found >> 64U));
}

std::int32_t place_of(Uint128 found) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint64_t>(found) & ((1U << kPlaceBits) - 1U));
}

// Moves values[from, count) by one place up or down.
template <typename Value>
void shift(Value* values, std::int32_t from, std::int32_t count, std::int32_t by) noexcept {
    std::memmove(values + from + by, values + from,
                 static_cast<std::size_t>(count - from) * sizeof(Value));
}

// 1/population deviation of values[0, count) without the one at `left_out`, if that is a place.
double inverse_deviation(const double* values, std::int32_t count, std::int32_t left_out) noexcept {
    const std::int32_t first = left_out < 0 ? count : left_out;
    const std::int32_t second = left_out < 0 ? 0 : count - left_out - 1;
    const double* rest = values + count - second;
    const double points = first + second;
    const double mean = (lane_sum(values, first) + lane_sum(rest, second)) / points;
    const double squares =
        lane_squares_about(values, first, mean) + lane_squares_about(rest, second, mean);
    const double deviation = std::sqrt(squares / points);
    return 1.0 / (deviation > kSpreadMin ? deviation : kSpreadMin);
}

}  // namespace

void Neighbours::prepare(const PlanePoint& guess) noexcept {
    if (has_offered_ != 0) {
        place_offered();
        measure_spread();
    }
    if (count() >= kNeighbourPointsMin) find_nearest(guess);
}

void Neighbours::touch() const noexcept {
    constexpr std::int32_t kAround = 64;
    if (has_nearest_ == 0) return;
    const std::int32_t place = place_of(nearest_[0]);
    const std::int32_t first = std::max(place - kAround, 0);
    const auto count = static_cast<std::size_t>(std::min(place + kAround, places_) - first);
    gm::touch(x_ + first, count * sizeof x_[0]);
    gm::touch(y_ + first, count * sizeof y_[0]);
    gm::touch(order_ + first, count * sizeof order_[0]);
    gm::touch(label_ + first, count * sizeof label_[0]);
    gm::touch(&places_, sizeof *this - offsetof(Neighbours, places_));
}

void Neighbours::label(std::int32_t label) noexcept {
    label_[unlabelled_] = label;
    ++next_order_;
    if (count() > kNeighbourPoints) ++first_order_;
    scale_ = scale_with_next_;
    awaits_label_ = 0;
}

double Neighbours::vote(const PlanePoint& point) noexcept {
    find_nearest(point);
    std::int32_t sum = 0;
    for (std::int32_t i = 0; i < nearest_wanted_; ++i) sum += label_[place_of(nearest_[i])];
    return static_cast<double>(sum) / nearest_wanted_;
}

void Neighbours::place_offered() noexcept {
    if (count() == kNeighbourPoints) remove_too_old();
    const double* const behind = std::upper_bound(x_, x_ + places_, offered_.x);
    const std::int32_t place = static_cast<std::int32_t>(behind - x_);
    shift(x_, place, places_, 1);
    shift(y_, place, places_, 1);
    shift(order_, place, places_, 1);
    shift(label_, place, places_, 1);
    ++places_;
    x_[place] = offered_.x;
    y_[place] = offered_.y;
    order_[place] = next_order_;
    label_[place] = 0;
    unlabelled_ = place;
    awaits_label_ = 1;
    has_offered_ = 0;
    has_nearest_ = 0;  // places are not what they were
}

// At most one point does not count when an offered one is to be placed.
void Neighbours::remove_too_old() noexcept {
    for (std::int32_t place = 0; place < places_; ++place) {
        if (counts(place)) continue;
        shift(x_, place + 1, places_, -1);
        shift(y_, place + 1, places_, -1);
        shift(order_, place + 1, places_, -1);
        shift(label_, place + 1, places_, -1);
        --places_;
        return;
    }
}

// Of the points that will count with the next label: all, or all but the oldest of 2,001.
void Neighbours::measure_spread() noexcept {
    std::int32_t oldest = -1;
    if (count() == kNeighbourPoints) {
        oldest =
            static_cast<std::int32_t>(std::find(order_, order_ + places_, first_order_) - order_);
    }
    scale_with_next_ = {inverse_deviation(x_, places_, oldest),
                        inverse_deviation(y_, places_, oldest)};
}

double Neighbours::distance(const PlanePoint& point, std::int32_t place) const noexcept {
    const double across = (x_[place] - point.x) * scale_.x;
    const double along = (y_[place] - point.y) * scale_.y;
    return across * across + along * along;
}

// The farthest of the k neighbours of before, if they still count: no new one is farther.
double Neighbours::reach(const PlanePoint& point) const noexcept {
    double farthest = 0.0;
    for (std::int32_t i = 0; i < nearest_wanted_; ++i) {
        const std::int32_t place = place_of(nearest_[i]);
        if (!counts(place)) return kInfinity;
        const double found = distance(point, place);
        farthest = found > farthest ? found : farthest;
    }
    return farthest;
}

void Neighbours::find_nearest(const PlanePoint& point) noexcept {
    const std::int32_t wanted = count() < kFivePoints ? kNeighbours - 1 : kNeighbours;
    const bool has_reach = has_nearest_ != 0 && wanted == nearest_wanted_;
    const std::int32_t start = has_reach ? place_of(nearest_[0]) : 0;
    limit_ = has_reach ? reach(point) : kInfinity;
    nearest_wanted_ = wanted;
    has_nearest_ = 1;
    for (Found& found : nearest_) found = found_at(kInfinity, 0, 0);
    // Outwards, until x alone is too far away. The limit comes closer on the way.
    scan(point, start / kBlock, 1);
    scan(point, start / kBlock - 1, -1);
}

// From a block on to one end. What is near enough is looked up eight blocks at a time, without a
// jump: which place is near is a coin toss.
void Neighbours::scan(const PlanePoint& point, std::int32_t block, std::int32_t step) noexcept {
    const std::int32_t blocks = (places_ + kBlock - 1) / kBlock;
    const std::int32_t facing = step > 0 ? 0 : kBlock - 1;  // of a block's places, the nearest
    bool is_within = true;
    while (is_within) {
        std::uint64_t near = 0;
        double found[kPlacesAtOnce];
        const std::int32_t first = block;
        for (std::int32_t i = 0; i < kPlacesAtOnce; i += kBlock, block += step) {
            is_within =
                block >= 0 && block < blocks && !is_beyond(point, block * kBlock + facing, step);
            if (!is_within) break;
            near |= look_at_block(point, block * kBlock, found + i) << i;
        }
        consider(near, found, first * kBlock, step * kBlock);
    }
}

// By x alone. A place that is not in use is in the last block, behind the points in use.
bool Neighbours::is_beyond(const PlanePoint& point, std::int32_t place,
                           std::int32_t step) const noexcept {
    if (place >= places_) return false;
    const double across = (x_[place] - point.x) * scale_.x;
    return across * step > 0.0 && across * across > limit_;
}

// Distances of eight places; a bit for each that is near enough.
std::uint64_t Neighbours::look_at_block(const PlanePoint& point, std::int32_t first,
                                        double* found) const noexcept {
    BitPair bit{1, 2};
    BitPair near{};
    for (std::int32_t i = 0; i < kBlock; i += 2) {
        const DoublePair across = (load_number<DoublePair>(x_ + first + i) - point.x) * scale_.x;
        const DoublePair along = (load_number<DoublePair>(y_ + first + i) - point.y) * scale_.y;
        const DoublePair pair = across * across + along * along;
        std::memcpy(found + i, &pair, sizeof pair);
        near |= reinterpret_cast<BitPair>(pair <= limit_) & bit;
        bit <<= 2;
    }
    const std::int32_t used = std::min(places_ - first, kBlock);
    return (near[0] | near[1]) & ((1U << static_cast<std::uint32_t>(used)) - 1U);
}

// Bit i: the place at found[i], in blocks of eight that begin at `first`, `step` apart. Each takes
// its place among the five.
void Neighbours::consider(std::uint64_t near, const double* found, std::int32_t first,
                          std::int32_t step) noexcept {
    for (; near != 0; near &= near - 1) {
        const std::int32_t i = std::countr_zero(near);
        const std::int32_t place = first + i / kBlock * step + i % kBlock;
        if (!counts(place)) continue;
        Found next = found_at(found[i], order_[place], place);
        for (Found& better : nearest_) {
            const Found kept = next < better ? next : better;
            next = next < better ? better : next;
            better = kept;
        }
    }
    const double last = distance_of(nearest_[nearest_wanted_ - 1]);
    limit_ = last < limit_ ? last : limit_;
}

}  // namespace gm
