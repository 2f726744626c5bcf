// A bounded queue between exactly one producer thread and one consumer thread.
//
// Positions only grow and are masked on use, so full and empty are never confused and no slot is
// wasted. Each side keeps a private copy of the other's position and re-reads the shared one only
// when that copy says "no": a burst costs one cross-core read, not one per record.
// Source: Lamport 1977 (the queue); Lee, Bu, Chandranmenon 2009, MCRingBuffer (cached positions).
//
// Slots lie in a MemoryRegion: no page fault, huge pages where the machine gives them. A slot is
// read in place between front() and pop(); the producer cannot reach it before pop().
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "gm/base/memory_region.hpp"
#include "gm/base/status.hpp"

namespace gm {

inline constexpr std::size_t kRingLineSize = 64;  // a cache line of x86-64 and of most aarch64
inline constexpr std::size_t kRingCapacityMax = std::size_t{1} << 28;

template <typename Slot>
class SpscRing {
    static_assert(std::is_trivially_copyable_v<Slot>, "slots are copied, never destroyed");
    static_assert(alignof(Slot) <= 4096, "a region is aligned to a page");

 public:
    SpscRing() noexcept = default;
    SpscRing(const SpscRing&) = delete;
    SpscRing& operator=(const SpscRing&) = delete;

    // Cold, before the two threads start. The capacity counts slots, a power of two.
    Failure open(std::size_t capacity) {
        if (capacity < 2 || capacity > kRingCapacityMax || !std::has_single_bit(capacity)) {
            return fail(Status::kBadCapacity, "ring_capacity must be a power of two, 2 to " +
                                                  std::to_string(kRingCapacityMax) + ": " +
                                                  std::to_string(capacity));
        }
        Failure failure = region_.open(capacity * sizeof(Slot));
        if (!failure.is_ok()) return failure;
        // All bytes are zero: a Slot's value, since it is trivially copyable.
        slots_ = reinterpret_cast<Slot*>(region_.bytes().data());
        mask_ = capacity - 1;
        producer_ = {};
        consumer_ = {};
        pushed_.store(0, std::memory_order_relaxed);    // no other thread yet
        consumed_.store(0, std::memory_order_relaxed);  // no other thread yet
        return ok();
    }

    // Producer thread only. Full is an answer, not an error: the caller chooses what to drop.
    [[nodiscard]] Status push(const Slot& slot) noexcept {
        if (!has_room()) return Status::kRingFull;
        slots_[producer_.position & mask_] = slot;
        publish(1);
        return Status::kOk;
    }

    // Producer thread only. Takes as many from the front of `slots` as fit, returns how many; the
    // consumer sees them all at once.
    [[nodiscard]] std::size_t push_batch(std::span<const Slot> slots) noexcept {
        const std::size_t room = slots.size() <= cached_room() ? slots.size() : free();
        const std::size_t count = slots.size() < room ? slots.size() : room;
        for (std::size_t i = 0; i < count; ++i) {
            slots_[(producer_.position + i) & mask_] = slots[i];
            prefetch_for_write(&slots_[(producer_.position + i + kAhead) & mask_]);
        }
        if (count > 0) publish(count);
        return count;
    }

    // Producer thread only. How many pushes are sure to succeed now.
    [[nodiscard]] std::size_t free() noexcept {
        refresh_consumed();
        return cached_room();
    }

    // Any thread. Slots ever pushed. Acquire: pairs with the release in publish(), so the slots
    // below the answer are readable.
    [[nodiscard]] std::uint64_t pushed() const noexcept {
        return pushed_.load(std::memory_order_acquire);
    }

    // Any thread. Slots ever popped. Acquire: pairs with the release in release_slots(), so all
    // that the consumer did before it popped (its own pushes into other rings) is visible.
    [[nodiscard]] std::uint64_t consumed() const noexcept {
        return consumed_.load(std::memory_order_acquire);
    }

    // Consumer thread only. The oldest slot, in place, or null when empty. Valid until pop().
    [[nodiscard]] const Slot* front() noexcept {
        if (consumer_.position == consumer_.pushed) {
            refresh_pushed();
            if (consumer_.position == consumer_.pushed) return nullptr;
        }
        return &slots_[consumer_.position & mask_];
    }

    // Consumer thread only, after front() gave a slot: hands that slot back to the producer.
    void pop() noexcept { release_slots(1); }

    // Consumer thread only. Copies up to out.size() slots, returns how many. Draining what has
    // piled up in one call is what lets a late consumer catch up.
    [[nodiscard]] std::size_t pop_batch(std::span<Slot> out) noexcept {
        if (consumer_.pushed - consumer_.position < out.size()) refresh_pushed();
        const std::uint64_t available = consumer_.pushed - consumer_.position;
        const std::size_t count = available < out.size() ? available : out.size();
        for (std::size_t i = 0; i < count; ++i) {
            out[i] = slots_[(consumer_.position + i) & mask_];
        }
        if (count > 0) release_slots(count);
        return count;
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }
    [[nodiscard]] ObtainedMemory obtained() const { return region_.obtained(); }  // cold

 private:
    // What one side keeps to itself: its own position, and the other's as it last saw it.
    struct Producer {
        std::uint64_t position = 0;
        std::uint64_t consumed = 0;
    };
    struct Consumer {
        std::uint64_t position = 0;
        std::uint64_t pushed = 0;
    };

    [[nodiscard]] std::size_t cached_room() const noexcept {
        return mask_ + 1 - (producer_.position - producer_.consumed);
    }

    [[nodiscard]] bool has_room() noexcept {
        if (cached_room() > 0) return true;
        refresh_consumed();
        return cached_room() > 0;
    }

    // Acquire: pairs with the release in release_slots(), so the consumer's reads of a slot come
    // before our writes into it.
    void refresh_consumed() noexcept {
        producer_.consumed = consumed_.load(std::memory_order_acquire);
    }

    // Acquire: pairs with the release in publish(), so what the slots hold is visible.
    void refresh_pushed() noexcept { consumer_.pushed = pushed_.load(std::memory_order_acquire); }

    void publish(std::size_t count) noexcept {
        producer_.position += count;
        // Release: pairs with the acquires in refresh_pushed() and pushed().
        pushed_.store(producer_.position, std::memory_order_release);
        prefetch_for_write(&slots_[producer_.position & mask_]);
    }

    void release_slots(std::size_t count) noexcept {
        consumer_.position += count;
        // Release: pairs with the acquires in refresh_consumed() and consumed().
        consumed_.store(consumer_.position, std::memory_order_release);
    }

    // A slot lies in the consumer's cache since the last round. Fetching the next one after a
    // push keeps a core-to-core transfer out of the next push; a batch keeps kAhead of them under
    // way at once (16 took 10 % more than none, 4 in between).
    static constexpr std::size_t kAhead = 16;

    static void prefetch_for_write(const Slot* slot) noexcept {
        const char* first = reinterpret_cast<const char*>(slot);
        for (std::size_t offset = 0; offset < sizeof(Slot); offset += kRingLineSize) {
#if defined(__x86_64__)
            // Written out, since __builtin_prefetch(…, 1) becomes a read prefetch without -mprfchw.
            asm volatile("prefetchw %0" : : "m"(first[offset]));
#else
            __builtin_prefetch(first + offset, 1);
#endif
        }
    }

    // Read by both sides, written in open() only.
    alignas(kRingLineSize) Slot* slots_ = nullptr;
    std::uint64_t mask_ = 0;
    MemoryRegion region_;

    // One line each, by who writes it and who reads it.
    alignas(kRingLineSize) Producer producer_;
    alignas(kRingLineSize) std::atomic<std::uint64_t> pushed_{0};
    alignas(kRingLineSize) Consumer consumer_;
    alignas(kRingLineSize) std::atomic<std::uint64_t> consumed_{0};

    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

}  // namespace gm
