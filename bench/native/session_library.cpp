// G15: engine and venue on one clock over a tape that bench_backtest.py made, timed in one call.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <span>

#include "gm/base/clock.hpp"
#include "gm/session/session.hpp"

namespace {

constexpr std::int64_t kKernelBudgetNs = 1'000'000'000;  // a busy machine is not the kernel's fault

// bench_backtest.py repeats it.
struct Played {
    double seconds;
    std::uint64_t orders, filled, decisions, refusals, quarantined, bars_5m;
    std::int64_t bid_ticks, ask_ticks;  // of the engine's book, at the end
};

gm::Failure play(std::span<const std::uint8_t> block, const gm::VenueSettings& venue,
                 std::span<const gm::TapeRow> tape, const char* kernels, Played& played,
                 std::span<std::uint8_t> sides) {
    gm::Settings settings;
    gm::Failure failure = gm::load_settings(block, settings);
    gm::SessionOptions options;
    options.kernel_library = kernels;
    options.kernel_budget_ns = kKernelBudgetNs;
    gm::Session session;
    if (failure.is_ok()) failure = session.open(settings, venue, tape, options);
    const std::int64_t from_ns = gm::monotonic_ns();
    if (failure.is_ok()) failure = session.run(UINT64_MAX);
    played.seconds = static_cast<double>(gm::monotonic_ns() - from_ns) / 1e9;
    if (!failure.is_ok()) return failure;

    const gm::EngineTotals& totals = session.engine().totals();
    const gm::Desk& desk = session.engine().desks()[0];
    const gm::Ledger& ledger = session.venue().ledger();
    played.orders = ledger.totals().orders;
    played.filled = ledger.totals().filled;
    played.decisions = totals.decisions;
    played.refusals =
        std::accumulate(totals.refusals.begin(), totals.refusals.end(), std::uint64_t{0});
    played.quarantined = desk.quarantined;
    played.bars_5m = desk.closed_bars_5m;
    played.bid_ticks = desk.market.top().bid_ticks;
    played.ask_ticks = desk.market.top().ask_ticks;
    const std::size_t count = std::min(sides.size(), ledger.orders().size());
    for (std::size_t i = 0; i < count; ++i) {
        sides[i] = static_cast<std::uint8_t>(ledger.orders()[i].side);
    }
    return failure;
}

}  // namespace

// False: `error` says why. `sides` gets those of the first orders.
extern "C" bool bench_session(const std::uint8_t* block, std::size_t block_size,
                              const gm::VenueSettings* venue, const gm::TapeRow* tape,
                              std::size_t rows, const char* kernels, Played* played,
                              std::uint8_t* sides, std::size_t sides_max, char* error,
                              std::size_t error_size) {
    const gm::Failure failure =
        play({block, block_size}, *venue, {tape, rows}, kernels, *played, {sides, sides_max});
    std::snprintf(error, error_size, "%s", failure.text.c_str());
    return failure.is_ok();
}
