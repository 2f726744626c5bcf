// What the venue says of an order that the table does not hold: another engine's, or one of a life
// whose journal is gone. It is held at its worst, cancelled, and the symbol halted.
#include "gm/engine/engine.hpp"

namespace gm {

void Engine::on_stranger(const Slot& input, Outputs& out) noexcept {
    if (recovery_.is_lost(input.view<OrderEnded>().id)) return on_lost(input, out);
    switch (input.type()) {
        case RecordType::kAck: {
            const auto ack = input.as<Ack>();
            return adopt(ack.id, ack.instrument, ack.side, ack.quantity_lots, out);
        }
        case RecordType::kFill: return on_stranger_fill(input.as<Fill>(), out);
        case RecordType::kOrderState: {
            const auto report = input.as<OrderStateReport>();
            if (report.leaves_lots > 0) {
                return adopt(report.id, report.instrument, report.side, report.leaves_lots, out);
            }
            [[fallthrough]];
        }
        default: ++totals_.bad_transitions; return;  // of an order that cannot trade any more
    }
}

// Booked, and its order held: what it left may trade, too.
void Engine::on_stranger_fill(const Fill& fill, Outputs& out) noexcept {
    if (!executions_.insert(fill.execution_id)) {
        ++totals_.repeated_fills;
        return;
    }
    const std::uint32_t at = fill.instrument;
    if (at >= desks_.size()) {
        ++totals_.bad_transitions;
        return;
    }
    if (fill.quantity_lots > 0 && book(at, fill.side, fill)) write_position(at, out);
    if (fill.leaves_lots > 0) return adopt(fill.id, at, fill.side, fill.leaves_lots, out);
    meet_impossible(at, out);
}

void Engine::adopt(const OrderId& id, std::uint32_t at, Side side, std::int64_t lots,
                   Outputs& out) noexcept {
    if (at >= desks_.size()) {
        ++totals_.bad_transitions;
        return;
    }
    meet_impossible(at, out);
    NewOrder found{};
    found.id = id;
    found.instrument = at;
    found.side = side;
    found.quantity_lots = lots;
    Order* order = lots > 0 ? orders_.adopt(found) : nullptr;
    if (order == nullptr) return;  // halted, which is all that is left to do
    ++totals_.orphans;
    write_order_update(*order, OrderState::kAbsent, out);
    cancel(*order, out);
}

}  // namespace gm
