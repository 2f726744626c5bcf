// Small worlds for the tests of the venue: bars, orders, and a trader who reads everything.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "gm/venue/venue.hpp"

namespace venue_test {

inline constexpr std::int64_t kBarNs = 60'000'000'000;
inline constexpr std::int64_t kStartNs = 1'640'995'200'000'000'000;  // 2022-01-01

inline gm::Instrument instrument() {
    gm::Instrument instrument{};
    std::memcpy(instrument.symbol, "TEST", 4);
    instrument.tick_size_e9 = 1'000'000'000;
    instrument.order_tick_ticks = 1;
    instrument.tick_value_micros = 100;
    instrument.band_ppm = 200'000;
    instrument.band_ticks_min = 1;
    return instrument;
}

inline gm::VenueSettings settings() {
    gm::VenueSettings settings{};
    settings.seed = 7;
    settings.orders_max = 1024;
    return settings;
}

inline gm::TapeRow bar(std::int64_t index, std::int64_t open, std::int64_t high, std::int64_t low,
                       std::int64_t close) {
    gm::BarClose bar{};
    bar.start_ts_ns = kStartNs + index * kBarNs;
    bar.duration_s = 60;
    bar.open_ticks = open;
    bar.high_ticks = high;
    bar.low_ticks = low;
    bar.close_ticks = close;
    bar.volume_lots = 10;
    return gm::make_row(gm::RecordType::kBarClose, 0, bar);
}

inline gm::TapeRow trade(std::int64_t ts_ns, std::int64_t price) {
    gm::Trade trade{};
    trade.price_ticks = price;
    trade.quantity_lots = 1;
    return gm::make_row(gm::RecordType::kTrade, ts_ns, trade);
}

inline gm::TapeRow refusal(std::uint64_t line) {
    gm::Quarantine refusal{};
    refusal.line = line;
    refusal.reason = static_cast<std::uint32_t>(gm::QuarantineReason::kOffGrid);
    return gm::make_row(gm::RecordType::kQuarantine, 0, refusal);
}

inline gm::NewOrder order(std::uint64_t counter, gm::Side side, std::int64_t lots,
                          gm::OrderType type = gm::OrderType::kMarket, std::int64_t price = 0) {
    gm::NewOrder order{};
    order.id = {1, 1, counter};
    order.connection = 1;
    order.side = side;
    order.type = type;
    order.quantity_lots = lots;
    order.price_ticks = price;
    order.valid_until_ns = INT64_MAX;
    return order;
}

// One trader on one venue, epoch 1, connection 1.
class Driver {
 public:
    explicit Driver(std::vector<gm::TapeRow> rows, gm::VenueSettings with = settings())
        : tape_(std::move(rows)) {
        const gm::Failure failure = venue.open(with, instrument(), tape_);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        venue.on_session(1, 1);
    }

    [[nodiscard]] gm::Sender sender() const { return {1, 1, venue.now_ns()}; }

    void send(const gm::NewOrder& order) { venue.on_order(order, sender()); }
    void cancel(std::uint64_t counter) {
        gm::CancelOrder cancel{};
        cancel.id = {1, 1, counter};
        venue.on_cancel(cancel, sender());
    }
    void query(std::uint64_t counter, std::uint64_t replace = 0) {
        gm::QueryOrder query{};
        query.id = {1, 1, counter};
        if (replace != 0) query.replace_id = {1, 1, replace};
        venue.on_query(query, sender());
    }
    void replace(std::uint64_t counter, std::uint64_t replace, std::int64_t lots,
                 std::int64_t price) {
        gm::ReplaceOrder asked{};
        asked.id = {1, 1, counter};
        asked.replace_id = {1, 1, replace};
        asked.quantity_lots = lots;
        asked.price_ticks = price;
        asked.valid_until_ns = INT64_MAX;
        venue.on_replace(asked, sender());
    }

    // The next feed event; its type is kNone after END.
    gm::Slot feed() {
        gm::Slot slot{};
        if (!venue.next_feed(slot)) slot = gm::Slot{};
        return slot;
    }
    // The next reply; its type is kNone when the event has no more.
    gm::Slot reply() {
        gm::Slot slot{};
        if (!venue.next_reply(seen, slot)) return gm::Slot{};
        ++seen;
        CHECK(slot.header.first_sequence == seen);
        return slot;
    }
    std::vector<gm::Slot> replies() {
        std::vector<gm::Slot> all;
        for (gm::Slot slot = reply(); slot.type() != gm::RecordType::kNone; slot = reply()) {
            all.push_back(slot);
        }
        return all;
    }
    std::vector<gm::Fill> fills() {
        std::vector<gm::Fill> all;
        for (const gm::Slot& slot : replies()) {
            if (slot.type() == gm::RecordType::kFill) all.push_back(slot.as<gm::Fill>());
        }
        return all;
    }
    // Plays to the end without another word of the trader.
    std::vector<gm::Slot> rest() {
        std::vector<gm::Slot> all = replies();
        for (gm::Slot slot = feed(); slot.type() != gm::RecordType::kNone; slot = feed()) {
            const std::vector<gm::Slot> more = replies();
            all.insert(all.end(), more.begin(), more.end());
        }
        return all;
    }

    gm::Venue venue;
    std::uint64_t seen = 0;

 private:
    std::vector<gm::TapeRow> tape_;
};

}  // namespace venue_test
