// What will happen in a simulated world, and when: earliest first, equal times in the order in
// which they were planned.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gm {

enum class EventKind : std::uint8_t {
    kNone = 0,
    kDeliver,   // subject: a message of the network
    kLinkUp,    // subject: a link that tries to connect
    kLinkLost,  // subject: a link whose heartbeats did not come
    kEngineIo,  // turns
    kEngineStep,
    kJournal,
    kVenue,
    kFault,      // draws the next fault of the machine
    kStart,      // the engine's process
    kHeldReply,  // the adversary says what it has held back
    kSettle,     // faults are over: is everything well by now?
};

struct Event {
    std::int64_t due_ns = 0;
    std::uint64_t order = 0;
    EventKind kind = EventKind::kNone;
    std::uint32_t subject = 0;
    std::uint64_t version = 0;  // of the subject: an event of an older one is void
};

class EventQueue {
 public:
    EventQueue() { heap_.reserve(1024); }

    void plan(std::int64_t due_ns, EventKind kind, std::uint32_t subject = 0,
              std::uint64_t version = 0) {
        heap_.push_back({std::max(due_ns, now_ns_), ++planned_, kind, subject, version});
        std::push_heap(heap_.begin(), heap_.end(), is_later);
    }
    // Moves time to the next event. False: there is none.
    [[nodiscard]] bool next(Event& out) {
        if (heap_.empty()) return false;
        std::pop_heap(heap_.begin(), heap_.end(), is_later);
        out = heap_.back();
        heap_.pop_back();
        now_ns_ = out.due_ns;
        return true;
    }
    [[nodiscard]] std::int64_t now_ns() const noexcept { return now_ns_; }

 private:
    static bool is_later(const Event& left, const Event& right) noexcept {
        return left.due_ns != right.due_ns ? left.due_ns > right.due_ns : left.order > right.order;
    }

    std::vector<Event> heap_;
    std::int64_t now_ns_ = 1'000'000'000;
    std::uint64_t planned_ = 0;
};

}  // namespace gm
