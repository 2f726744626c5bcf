// The time that io stamps on inputs: engine time.
//
// In lockstep it is the venue's simulated time. Free-running, a live venue's stamps are near our
// wall clock and the receive stamp is the wall clock's. A venue that replays an old tape by the
// clock is far from it: then its own stamps set the time, and between them it goes on at the pace
// of the wall clock. Never runs backward. io thread only; reads no clock itself.
#pragma once

#include <cstdint>

namespace gm {

class EngineClock {
 public:
    explicit EngineClock(std::int64_t last_ns = 0) noexcept : last_ns_(last_ns) {}

    // With each WELCOME. The first frame after it tells a live venue from a replayed tape.
    void set_lockstep(bool is_lockstep) noexcept {
        pace_ = is_lockstep ? Pace::kLockstep : Pace::kNotKnown;
    }

    // A frame of a venue whose own time was venue_ts_ns when it sent it. Not the stamp of what it
    // tells, which may be older than that, or absurd. 0: the venue did not say, and io's clock is
    // taken; a free-running venue that does not say it with its first frame is taken for a live
    // one.
    [[nodiscard]] std::int64_t of_frame(std::int64_t venue_ts_ns, std::int64_t wall_ns) noexcept {
        if (venue_ts_ns == 0) {
            if (pace_ == Pace::kNotKnown) pace_ = Pace::kLive;
            return now(wall_ns);
        }
        if (pace_ == Pace::kLockstep) return reach(venue_ts_ns);
        std::int64_t ahead_ns = 0;
        const bool is_absurd = __builtin_sub_overflow(venue_ts_ns, wall_ns, &ahead_ns);
        if (pace_ == Pace::kNotKnown) {
            const bool is_near = ahead_ns <= kSkewNsMax && ahead_ns >= -kSkewNsMax;
            pace_ = is_near || is_absurd ? Pace::kLive : Pace::kTape;
        }
        if (pace_ == Pace::kTape && !is_absurd) offset_ns_ = ahead_ns;
        return reach(wall_ns + offset_ns_);
    }
    // A record that io makes. Until the first frame nobody knows how the venue's time goes, so
    // time stands still: a wall clock taken too early could not be taken back.
    [[nodiscard]] std::int64_t now(std::int64_t wall_ns) noexcept {
        const bool stands = pace_ == Pace::kLockstep || pace_ == Pace::kNotKnown;
        return stands ? last_ns_ : reach(wall_ns + offset_ns_);
    }

 private:
    enum class Pace : std::uint8_t { kLockstep, kNotKnown, kLive, kTape };
    static constexpr std::int64_t kSkewNsMax = 60'000'000'000;

    std::int64_t reach(std::int64_t ts_ns) noexcept {
        if (ts_ns > last_ns_) last_ns_ = ts_ns;
        return last_ns_;
    }

    std::int64_t last_ns_;
    std::int64_t offset_ns_ = 0;
    Pace pace_ = Pace::kLockstep;
};

}  // namespace gm
