#include "gm/engine/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "gm/engine/engine.hpp"

namespace gm {
namespace {

constexpr std::int64_t kHalfHourNs = 1'800'000'000'000;
constexpr double kNano = 1e9;
constexpr std::int64_t kExactMax = std::int64_t{1} << 53;

// Start of the 30-minute bucket that holds ts_ns.
std::int64_t bucket_of(std::int64_t ts_ns) noexcept {
    const std::int64_t inside = ts_ns % kHalfHourNs;
    return ts_ns - (inside < 0 ? inside + kHalfHourNs : inside);
}

// A count of steps of `step_e9` billionths as the double nearest to its decimal value. Beyond 2^53
// billionths it is rounded once more.
double decimal(std::int64_t count, std::int64_t step_e9) noexcept {
    std::int64_t billionths = 0;
    const bool is_large = __builtin_mul_overflow(count, step_e9, &billionths) ||
                          billionths > kExactMax || billionths < -kExactMax;
    if (is_large) return static_cast<double>(count) * (static_cast<double>(step_e9) / kNano);
    return static_cast<double>(billionths) / kNano;
}

}  // namespace

KernelStatus judge_kernel_value(double value, const KernelSettings& kernel) noexcept {
    if (!std::isfinite(value)) return KernelStatus::kNotFinite;
    if (value < kernel.low || value > kernel.high) return KernelStatus::kOutOfRange;
    const bool is_whole = value == -1.0 || value == 0.0 || value == 1.0;
    if (kernel.kind == KernelKind::kRule && !is_whole) return KernelStatus::kOutOfRange;
    return KernelStatus::kOk;
}

void KernelBars::open(std::size_t keep) {
    keep_ = keep;
    next_ = 0;
    count_ = 0;
    values_.assign(kKernelInputsMax * 2 * keep, 0.0);
    starts_.assign(keep, 0);
}

void KernelBars::push(const ClosedBar& bar, std::int64_t tick_e9, std::int64_t lot_e9) noexcept {
    const double fields[kKernelInputsMax] = {
        decimal(bar.open_ticks, tick_e9), decimal(bar.high_ticks, tick_e9),
        decimal(bar.low_ticks, tick_e9), decimal(bar.close_ticks, tick_e9),
        decimal(bar.volume_lots, lot_e9)};
    for (std::size_t field = 0; field < kKernelInputsMax; ++field) {
        double* first = values_.data() + field * 2 * keep_ + next_;
        first[0] = first[keep_] = fields[field];
    }
    starts_[next_] = bar.start_ts_ns;
    next_ = next_ + 1 == keep_ ? 0 : next_ + 1;
    ++count_;
}

const double* KernelBars::window(KernelField field, std::size_t age,
                                 std::size_t length) const noexcept {
    // Of the two copies the one whose last value has `length` values before it.
    return values_.data() + static_cast<std::size_t>(field) * 2 * keep_ + next_ + keep_ - age -
           length;
}

std::int64_t KernelBars::start_ts_ns(std::size_t age) const noexcept {
    return starts_[(next_ + keep_ - 1 - age) % keep_];
}

Failure Kernels::open(const Settings& settings) {
    *this = Kernels{};
    if (settings.kernels.empty()) return ok();
    if (settings.kernels.size() > kKernelsMax) {
        return fail(Status::kBadSettings, "kernels must be at most " + std::to_string(kKernelsMax) +
                                              ": " + std::to_string(settings.kernels.size()));
    }
    settings_ = settings.kernels;
    std::array<std::size_t, kSizes> keep{};
    std::uint8_t columns = 0;
    std::size_t calls = 0;  // of one instrument at most
    for (std::uint32_t i = 0; i < settings_.size(); ++i) {
        const KernelSettings& kernel = settings_[i];
        const std::size_t size = size_of(kernel.minutes);
        keep[size] = std::max(keep[size], kernel.warmup + kKernelBarsMax[size]);
        calls += kKernelBarsMax[size];
        if (kernel.kind == KernelKind::kRule) {
            rule_ = i;
            decision_minutes_ = kernel.minutes;
        } else {
            column_of_[i] = columns++;
        }
    }
    for (const AgentSettings& agent : settings.agents) {
        needed_columns_ |= agent.column_mask >> kStrategicColumns;
    }
    desks_ = std::vector<Desk>(settings.instruments.size());
    for (std::size_t at = 0; at < desks_.size(); ++at) {
        desks_[at].tick_e9 = settings.instruments[at].tick_size_e9;
        desks_[at].lot_e9 = settings.instruments[at].volume_lot_e9;
        for (std::size_t size = 0; size < kSizes; ++size) {
            if (keep[size] > 0) desks_[at].bars[size].open(keep[size]);
        }
    }
    waiting_.reserve(desks_.size() * calls);
    return ok();
}

void Kernels::on_bar(std::uint32_t at, const ClosedBar& bar) noexcept {
    if (!is_used() || (bar.flags & kBarOutOfSession) != 0) return;
    Desk& desk = desks_[at];
    const std::size_t size = size_of(bar.minutes);
    if (size == 0) append_row(desk, bar.start_ts_ns);
    if (!desk.bars[size].is_open()) return;
    desk.bars[size].push(bar, desk.tick_e9, desk.lot_e9);
    ++desk.fresh[size];
}

// A row begins with what 5-minute bars inside it have given so far.
void Kernels::append_row(Desk& desk, std::int64_t start_ts_ns) noexcept {
    const std::size_t row = desk.next_row;
    const bool is_known = desk.latest.start_ts_ns == start_ts_ns;
    desk.rows[row] = {start_ts_ns, is_known ? desk.latest.warm : 0};
    for (std::size_t column = 0; column < kKernelColumnsMax; ++column) {
        set_column(desk, row, column, is_known ? desk.latest_values[column] : 0.0F);
        if (is_column_quarantined(column)) desk.rows[row].warm |= 1U << column;
    }
    desk.next_row = row + 1 == kStrategicRows ? 0 : row + 1;
}

void Kernels::set_column(Desk& desk, std::size_t row, std::size_t column, float value) noexcept {
    float* first = desk.values.data() + row * kKernelColumnsMax + column;
    first[0] = first[kStrategicRows * kKernelColumnsMax] = value;
}

void Kernels::ask_now(std::uint32_t at, std::uint64_t input_sequence) noexcept {
    if (asked_in_ != input_sequence) {  // what the step before has left, nobody will answer
        abandoned_ += waiting_.size() - next_waiting_;
        for (Desk& desk : desks_) desk.waiting = 0;
        waiting_.clear();
        next_waiting_ = 0;
        asked_in_ = input_sequence;
    }
    for (std::size_t size = 0; size < kSizes; ++size) ask_about(at, size);
}

// The newest bars of a size, oldest first: every kernel of that size whose window is full.
void Kernels::ask_about(std::uint32_t at, std::size_t size) noexcept {
    Desk& desk = desks_[at];
    const std::size_t fresh = std::min(desk.fresh[size], kKernelBarsMax[size]);
    desk.fresh[size] = 0;
    for (std::size_t age = fresh; age-- > 0;) {
        for (std::uint32_t i = 0; i < settings_.size(); ++i) {  // at most kKernelsMax
            if (size_of(settings_[i].minutes) != size || !is_called(i) ||
                desk.bars[size].count() < settings_[i].warmup + age) {
                continue;
            }
            waiting_.push_back({desk.bars[size].start_ts_ns(age), at, static_cast<std::uint16_t>(i),
                                static_cast<std::uint16_t>(age)});
            ++desk.waiting;
        }
    }
}

bool Kernels::next_call(KernelCall& out) const noexcept {
    if (!has_call()) return false;
    const Waiting& call = waiting_[next_waiting_];
    const KernelSettings& kernel = settings_[call.kernel];
    const KernelBars& bars = desks_[call.instrument].bars[size_of(kernel.minutes)];
    out = {call.bar_start_ts_ns, call.instrument, call.kernel, kernel.minutes, {}};
    for (std::uint32_t i = 0; i < kernel.input_count; ++i) {  // at most kKernelInputsMax
        out.windows[i] = bars.window(kernel.inputs[i], call.age, kernel.warmup);
    }
    return true;
}

Kernels::Taken Kernels::take(const KernelResult& result) noexcept {
    if (next_waiting_ == waiting_.size()) return Taken::kNotAwaited;
    const Waiting call = waiting_[next_waiting_];
    if (result.kernel != call.kernel || result.instrument != call.instrument ||
        result.bar_start_ts_ns != call.bar_start_ts_ns) {
        return Taken::kNotAwaited;
    }
    ++next_waiting_;
    Desk& desk = desks_[call.instrument];
    --desk.waiting;
    State& state = states_[call.kernel];
    ++state.calls;
    const KernelStatus status = judge(result, state);
    if (status == KernelStatus::kOk) {
        apply(desk, call.kernel, call.bar_start_ts_ns, result.value);
        return Taken::kTaken;
    }
    state.status = status;
    forget(call.kernel);
    return Taken::kQuarantined;
}

// kOk, or why this answer is the kernel's last.
KernelStatus Kernels::judge(const KernelResult& result, State& state) const noexcept {
    const bool is_slow = result.status == KernelStatus::kOverBudget;
    if (result.status != KernelStatus::kOk && !is_slow) {
        return result.status <= KernelStatus::kNotWarm ? result.status : KernelStatus::kFailed;
    }
    const KernelStatus value = judge_kernel_value(result.value, settings_[result.kernel]);
    if (value != KernelStatus::kOk) return value;
    state.over_budget = is_slow ? state.over_budget + 1 : 0;
    return state.over_budget == kOverBudgetMax ? KernelStatus::kOverBudget : KernelStatus::kOk;
}

void Kernels::apply(Desk& desk, std::uint32_t kernel, std::int64_t bar_start_ts_ns,
                    double value) noexcept {
    if (kernel == rule_) {
        desk.rule = static_cast<std::int32_t>(value);
        desk.is_rule_warm = true;
        return;
    }
    const std::size_t column = column_of_[kernel];
    const std::int64_t bucket = bucket_of(bar_start_ts_ns);
    for (std::size_t row = 0; row < kStrategicRows; ++row) {
        if (desk.rows[row].start_ts_ns != bucket) continue;
        const std::size_t next = row + 1 == kStrategicRows ? 0 : row + 1;
        desk.is_rewritten = desk.is_rewritten || next != desk.next_row;
        set_column(desk, row, column, static_cast<float>(value));
        desk.rows[row].warm |= 1U << column;
        return;
    }
    if (desk.latest.start_ts_ns != bucket) desk.latest = {bucket, 0};
    desk.latest.warm |= 1U << column;
    desk.latest_values[column] = static_cast<float>(value);
}

// A quarantined kernel says nothing: no rule, a column of zeros that nobody waits for any more.
void Kernels::forget(std::uint32_t kernel) noexcept {
    for (std::size_t i = next_waiting_; i < waiting_.size(); ++i) {
        desks_[waiting_[i].instrument].waiting -= waiting_[i].kernel == kernel ? 1U : 0U;
    }
    waiting_.erase(
        std::remove_if(waiting_.begin() + static_cast<std::ptrdiff_t>(next_waiting_),
                       waiting_.end(), [&](const Waiting& call) { return call.kernel == kernel; }),
        waiting_.end());
    for (Desk& desk : desks_) {
        if (kernel == rule_) {
            desk.rule = 0;
            continue;
        }
        desk.is_rewritten = true;
        const std::size_t column = column_of_[kernel];
        desk.latest_values[column] = 0.0F;
        for (std::size_t row = 0; row < kStrategicRows; ++row) {
            set_column(desk, row, column, 0.0F);
            desk.rows[row].warm |= 1U << column;
        }
    }
}

bool Kernels::is_column_quarantined(std::size_t column) const noexcept {
    for (std::size_t i = 0; i < settings_.size(); ++i) {
        if (i != rule_ && column_of_[i] == column) return !is_called(i);
    }
    return false;
}

void Kernels::forget_bars(std::uint32_t at) noexcept {
    if (!is_used()) return;
    Desk& desk = desks_[at];
    for (KernelBars& bars : desk.bars) bars.clear();
    desk.fresh = {};
    desk.rows = {};
    desk.values = {};
    desk.latest = {};
    desk.rule = 0;
    desk.is_rule_warm = false;
    desk.is_rewritten = true;
}

bool Kernels::take_rewritten(std::uint32_t at) noexcept {
    return is_used() && std::exchange(desks_[at].is_rewritten, false);
}

// What a kernel waits for: its own window, and for a column one in each row of the matrix.
std::int64_t Kernels::bars_needed(std::uint32_t at) const noexcept {
    if (!is_used()) return 0;
    std::int64_t most = 0;
    for (std::size_t i = 0; i < settings_.size(); ++i) {  // at most kKernelsMax
        const KernelSettings& kernel = settings_[i];
        const bool is_needed = i == rule_ || (needed_columns_ >> column_of_[i] & 1U) != 0;
        if (!is_called(i) || !is_needed) continue;
        const std::int64_t rows = i == rule_ ? 0 : std::int64_t{kStrategicRows} - 1;
        const std::int64_t half_hours = (std::int64_t{kernel.warmup} * kernel.minutes + 29) / 30;
        const auto have =
            static_cast<std::int64_t>(desks_[at].bars[size_of(kernel.minutes)].count());
        most = std::max(most, half_hours + rows - have * kernel.minutes / 30);
    }
    return most;
}

const float* Kernels::matrix(std::uint32_t at) const noexcept {
    if (!is_used()) return nullptr;
    return desks_[at].values.data() + desks_[at].next_row * kKernelColumnsMax;
}

bool Kernels::is_ready(std::uint32_t at) const noexcept {
    if (!is_used()) return true;
    const Desk& desk = desks_[at];
    if (has_rule()) return desk.is_rule_warm || !is_called(rule_);  // quarantined: it only holds
    return std::ranges::all_of(
        desk.rows, [&](const Row& row) { return (row.warm & needed_columns_) == needed_columns_; });
}

// ---- the engine's side

// The ensemble compares the borders of what was prepared only: what changes in between must be
// said. Where a decision is due, that one computes the whole.
void Engine::prepare_again(std::uint32_t at) noexcept {
    if (!kernels_.take_rewritten(at)) return;
    for (EnsembleState& state : desks_[at].policy) state.prepared_agents = 0;
    prepare_from_start(desks_[at], !desks_[at].must_decide, desks_[at].must_prepare_team);
}

void Engine::on_kernel_result(const KernelResult& result, Outputs& out) noexcept {
    const Kernels::Taken taken = kernels_.take(result);
    if (taken == Kernels::Taken::kNotAwaited) {
        ++totals_.bad_transitions;
        return;
    }
    if (taken == Kernels::Taken::kTaken) {
        prepare_again(result.instrument);
        return conclude(result.instrument, out);
    }
    const KernelSettings& kernel = kernels_.settings(result.kernel);
    KernelState state{};
    std::memcpy(state.sha256, kernel.sha256, sizeof state.sha256);
    state.instrument = result.instrument;
    state.kernel = result.kernel;
    state.status = kernels_.status(result.kernel);
    state.policy = kernel.policy;
    out.write(stamp_, RecordType::kKernelState, state);
    // Cancels only: what any desk would do next follows from a kernel that is not to be trusted.
    if (kernel.policy == KernelPolicy::kHalt) halt(kWholeAccount, KillCause::kKernel, out);
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        prepare_again(at);
        conclude(at, out);
    }
}

// In place of the ensemble: act-long, act-short or hold, as sure as a rule is.
void Engine::ask_rule(std::uint32_t at, DecisionValues& out) const noexcept {
    const int rule = kernels_.rule(at);
    out = {};
    out.action = rule > 0 ? Action::kLong : rule < 0 ? Action::kShort : Action::kNeutral;
    out.acts = rule != 0;
    out.confidence = 1.0;
    out.probability[static_cast<std::size_t>(out.action)] = 1.0F;
}

}  // namespace gm
