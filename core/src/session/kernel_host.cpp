#include "gm/session/kernel_host.hpp"

#include <algorithm>

namespace gm {
namespace {

std::uint64_t to_ticks(std::int64_t duration_ns) {
    if (duration_ns == kNoKernelBudgetNs) return UINT64_MAX;
    return static_cast<std::uint64_t>(static_cast<double>(duration_ns) /
                                      TickScale::calibrate().ns_per_tick());
}

}  // namespace

void KernelHost::open(std::span<const KernelSettings> kernels,
                      std::span<const KernelFunction> functions, std::int64_t budget_ns) {
    count_ = std::min({kernels.size(), functions.size(), kKernelsMax});
    std::copy_n(kernels.begin(), count_, kernels_.begin());
    std::copy_n(functions.begin(), count_, functions_.begin());
    is_hung_ = {};
    budget_ticks_ = to_ticks(budget_ns);
}

KernelResult KernelHost::make_call(const KernelCall& call) noexcept {
    KernelResult result{};
    result.bar_start_ts_ns = call.bar_start_ts_ns;
    result.instrument = call.instrument;
    result.kernel = call.kernel;
    result.minutes = call.minutes;
    if (is_hung_[call.kernel]) {
        result.status = KernelStatus::kHung;
        return result;
    }
    double value = 0.0;
    const std::uint64_t begin = ticks();
    heartbeat_.store(begin << kKernelBits | (call.kernel + 1), std::memory_order_relaxed);
    const std::int32_t raised = functions_[call.kernel](call.windows.data(), &value);
    heartbeat_.store(0, std::memory_order_relaxed);
    const std::uint64_t took_ticks = ticks() - begin;
    result.status =
        raised != 0 ? KernelStatus::kFailed : judge_kernel_value(value, kernels_[call.kernel]);
    if (result.status != KernelStatus::kOk) return result;
    result.value = value;
    if (took_ticks > budget_ticks_) result.status = KernelStatus::kOverBudget;
    return result;
}

KernelWatch::KernelWatch(const KernelHost& host, std::int64_t hang_ns)
    : host_(host), limit_ticks_(to_ticks(hang_ns)) {}

std::optional<std::size_t> KernelWatch::look() noexcept {
    const std::uint64_t word = host_.heartbeat();
    const bool is_late = word != 0 && KernelHost::age_ticks(word) > limit_ticks_;
    const bool is_same = word == suspect_;
    suspect_ = is_late ? word : 0;
    if (!is_late || !is_same) return std::nullopt;
    return KernelHost::kernel_of(word);
}

}  // namespace gm
