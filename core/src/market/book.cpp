// Levels of a book: see the header for what is promised.
#include "gm/market/book.hpp"

#include <algorithm>

namespace gm {
namespace {

// Does price a stand nearer to the other side than price b?
[[nodiscard]] bool is_better(Side side, std::int64_t a, std::int64_t b) noexcept {
    return side == Side::kBuy ? a > b : a < b;
}

// The first level that is not worse than price, or the end. Which half holds it nobody can
// foretell, so no step branches on it; that it is near the best price, where one step saves most,
// nearly always holds.
[[nodiscard]] PriceLevel* find_level(PriceLevel* first, std::size_t count, Side side,
                                     std::int64_t price) noexcept {
    constexpr std::size_t kNear = 32;
    const std::int64_t flip = side == Side::kBuy ? 0 : -1;  // ~ turns the order round, any number's
    const std::int64_t wanted = price ^ flip;
    if (count > kNear && (first[count - kNear].price_ticks ^ flip) < wanted) {
        first += count - kNear;
        count = kNear;
    }
    while (count > 0) {
        const std::size_t half = (count + 1) / 2;
        first = (first[half - 1].price_ticks ^ flip) < wanted ? first + half : first;
        count -= half;
    }
    return first;
}

}  // namespace

void Book::open(std::size_t levels_max) {
    for (Half& half : halves_) {
        half = Half{};
        half.levels.resize(levels_max);
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

void Book::set(Half& half, Side side, const BookLevel& level) noexcept {
    const std::int64_t price = level.price_ticks;
    if (half.is_cut && !is_better(side, price, half.cut_ticks)) return;
    PriceLevel* const first = half.levels.data();
    PriceLevel* const end = first + half.count;
    PriceLevel* const at = find_level(first, half.count, side, price);
    const bool is_there = at != end && at->price_ticks == price;
    if (level.quantity_lots == 0) {
        if (!is_there) return;  // exchanges take away what was never shown
        std::copy(at + 1, end, at);
        --half.count;
        return;
    }
    if (is_there) {
        at->quantity_lots = level.quantity_lots;
        return;
    }
    if (half.count < half.levels.size()) {
        std::copy_backward(at, end, end + 1);
        *at = {price, level.quantity_lots};
        ++half.count;
        return;
    }
    // Full: the worst level goes, which may be this one.
    half.is_cut = true;
    half.cut_ticks = at == first ? price : first->price_ticks;
    if (at == first) return;
    std::copy(first + 1, at, first);
    at[-1] = {price, level.quantity_lots};
}

}  // namespace gm
