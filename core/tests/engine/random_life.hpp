// A life of an engine in which everything happens: a market that misbehaves and a venue that
// answers as it likes, drawn from one seed. It is reconciled as a life of the product is: READY
// waits for the venue's books and for ids. What the engine was told is kept, to be told again.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "engine/kernel_fixture.hpp"
#include "engine/two_levels.hpp"

namespace gm::test {

// Every limit that trips, refuses or is a sum, so near that some bar of the wave meets it.
inline Settings with_near_limits(Settings settings) {
    settings.header.loss_confirmations = 2;
    settings.account.gross_micros_max = 4'000'000'000 * std::int64_t(settings.limits.size());
    settings.account.credit_micros_max = 950'000 * std::int64_t(settings.limits.size());
    settings.account.loss_micros_max = 20'000'000;
    settings.account.drawdown_micros_max = 15'000'000;
    for (Limits& limits : settings.limits) {
        limits.margin_micros_per_lot = 1'000;
        limits.loss_micros_max = 10'000'000;
        limits.repeat_executions_max = 3;
        limits.repeat_window_ns = 3 * kHalfHourNs;
        limits.orders_burst_max = 2;
        limits.orders_per_second_max = 1;
        limits.duplicates_max = 2;
        limits.duplicate_window_ns = 4 * kHalfHourNs;
    }
    return settings;
}

class RandomLife : public Rig {
 public:
    RandomLife(const Settings& settings, std::uint32_t seed, std::int64_t minutes)
        : Rig(settings), settings_(settings), random_(seed), duration_ns_(minutes * kMinuteNs) {
        is_manual = true;
        Epoch start{};
        start.epoch = 1;
        start.is_reconciled = 1;
        std::memcpy(start.settings_sha256, settings.sha256, sizeof start.settings_sha256);
        io(RecordType::kEpoch, start);
        SessionEvent event{};
        event.connection = connection_;
        io(RecordType::kConnected, event);
        talk();
    }

    void live(int bar_count) {
        for (int i = 0; i < bar_count; ++i) {
            next_bar();
            now_and_then();
            talk();
        }
    }
    // A model under that name becomes the shadow; a later one promotes it, or rolls back.
    void shadow(std::uint8_t name, const Settings& of) {
        auto model = std::make_shared<Model>();
        REQUIRE(load_model(of, *model).is_ok());
        model->sha256 = {};
        model->sha256[0] = name;
        model->block_sha256[0] = name;
        models.push_back(model);
        (void)engine->models().collect();
        REQUIRE(engine->models().offer(model));
        command(ModelAction::kShadow, name, engine->models().last_number() + 1);
    }
    void command(ModelAction action, std::uint8_t name, std::uint32_t number) {
        ModelCommand made{};
        made.sha256[0] = name;
        made.model = number;
        made.action = action;
        io(RecordType::kModelCommand, made);
    }
    void kill(KillLevel level, KillCause cause, std::uint32_t at) {
        Kill made{};
        made.generation = ++generation_;
        made.instrument = at;
        made.level = level;
        made.cause = cause;
        io(RecordType::kKill, made);
        talk();
    }
    void reconnect() {
        SessionEvent event{};
        event.connection = connection_;
        io(RecordType::kDisconnected, event);
        event.connection = ++connection_;
        io(RecordType::kConnected, event);
        talk();
    }

    std::vector<std::shared_ptr<Model>> models;  // those that came, by their first byte
    Answer kernel = [](const KernelCall&, KernelResult result) { return result; };

 private:
    struct Resting {
        NewOrder order{};
        std::int64_t filled = 0;
        bool is_acked = false;
        ReplaceOrder wanted{};
    };

    [[nodiscard]] bool happens(double probability) {
        return std::uniform_real_distribution<>(0.0, 1.0)(random_) < probability;
    }
    [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
    }

    void next_bar() {
        if (happens(0.004)) count_ += between(1, 5);  // a hole in time
        const std::int64_t start = kStartNs + count_ * duration_ns_;
        const std::int64_t in_half_hour = kHalfHourNs / duration_ns_;
        const std::int64_t from = wave(count_ / in_half_hour);
        const std::int64_t to = wave(count_ / in_half_hour + 1);
        const std::int64_t sixth = count_ % in_half_hour;
        const std::int64_t open = from + (to - from) * sixth / in_half_hour;
        const std::int64_t close = from + (to - from) * (sixth + 1) / in_half_hour;
        ++count_;
        for (std::uint32_t at = 0; at < settings_.instruments.size(); ++at) {
            feed(RecordType::kBarOpen, start, BarOpen{start, duration_ns_, open, at, 0, {}});
        }
        ask_kernels();
        price_ = open;
        talk();
        look_at_book(start);
        for (std::uint32_t at = 0; at < settings_.instruments.size(); ++at) {
            close_one(at, start, open, close);
        }
        ask_kernels();
        price_ = close;
    }
    void close_one(std::uint32_t at, std::int64_t start, std::int64_t open, std::int64_t close) {
        BarClose row{};
        row.start_ts_ns = start;
        row.open_ticks = open;
        row.high_ticks = std::max(open, close) + between(1, 9);
        row.low_ticks = std::min(open, close) - between(1, 9);
        row.close_ticks = close;
        row.volume_lots = between(1, 50);
        row.duration_s = static_cast<std::uint32_t>(duration_ns_ / 1'000'000'000);
        row.instrument = at;
        if (happens(0.003)) row.high_ticks = row.low_ticks - 1;  // refused
        if (happens(0.002)) row.close_ticks *= 3;
        feed(RecordType::kBarClose, start + duration_ns_, row);
    }
    void look_at_book(std::int64_t start) {
        if (happens(0.02)) {
            feed(RecordType::kBookReset, start, BookReset{0, 0, 0, BookResetReason::kSnapshot, {}});
        }
        for (std::int64_t i = between(0, 3); i > 0; --i) {
            const bool is_bid = happens(0.5);
            const std::int64_t ticks = price_ + (is_bid ? -between(1, 9) : between(1, 9));
            const std::uint8_t is_last = happens(0.7) ? 1 : 0;
            BookLevel level{ticks, between(0, 20), 0, is_bid ? Side::kBuy : Side::kSell, is_last,
                            {}};
            feed(RecordType::kBookLevel, start + 1, level);
        }
        if (happens(0.1)) {
            Quote quote{};
            quote.bid_ticks = price_ - between(-1, 3);
            quote.ask_ticks = price_ + between(0, 3);
            quote.bid_lots = quote.ask_lots = between(1, 9);
            feed(RecordType::kQuote, start + 2, quote);
        }
    }
    void now_and_then() {
        if (happens(0.01)) feed(RecordType::kQuarantine, engine->now_ns(), Quarantine{});
        if (happens(0.005)) {  // a number is missing: the venue sends it again
            ++feed_sequence;
            feed(RecordType::kHeartbeat, engine->now_ns(), Heartbeat{});
            feed_sequence = engine->last_feed_sequence();
        }
        if (engine->is_gapped() && happens(0.5)) reconnect();
        if (happens(0.01)) reconnect();
        if (happens(is_under_ ? 0.3 : 0.02)) change_headroom();
        if (happens(0.05)) tell_books(false, happens(0.2));
        if (happens(0.05)) lift();
        if (happens(0.1)) {
            step(make_slot(RecordType::kTimer, Source::kIo, 0,
                           engine->now_ns() + between(0, 3'000'000'000), Timer{}));
        }
        if (happens(0.01)) {
            Fill stranger{};
            stranger.id = {7, 1, static_cast<std::uint64_t>(between(1'000'000, 2'000'000))};
            stranger.execution_id = ++executions;
            stranger.price_ticks = price_;
            stranger.quantity_lots = happens(0.5) ? 1 : 0;
            reply(RecordType::kFill, stranger);
            lift();
        }
    }
    // Of R18, as io says it: once under the floor, once above it again.
    void change_headroom() {
        is_under_ = !is_under_;
        Headroom room{};
        room.free_ppm = is_under_ ? 50'000 : 500'000;
        room.floor_ppm = 100'000;
        room.under = is_under_ ? room_bit(Room::kDisk) : 0;
        io(RecordType::kHeadroom, room);
    }
    // The venue's books, which are ours unless they are `wrong`.
    [[nodiscard]] PositionReport books_of(std::uint32_t at, bool is_wrong) const {
        const Position& position = engine->desks()[at].position;
        const Int128 cash =
            position.realised_micros - position.cost * settings_.instruments[at].tick_value_micros;
        PositionReport report{};
        report.position_lots = position.lots + (is_wrong ? 1 : 0);
        report.cash_micros_low = static_cast<std::uint64_t>(cash);
        report.cash_micros_high = static_cast<std::int64_t>(cash >> 64);
        report.commission_micros = position.commission_micros;
        report.last_reply_sequence = engine->last_reply_sequence();
        report.open_orders = static_cast<std::uint32_t>(engine->orders().open_orders(at));
        report.instrument = at;
        report.is_last = at + 1 == settings_.instruments.size() ? 1 : 0;
        return report;
    }
    void tell_books(bool is_asked, bool is_wrong) {
        for (std::uint32_t at = 0; at < settings_.instruments.size(); ++at) {
            const PositionReport report = books_of(at, is_wrong);
            if (is_asked) {
                reply(RecordType::kPositionReport, report);
            } else {
                io(RecordType::kPositionCheck, report);
            }
        }
    }
    // What halts an instrument would end the story: two people sign.
    void lift() {
        if (engine->kill_level(0) == KillLevel::kActive) return;
        kill(KillLevel::kActive, KillCause::kCleared, kWholeAccount);
        for (std::uint32_t at = 0; at < settings_.instruments.size(); ++at) {
            kill(KillLevel::kActive, KillCause::kCleared, at);
        }
    }
    void ask_kernels() { serve(*this, kernel); }

    void talk() {
        for (int round = 0; round < 8; ++round) {
            for (const NewOrder& order : take_orders()) resting_.push_back({order, 0, false, {}});
            std::vector<Slot> said;
            said.swap(messages);
            for (const Slot& slot : said) hear(slot);
            for (std::size_t i = 0; i < resting_.size(); ++i) act(resting_[i]);
            std::erase_if(resting_, [](const Resting& one) { return one.order.id.counter == 0; });
            if (orders.front() == nullptr) return;
        }
    }
    [[nodiscard]] Resting* find(const OrderId& id) {
        for (Resting& one : resting_) {
            if (one.order.id == id) return &one;
        }
        return nullptr;
    }
    void end(Resting& one) { one.order.id.counter = 0; }

    void hear(const Slot& slot) {
        if (slot.type() == RecordType::kQueryAccount) return tell_books(true, happens(0.05));
        if (slot.type() == RecordType::kIdsWanted) {
            const auto wanted = slot.as<IdsWanted>();
            IdsReserved reserved{};
            reserved.last_counter = wanted.last_counter;
            reserved.epoch = wanted.epoch;
            return io(RecordType::kIdsReserved, reserved);
        }
        if (slot.type() == RecordType::kQueryOrder) return report(slot.as<QueryOrder>());
        if (slot.type() == RecordType::kReplaceOrder) {
            const auto asked = slot.as<ReplaceOrder>();
            Resting* const one = find(asked.id);
            if (one != nullptr && happens(0.9)) one->wanted = asked;
        }
        if (slot.type() != RecordType::kCancelOrder || happens(0.1)) return;
        Resting* const one = find(slot.as<CancelOrder>().id);
        if (one == nullptr || (happens(0.2) && fill_some(*one))) return;
        reply(RecordType::kCancelled, OrderEnded{one->order.id, one->filled, 0, {}});
        end(*one);
    }
    void report(const QueryOrder& asked) {
        if (happens(0.2)) return;  // asked again at the next connection
        OrderStateReport said{};
        said.id = asked.id;
        if (Resting* const one = find(asked.id); one != nullptr) {
            one->is_acked = true;
            said.filled_lots = one->filled;
            said.leaves_lots = one->order.quantity_lots - one->filled;
            said.state = one->filled > 0 ? OrderState::kPartial : OrderState::kLive;
            said.side = one->order.side;
            said.is_replace_absent = asked.replace_id == OrderId{} ? 0 : 1;
            one->wanted = {};
        }
        reply(RecordType::kOrderState, said);
    }
    bool fill_some(Resting& one) {
        const std::int64_t left = one.order.quantity_lots - one.filled;
        const std::int64_t lots = happens(0.5) ? left : between(1, left);
        one.filled += lots;
        Fill made{};
        made.id = one.order.id;
        made.execution_id = ++executions;
        made.price_ticks = price_;
        made.quantity_lots = lots;
        made.leaves_lots = left - lots;
        made.commission_micros = 5;
        made.instrument = one.order.instrument;
        made.side = one.order.side;
        reply(RecordType::kFill, made);
        if (happens(0.05)) reply(RecordType::kFill, made);  // told twice
        if (lots == left) end(one);
        return lots == left;
    }
    void act(Resting& one) {
        if (!one.is_acked && happens(0.9)) {
            if (happens(0.05)) {
                reply(RecordType::kReject,
                      Reject{one.order.id, one.order.instrument, RejectReason::kRandom, {}, {}});
                return end(one);
            }
            one.is_acked = true;
            ack(one.order);
        }
        if (!(one.wanted.id == OrderId{})) {
            const ReplaceOrder wanted = std::exchange(one.wanted, {});
            if (wanted.quantity_lots <= one.filled || happens(0.1)) {
                reply(RecordType::kReject, Reject{wanted.id,
                                                  one.order.instrument,
                                                  RejectReason::kTooLate,
                                                  wanted.replace_id,
                                                  {}});
            } else {
                one.order.price_ticks = wanted.price_ticks;
                one.order.quantity_lots = wanted.quantity_lots;
                reply(RecordType::kReplaced, Replaced{wanted.id,
                                                      wanted.replace_id,
                                                      wanted.price_ticks,
                                                      wanted.quantity_lots,
                                                      one.filled,
                                                      one.order.instrument,
                                                      {}});
            }
        }
        const bool is_market = one.order.type == OrderType::kMarket;
        if (one.is_acked && happens(is_market ? 0.8 : 0.1) && fill_some(one)) return;
        if (happens(0.01)) {
            reply(RecordType::kExpired, OrderEnded{one.order.id, one.filled, 0, {}});
            end(one);
        }
    }

    Settings settings_;
    std::mt19937_64 random_;
    std::int64_t duration_ns_;
    std::int64_t count_ = 0;
    std::int64_t price_ = 40'000;
    std::uint64_t generation_ = 0;
    std::uint32_t connection_ = 1;
    bool is_under_ = false;  // R18
    std::vector<Resting> resting_;
};

}  // namespace gm::test
