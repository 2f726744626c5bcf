#include "gm/runtime/read_ahead.hpp"

#include <cstring>

namespace gm {

ReadAhead::~ReadAhead() {
    must_stop_.store(true, std::memory_order_relaxed);
    // As if all were free. Release: pairs with next_free(), for must_stop_.
    freed_.fetch_add(kChunks, std::memory_order_release);
    freed_.notify_one();
    thread_.join();
}

Failure ReadAhead::open(const WalkSettings& settings) {
    if (Failure failure = reader_.open(settings); !failure.is_ok()) return failure;
    if (settings.from) skipped_sequence_ = settings.from->last_sequence;
    chunks_ = std::make_unique_for_overwrite<Chunk[]>(kChunks);
    return thread_.start("gm-read", -1, [this] { read(); });
}

void ReadAhead::read() noexcept {
    std::uint32_t filled = 0;
    std::size_t count = 0;  // records in the chunk at hand
    Chunk* chunk = next_free(filled);
    while (chunk != nullptr && !must_stop_.load(std::memory_order_relaxed)) {
        const std::span<const Slot> block = reader_.next_block();
        // Checked, and of the time before the place from which it was to be read.
        const bool is_before =
            !block.empty() && block.back().trailer.journal_sequence <= skipped_sequence_;
        if (is_before) continue;
        if (count != 0 && (block.empty() || count + block.size() > kChunkSlots)) {
            hand_over(++filled);
            chunk = next_free(filled);
            count = 0;
        }
        if (block.empty() || chunk == nullptr) break;
        std::memcpy(static_cast<void*>(&chunk->records[count]), block.data(), block.size_bytes());
        count += block.size();
        chunk->blocks.push_back({count, reader_.end().blocks, reader_.end().marks});
    }
    if (chunk != nullptr) hand_over(++filled);  // an empty one
}

// Null: nobody wants it any more.
ReadAhead::Chunk* ReadAhead::next_free(std::uint32_t filled) noexcept {
    for (;;) {  // bounded by the taker. Acquire: pairs with next_block(), the chunk was left
        const std::uint32_t freed = freed_.load(std::memory_order_acquire);
        if (must_stop_.load(std::memory_order_relaxed)) return nullptr;
        if (filled - freed < kChunks) break;
        freed_.wait(freed, std::memory_order_acquire);
    }
    Chunk& chunk = chunks_[filled % kChunks];
    chunk.blocks.clear();
    return &chunk;
}

void ReadAhead::hand_over(std::uint32_t filled) noexcept {
    filled_.store(filled, std::memory_order_release);  // pairs with next_block()
    filled_.notify_one();
}

std::span<const Slot> ReadAhead::next_block() noexcept {
    if (is_over_) return {};
    if (taken_ == 0 || block_ == chunks_[(taken_ - 1) % kChunks].blocks.size()) {
        freed_.store(taken_, std::memory_order_release);  // pairs with next_free()
        freed_.notify_one();
        // Acquire: pairs with hand_over().
        while (filled_.load(std::memory_order_acquire) == taken_) {  // bounded by the reader
            filled_.wait(taken_, std::memory_order_acquire);
        }
        ++taken_;
        block_ = 0;
    }
    const Chunk& chunk = chunks_[(taken_ - 1) % kChunks];
    is_over_ = chunk.blocks.empty();
    if (is_over_) return {};
    const std::size_t begin = block_ == 0 ? 0 : chunk.blocks[block_ - 1].end;
    const Block& block = chunk.blocks[block_++];
    blocks_ = block.blocks;
    marks_ = block.marks;
    return {&chunk.records[begin], block.end - begin};
}

}  // namespace gm
