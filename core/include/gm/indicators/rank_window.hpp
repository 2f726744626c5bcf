// Rank of a value among the last 2,000, itself included: (smaller + half of the equal)/count.
//
// Values closer than 1e-13 are equal (ours): they are of order 1/10 and carry rounding of 1e-15, so
// that windows with the same content measure the same. The known values are kept sorted, which
// prepare() does: update() compares with every 32nd of them, then with the 32 that remain.
#pragma once

#include <cstdint>

namespace gm {

inline constexpr std::int32_t kRankValues = 2'000;
inline constexpr std::int32_t kRankValuesMin = 200;
inline constexpr double kRankTie = 1e-13;

class RankWindow {
 public:
    // Sorts in the value of the last update(), drops the one that is too old for the next.
    void prepare() noexcept;
    // Takes the value into the history and answers 2·rank - 1; 0 while there are fewer than 200.
    // prepare() came before; the value is a number.
    [[nodiscard]] double update(double value) noexcept;

    [[nodiscard]] bool is_warm() const noexcept { return count_ >= kRankValuesMin; }
    // Brings near what update() reads.
    void touch() const noexcept;

 private:
    static constexpr std::int32_t kBlock = 32;  // sorted values between two marks
    static constexpr std::int32_t kMarks = kRankValues / kBlock + 2;  // whole pairs

    [[nodiscard]] std::int32_t smaller_than(double value) const noexcept;
    void insert_newest() noexcept;
    void remove_oldest() noexcept;

    double values_[kRankValues] = {};  // in a circle; the newest is at next_ - 1
    // All of them, after prepare() at most 1,999; infinite behind, up to a whole block.
    double sorted_[kRankValues + kBlock] = {};
    double marks_[kMarks] = {};  // last of each block
    std::int32_t next_ = 0;      // where the next value goes, in [0, kRankValues)
    std::int32_t count_ = 0;     // values so far, at most kRankValues
    std::int32_t sorted_count_ = 0;
    std::int32_t is_unsorted_ = 0;  // 1: the newest value is not in sorted_ yet
};

}  // namespace gm
