// What the feed says about the book. It moves the reference of the gate and its permission to trade
// (R08), never a bar and never a decision.
#include "gm/engine/engine.hpp"

namespace gm {

// A book that stays crossed is one refusal, however many messages leave it so: each of them is in
// the journal already, and an auction would write thousands.
void Engine::on_quote(const Quote& quote, std::int64_t ts_ns, Outputs& out) noexcept {
    if (quote.instrument >= desks_.size()) return;
    orders_.note_change(quote.instrument);
    Market& market = desks_[quote.instrument].market;
    const QuarantineReason before = market.quote_fault();
    const QuarantineReason fault = market.on_quote(quote, ts_ns, stamp_.now_ns);
    if (fault != before) is_refused(quote.instrument, fault, ts_ns, out);
}

void Engine::on_book_level(const Slot& input, Outputs& out) noexcept {
    const auto& level = input.view<BookLevel>();
    const std::int64_t ts_ns = input.header.source_ts_ns;
    if (level.instrument >= desks_.size()) return;
    orders_.note_change(level.instrument);
    Market& market = desks_[level.instrument].market;
    const QuarantineReason before = market.level_fault();
    const QuarantineReason fault = market.on_book_level(level, ts_ns, stamp_.now_ns);
    if (fault != before) is_refused(level.instrument, fault, ts_ns, out);
}

void Engine::on_book_reset(const BookReset& reset) noexcept {
    if (reset.instrument >= desks_.size()) return;
    orders_.note_change(reset.instrument);
    desks_[reset.instrument].market.on_book_reset(reset);
}

}  // namespace gm
