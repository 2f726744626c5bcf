// Payloads of the life of an order: what is asked of the venue, what it answers, what the engine
// writes of both. Prices in ticks, quantities in lots, money in micro-units, time in ns UTC.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/wire/kill_payload.hpp"

namespace gm {

enum class Side : std::uint8_t { kBuy = 0, kSell = 1 };
enum class OrderType : std::uint8_t { kMarket = 0, kLimit = 1, kStop = 2 };
// How long it may trade: until it is cancelled, or in the first market event that it meets, there
// in part or else as a whole.
enum class TimeInForce : std::uint8_t {
    kGoodTillCancel = 0,
    kImmediateOrCancel = 1,
    kFillOrKill = 2,
};

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
    kPendingReplace = 14,
    kOrphan = 15,  // the venue has it and we do not know it
};

// Why an order exists.
enum class OrderReason : std::uint8_t {
    kDecision = 0,
    kMaxHold = 1,
    kSessionEnd = 2,
    kStop = 3,
    kEntry = 4,     // timed by a TacticalDecision
    kTarget = 5,    // with kStop the bracket of a position
    kGiveBack = 6,  // of what both of them traded too much
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
    kTooLate = 10,     // a replace of an order that has ended or is being filled
};

struct OrderId {
    std::uint32_t installation;
    std::uint32_t epoch;
    std::uint64_t counter;  // from 1 within the epoch; 0 is no order

    friend bool operator==(const OrderId&, const OrderId&) = default;
};
static_assert(sizeof(OrderId) == 16);

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
    TimeInForce time_in_force;
    std::uint8_t is_reducing;  // 1: it lowers the worst-case position, and so passes kReducing
    std::uint8_t reserved[2];
};

struct CancelOrder {
    OrderId id;
    std::uint32_t instrument;
    std::uint32_t connection;
    std::uint8_t reserved[40];
};

// Another price and size for an order that rests. The replace has an id of its own, which the venue
// takes once: what it did not take by the answer to a query that names it, it never will.
struct ReplaceOrder {
    OrderId id;
    OrderId replace_id;
    std::int64_t price_ticks;    // 0 for market
    std::int64_t quantity_lots;  // in all, filled lots included
    std::int64_t valid_until_ns;
    std::uint16_t instrument;
    std::uint8_t is_reducing;  // 1: fewer lots at the same price
    std::uint8_t reserved;
    std::uint32_t connection;
};

// Input: io read the kill word in the step that hands an order or a replace to ZeroMQ, and did not
// hand it over.
struct OrderStopped {
    OrderId id;
    std::uint32_t instrument;
    KillLevel level;
    std::uint8_t reserved_bytes[3];
    OrderId replace_id;  // of the replace that was stopped, or zero: the order itself
    std::uint8_t reserved[24];
};

struct QueryOrder {
    OrderId id;
    std::uint32_t instrument;
    std::uint32_t connection;
    OrderId replace_id;  // of an unanswered ReplaceOrder, or zero
    std::uint8_t reserved[24];
};

struct Ack {
    OrderId id;
    std::uint64_t venue_order;
    std::uint32_t instrument;
    Side side;
    std::uint8_t reserved_bytes[3];
    std::int64_t quantity_lots;
    std::uint8_t reserved[24];
};

// Of an order; with a replace_id of that replace alone, and the order stays as it was.
struct Reject {
    OrderId id;
    std::uint32_t instrument;
    RejectReason reason;
    OrderId replace_id;
    std::uint8_t reserved[24];
};

struct Replaced {
    OrderId id;
    OrderId replace_id;
    std::int64_t price_ticks;
    std::int64_t quantity_lots;  // in all
    std::int64_t filled_lots;    // of it
    std::uint32_t instrument;
    std::uint8_t reserved[4];
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
    Side side;
    std::uint8_t
        is_replace_absent;  // 1: the replace that was asked about is never taken from now on
    std::uint8_t reserved[25];
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

static_assert(sizeof(NewOrder) == 64 && offsetof(NewOrder, time_in_force) == 60);
static_assert(sizeof(OrderStopped) == 64 && offsetof(OrderStopped, replace_id) == 24);
static_assert(sizeof(CancelOrder) == 64 && sizeof(ReplaceOrder) == 64);
static_assert(sizeof(QueryOrder) == 64 && offsetof(QueryOrder, replace_id) == 24);
static_assert(sizeof(Ack) == 64 && offsetof(Ack, quantity_lots) == 32);
static_assert(sizeof(Reject) == 64 && sizeof(Replaced) == 64);
static_assert(sizeof(Fill) == 64 && offsetof(Fill, side) == 60);
static_assert(sizeof(OrderEnded) == 64 && sizeof(OrderStateReport) == 64);
static_assert(sizeof(Refusal) == 64 && offsetof(Refusal, code) == 63);
static_assert(sizeof(OrderUpdate) == 64 && offsetof(OrderUpdate, state) == 44);

}  // namespace gm
