#include "gm/runtime/read_ahead.hpp"

#include <sched.h>

#include <cstring>

namespace gm {
namespace {

constexpr int kSpinsBeforeYield = 256;

// Spins, then lets others run: the other side may need this core.
template <typename Condition>
void wait_until(Condition condition) noexcept {
    for (int spins = 1; !condition(); ++spins) {  // bounded by the other side
        if (spins % kSpinsBeforeYield == 0) sched_yield();
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

}  // namespace

ReadAhead::~ReadAhead() {
    must_stop_.store(true, std::memory_order_relaxed);
    thread_.join();
}

Failure ReadAhead::open(const WalkSettings& settings) {
    if (Failure failure = reader_.open(settings); !failure.is_ok()) return failure;
    places_ = std::make_unique_for_overwrite<Place[]>(kPlaces);
    return thread_.start("gm-read", -1, [this] { read(); });
}

void ReadAhead::read() noexcept {
    for (std::uint64_t filled = 0; !must_stop_.load(std::memory_order_relaxed); ++filled) {
        const std::span<const Slot> block = reader_.next_block();
        if (block.empty()) break;
        wait_until([&] {  // acquire: pairs with the release in next_block(), the place was left
            return filled - freed_.load(std::memory_order_acquire) < kPlaces ||
                   must_stop_.load(std::memory_order_relaxed);
        });
        if (must_stop_.load(std::memory_order_relaxed)) break;
        Place& place = places_[filled % kPlaces];
        std::memcpy(static_cast<void*>(place.records.data()), block.data(), block.size_bytes());
        place.count = block.size();
        place.blocks = reader_.end().blocks;
        place.marks = reader_.end().marks;
        filled_.store(filled + 1, std::memory_order_release);  // pairs with next_block()
    }
    is_over_.store(true, std::memory_order_release);  // pairs with next_block(), for failure()
}

std::span<const Slot> ReadAhead::next_block() noexcept {
    freed_.store(taken_, std::memory_order_release);  // what the last call gave
    bool is_over = false;
    wait_until([&] {  // is_over_ first: what was filled before it is seen after it
        is_over = is_over_.load(std::memory_order_acquire);
        return filled_.load(std::memory_order_acquire) != taken_ || is_over;
    });
    if (filled_.load(std::memory_order_acquire) == taken_) return {};
    const Place& place = places_[taken_ % kPlaces];
    ++taken_;
    blocks_ = place.blocks;
    marks_ = place.marks;
    return {place.records.data(), place.count};
}

}  // namespace gm
