// What a trader that lost its memory asks: the fate of ids that its journal does not hold, and
// whether its books are the venue's.
#include "gm/venue/venue.hpp"

namespace gm {
namespace {

RangeOrder describe(const LedgerOrder& order) noexcept {
    RangeOrder found{};
    found.id = order.id;
    found.decision_bar_start_ts_ns = order.decision_bar_start_ts_ns;
    found.price_ticks = order.price_ticks;
    found.quantity_lots = order.quantity_lots;
    found.filled_lots = order.filled_lots;
    found.instrument = order.instrument;
    found.state = order.state;
    found.side = order.side;
    found.type = order.type;
    found.reason = order.reason;
    found.time_in_force = order.time_in_force;
    found.strategy = order.strategy;
    return found;
}

}  // namespace

// Buried before it is answered. Ids of the sender's own epoch are still being used: a range of
// those, or of nothing, is not answered.
void Venue::on_query_range(const QueryRange& query, const Sender& sender) noexcept {
    if (is_stale(sender.epoch, sender.connection)) return ledger_.count_stale_message();
    const OrderId& first = query.first;
    if (first.counter == 0 || first.counter > query.last_counter || first.epoch >= sender.epoch) {
        return write_reject(first, RejectReason::kMalformed);
    }
    if (const Status buried = ledger_.bury_range(first, query.last_counter);
        buried != Status::kOk) {
        return stop(buried);
    }
    RangeEnd end{};
    end.first = first;
    end.last_counter = query.last_counter;
    for (const LedgerOrder& order : ledger_.orders()) {
        if (!is_in_range(order.id, first, query.last_counter)) continue;
        write_reply(RecordType::kRangeOrder, describe(order));
        ++end.orders;
    }
    write_reply(RecordType::kRangeEnd, end);
}

void Venue::on_query_account(const QueryAccount&, const Sender& sender) noexcept {
    if (is_stale(sender.epoch, sender.connection)) return ledger_.count_stale_message();
    is_account_asked_ = true;
    write_reply(RecordType::kPositionReport, report_position());
}

PositionReport Venue::report_position() const noexcept {
    const LedgerTotals& totals = ledger_.totals();
    PositionReport report{};
    report.position_lots = totals.position_lots;
    report.cash_micros_low = totals.cash_micros_low;
    report.cash_micros_high = totals.cash_micros_high;
    report.commission_micros = totals.commission_micros;
    report.last_reply_sequence = replies_.size();
    report.open_orders = ledger_.open_orders();
    report.instrument = settings_.instrument;
    report.is_last = 1;
    return report;
}

// Once, when nothing can trade any more.
bool Venue::report_at_end() noexcept {
    if (!is_account_asked_) return false;
    is_account_asked_ = false;
    write_reply(RecordType::kPositionReport, report_position());
    return status_ == Status::kOk;
}

}  // namespace gm
