// The io thread's part of R18: from the rings and the disk to the engine.
#include "gm/runtime/io_loop.hpp"

namespace gm {

// In lockstep the venue waits for whatever has to be written first, so a ring that is nearly full
// delays the run and endangers nothing; and what is refused must not hang on the machine's speed.
void IoLoop::serve_headroom() {
    if (is_finished_ || parts_.runner->is_halted()) return;
    Rooms rooms;
    rooms.disk_ppm = disk_free_ppm_.load(std::memory_order_relaxed);
    if (is_announced_ && !session_.is_lockstep()) {
        // What was taken out first: read behind what was put in, it could be more than that.
        const std::uint64_t consumed = parts_.orders->consumed();
        const std::uint64_t drained = parts_.journal->drained();
        rooms.order_ring_ppm =
            ring_free_ppm(settings_.order_slots, parts_.orders->pushed(), consumed);
        rooms.journal_ring_ppm =
            ring_free_ppm(parts_.journal->capacity(), parts_.journal->published(), drained);
    }
    Headroom headroom{};
    if (!headroom_.judge(rooms, headroom)) return;
    if (parts_.runner->room() == 0) {
        has_more_ = true;
        return;
    }
    submit(make_slot(RecordType::kHeadroom, Source::kIo, 0, clock_.now(wall_ns_), headroom));
    headroom_.told(headroom);
}

}  // namespace gm
