#include "gm/venue/ledger.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <tuple>

#include "gm/venue/dice.hpp"

namespace gm {
namespace {

std::uint64_t scatter(const OrderId& id) noexcept {
    const std::uint64_t high = (std::uint64_t{id.installation} << 32) | id.epoch;
    std::uint64_t value = (high * 0x9e3779b97f4a7c15) ^ id.counter;
    value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93;
    return value ^ (value >> 32);
}

}  // namespace

Failure Ledger::open(std::size_t orders_max) {
    if (orders_max < 1 || orders_max > kOrdersMaxMax) {
        return fail(Status::kBadArgument, "orders_max must be 1 to " +
                                              std::to_string(kOrdersMaxMax) + ": " +
                                              std::to_string(orders_max));
    }
    orders_max_ = orders_max;
    index_.assign(std::bit_ceil(4 * orders_max), 0);  // orders_max orders, and as many of the rest
    mask_ = index_.size() - 1;
    orders_.clear();
    executions_.clear();
    tombstones_.clear();
    replaces_.clear();
    ranges_.clear();
    orders_.reserve(orders_max);
    executions_.reserve(kExecutionsPerOrder * orders_max);
    tombstones_.reserve(orders_max);
    replaces_.reserve(orders_max);
    ranges_.reserve(kRangesMax);
    cash_micros_ = 0;
    totals_ = {};
    return ok();
}

const OrderId& Ledger::id_at(std::size_t place) const noexcept {
    const std::uint32_t entry = index_[place];
    const std::size_t row = entry / kKinds - 1;
    if (is_of(entry, kTombstone)) return tombstones_[row];
    return is_of(entry, kReplace) ? replaces_[row] : orders_[row].id;
}

std::size_t Ledger::place_of(const OrderId& id) const noexcept {
    std::size_t place = scatter(id) & mask_;
    while (index_[place] != 0 && !(id_at(place) == id)) place = (place + 1) & mask_;  // half free
    return place;
}

LedgerOrder* Ledger::insert(const LedgerOrder& order) noexcept {
    if (orders_.size() == orders_max_) return nullptr;
    const std::size_t place = place_of(order.id);
    if (index_[place] != 0) return nullptr;
    orders_.push_back(order);
    index_[place] = entry_of(orders_.size(), kOrder);
    ++totals_.orders;
    ++(order.state == OrderState::kRejected ? totals_.rejected : totals_.accepted);
    return &orders_.back();
}

Status Ledger::bury(const OrderId& id) noexcept {
    const std::size_t place = place_of(id);
    if (index_[place] != 0) {
        return is_of(index_[place], kTombstone) ? Status::kOk : Status::kBadArgument;
    }
    if (!has_room()) return Status::kOutOfMemory;
    tombstones_.push_back(id);
    index_[place] = entry_of(tombstones_.size(), kTombstone);
    ++totals_.tombstones;
    return Status::kOk;
}

// Kept in order and apart, so that a place is found by halves: what touches or overlaps is one.
Status Ledger::bury_range(const OrderId& first, std::uint64_t last_counter) noexcept {
    BuriedRange range{first, last_counter};
    auto at = std::upper_bound(ranges_.begin(), ranges_.end(), range, is_before);
    if (at != ranges_.begin()) {
        const BuriedRange& before = *(at - 1);
        if (is_in_range(first, before.first, before.last_counter)) {
            range = {before.first, std::max(before.last_counter, last_counter)};
            --at;
        }
    }
    auto end = at;
    while (end != ranges_.end() && is_in_range(end->first, range.first, range.last_counter)) {
        range.last_counter = std::max(range.last_counter, end->last_counter);
        ++end;
    }
    if (at != end) {
        *at = range;
        ranges_.erase(at + 1, end);
        return Status::kOk;
    }
    if (ranges_.size() == kRangesMax) return Status::kOutOfMemory;
    ranges_.insert(at, range);
    return Status::kOk;
}

bool Ledger::is_before(const BuriedRange& a, const BuriedRange& b) noexcept {
    return std::tie(a.first.installation, a.first.epoch, a.first.counter) <
           std::tie(b.first.installation, b.first.epoch, b.first.counter);
}

bool Ledger::is_in_buried_range(const OrderId& id) const noexcept {
#ifdef GM_MUTANT_P3R  // what the range was asked for, and did not have, may still come
    return false && id.counter != 0;
#else
    const auto behind =
        std::upper_bound(ranges_.begin(), ranges_.end(), BuriedRange{id, 0}, is_before);
    return behind != ranges_.begin() &&
           is_in_range(id, (behind - 1)->first, (behind - 1)->last_counter);
#endif
}

Status Ledger::take_replace(const OrderId& id, bool is_refused) noexcept {
    const std::size_t place = place_of(id);
    if (index_[place] != 0 || is_in_buried_range(id)) return Status::kBadArgument;
    if (!has_room()) return Status::kOutOfMemory;
    replaces_.push_back(id);
    index_[place] = entry_of(replaces_.size(), kReplace);
    ++totals_.replaces;
    totals_.refused_replaces += is_refused ? 1 : 0;
    return Status::kOk;
}

LedgerOrder* Ledger::find(const OrderId& id) noexcept {
    const std::uint32_t entry = index_[place_of(id)];
    return is_of(entry, kOrder) ? &orders_[entry / kKinds - 1] : nullptr;
}

bool Ledger::is_buried(const OrderId& id) const noexcept {
    const std::uint32_t entry = index_[place_of(id)];
    return entry != 0 ? is_of(entry, kTombstone) : is_in_buried_range(id);
}

Status Ledger::execute(LedgerOrder& order, const Execution& execution,
                       std::int64_t tick_value_micros) noexcept {
    const std::int64_t lots = execution.quantity_lots;
    if (!order.is_open() || lots <= 0 || lots > order.leaves_lots()) return Status::kBadArgument;
    if (executions_.size() == kExecutionsPerOrder * orders_max_) return Status::kOutOfMemory;

    const bool is_buy = execution.side == Side::kBuy;
    Int128 money = 0;
    Int128 cash = 0;
    std::int64_t traded_lots = 0;
    std::int64_t position_lots = 0;
    std::int64_t order_commission = 0;
    std::int64_t commission = 0;
    // Two factors of 63 bits fit 128; the third may not.
    if (mul_overflows(Int128{execution.price_ticks} * lots, Int128{tick_value_micros}, money) ||
        (is_buy ? sub_overflows(cash_micros_, money, cash)
                : add_overflows(cash_micros_, money, cash)) ||
        add_overflows(is_buy ? totals_.bought_lots : totals_.sold_lots, lots, traded_lots) ||
        (is_buy ? add_overflows(totals_.position_lots, lots, position_lots)
                : sub_overflows(totals_.position_lots, lots, position_lots)) ||
        add_overflows(order.commission_micros, execution.commission_micros, order_commission) ||
        add_overflows(totals_.commission_micros, execution.commission_micros, commission)) {
        return Status::kOverflow;
    }

    executions_.push_back(execution);
    order.filled_lots += lots;
    order.commission_micros = order_commission;
    ++order.fill_count;
    order.state = order.leaves_lots() == 0 ? OrderState::kFilled : OrderState::kPartial;
    if (order.state == OrderState::kFilled) {
        order.ended_ts_ns = execution.ts_ns;
        ++totals_.filled;
    }
    ++totals_.executions;
    (is_buy ? totals_.bought_lots : totals_.sold_lots) = traded_lots;
    totals_.position_lots = position_lots;
    totals_.commission_micros = commission;
    cash_micros_ = cash;
    totals_.cash_micros_low = static_cast<std::uint64_t>(cash);
    totals_.cash_micros_high = static_cast<std::int64_t>(cash >> 64);
    return Status::kOk;
}

void Ledger::end(LedgerOrder& order, OrderState state, std::int64_t ts_ns) noexcept {
    if (!order.is_open()) return;
    order.state = state;
    order.ended_ts_ns = ts_ns;
    ++(state == OrderState::kCancelled ? totals_.cancelled : totals_.expired);
}

Status commission_of(const Fees& fees, std::int64_t price_ticks, std::int64_t quantity_lots,
                     std::int64_t tick_value_micros, std::int64_t& commission_micros) noexcept {
    // Below zero prices exist (crude oil, April 2020); a notional has no sign.
    const Int128 volume = Int128{magnitude(price_ticks)} * quantity_lots;
    Int128 notional = 0;
    Int128 scaled = 0;
    Int128 sum = 0;
    if (mul_overflows(volume, Int128{tick_value_micros}, notional) ||
        mul_overflows(notional, Int128{fees.notional_ppm}, scaled) ||
        add_overflows(ceil_div(scaled, Int128{kPpm}), Int128{fees.micros_per_lot} * quantity_lots,
                      sum) ||
        narrow_overflows(sum, commission_micros)) {
        return Status::kOverflow;
    }
    return Status::kOk;
}

}  // namespace gm
