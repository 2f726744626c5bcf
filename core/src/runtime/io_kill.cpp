// The io thread's part of the kill switch: from the words to the engine, and what the send stopped.
#include "gm/runtime/io_loop.hpp"

namespace gm {

// A word is looked at on every wake-up, and the pipe of the words ends a sleep.
void IoLoop::serve_kill() {
    KillSwitch* kill = parts_.kill;
    if (kill == nullptr || is_finished_) return;
    Kill change{};
    while (kill->next_change(change)) {  // bounded: each word once, and people are few
        if (parts_.runner->room() == 0 && !parts_.runner->is_halted()) {
            has_more_ = true;
            return;
        }
        submit(make_slot(RecordType::kKill, Source::kIo, 0, clock_.now(wall_ns_), change));
        kill->told(change);
    }
    if (may_fall()) {
        while (parts_.runner->room() > 0 && kill->next_fall(change)) {  // each word once
            submit(make_slot(RecordType::kKill, Source::kIo, 0, clock_.now(wall_ns_), change));
        }
    }
    if (!submit_stopped()) has_more_ = true;
    if (!flush_orders()) on_lost();
    const bool is_halted = parts_.runner->is_halted();
    if (kill->is_changed() && (is_halted || parts_.runner->is_caught_up())) {
        kill->latch_behind(is_halted ? 0 : parts_.journal->published());
    }
    kill->advance_fall();
}

// The order of these records is that in which the venue would have got them. False: no room yet.
bool IoLoop::submit_stopped() {
    std::size_t told = 0;
    while (told < stopped_count_ && parts_.runner->room() > 0) {
        submit(make_slot(RecordType::kOrderStopped, Source::kIo, 0, clock_.now(wall_ns_),
                         stopped_[told]));
        ++told;
    }
    std::copy(stopped_.begin() + static_cast<std::ptrdiff_t>(told),
              stopped_.begin() + static_cast<std::ptrdiff_t>(stopped_count_), stopped_.begin());
    stopped_count_ -= told;
    return stopped_count_ == 0;
}

// What came through the order ring and is not for the venue: a level that the engine raised, ids
// that it wants, or an order that the send has stopped.
void IoLoop::take_unsent(const Slot& slot) noexcept {
    if (slot.type() == RecordType::kKillState) {
        if (parts_.kill != nullptr) parts_.kill->take_engine_raise(slot.as<KillState>());
        return;
    }
    if (slot.type() == RecordType::kIdsWanted) return take_ids_wanted(slot.as<IdsWanted>());
    OrderStopped stopped{};
    if (slot.type() == RecordType::kReplaceOrder) {
        const auto replace = slot.as<ReplaceOrder>();
        stopped.id = replace.id;
        stopped.instrument = replace.instrument;
        stopped.replace_id = replace.replace_id;
    } else {
        const auto order = slot.as<NewOrder>();
        stopped.id = order.id;
        stopped.instrument = order.instrument;
    }
    stopped.level = settings_.session.kill_words->level_for(stopped.instrument);
    stopped_[stopped_count_++] = stopped;
}

// A fresh reconciliation: connected, every order's fate known, nothing in flight to the engine.
bool IoLoop::may_fall() {
    return parts_.kill->is_falling() && is_announced_ && parts_.runner->is_caught_up() &&
           parts_.runner->view().is_reconciled();
}

}  // namespace gm
