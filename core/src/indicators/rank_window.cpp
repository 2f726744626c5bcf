// Implements gm/indicators/rank_window.hpp.
#include "gm/indicators/rank_window.hpp"

#include <cstddef>
#include <cstring>

#include "gm/base/touch.hpp"

namespace gm {

namespace {

std::size_t bytes_of(std::int32_t values) noexcept {
    return static_cast<std::size_t>(values) * sizeof(double);
}

}  // namespace

void RankWindow::prepare() noexcept {
    if (is_unsorted_ == 0) return;
    is_unsorted_ = 0;
    const double newest = values_[next_ == 0 ? kRankValues - 1 : next_ - 1];
    double* const place = sorted_ + smaller_than(newest);
    std::memmove(place + 1, place, bytes_of(sorted_count_ - static_cast<int>(place - sorted_)));
    *place = newest;
    ++sorted_count_;
    if (count_ < kRankValues) return;
    double* const oldest = sorted_ + smaller_than(values_[next_]);
    --sorted_count_;
    std::memmove(oldest, oldest + 1, bytes_of(sorted_count_ - static_cast<int>(oldest - sorted_)));
}

void RankWindow::touch() const noexcept {
    gm::touch(sorted_, bytes_of(sorted_count_ + 1));
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

// Of the sorted values. A search of fixed shape: eleven steps at most, none of them a jump.
std::int32_t RankWindow::smaller_than(double value) const noexcept {
    const double* first = sorted_;
    std::int32_t left = sorted_count_;
    while (left > 1) {
        const std::int32_t half = left / 2;
        first = first[half - 1] < value ? first + half : first;
        left -= half;
    }
    const bool is_last_smaller = left == 1 && *first < value;
    return static_cast<std::int32_t>(first - sorted_) + (is_last_smaller ? 1 : 0);
}

}  // namespace gm
