// An engine, its rings and a scripted venue, for the tests of this floor.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "gm/engine/engine.hpp"
#include "policy/onnx_bytes.hpp"
#include "wave.hpp"

namespace gm::test {

inline constexpr std::int64_t kHalfHourNs = 1'800'000'000'000;
inline constexpr std::int64_t kStartNs = 1'640'995'200'000'000'000;  // 2022-01-01 00:00 UTC

// One Gemm over 48 x 2 inputs (columns 8 and 9) and the context: logits (g m, 0, -g m) with m the
// sum of both columns of the last row. `gain` makes it bold or timid.
inline Bytes momentum_network(float gain) {
    std::vector<float> weights(102 * 3, 0.0F);
    for (const std::size_t input : {94U, 95U}) {
        weights[input * 3] = gain;
        weights[input * 3 + 2] = -gain;
    }
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "y")};
    graph.tensors = {tensor("w", {102, 3}, weights), tensor("b", {3}, {0.0F, 0.0F, 0.0F})};
    graph.inputs = {value("x", {0, 102})};
    graph.outputs = {value("y", {0, 3})};
    return model(graph);
}

// A network whose logits are no numbers for any input that is not zero: 1e38 x 1e38 twice.
inline Bytes overflowing_network() {
    std::vector<float> wide(102 * 3, 3e38F);
    std::vector<float> square(9, 3e38F);
    Graph graph;
    graph.nodes = {node("Gemm", {"x", "w", "b"}, "h"), node("Gemm", {"h", "v", "c"}, "y")};
    graph.tensors = {tensor("w", {102, 3}, wide), tensor("b", {3}, {0.0F, 0.0F, 0.0F}),
                     tensor("v", {3, 3}, square), tensor("c", {3}, {0.0F, 0.0F, 0.0F})};
    graph.inputs = {value("x", {0, 102})};
    graph.outputs = {value("y", {0, 3})};
    return model(graph);
}

inline Settings make_settings(float gain = 50.0F) {
    Settings s;
    s.header.magic = kSettingsMagic;
    s.header.installation = 7;
    s.header.threshold = 0.55;
    s.header.order_timeout_ns = 2'000'000'000;
    s.header.order_valid_for_ns = 5'000'000'000;
    s.header.max_hold_bars = 46;
    s.header.confirmed_clean_bars = 48;
    s.header.synergy_mlmi_min = 10.0;
    s.header.synergy_slope_min = 0.02;
    s.header.synergy_window_bars = 24;
    s.header.synergy_cooldown_bars = 5;
    s.account = {1000, 1000, 1000, 1000, {}};
    Instrument instrument{};
    std::strcpy(instrument.symbol, "BTC-PERP");
    std::strcpy(instrument.currency, "USD");
    instrument.tick_size_e9 = 1'000'000'000;
    instrument.volume_lot_e9 = instrument.order_lot_e9 = 100'000;
    instrument.order_tick_ticks = 1;
    instrument.tick_value_micros = 100;
    instrument.band_ppm = 200'000;
    instrument.band_ticks_min = 5;
    instrument.session_count = 1;
    instrument.offset_count = 1;
    s.instruments = {instrument};
    s.sessions = {{0, 4'000'000'000'000'000'000, 0}};
    s.offsets = {{0, 0}};
    Limits limits{};
    limits.order_quantity_lots_max = 2000;
    limits.order_notional_micros_max = 90'000'000'000;
    limits.collar_ppm = 20'000;
    limits.reference_age_ns_max = 60'000'000'000;
    limits.position_lots_max = 1000;
    limits.orders_per_second_max = 100;
    limits.orders_burst_max = 100;
    limits.duplicates_max = 10;
    limits.duplicate_window_ns = 1'000'000'000;
    limits.sides_allowed = 3;
    limits.types_allowed = 1;
    s.limits = {limits};
    s.sizing = {{1000, {}}};
    AgentSettings agent{};
    std::strcpy(agent.name, "momentum");
    agent.temperature = 1.0;
    agent.column_mask = 1U << kMomentum20 | 1U << kMomentum50;
    agent.context_count = 6;
    s.agents = {agent};
    s.onnx = {momentum_network(gain)};
    return s;
}

class Rig {
 public:
    explicit Rig(const Settings& settings = make_settings(), std::uint64_t journal_slots = 1U << 16)
        : settings_(settings) {
        REQUIRE(journal.open_anonymous(journal_slots).is_ok());
        REQUIRE(orders.open(4096).is_ok());
        out = std::make_unique<Outputs>(journal, orders, nullptr);
        engine = std::make_unique<Engine>();
        const Failure failure = engine->open(settings);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    }

    // Epoch and connection, answered queries aside: the engine is ready.
    void connect(std::uint32_t epoch = 1, std::uint32_t connection = 1) {
        Epoch start{};
        start.epoch = epoch;
        std::memcpy(start.settings_sha256, settings_.sha256, sizeof start.settings_sha256);
        io(RecordType::kEpoch, start);
        SessionEvent event{};
        event.connection = connection;
        io(RecordType::kConnected, event);
    }

    template <typename P>
    void io(RecordType type, const P& payload) {
        step(make_slot(type, Source::kIo, 0, engine->now_ns(), payload));
    }
    template <typename P>
    void feed(RecordType type, std::int64_t ts_ns, const P& payload) {
        step(make_slot(type, Source::kVenueFeed, ++feed_sequence, ts_ns, payload));
    }
    template <typename P>
    void reply(RecordType type, const P& payload) {
        step(make_slot(type, Source::kVenueOrders, ++reply_sequence, engine->now_ns(), payload));
    }

    // One bar: OPEN, then CLOSE half an hour later.
    void bar(std::int64_t open, std::int64_t close) {
        const std::int64_t start = kStartNs + bars * kHalfHourNs;
        feed(RecordType::kBarOpen, start, BarOpen{start, kHalfHourNs, open, 0, 0, {}});
        on_open(open);
        ++bars;
        close_bar(start, kHalfHourNs, open, close);
    }
    void close_bar(std::int64_t start, std::int64_t duration_ns, std::int64_t open,
                   std::int64_t close) {
        feed(RecordType::kBarClose, start + duration_ns,
             bar_close(start, duration_ns, open, close));
    }
    // Three ticks of shadow on either side.
    static BarClose bar_close(std::int64_t start, std::int64_t duration_ns, std::int64_t open,
                              std::int64_t close) {
        BarClose row{};
        row.start_ts_ns = start;
        row.open_ticks = open;
        row.high_ticks = std::max(open, close) + 3;
        row.low_ticks = std::min(open, close) - 3;
        row.close_ticks = close;
        row.volume_lots = 10;
        row.duration_s = static_cast<std::uint32_t>(duration_ns / 1'000'000'000);
        return row;
    }

    // Momentum is strong in both directions.
    void wave_bar() { bar(wave(bars == 0 ? 0 : bars - 1), wave(bars)); }

    // Acknowledge and fill everything at the next OPEN unless `is_manual`.
    void on_open(std::int64_t price) {
        if (is_manual) return;
        for (const NewOrder& order : take_orders()) {
            pending.push_back(order);
        }
        for (const NewOrder& order : pending) fill(order, price, order.quantity_lots, 0);
        pending.clear();
    }
    void ack(const NewOrder& order) { reply(RecordType::kAck, Ack{order.id, 1, 0, {}}); }
    void fill(const NewOrder& order, std::int64_t price, std::int64_t lots, std::int64_t leaves) {
        reply(RecordType::kFill,
              Fill{order.id, ++executions, price, lots, leaves, 5, 0, order.side, {}});
    }

    // What the engine sent since the last call, orders only; the rest goes to `messages`.
    std::vector<NewOrder> take_orders() {
        std::vector<NewOrder> sent;
        for (const Slot* slot = orders.front(); slot != nullptr; slot = orders.front()) {
            if (slot->type() == RecordType::kNewOrder)
                sent.push_back(slot->as<NewOrder>());
            else
                messages.push_back(*slot);
            orders.pop();
        }
        return sent;
    }
    template <typename P>
    std::vector<P> records(RecordType type) const {
        std::vector<P> found;
        for (const Slot& slot : written) {
            if (slot.type() == type) found.push_back(slot.as<P>());
        }
        return found;
    }
    const Desk& desk() const { return engine->desks()[0]; }

    void step(const Slot& input) {
        engine->step(input, *out);
        for (auto waiting = journal.front(); !waiting.empty(); waiting = journal.front()) {
            written.insert(written.end(), waiting.begin(), waiting.end());
            journal.pop(waiting.size());
        }
    }

    JournalRing journal;
    SpscRing<Slot> orders;
    std::unique_ptr<Outputs> out;
    std::unique_ptr<Engine> engine;
    std::vector<Slot> written;
    std::vector<Slot> messages;
    std::vector<NewOrder> pending;
    std::uint64_t feed_sequence = 0;
    std::uint64_t reply_sequence = 0;
    std::uint64_t executions = 0;
    std::int64_t bars = 0;
    bool is_manual = false;

 private:
    Settings settings_;
};

}  // namespace gm::test
