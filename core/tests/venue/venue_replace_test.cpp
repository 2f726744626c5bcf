// Promise: a replace is taken once or never, and its order trades at what was answered; an order
// that is for one event trades in that event or not at all.
#include "gm/venue/venue.hpp"
#include "venue/driver.hpp"

using namespace gm;
using namespace venue_test;

namespace {

std::vector<TapeRow> flat(std::int64_t bars) {
    std::vector<TapeRow> rows;
    for (std::int64_t i = 0; i < bars; ++i) rows.push_back(bar(i, 100, 110, 90, 100));
    return rows;
}

RejectReason refusal_of_replace(Driver& driver) {
    const Slot slot = driver.reply();
    REQUIRE(slot.type() == RecordType::kReject);
    REQUIRE(slot.as<Reject>().replace_id.counter != 0);
    return slot.as<Reject>().reason;
}

NewOrder for_one_event(std::uint64_t counter, TimeInForce time, OrderType type = OrderType::kMarket,
                       std::int64_t price = 0) {
    NewOrder sent = order(counter, Side::kBuy, 5, type, price);
    sent.time_in_force = time;
    return sent;
}

}  // namespace

TEST_CASE("a replaced order trades its new size at its new price") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kBuy, 2, OrderType::kLimit, 50));
    REQUIRE(driver.reply().type() == RecordType::kAck);
    driver.replace(1, 2, 3, 95);
    const Slot answer = driver.reply();
    REQUIRE(answer.type() == RecordType::kReplaced);
    CHECK(answer.as<Replaced>().quantity_lots == 3);
    CHECK(answer.as<Replaced>().price_ticks == 95);
    driver.feed();
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    CHECK(fills[0].quantity_lots == 3);
    CHECK(fills[0].price_ticks == 95);
    CHECK(driver.venue.ledger().totals().replaces == 1);
}

TEST_CASE("another price waits for the next event, fewer lots at the same one do not") {
    const auto fills_after = [](std::int64_t lots, std::int64_t price) {
        Driver driver({bar(0, 100, 100, 100, 100), bar(1, 100, 100, 100, 100)});
        driver.feed();
        driver.send(order(1, Side::kBuy, 4, OrderType::kLimit, 99));
        driver.replies();
        driver.replace(1, 2, lots, price);
        REQUIRE(driver.reply().type() == RecordType::kReplaced);
        CHECK(driver.fills().empty());
        driver.feed();
        return driver.fills().size();
    };
    CHECK(fills_after(4, 100) == 1);
    CHECK(fills_after(4, 99) == 0);
}

TEST_CASE("what a replace cannot be is refused with its reason and changes nothing") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kBuy, 4, OrderType::kLimit, 50));
    driver.send(order(2, Side::kBuy, 4));
    driver.replies();
    driver.replace(9, 20, 3, 95);  // no such order
    CHECK(refusal_of_replace(driver) == RejectReason::kTooLate);
    driver.replace(1, 21, 0, 95);
    CHECK(refusal_of_replace(driver) == RejectReason::kTooLate);
    driver.replace(2, 22, 3, 95);  // a market order has no price
    CHECK(refusal_of_replace(driver) == RejectReason::kMalformed);
    driver.replace(1, 23, INT64_MAX, 95);
    CHECK(refusal_of_replace(driver) == RejectReason::kMalformed);
    driver.replace(1, 23, 3, 95);  // an id that was seen: dropped without a word
    CHECK(driver.reply().type() == RecordType::kNone);
    driver.replace(1, 1, 3, 95);  // or that is an order's
    CHECK(driver.reply().type() == RecordType::kNone);
    const LedgerOrder& order = driver.venue.ledger().orders()[0];
    CHECK(order.quantity_lots == 4);
    CHECK(order.price_ticks == 50);
    CHECK(driver.venue.ledger().totals().refused_replaces == 4);
    CHECK(driver.venue.ledger().totals().repeated_ids == 2);
}

TEST_CASE("a replace sent on seeing the bar that fills the order is too late") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kBuy, 2, OrderType::kLimit, 95));
    driver.replies();
    driver.feed();
    driver.replace(1, 2, 5, 95);
    CHECK(refusal_of_replace(driver) == RejectReason::kTooLate);
    CHECK(driver.fills().front().quantity_lots == 2);
}

TEST_CASE("a query that names a replace that has not come buries it") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(order(1, Side::kBuy, 2, OrderType::kLimit, 50));
    driver.replies();
    for (int i = 0; i < 2; ++i) {
        driver.query(1, 7);
        CHECK(driver.reply().as<OrderStateReport>().is_replace_absent == 1);
    }
    driver.replace(1, 7, 3, 95);
    CHECK(driver.reply().type() == RecordType::kNone);
    CHECK(driver.venue.ledger().orders()[0].quantity_lots == 2);

    driver.replace(1, 8, 3, 60);
    REQUIRE(driver.reply().type() == RecordType::kReplaced);
    driver.query(1, 8);
    const auto report = driver.reply().as<OrderStateReport>();
    CHECK(report.is_replace_absent == 0);
    CHECK(report.leaves_lots == 3);
    CHECK(report.side == Side::kBuy);
}

TEST_CASE("immediate or cancel: what the next event does not fill expires with it") {
    Driver driver(flat(4));
    driver.feed();
    driver.feed();
    driver.send(for_one_event(1, TimeInForce::kImmediateOrCancel));
    driver.send(for_one_event(2, TimeInForce::kImmediateOrCancel, OrderType::kLimit, 99));
    driver.replies();
    driver.feed();  // OPEN at 100
    const auto replies = driver.replies();
    REQUIRE(replies.size() == 2);
    CHECK(replies[0].type() == RecordType::kFill);
    CHECK(replies[1].type() == RecordType::kExpired);
    CHECK(replies[1].as<OrderEnded>().id.counter == 2);
    driver.feed();  // its range would have reached 99
    CHECK(driver.replies().empty());
}

TEST_CASE("immediate or cancel: the rest of a partial fill expires, fill or kill has none") {
    VenueSettings with = settings();
    with.partial_fill_ppm = kPpm;
    for (const auto time : {TimeInForce::kImmediateOrCancel, TimeInForce::kFillOrKill}) {
        Driver driver(flat(3), with);
        driver.feed();
        driver.feed();
        driver.send(for_one_event(1, time));
        driver.replies();
        driver.feed();
        const auto replies = driver.replies();
        const bool is_whole = time == TimeInForce::kFillOrKill;
        REQUIRE(replies.size() == (is_whole ? 1 : 2));
        CHECK((replies[0].as<Fill>().leaves_lots == 0) == is_whole);
        if (!is_whole) CHECK(replies[1].type() == RecordType::kExpired);
    }
}

TEST_CASE("a market order for one event waits for a price, not for the range of the bar it is in") {
    Driver driver(flat(3));
    driver.feed();
    driver.send(for_one_event(1, TimeInForce::kImmediateOrCancel));
    driver.replies();
    driver.feed();  // CLOSE of the same bar
    CHECK(driver.replies().empty());
    driver.feed();
    CHECK(driver.fills().size() == 1);
}
