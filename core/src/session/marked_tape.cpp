#include "gm/session/marked_tape.hpp"

#include <algorithm>
#include <string>

namespace gm {
namespace {

const Desk& desk_of(const Session& session) noexcept {
    return session.engine().desks()[0];
}

// To the next decision that waits, or to the end of the tape.
Failure play_on(Session& session) {
    Failure failure = session.is_asked() ? session.answer(0) : ok();
    if (failure.is_ok() && !session.is_asked()) failure = session.run(UINT64_MAX);
    return failure;
}

}  // namespace

SessionOptions training_options(bool shows_columns, bool keeps_records) {
    SessionOptions options;
    options.keeps_records = keeps_records;
    options.is_answered_outside = true;
    options.columns_shown = shows_columns ? kAllStrategicColumns : 0;
    return options;
}

Failure MarkedTape::open(const Settings& settings, const VenueSettings& venue,
                         std::span<const TapeRow> tape, const Plan& plan) {
    mark_every_ = plan.mark_every;
    Session shown;
    Session lean;
    Failure failure = shown.open(settings, venue, tape, training_options(true, false));
    if (failure.is_ok()) failure = lean.open(settings, venue, tape, training_options(false, false));
    if (failure.is_ok()) failure = watch(shown, lean, plan);
    if (!failure.is_ok()) return failure;
    starts_ = decisions() > plan.episode_bars ? decisions() - plan.episode_bars : 0;
    marks_.resize((starts_ + mark_every_ - 1) / mark_every_);
    return ok();
}

// Both sessions go from decision to decision: one computes what is seen, the other is what episodes
// go on from.
Failure MarkedTape::watch(Session& shown, Session& lean, const Plan& plan) {
    for (;;) {  // bounded by the tape
        Failure failure = play_on(shown);
        if (failure.is_ok()) failure = play_on(lean);
        if (!failure.is_ok() || shown.is_over()) return failure;
        const Desk& desk = desk_of(shown);
        append_rows(desk.features);
        if (!desk.features.is_ready() || desk.closed_bars_30m < plan.warmup_bars) continue;
        if (decisions() % mark_every_ == 0) {
            auto mark = std::make_unique<SessionMark>();
            failure = lean.save(*mark);
            if (!failure.is_ok()) return failure;
            marks_.push_back(std::move(mark));
        }
        decisions_.push_back({desk.closed_bars_30m, rows_.size() / kStrategicColumns - 1,
                              desk.features.atr_ticks(), shown.engine().context(0)});
    }
}

// A matrix that is ready has no row from before it was last forgotten: its 48 stand here in a row.
void MarkedTape::append_rows(const StrategicFeatures& features) {
    const std::int64_t bars = features.bars();
    const std::int64_t fresh = bars < bars_seen_ ? bars : bars - bars_seen_;
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(fresh, kStrategicRows));
    const float* end = features.matrix() + kStrategicValues;
    rows_.insert(rows_.end(), end - count * kStrategicColumns, end);
    bars_seen_ = bars;
}

Failure MarkedTape::seek(Session& session, std::uint64_t at, std::uint64_t seed) const {
    Failure failure = session.restore(*marks_[at / mark_every_], seed);
    return failure.is_ok() ? play_to(session, at) : failure;
}

Failure MarkedTape::play_to(Session& session, std::uint64_t at) const {
    while (desk_of(session).closed_bars_30m < decisions_[at].closed_bars) {
        Failure failure = play_on(session);
        if (!failure.is_ok() || session.is_over()) return failure;
    }
    return ok();
}

}  // namespace gm
