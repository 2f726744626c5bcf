// Settings blocks: any bytes are settings whose tables fit together, or a Failure that says why.
#include "gm/engine/settings.hpp"
#include "gm/market/market.hpp"
#include "input.hpp"

namespace {

using namespace gm;

// One trade inside a session: what the engine asks of a market next must have an answer.
void play(Market& market, const SessionInterval& session) {
    Trade trade{};
    trade.price_ticks = 1'000;
    trade.quantity_lots = 1;
    if (market.on_trade(trade, session.open_ts_ns) != QuarantineReason::kNone) return;
    gm::fuzz::hold(market.next_deadline_ns() > session.open_ts_ns, "a session ends after it opens");
    (void)market.is_last_but_one_bar_of_session(session.open_ts_ns, 5 * kMinuteNs);
    market.on_time(market.next_deadline_ns());
    ClosedBar bar;
    int closed = 0;
    while (market.next_closed(bar)) ++closed;
    gm::fuzz::hold(closed <= 2, "one trade makes a bar of each size");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using gm::fuzz::hold;
    Settings settings;
    const Failure failure = load_settings({data, size}, settings);
    hold(failure.is_ok() == failure.text.empty(), "a refusal says why");
    if (!failure.is_ok()) return 0;
    hold(settings.limits.size() == settings.instruments.size(), "each instrument has limits");
    hold(settings.onnx.size() == settings.agents.size(), "each agent has a network");
    for (const Instrument& row : settings.instruments) {  // at most 4,096
        Market market;
        const std::span sessions(settings.sessions);
        const std::span offsets(settings.offsets);
        const Failure refusal =
            market.open(row, sessions.subspan(row.session_first, row.session_count),
                        offsets.subspan(row.offset_first, row.offset_count), 48);
        hold(refusal.is_ok() == refusal.text.empty(), "a market that does not open says why");
        if (refusal.is_ok()) play(market, sessions[row.session_first]);
    }
    return 0;
}
