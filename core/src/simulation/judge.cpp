#include "gm/simulation/judge.hpp"

#include <algorithm>
#include <cstring>

#include "gm/runtime/frame.hpp"

namespace gm {
namespace {

bool trades(const RecordHeader& header) noexcept {
    const auto type = static_cast<RecordType>(header.type);
    return type == RecordType::kBarOpen || type == RecordType::kBarClose ||
           type == RecordType::kTrade;
}

}  // namespace

Judge::Judge(const Settings& settings, const Venue& venue, const Faults& faults,
             const Promises& promises)
    : settings_(settings), venue_(venue), faults_(faults), promises_(promises), limits_(settings) {
    for (const KernelSettings& kernel : settings.kernels) {
        is_policy_invalid_ = is_policy_invalid_ || std::string_view(kernel.name) == "invalid";
    }
}

// The first counts; nothing said is nothing broken.
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
        limits_.forget_behind(found);
    }
    records_read_ = found;
    feed_arrived_ = core.engine().last_feed_sequence();
    hello_ = Hello{};
    resting_.clear();
    read_journal(core.journal_ring().published());
    violate(kills_.on_start(words, core.engine()));
}

void Judge::on_death(std::uint64_t survives, bool has_power) noexcept {
    must_survive_ = survives;
    kills_.on_death(survives, has_power);
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

// But for the name of a latch, which the kernel's own dice make.
void Judge::fold_record(const Slot& record) noexcept {
    Slot folded = record;
    if (record.type() == RecordType::kKill) {
        std::memset(folded.payload + offsetof(Kill, latch_id), 0, sizeof Kill::latch_id);
    }
    std::uint64_t words[offsetof(Slot, trailer) / sizeof(std::uint64_t)];
    std::memcpy(words, &folded, sizeof words);
    for (const std::uint64_t word : words) fold(word);
}

void Judge::take_record(const Slot& record) {
    fold_record(record);
    violate(kills_.take(record));
    violate(limits_.take(record));
    if (record.type() == RecordType::kKillState) check_halt(record.as<KillState>());
    if (record.header.source != static_cast<std::uint16_t>(Source::kEngine)) last_input_ = record;
    if (record.type() == RecordType::kIntent) {
        intents_[key_of(record.as<NewOrder>().id)] = record.trailer.journal_sequence;
    } else if (record.type() == RecordType::kReplaceOrder) {
        intents_[key_of(record.as<ReplaceOrder>().replace_id)] = record.trailer.journal_sequence;
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
    const bool rests = update.state == OrderState::kLive || update.state == OrderState::kPartial;
    if (!rests) resting_.erase(key);
    if (rests && update.previous != OrderState::kPendingCancel) resting_.insert(key);
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
        check_level(replace.instrument, replace.is_reducing != 0, replace.replace_id);
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

// P13, by the judge's own account and by the words as they are.
void Judge::check_level(std::uint32_t instrument, bool is_reducing, const OrderId& id) {
    const auto intent = intents_.find(key_of(id));
    const std::uint64_t sequence = intent == intents_.end() ? UINT64_MAX : intent->second;
    const std::string wrong = kills_.check_send(instrument, is_reducing, sequence);
    if (!wrong.empty()) violate(wrong + ": " + name_of(id));
    const KillLevel level = words_->level_for(instrument);
    if (level < KillLevel::kReducing || (level == KillLevel::kReducing && is_reducing)) return;
    violate("P13: " + name_of(id) + " is sent under the word " + describe(level));
}

// A halt that the engine raised by itself is a promise, too: it needs a reason.
void Judge::check_halt(const KillState& state) {
    if (state.generation != 0 || state.cause == KillCause::kCleared) return;
    if (!is_allowed(state.cause)) {
        violate(std::string("halt without a fault that allows it: ") + describe(state.cause) +
                ", by a record of type " + std::to_string(last_input_.header.type));
    }
    has_impossible_ = has_impossible_ || state.cause == KillCause::kBadTransition ||
                      state.cause == KillCause::kReconBreak;
}

bool Judge::is_allowed(KillCause cause) const noexcept {
    const auto has = [&](WorldFault kind) {
        return faults_.counts()[static_cast<std::size_t>(kind)] > 0;
    };
    // A fill behind the end of its order, or one that was never told.
    const bool has_lost_fills = has(WorldFault::kFillAfterCancel) || has(WorldFault::kLostFill) ||
                                has(WorldFault::kLateFill);
    switch (cause) {
        case KillCause::kBadTransition:
            // The venue contradicts itself, or says that somebody sent an order twice.
            return has_lost_fills || has(WorldFault::kLateAck) || has(WorldFault::kUnknownOrder) ||
                   has(WorldFault::kRepeatedOrder);
        case KillCause::kReconBreak:  // or of an order that it said was open and does not have
            return has_lost_fills || has(WorldFault::kUnknownOrder);
        case KillCause::kRepeatExecution:
        case KillCause::kLoss: return true;  // the books of the limits have a say of their own
        case KillCause::kKernel:
        case KillCause::kPolicyInvalid: return is_policy_invalid_;
        default: return false;
    }
}

// Books of which the venue itself said things that cannot be.
bool Judge::is_position_doubtful() const noexcept {
    return has_impossible_ || adversary_->lost_fills() > 0;
}

}  // namespace gm
