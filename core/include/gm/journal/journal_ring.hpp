// The journal ring: where a record becomes part of the journal, before any effect of it.
//
// A shared mapping of a named file that outlives the process: what was published here is not lost
// by kill -9. Exactly one producer (engine thread) and one consumer (journal thread). A record's
// place is journal sequence - 1, masked; positions only grow. The producer writes the payload,
// then the commit word with release, then the position with release. A commit word is right only
// for one sequence, so after a kill also the record whose position was not published yet is found.
// Source: Lamport 1977 (the queue); Lee, Bu, Chandranmenon 2009, MCRingBuffer (cached positions).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/wire/record.hpp"

namespace gm {

inline constexpr std::uint64_t kJournalRingSlots = 65536;
inline constexpr std::uint32_t kRingMagic = 0x52304d47;  // "GM0R" in memory order
inline constexpr std::size_t kRingHeaderSize = 4096;

// The first page of the file. The positions are accessed through atomic_ref only.
struct JournalRingHeader {
    std::uint32_t magic;
    std::uint16_t schema;
    std::uint16_t slot_bytes;
    std::uint64_t capacity;    // slots; a power of two
    std::uint64_t journal_id;  // of the segments it drains into; 0: not yet joined with any
    std::uint8_t reserved_static[40];
    std::uint64_t published;  // records written, by the engine thread
    std::uint8_t reserved_published[56];
    std::uint64_t drained;  // records that are in a segment, by the journal thread
    std::uint8_t reserved_drained[56];
    std::uint8_t reserved[kRingHeaderSize - 3 * kCacheLineSize];
};
static_assert(sizeof(JournalRingHeader) == kRingHeaderSize);
static_assert(offsetof(JournalRingHeader, published) == kCacheLineSize);
static_assert(offsetof(JournalRingHeader, drained) == 2 * kCacheLineSize);
static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free);

// What a new ring goes on behind, where that is known when it is made.
struct RingPlace {
    std::uint64_t journal_id = 0;  // 0: it is joined later
    std::uint64_t last_sequence = 0;
};

class JournalRing {
 public:
    JournalRing() = default;
    ~JournalRing() { close(); }
    JournalRing(const JournalRing&) = delete;
    JournalRing& operator=(const JournalRing&) = delete;

    // Opens or makes the ring file. An existing file keeps its records and, while any of them is
    // not drained, its capacity. Fails on a full tmpfs, a foreign file, or positions that cannot
    // be.
    Failure open(const std::string& path, std::uint64_t capacity = kJournalRingSlots,
                 const RingPlace& new_place = {});
    // The same ring in private memory: tests, benchmarks, backtest.
    // Its first record gets the sequence behind `position`.
    Failure open_anonymous(std::uint64_t capacity = kJournalRingSlots, std::uint64_t position = 0);
    void close() noexcept;

    // Engine thread. Writes the record and sets journal_sequence and commit in `slot` too; the
    // checksum is left to the journal thread. The caller has made sure of room: without it, halts.
    void append(Slot& slot) noexcept {
        // Field by field into both: a wide load right behind narrow stores would wait for them.
        slot.trailer.journal_sequence = position_ + 1;
        slot.trailer.crc32c = 0;
        slot.trailer.commit = commit_word(position_ + 1);
        append(slot, slot.trailer.input_sequence);
    }
    // The same for a record that stays as it is, its trailer aside.
    void append(const Slot& slot, std::uint64_t input_sequence) noexcept {
        if (!has_room(1)) __builtin_trap();
        Slot& place = slots_[position_ & mask_];
        const std::uint64_t sequence = position_ + 1;
        if (&place != &slot) std::memcpy(static_cast<void*>(&place), &slot, kRecordSize);
        place.trailer.input_sequence = input_sequence;
        place.trailer.journal_sequence = sequence;
        place.trailer.crc32c = 0;
        // Recovery pairs with this release: it trusts a record only by its commit word.
        std::atomic_ref(place.trailer.commit)
            .store(commit_word(sequence), std::memory_order_release);
        position_ = sequence;
        // Pairs with the acquire in front().
        std::atomic_ref(header_->published).store(sequence, std::memory_order_release);
    }

    // Engine thread, with room for one: where the next record goes. One that was made there is
    // appended without a copy.
    [[nodiscard]] Slot& next_place() noexcept { return slots_[position_ & mask_]; }
    // Engine thread: one that was appended and surely not drained since.
    [[nodiscard]] const Slot& record(std::uint64_t sequence) const noexcept {
        return slots_[(sequence - 1) & mask_];
    }
    // Engine thread: how many records surely fit.
    [[nodiscard]] std::size_t free() noexcept {
        // Pairs with the release in pop(): the journal thread has left those slots.
        drained_seen_ = std::atomic_ref(header_->drained).load(std::memory_order_acquire);
        return static_cast<std::size_t>(capacity_ - (position_ - drained_seen_));
    }
    // Engine thread: whether `count` more records fit. Looks at the other core only when in doubt.
    [[nodiscard]] bool has_room(std::size_t count) noexcept {
        return capacity_ - (position_ - drained_seen_) >= count || free() >= count;
    }
    // Engine thread: the sequence that the next append gets.
    [[nodiscard]] std::uint64_t next_sequence() const noexcept { return position_ + 1; }
    [[nodiscard]] std::size_t capacity() const noexcept {
        return static_cast<std::size_t>(capacity_);
    }

    // Journal thread: records that wait, as far as they lie in one piece. Valid until popped.
    [[nodiscard]] std::span<const Slot> front() noexcept {
        if (taken_ == published_seen_) {
            // Pairs with the release at the end of append().
            published_seen_ = std::atomic_ref(header_->published).load(std::memory_order_acquire);
        }
        const std::uint64_t first = taken_ & mask_;
        const std::uint64_t waiting = published_seen_ - taken_;
        const std::uint64_t to_end = capacity_ - first;
        return {slots_ + first, static_cast<std::size_t>(waiting < to_end ? waiting : to_end)};
    }
    // Journal thread: the first `count` records of front() are in a segment.
    void pop(std::size_t count) noexcept {
        taken_ += count;
        std::atomic_ref(header_->drained).store(taken_, std::memory_order_release);
    }

    // Any thread: sequence of the last record published, of the last one drained.
    [[nodiscard]] std::uint64_t published() const noexcept {
        return std::atomic_ref(header_->published).load(std::memory_order_acquire);
    }
    [[nodiscard]] std::uint64_t drained() const noexcept {
        return std::atomic_ref(header_->drained).load(std::memory_order_acquire);
    }

    // Start-up, before there are threads. Joins the ring with the journal whose last record is
    // `last_sequence`: a new ring goes on from there, and a known one must agree with it.
    Failure join(std::uint64_t journal_id, std::uint64_t last_sequence);
    [[nodiscard]] std::uint64_t journal_id() const noexcept { return header_->journal_id; }
    // Made by open(), or joined with no journal yet and empty.
    [[nodiscard]] bool is_new() const noexcept {
        return is_new_ || (journal_id() == 0 && published() == 0);
    }

 private:
    static constexpr std::size_t kRecordSize = offsetof(Slot, trailer);  // header and payload

    static Failure make_file(const std::string& path, std::uint64_t capacity,
                             std::uint64_t position, std::uint64_t journal_id);
    Failure remake(std::uint64_t capacity, std::uint64_t position, std::uint64_t journal_id);
    Failure open_file(const std::string& path);
    Failure map(int descriptor, const std::string& path, std::uint64_t capacity);
    Failure recover();
    void set_positions(std::uint64_t published, std::uint64_t drained) noexcept;

    // Both threads read these; nobody writes them after open.
    JournalRingHeader* header_ = nullptr;
    Slot* slots_ = nullptr;
    std::uint64_t capacity_ = 0;
    std::uint64_t mask_ = 0;
    std::string path_;
    bool is_new_ = false;
    // Engine thread.
    alignas(kCacheLineSize) std::uint64_t position_ = 0;
    std::uint64_t drained_seen_ = 0;
    // Journal thread.
    alignas(kCacheLineSize) std::uint64_t taken_ = 0;
    std::uint64_t published_seen_ = 0;
};

}  // namespace gm
