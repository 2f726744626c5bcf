// The 64-byte payloads, one struct for each RecordType. Prices in ticks, quantities in lots, money
// in micro-units of the instrument's currency, time in ns UTC. `reserved` is always zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/wire/decision_payload.hpp"
#include "gm/wire/kill_payload.hpp"
#include "gm/wire/model_payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

enum class Side : std::uint8_t { kBuy = 0, kSell = 1 };
enum class OrderType : std::uint8_t { kMarket = 0, kLimit = 1, kStop = 2 };

// One word for the life of an order in engine, venue, journal and store. SAFETY, order states.
enum class OrderState : std::uint8_t {
    kAbsent = 0,  // only in the venue's answer: it never saw the id and refuses it from now on
    kNew = 1,
    kIntent = 2,
    kSent = 3,
    kLive = 4,
    kPartial = 5,
    kUnknown = 6,
    kPendingCancel = 7,
    kFilled = 8,
    kCancelled = 9,
    kExpired = 10,
    kRejected = 11,
    kNever = 12,
    kDenied = 13,
};

// Why an order exists.
enum class OrderReason : std::uint8_t {
    kDecision = 0,
    kMaxHold = 1,
    kSessionEnd = 2,
    kStop = 3,
    kEntry = 4,  // timed by a TacticalDecision
};

// Why the venue refused.
enum class RejectReason : std::uint32_t {
    kNone = 0,
    kRandom = 1,  // the simulator's own dice: an exchange rejects for no reason of ours
    kOldEpoch = 2,
    kOldConnection = 3,
    kPastValidity = 4,
    kDuplicateId = 5,
    kTombstoned = 6,
    kMalformed = 7,
    kMarketClosed = 8,
    kForeignTape = 9,  // Welcome only: the engine's journal belongs to another tape
};

struct OrderId {
    std::uint32_t installation;
    std::uint32_t epoch;
    std::uint64_t counter;  // from 1 within the epoch; 0 is no order

    friend bool operator==(const OrderId&, const OrderId&) = default;
};
static_assert(sizeof(OrderId) == 16);

struct BarOpen {
    std::int64_t start_ts_ns;
    std::int64_t duration_ns;
    std::int64_t open_ticks;
    std::uint32_t instrument;
    std::uint32_t flags;
    std::uint8_t reserved[32];
};

// Bar flags, also of gm.read_bars.
inline constexpr std::uint32_t kBarSynthetic = 1U << 0;
inline constexpr std::uint32_t kBarNoVolume = 1U << 1;
inline constexpr std::uint32_t kBarOutOfSession = 1U << 2;

struct BarClose {
    std::int64_t start_ts_ns;
    std::int64_t open_ticks;
    std::int64_t high_ticks;
    std::int64_t low_ticks;
    std::int64_t close_ticks;
    std::int64_t volume_lots;
    std::uint32_t duration_s;
    std::uint32_t instrument;
    std::uint32_t flags;
    std::uint32_t reserved;
};

struct Trade {
    std::int64_t price_ticks;
    std::int64_t quantity_lots;
    std::uint32_t instrument;
    std::uint8_t side;  // of the aggressor
    std::uint8_t reserved[43];
};

// Best prices of the book. A side without an order has 0 lots and 0 ticks.
struct Quote {
    std::int64_t bid_ticks;
    std::int64_t ask_ticks;
    std::int64_t bid_lots;
    std::int64_t ask_lots;
    std::uint32_t instrument;
    std::uint8_t reserved[28];
};

// One price of the book has this quantity now; 0 removes it.
struct BookLevel {
    std::int64_t price_ticks;
    std::int64_t quantity_lots;
    std::uint32_t instrument;
    Side side;             // kBuy: a bid
    std::uint8_t is_last;  // 1: the event is complete, the book may be looked at
    std::uint8_t reserved[42];
};

// The book is empty and not to be believed until a level with is_last has come after it.
enum class BookResetReason : std::uint32_t { kSnapshot = 0, kGap = 1 };
struct BookReset {
    std::uint64_t expected_sequence;  // of the exchange; kGap only
    std::uint64_t received_sequence;
    std::uint32_t instrument;
    BookResetReason reason;  // kSnapshot: its levels follow. kGap: until a kSnapshot comes
    std::uint8_t reserved[40];
};

// The venue's reader refused a line of its file.
struct Quarantine {
    std::uint64_t line;
    std::uint32_t instrument;
    std::uint32_t reason;  // QuarantineReason of gm/market/quarantine.hpp
    std::uint8_t reserved[48];
};

struct Heartbeat {
    std::uint64_t last_feed_sequence;
    std::uint64_t last_reply_sequence;
    std::uint8_t reserved[48];
};

struct End {
    std::uint64_t last_feed_sequence;
    std::uint8_t reserved[56];
};

// First message of every connection. What was consumed, so that the venue sends the rest again.
struct Hello {
    std::uint64_t last_feed_sequence;
    std::uint64_t last_reply_sequence;
    std::uint32_t epoch;
    std::uint32_t connection;
    std::uint8_t tape_id[32];  // zero: no tape seen yet
    std::uint8_t reserved[8];
};

// Engine -> venue: recovery is over, the feed may go on.
struct Ready {
    std::uint64_t last_feed_sequence;
    std::uint64_t last_reply_sequence;
    std::uint8_t reserved[48];
};

// Engine -> venue, lockstep: the step is consumed and its orders were sent before this.
struct Done {
    std::uint64_t feed_sequence;
    std::uint64_t reply_sequence;
    std::uint64_t orders_sent;  // in this connection
    std::uint8_t reserved[40];
};

// Also the payload of kIntent.
struct NewOrder {
    OrderId id;
    std::int64_t decision_bar_start_ts_ns;
    std::int64_t price_ticks;  // limit or stop price; 0 for market
    std::int64_t quantity_lots;
    std::int64_t valid_until_ns;  // checked when the venue receives it
    std::uint32_t instrument;
    std::uint32_t connection;
    Side side;
    OrderType type;
    OrderReason reason;
    std::uint8_t strategy;
    std::uint8_t is_reducing;  // 1: it lowers the worst-case position, and so passes kReducing
    std::uint8_t reserved[3];
};

// Input: io read the kill word in the step that hands an order to ZeroMQ, and did not hand it over.
struct OrderStopped {
    OrderId id;
    std::uint32_t instrument;
    KillLevel level;
    std::uint8_t reserved[43];
};

struct CancelOrder {
    OrderId id;
    std::uint32_t instrument;
    std::uint32_t connection;
    std::uint8_t reserved[40];
};

struct QueryOrder {
    OrderId id;
    std::uint32_t instrument;
    std::uint32_t connection;
    std::uint8_t reserved[40];
};

// Answer to Hello. Not a numbered reply: it opens the stream of replies.
struct Welcome {
    std::uint64_t last_feed_sequence;   // published so far
    std::uint64_t last_reply_sequence;  // written so far; those after Hello's follow one by one
    std::uint8_t tape_id[32];
    std::uint32_t lockstep;     // 1: every frame is answered by Done
    std::uint32_t refused;      // RejectReason; not 0: the venue will not talk to this engine
    std::uint64_t symbol_hash;  // of the instrument that has number 0 on this wire
};

struct Ack {
    OrderId id;
    std::uint64_t venue_order;
    std::uint32_t instrument;
    std::uint8_t reserved[36];
};

struct Reject {
    OrderId id;
    std::uint32_t instrument;
    RejectReason reason;
    std::uint8_t reserved[40];
};

struct Fill {
    OrderId id;
    std::uint64_t execution_id;  // unique at the venue, for ever
    std::int64_t price_ticks;
    std::int64_t quantity_lots;
    std::int64_t leaves_lots;
    std::int64_t commission_micros;
    std::uint32_t instrument;
    Side side;
    std::uint8_t reserved[3];
};

// Payload of kCancelled and kExpired.
struct OrderEnded {
    OrderId id;
    std::int64_t filled_lots;
    std::uint32_t instrument;
    std::uint8_t reserved[36];
};

// Answer to QueryOrder. state kAbsent is a tombstone: the venue refuses the id from now on.
struct OrderStateReport {
    OrderId id;
    std::int64_t filled_lots;
    std::int64_t leaves_lots;
    std::uint32_t instrument;
    OrderState state;
    std::uint8_t reserved[27];
};

struct Timer {
    std::int64_t deadline_ns;
    std::uint8_t reserved[56];
};

// Engine -> venue, free-running: bars that were published before WELCOME, a page at a time, oldest
// first. Answered by at most one frame of kReplayedBar (BarClose) and one kReplayEnd.
struct FeedReplay {
    std::uint64_t request;
    std::uint64_t cursor;       // 0: the first page; else what the page before ended with
    std::int64_t after_ts_ns;   // only bars that start then or later
    std::int64_t before_ts_ns;  // only bars that ended by then
    std::uint32_t minutes_max;  // the newest bars of so many minutes together
    std::uint32_t instrument;
    std::uint32_t connection;
    std::uint8_t reserved[20];
};

struct ReplayEnd {
    std::uint64_t request;
    std::uint64_t cursor;  // 0: there are no more
    std::uint32_t bars;    // of this page
    std::uint32_t instrument;
    std::uint8_t reserved[40];
};

// What a user kernel returned for one closed bar. Journalled, so a replay needs no kernel.
enum class KernelStatus : std::uint32_t {
    kOk = 0,
    kNotFinite = 1,
    kOutOfRange = 2,
    kOverBudget = 3,
    kFailed = 4,       // it said so itself: a Python exception inside compiled code
    kHung = 5,         // the process died in it; found at the next start
    kQuarantined = 6,  // not called any more
    kNotWarm = 7,      // not called yet: fewer bars than it asked for
};
struct KernelResult {
    std::int64_t bar_start_ts_ns;
    double value;  // 0 unless kOk or kOverBudget
    std::uint32_t instrument;
    std::uint32_t kernel;  // its row in the settings
    std::uint32_t minutes;
    KernelStatus status;
    std::uint8_t reserved[32];
};

// First input of every start. The engine's epoch from here on.
struct Epoch {
    std::uint32_t epoch;
    std::uint32_t clean;  // 1: the run before it ended by itself
    std::uint8_t settings_sha256[32];
    std::uint8_t reserved[24];
};

// Payload of kStop, kDisconnected, kConnected.
struct SessionEvent {
    std::uint32_t connection;
    std::uint32_t reason;
    std::uint8_t tape_id[32];
    std::uint64_t feed_begins_after;  // kConnected: an engine without a live bar joins here; else 0
    std::uint32_t has_backfill;       // kConnected: 1: kBackfill and one kBackfillEnd come first
    std::uint8_t reserved[12];
};

// kBackfill is a BarClose; its header's source_ts_ns is the time by which such a bar must have
// ended: what comes live lies behind it. This is the last of them.
struct BackfillEnd {
    std::uint64_t venue_bars;  // handed in, refused ones included
    std::uint64_t file_bars;
    std::uint32_t connection;
    std::uint8_t reserved[44];
};

struct Refusal {
    OrderId id;
    std::int64_t decision_bar_start_ts_ns;
    std::int64_t quantity_lots;
    std::int64_t price_ticks;
    std::int64_t value;  // what was measured, in the unit of the code
    std::int64_t limit;  // what it was held against
    std::uint32_t mask;  // bit n-1: code Rn failed
    std::uint16_t instrument;
    Side side;
    std::uint8_t code;  // the first failure in the fixed order of evaluation
};

struct OrderUpdate {
    OrderId id;
    std::int64_t filled_lots;
    std::int64_t leaves_lots;
    std::int64_t quantity_lots;
    std::uint32_t instrument;
    OrderState state;
    OrderState previous;
    Side side;
    OrderReason reason;
    std::uint32_t reject_reason;
    std::uint32_t tombstoned;  // 1: the venue confirmed that it will never accept this id
    std::uint8_t reserved[8];
};

struct PositionUpdate {
    std::int64_t position_lots;
    std::int64_t cost_low;  // total cost in ticks x lots, 128 bits
    std::int64_t cost_high;
    std::int64_t realised_micros;
    std::int64_t unrealised_micros;
    std::int64_t commission_micros;
    std::int64_t round_trips;
    std::uint32_t instrument;
    std::uint32_t reserved;
};

// The engine's own state changed: readiness of one instrument or of all (instrument 0xffffffff).
enum class EngineState : std::uint8_t {
    kRecovering = 0,
    kReady = 1,
    kStopping = 2,
    kEnded = 3,
    kHalted = 4
};
struct StateUpdate {
    std::uint32_t instrument;
    EngineState state;
    std::uint8_t reason;  // NotReadyReason of gm/features/strategic.hpp, or 0
    std::uint16_t reserved_word;
    std::uint32_t bars_needed;  // of 30 minutes, at least; 0: it is warm
    std::uint8_t reserved[52];
};

inline constexpr std::uint32_t kUnknownInstrument = UINT32_MAX;  // a number that nobody configured
struct BarQuarantined {
    std::int64_t start_ts_ns;
    std::uint64_t feed_sequence;
    std::uint32_t instrument;
    std::uint32_t reason;
    std::uint8_t reserved[40];
};

// Three signals of one direction in one of four orders. SPEC §4.
struct Synergy {
    std::int64_t ts_ns;        // end of the bar that completed it
    std::int64_t close_ticks;  // of that bar
    float confidence;          // mean of the strengths, in [0, 1]
    float strength[3];         // MLMI, NW-RQK, FVG
    std::uint32_t age_s[3];    // of each signal when it was completed, same order
    float volatility_30;       // of the newest strategic row
    float atr_ticks;           // 30-minute ATR 14
    std::uint32_t instrument;
    std::uint8_t type;      // 1 to 4
    std::int8_t direction;  // 1 or -1
    std::uint8_t reserved[6];
};

// A kernel was quarantined: it is not called again until it is built anew.
enum class KernelPolicy : std::uint32_t { kHalt = 0, kSkip = 1 };
struct KernelState {
    std::uint8_t sha256[32];  // of the kernel
    std::uint32_t instrument;
    std::uint32_t kernel;
    KernelStatus status;  // why
    KernelPolicy policy;  // what follows
    std::uint8_t reserved[16];
};

struct BlockDigest {
    std::uint8_t sha256[32];  // of the previous digest and the slots since then
    std::uint64_t first_journal_sequence;
    std::uint64_t last_journal_sequence;
    std::uint64_t block;  // from 1
    std::uint8_t reserved[8];
};

static_assert(sizeof(BarOpen) == 64 && offsetof(BarOpen, instrument) == 24);
static_assert(sizeof(BarClose) == 64 && offsetof(BarClose, instrument) == 52);
static_assert(sizeof(Trade) == 64 && offsetof(Trade, instrument) == 16);
static_assert(sizeof(Quarantine) == 64 && offsetof(Quarantine, reason) == 12);
static_assert(sizeof(Heartbeat) == 64 && sizeof(End) == 64);
static_assert(sizeof(Hello) == 64 && offsetof(Hello, tape_id) == 24);
static_assert(sizeof(Ready) == 64 && sizeof(Done) == 64);
static_assert(sizeof(NewOrder) == 64 && offsetof(NewOrder, side) == 56);
static_assert(sizeof(OrderStopped) == 64 && offsetof(OrderStopped, level) == 20);
static_assert(sizeof(CancelOrder) == 64 && sizeof(QueryOrder) == 64);
static_assert(sizeof(Welcome) == 64 && offsetof(Welcome, lockstep) == 48);
static_assert(sizeof(Ack) == 64 && sizeof(Reject) == 64);
static_assert(sizeof(Fill) == 64 && offsetof(Fill, side) == 60);
static_assert(sizeof(OrderEnded) == 64 && sizeof(OrderStateReport) == 64);
static_assert(sizeof(Timer) == 64 && sizeof(Epoch) == 64 && sizeof(SessionEvent) == 64);
static_assert(sizeof(Refusal) == 64 && offsetof(Refusal, code) == 63);
static_assert(sizeof(OrderUpdate) == 64 && offsetof(OrderUpdate, state) == 44);
static_assert(sizeof(PositionUpdate) == 64 && offsetof(PositionUpdate, instrument) == 56);
static_assert(sizeof(Quote) == 64 && offsetof(Quote, instrument) == 32);
static_assert(sizeof(BookLevel) == 64 && offsetof(BookLevel, side) == 20);
static_assert(sizeof(BookReset) == 64 && offsetof(BookReset, reason) == 20);
static_assert(sizeof(FeedReplay) == 64 && offsetof(FeedReplay, minutes_max) == 32);
static_assert(sizeof(ReplayEnd) == 64 && sizeof(BackfillEnd) == 64);
static_assert(offsetof(SessionEvent, feed_begins_after) == 40);
static_assert(sizeof(KernelResult) == 64 && offsetof(KernelResult, status) == 28);
static_assert(sizeof(Synergy) == 64 && offsetof(Synergy, instrument) == 52);
static_assert(sizeof(KernelState) == 64 && offsetof(KernelState, status) == 40);
static_assert(sizeof(StateUpdate) == 64 && sizeof(BarQuarantined) == 64);
static_assert(sizeof(BlockDigest) == 64 && offsetof(BlockDigest, block) == 48);

}  // namespace gm
