// Trades per second through engine and venue on one clock, without Python around it: for perf.
//
//   session_ticks SETTINGS TRADES SPACING_NS ROUNDS
//
// SETTINGS is a settings.bin of one instrument. A walk of TRADES trades, SPACING_NS apart, is
// played ROUNDS times by fresh sessions; printed as JSON: seconds and totals of each, tape and
// opening not counted. A day of trades is data only: the features never get ready, so nothing is
// decided. The same trades over a year decide on each half hour, send orders, and pay for both.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/session/session.hpp"
#include "settings_file.hpp"
#include "synthetic_trades.hpp"

namespace {

gm::Failure play(const gm::Settings& settings, const std::vector<gm::TapeRow>& tape, bool is_last) {
    gm::VenueSettings venue{};
    venue.seed = 1;
    venue.slippage_ticks = 1;
    venue.orders_max = 1U << 16;
    gm::SessionOptions options;
    gm::Session session;
    gm::Failure failure = session.open(settings, venue, tape, options);
    const std::int64_t from_ns = gm::monotonic_ns();
    if (failure.is_ok()) failure = session.run(UINT64_MAX);
    const std::int64_t took_ns = gm::monotonic_ns() - from_ns;
    if (!failure.is_ok()) return failure;
    const gm::EngineTotals& totals = session.engine().totals();
    const gm::Desk& desk = session.engine().desks()[0];
    std::printf(
        "{\"seconds\": %.6f, \"trades\": %zu, \"decisions\": %llu, \"orders\": %llu, "
        "\"fills\": %llu, \"bars_30m\": %llu, \"refused\": %llu}%s",
        static_cast<double>(took_ns) / 1e9, tape.size(),
        static_cast<unsigned long long>(totals.decisions),
        static_cast<unsigned long long>(totals.orders),
        static_cast<unsigned long long>(totals.fills),
        static_cast<unsigned long long>(desk.closed_bars_30m),
        static_cast<unsigned long long>(desk.quarantined), is_last ? "" : ", ");
    return failure;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    gm::Settings settings;
    gm::Failure failure = bench::load_settings_file(argv[1], settings);
    const std::size_t trades = std::strtoull(argv[2], nullptr, 10);
    const long rounds = std::strtol(argv[4], nullptr, 10);
    const std::vector<gm::TapeRow> tape =
        bench::synthetic_trades(trades, std::strtoll(argv[3], nullptr, 10));
    std::printf("[");
    for (long round = 1; round <= rounds && failure.is_ok(); ++round) {
        failure = play(settings, tape, round == rounds);
    }
    std::printf("]\n");
    if (failure.is_ok()) return 0;
    std::fprintf(stderr, "%s\n", failure.text.c_str());
    return 1;
}
