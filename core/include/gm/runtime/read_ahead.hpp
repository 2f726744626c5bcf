// A journal read and checked on a thread of its own, some blocks ahead of whoever steps.
//
// Checksums and chain cost more than most steps, and neither needs the other: two cores replay
// nearly twice as fast as one. The blocks are JournalReader's, copied once; whoever takes them
// waits for the reader, and the reader waits for a free place.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/journal/journal_reader.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/runtime/thread.hpp"
#include "gm/wire/record.hpp"

namespace gm {

class ReadAhead {
 public:
    ReadAhead() = default;
    ~ReadAhead();
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;

    // Cold, once.
    Failure open(const std::string& folder) { return open(WalkSettings{.folder = folder}); }
    Failure open(const WalkSettings& settings);

    // The next block, valid until the next call; empty at the end, and at the first fault.
    [[nodiscard]] std::span<const Slot> next_block() noexcept;
    // Once next_block() was empty: why.
    [[nodiscard]] const Failure& failure() const noexcept { return reader_.failure(); }
    // Sealed blocks of the journal up to the one that next_block() gave.
    [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }
    // Of the block that next_block() gave, if it is sealed.
    [[nodiscard]] const SyncMarks& marks() const noexcept { return marks_; }

 private:
    static constexpr std::size_t kPlaces = 16;  // 1 MiB: more would only leave the cache

    struct Place {
        std::array<Slot, kBlockSlots> records;
        std::size_t count = 0;
        std::uint64_t blocks = 0;
        SyncMarks marks;
    };

    void read() noexcept;

    JournalReader reader_;  // of the thread until is_over_
    std::unique_ptr<Place[]> places_;
    Thread thread_;
    // Taker.
    std::uint64_t taken_ = 0;
    std::uint64_t blocks_ = 0;
    SyncMarks marks_;
    alignas(kCacheLineSize) std::atomic<std::uint64_t> filled_{0};
    std::atomic<bool> is_over_{false};
    alignas(kCacheLineSize) std::atomic<std::uint64_t> freed_{0};
    std::atomic<bool> must_stop_{false};
};

}  // namespace gm
