// The order book of one instrument by price level, and whether it may be believed.
//
// Levels lie in two arrays of fixed capacity, the best price last, so that what changes most moves
// least. A side that is full drops its worst level and from then on claims nothing at or behind
// that price; should it run empty, the book is gapped. The book is looked at only when an event is
// complete; between a gap and the snapshot behind it, levels are not taken in. Prices in ticks,
// quantities in lots. Hot but for open(): nothing allocates. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

// Crosses the Python boundary: bindings/market.pyx repeats it.
struct PriceLevel {
    std::int64_t price_ticks;
    std::int64_t quantity_lots;

    friend bool operator==(const PriceLevel&, const PriceLevel&) = default;
};
static_assert(sizeof(PriceLevel) == 16);

enum class BookState : std::uint8_t {
    kSilent = 0,   // this feed has said nothing about a book
    kFilling = 1,  // a snapshot is coming in
    kGapped = 2,   // something is missing: until a snapshot
    kWhole = 3,    // complete, though perhaps crossed: see Market
};

class Book {
 public:
    // Six minutes of BTCUSDT fill 5,170 on one side, a holiday of ES 928.
    static constexpr std::size_t kLevelsMax = 8192;
    static constexpr std::size_t kNear = 24;  // levels behind the best that are searched at once

    // Cold. Room for levels_max a side.
    void open(std::size_t levels_max = kLevelsMax);

    // A snapshot begins, or something is missing.
    void reset(BookResetReason reason) noexcept;
    // The caller has checked price, quantity and side. True: the event is complete.
    [[gnu::always_inline]] bool apply(const BookLevel& level) noexcept {
        // Changes of a book that was never seen whole do not make one.
        if (state_ == BookState::kSilent) state_ = BookState::kGapped;
        if (state_ == BookState::kGapped) return level.is_last != 0;
        set(halves_[static_cast<std::size_t>(level.side)], level.side, level);
        if (level.is_last == 0) return false;
        if (halves_[0].is_exhausted() || halves_[1].is_exhausted()) {
            reset(BookResetReason::kGap);
        } else {
            state_ = BookState::kWhole;
        }
        return true;
    }

    [[nodiscard]] BookState state() const noexcept { return state_; }
    // Worst first, best last.
    [[nodiscard]] std::span<const PriceLevel> levels(Side side) const noexcept {
        const Half& half = halves_[static_cast<std::size_t>(side)];
        return {half.slots.data() + kNear, half.count};
    }
    // Best prices as a Quote; a side without an order has 0 lots and 0 ticks.
    [[nodiscard]] Quote top() const noexcept {
        Quote quote{};
        if (const auto bids = levels(Side::kBuy); !bids.empty()) {
            quote.bid_ticks = bids.back().price_ticks;
            quote.bid_lots = bids.back().quantity_lots;
        }
        if (const auto asks = levels(Side::kSell); !asks.empty()) {
            quote.ask_ticks = asks.back().price_ticks;
            quote.ask_lots = asks.back().quantity_lots;
        }
        return quote;
    }

    void archive(Archive& archive) noexcept { archive(halves_, state_); }

 private:
    struct Half {
        std::vector<PriceLevel> slots;  // kNear before the levels; never resized after open()
        std::size_t count = 0;
        bool is_cut = false;  // levels were dropped: nothing is known from cut_ticks on
        std::int64_t cut_ticks = 0;

        [[nodiscard]] bool is_exhausted() const noexcept { return is_cut && count == 0; }
        void archive(Archive& archive) noexcept {
            archive.first(slots.data() + kNear, count, slots.size() - kNear);
            archive(is_cut, cut_ticks);
        }
    };

    // How many of the kNear levels from first on are worse than price: all are looked at, none
    // waits for another, where a search by halves waits for each of its five loads. Counted are
    // those above a bound, for either side the same: asks above the price are worse, and bids that
    // are not below it are not.
    [[nodiscard]] static std::size_t count_worse(const PriceLevel* first, Side side,
                                                 std::int64_t price) noexcept {
        using Two = std::int64_t __attribute__((vector_size(16)));
        const std::int64_t bid = side == Side::kBuy ? -1 : 0;
        Two found[2] = {};
#pragma GCC unroll 16
        for (std::size_t i = 0; i < kNear; i += 2) {
            const Two prices{first[i].price_ticks, first[i + 1].price_ticks};
            found[i / 2 % 2] -= prices > price + bid;
        }
        const Two both = found[0] + found[1];
        const std::int64_t above = both[0] + both[1];
        return static_cast<std::size_t>((above ^ bid) + ((std::int64_t{kNear} + 1) & bid));
    }
    [[gnu::always_inline]] static void set(Half& half, Side side, const BookLevel& level) noexcept {
        PriceLevel* const end = half.slots.data() + kNear + half.count;
        PriceLevel* const near = end - kNear;  // may begin before the first level: see open()
        const std::size_t worse = count_worse(near, side, level.price_ticks);
        PriceLevel* const at = near + worse;
        // What was cut off is not there, and padding before the first level has no price.
        if (at == end || at->price_ticks != level.price_ticks || level.quantity_lots == 0) {
            return set_other(half, side, level, at);
        }
        at->quantity_lots = level.quantity_lots;  // most of all changes
    }
    static void set_other(Half& half, Side side, const BookLevel& level, PriceLevel* at) noexcept;
    static void insert(Half& half, PriceLevel* at, PriceLevel level) noexcept;

    std::array<Half, 2> halves_;  // by Side
    BookState state_ = BookState::kSilent;
};

}  // namespace gm
