// The rows of a matrix: the newest `Rows` of them as one contiguous float32 view, oldest first.
//
// Each row is written twice, Rows apart, so that nothing is ever moved and a network reads the
// matrix where it lies. All zero is the empty window. Trivially copyable: a snapshot is a memcpy.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

template <std::size_t Rows, std::size_t Columns>
class RowWindow {
 public:
    // is_warm: every feature of this row was warm.
    void append(const double* row, bool is_warm) noexcept {
        float* first = rows_ + next_ * Columns;
        float* second = first + Rows * Columns;
        for (std::size_t column = 0; column < Columns; ++column) {
            const float value = static_cast<float>(row[column]);
            first[column] = value;
            second[column] = value;
        }
        next_ = next_ + 1 == Rows ? 0 : next_ + 1;
        ++count_;
        warm_rows_ = is_warm ? warm_rows_ + 1 : 0;
        if (warm_rows_ > Rows) warm_rows_ = Rows;
    }

    // Rows x Columns; rows that do not exist yet are 0. Valid until the next append.
    [[nodiscard]] const float* matrix() const noexcept { return rows_ + next_ * Columns; }
    [[nodiscard]] std::int64_t count() const noexcept { return count_; }  // appended so far
    [[nodiscard]] std::uint64_t warm_rows() const noexcept {
        return warm_rows_;
    }  // newest in a row
    [[nodiscard]] bool is_warm() const noexcept { return warm_rows_ == Rows; }

 private:
    float rows_[2 * Rows * Columns] = {};
    std::uint64_t next_ = 0;  // where the next row goes, in [0, Rows)
    std::int64_t count_ = 0;
    std::uint64_t warm_rows_ = 0;  // in a row, up to Rows
};

}  // namespace gm
