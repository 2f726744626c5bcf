// A journal read and checked on a thread of its own, some blocks ahead of whoever steps.
//
// Checksums and chain cost more than most steps, and neither needs the other: two cores replay
// nearly twice as fast as one. The blocks are JournalReader's, copied once and handed over many at
// a time: whoever has to wait for the other sleeps, and is woken a few thousand times a second at
// most.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

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
    // And where the walk has come to.
    [[nodiscard]] const BlockWalker& walker() const noexcept { return reader_.walker(); }
    // Sealed blocks of the journal up to the one that next_block() gave.
    [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }
    // Of the block that next_block() gave, if it is sealed.
    [[nodiscard]] const SyncMarks& marks() const noexcept { return marks_; }

 private:
    // Two of them are 1 MiB: more would only leave the cache.
    static constexpr std::size_t kChunkSlots = 4096;
    static constexpr std::uint32_t kChunks = 3;

    struct Block {
        std::size_t end;  // in the chunk's records
        std::uint64_t blocks;
        SyncMarks marks;
    };
    struct Chunk {
        std::array<Slot, kChunkSlots> records;
        std::vector<Block> blocks;  // none: the reading is over
    };

    void read() noexcept;
    [[nodiscard]] Chunk* next_free(std::uint32_t filled) noexcept;
    void hand_over(std::uint32_t filled) noexcept;

    JournalReader reader_;  // of the thread until it handed over an empty chunk
    std::uint64_t skipped_sequence_ = 0;
    std::unique_ptr<Chunk[]> chunks_;
    Thread thread_;
    // Taker.
    std::uint32_t taken_ = 0;  // chunks, the one at hand included
    std::size_t block_ = 0;    // of that, the next one to give
    bool is_over_ = false;
    std::uint64_t blocks_ = 0;
    SyncMarks marks_;
    // They only grow, and may wrap. 32 bits: what the system waits for.
    alignas(kCacheLineSize) std::atomic<std::uint32_t> filled_{0};
    alignas(kCacheLineSize) std::atomic<std::uint32_t> freed_{0};
    std::atomic<bool> must_stop_{false};
};

}  // namespace gm
