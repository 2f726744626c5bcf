// Settings blocks: any bytes are settings whose tables fit together, or a Failure that says why.
#include "gm/engine/settings.hpp"
#include "gm/market/market.hpp"
#include "input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace gm;
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
    }
    return 0;
}
