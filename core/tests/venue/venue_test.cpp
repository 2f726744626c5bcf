// Promise: each rule of matching, by hand: which event fills which order, when, and at what price.
#include "gm/venue/venue.hpp"

#include "venue/driver.hpp"

using namespace gm;
using namespace venue_test;

namespace {

std::vector<TapeRow> flat(std::int64_t bars, std::int64_t price = 100) {
    std::vector<TapeRow> rows;
    for (std::int64_t i = 0; i < bars; ++i) {
        rows.push_back(bar(i, price, price + 10, price - 10, price));
    }
    return rows;
}

}  // namespace

TEST_CASE("two bars are five events with rising sequences and the stamps of start and end") {
    Driver driver(flat(2));
    const RecordType types[] = {RecordType::kBarOpen, RecordType::kBarClose, RecordType::kBarOpen,
                                RecordType::kBarClose, RecordType::kEnd};
    const std::int64_t stamps[] = {0, kBarNs, kBarNs, 2 * kBarNs, 2 * kBarNs};
    for (int i = 0; i < 5; ++i) {
        const Slot slot = driver.feed();
        CHECK(slot.type() == types[i]);
        CHECK(slot.header.first_sequence == static_cast<std::uint64_t>(i + 1));
        CHECK(slot.header.source_ts_ns == kStartNs + stamps[i]);
        CHECK(slot.header.receive_ts_ns == kStartNs + stamps[i]);
        CHECK(slot.header.source == static_cast<std::uint16_t>(Source::kVenueFeed));
        Slot again{};
        CHECK(driver.venue.feed(slot.header.first_sequence, again));
        CHECK(std::memcmp(&slot, &again, sizeof slot) == 0);
    }
    Slot none{};
    CHECK_FALSE(driver.venue.next_feed(none));
    CHECK_FALSE(driver.venue.feed(6, none));
    CHECK_FALSE(driver.venue.feed(0, none));
}

TEST_CASE("an order decided on a close fills at the next open plus slippage") {
    VenueSettings with = settings();
    with.slippage_ticks = 3;
    with.commission_micros_per_lot = 2;
    with.commission_ppm = 100;
    Driver driver({bar(0, 100, 110, 90, 105), bar(1, 107, 112, 101, 103)}, with);
    driver.feed();
    driver.feed();  // CLOSE of bar 0
    driver.send(order(1, Side::kBuy, 4));
    const Slot ack = driver.reply();
    CHECK(ack.type() == RecordType::kAck);
    CHECK(ack.as<Ack>().venue_order == 1);
    CHECK(driver.reply().type() == RecordType::kNone);
    CHECK(driver.feed().type() == RecordType::kBarOpen);  // the event before what it causes
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 110);
    CHECK(fills[0].quantity_lots == 4);
    CHECK(fills[0].leaves_lots == 0);
    CHECK(fills[0].execution_id == 1);
    CHECK(fills[0].commission_micros == 4 * 2 + 5);  // a basis point of 44,000 is 4.4
    CHECK(driver.venue.ledger().totals().position_lots == 4);
}

TEST_CASE("an order caused by an open waits for the next open") {
    Driver driver(flat(2));
    driver.feed();
    driver.send(order(1, Side::kSell, 1));
    CHECK(driver.fills().empty());
    driver.feed();  // CLOSE of the same bar
    CHECK(driver.fills().empty());
    driver.feed();
    CHECK(driver.fills().size() == 1);
}

TEST_CASE("whole bars of latency move the fill as many opens on; less only stamps the answer") {
    for (const std::int64_t bars : {0, 1, 3}) {
        VenueSettings with = settings();
        with.latency_ns = bars * kBarNs + 250;
        Driver driver(flat(6), with);
        driver.feed();
        driver.feed();
        driver.send(order(1, Side::kBuy, 1));
        const Slot ack = driver.reply();
        CHECK(ack.header.source_ts_ns == driver.venue.now_ns() + 250);
        CHECK(ack.header.receive_ts_ns == driver.venue.now_ns());
        for (std::int64_t i = 0; i < bars; ++i) {
            driver.feed();
            CHECK(driver.fills().empty());
            driver.feed();
            CHECK(driver.fills().empty());
        }
        driver.feed();
        CHECK(driver.fills().size() == 1);
    }
}

TEST_CASE("a limit sent after the open meets the range of its own bar, later by latency") {
    VenueSettings with = settings();
    Driver prompt(flat(3), with);
    prompt.feed();
    prompt.send(order(1, Side::kBuy, 1, OrderType::kLimit, 95));
    prompt.feed();
    const auto fills = prompt.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 95);

    with.latency_ns = kBarNs;
    Driver late(flat(3), with);
    late.feed();
    late.send(order(1, Side::kBuy, 1, OrderType::kLimit, 95));
    late.feed();
    late.feed();
    CHECK(late.fills().empty());
    late.feed();  // CLOSE of the next bar
    CHECK(late.fills().size() == 1);
}

TEST_CASE("a limit sent after a close with a bar of latency meets neither the open nor its bar") {
    VenueSettings with = settings();
    with.latency_ns = kBarNs;
    Driver driver(flat(4), with);
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 1, OrderType::kLimit, 200));
    driver.feed();
    driver.feed();
    CHECK(driver.fills().empty());
    driver.feed();  // the second OPEN
    CHECK(driver.fills().size() == 1);
}

TEST_CASE("a bar that holds stop and target hits the stop, and the target can still be cancelled") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kSell, 2, OrderType::kLimit, 108));  // target first in time
    driver.send(order(2, Side::kSell, 2, OrderType::kStop, 92));
    CHECK(driver.replies().size() == 2);
    driver.feed();
    const Slot first = driver.reply();
    REQUIRE(first.type() == RecordType::kFill);
    CHECK(first.as<Fill>().id.counter == 2);
    CHECK(first.as<Fill>().price_ticks == 92);
    driver.cancel(1);
    const Slot second = driver.reply();
    CHECK(second.type() == RecordType::kCancelled);
    CHECK(second.as<OrderEnded>().id.counter == 1);
    CHECK(driver.rest().empty());
    CHECK(driver.venue.ledger().totals().position_lots == -2);
}

TEST_CASE("both sides of a bracket fill when nobody cancels, the stop first") {
    Driver driver(flat(2));
    driver.feed();
    driver.send(order(1, Side::kSell, 2, OrderType::kLimit, 108));
    driver.send(order(2, Side::kSell, 2, OrderType::kStop, 92));
    driver.replies();
    driver.feed();
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 2);
    CHECK(fills[0].id.counter == 2);
    CHECK(fills[1].id.counter == 1);
}

TEST_CASE("a cancel sent on seeing the bar that fills the order is too late") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kBuy, 2, OrderType::kLimit, 95));
    driver.replies();
    driver.feed();  // the range reaches 95
    driver.cancel(1);
    const Slot answer = driver.reply();
    REQUIRE(answer.type() == RecordType::kOrderState);
    CHECK(answer.as<OrderStateReport>().state == OrderState::kLive);
    CHECK(driver.reply().type() == RecordType::kFill);
    driver.cancel(1);
    CHECK(driver.reply().as<OrderStateReport>().state == OrderState::kFilled);
    CHECK(driver.venue.ledger().totals().late_cancels == 2);
}

TEST_CASE("a market order cannot be cancelled on seeing the open that fills it") {
    Driver driver(flat(3));
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 2));
    driver.replies();
    driver.feed();
    driver.cancel(1);
    CHECK(driver.reply().type() == RecordType::kOrderState);
    CHECK(driver.reply().type() == RecordType::kFill);
}

TEST_CASE("an order that the bar does not reach is cancelled when asked") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kBuy, 2, OrderType::kLimit, 50));
    driver.replies();
    driver.feed();
    driver.cancel(1);
    const Slot answer = driver.reply();
    CHECK(answer.type() == RecordType::kCancelled);
    CHECK(answer.as<OrderEnded>().filled_lots == 0);
    CHECK(driver.rest().empty());
}

TEST_CASE("a resting order that the gap goes through trades at the open") {
    Driver driver({bar(0, 100, 101, 99, 100), bar(1, 90, 95, 85, 90), bar(2, 90, 95, 85, 90)});
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 1, OrderType::kLimit, 97));
    driver.send(order(2, Side::kSell, 1, OrderType::kStop, 95));
    driver.replies();
    driver.feed();
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 2);
    CHECK(fills[0].id.counter == 2);
    CHECK(fills[0].price_ticks == 90);
    CHECK(fills[1].price_ticks == 90);
}

TEST_CASE("the rest of a partial fill comes at the following opens") {
    VenueSettings with = settings();
    with.partial_fill_ppm = kPpm;
    Driver driver(flat(12), with);
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 5));
    driver.replies();
    std::int64_t filled = 0;
    std::size_t count = 0;
    while (filled < 5) {
        REQUIRE(driver.feed().type() == RecordType::kBarOpen);
        const auto fills = driver.fills();
        REQUIRE(fills.size() == 1);
        filled += fills[0].quantity_lots;
        CHECK(fills[0].leaves_lots == 5 - filled);
        CHECK(fills[0].execution_id == ++count);
        REQUIRE(driver.feed().type() == RecordType::kBarClose);
        CHECK(driver.fills().empty());
    }
    CHECK(count >= 2);
    CHECK(driver.venue.ledger().orders()[0].state == OrderState::kFilled);
}

TEST_CASE("the rest of a triggered stop trades at the opens, wherever the price went") {
    VenueSettings with = settings();
    with.partial_fill_ppm = kPpm;
    Driver driver({bar(0, 100, 101, 99, 100), bar(1, 100, 101, 89, 100), bar(2, 105, 106, 104, 105),
                   bar(3, 106, 107, 105, 106)},
                  with);
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kSell, 2, OrderType::kStop, 90));
    driver.feed();
    CHECK(driver.fills().empty());
    driver.feed();
    auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 90);
    CHECK(fills[0].quantity_lots == 1);
    driver.feed();
    fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 105);
}

TEST_CASE("a refused bar is only a close, and pending orders wait for the next good open") {
    // Bar 1 contradicts itself: its high is below its open.
    Driver driver({bar(0, 100, 110, 90, 100), bar(1, 100, 95, 90, 94), bar(2, 102, 110, 90, 100)});
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    driver.send(order(2, Side::kBuy, 1, OrderType::kLimit, 92));
    driver.replies();
    const Slot refused = driver.feed();
    CHECK(refused.type() == RecordType::kBarClose);
    CHECK(refused.as<BarClose>().high_ticks == 95);
    CHECK(driver.fills().empty());
    CHECK(driver.feed().type() == RecordType::kBarOpen);
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].id.counter == 1);
    CHECK(fills[0].price_ticks == 102);
    CHECK(driver.venue.refused_rows() == 1);
}

TEST_CASE("after a refused bar the range of the bar before is not met again") {
    Driver driver({bar(0, 100, 110, 90, 100), bar(1, 100, 95, 90, 94), bar(2, 120, 121, 119, 120)});
    driver.feed();
    driver.feed();
    driver.feed();  // refused
    driver.send(order(1, Side::kBuy, 1, OrderType::kLimit, 100));
    for (const Slot& slot : driver.rest()) CHECK(slot.type() != RecordType::kFill);
}

TEST_CASE("three bars beyond the band that agree move the market, the third trades") {
    std::vector<TapeRow> rows = flat(3);
    for (std::int64_t i = 3; i < 7; ++i) rows.push_back(bar(i, 200, 210, 190, 200));
    Driver driver(rows);
    for (int i = 0; i < 6; ++i) driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    driver.replies();
    for (int i = 0; i < 2; ++i) {
        const Slot refused = driver.feed();
        CHECK(refused.type() == RecordType::kBarClose);
        // The engine holds the stamp against this time: it must not look like the future.
        CHECK(refused.header.receive_ts_ns == kStartNs + (4 + i) * kBarNs);
        CHECK(driver.fills().empty());
    }
    CHECK(driver.feed().type() == RecordType::kBarOpen);
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 200);
}

TEST_CASE("refusals of the reader go out in order and move nothing") {
    Driver driver({refusal(2), bar(0, 100, 110, 90, 100), refusal(4), bar(1, 100, 110, 90, 100)});
    const Slot first = driver.feed();
    CHECK(first.type() == RecordType::kQuarantine);
    CHECK(first.as<Quarantine>().line == 2);
    CHECK(first.header.receive_ts_ns == kStartNs);
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 1, OrderType::kLimit, 95));
    driver.replies();
    const Slot second = driver.feed();
    CHECK(second.as<Quarantine>().line == 4);
    CHECK(second.header.receive_ts_ns == kStartNs + kBarNs);
    CHECK(driver.fills().empty());
}

TEST_CASE("a backward or absurd stamp does not turn the clock") {
    Driver driver({bar(0, 100, 110, 90, 100), bar(1, 100, 110, 90, 100), bar(0, 100, 110, 90, 100),
                   bar(40'000'000, 100, 50, 90, 100)});
    for (int i = 0; i < 4; ++i) driver.feed();
    const std::int64_t now = driver.venue.now_ns();
    CHECK(now == kStartNs + 2 * kBarNs);
    CHECK(driver.feed().header.receive_ts_ns == now);
    const Slot absurd = driver.feed();
    CHECK(absurd.header.receive_ts_ns == now);
    CHECK(absurd.header.source_ts_ns == now);
    CHECK(driver.feed().type() == RecordType::kEnd);
}

TEST_CASE("open orders expire one by one before the end, later ones find the market closed") {
    Driver driver(flat(1));
    driver.feed();
    driver.send(order(1, Side::kBuy, 1, OrderType::kLimit, 50));
    driver.replies();
    driver.feed();
    driver.send(order(2, Side::kBuy, 1));
    CHECK(driver.reply().type() == RecordType::kAck);
    Slot slot = driver.reply();
    CHECK(slot.type() == RecordType::kExpired);
    CHECK(slot.as<OrderEnded>().id.counter == 1);
    slot = driver.reply();
    CHECK(slot.type() == RecordType::kExpired);
    CHECK(slot.as<OrderEnded>().id.counter == 2);
    CHECK(driver.reply().type() == RecordType::kNone);
    slot = driver.feed();
    CHECK(slot.type() == RecordType::kEnd);
    CHECK(slot.as<End>().last_feed_sequence == 3);
    driver.send(order(3, Side::kBuy, 1));
    CHECK(driver.reply().as<Reject>().reason == RejectReason::kMarketClosed);
    CHECK(driver.venue.ledger().totals().expired == 2);
}

TEST_CASE("an empty tape is an end") {
    Driver driver({});
    CHECK(driver.feed().type() == RecordType::kEnd);
    CHECK(driver.feed().type() == RecordType::kNone);
}

TEST_CASE("trades are prices: a market order takes the next, a limit takes what it allows") {
    Driver driver({trade(kStartNs, 100), trade(kStartNs + 1, 101), trade(kStartNs + 2, 95),
                   trade(kStartNs + 3, 94)});
    driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    driver.send(order(2, Side::kBuy, 1, OrderType::kLimit, 96));
    CHECK(driver.fills().empty());
    driver.feed();
    auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 101);
    driver.feed();
    fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 95);
}

TEST_CASE("latency on a tape of trades is counted in time") {
    VenueSettings with = settings();
    with.latency_ns = 2;
    Driver driver({trade(kStartNs, 100), trade(kStartNs + 1, 101), trade(kStartNs + 2, 102)}, with);
    driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    driver.feed();
    CHECK(driver.fills().empty());
    driver.feed();
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].price_ticks == 102);
}

TEST_CASE("settings out of range are refused with key and value") {
    Venue venue;
    VenueSettings with = settings();
    with.reject_ppm = 1'000'001;
    Failure failure = venue.open(with, instrument(), {});
    CHECK(failure.status == Status::kBadSettings);
    CHECK(failure.text == "reject_ppm must be 0 to 1000000: 1000001");
    with = settings();
    with.slippage_ticks = -1;
    CHECK(venue.open(with, instrument(), {}).status == Status::kBadSettings);
    with = settings();
    with.orders_max = 0;
    CHECK(venue.open(with, instrument(), {}).status == Status::kBadArgument);
    Instrument worthless = instrument();
    worthless.tick_value_micros = 0;
    CHECK(venue.open(settings(), worthless, {}).status == Status::kBadInstrument);
    std::vector<TapeRow> rows{bar(0, 1, 1, 1, 1)};
    rows[0].type = 99;
    CHECK(venue.open(settings(), instrument(), rows).text ==
          "row 0 has type 99, not bar, trade, book or quarantine");
}
