// Promise: words about the book go out in the tape's order with the exchange's stamps, move the
// venue's time to when they came in, and no order meets them.
#include <doctest/doctest.h>

#include "venue/driver.hpp"

using namespace gm;
using namespace venue_test;

namespace {

template <typename P>
TapeRow row_of(RecordType type, std::int64_t ts_ns, std::uint32_t delay_us, const P& payload) {
    TapeRow row = make_row(type, ts_ns, payload);
    row.delay_us = delay_us;
    return row;
}

Quote quote_of(std::int64_t bid, std::int64_t ask) {
    Quote quote{};
    quote.bid_ticks = bid;
    quote.ask_ticks = ask;
    quote.bid_lots = quote.ask_lots = 1;
    return quote;
}

}  // namespace

TEST_CASE("a book goes out as it stands on the tape, stamped by exchange and arrival") {
    BookLevel level{};
    level.price_ticks = 99;
    level.quantity_lots = 5;
    level.is_last = 1;
    Driver driver({row_of(RecordType::kBookReset, kStartNs, 0, BookReset{}),
                   row_of(RecordType::kBookLevel, kStartNs + 1'000, 2, level),
                   row_of(RecordType::kQuote, kStartNs + 2'000, 3, quote_of(99, 101)),
                   row_of(RecordType::kQuote, kStartNs + 1'500, 0, quote_of(98, 101))});
    CHECK(driver.venue.next_feed_ts_ns() == kStartNs);
    Slot slot = driver.feed();
    CHECK(slot.type() == RecordType::kBookReset);
    CHECK(driver.venue.next_feed_ts_ns() == kStartNs + 3'000);
    slot = driver.feed();
    CHECK(slot.type() == RecordType::kBookLevel);
    CHECK(slot.header.first_sequence == 2);
    CHECK(slot.header.source_ts_ns == kStartNs + 1'000);
    CHECK(slot.header.receive_ts_ns == kStartNs + 3'000);
    CHECK(slot.as<BookLevel>().quantity_lots == 5);
    slot = driver.feed();
    CHECK(slot.type() == RecordType::kQuote);
    CHECK(slot.header.receive_ts_ns == kStartNs + 5'000);
    CHECK(slot.as<Quote>().ask_ticks == 101);
    slot = driver.feed();  // came in behind one that is newer: time stands
    CHECK(slot.header.source_ts_ns == kStartNs + 1'500);
    CHECK(slot.header.receive_ts_ns == kStartNs + 5'000);
    Slot again{};
    REQUIRE(driver.venue.feed(2, again));
    CHECK(again.header.source_ts_ns == kStartNs + 1'000);
    CHECK(again.header.receive_ts_ns == kStartNs + 3'000);
    CHECK(driver.feed().type() == RecordType::kEnd);
}

TEST_CASE("no order meets the book, only what traded") {
    Driver driver({trade(kStartNs, 100),
                   row_of(RecordType::kQuote, kStartNs + 1, 0, quote_of(89, 90)),
                   trade(kStartNs + 2, 101)});
    driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    driver.send(order(2, Side::kBuy, 1, OrderType::kLimit, 95));
    driver.feed();
    CHECK(driver.fills().empty());
    driver.feed();
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 101);
}

TEST_CASE("a trade that came in late is met when it came in") {
    Trade late{};
    late.price_ticks = 101;
    late.quantity_lots = 1;
    Driver driver({trade(kStartNs, 100), row_of(RecordType::kTrade, kStartNs + 1, 50, late)});
    driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    const Slot slot = driver.feed();
    CHECK(slot.header.source_ts_ns == kStartNs + 1);
    CHECK(slot.header.receive_ts_ns == kStartNs + 50'001);
    REQUIRE(driver.fills().size() == 1);
    CHECK(driver.venue.ledger().executions()[0].ts_ns == kStartNs + 50'001);
}

TEST_CASE("an absurd stamp of the book turns no clock") {
    Driver driver(
        {trade(kStartNs, 100), row_of(RecordType::kQuote, INT64_MAX, UINT32_MAX, quote_of(99, 101)),
         row_of(RecordType::kQuote, INT64_MIN, 7, quote_of(99, 101)), trade(kStartNs + 5, 100)});
    for (int i = 0; i < 3; ++i) CHECK(driver.feed().header.receive_ts_ns == kStartNs);
    CHECK(driver.feed().header.receive_ts_ns == kStartNs + 5);
}
