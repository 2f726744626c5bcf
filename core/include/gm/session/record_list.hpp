// The records that a run keeps: as many as come, in one piece, and none is ever copied.
//
// A backtest over years keeps millions. Where std::vector grows, it copies all of them into memory
// that the kernel clears first and takes page by page: half of what a run cost. Here the kernel
// moves the pages themselves, and hands out large ones. One thread.
// Source: mremap(2), madvise(2) of Linux.
#pragma once

#include <cstddef>
#include <span>

#include "gm/wire/record.hpp"

namespace gm {

class RecordList {
 public:
    RecordList() = default;
    ~RecordList();
    RecordList(const RecordList&) = delete;
    RecordList& operator=(const RecordList&) = delete;

    // None of its own. Without memory for it the program ends, as with any other container.
    void push_back(const Slot& slot) noexcept {
        if (size_ == capacity_) grow();
        slots_[size_++] = slot;
    }
    // Keeps the memory.
    void clear() noexcept { size_ = 0; }
    // Valid until the next push_back().
    [[nodiscard]] std::span<const Slot> records() const noexcept { return {slots_, size_}; }

 private:
    void grow() noexcept;

    Slot* slots_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace gm
