#include "gm/simulation/limit_account.hpp"

#include <algorithm>

namespace gm {
namespace {

constexpr std::int64_t kToken = 1'000'000'000;

std::string over(const char* code, const OrderId& id, Int128 value, std::int64_t limit) {
    const auto shown = static_cast<std::int64_t>(std::min(value, Int128{INT64_MAX}));
    return std::string(code) + ": order " + std::to_string(id.epoch) + "/" +
           std::to_string(id.counter) + " makes it " + std::to_string(shown) + ", the limit is " +
           std::to_string(limit);
}

bool is_leg(OrderReason reason) noexcept {
    return reason == OrderReason::kStop || reason == OrderReason::kTarget;
}

}  // namespace

std::string LimitAccount::take(const Slot& record) {
    records_.push_back(record);
    if (record.type() == RecordType::kRefusal) {
        const std::uint32_t mask = record.as<Refusal>().mask;
        for (std::size_t code = 1; code < kCodes; ++code) codes_[code] += mask >> (code - 1) & 1U;
    }
    if (record.type() == RecordType::kRiskTrip) ++codes_[record.as<RiskTrip>().code % kCodes];
    return step(record);
}

void LimitAccount::forget_behind(std::uint64_t sequence) {
    std::erase_if(records_,
                  [&](const Slot& record) { return record.trailer.journal_sequence > sequence; });
    books_ = Books{};
    for (const Slot& record : records_) (void)step(record);
}

std::string LimitAccount::step(const Slot& record) {
    if (record.header.source == static_cast<std::uint16_t>(Source::kEngine)) {
        return take_output(record);
    }
    std::string wrong = end_step();
    begin_step(record);
    return wrong;
}

// ---- what the engine was told

std::string LimitAccount::end_step() {
    accept_price();
    std::string wrong;
    for (const Expected& missing : books_.expected) {
        if (books_.is_doubtful) break;
        wrong = "R" + std::to_string(static_cast<int>(missing.code)) + ": it did not trip";
    }
    books_.expected.clear();
    return wrong;
}

void LimitAccount::begin_step(const Slot& input) {
    Books& books = books_;
    books.now_ns = std::max(books.now_ns, input.header.receive_ts_ns);
    const std::uint64_t sequence = input.header.first_sequence;
    if (input.header.source == static_cast<std::uint16_t>(Source::kVenueOrders)) {
        if (sequence != books.last_reply + 1) return;  // over a gap: not taken
        books.last_reply = sequence;
        return begin_reply(input);
    }
    const auto price = [&](std::int64_t ticks) {
        books.pending_ticks = ticks;
        books.has_pending = true;
    };
    if (input.header.source == static_cast<std::uint16_t>(Source::kVenueFeed)) {
        if (sequence != books.last_feed + 1) return;
        books.last_feed = sequence;
        if (input.type() == RecordType::kBarOpen) price(input.as<BarOpen>().open_ticks);
        if (input.type() == RecordType::kBarClose) price(input.as<BarClose>().close_ticks);
        if (input.type() == RecordType::kTrade) price(input.as<Trade>().price_ticks);
    } else if (input.type() == RecordType::kConnected) {
        const auto event = input.as<SessionEvent>();
        if (event.has_backfill != 0) {
            books.last_feed = std::max(books.last_feed, event.feed_begins_after);
        }
    } else if (input.type() == RecordType::kEpoch) {
        books.is_under_floor = false;  // io says it again
    } else if (input.type() == RecordType::kHeadroom) {
        books.is_under_floor = input.as<Headroom>().under != 0;
    }
}

void LimitAccount::begin_reply(const Slot& input) {
    if (input.type() == RecordType::kFill) {
        // By the venue's stamp, unless it says nothing or something a day away.
        constexpr std::int64_t kDayNs = 86'400'000'000'000;
        const std::int64_t stamp_ns = input.header.source_ts_ns;
        const Int128 age_ns = Int128{books_.now_ns} - stamp_ns;
        const bool is_told = stamp_ns != 0 && (age_ns < 0 ? -age_ns : age_ns) <= kDayNs;
        return book(input.as<Fill>(), is_told ? stamp_ns : books_.now_ns);
    }
    if (input.type() != RecordType::kReplaced) return;
    const auto replaced = input.as<Replaced>();
    const auto found = books_.open.find(key_of(replaced.id));
    if (found == books_.open.end()) return;
    const Open before = found->second;
    drop(found->first);
    const Open after{before.side, replaced.quantity_lots - replaced.filled_lots};
    books_.open[key_of(replaced.id)] = after;
    (void)reserve(books_.exposure, after.side, after.lots);
}

// R14 counts what was executed, each execution once, by when it traded.
void LimitAccount::book(const Fill& fill, std::int64_t traded_ns) {
    Books& books = books_;
    if (!books.executions.insert(fill.execution_id).second) return;
    const std::int64_t sign = fill.side == Side::kBuy ? 1 : -1;
    const Int128 tick_micros = settings_.instruments[0].tick_value_micros;
    books.exposure.position_lots += sign * fill.quantity_lots;
    books.cash_micros -= Int128{sign} * fill.price_ticks * fill.quantity_lots * tick_micros;
    books.commission_micros += fill.commission_micros;
    if (const auto found = books.open.find(key_of(fill.id)); found != books.open.end()) {
        const std::int64_t lots = std::min(fill.quantity_lots, found->second.lots);
        (void)reserve(books.exposure, found->second.side, -lots);
        found->second.lots -= lots;
    }
    const std::int64_t most = settings_.limits[0].repeat_executions_max;
    if (most == 0) return;
    const std::uint8_t strategy = books.strategies[key_of(fill.id)];
    books.executed.emplace_back(traded_ns, strategy);
    const auto same = std::ranges::count_if(books.executed, [&](const auto& past) {
        const Int128 apart_ns = Int128{traded_ns} - past.first;
        return past.second == strategy &&
               (apart_ns < 0 ? -apart_ns : apart_ns) < settings_.limits[0].repeat_window_ns;
    });
    if (same <= most || books.has_repeated) return;
    books.has_repeated = true;
    books.expected.push_back({GateCode::kRepeatExecution, false});
}

// R15. Of a price that the engine did not refuse.
void LimitAccount::accept_price() {
    Books& books = books_;
    if (!books.has_pending) return;
    books.has_pending = false;
    books.price_ticks = books.pending_ticks;
    const AccountLimits& account = settings_.account;
    const std::int64_t own_max = settings_.limits[0].loss_micros_max;
    if (account.loss_micros_max == 0 && account.drawdown_micros_max == 0 && own_max == 0) return;
    const Int128 held = Int128{books.exposure.position_lots} * books.price_ticks *
                        settings_.instruments[0].tick_value_micros;
    const auto equity =
        static_cast<std::int64_t>(books.cash_micros + held - books.commission_micros);
    books.account_loss.equities.push_back(equity);
    books.loss.equities.push_back(equity);
    const std::size_t before = books.expected.size();
    watch(books.account_loss, account.loss_micros_max, account.drawdown_micros_max, true);
    if (books.expected.size() == before) watch(books.loss, own_max, 0, false);
}

// So many prices in a row say so: the best of them for a loss, the worst for a peak. Before there
// were so many, nothing was lost.
void LimitAccount::watch(Loss& loss, std::int64_t loss_max, std::int64_t drawdown_max,
                         bool is_of_account) {
    const std::size_t confirmations = settings_.header.loss_confirmations;
    Int128 best = INT64_MIN;
    Int128 worst = INT64_MAX;
    for (std::size_t i = 0; i < confirmations; ++i) {
        const std::size_t count = loss.equities.size();
        const Int128 equity = i < count ? loss.equities[count - 1 - i] : 0;
        best = std::max(best, equity);
        worst = std::min(worst, equity);
    }
    loss.peak = std::max(loss.peak, worst);
    const bool is_lost = (loss_max != 0 && loss.base - best > loss_max) ||
                         (drawdown_max != 0 && loss.peak - best > drawdown_max);
    if (!is_lost || loss.has_tripped) return;
    loss.has_tripped = true;
    books_.expected.push_back({GateCode::kLoss, is_of_account});
}

// ---- what it wrote

std::string LimitAccount::take_output(const Slot& record) {
    if (record.type() == RecordType::kBarQuarantined) {
        books_.has_pending = false;
        return "";
    }
    accept_price();
    switch (record.type()) {
        case RecordType::kIntent: return take_intent(record.as<NewOrder>());
        case RecordType::kRiskTrip: return take_trip(record.as<RiskTrip>());
        case RecordType::kKillState: take_state(record.as<KillState>()); return "";
        case RecordType::kOrderUpdate: {
            const auto update = record.as<OrderUpdate>();
            if (is_terminal(update.state)) drop(key_of(update.id));
            return "";
        }
        default: return "";
    }
}

void LimitAccount::drop(std::uint64_t key) {
    const auto found = books_.open.find(key);
    if (found == books_.open.end()) return;
    (void)reserve(books_.exposure, found->second.side, -found->second.lots);
    books_.open.erase(found);
}

std::string LimitAccount::take_trip(const RiskTrip& trip) {
    const auto code = static_cast<GateCode>(trip.code);
    if (code != GateCode::kRepeatExecution && code != GateCode::kLoss) return "";
    const bool is_of_account = trip.instrument == kWholeAccount;
    const auto found = std::ranges::find_if(books_.expected, [&](const Expected& expected) {
        return expected.code == code && expected.is_of_account == is_of_account;
    });
    if (found != books_.expected.end()) {
        books_.expected.erase(found);
        return "";
    }
    if (books_.is_doubtful) return "";
    return "R" + std::to_string(trip.code) + ": it trips at " + std::to_string(trip.value) +
           ", limit " + std::to_string(trip.limit) + ", and by these books it must not";
}

void LimitAccount::take_state(const KillState& state) {
    Books& books = books_;
    if (state.cause == KillCause::kBadTransition || state.cause == KillCause::kArithmetic) {
        books.is_doubtful = true;
    }
    if (state.cause != KillCause::kCleared || state.level >= KillLevel::kHalted) return;
    const auto best_of = [&](const Loss& loss) {
        Int128 best = INT64_MIN;
        for (std::size_t i = 0; i < settings_.header.loss_confirmations; ++i) {
            const std::size_t count = loss.equities.size();
            best = std::max(best, i < count ? Int128{loss.equities[count - 1 - i]} : Int128{0});
        }
        return best;
    };
    Loss& loss = state.instrument == kWholeAccount ? books.account_loss : books.loss;
    if (loss.has_tripped) loss.base = loss.peak = best_of(loss);
    loss.has_tripped = false;
    if (state.instrument == kWholeAccount) return;
    if (books.has_repeated) books.executed.clear();
    books.has_repeated = false;
}

std::string LimitAccount::take_intent(const NewOrder& order) {
    std::string wrong = check_value(order);
    if (wrong.empty()) wrong = check_rate(order);
    books_.strategies[key_of(order.id)] = order.strategy;
    books_.open[key_of(order.id)] = {order.side, order.quantity_lots};
    (void)reserve(books_.exposure, order.side, order.quantity_lots);
    return wrong;
}

// R05, R10, R11, and what has tripped. An order that brings the position nearer to flat, or a leg
// beside the other one, adds nothing.
std::string LimitAccount::check_value(const NewOrder& order) const {
    const Books& books = books_;
    const Limits& limits = settings_.limits[0];
    if (order.quantity_lots > limits.order_quantity_lots_max) {
        return over("R05", order.id, order.quantity_lots, limits.order_quantity_lots_max);
    }
    if (books.is_under_floor) return over("R18", order.id, 1, 0);
    if (books.is_doubtful) return "";
    if (books.has_repeated) return over("R14", order.id, 1, 0);
    if (books.loss.has_tripped || books.account_loss.has_tripped)
        return over("R15", order.id, 1, 0);
    if (is_leg(order.reason)) return "";
    if (is_reducing(books.exposure, order.side, order.quantity_lots)) return "";
    Exposure after = books.exposure;
    std::int64_t worst_lots = 0;
    (void)reserve(after, order.side, order.quantity_lots);
    if (!worst_case_lots(after, worst_lots)) return over("R09", order.id, INT64_MAX, 0);
    const Int128 gross = Int128{worst_lots} *
                         static_cast<std::int64_t>(magnitude(books.price_ticks)) *
                         settings_.instruments[0].tick_value_micros;
    const Int128 margin = Int128{worst_lots} * limits.margin_micros_per_lot;
    const AccountLimits& account = settings_.account;
    if (account.gross_micros_max != 0 && gross > account.gross_micros_max) {
        return over("R10", order.id, gross, account.gross_micros_max);
    }
    if (account.credit_micros_max != 0 && margin > account.credit_micros_max) {
        return over("R11", order.id, margin, account.credit_micros_max);
    }
    return "";
}

// R12, R13. Orders that were refused count there and not here.
std::string LimitAccount::check_rate(const NewOrder& order) {
    Books& books = books_;
    const Limits& limits = settings_.limits[0];
    const AccountLimits& account = settings_.account;
    const bool has_own = take_token(books.bucket, books.now_ns, limits.orders_per_second_max,
                                    limits.orders_burst_max);
    const bool has_all = take_token(books.account_bucket, books.now_ns,
                                    account.orders_per_second_max, account.orders_burst_max);
    if (!has_own)
        return over("R12", order.id, limits.orders_burst_max + 1, limits.orders_burst_max);
    if (!has_all) {
        return over("R12", order.id, account.orders_burst_max + 1, account.orders_burst_max);
    }
    std::erase_if(books.attempts, [&](const Attempt& past) {
        return books.now_ns - past.ts_ns >= limits.duplicate_window_ns;
    });
    books.attempts.push_back(
        {books.now_ns, order.price_ticks, order.quantity_lots, order.side, order.strategy});
    const auto same = std::ranges::count_if(books.attempts, [&](const Attempt& past) {
        return past.price_ticks == order.price_ticks && past.side == order.side &&
               past.quantity_lots == order.quantity_lots && past.strategy == order.strategy;
    });
    return same > limits.duplicates_max ? over("R13", order.id, same, limits.duplicates_max) : "";
}

bool LimitAccount::take_token(Bucket& bucket, std::int64_t now_ns, std::int64_t per_second,
                              std::int64_t burst) {
    if (bucket.last_ns != INT64_MIN) {
        bucket.used -= Int128{now_ns - bucket.last_ns} * per_second;
        bucket.used = std::max(bucket.used, Int128{0});
    }
    bucket.last_ns = now_ns;
    bucket.used += kToken;
    return bucket.used <= Int128{burst} * kToken;
}

}  // namespace gm
