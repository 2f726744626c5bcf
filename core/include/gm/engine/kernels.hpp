// User kernels as the engine sees them: what they are called with, what they returned, and which
// of them are not called any more.
//
// The engine calls no kernel. A step that closes bars leaves calls; whoever drives the engine makes
// them before its next input (gm/session/kernel_host.hpp) and hands each answer in as an input
// record, so that a replay needs no kernel. The decision of those bars waits for the last answer.
//
// A feature is a column behind the 13: the row of a 30-minute bar holds what the kernel returned
// for that bar or, on 5-minute bars, for the last of them inside it. A rule returns -1, 0 or 1 and
// decides in place of the ensemble (profile rule). The first answer that is no number, out of range
// or an exception, and the third in a row over its budget, quarantine a kernel for all instruments.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/engine/settings.hpp"
#include "gm/features/schema.hpp"
#include "gm/market/bar.hpp"
#include "gm/policy/ensemble.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

// Newest closed bars that are called for when one step, or a backfill, has brought more: all that
// the matrix shows, of 30 minutes and of 5.
inline constexpr std::array<std::size_t, 2> kKernelBarsMax = {48, 6 * 48};
inline constexpr std::uint32_t kOverBudgetMax = 3;  // in a row

// One call to make. The windows lie in the engine until its next bar: `warmup` values each, oldest
// first, in the order of the kernel's inputs; prices in price units, volume in units.
struct KernelCall {
    std::int64_t bar_start_ts_ns;
    std::uint32_t instrument;
    std::uint32_t kernel;  // its row in the settings
    std::uint32_t minutes;
    std::array<const double*, kKernelInputsMax> windows;
};

// kOk, or why this value is none that the kernel may return.
[[nodiscard]] KernelStatus judge_kernel_value(double value, const KernelSettings& kernel) noexcept;

// The newest closed bars of one instrument and size, each field in one piece.
class KernelBars {
 public:
    void open(std::size_t keep);  // cold
    void clear() noexcept { next_ = count_ = 0; }
    void push(const ClosedBar& bar, std::int64_t tick_e9, std::int64_t lot_e9) noexcept;
    // `length` values of the bars that end `age` bars before the newest.
    [[nodiscard]] const double* window(KernelField field, std::size_t age,
                                       std::size_t length) const noexcept;
    [[nodiscard]] std::int64_t start_ts_ns(std::size_t age) const noexcept;
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] bool is_open() const noexcept { return keep_ != 0; }

    // Not archived: keep_ (settings).
    void archive(Archive& archive) noexcept {
        archive.index(next_, keep_ > 0 ? keep_ - 1 : 0);
        archive(count_, values_, starts_);
    }

 private:
    std::size_t keep_ = 0;
    std::size_t next_ = 0;
    std::uint64_t count_ = 0;
    std::vector<double> values_;  // field by field, each bar twice, `keep` apart
    std::vector<std::int64_t> starts_;
};

class Kernels {
 public:
    // Cold. Allocates everything that will ever be used. Agents' masks say which columns must be
    // warm before the matrix is. kBadSettings.
    Failure open(const Settings& settings);

    [[nodiscard]] bool is_used() const noexcept { return !settings_.empty(); }
    // The size of bar on whose close an instrument decides.
    [[nodiscard]] std::uint32_t decision_minutes() const noexcept { return decision_minutes_; }
    [[nodiscard]] bool has_rule() const noexcept { return rule_ != kNone; }

    // A hole in time: what came before says nothing about what comes.
    void forget_bars(std::uint32_t at) noexcept;
    // Bars of 30 minutes until is_ready(), at least.
    [[nodiscard]] std::int64_t bars_needed(std::uint32_t at) const noexcept;

    // Each closed bar of a step, then once what shall be asked about them.
    void on_bar(std::uint32_t at, const ClosedBar& bar) noexcept;
    void ask(std::uint32_t at, std::uint64_t input_sequence) noexcept {
        if (!is_used()) return;
        static_assert(kSizes == 2);
        const auto& fresh = desks_[at].fresh;
        if ((fresh[0] | fresh[1]) != 0 || !waiting_.empty()) ask_now(at, input_sequence);
    }

    [[nodiscard]] bool has_call() const noexcept { return next_waiting_ != waiting_.size(); }
    // The call whose answer must come next; false: none is waited for.
    [[nodiscard]] bool next_call(KernelCall& out) const noexcept;
    [[nodiscard]] bool is_waiting(std::uint32_t at) const noexcept {
        return is_used() && desks_[at].waiting > 0;
    }

    enum class Taken : std::uint8_t { kNotAwaited, kTaken, kQuarantined };
    // The answer to the next call. kQuarantined: it was this kernel's last.
    Taken take(const KernelResult& result) noexcept;

    // Columns 13, 14, 15: 48 x 3, oldest row first, of the rows of the strategic matrix.
    [[nodiscard]] const float* matrix(std::uint32_t at) const noexcept;
    // A row behind the newest has changed since the last call: sums over it are of the past.
    [[nodiscard]] bool take_rewritten(std::uint32_t at) noexcept;
    // Every column that an agent looks at was warm in every row; with a rule: it was asked,
    // or never will be.
    [[nodiscard]] bool is_ready(std::uint32_t at) const noexcept;
    // What the rule said of the newest bar: -1, 0 or 1.
    [[nodiscard]] int rule(std::uint32_t at) const noexcept { return desks_[at].rule; }

    [[nodiscard]] std::size_t count() const noexcept { return settings_.size(); }
    [[nodiscard]] const KernelSettings& settings(std::size_t kernel) const noexcept {
        return settings_[kernel];
    }
    // kOk while it is called, else why it is not any more.
    [[nodiscard]] KernelStatus status(std::size_t kernel) const noexcept {
        return states_[kernel].status;
    }
    [[nodiscard]] std::uint64_t calls(std::size_t kernel) const noexcept {
        return states_[kernel].calls;
    }
    // Calls that nobody made before the next bar.
    [[nodiscard]] std::uint64_t abandoned() const noexcept { return abandoned_; }

    // Not archived: settings_, column_of_, rule_, needed_columns_, decision_minutes_ (settings).
    void archive(Archive& archive) noexcept {
        archive(states_, desks_);
        archive.list(waiting_);
        archive.index(next_waiting_, waiting_.size());
        archive(asked_in_, abandoned_);
    }

 private:
    void ask_now(std::uint32_t at, std::uint64_t input_sequence) noexcept;

    static constexpr std::uint32_t kNone = 0xffffffff;
    static constexpr std::size_t kSizes = kKernelBarsMax.size();

    struct State {
        KernelStatus status = KernelStatus::kOk;
        std::uint32_t over_budget = 0;  // in a row
        std::uint64_t calls = 0;

        void archive(Archive& archive) noexcept { archive(status, over_budget, calls); }
    };
    struct Waiting {
        std::int64_t bar_start_ts_ns;
        std::uint32_t instrument;
        std::uint16_t kernel;
        std::uint16_t age;  // bars since then
    };
    struct Row {
        std::int64_t start_ts_ns = INT64_MIN;
        std::uint32_t warm = 0;  // bit i: column 13 + i was returned, or its kernel is quarantined

        void archive(Archive& archive) noexcept { archive(start_ts_ns, warm); }
    };
    struct Desk {
        std::array<KernelBars, kSizes> bars;
        std::array<std::size_t, kSizes> fresh{};                             // closed since ask()
        std::array<float, 2 * kStrategicRows * kKernelColumnsMax> values{};  // each row twice
        std::array<Row, kStrategicRows> rows{};
        std::size_t next_row = 0;
        Row latest{};  // of the 30 minutes whose bar has not closed yet
        std::array<float, kKernelColumnsMax> latest_values{};
        std::uint32_t waiting = 0;
        std::int32_t rule = 0;
        bool is_rule_warm = false;
        bool is_rewritten = false;
        std::int64_t tick_e9 = 0;  // billionths of a price unit
        std::int64_t lot_e9 = 0;

        // Not archived: tick_e9, lot_e9 (settings).
        void archive(Archive& archive) noexcept {
            archive(bars, fresh, values, rows);
            archive.index(next_row, kStrategicRows - 1);
            archive(latest, latest_values, waiting, rule, is_rule_warm, is_rewritten);
        }
    };

    [[nodiscard]] static std::size_t size_of(std::uint32_t minutes) noexcept {
        return minutes == 30 ? 0 : 1;
    }
    void append_row(Desk& desk, std::int64_t start_ts_ns) noexcept;
    void ask_about(std::uint32_t at, std::size_t size) noexcept;
    void apply(Desk& desk, std::uint32_t kernel, std::int64_t bar_start_ts_ns,
               double value) noexcept;
    void set_column(Desk& desk, std::size_t row, std::size_t column, float value) noexcept;
    void forget(std::uint32_t kernel) noexcept;
    [[nodiscard]] KernelStatus judge(const KernelResult& result, State& state) const noexcept;
    [[nodiscard]] bool is_called(std::size_t kernel) const noexcept {
        return states_[kernel].status == KernelStatus::kOk;
    }
    [[nodiscard]] bool is_column_quarantined(std::size_t column) const noexcept;

    std::vector<KernelSettings> settings_;
    std::array<std::uint8_t, kKernelsMax> column_of_{};  // of a feature: 0, 1, 2
    std::array<State, kKernelsMax> states_{};
    std::vector<Desk> desks_;
    std::vector<Waiting> waiting_;  // capacity reserved once
    std::size_t next_waiting_ = 0;
    std::uint64_t asked_in_ = 0;  // the input whose step left these calls
    std::uint64_t abandoned_ = 0;
    std::uint32_t rule_ = kNone;
    std::uint32_t needed_columns_ = 0;  // bit i: an agent looks at column 13 + i
    std::uint32_t decision_minutes_ = 30;
};

}  // namespace gm
