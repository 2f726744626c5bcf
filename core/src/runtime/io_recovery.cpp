// The io thread's part of a recovery: ids that the disk has, and the venue's books as it says them.
#include <cstring>

#include "gm/runtime/io_loop.hpp"

namespace gm {

// The wish itself is their reservation, once the disk has it.
void IoLoop::take_ids_wanted(const IdsWanted& wanted) noexcept {
    ids_wanted_ = wanted;
    ids_position_ = parts_.journal->published();
    owes_ids_ = true;
}

// In lockstep, where time stands still, and before READY nothing else is to be done; an engine that
// trades has half a block left and waits for nothing.
void IoLoop::serve_ids() {
    if (!owes_ids_ || is_finished_ || parts_.runner->is_halted()) return;
    const bool may_wait = session_.is_lockstep() || session_.phase() != SessionPhase::kReady;
    if (may_wait && !parts_.journal_thread->wait_synced(ids_position_)) return;
    if (parts_.journal_thread->synced() < ids_position_) return;  // the next wake-up
    if (parts_.runner->room() == 0) {
        has_more_ = true;
        return;
    }
    owes_ids_ = false;
    IdsReserved reserved{};
    reserved.last_counter = ids_wanted_.last_counter;
    reserved.epoch = ids_wanted_.epoch;
    submit(make_slot(RecordType::kIdsReserved, Source::kIo, 0, clock_.now(wall_ns_), reserved));
    settle();
}

void IoLoop::take_notice(const Frame& frame) {
    if (parts_.runner->room() < frame.header.count) return;  // the next one comes soon
    for (std::size_t i = 0; i < frame.header.count; ++i) {   // of as many instruments
        PositionReport report;
        std::memcpy(&report, frame.payloads + i * sizeof report, sizeof report);
        submit(make_slot(RecordType::kPositionCheck, Source::kIo, 0, clock_.now(wall_ns_), report));
    }
}

}  // namespace gm
