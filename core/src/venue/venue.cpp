// The tape becomes feed events, and each event meets the orders that were there before it.
#include "gm/venue/venue.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace gm {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kSlippageTicksMax = 1'000'000;
constexpr std::int64_t kCommissionMicrosMax = 1'000'000'000'000;  // a million a lot
constexpr std::int64_t kLatencyNsMax = std::int64_t{366} * 86'400 * kNsPerSecond;

Failure check_range(const char* key, std::int64_t value, std::int64_t max) {
    if (value >= 0 && value <= max) return ok();
    return fail(Status::kBadSettings, std::string(key) + " must be 0 to " + std::to_string(max) +
                                          ": " + std::to_string(value));
}

Failure check_settings(const VenueSettings& settings) {
    const struct {
        const char* key;
        std::int64_t value;
        std::int64_t max;
    } ranges[] = {
        {"latency_ns", settings.latency_ns, kLatencyNsMax},
        {"slippage_ticks", settings.slippage_ticks, kSlippageTicksMax},
        {"commission_micros_per_lot", settings.commission_micros_per_lot, kCommissionMicrosMax},
        {"commission_ppm", settings.commission_ppm, kPpm},
        {"partial_fill_ppm", settings.partial_fill_ppm, kPpm},
        {"reject_ppm", settings.reject_ppm, kPpm},
    };
    for (const auto& range : ranges) {
        if (Failure failure = check_range(range.key, range.value, range.max); !failure.is_ok()) {
            return failure;
        }
    }
    return ok();
}

bool is_book(std::uint32_t type) noexcept {
    return type == static_cast<std::uint32_t>(RecordType::kQuote) ||
           type == static_cast<std::uint32_t>(RecordType::kBookLevel) ||
           type == static_cast<std::uint32_t>(RecordType::kBookReset);
}

bool is_row_type(std::uint32_t type) noexcept {
    return type == static_cast<std::uint32_t>(RecordType::kBarClose) ||
           type == static_cast<std::uint32_t>(RecordType::kTrade) ||
           type == static_cast<std::uint32_t>(RecordType::kQuarantine) || is_book(type);
}

// When the bar of a row ends; its start where that does not fit.
std::int64_t end_of(const BarClose& bar) noexcept {
    std::int64_t end = 0;
    return add_overflows(bar.start_ts_ns, bar.duration_s * kNsPerSecond, end) ? bar.start_ts_ns
                                                                              : end;
}

BarOpen open_of(const BarClose& bar) noexcept {
    BarOpen open{};
    open.start_ts_ns = bar.start_ts_ns;
    open.duration_ns = bar.duration_s * kNsPerSecond;
    open.open_ticks = bar.open_ticks;
    open.instrument = bar.instrument;
    open.flags = bar.flags;
    return open;
}

}  // namespace

Failure Venue::open(const VenueSettings& settings, const Instrument& instrument,
                    std::span<const TapeRow> tape, bool can_repeat) {
    if (Failure failure = check_settings(settings); !failure.is_ok()) return failure;
    if (instrument.tick_value_micros <= 0 || instrument.order_tick_ticks <= 0) {
        return fail(Status::kBadInstrument,
                    "tick_value_micros and order_tick_ticks must be above 0: " +
                        std::to_string(instrument.tick_value_micros) + ", " +
                        std::to_string(instrument.order_tick_ticks));
    }
    if (tape.size() >= UINT32_MAX) {
        return fail(Status::kBadTape,
                    "a tape has at most 4294967294 rows: " + std::to_string(tape.size()));
    }
    *this = Venue{};
    std::int64_t bar_ns = 0;
    for (std::size_t row = 0; row < tape.size(); ++row) {
        if (!is_row_type(tape[row].type)) {
            return fail(Status::kBadTape, "row " + std::to_string(row) + " has type " +
                                              std::to_string(tape[row].type) +
                                              ", not bar, trade, book or quarantine");
        }
        if (static_cast<RecordType>(tape[row].type) != RecordType::kBarClose || bar_ns > 0)
            continue;
        bar_ns = tape[row].as<BarClose>().duration_s * kNsPerSecond;
    }
    if (bar_ns > 0) {
        latency_opens_ = settings.latency_ns / bar_ns;
        ack_delay_ns_ = settings.latency_ns % bar_ns;
    }
    settings_ = settings;
    instrument_ = instrument;
    fees_ = {settings.commission_micros_per_lot, settings.commission_ppm};
    dice_ = Dice(settings.seed);
    tape_ = tape;
    check_.open(instrument, 0);
    if (Failure failure = ledger_.open(settings.orders_max); !failure.is_ok()) return failure;
    can_repeat_ = can_repeat;
    if (can_repeat) feed_.reserve(2 * tape.size() + 1);  // OPEN and CLOSE of each bar, and END
    replies_.reserve(kRepliesPerOrder * settings.orders_max);
    pass_ = kPasses;
    now_ns_ = first_ts_ns(tape);
    return ok();
}

std::int64_t Venue::first_ts_ns(std::span<const TapeRow> tape) noexcept {
    for (const TapeRow& row : tape) {
        if (static_cast<RecordType>(row.type) == RecordType::kTrade || is_book(row.type)) {
            return arrival_of(row);
        }
        if (static_cast<RecordType>(row.type) == RecordType::kBarClose) {
            return row.as<BarClose>().start_ts_ns;
        }
    }
    return 0;
}

Failure Venue::failure() const {
    switch (status_) {
        case Status::kOk: return ok();
        case Status::kOutOfMemory:
            return fail(status_, "the venue's ledger is full: orders_max " +
                                     std::to_string(ledger_.orders_max()) + ", orders " +
                                     std::to_string(ledger_.orders().size()) + ", executions " +
                                     std::to_string(ledger_.executions().size()) + ", replies " +
                                     std::to_string(replies_.size()));
        case Status::kOverflow:
            return fail(status_, "a price or an amount of money does not fit 64 bits at row " +
                                     std::to_string(row_) + " of the tape");
        default: return fail(status_, "the venue stopped at row " + std::to_string(row_));
    }
}

void Venue::stop(Status status) noexcept {
    if (status_ == Status::kOk) status_ = status;
}

std::int64_t Venue::next_feed_ts_ns() const noexcept {
    if (row_ >= tape_.size()) return now_ns_;
    const TapeRow& row = tape_[row_];
    switch (static_cast<RecordType>(row.type)) {
        case RecordType::kBarClose: {
            const auto bar = row.as<BarClose>();
            return is_in_bar_ ? end_of(bar) : bar.start_ts_ns;
        }
        case RecordType::kTrade:
        case RecordType::kQuote:
        case RecordType::kBookLevel:
        case RecordType::kBookReset: return arrival_of(row);
        default: return now_ns_;
    }
}

// ---- feed

void Venue::finish_event() noexcept {
    // Each turn fills or expires one order.
    for (std::size_t turns = 2 * working_.size() + 1; turns > 0 && match_next(); --turns) {
    }
    if (!has_ended_ && status_ == Status::kOk) forget_ended();
}

void Venue::publish_end(Slot& out) noexcept {
    has_ended_ = true;
    publish(RecordType::kEnd, row_, out);
}

void Venue::publish_refusal(Slot& out) noexcept {
    check_.count_refused_row(static_cast<QuarantineReason>(tape_[row_].as<Quarantine>().reason));
    publish(RecordType::kQuarantine, row_++, out);
}

void Venue::publish_bar(Slot& out) noexcept {
    const auto bar = tape_[row_].as<BarClose>();
    if (is_in_bar_) {
        is_in_bar_ = false;
        event_ = {MarketEventKind::kClose, bar.open_ticks, bar.high_ticks, bar.low_ticks};
        begin_event(MarketEventKind::kClose, end_of(bar));
        return publish(RecordType::kBarClose, row_++, out);
    }
    if (check_.judge_close(bar) != QuarantineReason::kNone) {
        ++refused_rows_;
        pass_time(end_of(bar));
        return publish(RecordType::kBarClose, row_++, out);
    }
    is_in_bar_ = true;
    ++opens_;
    event_ = {MarketEventKind::kOpen, bar.open_ticks, bar.open_ticks, bar.open_ticks};
    begin_event(MarketEventKind::kOpen, bar.start_ts_ns);
    publish(RecordType::kBarOpen, row_, out);
}

void Venue::publish_refused_trade(const TapeRow& row, Slot& out) noexcept {
    ++refused_rows_;
    pass_time(arrival_of(row));
    publish_row(row, out);
    if (can_repeat_) feed_.back().is_refused = true;
}

void Venue::remember_row(const TapeRow& row) noexcept {
    feed_.push_back({now_ns_, static_cast<std::uint32_t>(row_), static_cast<RecordType>(row.type)});
}

void Venue::publish(RecordType type, std::size_t row, Slot& out) noexcept {
    const FeedMark mark{now_ns_, static_cast<std::uint32_t>(row), type};
    if (can_repeat_) feed_.push_back(mark);
    make_feed(++feed_sequence_, mark, out);
}

void Venue::make_feed(std::uint64_t sequence, const FeedMark& mark, Slot& out) const noexcept {
    const FeedStamps now{mark.now_ns, mark.now_ns};
    if (mark.type == RecordType::kEnd) {
        End end{};
        end.last_feed_sequence = sequence;
        return write_feed(sequence, mark.type, &end, now, out);
    }
    const TapeRow& row = tape_[mark.row];
    switch (mark.type) {
        case RecordType::kBarOpen: {
            const BarOpen open = open_of(row.as<BarClose>());
            return write_feed(sequence, mark.type, &open, now, out);
        }
        case RecordType::kTrade:
        case RecordType::kQuote:
        case RecordType::kBookLevel:
        case RecordType::kBookReset:
            return write_feed(sequence, mark.type, row.payload, {row.ts_ns, mark.now_ns}, out);
        default: return write_feed(sequence, mark.type, row.payload, now, out);
    }
}

bool Venue::feed(std::uint64_t sequence, Slot& out) const noexcept {
    if (sequence == 0 || sequence > feed_.size()) return false;
    make_feed(sequence, feed_[sequence - 1], out);
    return true;
}

bool Venue::reply(std::uint64_t sequence, Slot& out) const noexcept {
    if (sequence == 0 || sequence > replies_.size()) return false;
    out = replies_[sequence - 1];
    return true;
}

bool Venue::match_reply(std::uint64_t after, Slot& out) noexcept {
    // Each turn writes a reply or ends the event.
    while (after >= replies_.size()) {
        if (!match_next()) return false;
    }
    return reply(after + 1, out);
}

// ---- matching

bool Venue::match_next() noexcept {
    if (status_ != Status::kOk) return false;
    for (; pass_ < kPasses; ++pass_, cursor_ = 0) {
        while (cursor_ < working_.size()) {
            Working& working = working_[cursor_++];
            const LedgerOrder& order = ledger_.orders()[working.row];
            const bool is_limit = order.type == OrderType::kLimit;
            if (!order.is_open() || is_limit != (pass_ == 1) || !may_meet(working)) continue;
            std::int64_t price_ticks = 0;
            const Match found = price_of(working, price_ticks);
            if (found == Match::kNone) continue;
            if (found == Match::kOverflow) {
                stop(Status::kOverflow);
                return false;
            }
            fill(working, price_ticks);
            return status_ == Status::kOk;
        }
    }
    if (expire_immediate()) return status_ == Status::kOk;
    const bool is_tape_over = row_ == tape_.size() && !has_ended_;
    return is_tape_over && (expire_next() || report_at_end());
}

bool Venue::may_meet(const Working& working) const noexcept {
    if (working.event >= events_) return false;
    switch (event_.kind) {
        case MarketEventKind::kOpen: return opens_ > working.opens_before;
        case MarketEventKind::kClose: return opens_ >= working.opens_within;
        case MarketEventKind::kTrade: return now_ns_ >= working.due_ts_ns;
        default: return false;
    }
}

Match Venue::price_of(const Working& working, std::int64_t& price_ticks) const noexcept {
    const LedgerOrder& order = ledger_.orders()[working.row];
    const OrderType type = working.is_triggered ? OrderType::kMarket : order.type;
    return match(type, order.side, order.price_ticks, event_, settings_.slippage_ticks,
                 price_ticks);
}

// Throw 0 of an order is its rejection; each fill takes two more.
std::int64_t Venue::lots_of_fill(const LedgerOrder& order) const noexcept {
    const std::int64_t leaves = order.leaves_lots();
    const std::uint64_t number = 1 + 2 * std::uint64_t{order.fill_count};
    if (leaves < 2 || order.time_in_force == TimeInForce::kFillOrKill ||
        !dice_.hits(order.venue_order, number, settings_.partial_fill_ppm)) {
        return leaves;
    }
    return dice_.one_of(order.venue_order, number + 1, leaves - 1);
}

void Venue::fill(Working& working, std::int64_t price_ticks) noexcept {
    LedgerOrder& order = ledger_.orders()[working.row];
    Execution execution{};
    execution.order_id = order.id;
    execution.execution_id = ledger_.executions().size() + 1;
    execution.venue_order = order.venue_order;
    execution.price_ticks = price_ticks;
    execution.quantity_lots = lots_of_fill(order);
    execution.ts_ns = now_ns_;
    execution.instrument = order.instrument;
    execution.side = order.side;
    Status status = commission_of(fees_, price_ticks, execution.quantity_lots,
                                  instrument_.tick_value_micros, execution.commission_micros);
    if (status == Status::kOk) {
        status = ledger_.execute(order, execution, instrument_.tick_value_micros);
    }
    if (status != Status::kOk) return stop(status);

    working.is_triggered = order.type == OrderType::kStop;
    has_stop_filled_ = has_stop_filled_ || working.is_triggered;
    Fill report{};
    report.id = order.id;
    report.execution_id = execution.execution_id;
    report.price_ticks = price_ticks;
    report.quantity_lots = execution.quantity_lots;
    report.leaves_lots = order.leaves_lots();
    report.commission_micros = execution.commission_micros;
    report.instrument = order.instrument;
    report.side = order.side;
    write_reply(RecordType::kFill, report);
}

void Venue::expire(LedgerOrder& order) noexcept {
    ledger_.end(order, OrderState::kExpired, now_ns_);
    write_ended(RecordType::kExpired, order);
}

// Once per order: what has met its one event and is still open. A bar's range is no event for an
// order at market.
bool Venue::expire_immediate() noexcept {
    for (const Working& working : working_) {
        LedgerOrder& order = ledger_.orders()[working.row];
        if (order.time_in_force == TimeInForce::kGoodTillCancel || !order.is_open()) continue;
        const bool is_range = event_.kind == MarketEventKind::kClose;
        if (!may_meet(working) || (is_range && order.type == OrderType::kMarket)) continue;
        expire(order);
        return true;
    }
    return false;
}

// Once per order: what is open when the tape is over.
bool Venue::expire_next() noexcept {
    for (const Working& working : working_) {
        LedgerOrder& order = ledger_.orders()[working.row];
        if (!order.is_open()) continue;
        expire(order);
        return status_ == Status::kOk;
    }
    return false;
}

// The event has decided about this order, and its reply has not been written yet.
bool Venue::is_being_filled(const LedgerOrder& order) const noexcept {
    const int pass = order.type == OrderType::kLimit ? 1 : 0;
    if (pass_ > pass || (pass == 1 && has_stop_filled_)) return false;
    for (std::size_t at = pass_ == pass ? cursor_ : 0; at < working_.size(); ++at) {
        const Working& working = working_[at];
        if (&ledger_.orders()[working.row] != &order) continue;
        std::int64_t price_ticks = 0;
        return may_meet(working) && price_of(working, price_ticks) != Match::kNone;
    }
    return false;
}

void Venue::forget_ended() noexcept {
    std::erase_if(working_, [this](const Working& working) {
        return !ledger_.orders()[working.row].is_open();
    });
}

}  // namespace gm
