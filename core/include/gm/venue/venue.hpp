// The simulated exchange: a tape in, feed events and numbered replies out, one at a time.
//
// Deterministic: no clock, no I/O, no chance but the dice of its seed. Whoever drives it (the
// lockstep server, a backtest) alternates: take a feed event, show it to the trader, hand in the
// orders that come back, take the replies one by one, showing each and handing in what comes back;
// when there are no more, take the next feed event. Replies are numbered from 1 and kept for ever,
// feed events can be made again, so a trader that died can be told everything twice.
//
// Matching (SPEC §1): market orders fill at the first OPEN after them; a resting order meets the
// OPEN, then the range of CLOSE, stops before limits. What an event does to an order is fixed when
// the event is published: a cancel that the trader sends on seeing the event is too late for it.
// One exception makes brackets possible: after a stop has filled, a limit that the same bar
// reached can still be cancelled. A bar that the market check refuses is only a CLOSE on the
// feed and meets no order. After the last row every open order expires, then END.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "gm/base/checked.hpp"
#include "gm/base/status.hpp"
#include "gm/market/instrument.hpp"
#include "gm/market/quarantine.hpp"
#include "gm/venue/dice.hpp"
#include "gm/venue/ledger.hpp"
#include "gm/venue/matching.hpp"
#include "gm/venue/tape.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

// Plain data that crosses the Python boundary: gm/layout.py repeats it.
struct VenueSettings {
    std::uint64_t seed;
    std::int64_t latency_ns;  // whole bars of it delay an order by as many OPENs
    std::int64_t slippage_ticks;
    std::int64_t commission_micros_per_lot;
    std::int64_t commission_ppm;  // of a fill's notional; one basis point is 100
    std::int64_t partial_fill_ppm;
    std::int64_t reject_ppm;
    std::uint32_t orders_max;  // of the ledger
    std::uint32_t instrument;  // index on the wire
};
static_assert(sizeof(VenueSettings) == 64 && offsetof(VenueSettings, orders_max) == 56);

// Of the sender of a message.
struct Sender {
    std::uint32_t epoch;
    std::uint32_t connection;
    std::int64_t received_ts_ns;  // lockstep: Venue::now_ns()
};

// Lets a simulation stand between the venue and what it says: `take` answers whether a reply that
// was just made is written now. One that is not is lost, unless it is said later. Null elsewhere.
struct ReplyHook {
    void* context = nullptr;
    bool (*take)(void* context, const Slot& reply) = nullptr;
};

class Venue {
 public:
    static constexpr std::size_t kRepliesPerOrder = 14;

    // Cold. Checks settings and the kind of every row. The tape must outlive the venue. Without
    // `can_repeat` it forgets each feed event, and feed() has none to give again.
    Failure open(const VenueSettings& settings, const Instrument& instrument,
                 std::span<const TapeRow> tape, bool can_repeat = true);

    // The next feed event, numbered from 1. False after END, and after a failure. What is left of
    // the event before is matched first, if the driver did not ask for it.
    [[nodiscard]] bool next_feed(Slot& out) noexcept {
        if (!working_.empty()) finish_event();
        if (has_ended_ || status_ != Status::kOk) return false;
        if (row_ == tape_.size()) {
            publish_end(out);
            return true;
        }
        const TapeRow& row = tape_[row_];
        const TapeRow& later = tape_[std::min(row_ + kRowsAhead, tape_.size() - 1)];
        __builtin_prefetch(&later.payload);
        __builtin_prefetch(&later.type);
        switch (static_cast<RecordType>(row.type)) {
            case RecordType::kTrade: publish_trade(row, out); break;
            case RecordType::kQuote:
            case RecordType::kBookLevel:
            case RecordType::kBookReset:
                pass_time(arrival_of(row));
                publish_row(row, out);
                break;
            case RecordType::kBarClose: publish_bar(out); break;
            default: publish_refusal(out); break;
        }
        return true;
    }
    // The reply after number `after`. Goes on matching the event when all replies were given.
    [[nodiscard]] bool next_reply(std::uint64_t after, Slot& out) noexcept {
        return may_reply(after) && match_reply(after, out);
    }
    // False: next_reply() would be. Without an open order no event has anything to say.
    [[nodiscard]] bool may_reply(std::uint64_t after) const noexcept {
        return after < replies_.size() || !working_.empty() || must_report_at_end();
    }

    // A feed event or a reply once more. False: there was none of that number.
    [[nodiscard]] bool feed(std::uint64_t sequence, Slot& out) const noexcept;
    [[nodiscard]] bool reply(std::uint64_t sequence, Slot& out) const noexcept;

    // A trade that was published and met nothing: it is in no bar.
    [[nodiscard]] bool is_refused_trade(std::uint64_t sequence) const noexcept {
        return sequence > 0 && sequence <= feed_.size() && feed_[sequence - 1].is_refused;
    }

    // For an adversary. say() writes a reply as the next one, whatever it claims; cancel_unasked()
    // ends an order that nobody has cancelled, unless it has ended or is being filled.
    void hook_replies(const ReplyHook& hook) noexcept { hook_ = hook; }
    void say(const Slot& reply) noexcept;
    bool cancel_unasked(const OrderId& id) noexcept;

    // Other luck for the orders to come.
    void reseed(std::uint64_t seed) noexcept { dice_ = Dice(seed); }

    // A trader has connected; messages of older ones are stale from now on.
    void on_session(std::uint32_t epoch, std::uint32_t connection) noexcept;
    [[nodiscard]] bool is_stale(std::uint32_t epoch, std::uint32_t connection) const noexcept;
    void on_order(const NewOrder& order, const Sender& sender) noexcept;
    void on_cancel(const CancelOrder& cancel, const Sender& sender) noexcept;
    void on_replace(const ReplaceOrder& replace, const Sender& sender) noexcept;
    void on_query(const QueryOrder& query, const Sender& sender) noexcept;
    // Of ids of an epoch before the sender's: what became of each, and that no other may come.
    void on_query_range(const QueryRange& query, const Sender& sender) noexcept;
    // A trader that has asked once is told again before END.
    void on_query_account(const QueryAccount& query, const Sender& sender) noexcept;
    // The books as they are now, and the last reply that they hold.
    [[nodiscard]] PositionReport report_position() const noexcept;

    // Simulated time: of the last row, refused ones included unless their stamp is absurd.
    [[nodiscard]] std::int64_t now_ns() const noexcept { return now_ns_; }
    // When the next feed event happens, for a server that paces by the wall clock.
    [[nodiscard]] std::int64_t next_feed_ts_ns() const noexcept;
    [[nodiscard]] bool is_ended() const noexcept { return has_ended_; }
    [[nodiscard]] std::uint64_t last_feed_sequence() const noexcept { return feed_sequence_; }
    // Rows that are over, refused ones included.
    [[nodiscard]] std::size_t rows_played() const noexcept { return row_; }
    [[nodiscard]] std::uint64_t last_reply_sequence() const noexcept { return replies_.size(); }
    [[nodiscard]] std::uint64_t refused_rows() const noexcept { return refused_rows_; }
    [[nodiscard]] const Ledger& ledger() const noexcept { return ledger_; }
    [[nodiscard]] const Instrument& instrument() const noexcept { return instrument_; }
    // Not ok: the venue has stopped, and why.
    [[nodiscard]] Failure failure() const;

 private:
    // What a feed event was made from, so that it can be made again.
    struct FeedMark {
        std::int64_t now_ns;
        std::uint32_t row;
        RecordType type;
        bool is_refused = false;  // a trade that the market check did not let in
    };
    // An open order and when the market may meet it.
    struct Working {
        std::uint32_t row;           // of the ledger
        bool is_triggered;           // a stop with lots left trades like a market order
        std::uint64_t event;         // events up to this number came before the order
        std::uint64_t opens_before;  // it meets an OPEN when more than these have been
        std::uint64_t opens_within;  // it meets a range when at least these have been
        std::int64_t due_ts_ns;      // it meets a trade from then on
    };
    static constexpr int kPasses = 2;              // stops and market orders, then limits
    static constexpr std::size_t kRowsAhead = 32;  // of the tape: read before they are needed
    static constexpr std::int64_t kHoleNsMax =
        std::int64_t{10} * 86'400 * 1'000'000'000;  // as check_file_stamps

    struct FeedStamps {
        std::int64_t source_ts_ns;
        std::int64_t now_ns;
    };

    // When a row that is no bar comes in; its own stamp where that does not fit.
    [[nodiscard]] static std::int64_t arrival_of(const TapeRow& row) noexcept {
        std::int64_t arrival = 0;
        const std::int64_t delay_ns = std::int64_t{row.delay_us} * 1000;
        return add_overflows(row.ts_ns, delay_ns, arrival) ? row.ts_ns : arrival;
    }
    [[nodiscard]] static std::int64_t first_ts_ns(std::span<const TapeRow> tape) noexcept;
    // Stamped with the venue's time, so that a bar with an absurd start moves nobody's clock; what
    // is no bar has no other place for its own stamp. Written in place, and once: a copy of what
    // was just written piece by piece would wait for the pieces (20 of 75 ns a trade).
    static void write_feed(std::uint64_t sequence, RecordType type, const void* payload,
                           const FeedStamps& stamps, Slot& out) noexcept {
        out.header = {kMagic,
                      kSchema,
                      static_cast<std::uint16_t>(type),
                      1,
                      static_cast<std::uint16_t>(Source::kVenueFeed),
                      0,
                      sequence,
                      stamps.source_ts_ns,
                      stamps.now_ns};
        std::memcpy(out.payload, payload, kPayloadSize);
        out.trailer = {};
    }
    // The engine holds a row's stamp against this time, so a refused row must move it like any
    // other: else rows beyond the jump band would look like rows from the future. A stamp that a
    // hole of the longest believed size cannot explain moves nothing.
    void pass_time(std::int64_t ts_ns) noexcept {
        std::int64_t ahead_ns = 0;
        if (!sub_overflows(ts_ns, now_ns_, ahead_ns) && ahead_ns > 0 && ahead_ns <= kHoleNsMax) {
            now_ns_ = ts_ns;
        }
    }
    void begin_event(MarketEventKind kind, std::int64_t ts_ns) noexcept {
        event_.kind = kind;
        now_ns_ = std::max(now_ns_, ts_ns);
        ++events_;
        pass_ = 0;
        cursor_ = 0;
        has_stop_filled_ = false;
    }
    // A row that goes out as it came in: ticks.
    void publish_row(const TapeRow& row, Slot& out) noexcept {
        if (can_repeat_) remember_row(row);
        ++feed_sequence_;
        ++row_;
        write_feed(feed_sequence_, static_cast<RecordType>(row.type), row.payload,
                   {row.ts_ns, now_ns_}, out);
    }
    void publish_trade(const TapeRow& row, Slot& out) noexcept {
        const auto& trade = view_payload<Trade>(row.payload);
        const std::int64_t price = trade.price_ticks;
        if (check_.judge_trade(trade, row.ts_ns) != QuarantineReason::kNone) {
            return publish_refused_trade(row, out);
        }
        event_ = {MarketEventKind::kTrade, price, price, price};
        begin_event(MarketEventKind::kTrade, arrival_of(row));
        publish_row(row, out);
    }
    void publish_refused_trade(const TapeRow& row, Slot& out) noexcept;
    void remember_row(const TapeRow& row) noexcept;
    void publish(RecordType type, std::size_t row, Slot& out) noexcept;
    void make_feed(std::uint64_t sequence, const FeedMark& mark, Slot& out) const noexcept;
    void publish_bar(Slot& out) noexcept;
    void publish_refusal(Slot& out) noexcept;
    void publish_end(Slot& out) noexcept;
    [[nodiscard]] bool report_at_end() noexcept;
    [[nodiscard]] bool must_report_at_end() const noexcept {
        return row_ == tape_.size() && !has_ended_ && is_account_asked_;
    }
    void finish_event() noexcept;

    [[nodiscard]] bool match_reply(std::uint64_t after, Slot& out) noexcept;
    [[nodiscard]] bool match_next() noexcept;
    [[nodiscard]] bool expire_next() noexcept;
    [[nodiscard]] bool expire_immediate() noexcept;
    void expire(LedgerOrder& order) noexcept;
    [[nodiscard]] bool may_meet(const Working& working) const noexcept;
    [[nodiscard]] Match price_of(const Working& working, std::int64_t& price_ticks) const noexcept;
    [[nodiscard]] bool is_being_filled(const LedgerOrder& order) const noexcept;
    void fill(Working& working, std::int64_t price_ticks) noexcept;
    [[nodiscard]] std::int64_t lots_of_fill(const LedgerOrder& order) const noexcept;
    void forget_ended() noexcept;

    [[nodiscard]] RejectReason check(const NewOrder& order, const Sender& sender) const noexcept;
    [[nodiscard]] RejectReason check_replace(const LedgerOrder* order, const ReplaceOrder& replace,
                                             const Sender& sender) const noexcept;
    void start_working(const LedgerOrder& order) noexcept;
    void wait_anew(Working& working) const noexcept;

    template <typename P>
    void write_reply(RecordType type, const P& payload, std::int64_t delay_ns = 0) noexcept;
    void write_reject(const OrderId& id, RejectReason reason) noexcept;
    void write_ended(RecordType type, const LedgerOrder& order) noexcept;
    void write_state(const OrderId& id, const LedgerOrder* order,
                     bool is_replace_absent = false) noexcept;
    void stop(Status status) noexcept;

    VenueSettings settings_{};
    Instrument instrument_{};
    Fees fees_{};
    Dice dice_;
    std::span<const TapeRow> tape_;
    BarCheck check_;
    Ledger ledger_;
    std::vector<FeedMark> feed_;  // by sequence; reserved for the whole tape, if kept
    std::vector<Slot> replies_;   // by sequence; reserved for orders_max orders
    std::vector<Working> working_;

    std::size_t row_ = 0;  // the next row, or the one whose OPEN was published
    std::uint64_t feed_sequence_ = 0;
    bool can_repeat_ = true;
    bool is_in_bar_ = false;  // between OPEN and CLOSE
    bool has_ended_ = false;
    std::int64_t now_ns_ = 0;
    std::int64_t latency_opens_ = 0;  // whole bars of latency, on a tape of bars
    std::int64_t ack_delay_ns_ = 0;   // and the rest, which no later event overtakes
    std::uint64_t opens_ = 0;         // OPENs so far
    std::uint64_t events_ = 0;        // market events so far
    MarketEvent event_{};
    int pass_ = kPasses;            // kPasses: the event is over
    std::size_t cursor_ = 0;        // into working_, within the pass
    bool has_stop_filled_ = false;  // in this event
    std::uint64_t venue_orders_ = 0;
    std::uint64_t refused_rows_ = 0;
    std::uint32_t epoch_ = 0;
    std::uint32_t connection_ = 0;
    bool is_account_asked_ = false;  // by a trader, once
    Status status_ = Status::kOk;
    ReplyHook hook_;
};

}  // namespace gm
