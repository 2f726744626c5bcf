// Promise: a trader that lost its memory is told of every order in a range of ids, and no other of
// them is ever taken; the books that it is told are the ledger's.
#include "gm/venue/venue.hpp"
#include "venue/driver.hpp"

using namespace gm;
using namespace venue_test;

namespace {

QueryRange range(std::uint64_t from, std::uint64_t to, std::uint32_t epoch = 1) {
    QueryRange question{};
    question.first = {1, epoch, from};
    question.last_counter = to;
    question.connection = 1;
    return question;
}

std::vector<Slot> replies_after(Driver& driver, std::uint64_t number) {
    std::vector<Slot> found;
    Slot slot{};
    while (driver.venue.reply(++number, slot)) found.push_back(slot);
    return found;
}

const Sender kHeir{2, 1, 0};

}  // namespace

TEST_CASE("a range gives each order that came with what became of it, and buries the rest") {
    Driver driver({bar(0, 100, 110, 90, 100), bar(1, 100, 110, 90, 100)});
    driver.send(order(1, Side::kBuy, 5, OrderType::kLimit, 10));
    NewOrder third = order(3, Side::kSell, 2, OrderType::kLimit, 10'000);
    third.strategy = 9;
    driver.send(third);
    NewOrder bad = order(4, Side::kBuy, 0);
    driver.send(bad);
    driver.venue.on_session(2, 1);
    const std::uint64_t before = driver.venue.last_reply_sequence();
    driver.venue.on_query_range(range(2, 70'000), kHeir);
    const auto said = replies_after(driver, before);
    REQUIRE(said.size() == 3);
    CHECK(said[0].as<RangeOrder>().id == OrderId{1, 1, 3});
    CHECK(said[0].as<RangeOrder>().state == OrderState::kLive);
    CHECK(said[0].as<RangeOrder>().quantity_lots == 2);
    CHECK(said[0].as<RangeOrder>().price_ticks == 10'000);
    CHECK(said[0].as<RangeOrder>().side == Side::kSell);
    CHECK(said[0].as<RangeOrder>().type == OrderType::kLimit);
    CHECK(said[0].as<RangeOrder>().strategy == 9);
    CHECK(said[1].as<RangeOrder>().state == OrderState::kRejected);
    CHECK(said[2].type() == RecordType::kRangeEnd);
    CHECK(said[2].as<RangeEnd>().orders == 2);
    CHECK(said[2].as<RangeEnd>().last_counter == 70'000);

    // One of the range that comes now, as if its message had been on the way for hours.
    NewOrder late = order(2, Side::kBuy, 1);
    late.connection = 1;
    driver.venue.on_order(late, kHeir);
    const auto answer = replies_after(driver, driver.venue.last_reply_sequence() - 1);
    REQUIRE(answer.size() == 1);
    CHECK(answer[0].type() == RecordType::kReject);
    CHECK(answer[0].as<Reject>().reason == RejectReason::kTombstoned);
    CHECK(driver.venue.ledger().orders().size() == 3);
    ReplaceOrder replace{};
    replace.id = {1, 1, 1};
    replace.replace_id = {1, 1, 69'000};
    replace.quantity_lots = 4;
    replace.price_ticks = 10;
    replace.valid_until_ns = INT64_MAX;
    const std::uint64_t repeated = driver.venue.ledger().totals().repeated_ids;
    driver.venue.on_replace(replace, kHeir);
    CHECK(driver.venue.ledger().totals().repeated_ids == repeated + 1);
    CHECK(driver.venue.ledger().orders()[0].quantity_lots == 5);
    // Asked again, it says the same.
    driver.venue.on_query_range(range(2, 70'000), kHeir);
    CHECK(driver.venue.last_reply_sequence() == before + 7);
}

TEST_CASE("a range of the sender's own epoch, of nothing, or of a stale sender buries nothing") {
    Driver driver({bar(0, 100, 110, 90, 100)});
    driver.venue.on_session(2, 1);
    for (const QueryRange& wrong : {range(1, 9, 2), range(0, 9), range(9, 8)}) {
        const std::uint64_t before = driver.venue.last_reply_sequence();
        driver.venue.on_query_range(wrong, kHeir);
        const auto said = replies_after(driver, before);
        REQUIRE(said.size() == 1);
        CHECK(said[0].as<Reject>().reason == RejectReason::kMalformed);
    }
    const std::uint64_t stale = driver.venue.ledger().totals().stale_messages;
    driver.venue.on_query_range(range(1, 9), {1, 1, 0});
    CHECK(driver.venue.ledger().totals().stale_messages == stale + 1);
    NewOrder own = order(5, Side::kBuy, 1);
    own.id.epoch = 2;
    driver.venue.on_order(own, kHeir);
    CHECK(driver.venue.ledger().totals().accepted == 1);
}

TEST_CASE("the books are those of the ledger, also at the end, if they were asked for once") {
    for (const bool is_asked : {false, true}) {
        Driver driver({bar(0, 100, 110, 90, 100), bar(1, 105, 115, 95, 100)});
        if (is_asked) {
            driver.venue.on_query_account({1, {}}, {1, 1, 0});
            Slot slot = driver.reply();
            REQUIRE(slot.type() == RecordType::kPositionReport);
            CHECK(slot.as<PositionReport>().position_lots == 0);
        }
        driver.send(order(1, Side::kBuy, 3));
        driver.send(order(2, Side::kBuy, 4, OrderType::kLimit, 1));
        std::vector<Slot> all;
        Slot slot{};
        std::uint64_t told = driver.venue.last_reply_sequence() - 2;
        do {
            while (driver.venue.next_reply(told, slot)) {
                all.push_back(slot);
                ++told;
            }
        } while (driver.venue.next_feed(slot));
        REQUIRE(driver.venue.is_ended());
        const auto reports = std::ranges::count_if(
            all, [](const Slot& reply) { return reply.type() == RecordType::kPositionReport; });
        CHECK(reports == (is_asked ? 1 : 0));
        if (!is_asked) continue;
        const auto report = all.back().as<PositionReport>();
        const LedgerTotals& totals = driver.venue.ledger().totals();
        CHECK(report.position_lots == 3);
        CHECK(report.cash_micros_low == totals.cash_micros_low);
        CHECK(report.cash_micros_high == -1);
        CHECK(report.commission_micros == totals.commission_micros);
        CHECK(report.open_orders == 0);  // the other one expired before
        CHECK(report.last_reply_sequence + 1 == all.back().header.first_sequence);
        CHECK(report.is_last == 1);
    }
}

TEST_CASE("ranges in any order, apart, touching or one in another, bury what is in them alone") {
    Ledger ledger;
    REQUIRE(ledger.open(8).is_ok());
    const std::uint64_t ranges[][3] = {{5, 10, 20}, {3, 5, 9},   {5, 30, 40}, {5, 15, 35},
                                       {5, 16, 17}, {5, 50, 60}, {4, 1, 3},   {5, 45, 70}};
    for (const auto& [epoch, from, to] : ranges) {
        const OrderId first{1, static_cast<std::uint32_t>(epoch), from};
        REQUIRE(ledger.bury_range(first, to) == Status::kOk);
    }
    const auto is_wanted = [&](std::uint64_t epoch, std::uint64_t counter) {
        return std::ranges::any_of(ranges, [&](const auto& range) {
            return range[0] == epoch && counter >= range[1] && counter <= range[2];
        });
    };
    for (std::uint32_t epoch = 2; epoch < 7; ++epoch) {
        for (std::uint64_t counter = 1; counter < 80; ++counter) {
            CHECK(ledger.is_buried({1, epoch, counter}) == is_wanted(epoch, counter));
            CHECK_FALSE(ledger.is_buried({2, epoch, counter}));
        }
    }
}
