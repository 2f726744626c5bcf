#include "gm/runtime/backfill.hpp"

#include <algorithm>
#include <cstring>

namespace gm {
namespace {

std::int64_t end_of(const BarClose& bar) noexcept {
    std::int64_t end_ts_ns = 0;
    const bool is_absurd = __builtin_add_overflow(
        bar.start_ts_ns, std::int64_t{bar.duration_s} * 1'000'000'000, &end_ts_ns);
    return is_absurd ? INT64_MAX : end_ts_ns;
}

std::int64_t minutes_of(const BarClose& bar) noexcept {
    return std::max<std::int64_t>(1, bar.duration_s / 60);
}

}  // namespace

void Backfill::open(const BackfillSettings& settings) {
    is_needed_ = settings.is_needed;
    after_ts_ns_ = settings.after_ts_ns;
}

void Backfill::begin(std::uint32_t connection, std::int64_t before_ts_ns) {
    connection_ = connection;
    before_ts_ns_ = before_ts_ns;
    instrument_ = 0;
    cursor_ = 0;
    next_ = 0;
    venue_bars_ = file_bars_ = 0;
    asked_.clear();
    found_.clear();
    stage_ = Stage::kAsk;
}

void Backfill::cancel() noexcept {
    stage_ = Stage::kIdle;
}

void Backfill::forget() noexcept {
    is_needed_ = false;
    stage_ = Stage::kIdle;
    files_ = {};
    asked_ = {};
    found_ = {};
}

bool Backfill::next_request(FeedReplay& out) noexcept {
    if (stage_ != Stage::kAsk) return false;
    stage_ = Stage::kAnswer;
    page_bars_ = 0;
    out = FeedReplay{};
    out.request = ++request_;
    out.cursor = cursor_;
    out.after_ts_ns = after_ts_ns_[instrument_];
    out.before_ts_ns = before_ts_ns_;
    out.minutes_max = kBackfillMinutes;
    out.instrument = instrument_;
    out.connection = connection_;
    return true;
}

bool Backfill::take(const Frame& frame) {
    if (stage_ != Stage::kAnswer) return true;
    if (frame.type() == RecordType::kReplayedBar) page_bars_ += frame.header.count;
    if (page_bars_ > kFrameRecordsMax) return false;
    for (std::size_t i = 0; i < frame.header.count; ++i) {  // at most kFrameRecordsMax
        const Slot slot = frame.slot(i, 0);
        if (slot.type() == RecordType::kReplayEnd) {
            take_end(slot.as<ReplayEnd>());
        } else if (const auto bar = slot.as<BarClose>(); bar.instrument == instrument_) {
            asked_.push_back(bar);
        }
    }
    return true;
}

// A page that is empty, or bars beyond what was asked for, end the questions as well: a venue that
// errs must not keep the engine from its feed.
void Backfill::take_end(const ReplayEnd& end) {
    if (stage_ != Stage::kAnswer || end.request != request_) return;
    const bool is_last = end.cursor == 0 || end.bars == 0 || asked_.size() >= kBackfillMinutes;
    cursor_ = is_last ? 0 : end.cursor;
    stage_ = Stage::kAsk;
    if (!is_last) return;
    finish_instrument();
    if (++instrument_ == after_ts_ns_.size()) stage_ = Stage::kHandOver;
}

// What files hold between the bars that the engine has and those of the venue, the newest of it.
void Backfill::finish_instrument() {
    const std::int64_t after_ts_ns = after_ts_ns_[instrument_];
    const std::int64_t until_ts_ns =
        asked_.empty() ? before_ts_ns_ : std::min(before_ts_ns_, asked_.front().start_ts_ns);
    std::int64_t minutes_left = kBackfillMinutes;
    for (const BarClose& bar : asked_) minutes_left -= minutes_of(bar);
    std::vector<Found> older;
    for (auto bar = files_.rbegin(); bar != files_.rend() && minutes_left > 0; ++bar) {
        const bool is_between = bar->start_ts_ns >= after_ts_ns && end_of(*bar) <= until_ts_ns;
        if (bar->instrument != instrument_ || !is_between) continue;
        older.push_back({*bar, true});
        minutes_left -= minutes_of(*bar);
    }
    found_.insert(found_.end(), older.rbegin(), older.rend());
    for (const BarClose& bar : asked_) found_.push_back({bar, false});
    asked_.clear();
}

bool Backfill::next(std::int64_t engine_ts_ns, Slot& out) noexcept {
    if (stage_ != Stage::kHandOver) return false;
    if (next_ == found_.size()) {
        stage_ = Stage::kIdle;
        BackfillEnd end{};
        end.venue_bars = venue_bars_;
        end.file_bars = file_bars_;
        end.connection = connection_;
        out = make_slot(RecordType::kBackfillEnd, Source::kIo, 0, engine_ts_ns, end);
        return true;
    }
    const Found& found = found_[next_++];
    ++(found.is_of_file ? file_bars_ : venue_bars_);
    // Only what the engine will believe moves the mark behind which the next life asks.
    std::int64_t& after_ts_ns = after_ts_ns_[found.bar.instrument];
    const std::int64_t end_ts_ns = end_of(found.bar);
    if (found.bar.start_ts_ns >= after_ts_ns && end_ts_ns <= before_ts_ns_) {
        after_ts_ns = end_ts_ns;
    }
    out = make_slot(RecordType::kBackfill, Source::kIo, 0, engine_ts_ns, found.bar);
    out.header.source_ts_ns = before_ts_ns_;
    return true;
}

}  // namespace gm
