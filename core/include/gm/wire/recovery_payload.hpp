// The payloads of a recovery: which ids may be used, what became of those that the journal lost,
// and whether the venue's books are ours; like those of payload.hpp, which brings them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gm/wire/order_payload.hpp"

namespace gm {

inline constexpr std::uint64_t kIdBlock = 65'536;

// Of `first` and the ids behind it up to the number `last_counter`.
[[nodiscard]] constexpr bool is_in_range(const OrderId& id, const OrderId& first,
                                         std::uint64_t last_counter) noexcept {
    return id.installation == first.installation && id.epoch == first.epoch &&
           id.counter >= first.counter && id.counter <= last_counter;
}

// Output of the engine, to io: ids up to this one are wanted. Once the disk has this record they
// may be used, and after a loss of power they are those that the venue is asked about.
struct IdsWanted {
    std::uint64_t last_counter;
    std::uint32_t epoch;
    std::uint8_t reserved[52];
};

// Input: the disk has the IdsWanted of this number.
struct IdsReserved {
    std::uint64_t last_counter;
    std::uint32_t epoch;
    std::uint8_t reserved[52];
};

// Engine -> venue: ids of an epoch that is over. Answered by a RangeOrder for each that came, and a
// RangeEnd, from which on every other id of the range is refused.
struct QueryRange {
    OrderId first;
    std::uint64_t last_counter;
    std::uint32_t connection;
    std::uint8_t reserved[36];
};

struct RangeOrder {
    OrderId id;
    std::int64_t decision_bar_start_ts_ns;
    std::int64_t price_ticks;
    std::int64_t quantity_lots;
    std::int64_t filled_lots;
    std::uint32_t instrument;
    OrderState state;
    Side side;
    OrderType type;
    OrderReason reason;
    TimeInForce time_in_force;
    std::uint8_t strategy;
    std::uint8_t reserved[6];
};

struct RangeEnd {
    OrderId first;
    std::uint64_t last_counter;
    std::uint64_t orders;  // RangeOrders before it
    std::uint8_t reserved[32];
};

// Engine -> venue, when every order's fate is known. Answered by a PositionReport for each
// instrument that ever traded or has an open order: a flat one has cash and commission, too.
struct QueryAccount {
    std::uint32_t connection;
    std::uint8_t reserved[60];
};

// The venue's own books. Also the payload of kPositionNotice, which is sent unasked and is no
// numbered reply, and of kPositionCheck, the input that io makes of that.
struct PositionReport {
    std::int64_t position_lots;
    std::uint64_t cash_micros_low;  // sales less purchases, before commission, 128 bits
    std::int64_t cash_micros_high;
    std::int64_t commission_micros;
    std::uint64_t last_reply_sequence;  // what the books hold; a notice without the rest is skipped
    std::uint32_t open_orders;
    std::uint32_t instrument;
    std::uint32_t is_last;  // 1: instruments that were not named have neither
    std::uint8_t reserved[12];
};

enum class ReconField : std::uint32_t {
    kNone = 0,
    kPosition = 1,
    kCash = 2,
    kCommission = 3,
    kOpenOrders = 4,
    kLateFill = 5,  // of an order that was dead to us
};

// Output: what the venue's books say and ours do not, or (field kNone) that they agree again.
struct ReconBreak {
    std::int64_t ours;
    std::int64_t venues;
    std::uint64_t last_reply_sequence;
    std::uint32_t instrument;
    ReconField field;  // the first that differs
    std::uint8_t reserved[32];
};

// Input: two people have seen both books and accept the venue's. Ours become them if the break that
// stands is the very one that was shown.
struct BooksAccepted {
    std::uint8_t break_sha256[32];       // what they saw: gm/engine/books.hpp
    std::uint8_t signatures_sha256[32];  // of the two signatures
};

// Output: what an acceptance has changed in the books of one instrument, the venue's less ours.
struct BooksAdjusted {
    std::int64_t position_lots;
    std::uint64_t cash_micros_low;  // 128 bits, like those of PositionReport
    std::int64_t cash_micros_high;
    std::int64_t commission_micros;
    std::uint64_t adjusted_micros_low;  // of the cash, what the lots do not explain: neither
    std::int64_t adjusted_micros_high;  // realised nor held, but under its own name
    std::uint32_t instrument;
    std::uint8_t reserved[12];
};

static_assert(sizeof(IdsWanted) == 64 && sizeof(IdsReserved) == 64 && sizeof(QueryAccount) == 64);
static_assert(sizeof(QueryRange) == 64 && offsetof(QueryRange, connection) == 24);
static_assert(sizeof(RangeOrder) == 64 && offsetof(RangeOrder, instrument) == 48);
static_assert(sizeof(RangeEnd) == 64 && offsetof(RangeEnd, orders) == 24);
static_assert(sizeof(PositionReport) == 64 && offsetof(PositionReport, open_orders) == 40);
static_assert(sizeof(ReconBreak) == 64 && offsetof(ReconBreak, field) == 28);
static_assert(sizeof(BooksAccepted) == 64 && sizeof(BooksAdjusted) == 64);
static_assert(offsetof(BooksAdjusted, instrument) == 48);

}  // namespace gm
