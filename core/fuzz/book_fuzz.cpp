// The book of levels against a plain map of prices, with so little room that levels are dropped, or
// with more levels than are searched at once.
//
// Input: one byte for the room, then three bytes an event.
#include <map>
#include <vector>

#include "gm/market/book.hpp"
#include "input.hpp"

namespace {

using namespace gm;
using gm::fuzz::hold;
using gm::fuzz::Input;

// Everything that was said since the last snapshot, dropped levels among it.
struct Half {
    std::map<std::int64_t, std::int64_t> lots_at;  // by how near to the other side, worst first

    void set(std::int64_t key, std::int64_t lots) {
        if (lots == 0) {
            lots_at.erase(key);
        } else {
            lots_at[key] = lots;
        }
    }
};

std::int64_t key_of(Side side, std::int64_t price) {
    return side == Side::kBuy ? price : -price;
}

// What the book shows must be the best of what was said, and all of it while there was room.
void check(const Book& book, const Half& half, Side side, bool had_room) {
    const std::span<const PriceLevel> levels = book.levels(side);
    hold(!had_room || levels.size() == half.lots_at.size(), "with room no level is lost");
    auto said = half.lots_at.rbegin();
    for (std::size_t i = levels.size(); i-- > 0; ++said) {  // best first
        hold(said != half.lots_at.rend(), "the book shows only what was said");
        hold(said->first == key_of(side, levels[i].price_ticks), "the best prices are shown");
        hold(said->second == levels[i].quantity_lots, "with their quantities");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const std::uint8_t first = input.byte();
    const std::size_t room = first < 0x80 ? 1 + first % 8 : 2 * Book::kNear;
    Book book;
    book.open(room);
    std::array<Half, 2> halves;
    bool had_room = true;
    while (!input.is_empty()) {  // each event takes bytes
        const std::uint8_t form = input.byte();
        if ((form & 0xe0) == 0xe0) {
            const bool is_snapshot = (form & 1) == 0;
            book.reset(is_snapshot ? BookResetReason::kSnapshot : BookResetReason::kGap);
            halves = {};
            had_room = true;
            hold(book.state() == (is_snapshot ? BookState::kFilling : BookState::kGapped),
                 "a reset is a snapshot or a gap");
            continue;
        }
        BookLevel level{};
        level.side = (form & 1) != 0 ? Side::kSell : Side::kBuy;
        level.is_last = (form >> 1) & 1;
        level.price_ticks = 100 + input.byte() % 64;
        level.quantity_lots = input.byte() % 4;
        const bool takes = book.state() == BookState::kFilling || book.state() == BookState::kWhole;
        const bool is_complete = book.apply(level);
        hold(is_complete == (level.is_last != 0), "an event ends with its last level");
        if (!takes) {
            hold(book.state() == BookState::kGapped, "changes do not make a whole book");
            continue;
        }
        if (book.state() == BookState::kGapped) continue;  // a side that was cut ran empty
        Half& half = halves[static_cast<std::size_t>(level.side)];
        half.set(key_of(level.side, level.price_ticks), level.quantity_lots);
        had_room = had_room && half.lots_at.size() <= room;
        check(book, halves[0], Side::kBuy, had_room);
        check(book, halves[1], Side::kSell, had_room);
    }
    return 0;
}
