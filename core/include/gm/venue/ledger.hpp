// The venue's book of record: every client id at most once, every execution, every tombstone.
//
// An id is taken for ever by an order, a refused order, a replace or a tombstone. Filled lots never
// exceed an order's quantity, the position is the sum of the executions, and money is added in 128
// bits. All memory is set aside at open; a full ledger says so and changes nothing. Rows cross the
// Python boundary: gm/layout.py repeats them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/checked.hpp"
#include "gm/base/status.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

struct LedgerOrder {
    OrderId id;
    std::uint64_t venue_order;  // from 1 among orders that passed every check; 0: it did not
    std::int64_t decision_bar_start_ts_ns;
    std::int64_t received_ts_ns;
    std::int64_t ended_ts_ns;  // 0: it has not
    std::int64_t price_ticks;
    std::int64_t quantity_lots;
    std::int64_t filled_lots;
    std::int64_t commission_micros;
    std::uint32_t instrument;
    std::uint32_t connection;
    RejectReason reject_reason;
    std::uint32_t fill_count;
    Side side;
    OrderType type;
    OrderReason reason;
    OrderState state;  // kLive, kPartial, kFilled, kCancelled, kExpired or kRejected
    TimeInForce time_in_force;
    std::uint8_t strategy;  // as the sender named it: after a loss of power he asks
    std::uint8_t reserved[26];

    [[nodiscard]] std::int64_t leaves_lots() const noexcept { return quantity_lots - filled_lots; }
    [[nodiscard]] bool is_open() const noexcept {
        return state == OrderState::kLive || state == OrderState::kPartial;
    }
};
static_assert(sizeof(LedgerOrder) == 128 && offsetof(LedgerOrder, instrument) == 80);

struct Execution {
    OrderId order_id;
    std::uint64_t execution_id;  // from 1
    std::uint64_t venue_order;
    std::int64_t price_ticks;
    std::int64_t quantity_lots;
    std::int64_t commission_micros;
    std::int64_t ts_ns;
    std::uint32_t instrument;
    Side side;
    std::uint8_t reserved[3];
};
static_assert(sizeof(Execution) == 72 && offsetof(Execution, instrument) == 64);

// Ids of a sender that will not be taken any more, unless they had come before.
struct BuriedRange {
    OrderId first;
    std::uint64_t last_counter;
};
static_assert(sizeof(BuriedRange) == 24);

struct LedgerTotals {
    std::uint64_t orders;  // client ids that came as orders, refused ones included
    std::uint64_t accepted;
    std::uint64_t rejected;
    std::uint64_t filled;  // completely
    std::uint64_t cancelled;
    std::uint64_t expired;
    std::uint64_t executions;
    std::uint64_t tombstones;
    std::uint64_t repeated_ids;    // orders under an id that was taken: refused
    std::uint64_t stale_messages;  // of an older epoch or connection
    std::uint64_t late_cancels;    // of orders that had ended or were being filled
    std::uint64_t replaces;        // replace ids that came, refused ones included
    std::uint64_t refused_replaces;
    std::int64_t bought_lots;
    std::int64_t sold_lots;
    std::int64_t position_lots;
    std::int64_t commission_micros;
    // Money in for sales less money out for purchases, before commission, 128 bits. Position
    // valued at a price plus this minus commission is the profit at that price.
    std::uint64_t cash_micros_low;
    std::int64_t cash_micros_high;
};
static_assert(sizeof(LedgerTotals) == 152);

class Ledger {
 public:
    static constexpr std::size_t kOrdersMaxMax = std::size_t{1} << 22;
    static constexpr std::size_t kExecutionsPerOrder = 8;

    // Cold. kBadArgument unless 1 <= orders_max <= kOrdersMaxMax.
    Failure open(std::size_t orders_max);

    // Takes the id of an order that is not taken. nullptr: full. The pointer stays valid.
    [[nodiscard]] LedgerOrder* insert(const LedgerOrder& order) noexcept;
    // Takes the id of an order that never came. kOutOfMemory when there is no room.
    [[nodiscard]] Status bury(const OrderId& id) noexcept;

    // Takes every id from `first` to the number `last_counter` that is not taken yet. kOutOfMemory
    // when there is no room.
    [[nodiscard]] Status bury_range(const OrderId& first, std::uint64_t last_counter) noexcept;

    // Takes the id of a replace. kBadArgument: it is taken; kOutOfMemory when there is no room.
    [[nodiscard]] Status take_replace(const OrderId& id, bool is_refused) noexcept;

    [[nodiscard]] LedgerOrder* find(const OrderId& id) noexcept;
    [[nodiscard]] bool is_buried(const OrderId& id) const noexcept;

    // Books one execution of an open order and moves it to kPartial or kFilled. kBadArgument: more
    // than its leaves; kOverflow, kOutOfMemory: nothing was changed.
    [[nodiscard]] Status execute(LedgerOrder& order, const Execution& execution,
                                 std::int64_t tick_value_micros) noexcept;
    // Ends an open order as kCancelled or kExpired.
    void end(LedgerOrder& order, OrderState state, std::int64_t ts_ns) noexcept;

    // Orders that may still trade.
    [[nodiscard]] std::uint32_t open_orders() const noexcept {
        return static_cast<std::uint32_t>(totals_.accepted - totals_.filled - totals_.cancelled -
                                          totals_.expired);
    }

    void count_repeated_id() noexcept { ++totals_.repeated_ids; }
    void count_stale_message() noexcept { ++totals_.stale_messages; }
    void count_late_cancel() noexcept { ++totals_.late_cancels; }

    [[nodiscard]] std::span<const LedgerOrder> orders() const noexcept { return orders_; }
    [[nodiscard]] std::span<LedgerOrder> orders() noexcept { return orders_; }
    [[nodiscard]] std::span<const Execution> executions() const noexcept { return executions_; }
    [[nodiscard]] std::span<const OrderId> tombstones() const noexcept { return tombstones_; }
    // In order and apart.
    [[nodiscard]] std::span<const BuriedRange> buried_ranges() const noexcept { return ranges_; }
    [[nodiscard]] const LedgerTotals& totals() const noexcept { return totals_; }
    [[nodiscard]] std::size_t orders_max() const noexcept { return orders_max_; }

 private:
    // A place of the index: 0 free, else 4 * (row + 1), and what the row is of.
    enum Kind : std::uint32_t { kOrder = 0, kTombstone = 1, kReplace = 2 };
    static constexpr std::uint32_t kKinds = 4;
    [[nodiscard]] static std::uint32_t entry_of(std::size_t count, Kind kind) noexcept {
        return static_cast<std::uint32_t>(kKinds * count + kind);
    }
    [[nodiscard]] bool is_of(std::uint32_t entry, Kind kind) const noexcept {
        return entry != 0 && entry % kKinds == kind;
    }
    [[nodiscard]] bool has_room() const noexcept {
        return tombstones_.size() + replaces_.size() < orders_max_;
    }
    [[nodiscard]] std::size_t place_of(const OrderId& id) const noexcept;
    [[nodiscard]] const OrderId& id_at(std::size_t place) const noexcept;

    [[nodiscard]] bool is_in_buried_range(const OrderId& id) const noexcept;

    [[nodiscard]] static bool is_before(const BuriedRange& a, const BuriedRange& b) noexcept;
    static constexpr std::size_t kRangesMax = 65'536;  // one for each life that did not end well

    std::size_t orders_max_ = 0;
    std::size_t mask_ = 0;
    std::vector<std::uint32_t> index_;  // open addressing, at most half full
    std::vector<LedgerOrder> orders_;   // these four never grow past what open() reserved
    std::vector<Execution> executions_;
    std::vector<OrderId> tombstones_;
    std::vector<BuriedRange> ranges_;  // tombstones, many at once
    std::vector<OrderId> replaces_;    // with the tombstones no more than orders_max
    Int128 cash_micros_ = 0;
    LedgerTotals totals_{};
};

// Per fill: micros per lot x lots, plus ppm of the notional, rounded up to the micro-unit.
// kOverflow when it does not fit 64 bits. SPEC §1.
struct Fees {
    std::int64_t micros_per_lot;
    std::int64_t notional_ppm;  // one basis point is 100
};
[[nodiscard]] Status commission_of(const Fees& fees, std::int64_t price_ticks,
                                   std::int64_t quantity_lots, std::int64_t tick_value_micros,
                                   std::int64_t& commission_micros) noexcept;

}  // namespace gm
