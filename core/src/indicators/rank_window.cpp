// Implements gm/indicators/rank_window.hpp.
#include "gm/indicators/rank_window.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>

#include "gm/base/touch.hpp"
#include "gm/indicators/lane_sum.hpp"

namespace gm {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// How many of `count` values, an even number, are smaller.
template <std::int32_t count>
std::int32_t smaller_among(const double* values, double than) noexcept {
    using Counts = std::int64_t __attribute__((vector_size(16)));
    Counts found{};
    for (std::int32_t i = 0; i < count; i += 2) {
        found -= load_number<DoublePair>(values + i) < than;
    }
    return static_cast<std::int32_t>(found[0] + found[1]);
}

}  // namespace

void RankWindow::prepare() noexcept {
    if (is_unsorted_ == 0 && count_ > 0) return;
    if (is_unsorted_ != 0) insert_newest();
    is_unsorted_ = 0;
    if (count_ == kRankValues) remove_oldest();
    std::fill(sorted_ + sorted_count_, std::end(sorted_), kInfinity);
    for (std::int32_t i = 0; i < kMarks; ++i) {
        const std::int32_t last = i * kBlock + kBlock - 1;
        marks_[i] = last < sorted_count_ ? sorted_[last] : kInfinity;
    }
}

void RankWindow::insert_newest() noexcept {
    const double newest = values_[next_ == 0 ? kRankValues - 1 : next_ - 1];
    double* const end = sorted_ + sorted_count_;
    double* const place = std::lower_bound(sorted_, end, newest);
    std::copy_backward(place, end, end + 1);
    *place = newest;
    ++sorted_count_;
}

void RankWindow::remove_oldest() noexcept {
    double* const end = sorted_ + sorted_count_;
    double* const oldest = std::lower_bound(sorted_, end, values_[next_]);
    std::copy(oldest + 1, end, oldest);
    --sorted_count_;
}

void RankWindow::touch() const noexcept {
    gm::touch(marks_, sizeof marks_);
    gm::touch(sorted_, static_cast<std::size_t>(sorted_count_ + 1) * sizeof sorted_[0]);
    gm::touch(&values_[next_], sizeof values_[next_]);
}

double RankWindow::update(double value) noexcept {
    const std::int32_t smaller = smaller_than(value - kRankTie);
    std::int32_t equal = 1;  // itself
    for (std::int32_t i = smaller; i < sorted_count_ && sorted_[i] <= value + kRankTie; ++i) {
        ++equal;
    }
    const double count = sorted_count_ + 1;
    values_[next_] = value;
    next_ = next_ + 1 == kRankValues ? 0 : next_ + 1;
    if (count_ < kRankValues) ++count_;
    is_unsorted_ = 1;
    return is_warm() ? 2.0 * ((smaller + 0.5 * equal) / count) - 1.0 : 0.0;
}

// Of the sorted values, without a jump.
std::int32_t RankWindow::smaller_than(double value) const noexcept {
    const std::int32_t blocks = smaller_among<kMarks>(marks_, value);
    return blocks * kBlock + smaller_among<kBlock>(sorted_ + blocks * kBlock, value);
}

}  // namespace gm
