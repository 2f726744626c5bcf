// What the judge looks at between events: the engine's tables beside the venue's ledger.
#include <algorithm>

#include "gm/simulation/judge.hpp"

namespace gm {

void Judge::follow_open_orders() {
    const auto orders = venue_.ledger().orders();
    for (; rows_seen_ < orders.size(); ++rows_seen_) {
        if (orders[rows_seen_].is_open()) {
            open_rows_.push_back(static_cast<std::uint32_t>(rows_seen_));
        }
    }
    std::erase_if(open_rows_, [&](std::uint32_t row) { return !orders[row].is_open(); });
}

// P14 at the venue: no outcome of what rests there exceeds a limit.
void Judge::look_at_venue() {
    follow_open_orders();
    Exposure truth;
    truth.position_lots = venue_.ledger().totals().position_lots;
    for (const std::uint32_t row : open_rows_) {
        const LedgerOrder& order = venue_.ledger().orders()[row];
        (void)reserve(truth, order.side, order.leaves_lots());
    }
    std::int64_t worst_lots = 0;
    const std::int64_t limit_lots = settings_.limits[0].position_lots_max;
    if (!worst_case_lots(truth, worst_lots) || worst_lots > limit_lots) {
        violate("P14: at the venue the worst case is " + std::to_string(worst_lots) +
                " lots, the limit " + std::to_string(limit_lots));
    }
    const std::int64_t credit_micros = settings_.account.credit_micros_max;
    const Int128 margin = Int128{worst_lots} * settings_.limits[0].margin_micros_per_lot;
    if (credit_micros != 0 && margin > credit_micros) {
        violate("R11: at the venue the worst case of " + std::to_string(worst_lots) +
                " lots needs more margin than " + std::to_string(credit_micros));
    }
}

void Judge::look_at_engine() {
    if (core_ == nullptr) return;
    read_journal(core_->journal_ring().published());
    violate(kills_.compare(*words_));
    follow_open_orders();
    const Engine& engine = core_->engine();
    std::int64_t buy_lots = 0;
    std::int64_t sell_lots = 0;
    for (const std::uint32_t row : open_rows_) {
        const LedgerOrder& order = venue_.ledger().orders()[row];
        const std::uint64_t key = key_of(order.id);
        if (!intents_.contains(key) && !adopted_.contains(key)) {
            if (engine.state() == EngineState::kReady) {
                violate("P2: " + name_of(order.id) +
                        " rests at the venue and the engine is ready without it");
            }
            continue;
        }
        (order.side == Side::kBuy ? buy_lots : sell_lots) += order.leaves_lots();
    }
    check_reserved(buy_lots, sell_lots);
    check_mass_cancel();
    const bool knows_all = engine.last_reply_sequence() == venue_.last_reply_sequence() &&
                           adversary_->has_said_all() && adversary_->lost_fills() == 0;
    const std::int64_t ours = engine.desks()[0].position.lots;
    const std::int64_t theirs = venue_.ledger().totals().position_lots;
    if (knows_all && ours != theirs && !is_position_doubtful()) {
        violate("position: " + std::to_string(ours) + " lots, at the venue " +
                std::to_string(theirs) + ", with all replies taken");
    }
}

// P13: the mass cancel leaves out nothing that rests, and goes on until nothing does.
void Judge::check_mass_cancel() {
    constexpr std::int64_t kCancelWithinNs = 500'000'000;
    const Engine& engine = core_->engine();
    const bool is_due = engine.state() == EngineState::kReady && !resting_.empty() &&
                        engine.kill_level(0) == KillLevel::kKilled;
    killed_since_ns_ = is_due ? std::min(killed_since_ns_, now_ns_) : INT64_MAX;
    if (!is_due || now_ns_ - killed_since_ns_ <= kCancelWithinNs) return;
    violate("P13: " + std::to_string(resting_.size()) +
            " orders rest under KILLED, and nothing cancels them");
}

// P14 in the engine: what may still trade at the venue is reserved.
void Judge::check_reserved(std::int64_t open_buy_lots, std::int64_t open_sell_lots) {
    const Exposure& exposure = core_->engine().orders().exposure(0);
    if (exposure.open_buy_lots >= open_buy_lots && exposure.open_sell_lots >= open_sell_lots) {
        return;
    }
    if (is_position_doubtful()) return;
    violate("P14: reserved " + std::to_string(exposure.open_buy_lots) + " and " +
            std::to_string(exposure.open_sell_lots) + " lots, at the venue " +
            std::to_string(open_buy_lots) + " and " + std::to_string(open_sell_lots) +
            " may trade");
}

std::string Judge::unsettled() const {
    if (core_ == nullptr) return "the engine is not there";
    const Engine& engine = core_->engine();
    const bool is_up =
        engine.state() == EngineState::kReady || engine.state() == EngineState::kEnded;
    // Books that are not the venue's keep it from READY until two people have looked.
    if (engine.awaited() == Awaited::kReconBreak && is_halted()) return "";
    if (!is_up) {
        return "state " + std::to_string(static_cast<int>(engine.state())) + ", it waits for " +
               describe(engine.awaited());
    }
    if (engine.last_reply_sequence() != venue_.last_reply_sequence()) return "replies are open";
    if (venue_.last_feed_sequence() > engine.last_feed_sequence() + 2) return "the feed is behind";
    if (engine.awaiting_queries() > 0) return "queries are unanswered";
    if (is_position_doubtful() && is_halted()) return "";
    if (engine.kill_level(0) == KillLevel::kKilled && !open_rows_.empty()) {
        return std::to_string(open_rows_.size()) + " orders rest at the venue under KILLED";
    }
    if (engine.open_orders() != open_rows_.size()) {
        return std::to_string(engine.open_orders()) + " orders are open, at the venue " +
               std::to_string(open_rows_.size());
    }
    const bool is_same = engine.desks()[0].position.lots == venue_.ledger().totals().position_lots;
    return is_same ? "" : "the position is not the venue's";
}

}  // namespace gm
