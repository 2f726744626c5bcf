#include "gm/simulation/world_limits.hpp"

#include <algorithm>
#include <cstring>

namespace gm {
namespace {

constexpr std::int64_t kHourNs = std::int64_t{3'600} * 1'000'000'000;
constexpr std::size_t kPadding = 64;

constexpr std::size_t padded(std::size_t size) noexcept {
    return (size + kPadding - 1) / kPadding * kPadding;
}

// 0 is no limit.
void tighten(std::int64_t& limit, std::int64_t drawn) noexcept {
    limit = limit == 0 ? drawn : std::min(limit, drawn);
}

// A share of `whole`, in percent of it, at least 1.
std::int64_t share(Random& random, std::int64_t whole, std::int64_t low, std::int64_t high) {
    return std::max<std::int64_t>(1, whole / 100 * random.between(low, high));
}

}  // namespace

// What a world has of these is drawn one by one, so that one limit does not hide another. A bar of
// the synthetic tape moves by a hundredth, so a whole position gains or loses as much of its value.
void tighten_limits(Random& random, const Settings& settings, std::vector<std::uint8_t>& block) {
    SettingsHeader header = settings.header;
    AccountLimits account = settings.account;
    Limits limits = settings.limits[0];
    const Instrument& instrument = settings.instruments[0];
    const std::int64_t whole_lots = limits.position_lots_max;
    constexpr std::int64_t kPriceTicks = 40'000;
    const std::int64_t value_micros = whole_lots * kPriceTicks * instrument.tick_value_micros;
    if (random.hits(200'000))
        tighten(account.gross_micros_max, share(random, value_micros, 50, 130));
    if (random.hits(150'000)) {
        limits.margin_micros_per_lot = std::max<std::int64_t>(limits.margin_micros_per_lot, 1'000);
        const std::int64_t margin_micros = whole_lots * limits.margin_micros_per_lot;
        tighten(account.credit_micros_max, share(random, margin_micros, 50, 150));
    }
    if (random.hits(150'000)) tighten(limits.loss_micros_max, share(random, value_micros, 1, 20));
    if (random.hits(100'000)) tighten(account.loss_micros_max, share(random, value_micros, 1, 20));
    if (random.hits(100'000)) {
        tighten(account.drawdown_micros_max, share(random, value_micros, 1, 20));
    }
    if (header.loss_confirmations == 0) {
        header.loss_confirmations = static_cast<std::uint32_t>(random.between(2, 5));
    }
    if (random.hits(200'000)) {
        limits.repeat_executions_max = random.between(2, 30);
        limits.repeat_window_ns = random.between(1, 100) * kHourNs / 2;
    }
    if (random.hits(150'000)) {
        tighten(limits.orders_per_second_max, 1);
        tighten(limits.orders_burst_max, random.between(1, 3));
    }
    if (random.hits(150'000)) {
        tighten(limits.duplicates_max, random.between(1, 3));
        limits.duplicate_window_ns =
            std::max(limits.duplicate_window_ns, random.between(1, 20) * kHourNs / 4);
    }
    const std::size_t count = settings.instruments.size();
    const std::size_t of_account = padded(sizeof header);
    const std::size_t of_limits =
        of_account + padded(sizeof account) + padded(count * sizeof(Instrument));
    std::memcpy(block.data(), &header, sizeof header);
    std::memcpy(block.data() + of_account, &account, sizeof account);
    std::memcpy(block.data() + of_limits, &limits, sizeof limits);
}

}  // namespace gm
