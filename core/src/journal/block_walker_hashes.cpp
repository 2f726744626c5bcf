// The walk's hashes: of blocks ahead of the one at hand, side by side.
#include <algorithm>
#include <array>
#include <cstring>

#include "gm/journal/block_walker.hpp"

namespace gm {

// Of the digest before it and the records of the block at hand.
Sha256Digest BlockWalker::digest_of_block() {
    const std::size_t count = cursor_ - block_begin_;
    const std::uint64_t first_slot = end_.slot - count;
    const bool is_hashed =
        ahead_next_ < ahead_count_ && ahead_[ahead_next_].first_slot == first_slot &&
        ahead_[ahead_next_].slots == count && ahead_[ahead_next_].previous == end_.digest;
    if (!is_hashed) hash_blocks(first_slot, count);
    return ahead_[ahead_next_++].digest;
}

// Fills ahead_: the block of `slots` slots at the cursor, and the whole ones behind it in the
// buffer. The chain goes on from the digest that a chain record claims, right or wrong, so they
// need not wait for each other.
void BlockWalker::hash_blocks(std::uint64_t first_slot, std::size_t slots) {
    std::array<const void*, kAheadMost> records;
    std::array<std::size_t, kAheadMost> sizes;
    Sha256Digest previous = end_.digest;
    ahead_count_ = ahead_next_ = 0;
    for (std::size_t begin = block_begin_; slots != 0;) {  // bounded by ahead_
        records[ahead_count_] = buffer_.get() + begin;
        sizes[ahead_count_] = slots * sizeof(Slot);
        ahead_[ahead_count_++] = {first_slot, slots, previous, {}};
        if (ahead_count_ == ahead_.size()) break;
        std::memcpy(previous.data(), buffer_[begin + slots].as<BlockDigest>().sha256,
                    previous.size());
        first_slot += slots + 1;
        begin += slots + 1;
        slots = slots_of_block(begin);
    }
    const std::span<Sha256> hashes(hashes_.data(), ahead_count_);
    for (std::size_t i = 0; i < ahead_count_; ++i) {
        hashes[i].restart();
        hashes[i].update(ahead_[i].previous.data(), ahead_[i].previous.size());
    }
    const auto sources = std::span(records).first(ahead_count_);
    const auto bytes = std::span(sizes).first(ahead_count_);
    if (std::ranges::all_of(bytes, [&](std::size_t size) { return size == bytes[0]; })) {
        Sha256::update_many(hashes, sources, bytes[0]);
    } else {
        Sha256::update_unequal(hashes, sources, bytes);
    }
    for (std::size_t i = 0; i < ahead_count_; ++i) ahead_[i].digest = hashes[i].finish();
}

// From `begin` of the buffer up to the next chain record; 0 where the buffer holds none.
std::size_t BlockWalker::slots_of_block(std::size_t begin) const noexcept {
    for (std::size_t at = begin; at < filled_ && at - begin <= kBlockSlots; ++at) {
        if (buffer_[at].type() == RecordType::kBlockDigest) return at - begin;
    }
    return 0;
}

}  // namespace gm
