// Implements gm/features/strategic.hpp. SPEC §3.
#include "gm/features/strategic.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "gm/base/elementary.hpp"
#include "gm/base/touch.hpp"
#include "gm/features/batch_bar.hpp"
#include "gm/features/snapshot.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

namespace {

constexpr double kTwoPi = 6.283185307179586476925;
constexpr std::int64_t kBarNs = 1'800'000'000'000;
constexpr std::int64_t kDayNs = 86'400'000'000'000;
constexpr double kSqrt20 = 4.472135954999579392818;
constexpr double kSqrt50 = 7.071067811865475244008;

double clip(double value, double bound) noexcept {
    if (value > bound) return bound;
    return value < -bound ? -bound : value;
}

}  // namespace

// Bytes, not members: padding is part of a snapshot and has to be the same each time.
void StrategicFeatures::open(std::uint32_t columns) noexcept {
    std::memset(static_cast<void*>(this), 0, sizeof *this);
    left_out_ = kAllStrategicColumns & ~columns;
}

void StrategicFeatures::prepare() noexcept {
    while (prepare_part()) {  // at most the parts below and those of MMD
    }
}

bool StrategicFeatures::prepare_part() noexcept {
    constexpr std::uint64_t kAll = 1;
    switch (prepared_) {
        case kAll: return false;
        case 0:
            kernel_.prepare();
            deviation_.prepare();
            volatility_.prepare();
            prepare_clock((time_of_day_ns_ + kBarNs) % kDayNs);
            prepared_ = 2;
            return true;
        case 2:  // MMD reads most: what the others leave in the cache stays there
            if (!has_mmd() || !mmd_.prepare_part()) prepared_ = 3;
            return true;
        default:
            if (has_profile()) profile_.prepare();
            mlmi_.prepare();
            prepared_ = kAll;
            return false;
    }
}

void StrategicFeatures::touch() const noexcept {
    gm::touch(this, offsetof(StrategicFeatures, mlmi_));
    mlmi_.touch();
    if (has_profile()) gm::touch(&profile_, sizeof profile_);
    if (has_mmd()) mmd_.touch();
    gm::touch(&time_of_day_ns_, sizeof *this - offsetof(StrategicFeatures, time_of_day_ns_));
}

void StrategicFeatures::update(const ClosedBar& bar, std::int64_t local_offset_ns) noexcept {
    is_out_of_session_ = (bar.flags & kBarOutOfSession) != 0 ? 1 : 0;
    if (is_out_of_session_ != 0) return;
    prepare();
    for (double& value : row_) value = 0.0;
    write_candle_columns(bar);
    write_clock_columns(bar.start_ts_ns + local_offset_ns);
    write_profile_columns(bar);
    const bool is_positive = bar.low_ticks > 0;
    positive_bars_.update(is_positive);
    if (is_positive) {
        write_return_columns(static_cast<double>(bar.close_ticks));
    } else {
        forget_returns();
    }
    write_mmd_column(bar);  // wide work: the processor does it while the chains before it run on
    rows_.append(row_, is_row_warm());
    prepared_ = 0;
}

// On every bar, ordinary or synthetic.
void StrategicFeatures::write_candle_columns(const ClosedBar& bar) noexcept {
    const double high = static_cast<double>(bar.high_ticks);
    const double low = static_cast<double>(bar.low_ticks);
    const double close = static_cast<double>(bar.close_ticks);
    heiken_ashi_.update(static_cast<double>(bar.open_ticks), high, low, close);
    atr_.update(high, low, close);
    kernel_.update(heiken_ashi_.close());
    mlmi_.update(heiken_ashi_.close(), (bar.flags & kBarSynthetic) != 0);
    row_[kMlmiValue] = mlmi_.lean();
    row_[kMlmiSignal] = mlmi_.signal();
    const double atr = atr_.value();
    if (atr <= 0.0) return;  // no price has moved yet: nothing to measure a distance by
    if (kernel_.is_warm()) row_[kNwRqkValue] = clip(kernel_.above(close) / atr, 5.0) / 5.0;
    if (kernel_.is_slope_warm()) row_[kNwRqkSlope] = clip(kernel_.change() / atr, 0.5) / 0.5;
}

// Of real bars whose prices have a logarithm.
void StrategicFeatures::write_mmd_column(const ClosedBar& bar) noexcept {
    const bool is_real = (bar.flags & kBarSynthetic) == 0;
    if (has_mmd() && is_real && bar.low_ticks > 0) {
        mmd_.update(static_cast<double>(bar.high_ticks), static_cast<double>(bar.low_ticks),
                    static_cast<double>(bar.close_ticks), static_cast<double>(bar.volume_lots));
    }
    row_[kMmdScore] = mmd_.score();
}

// Of real bars. A synthetic one shows what it was; the distance is from its own close.
void StrategicFeatures::write_profile_columns(const ClosedBar& bar) noexcept {
    if (!has_profile()) return;
    const bool is_real = (bar.flags & kBarSynthetic) == 0;
    if (is_real) profile_.update(bar.high_ticks, bar.low_ticks, bar.volume_lots);
    row_[kVolumeProfileSkew] = profile_.skew();
    const VolumeNode node = profile_.nearest_node(bar.close_ticks);
    if (node.strength == 0.0) return;
    row_[kLvnStrength] = node.strength;
    const double atr = atr_.value();
    const double distance = static_cast<double>(node.price_ticks - bar.close_ticks);
    if (atr > 0.0) row_[kLvnDistance] = clip(distance / atr, 5.0) / 5.0;
}

void StrategicFeatures::prepare_clock(std::int64_t time_of_day_ns) noexcept {
    time_of_day_ns_ = time_of_day_ns;
    const double angle =
        kTwoPi * (static_cast<double>(time_of_day_ns) / static_cast<double>(kDayNs));
    hour_sin_ = elementary::sin(angle);
    hour_cos_ = elementary::cos(angle);
}

void StrategicFeatures::write_clock_columns(std::int64_t local_ns) noexcept {
    // Negative before 1970: the same point of the circle.
    const std::int64_t time_of_day_ns = local_ns % kDayNs;
    if (time_of_day_ns != time_of_day_ns_) prepare_clock(time_of_day_ns);  // after a gap
    row_[kHourSin] = hour_sin_;
    row_[kHourCos] = hour_cos_;
}

void StrategicFeatures::write_return_columns(double close) noexcept {
    double logs[] = {log_return_.ratio(close), momentum_20_.ratio(close), momentum_50_.ratio(close),
                     1.0};
    elementary::log(logs, logs);
    log_return_.take(close, logs[0]);
    momentum_20_.take(close, logs[1]);
    momentum_50_.take(close, logs[2]);
    if (!log_return_.is_warm()) return;
    deviation_.update(log_return_.value());
    const double deviation = deviation_.value();
    if (deviation <= 0.0) return;  // not warm, or nothing moved: not part of any history
    // What is not warm is 0, and so is its tangent.
    double scores[] = {momentum_20_.value() / (deviation * kSqrt20),
                       momentum_50_.value() / (deviation * kSqrt50),
                       volatility_.update(elementary::log(deviation)), 0.0};
    elementary::tanh(scores, scores);
    row_[kMomentum20] = scores[0];
    row_[kMomentum50] = scores[1];
    row_[kVolatility30] = scores[2];
}

// A price <= 0 has no logarithm: returns begin again. The history of ln σ30 stays, it is true.
void StrategicFeatures::forget_returns() noexcept {
    log_return_.clear();
    momentum_20_.clear();
    momentum_50_.clear();
    deviation_.clear();
}

bool StrategicFeatures::is_row_warm() const noexcept {
    return atr_.is_warm() && kernel_.is_slope_warm() && deviation_.is_warm() &&
           momentum_50_.is_warm() && volatility_.is_warm() && mlmi_.is_warm() &&
           (!has_profile() || profile_.is_warm());
}

double StrategicFeatures::nwrqk_slope() const noexcept {
    const double atr = atr_.value();
    return kernel_.is_slope_warm() && atr > 0.0 ? kernel_.change() / atr : 0.0;
}

std::int64_t StrategicFeatures::bars_needed() const noexcept {
    constexpr std::int64_t kMomentumBars = 51;
    constexpr std::int64_t kRows = kStrategicRows;
    if (is_ready()) return 0;
    const std::int64_t positive = positive_bars_.in_row();
    // The next σ30 to be scored comes at the 31st positive bar at the earliest.
    const std::int64_t before_deviation = std::max<std::int64_t>(kDeviationReturns - positive, 0);
    const std::int64_t to_warmth =
        std::max({kMomentumBars - positive, volatility_.values_needed() + before_deviation,
                  mlmi_.bars_needed(), has_profile() ? profile_.bars_needed() : 0});
    const std::int64_t rows = to_warmth > 0 ? to_warmth - 1 + kRows
                                            : kRows - static_cast<std::int64_t>(rows_.warm_rows());
    const std::int64_t prices =
        positive_bars_.is_bad() ? decltype(positive_bars_)::kBarsMin - positive : 0;
    return std::max(rows, prices);
}

NotReadyReason StrategicFeatures::reason() const noexcept {
    if (is_out_of_session_ != 0) return NotReadyReason::kOutOfSession;
    if (positive_bars_.is_bad()) return NotReadyReason::kPriceNotPositive;
    return rows_.is_warm() ? NotReadyReason::kNone : NotReadyReason::kWarmingUp;
}

std::size_t StrategicFeatures::snapshot_size() noexcept {
    return kSnapshotSize<StrategicFeatures>;
}

Status StrategicFeatures::snapshot(std::span<std::uint8_t> out) noexcept {
    prepare();
    return write_snapshot(*this, out);
}

Status StrategicFeatures::restore(std::span<const std::uint8_t> bytes) noexcept {
    return read_snapshot(bytes, *this);
}

void run_strategic_batch(std::span<const ClosedBar> bars, const std::int64_t* local_offset_ns,
                         const StrategicBatch& out) noexcept {
    StrategicFeatures features;
    features.open();
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features.update(batch_bar(bars, i), local_offset_ns[i]);
        if (out.matrices != nullptr) {
            std::memcpy(out.matrices + i * kStrategicValues, features.matrix(),
                        kStrategicValues * sizeof(float));
        }
        if (out.rows != nullptr) {
            std::memcpy(out.rows + i * kStrategicColumns, features.row_f64(),
                        kStrategicColumns * sizeof(double));
        }
        if (out.ready != nullptr) out.ready[i] = features.is_ready() ? 1 : 0;
    }
}

}  // namespace gm
