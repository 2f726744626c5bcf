// Promise: every order is answered once and truthfully, an id is taken at most once, and the
// ledger is the sum of what was said, under any seed.
#include <map>
#include <random>

#include "gm/venue/venue.hpp"
#include "venue/driver.hpp"

using namespace gm;
using namespace venue_test;

namespace {

std::vector<TapeRow> wandering(std::uint64_t seed, std::int64_t bars) {
    std::mt19937_64 random(seed);
    std::vector<TapeRow> rows;
    std::int64_t price = 10'000;
    for (std::int64_t i = 0; i < bars; ++i) {
        const auto up = static_cast<std::int64_t>(random() % 40);
        const auto down = static_cast<std::int64_t>(random() % 40);
        const std::int64_t close =
            price - down +
            static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(up + down + 1));
        rows.push_back(random() % 25 == 0 ? refusal(static_cast<std::uint64_t>(i))
                                          : bar(i, price, price + up, price - down, close));
        price = close;
    }
    return rows;
}

RejectReason reason_of(Driver& driver) {
    const Slot slot = driver.reply();
    REQUIRE(slot.type() == RecordType::kReject);
    return slot.as<Reject>().reason;
}

// A trader who sends, cancels and asks at random; returns all replies.
std::vector<Slot> gamble(Driver& driver, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Slot> all;
    std::uint64_t counter = 0;
    const auto act = [&] {
        const std::uint64_t choice = random() % 8;
        if (choice < 3) {
            const auto type = static_cast<OrderType>(random() % 3);
            const auto price = static_cast<std::int64_t>(9'900 + random() % 200);
            driver.send(order(++counter, static_cast<Side>(random() % 2),
                              static_cast<std::int64_t>(1 + random() % 9), type,
                              type == OrderType::kMarket ? 0 : price));
        } else if (choice == 3) {
            driver.cancel(1 + random() % (counter + 2));
        } else if (choice == 4) {
            driver.query(1 + random() % (counter + 2));
        }
    };
    const auto listen = [&] {
        for (Slot slot = driver.reply(); slot.type() != RecordType::kNone; slot = driver.reply()) {
            all.push_back(slot);
            if (random() % 4 == 0) act();
        }
    };
    while (driver.feed().type() != RecordType::kNone) {
        act();
        listen();
    }
    return all;
}

}  // namespace

TEST_CASE("what the exchange cannot take is refused with its reason") {
    VenueSettings with = settings();
    with.instrument = 3;
    Instrument coarse = instrument();
    coarse.order_tick_ticks = 100;
    const std::vector<TapeRow> rows{bar(0, 100, 100, 100, 100)};
    Venue venue;
    REQUIRE(venue.open(with, coarse, rows).is_ok());
    venue.on_session(1, 1);
    std::uint64_t seen = 0;
    const auto refused = [&](const NewOrder& order) {
        venue.on_order(order, {1, 1, venue.now_ns()});
        Slot slot{};
        REQUIRE(venue.next_reply(seen++, slot));
        return slot.type() == RecordType::kReject ? slot.as<Reject>().reason : RejectReason::kNone;
    };
    NewOrder good = order(1, Side::kBuy, 1);
    good.instrument = 3;
    CHECK(refused(good) == RejectReason::kNone);

    NewOrder bad = good;
    bad.id.counter = 0;
    CHECK(refused(bad) == RejectReason::kMalformed);
    const auto next = [&] { return NewOrder{good}; };
    std::uint64_t counter = 1;
    const auto change = [&](auto edit) {
        NewOrder changed = next();
        changed.id.counter = ++counter;
        edit(changed);
        return refused(changed);
    };
    CHECK(change([](NewOrder& o) { o.quantity_lots = 0; }) == RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.quantity_lots = -4; }) == RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.quantity_lots = INT64_MAX; }) == RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.instrument = 0; }) == RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.type = static_cast<OrderType>(9); }) ==
          RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.side = static_cast<Side>(2); }) == RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.type = OrderType::kLimit, o.price_ticks = 150; }) ==
          RejectReason::kMalformed);
    CHECK(change([](NewOrder& o) { o.type = OrderType::kLimit, o.price_ticks = -300; }) ==
          RejectReason::kNone);
    CHECK(change([](NewOrder& o) { o.valid_until_ns = kStartNs - 1; }) ==
          RejectReason::kPastValidity);
    CHECK(change([](NewOrder& o) { o.valid_until_ns = kStartNs; }) == RejectReason::kNone);
    CHECK(change([](NewOrder& o) { o.id.epoch = 0; }) == RejectReason::kOldEpoch);
    CHECK(change([](NewOrder& o) { o.id.epoch = 2; }) == RejectReason::kMalformed);
    CHECK(venue.ledger().totals().accepted == 3);
    CHECK(venue.ledger().totals().rejected == 10);
}

TEST_CASE("an id that was seen is refused and the order behind it lives on") {
    Driver driver({bar(0, 100, 110, 90, 100), bar(1, 100, 110, 90, 100)});
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 1));
    CHECK(driver.reply().type() == RecordType::kAck);
    driver.send(order(1, Side::kBuy, 1));
    CHECK(reason_of(driver) == RejectReason::kDuplicateId);
    driver.feed();
    CHECK(driver.fills().size() == 1);
    CHECK(driver.venue.ledger().orders().size() == 1);
    CHECK(driver.venue.ledger().totals().repeated_ids == 1);
}

TEST_CASE("an id that the venue denied knowing is refused for ever") {
    Driver driver({bar(0, 100, 110, 90, 100)});
    driver.feed();
    driver.query(5);
    Slot answer = driver.reply();
    REQUIRE(answer.type() == RecordType::kOrderState);
    CHECK(answer.as<OrderStateReport>().state == OrderState::kAbsent);
    driver.send(order(5, Side::kBuy, 1));
    CHECK(reason_of(driver) == RejectReason::kTombstoned);
    driver.query(5);
    CHECK(driver.reply().as<OrderStateReport>().state == OrderState::kAbsent);
    driver.cancel(6);
    CHECK(driver.reply().as<OrderStateReport>().state == OrderState::kAbsent);
    driver.send(order(6, Side::kBuy, 1));
    CHECK(reason_of(driver) == RejectReason::kTombstoned);
    CHECK(driver.venue.ledger().tombstones().size() == 2);
    CHECK(driver.venue.ledger().orders().empty());
}

TEST_CASE("a query tells the state and what is left") {
    VenueSettings with = settings();
    with.partial_fill_ppm = kPpm;
    Driver driver({bar(0, 100, 110, 90, 100), bar(1, 100, 110, 90, 100)}, with);
    driver.feed();
    driver.feed();
    driver.send(order(1, Side::kBuy, 9));
    driver.reply();
    driver.query(1);
    auto report = driver.reply().as<OrderStateReport>();
    CHECK(report.state == OrderState::kLive);
    CHECK(report.leaves_lots == 9);
    driver.feed();
    const auto fills = driver.fills();
    REQUIRE(fills.size() == 1);
    driver.query(1);
    report = driver.reply().as<OrderStateReport>();
    CHECK(report.state == OrderState::kPartial);
    CHECK(report.filled_lots == fills[0].quantity_lots);
    CHECK(report.leaves_lots == 9 - fills[0].quantity_lots);
    driver.cancel(1);
    driver.replies();
    driver.query(1);
    report = driver.reply().as<OrderStateReport>();
    CHECK(report.state == OrderState::kCancelled);
    CHECK(report.leaves_lots == 0);
}

TEST_CASE("messages of an older epoch or connection are refused") {
    Driver driver({bar(0, 100, 110, 90, 100)});
    driver.venue.on_session(2, 1);
    driver.venue.on_session(1, 9);  // an older epoch does not come back
    CHECK(driver.venue.is_stale(1, 9));
    CHECK_FALSE(driver.venue.is_stale(2, 1));
    driver.venue.on_session(2, 4);
    driver.send(order(1, Side::kBuy, 1));  // says epoch 1
    CHECK(reason_of(driver) == RejectReason::kOldEpoch);
    NewOrder second = order(2, Side::kBuy, 1);
    second.id.epoch = 2;
    driver.venue.on_order(second, {2, 3, driver.venue.now_ns()});
    CHECK(reason_of(driver) == RejectReason::kOldConnection);
    driver.cancel(1);
    driver.query(9);
    CHECK(driver.replies().empty());
    CHECK(driver.venue.ledger().totals().stale_messages == 4);
    CHECK(driver.venue.ledger().tombstones().empty());
    NewOrder third = order(3, Side::kBuy, 1);
    third.id.epoch = 2;
    driver.venue.on_order(third, {2, 4, driver.venue.now_ns()});
    CHECK(driver.reply().type() == RecordType::kAck);
}

TEST_CASE("a stale order under a buried id is not even answered") {
    Driver driver({bar(0, 100, 110, 90, 100)});
    driver.venue.on_session(2, 1);
    QueryOrder query{};
    query.id = {1, 1, 1};
    driver.venue.on_query(query, {2, 1, driver.venue.now_ns()});
    CHECK(driver.replies().size() == 1);
    driver.send(order(1, Side::kBuy, 1));
    CHECK(driver.replies().empty());
    CHECK(driver.venue.ledger().orders().empty());
}

TEST_CASE("the dice reject by the count of good orders, whatever bad ones came between") {
    VenueSettings with = settings();
    with.reject_ppm = 300'000;
    const auto rejected = [&](bool with_noise, std::uint32_t epoch) {
        Driver driver({bar(0, 100, 110, 90, 100)}, with);
        driver.venue.on_session(epoch, 1);
        std::vector<std::uint64_t> hit;
        for (std::uint64_t i = 1; i <= 200; ++i) {
            NewOrder good = order(i + epoch, Side::kBuy, 1);  // other ids in each life
            good.id.epoch = epoch;
            const Sender sender{epoch, 1, driver.venue.now_ns()};
            driver.venue.on_order(good, sender);
            if (driver.reply().type() == RecordType::kReject) hit.push_back(i);
            if (!with_noise) continue;
            driver.venue.on_order(good, sender);  // a repeated id
            good.id.counter += 1'000;
            good.quantity_lots = 0;
            driver.venue.on_order(good, sender);  // malformed
            driver.replies();
        }
        return hit;
    };
    const auto quiet = rejected(false, 1);
    CHECK(quiet.size() > 30);
    CHECK(quiet.size() < 90);
    CHECK(rejected(true, 1) == quiet);
    CHECK(rejected(false, 7) == quiet);
}

TEST_CASE("a full ledger stops the venue and says what was full") {
    VenueSettings with = settings();
    with.orders_max = 2;
    Driver driver({bar(0, 100, 110, 90, 100)}, with);
    for (std::uint64_t i = 1; i <= 3; ++i) driver.send(order(i, Side::kBuy, 1));
    const Failure failure = driver.venue.failure();
    CHECK(failure.status == Status::kOutOfMemory);
    CHECK(failure.text.find("orders_max 2") != std::string::npos);
    CHECK(driver.feed().type() == RecordType::kNone);

    Driver asked({bar(0, 100, 110, 90, 100)}, with);
    asked.send(order(1, Side::kBuy, 1));
    for (int i = 0; i < 40; ++i) asked.query(1);
    CHECK(asked.venue.failure().status == Status::kOutOfMemory);
    CHECK(asked.venue.last_reply_sequence() == 2 * Venue::kRepliesPerOrder);
}

TEST_CASE("under any seed the ledger is the sum of its executions and of what was replied") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        VenueSettings with = settings();
        with.seed = seed;
        with.latency_ns = static_cast<std::int64_t>(seed % 3) * kBarNs / 2;
        with.slippage_ticks = static_cast<std::int64_t>(seed % 4);
        with.partial_fill_ppm = 400'000;
        with.reject_ppm = 100'000;
        with.commission_micros_per_lot = 3;
        with.commission_ppm = 45;
        Driver driver(wandering(seed, 120), with);
        const std::vector<Slot> replies = gamble(driver, seed);
        REQUIRE(driver.venue.failure().is_ok());

        std::map<std::uint64_t, std::int64_t> filled;
        std::map<std::uint64_t, int> ends;
        std::int64_t position = 0;
        std::int64_t commission = 0;
        for (const Slot& slot : replies) {
            if (slot.type() == RecordType::kFill) {
                const auto fill = slot.as<Fill>();
                CHECK(fill.quantity_lots > 0);
                filled[fill.id.counter] += fill.quantity_lots;
                position += (fill.side == Side::kBuy ? 1 : -1) * fill.quantity_lots;
                commission += fill.commission_micros;
                ends[fill.id.counter] += fill.leaves_lots == 0;
            } else if (slot.type() == RecordType::kCancelled ||
                       slot.type() == RecordType::kExpired) {
                ++ends[slot.as<OrderEnded>().id.counter];
            }
        }
        const LedgerTotals& totals = driver.venue.ledger().totals();
        CHECK(totals.position_lots == position);
        CHECK(totals.commission_micros == commission);
        CHECK(totals.orders == totals.accepted + totals.rejected);
        CHECK(totals.accepted == totals.filled + totals.cancelled + totals.expired);
        for (const LedgerOrder& order : driver.venue.ledger().orders()) {
            CHECK(order.filled_lots <= order.quantity_lots);
            CHECK(order.filled_lots == filled[order.id.counter]);
            CHECK_FALSE(order.is_open());
            CHECK(ends[order.id.counter] == (order.state == OrderState::kRejected ? 0 : 1));
        }
        std::int64_t sum = 0;
        Int128 cash = 0;
        std::uint64_t id = 0;
        for (const Execution& execution : driver.venue.ledger().executions()) {
            CHECK(execution.execution_id == ++id);
            const std::int64_t sign = execution.side == Side::kBuy ? 1 : -1;
            sum += sign * execution.quantity_lots;
            cash -= Int128{sign * execution.quantity_lots * execution.price_ticks} * 100;
        }
        CHECK(sum == totals.position_lots);
        CHECK(static_cast<std::uint64_t>(cash) == totals.cash_micros_low);
        CHECK(static_cast<std::int64_t>(cash >> 64) == totals.cash_micros_high);
    }
}

TEST_CASE("the same seed gives the same bytes, another seed other luck") {
    const auto play = [](std::uint64_t seed) {
        VenueSettings with = settings();
        with.seed = seed;
        with.partial_fill_ppm = 500'000;
        with.reject_ppm = 200'000;
        Driver driver(wandering(5, 200), with);
        return gamble(driver, 9);
    };
    const std::vector<Slot> first = play(1);
    const std::vector<Slot> second = play(1);
    REQUIRE(first.size() == second.size());
    CHECK(std::memcmp(first.data(), second.data(), first.size() * sizeof(Slot)) == 0);
    const std::vector<Slot> other = play(2);
    CHECK((other.size() != first.size() ||
           std::memcmp(first.data(), other.data(), first.size() * sizeof(Slot)) != 0));
}
