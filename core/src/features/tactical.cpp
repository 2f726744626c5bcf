// Implements gm/features/tactical.hpp. SPEC §3.
#include "gm/features/tactical.hpp"

#include <algorithm>
#include <cstring>

#include "gm/base/elementary.hpp"
#include "gm/features/batch_bar.hpp"
#include "gm/features/snapshot.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

namespace {

constexpr double kVolumeRatioMin = 1e-6;

}  // namespace

// Bytes, not members: padding is part of a snapshot and has to be the same each time.
void TacticalFeatures::open() noexcept {
    std::memset(static_cast<void*>(this), 0, sizeof *this);
}

// SPEC §1, Gaps: a synthetic bar moves ATR, momentum and mean volume and gets a row; it is no
// candle of a gap.
void TacticalFeatures::update(const ClosedBar& bar) noexcept {
    is_out_of_session_ = (bar.flags & kBarOutOfSession) != 0 ? 1 : 0;
    signal_size_ = 0.0;
    fvg_.skip();
    if (is_out_of_session_ != 0) return;
    const bool is_positive = bar.low_ticks > 0;
    const bool is_momentum_warm = closes_.is_full();
    for (double& value : row_) value = 0.0;
    const Gap* const nearest = write_gap_columns(bar);
    write_volume_ratio(bar);
    if (is_positive) {
        write_price_columns(static_cast<double>(bar.close_ticks), nearest);
    } else {
        closes_.clear();
    }
    positive_bars_.update(is_positive);
    rows_.append(row_, atr_.is_warm() && fvg_.is_warm() && is_momentum_warm);
}

const Gap* TacticalFeatures::write_gap_columns(const ClosedBar& bar) noexcept {
    const double high = static_cast<double>(bar.high_ticks);
    const double low = static_cast<double>(bar.low_ticks);
    const double close = static_cast<double>(bar.close_ticks);
    atr_.update(high, low, close);
    if ((bar.flags & kBarSynthetic) == 0) {
        fvg_.update(static_cast<double>(bar.open_ticks), high, low, close, atr_.value());
    }
    row_[kFvgBullishActive] = fvg_.has_live(1) ? 1.0 : 0.0;
    row_[kFvgBearishActive] = fvg_.has_live(-1) ? 1.0 : 0.0;
    row_[kFvgMitigationSignal] = fvg_.signal();
    const Gap* const nearest = fvg_.nearest(close);
    if (nearest != nullptr) row_[kFvgAge] = elementary::exp(-0.1 * nearest->age);
    return nearest;
}

// What is measured in parts of a price: only where it is positive.
void TacticalFeatures::write_price_columns(double close, const Gap* nearest) noexcept {
    signal_size_ = fvg_.mitigated_ticks() / close;
    if (nearest != nullptr) {
        const double level = (nearest->low_ticks + nearest->high_ticks) / 2.0;
        row_[kFvgNearestLevel] = std::clamp(100.0 * (level - close) / close, -2.0, 2.0) / 2.0;
    }
    if (closes_.is_full()) {
        const double before = closes_.last(kMomentumBars)[0];
        row_[kPriceMomentum5] = elementary::tanh(100.0 * ((close - before) / before) / 5.0);
    }
    closes_.push(close);
}

// tanh(ln x) is (x² − 1)/(x² + 1).
void TacticalFeatures::write_volume_ratio(const ClosedBar& bar) noexcept {
    const double volume = static_cast<double>(bar.volume_lots);
    volume_.update(volume);
    if (volume_.value() <= 0.0) return;
    const double ratio = std::max(volume / volume_.value(), kVolumeRatioMin);
    row_[kVolumeRatio] = (ratio * ratio - 1.0) / (ratio * ratio + 1.0);
}

NotReadyReason TacticalFeatures::reason() const noexcept {
    if (is_out_of_session_ != 0) return NotReadyReason::kOutOfSession;
    if (positive_bars_.is_bad()) return NotReadyReason::kPriceNotPositive;
    return rows_.is_warm() ? NotReadyReason::kNone : NotReadyReason::kWarmingUp;
}

std::int64_t TacticalFeatures::bars_needed() const noexcept {
    if (is_ready()) return 0;
    const std::int64_t rows =
        static_cast<std::int64_t>(kTacticalRows) - static_cast<std::int64_t>(rows_.warm_rows());
    const std::int64_t prices =
        positive_bars_.is_bad() ? decltype(positive_bars_)::kBarsMin - positive_bars_.in_row() : 0;
    return std::max(rows, prices);
}

std::size_t TacticalFeatures::snapshot_size() noexcept {
    return kSnapshotSize<TacticalFeatures>;
}

Status TacticalFeatures::snapshot(std::span<std::uint8_t> out) const noexcept {
    return write_snapshot(*this, out);
}

Status TacticalFeatures::restore(std::span<const std::uint8_t> bytes) noexcept {
    return read_snapshot(bytes, *this);
}

void run_tactical_batch(std::span<const ClosedBar> bars, const TacticalBatch& out) noexcept {
    TacticalFeatures features;
    features.open();
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features.update(batch_bar(bars, i));
        if (out.matrices != nullptr) {
            std::memcpy(out.matrices + i * kTacticalValues, features.matrix(),
                        kTacticalValues * sizeof(float));
        }
        if (out.rows != nullptr) {
            std::memcpy(out.rows + i * kTacticalColumns, features.row_f64(),
                        kTacticalColumns * sizeof(double));
        }
        if (out.ready != nullptr) out.ready[i] = features.is_ready() ? 1 : 0;
    }
}

}  // namespace gm
