// Levels of a book: see the header for what is promised.
#include "gm/market/book.hpp"

#include <algorithm>
#include <limits>

namespace gm {
namespace {

// Does price a stand nearer to the other side than price b?
[[nodiscard]] bool is_better(Side side, std::int64_t a, std::int64_t b) noexcept {
    return side == Side::kBuy ? a > b : a < b;
}

// Prices of one side in one order: the better, the greater. ~ turns an order round, any number's.
struct Order {
    std::int64_t flip;

    explicit Order(Side side) noexcept : flip(side == Side::kBuy ? 0 : -1) {}
    [[nodiscard]] std::int64_t operator()(std::int64_t price_ticks) const noexcept {
        return price_ticks ^ flip;
    }
};

// The first level that is not worse than price, or the end, among levels of any number. Which half
// holds it nobody can foretell, so no step branches on it.
[[nodiscard]] PriceLevel* find_level(PriceLevel* first, std::size_t count, Side side,
                                     std::int64_t price) noexcept {
    const Order order(side);
    const std::int64_t wanted = order(price);
    while (count > 0) {
        const std::size_t half = (count + 1) / 2;
        first = order(first[half - 1].price_ticks) < wanted ? first + half : first;
        count -= half;
    }
    return first;
}

}  // namespace

void Book::open(std::size_t levels_max) {
    for (const Side side : {Side::kBuy, Side::kSell}) {
        Half& half = halves_[static_cast<std::size_t>(side)];
        half = Half{};
        // Worse than any price: kNear levels can be read before the end of a book of any size.
        const PriceLevel worst{Order(side)(std::numeric_limits<std::int64_t>::min()), 0};
        half.slots.assign(kNear + levels_max, worst);
    }
    state_ = BookState::kSilent;
}

void Book::reset(BookResetReason reason) noexcept {
    for (Half& half : halves_) {
        half.count = 0;
        half.is_cut = false;
    }
    state_ = reason == BookResetReason::kSnapshot ? BookState::kFilling : BookState::kGapped;
}

// What is not a new quantity of a level near the best price; `at` is right unless the kNear levels
// behind the best are all better than this one.
void Book::set_other(Half& half, Side side, const BookLevel& level, PriceLevel* at) noexcept {
    const std::int64_t price = level.price_ticks;
    if (half.is_cut && !is_better(side, price, half.cut_ticks)) return;
    PriceLevel* const first = half.slots.data() + kNear;
    PriceLevel* const end = first + half.count;
    if (at == end - kNear && half.count > kNear) {
        at = find_level(first, half.count - kNear, side, price);
    }
    const bool is_there = at != end && at->price_ticks == price;
    if (is_there && level.quantity_lots != 0) {
        at->quantity_lots = level.quantity_lots;
    } else if (is_there) {
        std::copy(at + 1, end, at);
        --half.count;
    } else if (level.quantity_lots != 0) {  // exchanges also take away what was never shown
        insert(half, at, {price, level.quantity_lots});
    }
}

void Book::insert(Half& half, PriceLevel* at, PriceLevel level) noexcept {
    PriceLevel* const first = half.slots.data() + kNear;
    if (half.count + kNear < half.slots.size()) {
        std::copy_backward(at, first + half.count, first + half.count + 1);
        *at = level;
        ++half.count;
        return;
    }
    // Full: the worst level goes, which may be this one.
    half.is_cut = true;
    half.cut_ticks = at == first ? level.price_ticks : first->price_ticks;
    if (at == first) return;
    std::copy(first + 1, at, first);
    at[-1] = level;
}

}  // namespace gm
