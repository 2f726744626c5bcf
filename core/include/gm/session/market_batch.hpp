// A batch of markets for training: each its own engine, features, gate, portfolio and venue.
//
// A market is a Session over one of several tapes that stops at each decision, gives out what the
// agents see and takes their actions as the answer. Episodes are stretches of tapes, drawn by the
// seed, of a fixed number of decisions; a market whose episode has ended begins the next in the
// same call. Markets share nothing that changes, so ranges of them may be stepped by different
// threads at once, and the same seed and actions give the same bytes in any case.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/session/episode.hpp"
#include "gm/session/marked_tape.hpp"
#include "gm/session/reward.hpp"
#include "gm/session/votes.hpp"
#include "gm/venue/dice.hpp"

namespace gm {

struct BatchOptions {
    std::uint64_t size = 1;  // markets
    std::uint64_t seed = 0;
    std::uint64_t episode_bars = 512;
    std::uint64_t warmup_bars = 0;  // closed before the first decision of an episode, at least
    RewardSettings reward;
    bool keeps_record = false;  // of the first market's last finished episode
};

// Where answers go: n rows each, n the size of the batch. last_*: written where an episode ended.
struct BatchOutput {
    float* matrix;    // n x 48 x 13
    float* context;   // n x 6
    float* position;  // n
    float* last_matrix;
    float* last_context;
    float* last_position;
    float* reward;  // n, and all that follow
    std::uint8_t* terminated;
    std::uint8_t* truncated;
    double* equity;  // in currency, since the episode began
    double* episode_return;

    [[nodiscard]] ObservationRow row(std::uint64_t market) const noexcept;
    [[nodiscard]] ObservationRow last_row(std::uint64_t market) const noexcept;
};

class MarketBatch {
 public:
    static constexpr std::uint64_t kSizeMax = 65'536;
    static constexpr std::uint64_t kEpisodeBarsMax = 1'000'000;
    static constexpr std::uint64_t kMarksMax = 256;  // over all tapes, about

    // Cold. Settings of one instrument whose agents decide; the tapes must outlive the batch. Plays
    // each tape once. kBadSettings, kBadArgument.
    Failure open(const Settings& settings, const VenueSettings& venue,
                 std::span<const std::span<const TapeRow>> tapes, const BatchOptions& options);

    // Begins a new episode in every market. With a seed the draws begin anew.
    Failure reset(std::optional<std::uint64_t> seed, const BatchOutput& out);
    // Markets [first, first + count): actions and outputs of the whole batch, size() x agents().
    // kBadArgument: an action is not 0, 1 or 2; nothing has moved. Any other failure is final.
    Failure step(std::uint64_t first, std::uint64_t count, const std::int64_t* actions,
                 const BatchOutput& out);

    void set_synergy_factor(double factor) noexcept { reward_.synergy_factor = factor; }
    [[nodiscard]] std::uint64_t size() const noexcept { return markets_.size(); }
    [[nodiscard]] std::size_t agents() const noexcept { return votes_.agents(); }
    // Decisions at which an episode may begin, over all tapes.
    [[nodiscard]] std::uint64_t starts() const noexcept { return starts_; }
    // Null before the first market has finished an episode, or where no record is kept.
    [[nodiscard]] const EpisodeRecord* record() const noexcept {
        return record_ ? &*record_ : nullptr;
    }

 private:
    Failure mark_tapes(const Settings& settings, const VenueSettings& venue,
                       std::span<const std::span<const TapeRow>> tapes,
                       const BatchOptions& options);
    Failure begin_episode(std::uint64_t market);
    Failure step_market(std::uint64_t market, const std::int64_t* actions, const BatchOutput& out);

    Votes votes_;
    RewardSettings reward_;
    std::vector<MarkedTape> tapes_;
    std::vector<std::unique_ptr<Episode>> markets_;
    std::vector<std::uint64_t> episodes_;  // begun, by market
    std::optional<EpisodeRecord> record_;
    std::uint64_t starts_ = 0;
    Dice dice_;
    bool keeps_record_ = false;
};

}  // namespace gm
