#include "gm/simulation/judge.hpp"

#include <algorithm>
#include <cstring>

#include "gm/runtime/frame.hpp"

namespace gm {
namespace {

std::string name_of(const OrderId& id) {
    return "order " + std::to_string(id.epoch) + "/" + std::to_string(id.counter);
}

bool trades(const RecordHeader& header) noexcept {
    const auto type = static_cast<RecordType>(header.type);
    return type == RecordType::kBarOpen || type == RecordType::kBarClose ||
           type == RecordType::kTrade;
}

}  // namespace

Judge::Judge(const Settings& settings, const Venue& venue, const Promises& promises)
    : settings_(settings), venue_(venue), promises_(promises) {}

void Judge::violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
}

bool Judge::is_halted() const noexcept {
    return core_ != nullptr && core_->engine().kill_level(0) >= KillLevel::kHalted;
}

// ---- the engine's life

// P2: what was written before a death is there after it.
void Judge::on_start(Core& core, const KillWords& words) {
    core_ = &core;
    words_ = &words;
    const std::uint64_t found = core.report().replay.records;
    if (found < must_survive_) {
        violate("P2: the journal has " + std::to_string(found) + " records at the start, " +
                std::to_string(must_survive_) + " were safe before it");
    }
    if (found < records_read_) {  // a loss of power took the newest
        std::erase_if(intents_, [&](const auto& intent) { return intent.second > found; });
    }
    records_read_ = found;
    feed_arrived_ = core.engine().last_feed_sequence();
    hello_ = Hello{};
    read_journal(core.journal_ring().published());
}

void Judge::on_death(std::uint64_t survives) noexcept {
    must_survive_ = survives;
    core_ = nullptr;
    words_ = nullptr;
}

void Judge::read_journal(std::uint64_t last) {
    if (core_ == nullptr) return;
    while (records_read_ < last) {
        ++records_read_;
        take_record(core_->journal_ring().record(records_read_));
    }
}

void Judge::take_record(const Slot& record) {
    std::uint64_t words[offsetof(Slot, trailer) / sizeof(std::uint64_t)];
    std::memcpy(words, &record, sizeof words);
    for (const std::uint64_t word : words) fold(word);
    if (record.header.source != static_cast<std::uint16_t>(Source::kEngine)) last_input_ = record;
    if (record.type() == RecordType::kIntent) {
        intents_[key_of(record.as<NewOrder>().id)] = record.trailer.journal_sequence;
    } else if (record.type() == RecordType::kOrderUpdate) {
        take_update(record.as<OrderUpdate>());
    } else if (record.type() == RecordType::kConnected) {  // it may join where the feed is
        const auto event = record.as<SessionEvent>();
        if (event.has_backfill != 0) {
            feed_arrived_ = std::max(feed_arrived_, event.feed_begins_after);
        }
    }
}

// P3: only a message of the venue, or the send that gave an order to nobody, makes it dead.
void Judge::take_update(const OrderUpdate& update) {
    const std::uint64_t key = key_of(update.id);
    const bool is_recovered = update.previous == OrderState::kAbsent;
    if (update.state == OrderState::kOrphan || is_recovered) adopted_.insert(key);
    if (update.state == OrderState::kUnknown) {
        unknown_.insert(key);
    } else if (unknown_.erase(key) > 0) {
        ++unknowns_resolved_;
    }
    if (!is_terminal(update.state)) return;
    const bool is_told =
        last_input_.header.source == static_cast<std::uint16_t>(Source::kVenueOrders) ||
        last_input_.type() == RecordType::kOrderStopped;
    if (!is_told) {
        violate("P3: " + name_of(update.id) + " is dead (state " +
                std::to_string(static_cast<int>(update.state)) + ") by a record of type " +
                std::to_string(last_input_.header.type) + " that is not the venue's");
    }
    if (update.state != OrderState::kRejected && update.state != OrderState::kNever) return;
    for (const std::uint32_t row : open_rows_) {
        const LedgerOrder& order = venue_.ledger().orders()[row];
        if (order.id == update.id && order.is_open()) {
            violate("P3: " + name_of(update.id) + " is dead to the engine and open at the venue");
        }
    }
}

void Judge::on_arrived(Lane lane, std::span<const std::uint8_t> bytes) {
    Frame frame{};
    if (lane != Lane::kFeed || core_ == nullptr) return;
    if (decode_frame(bytes, FrameRole::kFeed, frame) != FrameFault::kNone) return;
    if (!is_numbered(frame.type())) return;
    if (frame.header.first_sequence <= feed_arrived_ + 1) {
        feed_arrived_ = std::max(feed_arrived_, frame.last_sequence());
    }
    if (!trades(frame.header)) return;
    market_ts_ns_ = std::max(market_ts_ns_, frame.header.receive_ts_ns);
    market_arrived_ns_ = now_ns_;
}

// ---- what leaves

void Judge::on_sent(std::span<const std::uint8_t> bytes) {
    Frame frame{};
    if (core_ == nullptr) return violate("P1: a frame of a dead process leaves");
    if (decode_frame(bytes, FrameRole::kToVenue, frame) != FrameFault::kNone) {
        return violate("P8: a frame that is none leaves the engine");
    }
    read_journal(core_->journal_ring().published());
    const Slot slot = frame.slot(0, 0);
    if (frame.type() == RecordType::kHello) hello_ = slot.as<Hello>();
    if (frame.type() == RecordType::kNewOrder) check_order(slot.as<NewOrder>());
    if (frame.type() == RecordType::kReplaceOrder) {
        const auto replace = slot.as<ReplaceOrder>();
        check_level(replace.instrument, replace.is_reducing != 0, replace.id);
    }
}

void Judge::check_order(const NewOrder& order) {
    const std::string name = name_of(order.id);
    if (!sent_.insert(key_of(order.id)).second) violate("P1: " + name + " is sent again");
    if (order.connection != hello_.connection || order.id.epoch != hello_.epoch) {
        violate("P1: " + name + " of connection " + std::to_string(order.connection) +
                " is sent on connection " + std::to_string(hello_.connection) + " of epoch " +
                std::to_string(hello_.epoch));
    }
    if (!intents_.contains(key_of(order.id))) {
        violate("P2: " + name + " is sent and not in the journal");
    }
    check_level(order.instrument, order.is_reducing != 0, order.id);
    const Engine& engine = core_->engine();
    if (engine.is_gapped() || engine.last_feed_sequence() > feed_arrived_) {
        violate("P6: " + name + " is sent over a gap: feed " +
                std::to_string(engine.last_feed_sequence()) + " was taken, " +
                std::to_string(feed_arrived_) + " has come without a hole");
    }
    check_age(order);
}

// R08. Without the promise a row is as old as its arrival: one that a link held back is fresh.
void Judge::check_age(const NewOrder& order) {
    const std::int64_t decided_ns = order.valid_until_ns - settings_.header.order_valid_for_ns;
    const std::int64_t age_ns =
        promises_.ages_by_event_time ? decided_ns - market_ts_ns_ : now_ns_ - market_arrived_ns_;
    if (age_ns > settings_.limits[order.instrument].reference_age_ns_max) {
        violate("R08: " + name_of(order.id) + " is decided on data " + std::to_string(age_ns) +
                " ns old");
    }
}

void Judge::check_level(std::uint32_t instrument, bool is_reducing, const OrderId& id) {
    const KillLevel level = words_->level_for(instrument);
    if (level < KillLevel::kReducing || (level == KillLevel::kReducing && is_reducing)) return;
    violate("P13: " + name_of(id) + " is sent under level " + describe(level));
}

// ---- after events

void Judge::follow_open_orders() {
    const auto orders = venue_.ledger().orders();
    for (; rows_seen_ < orders.size(); ++rows_seen_) {
        if (orders[rows_seen_].is_open()) {
            open_rows_.push_back(static_cast<std::uint32_t>(rows_seen_));
        }
    }
    std::erase_if(open_rows_, [&](std::uint32_t row) { return !orders[row].is_open(); });
}

// P14 at the venue: no outcome of what rests there exceeds a limit.
void Judge::look_at_venue() {
    follow_open_orders();
    Exposure truth;
    truth.position_lots = venue_.ledger().totals().position_lots;
    for (const std::uint32_t row : open_rows_) {
        const LedgerOrder& order = venue_.ledger().orders()[row];
        (void)reserve(truth, order.side, order.leaves_lots());
    }
    std::int64_t worst_lots = 0;
    const std::int64_t limit_lots = settings_.limits[0].position_lots_max;
    if (!worst_case_lots(truth, worst_lots) || worst_lots > limit_lots) {
        violate("P14: at the venue the worst case is " + std::to_string(worst_lots) +
                " lots, the limit " + std::to_string(limit_lots));
    }
}

void Judge::look_at_engine() {
    if (core_ == nullptr) return;
    read_journal(core_->journal_ring().published());
    follow_open_orders();
    const Engine& engine = core_->engine();
    std::int64_t buy_lots = 0;
    std::int64_t sell_lots = 0;
    for (const std::uint32_t row : open_rows_) {
        const LedgerOrder& order = venue_.ledger().orders()[row];
        const std::uint64_t key = key_of(order.id);
        if (!intents_.contains(key) && !adopted_.contains(key)) {
            if (engine.state() == EngineState::kReady) {
                violate("P2: " + name_of(order.id) +
                        " rests at the venue and the engine is ready without it");
            }
            continue;
        }
        (order.side == Side::kBuy ? buy_lots : sell_lots) += order.leaves_lots();
    }
    check_reserved(buy_lots, sell_lots);
    const bool knows_all = engine.last_reply_sequence() == venue_.last_reply_sequence() &&
                           adversary_->has_said_all() && adversary_->lost_fills() == 0;
    const std::int64_t ours = engine.desks()[0].position.lots;
    const std::int64_t theirs = venue_.ledger().totals().position_lots;
    if (knows_all && ours != theirs && !is_halted()) {
        violate("position: " + std::to_string(ours) + " lots, at the venue " +
                std::to_string(theirs) + ", with all replies taken");
    }
}

// P14 in the engine: what may still trade at the venue is reserved.
void Judge::check_reserved(std::int64_t open_buy_lots, std::int64_t open_sell_lots) {
    const Exposure& exposure = core_->engine().orders().exposure(0);
    if (exposure.open_buy_lots >= open_buy_lots && exposure.open_sell_lots >= open_sell_lots) {
        return;
    }
    if (adversary_->lost_fills() > 0 || is_halted()) return;
    violate("P14: reserved " + std::to_string(exposure.open_buy_lots) + " and " +
            std::to_string(exposure.open_sell_lots) + " lots, at the venue " +
            std::to_string(open_buy_lots) + " and " + std::to_string(open_sell_lots) +
            " may trade");
}

std::string Judge::unsettled() const {
    if (core_ == nullptr) return "the engine is not there";
    const Engine& engine = core_->engine();
    const bool is_up =
        engine.state() == EngineState::kReady || engine.state() == EngineState::kEnded;
    // Books that are not the venue's keep it from READY until two people have looked.
    if (engine.awaited() == Awaited::kReconBreak && is_halted()) return "";
    if (!is_up) {
        return "state " + std::to_string(static_cast<int>(engine.state())) + ", it waits for " +
               describe(engine.awaited());
    }
    if (engine.last_reply_sequence() != venue_.last_reply_sequence()) return "replies are open";
    if (venue_.last_feed_sequence() > engine.last_feed_sequence() + 2) return "the feed is behind";
    if (engine.awaiting_queries() > 0) return "queries are unanswered";
    if (is_halted()) return "";
    if (engine.open_orders() != open_rows_.size()) {
        return std::to_string(engine.open_orders()) + " orders are open, at the venue " +
               std::to_string(open_rows_.size());
    }
    const bool is_same = engine.desks()[0].position.lots == venue_.ledger().totals().position_lots;
    return is_same ? "" : "the position is not the venue's";
}

}  // namespace gm
