// Implements gm/indicators/neighbours.hpp.
#include "gm/indicators/neighbours.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "gm/indicators/lane_sum.hpp"

namespace gm {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSlack = 1.0 + 1e-9;     // far more than a square root and a division round
constexpr std::int32_t kBlock = 8;        // points looked at together
constexpr std::int32_t kFivePoints = 25;  // k = ⌊√count⌋: 4 from 20 points, 5 from 25

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
    for (std::int32_t i = 0; i < nearest_count_; ++i) sum += label_[nearest_[i].place];
    return static_cast<double>(sum) / nearest_count_;
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
    nearest_count_ = 0;  // its places are not what they were
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

// The farthest of the neighbours of before, if there are enough: the new ones are no farther.
double Neighbours::reach(const PlanePoint& point) const noexcept {
    if (nearest_count_ != nearest_wanted_) return kInfinity;
    double farthest = 0.0;
    for (std::int32_t i = 0; i < nearest_count_; ++i) {
        const std::int32_t place = static_cast<std::int32_t>(nearest_[i].place);
        if (!counts(place)) return kInfinity;
        const double found = distance(point, place);
        farthest = found > farthest ? found : farthest;
    }
    return farthest;
}

void Neighbours::find_nearest(const PlanePoint& point) noexcept {
    const std::int32_t before = nearest_wanted_;
    nearest_wanted_ = count() < kFivePoints ? kNeighbours - 1 : kNeighbours;
    limit_ = before == nearest_wanted_ ? reach(point) : kInfinity;
    const double width = std::sqrt(limit_) / scale_.x * kSlack;
    const std::int32_t start =
        limit_ < kInfinity ? static_cast<std::int32_t>(nearest_[0].place) : 0;
    nearest_count_ = 0;
    for (std::int32_t first = start; first < places_; first += kBlock) {
        if (x_[first] - point.x > width) break;
        consider_block(point, first);
    }
    for (std::int32_t end = start; end > 0; end -= kBlock) {
        if (point.x - x_[end - 1] > width) break;
        consider_block(point, end - kBlock);
    }
}

// Places [first, first + 8), those that exist. Mostly none is near enough, which one comparison
// says.
void Neighbours::consider_block(const PlanePoint& point, std::int32_t first) noexcept {
    const std::int32_t end = first + kBlock;
    if (first >= 0 && end <= places_) {
        DoublePair nearest{};
        for (std::int32_t i = 0; i < kBlock; i += 2) {
            const DoublePair across =
                (load_number<DoublePair>(x_ + first + i) - point.x) * scale_.x;
            const DoublePair along = (load_number<DoublePair>(y_ + first + i) - point.y) * scale_.y;
            const DoublePair found = across * across + along * along;
            nearest = i == 0 || found < nearest ? found : nearest;
        }
        if (nearest[0] > limit_ && nearest[1] > limit_) return;
    }
    for (std::int32_t place = std::max(first, 0); place < std::min(end, places_); ++place) {
        consider(point, place);
    }
}

void Neighbours::consider(const PlanePoint& point, std::int32_t place) noexcept {
    const double found = distance(point, place);
    if (found > limit_ || !counts(place)) return;
    std::int32_t rank = nearest_count_;
    for (; rank > 0; --rank) {
        const Found& better = nearest_[rank - 1];
        if (better.distance < found) break;
        if (better.distance == found && order_[better.place] > order_[place]) break;
    }
    if (rank == nearest_wanted_) return;
    if (nearest_count_ < nearest_wanted_) ++nearest_count_;
    for (std::int32_t i = nearest_count_ - 1; i > rank; --i) nearest_[i] = nearest_[i - 1];
    nearest_[rank] = {found, place};
    const double last = nearest_[nearest_count_ - 1].distance;
    if (nearest_count_ == nearest_wanted_ && last < limit_) limit_ = last;
}

}  // namespace gm
