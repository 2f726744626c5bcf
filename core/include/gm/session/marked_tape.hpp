// A tape that was played once without a trade: what agents see at each decision, and where a
// session stood every so often.
//
// What bars do to buckets, features and synergies does not depend on what is traded. So all markets
// of a batch share what the features of a tape are, and an episode may begin anywhere as if all
// bars before it had been watched: it goes on from the mark before it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/features/schema.hpp"
#include "gm/policy/ensemble.hpp"
#include "gm/session/session.hpp"

namespace gm {

// One that waits for answers. The columns that cost most are computed where they are shown.
[[nodiscard]] SessionOptions training_options(bool shows_columns, bool keeps_records);

class MarkedTape {
 public:
    struct Decision {
        std::uint64_t closed_bars;  // of 30 minutes, up to it
        std::uint64_t row;          // of rows_, the newest of its matrix
        double atr_ticks;           // ATR14 on it
        PolicyContext context;
    };
    struct Plan {
        std::uint64_t warmup_bars;   // closed bars up to the first decision, at least
        std::uint64_t episode_bars;  // decisions of an episode
        std::uint64_t mark_every;    // so many decisions
    };

    // Cold. Decisions count from the first whose matrix is ready and that has its warm-up.
    Failure open(const Settings& settings, const VenueSettings& venue,
                 std::span<const TapeRow> tape, const Plan& plan);

    // Decisions at which an episode may begin: it and episode_bars more decisions lie on the tape.
    [[nodiscard]] std::uint64_t starts() const noexcept { return starts_; }
    [[nodiscard]] std::uint64_t decisions() const noexcept { return decisions_.size(); }
    [[nodiscard]] const Decision& decision(std::uint64_t at) const noexcept {
        return decisions_[at];
    }
    // 48 x 13, oldest row first: of a decision.
    [[nodiscard]] const float* matrix(std::uint64_t at) const noexcept {
        return rows_.data() + (decisions_[at].row + 1 - kStrategicRows) * kStrategicColumns;
    }

    // Brings a session, opened with the same settings, to that decision. at < starts().
    Failure seek(Session& session, std::uint64_t at, std::uint64_t seed) const;
    // From a decision to one after it: decisions in between, of bars whose matrix is not ready,
    // hold.
    Failure play_to(Session& session, std::uint64_t at) const;

 private:
    Failure watch(Session& shown, Session& lean, const Plan& plan);
    void append_rows(const StrategicFeatures& features);

    std::vector<float> rows_;  // 13 each: every row that the matrix ever had
    std::vector<Decision> decisions_;
    std::vector<std::unique_ptr<const SessionMark>> marks_;
    std::uint64_t mark_every_ = 1;
    std::uint64_t starts_ = 0;
    std::int64_t bars_seen_ = 0;  // by the features, at the last append_rows()
};

}  // namespace gm
