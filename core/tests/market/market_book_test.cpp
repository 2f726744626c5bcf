// Promise: a crossed, locked, gapped or absurd book never becomes a price reference and says so
// until it is good again; a good one pulls the last good price into its spread.
#include <doctest/doctest.h>

#include "gm/market/market.hpp"
#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;
using Reason = QuarantineReason;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

Market open_market() {
    Market market;
    REQUIRE(market.open(instrument(), always(), utc(), 48).is_ok());
    return market;
}

std::uint64_t count_of(const Market& market, Reason reason) {
    return market.counts()[static_cast<std::size_t>(reason)];
}

}  // namespace

TEST_CASE("a feed without a book is not doubtful") {
    Market market = open_market();
    CHECK_FALSE(market.is_book_doubtful());
    REQUIRE(market.on_trade(trade(10'000), kMonday) == Reason::kNone);
    CHECK_FALSE(market.is_book_doubtful());
    CHECK(market.reference_ticks() == 10'000);
    CHECK(market.reference_ts_ns() == kMonday);
}

TEST_CASE("quotes give a reference: the middle before a trade, then the trade within the spread") {
    Market market = open_market();
    CHECK(market.reference_ts_ns() == kNoTime);
    REQUIRE(market.on_quote(quote(9'990, 0), kMonday) == Reason::kNone);
    CHECK(market.reference_ts_ns() == kNoTime);  // one side alone says no price
    REQUIRE(market.on_quote(quote(9'990, 10'011), kMonday + 1, kMonday + 5) == Reason::kNone);
    CHECK(market.reference_ticks() == 10'000);
    CHECK(market.reference_ts_ns() == kMonday + 5);
    REQUIRE(market.on_trade(trade(10'050), kMonday + 10) == Reason::kNone);
    CHECK(market.reference_ticks() == 10'050);  // newer than the quote
    REQUIRE(market.on_quote(quote(9'990, 10'011), kMonday + 11) == Reason::kNone);
    CHECK(market.reference_ticks() == 10'011);
    REQUIRE(market.on_quote(quote(10'070, 10'080), kMonday + 12) == Reason::kNone);
    CHECK(market.reference_ticks() == 10'070);
    REQUIRE(market.on_quote(quote(1, 900'000), kMonday + 13) == Reason::kNone);
    CHECK(market.reference_ticks() == 10'050);  // quotes that nobody means change nothing
    CHECK(market.reference_ts_ns() == kMonday + 13);
    REQUIRE(market.on_quote(quote(0, 10'040), kMonday + 14) == Reason::kNone);
    CHECK(market.reference_ticks() == 10'040);
    CHECK(market.reference_ts_ns() == kMonday + 10);
    CHECK(market.last_good_price_ticks() == 10'050);  // profit is counted on trades
}

TEST_CASE("a crossed or locked quote refuses, keeps the reference, and ends with a good one") {
    Market market = open_market();
    REQUIRE(market.on_trade(trade(10'000), kMonday) == Reason::kNone);
    REQUIRE(market.on_quote(quote(9'990, 10'010), kMonday + 1) == Reason::kNone);
    CHECK(market.on_quote(quote(10'200, 10'100), kMonday + 2) == Reason::kCrossedBook);
    CHECK(market.is_book_doubtful());
    CHECK(market.reference_ticks() == 10'000);
    CHECK(market.reference_ts_ns() == kMonday + 1);
    CHECK(market.on_quote(quote(10'100, 10'100), kMonday + 3) == Reason::kLockedBook);
    CHECK(market.is_book_doubtful());
    CHECK(market.top().bid_ticks == 9'990);
    CHECK(market.on_quote(quote(9'995, 10'005), kMonday + 4) == Reason::kNone);
    CHECK_FALSE(market.is_book_doubtful());
    CHECK(count_of(market, Reason::kCrossedBook) == 1);
    CHECK(count_of(market, Reason::kLockedBook) == 1);
    for (int i = 0; i < 10; ++i) {
        CHECK(market.on_quote(quote(7, 7), kMonday + 5 + i) == Reason::kLockedBook);
    }
    CHECK_FALSE(market.is_quarantined());  // five in a row are of rows, not of quotes
}

TEST_CASE("a quote is refused for each of its values") {
    Market market = open_market();
    REQUIRE(market.on_trade(trade(10'000), kMonday) == Reason::kNone);
    Quote wrong = quote(9'990, 10'010);
    wrong.bid_lots = -1;
    CHECK(market.on_quote(wrong, kMonday) == Reason::kNegativeVolume);
    wrong = quote(9'990, 10'010);
    wrong.ask_lots = 0;
    CHECK(market.on_quote(wrong, kMonday) == Reason::kContradiction);
    CHECK(market.on_quote(quote(-5, 10'010), kMonday) == Reason::kBelowFloor);
    CHECK(market.on_quote(quote(9'990, INT64_MAX), kMonday) == Reason::kOverflow);
    CHECK(market.on_quote(quote(13'000, 13'100), kMonday) == Reason::kJumpBand);
    CHECK(market.on_quote(quote(6'000, 7'000), kMonday) == Reason::kJumpBand);
    CHECK(market.on_quote(quote(9'990, 10'010), INT64_MAX) == Reason::kOverflow);
    CHECK(market.on_quote(quote(9'990, 10'010), kMonday + 400 * kSecond, kMonday) ==
          Reason::kFuture);
    CHECK(market.is_book_doubtful());
    CHECK(market.top().bid_lots == 0);
    CHECK(market.on_quote(quote(9'990, 10'010), kMonday) == Reason::kNone);
    CHECK(market.on_quote(quote(9'000, 10'900), kMonday - 1) == Reason::kBackwardTime);
    CHECK_FALSE(market.is_book_doubtful());  // an old copy takes nothing away
    CHECK(market.top().bid_ticks == 9'990);
}

TEST_CASE("a gap doubts until a snapshot is complete") {
    Market market = open_market();
    REQUIRE(market.on_trade(trade(10'000), kMonday) == Reason::kNone);
    CHECK(market.on_book_level(book_level(Side::kBuy, 9'990, 1), kMonday) == Reason::kNone);
    CHECK(market.is_book_doubtful());  // changes of a book never seen whole
    market.on_book_reset(book_reset(BookResetReason::kSnapshot));
    CHECK(market.on_book_level(book_level(Side::kBuy, 9'990, 4, false), kMonday) == Reason::kNone);
    CHECK(market.is_book_doubtful());
    CHECK(market.on_book_level(book_level(Side::kSell, 10'010, 3), kMonday) == Reason::kNone);
    CHECK_FALSE(market.is_book_doubtful());
    CHECK(market.top().ask_lots == 3);
    market.on_book_reset(book_reset(BookResetReason::kGap));
    CHECK(market.is_book_doubtful());
    CHECK(market.on_book_level(book_level(Side::kBuy, 9'991, 1), kMonday) == Reason::kNone);
    CHECK(market.is_book_doubtful());
    CHECK(market.on_quote(quote(9'990, 10'010), kMonday) == Reason::kNone);
    CHECK(market.is_book_doubtful());  // quotes do not bring missing levels back
    market.on_book_reset(book_reset(BookResetReason::kSnapshot));
    CHECK(market.on_book_level(book_level(Side::kBuy, 9'992, 1), kMonday) == Reason::kNone);
    CHECK_FALSE(market.is_book_doubtful());
}

TEST_CASE("a book of levels is looked at when its event is complete") {
    Market market = open_market();
    market.on_book_reset(book_reset(BookResetReason::kSnapshot));
    REQUIRE(market.on_book_level(book_level(Side::kBuy, 100, 1, false), kMonday) == Reason::kNone);
    REQUIRE(market.on_book_level(book_level(Side::kSell, 102, 1), kMonday) == Reason::kNone);
    // Up by three: crossed for as long as the old ask still stands, within one event.
    REQUIRE(market.on_book_level(book_level(Side::kBuy, 103, 1, false), kMonday) == Reason::kNone);
    CHECK_FALSE(market.is_book_doubtful());
    REQUIRE(market.on_book_level(book_level(Side::kSell, 102, 0, false), kMonday) == Reason::kNone);
    CHECK(market.on_book_level(book_level(Side::kSell, 104, 1), kMonday) == Reason::kNone);
    CHECK(market.top().bid_ticks == 103);
    CHECK(market.on_book_level(book_level(Side::kSell, 103, 1), kMonday) == Reason::kLockedBook);
    CHECK(market.on_book_level(book_level(Side::kSell, 101, 1), kMonday) == Reason::kCrossedBook);
    CHECK(market.is_book_doubtful());
    CHECK(market.top().ask_ticks == 104);
    CHECK(market.on_book_level(book_level(Side::kSell, 101, 0), kMonday) == Reason::kLockedBook);
    CHECK(market.on_book_level(book_level(Side::kSell, 103, 0), kMonday) == Reason::kNone);
    CHECK_FALSE(market.is_book_doubtful());
}

TEST_CASE("a refused level leaves a hole") {
    Market market = open_market();
    const auto fill = [&] {
        market.on_book_reset(book_reset(BookResetReason::kSnapshot));
        REQUIRE(market.on_book_level(book_level(Side::kBuy, 100, 1), kMonday) == Reason::kNone);
        REQUIRE_FALSE(market.is_book_doubtful());
    };
    BookLevel third_side = book_level(Side::kBuy, 100, 1);
    third_side.side = static_cast<Side>(2);
    const struct {
        BookLevel level;
        std::int64_t ts_ns;
        Reason reason;
    } cases[] = {
        {third_side, kMonday, Reason::kMalformed},
        {book_level(Side::kBuy, 0, 1), kMonday, Reason::kBelowFloor},
        {book_level(Side::kBuy, 0, 0), kMonday, Reason::kBelowFloor},
        {book_level(Side::kBuy, 100, -1), kMonday, Reason::kNegativeVolume},
        {book_level(Side::kSell, INT64_MAX, 1), kMonday, Reason::kOverflow},
        {book_level(Side::kSell, 101, INT64_MAX), kMonday, Reason::kOverflow},
        {book_level(Side::kSell, 101, 1), INT64_MIN, Reason::kOverflow},
    };
    for (const auto& one : cases) {
        fill();
        CHECK(market.on_book_level(one.level, one.ts_ns) == one.reason);
        CHECK(market.is_book_doubtful());
        CHECK(count_of(market, one.reason) > 0);
    }
}

TEST_CASE("the book closes no bar and enters none") {
    Market market = open_market();
    REQUIRE(market.on_trade(trade(10'000), kMonday) == Reason::kNone);
    REQUIRE(market.on_quote(quote(9'990, 10'010), kMonday + 10 * kMinuteNs) == Reason::kNone);
    ClosedBar bar{};
    CHECK_FALSE(market.next_closed(bar));
    REQUIRE(market.on_trade(trade(10'001), kMonday + kMinuteNs) == Reason::kNone);
    CHECK(market.unplaced_events() == 0);
    REQUIRE(market.on_trade(trade(10'002), kMonday + 5 * kMinuteNs) == Reason::kNone);
    REQUIRE(market.next_closed(bar));
    CHECK(bar.close_ticks == 10'001);
    CHECK(bar.volume_lots == 2);
}
