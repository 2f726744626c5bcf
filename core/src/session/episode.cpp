#include "gm/session/episode.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace gm {

Failure Episode::open(const Settings& settings, const VenueSettings& venue,
                      std::span<const TapeRow> tape, std::uint64_t bars, bool keeps_record) {
    tick_value_micros_ = settings.instruments[0].tick_value_micros;
    target_lots_ = settings.sizing[0].target_lots;
    position_lots_max_ = settings.limits[0].position_lots_max;
    bars_ = bars;
    return session_.open(settings, venue, tape, training_options(false, keeps_record));
}

Failure Episode::begin(const MarkedTape& tape, std::uint64_t tape_number, std::uint64_t at,
                       std::uint64_t seed) {
    Failure failure = tape.seek(session_, at, seed);
    if (!failure.is_ok()) return failure;
    tape_ = &tape;
    tape_number_ = tape_number;
    at_ = at;
    end_ = at + bars_;
    venue_seed_ = seed;
    first_bar_start_ts_ns_ = desk().last_bar_start_ts_ns;
    // A market that stands still has no ATR: the unit is one tick at least.
    const double atr_ticks = std::max(tape.decision(at).atr_ticks, 1.0);
    meter_.begin(
        atr_ticks * static_cast<double>(tick_value_micros_) * static_cast<double>(target_lots_),
        target_lots_);
    return ok();
}

Failure Episode::step(int direction, const RewardSettings& reward, EpisodeStep& out) {
    const PolicyContext& context = tape_->decision(at_).context;
    Failure failure = session_.answer(direction);
    if (failure.is_ok()) failure = tape_->play_to(session_, ++at_);
    if (!failure.is_ok()) return failure;
    out.reward = meter_.earn(equity_micros(), desk().position.lots, context, reward);
    out.equity_micros = meter_.equity_micros();
    out.episode_return = meter_.sum();
    out.is_terminated = meter_.is_ruined(reward) || is_halted();
    out.is_truncated = !out.is_terminated && at_ == end_;
    return ok();
}

double Episode::equity_micros() const noexcept {
    const Position& position = desk().position;
    std::int64_t unrealised = 0;
    if (unrealised_micros(position, desk().market.last_good_price_ticks(), tick_value_micros_,
                          unrealised) != Status::kOk) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    return static_cast<double>(position.realised_micros) -
           static_cast<double>(position.commission_micros) + static_cast<double>(unrealised);
}

// What it holds cannot be changed any more: nothing that agents do has an effect.
bool Episode::is_halted() const noexcept {
    return desk().level >= KillLevel::kHalted;
}

void Episode::observe(const ObservationRow& out) const noexcept {
    std::memcpy(out.matrix, tape_->matrix(at_), kStrategicValues * sizeof(float));
    std::memcpy(out.context, &tape_->decision(at_).context, sizeof(PolicyContext));
    *out.position = static_cast<float>(static_cast<double>(desk().position.lots) /
                                       static_cast<double>(position_lots_max_));
}

EpisodeRecord Episode::record() {
    const auto records = session_.records();
    const Ledger& ledger = session_.venue().ledger();
    EpisodeRecord out;
    out.records.assign(records.begin(), records.end());
    out.orders.assign(ledger.orders().begin(), ledger.orders().end());
    out.executions.assign(ledger.executions().begin(), ledger.executions().end());
    out.tape = tape_number_;
    out.rows_played = session_.venue().rows_played();
    out.venue_seed = venue_seed_;
    out.first_bar_start_ts_ns = first_bar_start_ts_ns_;
    return out;
}

}  // namespace gm
