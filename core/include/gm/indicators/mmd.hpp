// MMD score: how unlike the 500 bars before them the last 100 bars are, ranked among its own past.
//
// One row a bar: r = ln(C/C₋₁), |r|, (H−L)/C₋₁, ln((V+1)/(EMA20(V)+1)). Rows are standardised by
// mean and population deviation of the reference (the 500 rows that end 100 rows ago); kernel
// exp(−‖x−y‖²/2σ²), σ the median distance of every fifth reference row; m = √max(MMD²_biased, 0).
// These parameters are fitted for row 600 and every 46 rows after; between, the three sums of
// kernels slide. score = 2·rank − 1 of m among its last 2,000 values.
//
// A fit knows its reference 100 rows ahead. So it is made 46 rows ahead, and its 179,101 kernels
// are added up a forty-sixth at a time, by the prepare() of each row before it counts: no bar is
// longer than another. On the bar's own path remain the 599 kernels of the newest row. Source:
// Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A Kernel Two-Sample Test", Journal of Machine
// Learning Research 13, 2012, equation 5; the rank is ours.
#pragma once

#include <cstdint>
#include <span>

#include "gm/indicators/gaussian_sum.hpp"
#include "gm/indicators/rank_window.hpp"

namespace gm {

inline constexpr std::int32_t kMmdReference = 500;
inline constexpr std::int32_t kMmdTest = 100;
inline constexpr std::int32_t kMmdRefit = 46;
inline constexpr std::int32_t kMmdCoordinates = kGaussianCoordinates;
inline constexpr double kMmdSpreadMin = 1e-12;  // least deviation, and least σ

class Mmd {
 public:
    // Everything about the next row that the known ones decide; a second call does nothing.
    void prepare() noexcept;
    // The same in parts: ranks and a new fit, then pairs of it, at most kPairsAPart at a time, then
    // the sums of the fit in use. True: there is more.
    bool prepare_part() noexcept;
    // A real bar of positive prices; prepare() came before.
    void update(double high, double low, double close, double volume) noexcept;

    // Brings near what update() reads.
    void touch() const noexcept;

    // m of the newest row, 0 before row 600.
    [[nodiscard]] double discrepancy() const noexcept { return discrepancy_; }
    // In [-1, 1]; 0 before it is warm.
    [[nodiscard]] double score() const noexcept { return score_; }
    // From the 200th value of m on.
    [[nodiscard]] bool is_warm() const noexcept { return ranks_.is_warm(); }

 private:
    static constexpr std::int32_t kRows = kMmdReference + kMmdTest;
    static constexpr std::int32_t kAhead = kRows - kMmdRefit;  // rows there are when a fit is made
    static constexpr std::int32_t kPairsAPart = 2'048;         // or those of one row more
    static constexpr std::int32_t kPlaces = kRows + kMmdRefit + 2 + kGaussianBlock;

    struct Row {
        double value[kMmdCoordinates];
    };
    // One fit, and every row from its reference's first to the last row that it is used for.
    struct Fit {
        double mean[kMmdCoordinates];
        double factor[kMmdCoordinates];  // makes the kernel 2^−(squared distance)
        double place[kMmdCoordinates][kPlaces];
        double within_reference;  // sums of kernels over pairs in both orders, and with themselves
        double across;
        double within_test;
        std::int64_t rows;

        [[nodiscard]] Row at(std::int32_t row) const noexcept;
        // Sum of kernels between a row and rows [first, end).
        [[nodiscard]] double kernels(const Row& row, std::int32_t first,
                                     std::int32_t end) const noexcept;
        // And over [first, split) and [split, end).
        [[nodiscard]] GaussianSums kernels(const Row& row, std::int32_t first, std::int32_t split,
                                           std::int32_t end) const noexcept;
        void append(const Row& raw) noexcept;
    };

    void take_row(const Row& raw) noexcept;
    void begin_fit(Fit& fit) noexcept;
    [[nodiscard]] bool add_pairs(Fit& fit, std::int32_t share, std::int32_t most) noexcept;
    void slide(Fit& fit) noexcept;

    double raw_[kMmdCoordinates][kAhead] = {};  // the newest rows, oldest first
    std::int64_t raw_rows_ = 0;
    std::int64_t rows_ = 0;  // so far
    Fit fits_[2] = {};
    std::int32_t used_ = 0;         // the fit that the next row is measured by; the other is ahead
    std::int32_t window_ = 0;       // place where the reference of the next row begins
    std::int32_t paired_rows_ = 0;  // rows of the fit ahead whose pairs are summed
    std::int32_t prepared_ = 0;     // 0: nothing, 1: everything, 2: up to the pairs, 3: to the sums

    double volume_mean_ = 0.0;  // EMA20
    double close_before_ = 0.0;
    RankWindow ranks_{};
    double discrepancy_ = 0.0;
    double score_ = 0.0;
};

// The middle two of one or more numbers, of an odd count the same twice. Destroys the numbers.
struct MiddleTwo {
    double lower;
    double upper;
};
[[nodiscard]] MiddleTwo middle_of(std::span<double> values) noexcept;

}  // namespace gm
