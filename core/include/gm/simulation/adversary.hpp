// A venue that answers badly under good numbers: late, never, twice, out of turn.
//
// It stands between the venue and its replies. The ledger stays the truth; what is said about it
// here may come too late, be left out or be said again.
#pragma once

#include <cstdint>
#include <vector>

#include "gm/simulation/event_queue.hpp"
#include "gm/simulation/faults.hpp"
#include "gm/venue/venue.hpp"

namespace gm {

class Adversary {
 public:
    Adversary(Venue& venue, EventQueue& events, Random& random, Faults& faults)
        : venue_(venue), events_(events), random_(random), faults_(faults) {
        venue.hook_replies({this, &Adversary::take});
    }
    ~Adversary() { venue_.hook_replies({}); }
    Adversary(const Adversary&) = delete;
    Adversary& operator=(const Adversary&) = delete;

    void on_event(const Event& event);
    // Everything that happened at the venue was said by now, but for what was lost.
    [[nodiscard]] bool has_said_all() const noexcept { return held_fills_ == 0; }
    [[nodiscard]] std::uint64_t lost_fills() const noexcept { return lost_fills_; }

 private:
    struct Held {
        Slot reply{};
        OrderId cancel{};  // ended first, if it is open
        bool is_fill = false;
        bool is_said = false;
    };

    static bool take(void* context, const Slot& reply);
    [[nodiscard]] bool take_ack(const Slot& reply);
    [[nodiscard]] bool take_fill(const Slot& reply);
    void say_later(const Slot& reply, std::int64_t within_ns, const OrderId& cancel, bool is_fill);
    void say_unknown(const Slot& reply);

    Venue& venue_;
    EventQueue& events_;
    Random& random_;
    Faults& faults_;
    std::vector<Held> held_;
    std::uint64_t held_fills_ = 0;
    std::uint64_t lost_fills_ = 0;
};

}  // namespace gm
