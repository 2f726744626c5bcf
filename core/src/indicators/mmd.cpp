// Implements gm/indicators/mmd.hpp.
#include "gm/indicators/mmd.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "gm/base/elementary.hpp"
#include "gm/base/touch.hpp"
#include "gm/indicators/lane_sum.hpp"

namespace gm {

namespace {

constexpr std::int32_t kEvery = 5;  // of the reference rows, for the median distance
constexpr std::int32_t kSampled = kMmdReference / kEvery;
constexpr std::int32_t kDistances = kSampled * (kSampled - 1) / 2;
constexpr double kVolumeTaken = 2.0 / 21.0;  // EMA20
constexpr double kLog2OfE = 1.44269504088896340736;

double at_least(double value, double floor) noexcept {
    return value > floor ? value : floor;
}

}  // namespace

Mmd::Row Mmd::Fit::at(std::int32_t row) const noexcept {
    return {{place[0][row], place[1][row], place[2][row], place[3][row]}};
}

double Mmd::Fit::kernels(const Row& row, std::int32_t first, std::int32_t end) const noexcept {
    return gaussian_sum({place[0] + first, kPlaces, end - first}, row.value);
}

GaussianSums Mmd::Fit::kernels(const Row& row, std::int32_t first, std::int32_t split,
                               std::int32_t end) const noexcept {
    return gaussian_sums({place[0] + first, kPlaces, end - first}, split - first, row.value);
}

void Mmd::Fit::append(const Row& raw) noexcept {
    for (std::int32_t c = 0; c < kMmdCoordinates; ++c) {
        place[c][rows] = (raw.value[c] - mean[c]) * factor[c];
    }
    ++rows;
}

void Mmd::prepare() noexcept {
    while (prepare_part()) {  // at most 3 parts and one for kPairsAPart pairs
    }
}

bool Mmd::prepare_part() noexcept {
    constexpr std::int32_t kAll = 1;
    constexpr std::int32_t kPairs = 2;
    constexpr std::int32_t kSums = 3;
    if (prepared_ == kAll) return false;
    const auto share = static_cast<std::int32_t>((rows_ - kAhead) % kMmdRefit);
    Fit& ahead = fits_[1 - used_];
    switch (prepared_) {
        case 0:
            ranks_.prepare();
            prepared_ = rows_ < kAhead ? kAll : kPairs;
            if (prepared_ == kPairs && share == 0) begin_fit(ahead);
            break;
        case kPairs:
            if (!add_pairs(ahead, share + 1, kPairsAPart)) prepared_ = kSums;
            break;
        default:
            prepared_ = kAll;
            if (share + 1 == kMmdRefit) {
                used_ = 1 - used_;
                window_ = 0;
            } else if (rows_ >= kRows) {
                slide(fits_[used_]);
            }
    }
    return prepared_ != kAll;
}

void Mmd::update(double high, double low, double close, double volume) noexcept {
    const double before = close_before_;
    close_before_ = close;
    if (before <= 0.0) {  // the first bar: no return, no row
        volume_mean_ = volume;
        return;
    }
    volume_mean_ += kVolumeTaken * (volume - volume_mean_);  // an unchanging volume is its own mean
    double logs[] = {close / before, (volume + 1.0) / (volume_mean_ + 1.0)};
    elementary::log(logs, logs);
    take_row({{logs[0], std::abs(logs[0]), (high - low) / before, logs[1]}});
    prepared_ = 0;
}

void Mmd::touch() const noexcept {
    const Fit& fit = fits_[used_];
    for (std::int32_t c = 0; c < kMmdCoordinates; ++c) {
        gm::touch(&raw_[c][raw_rows_], sizeof raw_[c][0]);
        gm::touch(&fits_[1 - used_].place[c][fits_[1 - used_].rows], sizeof fit.place[c][0]);
        gm::touch(&fit.place[c][window_], kRows * sizeof fit.place[c][0]);
    }
    gm::touch(&fit.within_reference, sizeof fit - offsetof(Fit, within_reference));
    ranks_.touch();
}

void Mmd::take_row(const Row& raw) noexcept {
    for (std::int32_t c = 0; c < kMmdCoordinates; ++c) raw_[c][raw_rows_] = raw.value[c];
    ++raw_rows_;
    const bool has_fit_ahead = rows_ >= kAhead;
    ++rows_;
    if (has_fit_ahead && (rows_ - kAhead) % kMmdRefit != 0) fits_[1 - used_].append(raw);
    if (rows_ < kRows) return;
    Fit& fit = fits_[used_];
    fit.append(raw);
    const std::int32_t test = window_ + kMmdReference;
    const std::int32_t newest = window_ + kRows - 1;
    const Row row = fit.at(newest);
    const GaussianSums kernels = fit.kernels(row, window_, test, newest);
    fit.across += kernels.head;
    fit.within_test += 2.0 * kernels.tail + 1.0;
    const double squared = at_least(fit.within_reference / (kMmdReference * kMmdReference) +
                                        fit.within_test / (kMmdTest * kMmdTest) -
                                        2.0 * fit.across / (kMmdReference * kMmdTest),
                                    0.0);
    discrepancy_ = std::sqrt(squared);
    score_ = ranks_.update(squared);  // in the order of m; near 0 the square rounds less
}

// Of the oldest raw rows; those up to the next fit's first row are not needed after it.
void Mmd::begin_fit(Fit& fit) noexcept {
    double scale[kMmdCoordinates];  // 1/deviation
    double sampled[kMmdCoordinates][kSampled];
    for (std::int32_t c = 0; c < kMmdCoordinates; ++c) {
        fit.mean[c] = lane_sum(raw_[c], kMmdReference) / kMmdReference;
        const double squares = lane_squares_about(raw_[c], kMmdReference, fit.mean[c]);
        scale[c] = 1.0 / at_least(std::sqrt(squares / kMmdReference), kMmdSpreadMin);
        for (std::int32_t i = 0; i < kSampled; ++i) {
            sampled[c][i] = (raw_[c][i * kEvery] - fit.mean[c]) * scale[c];
        }
    }
    double distances[kDistances];
    double* next = distances;
    for (std::int32_t i = 1; i < kSampled; ++i) {
        for (std::int32_t j = 0; j < i; ++j) {
            double squared = 0.0;
            for (std::int32_t c = 0; c < kMmdCoordinates; ++c) {
                const double apart = sampled[c][i] - sampled[c][j];
                squared += apart * apart;
            }
            *next = squared;
            ++next;
        }
    }
    const MiddleTwo middle = middle_of(distances);
    const double width =
        at_least(0.5 * (std::sqrt(middle.lower) + std::sqrt(middle.upper)), kMmdSpreadMin);
    const double to_powers_of_two = std::sqrt(kLog2OfE / 2.0) / width;
    for (std::int32_t c = 0; c < kMmdCoordinates; ++c) fit.factor[c] = scale[c] * to_powers_of_two;
    fit.rows = 0;
    for (std::int32_t i = 0; i < kAhead; ++i) {
        fit.append({{raw_[0][i], raw_[1][i], raw_[2][i], raw_[3][i]}});
    }
    fit.within_reference = fit.across = fit.within_test = 0.0;
    paired_rows_ = 0;
    raw_rows_ = kAhead - kMmdRefit;
    for (double* const column : {raw_[0], raw_[1], raw_[2], raw_[3]}) {
        std::memmove(column, column + kMmdRefit,
                     static_cast<std::size_t>(raw_rows_) * sizeof(double));
    }
}

// Pairs each row with those before it until `share` forty-sixths of all pairs are summed, or `most`
// pairs and those of one row more; true: there are more. The last row, on whose bar the fit is
// first used, is not here yet.
bool Mmd::add_pairs(Fit& fit, std::int32_t share, std::int32_t most) noexcept {
    constexpr std::int32_t kLast = kRows - 1;
    constexpr std::int32_t kPairs = kLast * (kLast - 1) / 2;
    while (paired_rows_ < fit.rows && paired_rows_ < kLast &&
           paired_rows_ * (paired_rows_ - 1) / 2 * kMmdRefit < kPairs * share) {
        if (most <= 0) return true;
        const std::int32_t i = paired_rows_;
        const Row row = fit.at(i);
        if (i < kMmdReference) {
            fit.within_reference += 2.0 * fit.kernels(row, 0, i) + 1.0;
        } else {
            const GaussianSums kernels = fit.kernels(row, 0, kMmdReference, i);
            fit.across += kernels.head;
            fit.within_test += 2.0 * kernels.tail + 1.0;
        }
        ++paired_rows_;
        most -= i;
    }
    return false;
}

// One row on: the oldest leaves the reference, the oldest of the test joins it.
void Mmd::slide(Fit& fit) noexcept {
    const std::int32_t test = window_ + kMmdReference;
    const std::int32_t end = window_ + kRows;
    const Row leaves = fit.at(window_);
    const Row joins = fit.at(test);
    const double joins_to_reference = fit.kernels(joins, window_ + 1, test);
    const double joins_to_test = fit.kernels(joins, test + 1, end);
    const GaussianSums of_leaving = fit.kernels(leaves, window_ + 1, test, end);
    fit.within_reference += 2.0 * (joins_to_reference - of_leaving.head);
    fit.across += joins_to_test - joins_to_reference - of_leaving.tail;
    fit.within_test -= 2.0 * joins_to_test + 1.0;
    ++window_;
}

// Sorted into buckets of equal width, of which only those around the middle are looked into.
MiddleTwo middle_of(std::span<double> values) noexcept {
    constexpr std::size_t kBuckets = 1'024;
    const std::size_t count = values.size();
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double from = *least;
    const double per_width = (kBuckets - 1) / at_least(*most - from, kMmdSpreadMin);
    const auto bucket_of = [from, per_width](double value) {
        return static_cast<std::size_t>((value - from) * per_width);
    };
    std::uint32_t size[kBuckets] = {};
    for (const double value : values) ++size[bucket_of(value)];
    const std::size_t upper = count / 2;
    const std::size_t lower = (count - 1) / 2;
    std::size_t first = 0;  // bucket of the lower middle
    std::size_t below = 0;  // values in buckets before it
    while (below + size[first] <= lower) below += size[first++];
    std::size_t last = first;
    for (std::size_t end = below + size[first]; end <= upper;) end += size[++last];
    std::size_t kept = 0;
    for (const double value : values) {
        const std::size_t bucket = bucket_of(value);
        values[kept] = value;
        kept += bucket >= first && bucket <= last ? 1 : 0;
    }
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(upper - below);
    std::nth_element(values.begin(), middle, values.begin() + static_cast<std::ptrdiff_t>(kept));
    if (lower == upper) return {*middle, *middle};
    return {*std::max_element(values.begin(), middle), *middle};
}

}  // namespace gm
