// The strategic matrix: the last 48 closed 30-minute bars of one instrument, 13 columns each.
//
// A row is appended on a closed bar and at no other time. No value is ever NaN: what is not warm or
// not defined is 0. The matrix is ready when each of its 48 rows was appended with every feature
// warm but MMD and what open() leaves out (SPEC §3: bar 177 and 20 MLMI samples at the earliest).
// All state is plain memory, nothing allocates, and the same bars give the same bits whether or not
// prepare() was called in time.
#pragma once

#include <array>
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
#include "gm/indicators/heiken_ashi.hpp"
#include "gm/indicators/log_return_deviation.hpp"
#include "gm/indicators/mlmi.hpp"
#include "gm/indicators/mmd.hpp"
#include "gm/indicators/momentum.hpp"
#include "gm/indicators/nwrqk.hpp"
#include "gm/indicators/rolling_score.hpp"
#include "gm/indicators/volume_profile.hpp"
#include "gm/market/bar.hpp"

namespace gm {

class StrategicFeatures {
 public:
    // Cold. Forgets everything. `columns`: bit c for each column that somebody reads. Profile and
    // MMD, two thirds of a row's cost, are left out where none of theirs is read: those columns
    // stay 0, and readiness does not wait for them. All others are computed in any case.
    void open(std::uint32_t columns = kAllStrategicColumns) noexcept;

    // Optional: everything about the next row that the known bars alone decide. Called while
    // there is time; update() does it otherwise.
    void prepare() noexcept;
    // The same in parts of some microseconds, once in 46 bars one of some 30 (a fit of MMD). True:
    // there is more.
    bool prepare_part() noexcept;
    [[nodiscard]] bool is_prepared() const noexcept { return prepared_ == 1; }
    // Brings near what update() reads, while there is time. Changes nothing.
    void touch() const noexcept;
    // Appends the row of one closed 30-minute bar. A bar with the out-of-session flag enters
    // nothing. `local_offset_ns` is exchange-local time minus UTC at the bar's start.
    void update(const ClosedBar& bar, std::int64_t local_offset_ns) noexcept;

    // 48 x 13, contiguous, oldest row first; rows that do not exist yet are 0. Valid until the
    // next update.
    [[nodiscard]] const float* matrix() const noexcept { return rows_.matrix(); }
    // The newest row before it was cast to float32: 13 values.
    [[nodiscard]] const double* row_f64() const noexcept { return row_; }

    // Bit c: column c is computed. The dear ones are not where nobody reads them.
    [[nodiscard]] std::uint32_t columns() const noexcept {
        const std::uint32_t without =
            (has_profile() ? 0 : kProfileColumns) | (has_mmd() ? 0 : kMmdColumns);
        return kAllStrategicColumns & ~without;
    }
    [[nodiscard]] bool is_ready() const noexcept { return reason() == NotReadyReason::kNone; }
    [[nodiscard]] NotReadyReason reason() const noexcept;
    // Rows appended so far.
    [[nodiscard]] std::int64_t bars() const noexcept { return rows_.count(); }
    // Wilder's ATR 14 in ticks, 0 before the 14th bar.
    [[nodiscard]] double atr_ticks() const noexcept { return atr_.value(); }
    // Bars still missing at the least until the matrix is ready; 0 when it is.
    [[nodiscard]] std::int64_t bars_needed() const noexcept;

    // Of the newest bar, for synergies. Value 0 to 100; signal and turn -1, 0, 1; slope in ATR14,
    // not clipped, 0 while unknown.
    [[nodiscard]] double mlmi_value() const noexcept { return mlmi_.value(); }
    [[nodiscard]] std::int32_t mlmi_signal() const noexcept { return mlmi_.signal(); }
    [[nodiscard]] std::int32_t nwrqk_turn() const noexcept { return kernel_.turn(); }
    [[nodiscard]] double nwrqk_slope() const noexcept;
    // Whether the MMD column has begun to say something: readiness does not wait for it.
    [[nodiscard]] bool is_mmd_warm() const noexcept { return mmd_.is_warm(); }

    // Cold. A snapshot is schema hash, digest and state; it is a function of the bars alone.
    [[nodiscard]] static std::size_t snapshot_size() noexcept;
    Status snapshot(std::span<std::uint8_t> out) noexcept;
    // kSchemaMismatch: made by another feature schema. kBadArgument: wrong size or damaged. The
    // state is untouched in both cases.
    Status restore(std::span<const std::uint8_t> bytes) noexcept;

 private:
    static constexpr std::size_t kRow = kStrategicColumns;
    static constexpr std::uint32_t kProfileColumns =
        1U << kLvnDistance | 1U << kLvnStrength | 1U << kVolumeProfileSkew;
    static constexpr std::uint32_t kMmdColumns = 1U << kMmdScore;

    void write_candle_columns(const ClosedBar& bar) noexcept;
    void prepare_clock(std::int64_t time_of_day_ns) noexcept;
    void write_clock_columns(std::int64_t local_ns) noexcept;
    void write_mmd_column(const ClosedBar& bar) noexcept;
    void write_profile_columns(const ClosedBar& bar) noexcept;
    void write_return_columns(double close) noexcept;
    void forget_returns() noexcept;
    [[nodiscard]] bool is_row_warm() const noexcept;
    [[nodiscard]] bool has_profile() const noexcept {
        return (left_out_ & kProfileColumns) != kProfileColumns;
    }
    [[nodiscard]] bool has_mmd() const noexcept { return (left_out_ & kMmdColumns) != kMmdColumns; }

    HeikenAshi heiken_ashi_{};
    Atr atr_{};
    NwRqk kernel_{};
    Momentum<1> log_return_{};
    Momentum<20> momentum_20_{};
    Momentum<50> momentum_50_{};
    LogReturnDeviation deviation_{};
    RollingScore volatility_{};
    Mlmi mlmi_{};
    VolumeProfile profile_{};
    Mmd mmd_{};

    std::int64_t time_of_day_ns_ = 0;  // of the angle below; between bars the one expected next
    double hour_sin_ = 0.0;
    double hour_cos_ = 0.0;

    double row_[kRow] = {};
    RowWindow<kStrategicRows, kStrategicColumns> rows_{};
    PositiveBars<50, kStrategicRows> positive_bars_{};
    std::uint32_t is_out_of_session_ = 0;
    std::uint32_t left_out_ = 0;  // bit c: nobody reads column c; 0 in snapshots of old
    std::uint64_t prepared_ = 0;  // 0: nothing, 1: everything, 1 + n: the first n parts
};
static_assert(std::is_trivially_copyable_v<StrategicFeatures>);
template <>
inline constexpr bool kIsPlainMemory<StrategicFeatures> = true;

// Where a batch goes. Any may be null.
struct StrategicBatch {
    float* matrices;      // n x 48 x 13
    double* rows;         // n x 13, before the cast
    std::uint8_t* ready;  // n, 0 or 1
};

// Cold. One pass of a fresh StrategicFeatures over n bars, as the streaming use gives it bar by
// bar; an out-of-session bar repeats the bar before it, not ready.
void run_strategic_batch(std::span<const ClosedBar> bars, const std::int64_t* local_offset_ns,
                         const StrategicBatch& out) noexcept;

}  // namespace gm
