// Promise: nothing trades on a book that is crossed, locked or gapped (R08), its prices never
// become the collar's reference, and a book that stays so is one refusal in the journal.
#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "engine/rig.hpp"

using namespace gm;
using gm::test::Rig;
using gm::test::wave;

namespace {

Quote quote_of(std::int64_t bid, std::int64_t ask) {
    Quote quote{};
    quote.bid_ticks = bid;
    quote.ask_ticks = ask;
    quote.bid_lots = quote.ask_lots = 1;
    return quote;
}

BookLevel level_of(Side side, std::int64_t price, std::int64_t lots) {
    BookLevel level{};
    level.price_ticks = price;
    level.quantity_lots = lots;
    level.side = side;
    level.is_last = 1;
    return level;
}

BookReset reset_of(BookResetReason reason) {
    BookReset reset{};
    reset.reason = reason;
    return reset;
}

// Bars until the engine has asked its gate; the refusals so far.
std::vector<Refusal> refusals_after(Rig& rig, int bars) {
    for (int i = 0; i < bars; ++i) rig.wave_bar();
    return rig.records<Refusal>(RecordType::kRefusal);
}

constexpr int kBarsToTrade = 300;

// The bar of both instruments, at the same prices.
void both_bars(Rig& rig) {
    const std::int64_t start = gm::test::kStartNs + rig.bars * gm::test::kHalfHourNs;
    const std::int64_t open = wave(rig.bars == 0 ? 0 : rig.bars - 1);
    const std::int64_t close = wave(rig.bars);
    ++rig.bars;
    for (const std::uint32_t instrument : {0U, 1U}) {
        rig.feed(RecordType::kBarOpen, start,
                 BarOpen{start, gm::test::kHalfHourNs, open, instrument, 0, {}});
    }
    for (const std::uint32_t instrument : {0U, 1U}) {
        BarClose bar = Rig::bar_close(start, gm::test::kHalfHourNs, open, close);
        bar.instrument = instrument;
        rig.feed(RecordType::kBarClose, start + gm::test::kHalfHourNs, bar);
    }
}

std::int64_t now(const Rig& rig) {
    return rig.engine->now_ns();
}

}  // namespace

TEST_CASE("a good book lets trade as no book does") {
    Rig bare;
    bare.connect();
    CHECK(refusals_after(bare, kBarsToTrade).empty());
    Rig rig;
    rig.connect();
    for (int i = 0; i < kBarsToTrade; ++i) {
        rig.wave_bar();
        const std::int64_t price = rig.desk().market.last_good_price_ticks();
        rig.feed(RecordType::kQuote, now(rig), quote_of(price - 5, price + 5));
    }
    CHECK(rig.records<Refusal>(RecordType::kRefusal).empty());
    CHECK(rig.engine->totals().orders == bare.engine->totals().orders);
    CHECK(rig.engine->totals().orders > 0);
}

TEST_CASE("a crossed, locked or gapped book makes R08 refuse, and a good one ends it") {
    for (const int kind : {0, 1, 2}) {
        Rig rig;
        rig.connect();
        rig.wave_bar();
        const std::int64_t price = rig.desk().market.last_good_price_ticks();
        if (kind == 0) rig.feed(RecordType::kQuote, now(rig), quote_of(price + 5, price - 5));
        if (kind == 1) rig.feed(RecordType::kQuote, now(rig), quote_of(price, price));
        if (kind == 2) {
            rig.feed(RecordType::kBookReset, now(rig), reset_of(BookResetReason::kGap));
            rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kBuy, price, 1));
        }
        const auto refused = refusals_after(rig, kBarsToTrade);
        REQUIRE(!refused.empty());
        for (const Refusal& refusal : refused) {
            CHECK(refusal.code == static_cast<std::uint8_t>(GateCode::kStaleReference));
        }
        CHECK(rig.engine->totals().orders == 0);
        if (kind == 2) {
            rig.feed(RecordType::kBookReset, now(rig), reset_of(BookResetReason::kSnapshot));
            rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kBuy, 1, 1));
        } else {
            rig.feed(RecordType::kQuote, now(rig), quote_of(1, 9'000'000));
        }
        CHECK(refusals_after(rig, kBarsToTrade).size() == refused.size());
        CHECK(rig.engine->totals().orders > 0);
    }
}

TEST_CASE("a gap stops its instrument, and the other one trades on") {
    Settings settings = gm::test::make_settings();
    settings.instruments.push_back(settings.instruments[0]);
    std::strcpy(settings.instruments[1].symbol, "ETH-PERP");
    settings.limits.push_back(settings.limits[0]);
    settings.sizing.push_back(settings.sizing[0]);
    Rig rig(settings);
    rig.connect();
    std::array<int, 2> orders{};
    const auto play = [&](std::int64_t bars) {
        for (std::int64_t i = 0; i < bars; ++i) {
            both_bars(rig);
            for (const NewOrder& order : rig.take_orders()) {
                ++orders[order.instrument];
                rig.fill(order, wave(rig.bars), order.quantity_lots, 0);
            }
        }
    };
    play(kBarsToTrade);
    CHECK(orders[0] > 0);
    CHECK(orders[1] > 0);
    rig.feed(RecordType::kBookReset, now(rig), reset_of(BookResetReason::kGap));
    orders = {};
    play(kBarsToTrade);
    CHECK(orders[0] == 0);
    CHECK(orders[1] > 0);
    const auto refused = rig.records<Refusal>(RecordType::kRefusal);
    REQUIRE(!refused.empty());
    for (const Refusal& refusal : refused) CHECK(refusal.instrument == 0);
    rig.feed(RecordType::kBookReset, now(rig), reset_of(BookResetReason::kSnapshot));
    rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kBuy, 1, 1));
    orders = {};
    play(kBarsToTrade);
    CHECK(orders[0] > 0);
    CHECK(orders[1] > 0);
}

TEST_CASE("a book that stays crossed is one refusal in the journal and moves no reference") {
    Rig rig;
    rig.connect();
    rig.wave_bar();
    const std::int64_t price = rig.desk().market.reference_ticks();
    for (int i = 0; i < 100; ++i) {
        rig.feed(RecordType::kQuote, now(rig) + 1, quote_of(price + 9 + i, price + 7));
    }
    const auto refused = rig.records<BarQuarantined>(RecordType::kBarQuarantined);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].reason == static_cast<std::uint32_t>(QuarantineReason::kCrossedBook));
    CHECK(rig.desk().quarantined == 1);
    CHECK(rig.desk().market.reference_ticks() == price);
    CHECK(rig.desk().market.counts()[static_cast<std::size_t>(QuarantineReason::kCrossedBook)] ==
          100);
    rig.feed(RecordType::kQuote, now(rig), quote_of(price, price));
    rig.feed(RecordType::kQuote, now(rig), quote_of(price - 1, price + 1));
    rig.feed(RecordType::kQuote, now(rig), quote_of(price + 2, price + 1));
    CHECK(rig.records<BarQuarantined>(RecordType::kBarQuarantined).size() == 3);
}

TEST_CASE("a book of levels is refused by each level that cannot be and when it crosses") {
    Rig rig;
    rig.connect();
    rig.feed(RecordType::kBookReset, now(rig), reset_of(BookResetReason::kSnapshot));
    rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kBuy, 100, 1));
    rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kSell, 99, 1));
    rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kSell, 99, 2));
    rig.feed(RecordType::kBookLevel, now(rig), level_of(Side::kSell, 99, -1));
    const auto refused = rig.records<BarQuarantined>(RecordType::kBarQuarantined);
    REQUIRE(refused.size() == 2);
    CHECK(refused[0].reason == static_cast<std::uint32_t>(QuarantineReason::kCrossedBook));
    CHECK(refused[1].reason == static_cast<std::uint32_t>(QuarantineReason::kNegativeVolume));
    CHECK(rig.desk().market.book().state() == BookState::kGapped);
}

TEST_CASE("a book of an instrument that is not there is not looked at") {
    Rig rig;
    rig.connect();
    Quote quote = quote_of(2, 1);
    quote.instrument = 1;
    rig.feed(RecordType::kQuote, now(rig), quote);
    BookLevel level = level_of(Side::kBuy, 1, 1);
    level.instrument = UINT32_MAX;
    rig.feed(RecordType::kBookLevel, now(rig), level);
    BookReset reset = reset_of(BookResetReason::kGap);
    reset.instrument = 1;
    rig.feed(RecordType::kBookReset, now(rig), reset);
    CHECK_FALSE(rig.desk().market.is_book_doubtful());
    CHECK(rig.engine->totals().gaps == 0);
}
