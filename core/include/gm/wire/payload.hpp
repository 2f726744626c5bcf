// The 64-byte payloads, one struct for each RecordType. Prices in ticks, quantities in lots, money
// in micro-units of the instrument's currency, time in ns UTC. `reserved` is always zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/wire/decision_payload.hpp"
#include "gm/wire/gate_payload.hpp"
#include "gm/wire/kill_payload.hpp"
#include "gm/wire/model_payload.hpp"
#include "gm/wire/order_payload.hpp"
#include "gm/wire/record.hpp"
#include "gm/wire/recovery_payload.hpp"

namespace gm {

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

// Answer to Hello. Not a numbered reply: it opens the stream of replies.
struct Welcome {
    std::uint64_t last_feed_sequence;   // published so far
    std::uint64_t last_reply_sequence;  // written so far; those after Hello's follow one by one
    std::uint8_t tape_id[32];
    std::uint32_t lockstep;     // 1: every frame is answered by Done
    std::uint32_t refused;      // RejectReason; not 0: the venue will not talk to this engine
    std::uint64_t symbol_hash;  // of the instrument that has number 0 on this wire
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
    // 1: ids are reserved before they are used, and no READY before the venue's books are ours. 0:
    // an epoch of before there was either.
    std::uint32_t is_reconciled;
    std::uint8_t reserved[20];
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
    // The disk had every record up to here when this was written. 0: none, or of before this field.
    std::uint64_t synced_journal_sequence;
};

static_assert(sizeof(BarOpen) == 64 && offsetof(BarOpen, instrument) == 24);
static_assert(sizeof(BarClose) == 64 && offsetof(BarClose, instrument) == 52);
static_assert(sizeof(Trade) == 64 && offsetof(Trade, instrument) == 16);
static_assert(sizeof(Quarantine) == 64 && offsetof(Quarantine, reason) == 12);
static_assert(sizeof(Heartbeat) == 64 && sizeof(End) == 64);
static_assert(sizeof(Hello) == 64 && offsetof(Hello, tape_id) == 24);
static_assert(sizeof(Ready) == 64 && sizeof(Done) == 64);
static_assert(sizeof(Welcome) == 64 && offsetof(Welcome, lockstep) == 48);
static_assert(sizeof(Timer) == 64 && sizeof(Epoch) == 64 && sizeof(SessionEvent) == 64);
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
