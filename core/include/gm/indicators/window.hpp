// The last N doubles as one contiguous run, oldest first, without ever moving them.
//
// Each value is written twice, N places apart, so that any run of the newest values lies in one
// piece. All zero is the empty window. Trivially copyable: a snapshot is a memcpy.
#pragma once

#include <cstdint>

namespace gm {

template <std::int32_t N>
class Window {
 public:
    void push(double value) noexcept {
        values_[next_] = value;
        values_[next_ + N] = value;
        next_ = next_ + 1 == N ? 0 : next_ + 1;
        if (count_ < N) ++count_;
    }
    void clear() noexcept {
        next_ = 0;
        count_ = 0;
    }

    [[nodiscard]] std::int32_t count() const noexcept { return count_; }
    [[nodiscard]] bool is_full() const noexcept { return count_ == N; }
    // The newest `length` values, oldest of them first; length <= count().
    [[nodiscard]] const double* last(std::int32_t length) const noexcept {
        return values_ + next_ + N - length;
    }

 private:
    double values_[2 * N] = {};
    std::int32_t next_ = 0;   // where the next value goes, in [0, N)
    std::int32_t count_ = 0;  // values so far, at most N
};

}  // namespace gm
