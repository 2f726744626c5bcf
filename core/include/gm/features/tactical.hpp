// The tactical matrix: the last 60 closed 5-minute bars of one instrument, 7 columns each.
//
// A row is appended on a closed bar and at no other time. No value is ever NaN: what is not warm or
// not defined is 0. The matrix is ready when each of its 60 rows was appended with every feature
// warm: bar 73 at the earliest, as ATR14 begins at bar 14. All state is plain memory and nothing
// allocates. There is no prepare(): what the known bars decide is a sum of ten bodies. SPEC §3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/features/readiness.hpp"
#include "gm/features/row_window.hpp"
#include "gm/features/schema.hpp"
#include "gm/indicators/atr.hpp"
#include "gm/indicators/ema.hpp"
#include "gm/indicators/fvg.hpp"
#include "gm/indicators/window.hpp"
#include "gm/market/bar.hpp"

namespace gm {

class TacticalFeatures {
 public:
    // Cold. Forgets everything.
    void open() noexcept;

    // Appends the row of one closed 5-minute bar. A bar with the out-of-session flag enters
    // nothing.
    void update(const ClosedBar& bar) noexcept;

    // 60 x 7, contiguous, oldest row first; rows that do not exist yet are 0. Valid until the next
    // update.
    [[nodiscard]] const float* matrix() const noexcept { return rows_.matrix(); }
    // The newest row before it was cast to float32: 7 values.
    [[nodiscard]] const double* row_f64() const noexcept { return row_; }

    [[nodiscard]] bool is_ready() const noexcept { return reason() == NotReadyReason::kNone; }
    [[nodiscard]] NotReadyReason reason() const noexcept;
    // Bars still missing at the least until the matrix is ready; 0 when it is.
    [[nodiscard]] std::int64_t bars_needed() const noexcept;
    // Rows appended so far.
    [[nodiscard]] std::int64_t bars() const noexcept { return rows_.count(); }

    // Direction of the gap that was mitigated on the last bar handed in; 0: none, or both.
    [[nodiscard]] std::int32_t fvg_signal() const noexcept { return fvg_.signal(); }
    // Width of that gap over the close, of the widest if there were several; 0 without a signal.
    [[nodiscard]] double fvg_signal_size() const noexcept { return signal_size_; }

    // Cold. A snapshot is schema hash, digest and state; it is a function of the bars alone.
    [[nodiscard]] static std::size_t snapshot_size() noexcept;
    [[nodiscard]] Status snapshot(std::span<std::uint8_t> out) const noexcept;
    // kSchemaMismatch: made by another feature schema. kBadArgument: wrong size or damaged. The
    // state is untouched in both cases.
    Status restore(std::span<const std::uint8_t> bytes) noexcept;

 private:
    static constexpr std::int32_t kMomentumBars = 5;

    // The gap that is nearest to the close, or null.
    const Gap* write_gap_columns(const ClosedBar& bar) noexcept;
    void write_volume_ratio(const ClosedBar& bar) noexcept;
    void write_price_columns(double close, const Gap* nearest) noexcept;

    Atr atr_{};
    Fvg fvg_{};
    Ema<20> volume_{};
    Window<kMomentumBars> closes_{};
    double signal_size_ = 0.0;
    double row_[kTacticalColumns] = {};
    RowWindow<kTacticalRows, kTacticalColumns> rows_{};
    PositiveBars<kMomentumBars, kTacticalRows> positive_bars_{};
    std::uint64_t is_out_of_session_ = 0;
};
static_assert(std::is_trivially_copyable_v<TacticalFeatures>);
template <>
inline constexpr bool kIsPlainMemory<TacticalFeatures> = true;

// Where a batch goes. Any may be null.
struct TacticalBatch {
    float* matrices;      // n x 60 x 7
    double* rows;         // n x 7, before the cast
    std::uint8_t* ready;  // n, 0 or 1
};

// Cold. One pass of a fresh TacticalFeatures over n bars, as the streaming use gives it bar by bar;
// an out-of-session bar repeats the bar before it, not ready.
void run_tactical_batch(std::span<const ClosedBar> bars, const TacticalBatch& out) noexcept;

}  // namespace gm
