// Promise: the book holds each level that the feed says and no other, claims nothing that it cannot
// know, and is whole only from a snapshot on and until a gap.
#include "gm/market/book.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <vector>

using namespace gm;

namespace {

BookLevel level(Side side, std::int64_t price, std::int64_t lots, bool is_last = true) {
    BookLevel event{};
    event.price_ticks = price;
    event.quantity_lots = lots;
    event.side = side;
    event.is_last = is_last ? 1 : 0;
    return event;
}

Book whole_book(std::size_t levels_max = Book::kLevelsMax) {
    Book book;
    book.open(levels_max);
    book.reset(BookResetReason::kSnapshot);
    return book;
}

std::vector<PriceLevel> side_of(const Book& book, Side side) {
    const auto levels = book.levels(side);
    return {levels.begin(), levels.end()};
}

// A book that is slow and cannot be wrong.
struct SlowBook {
    std::map<std::int64_t, std::int64_t> sides[2];

    void apply(const BookLevel& event) {
        auto& side = sides[static_cast<std::size_t>(event.side)];
        if (event.quantity_lots == 0) {
            side.erase(event.price_ticks);
        } else {
            side[event.price_ticks] = event.quantity_lots;
        }
    }
    // The best `count`, worst first.
    std::vector<PriceLevel> levels(Side side, std::size_t count) const {
        std::vector<PriceLevel> found;
        for (const auto& [price, lots] : sides[static_cast<std::size_t>(side)]) {
            found.push_back({price, lots});
        }
        if (side == Side::kSell) found = {found.rbegin(), found.rend()};
        return {found.end() - static_cast<std::ptrdiff_t>(std::min(count, found.size())),
                found.end()};
    }
};

}  // namespace

TEST_CASE("levels are set, changed and taken away, best last") {
    Book book = whole_book();
    CHECK_FALSE(book.apply(level(Side::kBuy, 99, 5, false)));
    CHECK_FALSE(book.apply(level(Side::kBuy, 101, 7, false)));
    CHECK_FALSE(book.apply(level(Side::kSell, 104, 2, false)));
    CHECK_FALSE(book.apply(level(Side::kBuy, 100, 6, false)));
    CHECK(book.state() == BookState::kFilling);
    CHECK(book.apply(level(Side::kSell, 103, 1)));
    CHECK(book.state() == BookState::kWhole);
    CHECK(side_of(book, Side::kBuy) == std::vector<PriceLevel>{{99, 5}, {100, 6}, {101, 7}});
    CHECK(side_of(book, Side::kSell) == std::vector<PriceLevel>{{104, 2}, {103, 1}});
    CHECK(book.apply(level(Side::kBuy, 101, 0)));
    CHECK(book.apply(level(Side::kBuy, 100, 9)));
    CHECK(book.apply(level(Side::kBuy, 55, 0)));  // was never shown
    CHECK(side_of(book, Side::kBuy) == std::vector<PriceLevel>{{99, 5}, {100, 9}});
    const Quote top = book.top();
    CHECK(top.bid_ticks == 100);
    CHECK(top.bid_lots == 9);
    CHECK(top.ask_ticks == 103);
    CHECK(top.ask_lots == 1);
}

TEST_CASE("an empty side has no price") {
    Book book = whole_book();
    CHECK(book.apply(level(Side::kSell, 103, 1)));
    CHECK(book.state() == BookState::kWhole);
    CHECK(book.top().bid_lots == 0);
    CHECK(book.top().bid_ticks == 0);
    CHECK(book.top().ask_ticks == 103);
}

TEST_CASE("changes before a snapshot and after a gap make no book") {
    Book book;
    book.open();
    CHECK(book.state() == BookState::kSilent);
    CHECK(book.apply(level(Side::kBuy, 100, 1)));
    CHECK(book.state() == BookState::kGapped);
    CHECK(book.levels(Side::kBuy).empty());
    book.reset(BookResetReason::kSnapshot);
    CHECK(book.apply(level(Side::kBuy, 100, 1)));
    CHECK(book.state() == BookState::kWhole);
    book.reset(BookResetReason::kGap);
    CHECK(book.apply(level(Side::kBuy, 101, 1)));
    CHECK(book.state() == BookState::kGapped);
    CHECK(book.levels(Side::kBuy).empty());
    book.reset(BookResetReason::kSnapshot);
    CHECK(book.state() == BookState::kFilling);
}

TEST_CASE("a full side drops its worst level and claims nothing behind it") {
    Book book = whole_book(3);
    for (const std::int64_t price : {100, 101, 102}) {
        CHECK(book.apply(level(Side::kBuy, price, price)));
    }
    CHECK(book.apply(level(Side::kBuy, 103, 103)));  // 100 goes
    CHECK(side_of(book, Side::kBuy) == std::vector<PriceLevel>{{101, 101}, {102, 102}, {103, 103}});
    CHECK(book.apply(level(Side::kBuy, 103, 0)));
    CHECK(book.apply(level(Side::kBuy, 100, 7)));  // there is room, but 100.5 may be missing
    CHECK(book.apply(level(Side::kBuy, 99, 7)));
    CHECK(side_of(book, Side::kBuy) == std::vector<PriceLevel>{{101, 101}, {102, 102}});
    CHECK(book.apply(level(Side::kSell, 110, 1)));
    CHECK(book.apply(level(Side::kBuy, 101, 0)));
    CHECK(book.state() == BookState::kWhole);
    CHECK(book.apply(level(Side::kBuy, 102, 0)));  // the best bid is now one that was dropped
    CHECK(book.state() == BookState::kGapped);
    book.reset(BookResetReason::kSnapshot);
    CHECK(book.apply(level(Side::kBuy, 50, 1)));
    CHECK(side_of(book, Side::kBuy) == std::vector<PriceLevel>{{50, 1}});
}

TEST_CASE("a side that is full refuses what is worse than all") {
    Book book = whole_book(2);
    for (const std::int64_t price : {100, 101, 105, 103}) {
        CHECK(book.apply(level(Side::kSell, price, price)));
    }
    CHECK(side_of(book, Side::kSell) == std::vector<PriceLevel>{{101, 101}, {100, 100}});
    CHECK(book.apply(level(Side::kSell, 100, 0)));
    CHECK(book.apply(level(Side::kSell, 103, 9)));  // the cut is at 103 now
    CHECK(side_of(book, Side::kSell) == std::vector<PriceLevel>{{101, 101}});
}

TEST_CASE("any run of changes gives the levels of a slow book, as deep as it is not cut") {
    for (const std::size_t levels_max : {std::size_t{4096}, std::size_t{40}}) {
        std::mt19937_64 random(levels_max);
        Book book = whole_book(levels_max);
        SlowBook slow;
        std::size_t compared = 0;
        for (int i = 0; i < 20'000; ++i) {
            const auto side = random() % 2 == 0 ? Side::kBuy : Side::kSell;
            const auto away = static_cast<std::int64_t>(random() % 60);
            const std::int64_t price = side == Side::kBuy ? 1000 - away : 1001 + away;
            const auto lots = static_cast<std::int64_t>(random() % 3 == 0 ? 0 : random() % 50);
            const BookLevel event = level(side, price, lots);
            REQUIRE(book.apply(event));
            slow.apply(event);
            if (book.state() != BookState::kWhole) {  // a cut side ran empty: begin again
                REQUIRE(levels_max == 40);
                book.reset(BookResetReason::kSnapshot);
                slow = SlowBook{};
                continue;
            }
            const auto levels = side_of(book, side);
            REQUIRE(levels == slow.levels(side, levels.size()));
            compared += levels.size();
            if (levels_max == 4096) REQUIRE(levels == slow.levels(side, 4096));
        }
        CHECK(compared > 100'000);
    }
}
