// Promise P7 against floods and crashes: what is not ours is one label, a crash of the price trades
// nothing that was refused, and a thousand instruments fit.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "engine/rig.hpp"

using namespace gm;
using namespace gm::test;

namespace {

BarClose flat_bar(std::int64_t start_ns, std::int64_t price, std::uint32_t instrument = 0) {
    return {start_ns, price, price, price, price, 10, 1800, instrument, 0, 0};
}

std::uint64_t count(Rig& rig, QuarantineReason reason) {
    const auto refused = rig.records<BarQuarantined>(RecordType::kBarQuarantined);
    return static_cast<std::uint64_t>(
        std::ranges::count(refused, static_cast<std::uint32_t>(reason), &BarQuarantined::reason));
}

}  // namespace

TEST_CASE("a flood of 10,000 unknown symbols is refused under one label") {
    Rig rig;
    rig.connect();
    for (int i = 0; i < 250; ++i) rig.wave_bar();
    const std::uint64_t bars = rig.desk().closed_bars_30m;
    const std::int64_t price = rig.desk().market.last_good_price_ticks();
    const std::int64_t now = kStartNs + rig.bars * kHalfHourNs;
    for (std::uint32_t symbol = 1; symbol <= 10'000; ++symbol) {
        rig.feed(RecordType::kBarClose, now, flat_bar(now - kHalfHourNs, 1'000, symbol));
    }
    CHECK(rig.engine->totals().unknown_symbols == 10'000);
    const auto refused = rig.records<BarQuarantined>(RecordType::kBarQuarantined);
    REQUIRE(refused.size() == 10'000);
    for (const BarQuarantined& one : refused) {
        REQUIRE(one.instrument == kUnknownInstrument);
        REQUIRE(one.reason == static_cast<std::uint32_t>(QuarantineReason::kUnknownSymbol));
    }
    // Its own instrument trades on as if nothing had been said.
    CHECK(rig.desk().closed_bars_30m == bars);
    CHECK(rig.desk().market.last_good_price_ticks() == price);
    CHECK(rig.desk().market.entries_allowed());
    rig.wave_bar();
    CHECK(rig.desk().closed_bars_30m == bars + 1);
}

TEST_CASE("an opening and a trade of an unknown symbol are counted too") {
    Rig rig;
    rig.connect();
    rig.feed(RecordType::kBarOpen, kStartNs, BarOpen{kStartNs, kHalfHourNs, 1'000, 9, 0, {}});
    Trade trade{};
    trade.price_ticks = 1'000;
    trade.quantity_lots = 1;
    trade.instrument = UINT32_MAX;
    rig.feed(RecordType::kTrade, kStartNs, trade);
    CHECK(count(rig, QuarantineReason::kUnknownSymbol) == 2);
    CHECK(rig.desk().market.last_good_ts_ns() == kNoTime);
}

TEST_CASE("a flash crash for two bars is refused, orders nothing and is over with the third") {
    Rig rig;
    rig.connect();
    for (int i = 0; i < 250; ++i) rig.wave_bar();
    const std::int64_t price = rig.desk().market.last_good_price_ticks();
    const std::uint64_t decisions = rig.engine->totals().decisions;
    for (int i = 0; i < 2; ++i) {
        rig.bar(price / 2, price / 2);
        CHECK(rig.desk().market.last_good_price_ticks() == price);
    }
    CHECK(rig.engine->totals().decisions == decisions);
    CHECK(count(rig, QuarantineReason::kJumpBand) >= 2);
    rig.bar(price, price);
    CHECK(rig.engine->totals().decisions > decisions);
    CHECK(rig.desk().market.entries_allowed());
}

TEST_CASE("numbers that a restarted publisher uses again are dropped, and a hole stops orders") {
    Rig rig;
    rig.connect();
    for (int i = 0; i < 250; ++i) rig.wave_bar();
    const std::uint64_t bars = rig.desk().closed_bars_30m;
    const std::int64_t price = rig.desk().market.last_good_price_ticks();
    // The publisher counts from 1 again: everything is older than what is known.
    const std::uint64_t known = rig.feed_sequence;
    rig.feed_sequence = 0;
    for (int i = 0; i < 100; ++i) rig.wave_bar();
    CHECK(rig.desk().closed_bars_30m == bars);
    CHECK(rig.desk().market.last_good_price_ticks() == price);
    CHECK(rig.engine->totals().duplicates == 200);
    // It counts past what is known with a hole: orders stop until a connection brings the rest.
    rig.feed_sequence = known + 50;
    rig.wave_bar();
    CHECK(rig.engine->totals().gaps >= 1);
    CHECK(rig.desk().closed_bars_30m == bars);
}

namespace {

std::uint64_t resident_bytes() {
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    REQUIRE(file != nullptr);
    unsigned long long pages = 0;
    unsigned long long resident = 0;
    REQUIRE(std::fscanf(file, "%llu %llu", &pages, &resident) == 2);
    std::fclose(file);
    return resident * 4'096;
}

}  // namespace

TEST_CASE("a thousand instruments fit into 4 GiB, and the last of them trades") {
    constexpr std::uint32_t kInstruments = 1'000;
    Settings settings = make_settings();
    for (std::uint32_t i = 1; i < kInstruments; ++i) {
        Instrument row = settings.instruments[0];
        std::snprintf(row.symbol, sizeof row.symbol, "S%u", i);
        settings.instruments.push_back(row);
        settings.limits.push_back(settings.limits[0]);
        settings.sizing.push_back(settings.sizing[0]);
    }
    const std::uint64_t before = resident_bytes();
    Rig rig(settings);
    rig.connect();
    const std::uint32_t last = kInstruments - 1;
    for (int i = 0; i < 250; ++i) {
        const std::int64_t start = kStartNs + i * kHalfHourNs;
        const std::int64_t price = wave(i);
        rig.feed(RecordType::kBarClose, start + kHalfHourNs, flat_bar(start, price, last));
    }
    CHECK(rig.engine->desks()[last].closed_bars_30m == 250);
    CHECK(rig.engine->totals().decisions > 0);
    const std::uint64_t used = resident_bytes() - before;
    MESSAGE("1,000 instruments: ", used >> 20, " MiB");
    CHECK(used < std::uint64_t{4} << 30);
}
