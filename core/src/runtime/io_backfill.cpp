// How io brings the bars from before the live feed to the engine.
#include "gm/runtime/io_loop.hpp"

namespace gm {

// In lockstep the tape itself warms up: all of it is fed.
void IoLoop::begin_backfill() {
    if (!backfill_.is_needed() || session_.is_lockstep() || is_end_consumed()) return;
    session_.join_feed();
    backfill_.begin(session_.connection(), session_.welcome_ts_ns());
}

void IoLoop::advance_backfill() {
    if (!backfill_.is_running()) return;
    FeedReplay request{};
    if (backfill_.next_request(request)) {
        if (!session_.request_replay(request)) on_lost();
        return;
    }
    Slot input{};
    for (int i = 0; i < kBackfillMax; ++i) {
        if (parts_.runner->room() == 0 || parts_.runner->is_halted()) return;
        if (!backfill_.next(clock_.now(wall_ns_), input)) return;
        submit(input);
        status_.backfilled_venue_bars = backfill_.venue_bars();
        status_.backfilled_file_bars = backfill_.file_bars();
    }
    has_more_ = true;
}

}  // namespace gm
